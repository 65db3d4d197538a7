//! The binary with which libFuzzer runs `tee_fuzz::sigstruct`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(sigstruct);
