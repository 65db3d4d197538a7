//! The tree: old values fold to the root before the batch, new values to the root after it.
//!
//! zksync-era's tree (`zksync_merkle_tree`) has 256 levels and hashes with Blake2s-256. A leaf is
//! `hash(index as u64, big endian ‖ value)`, an absent one `hash(40 zero bytes)`, a node `hash(left ‖ right)`. At height `h`
//! above the leaves a node is a right child if bit `h` of the leaf's key is set.
//!
//! The witness lists a path for each leaf as of the moment of its access. That order does not matter here. The part of
//! the tree above the touched leaves is rebuilt bottom-up, once with the old contents and once with the new ones. It
//! takes from the paths only the hashes of subtrees without a touched leaf. Such a hash is the same before and after
//! the batch, and all paths that hold it must agree on it.
//!
//! Paths leave out hashes at their leaf end, in one of two forms: those that equal the first path's, or those of empty
//! subtrees. The input does not say which form it has; the root before the batch decides.
//!
//! Most absent leaves have only empty subtrees beside them for more than two hundred levels. The hashes of empty
//! subtrees are known, so the way up need not be hashed as long as all siblings are empty.

use std::{ops::Range, sync::LazyLock};

use blake2s_simd::{
    Params,
    many::{HashManyJob, MAX_DEGREE, hash_many},
};

use crate::{
    H256, Rejection, U256,
    shape::{Leaf, LeafContent, TREE_DEPTH, Witness},
};

type Hash = [u8; 32];

/// The hashes of subtrees without any leaf, by height.
static EMPTY: LazyLock<Vec<Hash>> = LazyLock::new(|| {
    let levels = std::iter::successors(Some(leaf_hash(None)), |below| Some(hash_node(&join(*below, *below))));
    levels.take(TREE_DEPTH.saturating_add(1)).collect()
});

/// A tree whose old contents were checked: they give the root before the batch.
pub(crate) struct ProvenTree<'a> {
    witness: &'a Witness,
    /// The hashes that the paths leave out, from the leaf level up.
    left_out: Vec<Hash>,
    /// For each leaf, the height of the highest node above it that covers no other touched leaf.
    lone_heights: Vec<usize>,
    /// For each leaf, the hash of that node before the batch.
    lone_hashes: Vec<Hash>,
}

/// The paths, with the hashes that they leave out, from the leaf level up.
#[derive(Clone, Copy)]
struct Paths<'a> {
    witness: &'a Witness,
    left_out: &'a [Hash],
}

impl Paths<'_> {
    fn sibling(&self, leaf: &Leaf, height: usize) -> Hash {
        leaf.sibling(height, self.left_out)
    }
}

impl<'a> ProvenTree<'a> {
    /// Rebuilds the tree with the old contents and compares with the root before the batch.
    pub(crate) fn prove(witness: &'a Witness, previous_root: H256) -> Result<Self, Rejection> {
        let first_path: Option<Vec<Hash>> =
            witness.first_path.as_ref().map(|path| path.iter().map(|hash| **hash).collect());
        let Some(first_path) = first_path else { return Self::prove_form(witness, EMPTY.clone(), previous_root) };
        let as_first = Self::prove_form(witness, first_path, previous_root);
        match as_first {
            Ok(tree) => Ok(tree),
            // If the witness is valid in neither form, the error of the first form is returned.
            Err(rejection) => Self::prove_form(witness, EMPTY.clone(), previous_root).map_err(|_| rejection),
        }
    }

    fn prove_form(witness: &'a Witness, left_out: Vec<Hash>, previous_root: H256) -> Result<Self, Rejection> {
        let lone_heights = lone_heights(&witness.leaves);
        let paths = Paths { witness, left_out: &left_out };
        let leaves = witness.leaves.iter().zip(&lone_heights).enumerate();
        let raised = leaves.map(|(number, (leaf, &top))| match leaf.before {
            Some(content) => LoneLeaf { leaf: number, height: 0, top, hash: leaf_hash(Some(content)) },
            None => LoneLeaf::absent(paths, number, leaf, top),
        });
        let mut lone_hashes = vec![[0; 32]; witness.leaves.len()];
        raise_all(paths, raised.collect(), &mut lone_hashes);

        let got = H256(subtree(paths, &lone_hashes, 0..witness.leaves.len(), TREE_DEPTH)?);
        // Everything that the run read rests on this.
        if got != previous_root {
            return Err(Rejection::PreviousRoot { got, expected: previous_root });
        }
        Ok(Self { witness, left_out, lone_heights, lone_hashes })
    }

