//! Keys: which ones may sign. Quotes are judged when keys register, and again while the keys are in use.

mod judge;
mod judgeable;
mod known_builds;
mod on_chain;
mod register;
mod standing;

use tee_api::{
    Contract, PublicKey, Quote, RegisterAttestation, RegistrationEntry, RegistrationSignature, SigningRequest,
    UserAgent,
};
use tee_attestation::{Collateral, Verdict};

pub use self::judge::{AttestationConfig, AttestationSetupError};
pub(crate) use self::{
    judge::{Attestor, NoVerdict, secs},
    known_builds::KnownBuild,
    on_chain::RefusedSignature,
    register::RefusedKey,
    standing::watch,
};
use crate::{
    database::{AttestationEntry, KeyRecord, Requeued},
    service::Service,
};

/// Whose signature makes a quote genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Intel's.
    Intel,
    /// The holder of another root, such as a simulation's: whoever has its key can make any quote.
    AnotherRoot,
    /// Quotes are not judged.
    Nobody,
}

/// Operations on keys.
impl Service {
    /// Registers a key with the quote that names it, and with what its prover says of its program.
    pub(crate) async fn register_key(
        &self,
        request: &RegisterAttestation,
        user_agent: Option<&UserAgent>,
    ) -> Result<(), RefusedKey> {
        register::register(self, request, user_agent).await
    }

    /// Revokes a key permanently. `None` if it is not registered.
    pub async fn revoke_key(
        &self,
        pubkey: &PublicKey,
        reason: &str,
        reprove: bool,
    ) -> Result<Option<Requeued>, sqlx::Error> {
        if self.database.is_revoked(pubkey).await?.is_none() {
            return Ok(None);
        }
        self.database.revoke(pubkey, reason, reprove, self.clock.now_ms()).await.map(Some)
    }

    /// Registered keys, by key, beginning after `after`.
    pub async fn attestations(
        &self,
        after: Option<&PublicKey>,
        limit: u32,
    ) -> Result<Vec<AttestationEntry>, sqlx::Error> {
        self.database.attestations(after, limit).await
    }

    /// Those of the given keys that are registered.
    pub(crate) async fn attestations_of(&self, pubkeys: &[PublicKey]) -> Result<Vec<AttestationEntry>, sqlx::Error> {
        self.database.attestations_of(pubkeys).await
    }

    /// A registered key, with everything that is stored about its judgement.
    pub(crate) async fn key_record(&self, pubkey: &PublicKey) -> Result<Option<KeyRecord>, sqlx::Error> {
        self.database.key_record(pubkey).await
    }

    /// The key whose quote has this SHA-256.
    pub(crate) async fn key_of_quote(&self, sha256: &[u8; 32]) -> Result<Option<PublicKey>, sqlx::Error> {
        self.database.key_of_quote(sha256).await
    }

    /// The keys that registered last, the latest first.
    pub(crate) async fn latest_attestations(&self, limit: u32) -> Result<Vec<AttestationEntry>, sqlx::Error> {
        self.database.latest_attestations(limit).await
    }

    /// The verdict on a key's quote at this moment. It changes nothing.
    pub(crate) async fn verdict_now(&self, record: &KeyRecord) -> Option<Verdict> {
        self.attestor.clone()?.verdict_now(record, secs(self.clock.now_ms())).await
    }

    /// The verdict on a quote that somebody shows, perhaps with the key that it should name and with collateral. It
    /// changes nothing. `None` if quotes are not judged.
    pub(crate) async fn verdict_on(
        &self,
        quote: Quote,
        pubkey: Option<PublicKey>,
        collateral: Option<Collateral>,
    ) -> Result<Option<Verdict>, NoVerdict> {
        let Some(attestor) = self.attestor.clone() else { return Ok(None) };
        attestor.verdict_on(quote, pubkey, collateral, secs(self.clock.now_ms())).await.map(Some)
    }

    /// The name that the list of known builds has for a quote's program, if there is a list and it has one.
    pub(crate) fn known_build(&self, quote: &[u8]) -> Option<KnownBuild> {
        self.attestor.as_ref()?.known_build(quote)
    }

    /// Which quotes are accepted: the policy's YAML, if quotes are judged.
    pub(crate) fn policy(&self) -> Option<Vec<u8>> {
        Some(self.attestor.as_ref()?.policy())
    }

    /// Asks provers to sign for a contract. False if they sign for the most contracts already.
    pub(crate) async fn request_signatures(&self, request: &SigningRequest) -> Result<bool, sqlx::Error> {
        self.database.request_signatures(*request, self.clock.now_ms()).await
    }

    /// What provers are asked to sign.
    pub(crate) async fn signing_requests(&self) -> Result<Vec<SigningRequest>, sqlx::Error> {
        self.database.signing_requests(self.clock.now_ms()).await
    }

    /// Stores what a key signed to be registered with a contract.
    pub(crate) async fn take_registration_signature(
        &self,
        signed: RegistrationSignature,
    ) -> Result<(), RefusedSignature> {
        on_chain::take(self, signed).await
    }

    /// What keys signed to be registered with a contract, by key, beginning after `after`.
    pub(crate) async fn registration_signatures(
        &self,
        contract: &Contract,
        after: Option<&PublicKey>,
        limit: u32,
    ) -> Result<Vec<RegistrationEntry>, sqlx::Error> {
        self.database.registration_signatures(contract, after, limit).await
    }

    /// Whose signature makes a quote genuine.
    pub(crate) fn trust(&self) -> Trust {
        match &self.attestor {
            None => Trust::Nobody,
            Some(attestor) if attestor.trusts_intel() => Trust::Intel,
            Some(_) => Trust::AnotherRoot,
        }
    }
}
