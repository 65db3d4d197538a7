//! `tee_attestations`: the keys that may sign, with their quotes and their standing.
//!
//! `standing` is a [`KeyStanding`], whose documentation describes the transitions. A refused or revoked key has a `revoked_at`, a
//! suspended one a `suspended_at`.

mod revocation;
mod standing;

use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use tee_api::{KeyStanding, PublicKey, Quote, TeeType, UserAgent};
use tee_attestation::{Collateral, Verdict};

pub use self::revocation::Requeued;
pub(crate) use self::standing::KeyToJudge;
use super::{Database, columns, patience::Within};
use crate::clock::millis;

/// A key to register.
#[derive(Debug)]
pub(crate) struct NewAttestation<'a> {
    pub(crate) pubkey: &'a PublicKey,
    pub(crate) quote: &'a Quote,
    /// How many bytes at the front of the quote are signed.
    pub(crate) signed_bytes: usize,
    pub(crate) tee_type: TeeType,
    /// The verdict, which is a good one, if quotes are judged.
    pub(crate) judged: Option<&'a Judged>,
    /// What the prover says of its program.
    pub(crate) user_agent: Option<&'a UserAgent>,
}

/// A verdict and what it depends on, for the archive.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// The collateral, in JSON.
    collateral: String,
}

/// A registered key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationEntry {
    /// The key.
    pub pubkey: PublicKey,
    /// The enclave's type.
    pub tee_type: TeeType,
    /// The quote that names the key.
    pub quote: Vec<u8>,
    /// Whether it may sign.
    pub standing: KeyStanding,
    /// Why it was refused or revoked.
    pub standing_reason: Option<String>,
    /// The platform's status when the quote was judged, as Intel names it.
    pub tcb_status: Option<String>,
    /// The platform's advisories when the quote was judged, with spaces between them.
    pub advisories: Option<String>,
    /// When the quote was judged, in milliseconds since 1970.
    pub judged_at_ms: Option<i64>,
    /// When it was registered, in milliseconds since 1970.
    pub registered_at_ms: i64,
    /// When it was revoked, in milliseconds since 1970.
    pub revoked_at_ms: Option<i64>,
    /// When its quote last passed, in milliseconds since 1970.
    pub passed_at_ms: Option<i64>,
    /// What the prover said of its program when it registered the key. Nothing attests this.
    pub user_agent: Option<String>,
}

/// The columns that an [`AttestationEntry`] is read from. Collateral and verdict are many times as large and are not read.
const ENTRY_COLUMNS: &str = "pubkey, tee_type, quote, standing, standing_reason, tcb_status, advisories, judged_at, \
                             registered_at, revoked_at, passed_at, user_agent";

impl Judged {
    /// Until when the collateral is valid, in milliseconds since 1970.
    pub(crate) fn valid_until_ms(&self) -> Option<i64> {
        self.verdict.valid_until_secs().map(|secs| millis(Duration::from_secs(secs)))
    }

    pub(crate) fn new(verdict: Verdict, collateral: &Collateral) -> Self {
        Self { verdict, collateral: serde_json::to_string(collateral).expect("collateral is JSON") }
    }
}

/// A registered key with everything that is kept of its judgement.
#[derive(Debug, Clone)]
pub(crate) struct KeyRecord {
    pub(crate) entry: AttestationEntry,
    /// The verdict when it registered, in JSON.
    pub(crate) verdict: Option<String>,
    /// The collateral that the quote was judged with, in JSON.
    pub(crate) collateral: Option<Vec<u8>>,
    /// Until when the collateral of that judgement is valid, in milliseconds since 1970.
    pub(crate) valid_until_ms: Option<i64>,
    /// When it was suspended, in milliseconds since 1970.
    pub(crate) suspended_at_ms: Option<i64>,
}

