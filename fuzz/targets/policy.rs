//! libFuzzer's way into `tee_fuzz::policy`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(policy);
