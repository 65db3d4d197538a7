//! How much memory a batch takes, by its size. Estimates, several times what is measured: 2,000 mixed transactions, which are 18 MB of
//! JSON and 2.2 MB compressed, take 38 MiB; hostile inputs take up to four times their bytes in CBOR (docs/BENCHMARKS.md).

use tee_api::{Compression, InputEncoding};
use tee_verifier::InputForm;

/// What a verification takes beside the input, in bytes.
const PER_BATCH: u64 = 64 << 20;
/// How much larger a batch is in the verifier than its input in JSON, in CBOR, and compressed.
const PER_JSON_BYTE: u64 = 20;
const PER_CBOR_BYTE: u64 = 48;
const PER_COMPRESSED_BYTE: u64 = 128;

/// The least that a server's share of the memory can be: it holds a batch of some size.
pub(crate) const LEAST_SHARE_BYTES: u64 = 2 * PER_BATCH;

/// What an input of so many bytes on the wire is expected to take until it is verified, in bytes.
pub(crate) fn expected(wire_bytes: u64, encoding: InputEncoding) -> u64 {
    match encoding.compression {
        Compression::None => taken(wire_bytes, encoding.form),
        Compression::Gzip | Compression::Zstd => {
            wire_bytes.saturating_mul(PER_COMPRESSED_BYTE).saturating_add(PER_BATCH)
        }
    }
}

/// What an input of so many bytes takes until it is verified, in bytes.
pub(crate) fn taken(input_bytes: u64, form: InputForm) -> u64 {
    input_bytes.saturating_mul(per_byte(form)).saturating_add(PER_BATCH)
}

/// The largest input that so much memory is enough for, in bytes.
pub(crate) fn largest_input(memory_bytes: u64, form: InputForm) -> u64 {
    memory_bytes.saturating_sub(PER_BATCH) / per_byte(form)
}

fn per_byte(form: InputForm) -> u64 {
    match form {
        InputForm::Json => PER_JSON_BYTE,
        InputForm::Cbor => PER_CBOR_BYTE,
    }
}
