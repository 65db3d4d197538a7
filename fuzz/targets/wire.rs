//! libFuzzer's way into `tee_fuzz::wire`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(wire);
