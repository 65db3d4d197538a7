//! libFuzzer's way into `tee_fuzz::judge`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(judge);