    /// The root with the new contents of the changed leaves; `changed` has their positions and new contents.
    pub(crate) fn root_after(&self, changed: &[(usize, LeafContent)]) -> Result<H256, Rejection> {
        let raised = changed.iter().map(|&(leaf, content)| LoneLeaf {
            leaf,
            height: 0,
            top: self.lone_heights.get(leaf).copied().unwrap_or(TREE_DEPTH),
            hash: leaf_hash(Some(content)),
        });
        let paths = Paths { witness: self.witness, left_out: &self.left_out };
        let mut lone_hashes = self.lone_hashes.clone();
        raise_all(paths, raised.collect(), &mut lone_hashes);
        subtree(paths, &lone_hashes, 0..self.witness.leaves.len(), TREE_DEPTH).map(H256)
    }
}

/// A leaf on its way up to the height where it meets another touched one.
struct LoneLeaf {
    /// Its position in the witness.
    leaf: usize,
    /// The height that it has reached.
    height: usize,
    /// The height where it stops: its lone height.
    top: usize,
    /// The hash of the node at `height`.
    hash: Hash,
}

impl LoneLeaf {
    /// An absent leaf, already raised past all siblings that are empty subtrees.
    fn absent(paths: Paths<'_>, number: usize, leaf: &Leaf, top: usize) -> Self {
        let around = EMPTY.iter().take(top).enumerate();
        let height = around.take_while(|&(height, empty)| paths.sibling(leaf, height) == *empty).count();
        Self { leaf: number, height, top, hash: EMPTY.get(height).copied().unwrap_or_default() }
    }
}

/// The lone height of each leaf: the highest bit in which its key differs from the nearest touched leaf's. A single
/// leaf goes up to the root alone.
fn lone_heights(leaves: &[Leaf]) -> Vec<usize> {
    let between: Vec<usize> =
        leaves.iter().zip(leaves.iter().skip(1)).map(|(a, b)| highest_difference(a.key, b.key)).collect();
    (0..leaves.len())
        .map(|leaf| {
            let before = leaf.checked_sub(1).and_then(|i| between.get(i)).copied();
            let after = between.get(leaf).copied();
            before.into_iter().chain(after).min().unwrap_or(TREE_DEPTH)
        })
        .collect()
}

/// The highest bit in which two different keys differ.
fn highest_difference(a: U256, b: U256) -> usize {
    (a ^ b).bits().saturating_sub(1)
}

/// Raises leaves to their lone heights, as many at a time as the processor hashes at once, and stores the hashes of the
/// nodes there in `hashes`.
fn raise_all(paths: Paths<'_>, mut lone: Vec<LoneLeaf>, hashes: &mut [Hash]) {
    let params = Params::new();
    // Leaves that start at the same height go together.
    lone.sort_unstable_by_key(|leaf| leaf.height);
    for group in lone.chunks_mut(MAX_DEGREE) {
        let start = group.iter().map(|leaf| leaf.height).min().unwrap_or_default();
        let top = group.iter().map(|leaf| leaf.top).max().unwrap_or_default();
        let mut nodes = [[0; 64]; MAX_DEGREE];
        for height in start..top {
            for (node, lone) in nodes.iter_mut().zip(&*group) {
                if let Some(leaf) = paths.witness.leaves.get(lone.leaf) {
                    *node = node_bytes(leaf.key, height, lone.hash, paths.sibling(leaf, height));
                }
            }
            let mut jobs: [_; MAX_DEGREE] =
                std::array::from_fn(|i| HashManyJob::new(&params, nodes.get(i).map_or(&[], |node| node.as_slice())));
            let jobs = jobs.get_mut(..group.len()).unwrap_or_default();
            hash_many(jobs.iter_mut());
            for (lone, job) in group.iter_mut().zip(&*jobs) {
                if lone.height == height && height < lone.top {
                    lone.hash = *job.to_hash().as_array();
                    lone.height = height.saturating_add(1);
                }
            }
        }
    }
    for LoneLeaf { leaf, hash, .. } in lone {
        if let Some(slot) = hashes.get_mut(leaf) {
            *slot = hash;
        }
    }
}

