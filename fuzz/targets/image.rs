//! The binary with which libFuzzer runs `tee_fuzz::image`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(image);
