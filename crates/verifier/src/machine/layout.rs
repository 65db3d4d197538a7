//! The layout of the bootloader's heap, in words of 32 bytes, by protocol version (`vm_latest/constants.rs` of
//! zksync-era).

use crate::ProtocolVersionId;

/// Transactions that a batch has room for.
pub(crate) const MAX_TRANSACTIONS: u32 = 10_000;
/// Interop roots that a batch has room for, in versions that know them.
const MAX_INTEROP_ROOTS: u32 = 100;
/// Bytes of the heap that the protocol uses.
pub(crate) const HEAP_BYTES: usize = 63_800_000;
/// Words of an interop root.
pub(crate) const INTEROP_ROOT_WORDS: u32 = 5;
/// Words that a block takes.
pub(crate) const BLOCK_WORDS: u32 = 4;
/// Words of a transaction's description.
pub(crate) const DESCRIPTION_WORDS: u32 = 2;
/// The place of the gas limit in an encoded transaction, in words.
pub(crate) const GAS_LIMIT: u32 = 4;
/// The number of a hook's parameters, which are in the words before it.
pub(crate) const HOOK_PARAMETERS: u32 = 3;

/// The batch's parameters, in the first words of the heap.
pub(crate) mod batch {
    pub(crate) const OPERATOR: u32 = 0;
    pub(crate) const PREVIOUS_HASH: u32 = 1;
    pub(crate) const TIMESTAMP: u32 = 2;
    pub(crate) const NUMBER: u32 = 3;
    pub(crate) const FAIR_PUBDATA_PRICE: u32 = 4;
    pub(crate) const FAIR_L2_GAS_PRICE: u32 = 5;
    pub(crate) const BASE_FEE: u32 = 6;
    pub(crate) const SETS_NEW_BATCH: u32 = 7;
}

/// Words before the refunds. Among them are the paymaster context, the hashes of the current transaction, and the
/// hashes of its dependencies, at most 64.
const FIRST_WORDS: u32 = 8 + 32 + 33 + 2 + (64 + 4);
const REFUNDS: u32 = FIRST_WORDS;
const OVERHEADS: u32 = REFUNDS + MAX_TRANSACTIONS;
const TRUSTED_GAS_LIMITS: u32 = OVERHEADS + MAX_TRANSACTIONS;
const BLOCKS: u32 = TRUSTED_GAS_LIMITS + MAX_TRANSACTIONS;
const BLOCKS_END: u32 = BLOCKS + (MAX_TRANSACTIONS + 1) * BLOCK_WORDS;
/// One word each for the last block, the roots in the block, and the current root.
const INTEROP_STATE_WORDS: u32 = 3;
const COMPRESSED_BYTECODES_WORDS: u32 = 196_608;
const PRIORITY_WORDS: u32 = 2;
const PUBDATA_WORDS: u32 = 1_360_000;
/// Words of a paymaster's last step: its context and its call.
const POST_OPERATION_WORDS: u32 = 33 + 7;
const RESULTS: u32 = (HEAP_BYTES / 32) as u32 - MAX_TRANSACTIONS;

/// A region of the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) start: u32,
    pub(crate) words: u32,
}

impl Region {
    /// The heap word that is `at` words into the region. `None` if `words` words from there do not fit: they would
    /// overwrite what follows the region.
    pub(crate) fn room(self, at: u32, words: u32) -> Option<u32> {
        let end = at.checked_add(words)?;
        (end <= self.words).then_some(self.start.saturating_add(at))
    }
}

/// The places of the regions in one protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// One word per transaction: the operator's refund.
    pub(crate) refunds: u32,
    /// One word per transaction: what it costs to have it in the batch.
    pub(crate) overheads: u32,
    /// One word per transaction: its gas limit for computation.
    pub(crate) trusted_gas_limits: u32,
    /// [`BLOCK_WORDS`] per transaction, and once more for the block at the end.
    pub(crate) blocks: u32,
    /// Since version 29.
    pub(crate) interop: Option<Interop>,
    /// Since version 31: the settlement layer's chain id, and behind it the interop fee.
    pub(crate) settlement_layer: Option<u32>,
    /// The compressed bytecodes, behind a first word that the bootloader writes.
    pub(crate) compressed_bytecodes: Region,
    /// The data for L1, as the L1Messenger receives it, behind a first word that the bootloader writes.
    pub(crate) pubdata: Region,
    /// [`DESCRIPTION_WORDS`] per transaction.
    pub(crate) descriptions: u32,
    /// The transactions themselves.
    pub(crate) transactions: Region,
    /// The word by which the bootloader calls its host.
    pub(crate) hook: u32,
}

