//! The binary with which libFuzzer runs `tee_fuzz::batch_zstd`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(batch_zstd);
