//! `POST /admin/attestations/{pubkey}/revoke`.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use tee_api::{KeyRevoked, PublicKey, RevokeKey};

use crate::{
    database::Requeued,
    http::{
        Problem,
        request::{JsonBody, malformed_path},
    },
    service::Service,
};

/// Revokes a key permanently: its proofs are refused from now on. The batches that it touched and that lack proofs are
/// proven again, the highest first, unless they are to be kept.
#[utoipa::path(
    post, path = "/admin/attestations/{pubkey}/revoke", operation_id = "revoke_key", tag = "admin", security(("admin" = [])),
    params(("pubkey" = String, Path)), request_body = RevokeKey,
    responses(
        (status = 200, body = KeyRevoked),
        (status = 404, description = "the key is not registered", body = crate::http::problem::ProblemBody),
        (status = "4XX", body = crate::http::problem::ProblemBody)
    )
)]
pub(crate) async fn revoke(
    State(service): State<Service>,
    path: Result<Path<String>, PathRejection>,
    JsonBody(request): JsonBody<RevokeKey>,
) -> Result<Json<KeyRevoked>, Problem> {
    let Path(pubkey) = path.map_err(malformed_path)?;
    let pubkey: PublicKey = pubkey.parse().map_err(malformed_path)?;
    let reason: String = request.reason.chars().filter(|letter| !letter.is_control()).take(200).collect();
    match service.revoke_key(&pubkey, &reason, !request.keep_batches).await? {
        Some(Requeued { batches: requeued, goes_on }) => {
            tracing::warn!(%pubkey, reason, requeued, goes_on, "an operator revoked a key");
            Ok(Json(KeyRevoked { requeued, goes_on }))
        }
        None => Err(Problem::unknown_key()),
    }
}
