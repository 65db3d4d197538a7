//! Registration on an EVM: what keys sign to be registered with a contract.

use tee_api::{RegistrationSignature, SignatureError};
use thiserror::Error;

use crate::{database::RecordedSignature, service::Service};

/// Why a signature for a registration was refused.
#[derive(Debug, Error)]
pub(crate) enum RefusedSignature {
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error("nobody requests this signature (any more)")]
    NotRequested,
    #[error("the key is not registered, or may not sign")]
    NotStanding,
    #[error("database")]
    Database(#[from] sqlx::Error),
}

/// Stores what a key signed to be registered with a contract, if:
///
/// 1. the key signed it;
/// 2. a relayer asks for it at present;
/// 3. the key may sign.
pub(super) async fn take(service: &Service, signed: RegistrationSignature) -> Result<(), RefusedSignature> {
    signed.verify()?;
    match service.database.record_registration_signature(signed).await? {
        RecordedSignature::Stored => Ok(()),
        RecordedSignature::NotRequested => Err(RefusedSignature::NotRequested),
        RecordedSignature::NotStanding => Err(RefusedSignature::NotStanding),
    }
}
