//! The binary with which libFuzzer runs `tee_fuzz::wire`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(wire);