impl Database {
    /// Registers a key, or takes a newer quote of a key that may not sign now. If the key may sign, nothing changes: anyone who has
    /// seen its quote could send it with other bytes behind the signed part. A suspended key also keeps its quote if the new one
    /// signs the same statement. A key that somebody revoked stays revoked.
    pub(crate) async fn register(&self, new: &NewAttestation<'_>, now_ms: i64) -> Result<(), sqlx::Error> {
        let pubkey = new.pubkey.to_bytes();
        let (quote, tee_type) = (new.quote.as_bytes().to_vec(), new.tee_type);
        let quote_sha256 = Sha256::digest(&quote).to_vec();
        let standing = if new.judged.is_some() { KeyStanding::Accepted } else { KeyStanding::Unjudged };
        let judged_at = new.judged.map(|_| now_ms);
        let collateral = new.judged.map(|judged| judged.collateral.clone().into_bytes());
        let measurements = new.judged.and_then(|judged| serde_json::to_string(&judged.verdict).ok());
        let tcb_status = new.judged.and_then(|judged| judged.verdict.tcb_status().map(str::to_owned));
        let signed_bytes = i64::try_from(new.signed_bytes).unwrap_or(i64::MAX);
        let valid_until_ms = new.judged.and_then(Judged::valid_until_ms);
        let advisories = new.judged.map(|judged| judged.verdict.advisories().join(" "));
        let user_agent = new.user_agent.map(ToString::to_string);
        self.statement(move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO tee_attestations
                         (pubkey, quote, tee_type, measurements, tcb_status, advisories, collateral, judged_at, standing,
                          registered_at, passed_at, valid_until, quote_sha256, user_agent)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8, $11, $13, $14)
                     ON CONFLICT (pubkey) DO UPDATE
                     SET quote = CASE WHEN tee_attestations.standing = 'suspended' AND
                                 SUBSTR(tee_attestations.quote, 1, CAST($12 AS INTEGER)) = SUBSTR(excluded.quote, 1, CAST($12 AS INTEGER))
                             THEN tee_attestations.quote ELSE excluded.quote END,
                         quote_sha256 = CASE WHEN tee_attestations.standing = 'suspended' AND
                                 SUBSTR(tee_attestations.quote, 1, CAST($12 AS INTEGER)) = SUBSTR(excluded.quote, 1, CAST($12 AS INTEGER))
                             THEN tee_attestations.quote_sha256 ELSE excluded.quote_sha256 END,
                         tee_type = excluded.tee_type, measurements = excluded.measurements,
                         tcb_status = excluded.tcb_status, advisories = excluded.advisories,
                         collateral = excluded.collateral, judged_at = excluded.judged_at, standing = excluded.standing, standing_reason = NULL,
                         registered_at = excluded.registered_at, revoked_at = NULL, passed_at = excluded.passed_at,
                         valid_until = excluded.valid_until, suspended_at = NULL, user_agent = excluded.user_agent
                     WHERE tee_attestations.standing IN ('refused', 'suspended')
                         OR (tee_attestations.standing = 'unjudged' AND excluded.standing = 'accepted')",
                )
                .bind(pubkey.as_slice())
                .bind(quote)
                .bind(tee_type.as_str())
                .bind(measurements)
                .bind(tcb_status)
                .bind(advisories)
                .bind(collateral)
                .bind(judged_at)
                .bind(standing.as_str())
                .bind(now_ms)
                .bind(valid_until_ms)
                .bind(signed_bytes)
                .bind(quote_sha256)
                .bind(user_agent)
                .execute(connection)
                .await
                .map(drop)
            })
        })
        .await
    }

    /// Whether a key was refused or revoked; `None` if it is not registered.
    pub(crate) async fn is_revoked(&self, pubkey: &PublicKey) -> Result<Option<bool>, sqlx::Error> {
        let row = sqlx::query("SELECT revoked_at FROM tee_attestations WHERE pubkey = $1")
            .bind(pubkey.to_bytes().as_slice())
            .fetch_optional(&self.pool)
            .within()
            .await?;
        row.map(|row| Ok(row.try_get::<Option<i64>, _>("revoked_at")?.is_some())).transpose()
    }

    /// Registered keys, by key, beginning after `after`.
    pub(crate) async fn attestations(
        &self,
        after: Option<&PublicKey>,
        limit: u32,
    ) -> Result<Vec<AttestationEntry>, sqlx::Error> {
        let statement =
            format!("SELECT {ENTRY_COLUMNS} FROM tee_attestations WHERE pubkey > $1 ORDER BY pubkey LIMIT $2");
        let query = sqlx::query(AssertSqlSafe(statement))
            .bind(after.map_or_else(Vec::new, |pubkey| pubkey.to_bytes().to_vec()))
            .bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(AttestationEntry::read).collect()
    }

    /// A registered key.
    pub(crate) async fn key_record(&self, pubkey: &PublicKey) -> Result<Option<KeyRecord>, sqlx::Error> {
        let query = sqlx::query("SELECT * FROM tee_attestations WHERE pubkey = $1").bind(pubkey.to_bytes().to_vec());
        self.readers.fetch_all(query).await?.first().map(KeyRecord::read).transpose()
    }

    /// The key whose quote has this SHA-256. A quote belongs to one key.
    pub(crate) async fn key_of_quote(&self, sha256: &[u8; 32]) -> Result<Option<PublicKey>, sqlx::Error> {
        let query = sqlx::query("SELECT pubkey FROM tee_attestations WHERE quote_sha256 = $1 LIMIT 1");
        let rows = self.readers.fetch_all(query.bind(sha256.to_vec())).await?;
        rows.first().map(|row| columns::pubkey(row, "pubkey")).transpose()
    }

    /// Sets the hashes of quotes that were stored before hashes were kept.
    pub(super) async fn hash_quotes(&self) -> Result<(), sqlx::Error> {
        loop {
            let rows = sqlx::query("SELECT pubkey, quote FROM tee_attestations WHERE quote_sha256 IS NULL LIMIT 100")
                .fetch_all(&self.pool)
                .within()
                .await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                let (pubkey, quote): (Vec<u8>, Vec<u8>) = (row.try_get("pubkey")?, row.try_get("quote")?);
                self.statement(move |connection| {
                    Box::pin(async move {
                        // A quote that was stored meanwhile has its own hash.
                        sqlx::query("UPDATE tee_attestations SET quote_sha256 = $2 WHERE pubkey = $1 AND quote = $3")
                            .bind(pubkey)
                            .bind(Sha256::digest(&quote).to_vec())
                            .bind(quote)
                            .execute(connection)
                            .await
                            .map(drop)
                    })
                })
                .await?;
            }
        }
    }

    /// The keys that registered last, the latest first.
    pub(crate) async fn latest_attestations(&self, limit: u32) -> Result<Vec<AttestationEntry>, sqlx::Error> {
        let statement =
            format!("SELECT {ENTRY_COLUMNS} FROM tee_attestations ORDER BY registered_at DESC, pubkey LIMIT $1");
        let query = sqlx::query(AssertSqlSafe(statement)).bind(i64::from(limit));
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(AttestationEntry::read).collect()
    }

    /// Those of the given keys that are registered. For tens of keys, not thousands.
    pub(crate) async fn attestations_of(&self, pubkeys: &[PublicKey]) -> Result<Vec<AttestationEntry>, sqlx::Error> {
        if pubkeys.is_empty() {
            return Ok(vec![]);
        }
        let places: Vec<_> = (1..=pubkeys.len()).map(|place| format!("${place}")).collect();
        let statement = format!("SELECT {ENTRY_COLUMNS} FROM tee_attestations WHERE pubkey IN ({})", places.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for pubkey in pubkeys {
            query = query.bind(pubkey.to_bytes().to_vec());
        }
        let rows = self.readers.fetch_all(query).await?;
        rows.iter().map(AttestationEntry::read).collect()
    }
}

impl KeyRecord {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            entry: AttestationEntry::read(row)?,
            verdict: row.try_get("measurements")?,
            collateral: row.try_get("collateral")?,
            valid_until_ms: row.try_get("valid_until")?,
            suspended_at_ms: row.try_get("suspended_at")?,
        })
    }
}

impl AttestationEntry {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            pubkey: columns::pubkey(row, "pubkey")?,
            tee_type: columns::tee_type(row, "tee_type")?,
            quote: row.try_get("quote")?,
            standing: columns::standing(row, "standing")?,
            standing_reason: row.try_get("standing_reason")?,
            tcb_status: row.try_get("tcb_status")?,
            advisories: row.try_get("advisories")?,
            judged_at_ms: row.try_get("judged_at")?,
            registered_at_ms: row.try_get("registered_at")?,
            revoked_at_ms: row.try_get("revoked_at")?,
            passed_at_ms: row.try_get("passed_at")?,
            user_agent: row.try_get("user_agent")?,
        })
    }
}
