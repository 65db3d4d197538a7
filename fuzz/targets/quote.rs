//! libFuzzer's way into `tee_fuzz::quote`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(quote);
