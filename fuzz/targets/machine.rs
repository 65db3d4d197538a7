//! libFuzzer's way into `tee_fuzz::machine`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(machine);