/// The places of interop roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interop {
    /// One word per block: its number of roots, plus one.
    pub(crate) blocks: u32,
    /// [`INTEROP_ROOT_WORDS`] per root.
    pub(crate) roots: Region,
}

impl Layout {
    /// The layout of a protocol version.
    pub(crate) fn of(version: ProtocolVersionId) -> Self {
        let interop_roots = BLOCKS_END + INTEROP_STATE_WORDS + MAX_TRANSACTIONS;
        // Room for one root more than there can be, and for the roots' rolling hash.
        let interop_end = interop_roots + (MAX_INTEROP_ROOTS + 1) * INTEROP_ROOT_WORDS + 1;
        let (interop, mut end) = if version >= ProtocolVersionId::VERSION_29 {
            let roots = Region { start: interop_roots, words: MAX_INTEROP_ROOTS * INTEROP_ROOT_WORDS };
            (Some(Interop { blocks: BLOCKS_END + INTEROP_STATE_WORDS, roots }), interop_end)
        } else {
            (None, BLOCKS_END)
        };
        let mut settlement_layer = None;
        if version >= ProtocolVersionId::VERSION_31 {
            settlement_layer = Some(end);
            end += 2;
        }
        let compressed_bytecodes = Region { start: end + 1, words: COMPRESSED_BYTECODES_WORDS - 1 };
        end += COMPRESSED_BYTECODES_WORDS + PRIORITY_WORDS;
        if interop.is_some() {
            // The rolling hash of the transactions' statuses.
            end += 1;
        }
        let pubdata = Region { start: end + 1, words: PUBDATA_WORDS - 1 };
        let descriptions = end + PUBDATA_WORDS;
        let transactions = descriptions + DESCRIPTION_WORDS * MAX_TRANSACTIONS + POST_OPERATION_WORDS;
        Self {
            refunds: REFUNDS,
            overheads: OVERHEADS,
            trusted_gas_limits: TRUSTED_GAS_LIMITS,
            blocks: BLOCKS,
            interop,
            settlement_layer,
            compressed_bytecodes,
            pubdata,
            descriptions,
            transactions: Region { start: transactions, words: RESULTS - transactions },
            hook: RESULTS - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_room_for_as_much_as_it_is_long() {
        let region = Region { start: 100, words: 10 };
        assert_eq!([region.room(0, 10), region.room(7, 3), region.room(10, 0)], [Some(100), Some(107), Some(110)]);
        for (at, words) in [(0, 11), (7, 4), (11, 0), (u32::MAX, 1), (1, u32::MAX)] {
            assert_eq!(region.room(at, words), None, "{words} words at {at}");
        }
    }

    /// The positions are those that zksync-era names.
    #[test]
    fn the_regions_are_where_the_versions_have_them() {
        let [v28, v29, v31] = [28, 29, 31].map(|version| Layout::of(ProtocolVersionId::new(version)));
        assert_eq!((v28.refunds, v28.blocks, v28.hook), (143, 30_143, 1_983_749));
        assert_eq!(v28.compressed_bytecodes.start, 70_147 + 1);
        assert_eq!(v29.compressed_bytecodes.start, 80_656 + 1);
        assert_eq!(v29.pubdata.start, 277_267 + 1);
        assert_eq!((v29.descriptions, v29.transactions.start), (1_637_267, 1_657_307));
        assert_eq!(v31.settlement_layer, Some(80_656));
        assert_eq!(v31.compressed_bytecodes.start, 80_658 + 1);
        assert_eq!(v31.pubdata.start, 277_269 + 1);
        assert_eq!((v31.descriptions, v31.transactions.start), (1_637_269, 1_657_309));
    }
}
