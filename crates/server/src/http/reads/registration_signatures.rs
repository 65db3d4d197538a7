//! `GET /api/registration_signatures`.

use axum::{Json, extract::State};
use serde::Deserialize;
use tee_api::{Contract, Page, PublicKey, RegistrationEntry};
use utoipa::IntoParams;

use super::{Limit, parsed};
use crate::{
    http::{
        Problem,
        request::{QueryParameters, malformed_query},
    },
    service::Service,
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RegistrationSignaturesQuery {
    /// The `ProofVerifier` that the signatures were asked for with, as in 1:0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0.
    contract: String,
    /// The page after this one: `next` of an earlier page.
    after: Option<String>,
    /// Items on a page, 1 to 1,000; 100 if not given.
    limit: Option<u32>,
}

/// What the keys that may sign signed to be registered with a contract, by key, with their quotes.
#[utoipa::path(
    get, path = "/api/registration_signatures", operation_id = "list_registration_signatures", tag = "reads",
    params(RegistrationSignaturesQuery), security(("reader" = [])),
    responses((status = 200, body = Page<RegistrationEntry>), (status = "4XX", body = crate::http::problem::ProblemBody))
)]
pub(crate) async fn list(
    State(service): State<Service>,
    QueryParameters(query): QueryParameters<RegistrationSignaturesQuery>,
) -> Result<Json<Page<RegistrationEntry>>, Problem> {
    let limit = Limit::of(query.limit)?;
    let contract: Contract = query.contract.parse().map_err(malformed_query)?;
    let after: Option<PublicKey> = parsed(query.after)?;
    let rows = service.registration_signatures(&contract, after.as_ref(), limit.rows()).await?;
    Ok(limit.page(rows, |row| row.signed.pubkey.to_string(), |row| row))
}
