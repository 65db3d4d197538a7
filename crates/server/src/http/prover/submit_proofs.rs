//! `POST /tee/submit_proofs/{batch}`: takes a proof.

use axum::{Extension, Json, extract::State, http::HeaderMap};
use tee_api::SubmitProof;

use crate::{
    database::ProverName,
    http::{
        Problem,
        request::{JsonBody, PathParameter, lease},
        success,
    },
    service::Service,
};

/// Takes a proof. The same again is a success. Under a lease, Tee-Lease-Id names it.
#[utoipa::path(
    post, path = "/tee/submit_proofs/{batch}", operation_id = "submit_proofs", tag = "prover", security(("prover" = [])),
    params(("batch" = u32, Path), ("tee-lease-id" = Option<String>, Header)), request_body = SubmitProof,
    responses((status = 200, body = String, example = "Success"), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn handle(
    State(service): State<Service>,
    Extension(prover): Extension<ProverName>,
    PathParameter(batch): PathParameter<u32>,
    headers: HeaderMap,
    JsonBody(submission): JsonBody<SubmitProof>,
) -> Result<Json<&'static str>, Problem> {
    service.take_proof(batch, &submission, lease(&headers)?.as_ref(), &prover).await?;
    Ok(success())
}
