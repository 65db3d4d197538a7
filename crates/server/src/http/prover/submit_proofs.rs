//! `POST /tee/submit_proofs/{batch}`: takes a proof.

use axum::{Extension, Json, extract::State, http::HeaderMap};
use tee_api::SubmitProof;

use crate::{
    edge::ProverName,
    http::{
        App, Problem,
        request::{JsonBody, PathParameter, lease},
        success,
    },
    proofs::{AcceptedProof, RefusedProof},
};

/// Takes a proof. The same again is a success. Under a lease, Tee-Lease-Id names it.
#[utoipa::path(
    post, path = "/tee/submit_proofs/{batch}", operation_id = "submit_proofs", tag = "prover", security(("prover" = [])),
    params(("batch" = u32, Path), ("tee-lease-id" = Option<String>, Header)), request_body = SubmitProof,
    responses((status = 200, body = String, example = "Success"), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn handle(
    State(app): State<App>,
    Extension(prover): Extension<ProverName>,
    PathParameter(batch): PathParameter<u32>,
    headers: HeaderMap,
    JsonBody(submission): JsonBody<SubmitProof>,
) -> Result<Json<&'static str>, Problem> {
    let lease = lease(&headers)?;
    let SubmitProof { pubkey, proof: root, tee_type, .. } = &submission;
    match app.service.take_proof(batch, &submission, lease.as_ref(), &prover).await {
        Ok(accepted) => {
            app.metrics.proofs_accepted[&(*tee_type).into()].inc();
            tracing::info!(batch, %tee_type, %pubkey, ?root, "proof accepted");
            if let AcceptedProof::Disputed { next_starts_from } = accepted {
                app.metrics.disagreements_seen.inc();
                tracing::error!(
                    batch, %tee_type, %pubkey, ?root, ?next_starts_from,
                    "ALARM: the proof was accepted, and the next batch starts from another root"
                );
            }
        }
        Err(refused) => {
            match &refused {
                RefusedProof::Database(_) => {}
                RefusedProof::DisagreeingRoot { accepted } => {
                    app.metrics.disagreements_seen.inc();
                    tracing::error!(batch, %tee_type, %pubkey, ?root, ?accepted, "ALARM: two proofs disagree on the root");
                }
                refused => tracing::warn!(batch, %tee_type, %pubkey, ?root, %refused, "proof refused"),
            }
            let speaks_of_prover = !matches!(refused, RefusedProof::Database(_) | RefusedProof::SuspendedKey);
            let problem = Problem::from(refused);
            app.metrics.refused(problem.code());
            if speaks_of_prover && lease.is_none() {
                let (code, now_ms) = (problem.code(), app.service.clock.now_ms());
                app.service.database.note_refused_proof(&prover, *tee_type, code, now_ms).await?;
            }
            return Err(problem);
        }
    }
    Ok(success())
}
