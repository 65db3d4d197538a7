//! The binary with which libFuzzer runs `tee_fuzz::keys`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(keys);
