//! The binary with which libFuzzer runs `tee_fuzz::machine`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(machine);
