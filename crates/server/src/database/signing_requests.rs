//! `signing_requests` and `registration_signatures`: what keys are to sign for contracts, and what they signed to be registered there.

use sqlx::{Row, any::AnyRow};
use tee_api::{
    Contract, KeyStanding, MAX_CONTRACTS, PublicKey, Quote, RegistrationEntry, RegistrationSignature, SigningRequest,
};

use super::{Database, columns, patience::Within};

/// How long a request remains valid if nobody repeats it, in milliseconds: 7 days.
const STANDS_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// How old the block of a signature may be for a contract, in blocks: the EVM remembers 256.
const FRESH_BLOCKS: i64 = 255;

/// The outcome of submitting a key's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordedSignature {
    Stored,
    /// Nobody asks for it, or nobody does any more.
    NotRequested,
    /// The key is not registered, or may not sign.
    NotStanding,
}

impl Database {
    /// Stores what is to be signed for a contract, in place of the earlier request for it. False if the limit of contracts is reached.
    pub(crate) async fn request_signatures(&self, request: SigningRequest, now_ms: i64) -> Result<bool, sqlx::Error> {
        self.transaction(move |connection| {
            Box::pin(async move {
                sqlx::query("DELETE FROM signing_requests WHERE asked_at < $1")
                    .bind(now_ms - STANDS_MS)
                    .execute(&mut *connection)
                    .await?;
                sqlx::query(
                    "INSERT INTO signing_requests
                         (settlement_chain_id, proof_verifier, key_registry, block_number, block_hash, asked_at)
                     VALUES ($1, $2, $3, $4, $5, $6)
                     ON CONFLICT (settlement_chain_id, proof_verifier) DO UPDATE
                     SET key_registry = excluded.key_registry, block_number = excluded.block_number,
                         block_hash = excluded.block_hash, asked_at = excluded.asked_at",
                )
                .bind(request.settlement_chain_id.cast_signed())
                .bind(request.proof_verifier.as_bytes())
                .bind(request.key_registry.as_bytes())
                .bind(request.block_number.cast_signed())
                .bind(request.block_hash.as_bytes())
                .bind(now_ms)
                .execute(&mut *connection)
                .await?;
                // Two requests at the same time may both see the last free place, and exceed the limit. Provers sign
                // only for the first ones, up to the limit.
                let count =
                    sqlx::query("SELECT COUNT(*) AS number FROM signing_requests").fetch_one(&mut *connection).await?;
                let fits = columns::count(&count, "number")? <= MAX_CONTRACTS as u64;
                if !fits {
                    sqlx::query("DELETE FROM signing_requests WHERE settlement_chain_id = $1 AND proof_verifier = $2")
                        .bind(request.settlement_chain_id.cast_signed())
                        .bind(request.proof_verifier.as_bytes())
                        .execute(connection)
                        .await?;
                }
                Ok(fits)
            })
        })
        .await
    }

