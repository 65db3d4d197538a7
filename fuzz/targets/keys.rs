//! libFuzzer's way into `tee_fuzz::keys`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(keys);
