//! The binary with which libFuzzer runs `tee_fuzz::judge`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(judge);
