//! `tee_proofs`: accepted proofs.

mod record;

use std::cmp::Ordering;

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use tee_api::{PublicKey, Signature, TeeType};
use tee_verifier::H256;

pub(crate) use self::record::{NewProof, RecordedProof};
use super::{Database, batches::range, columns, patience::Within};

/// What a proof of a registered key is compared with.
#[derive(Debug)]
pub(crate) struct Expectation {
    /// The TEE type that the key was registered for.
    pub(crate) tee_type: TeeType,
    /// `None` if the batch is not known.
    pub(crate) roots: Option<Roots>,
}

/// A batch's roots, where they are known.
#[derive(Debug)]
pub(crate) struct Roots {
    pub(crate) previous: Option<H256>,
    /// The root after the batch that was given with the batch.
    pub(crate) expected: Option<H256>,
    /// The root that the next batch's input starts from.
    pub(crate) next_starts_from: Option<H256>,
}

/// How a proof's root compares with what is known about its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RootFit {
    /// It is the known root.
    Right,
    /// No root is known.
    Unknown,
    /// It differs from the root that was given with the batch; or it is bare and differs from the root that the next batch starts from.
    Wrong,
    /// A statement has it, and the next batch starts from another root. Whoever uploads the next batch could have made
    /// that up, so it is no reason to refuse an enclave's statement.
    Disputed { next_starts_from: H256 },
}

/// Selects proofs to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProofFilter {
    /// Only of this batch.
    pub number: Option<u32>,
    /// Only of this TEE type.
    pub tee_type: Option<TeeType>,
}

/// An accepted proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The batch's number.
    pub number: u32,
    /// The prover's TEE type.
    pub tee_type: TeeType,
    /// The key that signed.
    pub pubkey: PublicKey,
    /// The signature of the root.
    pub signature: Signature,
    /// The root that was signed.
    pub root: H256,
    /// The signed statement in JSON.
    pub statement: Option<String>,
    /// When it arrived, in milliseconds since 1970.
    pub received_at_ms: i64,
}

/// A proof in the list of a key's proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProofOfKey {
    pub(crate) number: u32,
    pub(crate) has_statement: bool,
    /// When it arrived, in milliseconds since 1970.
    pub(crate) received_at_ms: i64,
}

/// Uses the index on a key's proofs.
pub(super) const PROOFS_OF_KEY: &str = "SELECT l1_batch_number, received_at,
         CASE WHEN statement IS NULL THEN 0 ELSE 1 END AS has_statement
     FROM tee_proofs WHERE pubkey = $1 AND l1_batch_number < $2 ORDER BY l1_batch_number DESC LIMIT $3";

/// Uses the index on a key's proofs once for each key: there are few keys and many proofs. The cross join forces SQLite to this order.
pub(super) const BATCHES_OF_ROOT: &str = "SELECT DISTINCT p.l1_batch_number
     FROM tee_attestations a CROSS JOIN tee_proofs p WHERE p.pubkey = a.pubkey AND p.proof = $1
     ORDER BY p.l1_batch_number LIMIT $2";

impl Roots {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let root = |column: &str| columns::optional_hash(row, column);
        Ok(Self {
            previous: root("previous_root")?,
            expected: root("expected_root")?,
            next_starts_from: root("next_starts_from")?,
        })
    }

    pub(crate) fn fit(&self, root: H256, has_statement: bool) -> RootFit {
        match (self.expected, self.next_starts_from) {
            (Some(known), _) | (None, Some(known)) if known == root => RootFit::Right,
            (None, Some(next_starts_from)) if has_statement => RootFit::Disputed { next_starts_from },
            (None, None) => RootFit::Unknown,
            _ => RootFit::Wrong,
        }
    }
}

