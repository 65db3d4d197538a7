//! libFuzzer's way into `tee_fuzz::sigstruct`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(sigstruct);
