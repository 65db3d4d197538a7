//! libFuzzer's way into `tee_fuzz::image`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(image);
