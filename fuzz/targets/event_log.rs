//! The binary with which libFuzzer runs `tee_fuzz::event_log`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(event_log);
