//! The binary with which libFuzzer runs `tee_fuzz::firmware`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(firmware);
