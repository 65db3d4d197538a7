//! The chain's Merkle tree in memory: zksync-era's, with 256 levels and Blake2s-256.
//!
//! Only leaves are kept, and the nodes where the ways of two of them part. This is written independently of the
//! verifier's tree, so that each checks the other.

use std::collections::HashMap;

use blake2s_simd::blake2s;
use tee_verifier::{H256, U256};

const DEPTH: usize = 256;

type Hash = [u8; 32];

/// The tree of a chain's storage. Keys are hashed keys, their bytes read as a little-endian number.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    root: Option<usize>,
    leaves: HashMap<U256, usize>,
    /// Hash of an empty subtree of each height.
    empty: Vec<Hash>,
    /// Whether hashes wait for the end of [`Tree::extend`].
    deferred: bool,
}

#[derive(Debug, Clone)]
struct Node {
    /// A key of a leaf under this node.
    key: U256,
    kind: Kind,
    /// The node's hash at the height of its parent's children, so that the parent only needs to join two.
    top: Hash,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Leaf { index: u64, value: H256 },
    Branch { height: usize, left: usize, right: usize },
}

impl Tree {
    /// The empty tree.
    pub(crate) fn new() -> Self {
        let mut empty = vec![*blake2s(&[0; 40]).as_array()];
        for height in 0..DEPTH {
            empty.push(join(&empty[height], &empty[height]));
        }
        Self { nodes: Vec::new(), root: None, leaves: HashMap::new(), empty, deferred: false }
    }

    /// The root hash.
    pub(crate) fn root(&self) -> H256 {
        H256(self.root.map_or(self.empty[DEPTH], |root| self.nodes[root].top))
    }

    /// The index that the next new leaf gets; the first is 1.
    pub(crate) fn next_index(&self) -> u64 {
        self.leaves.len() as u64 + 1
    }

    /// Index and value of a leaf.
    pub(crate) fn leaf(&self, key: &U256) -> Option<(u64, H256)> {
        match self.nodes[*self.leaves.get(key)?].kind {
            Kind::Leaf { index, value } => Some((index, value)),
            Kind::Branch { .. } => None,
        }
    }

    /// Sets a leaf's value; a new leaf gets the next index.
    pub(crate) fn write(&mut self, key: U256, value: H256) {
        let index = self.leaf(&key).map_or(self.next_index(), |(index, _)| index);
        let leaf = Kind::Leaf { index, value };
        self.root = Some(match self.root {
            None => self.add_leaf(key, leaf, DEPTH),
            Some(root) => self.write_under(root, key, leaf, DEPTH),
        });
    }

    /// Sets many leaves, in this order. Each node is hashed once, however many leaves are under it.
    pub(crate) fn extend(&mut self, leaves: impl IntoIterator<Item = (U256, H256)>) {
        self.deferred = true;
        for (key, value) in leaves {
            self.write(key, value);
        }
        self.deferred = false;
        if let Some(root) = self.root {
            self.rehash_under(root, DEPTH);
        }
    }

    /// The 256 sibling hashes on a key's way to the root, from the leaf level up.
    pub(crate) fn path(&self, key: &U256) -> Vec<Hash> {
        let mut path = self.empty[..DEPTH].to_vec();
        let mut next = self.root;
        while let Some(node) = next.map(|node| &self.nodes[node]) {
            let parting = parting(*key, node.key);
            next = match (node.kind, parting) {
                (Kind::Branch { height, left, right }, parting) if parting.is_none_or(|parting| parting <= height) => {
                    let (child, sibling) = if key.bit(height) { (right, left) } else { (left, right) };
                    path[height] = self.nodes[sibling].top;
                    Some(child)
                }
                (_, Some(parting)) => {
                    path[parting] = self.hash_at(node, parting);
                    None
                }
                (_, None) => None,
            };
        }
        path
    }

    /// How many hashes at a path's leaf end are those of empty subtrees.
    pub(crate) fn empty_hashes(&self, path: &[Hash]) -> usize {
        path.iter().zip(&self.empty).take_while(|(hash, empty)| hash == empty).count()
    }

    fn add_leaf(&mut self, key: U256, kind: Kind, top_height: usize) -> usize {
        let id = self.nodes.len();
        self.nodes.push(Node { key, kind, top: [0; 32] });
        self.leaves.insert(key, id);
        self.rehash(id, top_height);
        id
    }

