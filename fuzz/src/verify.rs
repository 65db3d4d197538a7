//! The verifier, on changed batches.

use std::sync::LazyLock;

use arbitrary::Unstructured;
use tee_devnet::Load;
use tee_verifier::{BatchInput, Options, VerifiedBatch};

use crate::{batch::second_batch, change::change};

/// The most changes that are made to one batch.
const MOST_CHANGES: usize = 4;

/// A batch that verifies, with its result.
struct Honest {
    input: BatchInput,
    verified: VerifiedBatch,
}

/// A small batch, which is verified often, and one with all kinds of traffic.
static HONEST: LazyLock<[Honest; 2]> = LazyLock::new(|| {
    let small = Load { transactions: 3, cold_reads: 0, l1_transactions: 1 };
    let mixed = Load { transactions: 10, cold_reads: 20, l1_transactions: 2 };
    [small, mixed].map(|load| {
        let input = second_batch(load);
        let verified = tee_verifier::verify(input.clone(), &Options::danger_any_code()).expect("the devnet is honest");
        Honest { input, verified }
    })
});

/// The bytes determine changes to a batch that verifies. The changed batch must be rejected, or have the same result:
/// then what was changed carries no meaning.
pub fn verify(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let honest = &HONEST[usize::from(bytes.ratio(1, 4).unwrap_or_default())];
    let mut input = honest.input.clone();
    for _ in 0..MOST_CHANGES {
        if bytes.is_empty() || change(&mut input, &mut bytes).is_err() {
            break;
        }
    }
    if let Ok(verified) = tee_verifier::verify(input, &Options::danger_any_code()) {
        assert_eq!(verified, honest.verified, "accepted with another result");
    }
}

/// One for each part that can be changed; the rest of the bytes decides how.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let seed = |part: u8| [0xff, part].into_iter().chain((1..30_u8).map(|byte| byte.wrapping_mul(37) ^ part)).collect();
    (0..14).map(seed).collect()
}
