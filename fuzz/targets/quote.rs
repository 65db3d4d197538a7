//! The binary with which libFuzzer runs `tee_fuzz::quote`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(quote);
