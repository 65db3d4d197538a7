//! libFuzzer's way into `tee_fuzz::collateral`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(collateral);
