//! Fuzz targets for every decoder of bytes from outside, for the virtual machine, and for the verifier.
//!
//! Each target is a plain function. libFuzzer runs it through a binary in `targets/`; the tests run it with its seeds,
//! with past findings, and with random changes to both. It fails by panicking.

#![forbid(unsafe_code)]

mod attestation;
mod batch;
mod change;
mod judging;
mod machine;
mod measure;
mod verify;
mod wire;

pub use self::{
    attestation::{quote, report_data},
    batch::{batch_cbor, batch_json, batch_zstd, era_blobs},
    judging::{collateral, judge, policy},
    machine::machine,
    measure::{event_log, firmware, image, sigstruct},
    verify::verify,
    wire::{keys, wire},
};

/// A target, with its seeds.
pub struct Target {
    /// The name of its function and of its binary.
    pub name: &'static str,
    /// Takes any bytes, and panics if something is wrong with the result.
    pub run: fn(&[u8]),
    /// Bytes that reach far into the code.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Changes to each seed that a short test makes.
    pub short: u32,
}

/// All targets.
pub const TARGETS: [Target; 17] = [
    Target { name: "batch_cbor", run: batch_cbor, seeds: batch::cbor_seeds, short: 10_000 },
    Target { name: "batch_json", run: batch_json, seeds: batch::json_seeds, short: 10_000 },
    Target { name: "batch_zstd", run: batch_zstd, seeds: batch::zstd_seeds, short: 10_000 },
    Target { name: "collateral", run: collateral, seeds: judging::collateral_seeds, short: 500 },
    Target { name: "era_blobs", run: era_blobs, seeds: batch::era_blob_seeds, short: 10_000 },
    Target { name: "event_log", run: event_log, seeds: measure::event_log_seeds, short: 10_000 },
    Target { name: "firmware", run: firmware, seeds: measure::firmware_seeds, short: 1_000 },
    Target { name: "image", run: image, seeds: measure::image_seeds, short: 10_000 },
    Target { name: "judge", run: judge, seeds: judging::quote_seeds, short: 500 },
    Target { name: "keys", run: keys, seeds: wire::key_seeds, short: 10_000 },
    Target { name: "machine", run: machine, seeds: machine::seeds, short: 500 },
    Target { name: "policy", run: policy, seeds: judging::policy_seeds, short: 2_000 },
    Target { name: "quote", run: quote, seeds: attestation::quote_seeds, short: 10_000 },
    Target { name: "report_data", run: report_data, seeds: attestation::report_data_seeds, short: 10_000 },
    Target { name: "sigstruct", run: sigstruct, seeds: measure::sigstruct_seeds, short: 1_000 },
    Target { name: "verify", run: verify, seeds: verify::seeds, short: 20 },
    Target { name: "wire", run: wire, seeds: wire::seeds, short: 10_000 },
];

/// Makes the binary of a target: for libFuzzer, if cargo-fuzz builds it.
#[macro_export]
macro_rules! libfuzzer {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$target(data));

        #[cfg(not(fuzzing))]
        fn main() {
            panic!(concat!("built without libFuzzer: cargo +nightly fuzz run ", stringify!($target)));
        }
    };
}
