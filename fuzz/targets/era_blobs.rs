//! The binary with which libFuzzer runs `tee_fuzz::era_blobs`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(era_blobs);
