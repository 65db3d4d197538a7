//! Shape of the witness: from a list of claims to leaves that cannot contradict themselves.

use serde_bytes::ByteArray;

use crate::{H256, MerklePath, MerklePaths, Rejection, U256, limits::MAX_PATHS};

/// Levels of the tree between a leaf and the root.
pub(crate) const TREE_DEPTH: usize = 256;

/// The touched leaves, in the order of their places in the tree.
pub(crate) struct Witness {
    pub(crate) leaves: Vec<Leaf>,
    /// The next free leaf index before the batch.
    pub(crate) next_index: u64,
    /// The first entry's path, if it is whole: then the other paths may leave out hashes that equal its own.
    pub(crate) first_path: Option<Vec<ByteArray<32>>>,
}

/// A touched leaf as the witness claims it.
pub(crate) struct Leaf {
    /// Its place: the hashed key, read as a little-endian number.
    pub(crate) key: U256,
    /// Its value before the batch, which its path proves against the previous root.
    pub(crate) before: Option<LeafContent>,
    pub(crate) access: Access,
    path: Vec<ByteArray<32>>,
}

/// The content of an existing leaf.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct LeafContent {
    pub(crate) index: u64,
    pub(crate) value: H256,
}

/// The effect that the batch claims to have on a leaf.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Access {
    Read,
    /// A write to an existing leaf, with the value claimed to be written.
    Update {
        value: H256,
    },
    /// A first write, with the value claimed and the index that the new leaf is claimed to get.
    Insert {
        value: H256,
        index: u64,
    },
}

impl Witness {
    pub(crate) fn parse(paths: MerklePaths) -> Result<Self, Rejection> {
        let MerklePaths { merkle_paths: entries, next_enumeration_index } = paths;
        // A path that leaves out all its hashes is a few bytes long and costs as much as any other.
        if entries.len() > MAX_PATHS {
            return Err(Rejection::TooManyPaths { got: entries.len(), limit: MAX_PATHS });
        }
        for (entry, path) in entries.iter().enumerate() {
            // A longer path would have no place in the tree.
            if path.merkle_paths.len() > TREE_DEPTH {
                return Err(Rejection::PathTooLong { entry, got: path.merkle_paths.len() });
            }
        }
        let first = entries.first().ok_or(Rejection::NoPaths)?;
        let first_path = (first.merkle_paths.len() == TREE_DEPTH).then(|| first.merkle_paths.clone());

        let mut leaves = entries.into_iter().map(Leaf::parse).collect::<Result<Vec<_>, _>>()?;
        leaves.sort_unstable_by_key(|leaf| leaf.key);
        // Two entries of one leaf could prove one value and write another.
        if let Some(key) = leaves.windows(2).find_map(|pair| match pair {
            [a, b] if a.key == b.key => Some(a.key),
            _ => None,
        }) {
            return Err(Rejection::DuplicateLeaf { key });
        }
        for leaf in &leaves {
            // Otherwise the next new leaf would get an index that another leaf has.
            if let Some(LeafContent { index: got, .. }) = leaf.before
                && got >= next_enumeration_index
            {
                return Err(Rejection::IndexNotFree { key: leaf.key, got, next: next_enumeration_index });
            }
        }
        Ok(Self { leaves, next_index: next_enumeration_index, first_path })
    }

    /// Where the leaf of this key is in [`Self::leaves`].
    pub(crate) fn position(&self, key: &U256) -> Option<usize> {
        self.leaves.binary_search_by_key(key, |leaf| leaf.key).ok()
    }
}

impl Leaf {
    fn parse(entry: MerklePath) -> Result<Self, Rejection> {
        let key = entry.leaf_hashed_key;
        let written = H256(entry.value_written);
        let content = LeafContent { index: entry.leaf_enumeration_index, value: H256(entry.value_read) };
        let (access, before) = match (entry.is_write, entry.first_write, content.index) {
            // One reader would count it as an insertion, and another would not.
            (false, true, _) => return Err(Rejection::ReadMarkedFirstWrite { key }),
            (false, false, 0) => (Access::Read, None),
            (false, false, _) => (Access::Read, Some(content)),
            (true, true, index) => (Access::Insert { value: written, index }, None),
            // Index 0 marks absence; an "update" of an absent leaf would be an insertion that is not counted.
            (true, false, 0) => return Err(Rejection::UpdateWithoutIndex { key }),
            (true, false, _) => (Access::Update { value: written }, Some(content)),
        };
        // A read writes nothing, but a reader of the witness might take it for a write.
        if access == Access::Read && !written.is_zero() {
            return Err(Rejection::ReadWithWrittenValue { key });
        }
        // The empty leaf proves absence, not the value beside it.
        if before.is_none() && !content.value.is_zero() {
            return Err(Rejection::AbsentLeafWithValue { key });
        }
        Ok(Self { key, before, access, path: entry.merkle_paths })
    }

    /// The hash beside its way to the root, `height` levels above the leaves (0 to 255). `left_out` has the hashes that
    /// its path leaves out.
    pub(crate) fn sibling(&self, height: usize, left_out: &[[u8; 32]]) -> [u8; 32] {
        let first = TREE_DEPTH.saturating_sub(self.path.len());
        match height.checked_sub(first) {
            None => left_out.get(height).copied().unwrap_or_default(),
            // The lengths were checked on parsing: there is a hash for each of the 256 levels.
            Some(at) => self.path.get(at).map(|hash| **hash).unwrap_or_default(),
        }
    }

    /// Whether the leaf is absent before the batch.
    pub(crate) fn is_absent_before(&self) -> bool {
        self.before.is_none()
    }

    /// The slot's value before the batch: zero where the leaf is absent.
    pub(crate) fn value_before(&self) -> H256 {
        self.before.map(|content| content.value).unwrap_or_default()
    }
}