impl Database {
    /// What a proof of this batch by this key is compared with; `None` if the key is not registered.
    pub(crate) async fn expectation(&self, number: u32, key: &PublicKey) -> Result<Option<Expectation>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT tee_type, b.number, b.previous_root, b.expected_root, next.previous_root AS next_starts_from
             FROM tee_attestations LEFT JOIN batches b ON b.number = $2 LEFT JOIN batches next ON next.number = $2 + 1
             WHERE pubkey = $1",
        )
        .bind(key.to_bytes().as_slice())
        .bind(i64::from(number))
        .fetch_optional(&self.pool)
        .within()
        .await?;
        row.map(|row| {
            let roots = Roots::read(&row)?;
            Ok(Expectation {
                tee_type: columns::tee_type(&row, "tee_type")?,
                roots: row.try_get::<Option<i64>, _>("number")?.map(|_| roots),
            })
        })
        .transpose()
    }

    /// Proofs by batch, TEE type and key, beginning after `after`.
    pub(crate) async fn proofs(
        &self,
        filter: &ProofFilter,
        after: Option<(u32, TeeType, PublicKey)>,
        limit: u32,
    ) -> Result<Vec<Proof>, sqlx::Error> {
        let (lowest, highest) = range(filter.number);
        let (number, tee_type, pubkey) = match &after {
            None => (-1, "", vec![]),
            Some((number, tee_type, pubkey)) => (i64::from(*number), tee_type.as_str(), pubkey.to_bytes().to_vec()),
        };
        let proofs = sqlx::query(AssertSqlSafe(proofs_statement(filter)));
        let proofs = proofs.bind(lowest.max(number)).bind(highest).bind(i64::from(limit));
        let proofs = match filter.tee_type.map(|wanted| wanted.as_str().cmp(tee_type)) {
            None => proofs.bind(number).bind(pubkey).bind(tee_type),
            // With one type, the cursor is among that type's proofs of the batch, or before or behind them.
            Some(Ordering::Equal) => proofs.bind(number).bind(pubkey),
            Some(Ordering::Greater) => proofs.bind(number).bind(vec![]),
            Some(Ordering::Less) => proofs.bind(number + 1).bind(vec![]),
        };
        let rows = self.readers.fetch_all(proofs).await?;
        rows.iter().map(Proof::read).collect()
    }
}

impl Database {
    /// A key's proofs of batches below a number, the highest batch first.
    pub(crate) async fn proofs_of_key(
        &self,
        pubkey: &PublicKey,
        below: Option<u32>,
        limit: u32,
    ) -> Result<Vec<ProofOfKey>, sqlx::Error> {
        let query = sqlx::query(PROOFS_OF_KEY)
            .bind(pubkey.to_bytes().to_vec())
            .bind(below.map_or(i64::MAX, i64::from))
            .bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        let read = |row: &AnyRow| {
            Ok(ProofOfKey {
                number: columns::number(row, "l1_batch_number")?,
                has_statement: columns::any(row, "has_statement")?,
                received_at_ms: row.try_get("received_at")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The batches with accepted proofs of this root.
    pub(crate) async fn batches_of_root(&self, root: H256, limit: u32) -> Result<Vec<u32>, sqlx::Error> {
        let query = sqlx::query(BATCHES_OF_ROOT).bind(root.as_bytes().to_vec()).bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(|row| columns::number(row, 0)).collect()
    }
}

pub(super) fn proofs_statement(filter: &ProofFilter) -> String {
    let of_type = match filter.tee_type {
        Some(tee_type) => format!("AND tee_type = '{tee_type}' AND (l1_batch_number, pubkey) > ($4, $5)"),
        None => "AND (l1_batch_number, tee_type, pubkey) > ($4, $6, $5)".to_owned(),
    };
    format!(
        "SELECT * FROM tee_proofs WHERE l1_batch_number >= $1 AND l1_batch_number <= $2 {of_type}
         ORDER BY l1_batch_number, tee_type, pubkey LIMIT $3"
    )
}

impl Proof {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: columns::number(row, "l1_batch_number")?,
            tee_type: columns::tee_type(row, "tee_type")?,
            pubkey: columns::pubkey(row, "pubkey")?,
            signature: columns::signature(row, "signature")?,
            root: columns::hash(row, "proof")?,
            statement: row.try_get("statement")?,
            received_at_ms: row.try_get("received_at")?,
        })
    }
}
