//! The binary with which libFuzzer runs `tee_fuzz::policy`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(policy);