/// The hash of the node at `height` over the leaves in `range`, which are all the touched leaves under it.
///
/// Recursion ends after at most 256 levels: each step splits at a lower bit.
fn subtree(paths: Paths<'_>, lone_hashes: &[Hash], range: Range<usize>, height: usize) -> Result<Hash, Rejection> {
    let leaves = paths.witness.leaves.get(range.clone()).unwrap_or_default();
    let (Some(first), Some(last)) = (leaves.first(), leaves.last()) else {
        return Err(Rejection::NoPaths);
    };
    if leaves.len() == 1 {
        // Its lone height is where the caller splits, so it was raised to exactly this height.
        return Ok(lone_hashes.get(range.start).copied().unwrap_or_default());
    }
    let split_height = highest_difference(first.key, last.key);
    let split = range.start.saturating_add(leaves.partition_point(|leaf| !leaf.key.bit(split_height)));
    let left = subtree(paths, lone_hashes, range.start..split, split_height)?;
    let right = subtree(paths, lone_hashes, split..range.end, split_height)?;

    let mut hash = hash_node(&join(left, right));
    for at in split_height.saturating_add(1)..height {
        let sibling = paths.sibling(first, at);
        // With two versions of one node, an attacker could show each slot the one that suits it.
        if leaves.iter().any(|leaf| paths.sibling(leaf, at) != sibling) {
            return Err(Rejection::SiblingsDisagree { height: at });
        }
        hash = hash_node(&node_bytes(first.key, at, hash, sibling));
    }
    Ok(hash)
}

/// A path completed at its start with the hashes of empty subtrees that it leaves out. `None` if it is longer than the
/// tree is deep.
pub(crate) fn whole_path(path: &[Hash]) -> Option<Vec<Hash>> {
    let left_out = TREE_DEPTH.checked_sub(path.len())?;
    Some(EMPTY.iter().take(left_out).chain(path).copied().collect())
}

/// The number of hashes at a path's start that are those of empty subtrees.
pub(crate) fn empty_hashes(path: &[Hash]) -> usize {
    path.iter().zip(&*EMPTY).take_while(|(hash, empty)| hash == empty).count()
}

/// The root to which a leaf and its whole path lead.
pub(crate) fn root_of(key: U256, content: Option<LeafContent>, path: &[Hash]) -> H256 {
    let up = |hash, (height, sibling): (usize, &Hash)| hash_node(&node_bytes(key, height, hash, *sibling));
    H256(path.iter().enumerate().fold(leaf_hash(content), up))
}

/// The bytes whose hash is the parent of the node at `height` on the way of `key` to the root.
fn node_bytes(key: U256, height: usize, node: Hash, sibling: Hash) -> [u8; 64] {
    if key.bit(height) { join(sibling, node) } else { join(node, sibling) }
}

fn join(left: Hash, right: Hash) -> [u8; 64] {
    let mut bytes = [0; 64];
    let (head, tail) = bytes.split_at_mut(32);
    head.copy_from_slice(&left);
    tail.copy_from_slice(&right);
    bytes
}

fn hash_node(bytes: &[u8; 64]) -> Hash {
    *blake2s_simd::blake2s(bytes).as_array()
}

fn leaf_hash(content: Option<LeafContent>) -> Hash {
    let mut bytes = [0; 40];
    if let Some(LeafContent { index, value }) = content {
        let (head, tail) = bytes.split_at_mut(8);
        head.copy_from_slice(&index.to_be_bytes());
        tail.copy_from_slice(value.as_bytes());
    }
    *blake2s_simd::blake2s(&bytes).as_array()
}