    /// Writes a leaf under a node whose parent's children are at `top_height`; returns the node that takes its place.
    fn write_under(&mut self, id: usize, key: U256, leaf: Kind, top_height: usize) -> usize {
        match (self.nodes[id].kind, parting(key, self.nodes[id].key)) {
            (Kind::Leaf { .. }, None) => self.nodes[id].kind = leaf,
            (Kind::Branch { height, left, right }, parting) if parting.is_none_or(|parting| parting <= height) => {
                let (left, right) = if key.bit(height) {
                    (left, self.write_under(right, key, leaf, height))
                } else {
                    (self.write_under(left, key, leaf, height), right)
                };
                self.nodes[id].kind = Kind::Branch { height, left, right };
            }
            (_, parting) => {
                let height = parting.expect("a branch holds any key that does not part from it");
                self.rehash(id, height);
                let new = self.add_leaf(key, leaf, height);
                let (left, right) = if key.bit(height) { (id, new) } else { (new, id) };
                let branch = self.nodes.len();
                self.nodes.push(Node { key, kind: Kind::Branch { height, left, right }, top: [0; 32] });
                self.rehash(branch, top_height);
                return branch;
            }
        }
        self.rehash(id, top_height);
        id
    }

    fn rehash_under(&mut self, id: usize, top_height: usize) {
        if let Kind::Branch { height, left, right } = self.nodes[id].kind {
            self.rehash_under(left, height);
            self.rehash_under(right, height);
        }
        self.rehash(id, top_height);
    }

    fn rehash(&mut self, id: usize, top_height: usize) {
        if self.deferred {
            return;
        }
        self.nodes[id].top = self.hash_at(&self.nodes[id], top_height);
    }

    /// The hash at `height` of a subtree that contains only what is under `node`.
    fn hash_at(&self, node: &Node, height: usize) -> Hash {
        let (own_height, mut hash) = match node.kind {
            Kind::Leaf { index, value } => {
                let bytes: Vec<u8> = [index.to_be_bytes().as_slice(), value.as_bytes()].concat();
                (0, *blake2s(&bytes).as_array())
            }
            Kind::Branch { height, left, right } => (height + 1, join(&self.nodes[left].top, &self.nodes[right].top)),
        };
        for at in own_height..height {
            let empty = &self.empty[at];
            hash = if node.key.bit(at) { join(empty, &hash) } else { join(&hash, empty) };
        }
        hash
    }
}

/// The height at which the ways of two keys part: the highest bit in which they differ.
fn parting(a: U256, b: U256) -> Option<usize> {
    (a ^ b).bits().checked_sub(1)
}

fn join(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(left);
    bytes[32..].copy_from_slice(right);
    *blake2s(&bytes).as_array()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(mut hash: Hash, key: U256, path: &[Hash]) -> H256 {
        for (height, sibling) in path.iter().enumerate() {
            hash = if key.bit(height) { join(sibling, &hash) } else { join(&hash, sibling) };
        }
        H256(hash)
    }

    fn key(seed: u64) -> U256 {
        U256::from_little_endian(blake2s(&seed.to_le_bytes()).as_bytes())
    }

    #[test]
    fn every_path_leads_to_the_root() {
        let mut tree = Tree::new();
        // Far apart, next to each other, and the two ends of the tree.
        let keys = (0..40).map(key).chain((0..40).map(|seed| key(seed) ^ U256::one())).chain([U256::zero(), U256::MAX]);
        for (count, key) in keys.enumerate() {
            assert_eq!(fold(tree.empty[0], key, &tree.path(&key)), tree.root(), "absent, {count} leaves");
            tree.write(key, H256::from_low_u64_be(count as u64));
            tree.write(key, H256::from_low_u64_be(count as u64 + 7));
            let (index, value) = tree.leaf(&key).unwrap();
            assert_eq!((index, value), (count as u64 + 1, H256::from_low_u64_be(count as u64 + 7)));
            let leaf = blake2s(&[index.to_be_bytes().as_slice(), value.as_bytes()].concat());
            assert_eq!(fold(*leaf.as_array(), key, &tree.path(&key)), tree.root(), "present, {count} leaves");
        }
    }

    #[test]
    fn many_leaves_at_once_are_the_same_as_one_by_one() {
        let leaves = || (0..40).map(|seed| (key(seed % 30), H256::from_low_u64_be(seed)));
        let (mut a, mut b) = (Tree::new(), Tree::new());
        for tree in [&mut a, &mut b] {
            tree.write(key(7), H256::zero());
        }
        leaves().for_each(|(key, value)| a.write(key, value));
        b.extend(leaves());
        assert_eq!((a.root(), a.next_index()), (b.root(), b.next_index()));
        assert!((0..31).all(|seed| a.path(&key(seed)) == b.path(&key(seed))));
    }

    #[test]
    fn the_root_does_not_depend_on_the_order_of_later_writes() {
        let (mut a, mut b) = (Tree::new(), Tree::new());
        for seed in 0..20 {
            a.write(key(seed), H256::zero());
            b.write(key(seed), H256::zero());
        }
        for seed in 0..20 {
            a.write(key(seed), H256::repeat_byte(1));
            b.write(key(19 - seed), H256::repeat_byte(1));
        }
        assert_eq!(a.root(), b.root());
    }
}
