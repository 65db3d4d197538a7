//! The binary with which libFuzzer runs `tee_fuzz::collateral`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(collateral);
