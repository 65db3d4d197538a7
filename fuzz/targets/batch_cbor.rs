//! libFuzzer's way into `tee_fuzz::batch_cbor`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(batch_cbor);
