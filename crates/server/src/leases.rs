//! Leases: who gets a batch to prove, and what becomes of it.

mod claim;

pub(crate) use self::claim::HandOutError;
