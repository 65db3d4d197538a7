//! libFuzzer's way into `tee_fuzz::event_log`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(event_log);
