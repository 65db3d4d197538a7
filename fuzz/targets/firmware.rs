//! libFuzzer's way into `tee_fuzz::firmware`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(firmware);
