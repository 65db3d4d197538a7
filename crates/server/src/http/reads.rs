//! `/api/…`: lists of the server's data, in pages.

pub(super) mod attestations;
pub(super) mod batches;
pub(super) mod disagreements;
pub(super) mod events;
pub(super) mod jobs;
pub(super) mod proofs;
pub(super) mod provers;
pub(super) mod registration_signatures;

use std::{fmt::Display, str::FromStr};

use axum::Json;
use tee_api::{Page, PublicKey, TeeType};
use tee_verifier::H256;

use super::request::malformed_query;
use crate::{database::Disagreement, http::Problem};

/// The most items on a page.
const MAX_LIMIT: u32 = 1000;
const DEFAULT_LIMIT: u32 = 100;

/// How many items fit on a page. One more is read, to see whether there is a next page.
struct Limit(u32);

impl Limit {
    fn of(limit: Option<u32>) -> Result<Self, Problem> {
        match limit.unwrap_or(DEFAULT_LIMIT) {
            limit @ 1..=MAX_LIMIT => Ok(Self(limit)),
            _ => Err(malformed_query(format_args!("limit: must be 1 to {MAX_LIMIT}"))),
        }
    }

    fn rows(&self) -> u32 {
        self.0 + 1
    }

    /// Builds a page. `rows` are as many as [`Self::rows`] asked for; `cursor` names the place after an item.
    fn page<R, T>(&self, mut rows: Vec<R>, cursor: impl Fn(&R) -> String, entry: impl Fn(R) -> T) -> Json<Page<T>> {
        let size = self.0 as usize;
        let next =
            if rows.len() > size { size.checked_sub(1).and_then(|last| rows.get(last)).map(cursor) } else { None };
        rows.truncate(size);
        Json(Page { items: rows.into_iter().map(entry).collect(), next })
    }
}

/// Where a page starts: the key of the item before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JobKey {
    pub(super) batch: u32,
    pub(super) tee_type: TeeType,
}

/// The same for lists with one row for each key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProofKey {
    pub(super) job: JobKey,
    pub(super) pubkey: PublicKey,
}

impl FromStr for JobKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = text
            .split_once('-')
            .and_then(|(batch, tee_type)| Some(Self { batch: batch.parse().ok()?, tee_type: tee_type.parse().ok()? }));
        key.ok_or("after: must be the `next` of an earlier page")
    }
}

impl ProofKey {
    /// The place of a disagreement.
    pub(super) fn of(disagreement: &Disagreement) -> Self {
        let Disagreement { number, tee_type, pubkey, .. } = disagreement;
        Self { job: JobKey { batch: *number, tee_type: *tee_type }, pubkey: *pubkey }
    }
}

impl FromStr for ProofKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = text
            .rsplit_once('-')
            .and_then(|(job, pubkey)| Some(Self { job: job.parse().ok()?, pubkey: pubkey.parse().ok()? }));
        key.ok_or("after: must be the `next` of an earlier page")
    }
}

impl Display for JobKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.batch, self.tee_type)
    }
}

impl Display for ProofKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.job, self.pubkey)
    }
}

/// Parses a query parameter, if it is present.
pub(super) fn parsed<T: FromStr<Err: Display>>(text: Option<String>) -> Result<Option<T>, Problem> {
    text.map(|text| text.parse().map_err(malformed_query)).transpose()
}

fn hex_of(hash: H256) -> String {
    hex::encode(hash)
}
