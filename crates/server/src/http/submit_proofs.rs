//! `POST /tee/submit_proofs/{batch}`: takes a proof.

use axum::{Json, extract::State, http::HeaderMap};
use tee_api::SubmitProof;

use super::{
    request::{JsonBody, PathParameter, lease},
    success,
};
use crate::{Store, intake::RefusedProof, problem::Problem};

pub(super) async fn handle(
    State(store): State<Store>,
    PathParameter(batch): PathParameter<u32>,
    headers: HeaderMap,
    JsonBody(submission): JsonBody<SubmitProof>,
) -> Result<Json<&'static str>, Problem> {
    let lease = lease(&headers)?;
    let SubmitProof { pubkey, proof: root, tee_type, .. } = &submission;
    match store.take_proof(batch, &submission, lease.as_ref()).await {
        Ok(()) => tracing::info!(batch, %tee_type, %pubkey, ?root, "proof accepted"),
        Err(refused) => {
            match &refused {
                RefusedProof::Database(_) => {}
                RefusedProof::DisagreeingRoot { accepted } => {
                    tracing::error!(batch, %tee_type, %pubkey, ?root, ?accepted, "ALARM: two proofs disagree on the root");
                }
                refused => tracing::warn!(batch, %tee_type, %pubkey, ?root, %refused, "proof refused"),
            }
            return Err(refused.into());
        }
    }
    Ok(success())
}
