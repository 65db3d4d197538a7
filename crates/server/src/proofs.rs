//! Proofs: which are accepted, which contradict each other, and what is published of them.

mod accept;

pub(crate) use self::accept::{AcceptedProof, RefusedProof};
