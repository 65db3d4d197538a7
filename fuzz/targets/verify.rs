//! The binary with which libFuzzer runs `tee_fuzz::verify`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(verify);
