//! How much memory a batch takes, by its size. The estimates are several times the measured values: 2,000 mixed transactions (18 MB of
//! JSON, 2.2 MB compressed) take 38 MiB; hostile inputs take up to four times their size in CBOR (docs/BENCHMARKS.md).

use tee_api::{Compression, InputEncoding};
use tee_verifier::InputForm;

/// What a verification takes besides the input, in bytes.
const PER_BATCH: u64 = 64 << 20;
/// The factor between the size of an input and that of the batch in the verifier, for JSON, for CBOR, and compressed.
const PER_JSON_BYTE: u64 = 20;
const PER_CBOR_BYTE: u64 = 48;
const PER_COMPRESSED_BYTE: u64 = 128;

/// The minimum for a server's share of the memory: it must hold a batch of some size.
pub(crate) const LEAST_SHARE_BYTES: u64 = 2 * PER_BATCH;

/// The memory that an input of this size on the wire is expected to take until it is verified, in bytes.
pub(crate) fn expected(wire_bytes: u64, encoding: InputEncoding) -> u64 {
    match encoding.compression {
        Compression::None => taken(wire_bytes, encoding.form),
        Compression::Gzip | Compression::Zstd => {
            wire_bytes.saturating_mul(PER_COMPRESSED_BYTE).saturating_add(PER_BATCH)
        }
    }
}

/// The memory that an input of this size takes until it is verified, in bytes.
pub(crate) fn taken(input_bytes: u64, form: InputForm) -> u64 {
    input_bytes.saturating_mul(per_byte(form)).saturating_add(PER_BATCH)
}

/// The largest input for which this much memory is enough, in bytes.
pub(crate) fn largest_input(memory_bytes: u64, form: InputForm) -> u64 {
    memory_bytes.saturating_sub(PER_BATCH) / per_byte(form)
}

fn per_byte(form: InputForm) -> u64 {
    match form {
        InputForm::Json => PER_JSON_BYTE,
        InputForm::Cbor => PER_CBOR_BYTE,
    }
}
