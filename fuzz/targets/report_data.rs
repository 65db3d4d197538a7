//! The binary with which libFuzzer runs `tee_fuzz::report_data`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(report_data);