    /// What is to be signed, by contract.
    pub(crate) async fn signing_requests(&self, now_ms: i64) -> Result<Vec<SigningRequest>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT * FROM signing_requests WHERE asked_at >= $1 ORDER BY settlement_chain_id, proof_verifier LIMIT $2",
        )
        .bind(now_ms - STANDS_MS)
        .bind(MAX_CONTRACTS as i64)
        .fetch_all(&self.pool)
        .within()
        .await?;
        rows.iter().map(read_request).collect()
    }

    /// Stores what a key signed to be registered, if it is wanted, in place of what it signed for that contract before.
    pub(crate) async fn record_registration_signature(
        &self,
        signed: RegistrationSignature,
    ) -> Result<RecordedSignature, sqlx::Error> {
        self.transaction(move |connection| {
            Box::pin(async move {
                let RegistrationSignature { pubkey, request, signature } = signed;
                let key = sqlx::query("SELECT standing FROM tee_attestations WHERE pubkey = $1")
                    .bind(pubkey.to_bytes().as_slice())
                    .fetch_optional(&mut *connection)
                    .await?;
                match key.map(|row| columns::standing(&row, "standing")).transpose()? {
                    Some(KeyStanding::Accepted | KeyStanding::Unjudged) => {}
                    Some(KeyStanding::Suspended | KeyStanding::Refused | KeyStanding::Revoked) | None => {
                        return Ok(RecordedSignature::NotStanding);
                    }
                }
                let stored = sqlx::query(
                    "INSERT INTO registration_signatures
                         (settlement_chain_id, proof_verifier, pubkey, key_registry, block_number, block_hash, signature)
                     SELECT settlement_chain_id, proof_verifier, $6, key_registry, block_number, block_hash, $7
                     FROM signing_requests
                     WHERE settlement_chain_id = $1 AND proof_verifier = $2 AND key_registry = $3 AND block_number = $4
                         AND block_hash = $5
                     ON CONFLICT (settlement_chain_id, proof_verifier, pubkey) DO UPDATE
                     SET key_registry = excluded.key_registry, block_number = excluded.block_number,
                         block_hash = excluded.block_hash, signature = excluded.signature",
                )
                .bind(request.settlement_chain_id.cast_signed())
                .bind(request.proof_verifier.as_bytes())
                .bind(request.key_registry.as_bytes())
                .bind(request.block_number.cast_signed())
                .bind(request.block_hash.as_bytes())
                .bind(pubkey.to_bytes().as_slice())
                .bind(signature.to_bytes())
                .execute(connection)
                .await?;
                Ok(match stored.rows_affected() {
                    0 => RecordedSignature::NotRequested,
                    _ => RecordedSignature::Stored,
                })
            })
        })
        .await
    }

    /// What the keys that may sign have signed to be registered with a contract, by key, beginning after `after`.
    /// Signatures over blocks that the contract no longer accepts are left out: a key ends with its prover, and its
    /// signature would only be read again and again.
    pub(crate) async fn registration_signatures(
        &self,
        contract: &Contract,
        after: Option<&PublicKey>,
        limit: u32,
    ) -> Result<Vec<RegistrationEntry>, sqlx::Error> {
        let query = sqlx::query(
            "SELECT r.*, a.quote FROM registration_signatures r JOIN tee_attestations a ON a.pubkey = r.pubkey
                 JOIN signing_requests s ON s.settlement_chain_id = r.settlement_chain_id
                     AND s.proof_verifier = r.proof_verifier
             WHERE r.settlement_chain_id = $1 AND r.proof_verifier = $2 AND r.pubkey > $3
                 AND a.standing IN ('accepted', 'unjudged') AND r.block_number >= s.block_number - $5
             ORDER BY r.pubkey LIMIT $4",
        )
        .bind(contract.settlement_chain_id.cast_signed())
        .bind(contract.address.as_bytes().to_vec())
        .bind(after.map_or_else(Vec::new, |pubkey| pubkey.to_bytes().to_vec()))
        .bind(i64::from(limit))
        .bind(FRESH_BLOCKS);
        let rows = self.readers.fetch_all(query).await?;
        let read = |row: &AnyRow| {
            let signed = RegistrationSignature {
                pubkey: columns::pubkey(row, "pubkey")?,
                request: read_request(row)?,
                signature: columns::signature(row, "signature")?,
            };
            Ok(RegistrationEntry { signed, attestation: columns::decoded(Quote::new(row.try_get("quote")?))? })
        };
        rows.iter().map(read).collect()
    }
}

fn read_request(row: &AnyRow) -> Result<SigningRequest, sqlx::Error> {
    Ok(SigningRequest {
        settlement_chain_id: row.try_get::<i64, _>("settlement_chain_id")?.cast_unsigned(),
        proof_verifier: columns::address(row, "proof_verifier")?,
        key_registry: columns::address(row, "key_registry")?,
        block_number: row.try_get::<i64, _>("block_number")?.cast_unsigned(),
        block_hash: columns::hash(row, "block_hash")?,
    })
}
