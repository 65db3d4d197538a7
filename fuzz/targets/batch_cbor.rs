//! The binary with which libFuzzer runs `tee_fuzz::batch_cbor`.

#![cfg_attr(fuzzing, no_main)]

tee_fuzz::libfuzzer!(batch_cbor);
