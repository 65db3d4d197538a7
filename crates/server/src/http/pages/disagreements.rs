//! `GET /disagreements`: proofs that contradict what is accepted or known. For operators.

use askama::Template;
use axum::{Extension, extract::State, response::IntoResponse};
use serde::Deserialize;

use super::{
    frame::{Frame, Page},
    overview::{Alarm, alarms_for},
    shown::{self, At, Short},
};
use crate::{
    database::Disagreement,
    http::{
        App, Problem,
        authorize::Asking,
        reads::{ProofKey, parsed},
        request::QueryParameters,
    },
    keys::Trust,
};

/// How many disagreements are on a page.
const DISAGREEMENTS: u32 = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DisagreementsQuery {
    /// The start of this page: the last disagreement of an earlier page, as the API names it.
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "disagreements.html")]
struct DisagreementsPage {
    frame: Frame,
    trust: Trust,
    alarms: Vec<Alarm>,
    disagreements: Vec<Disagreement>,
    next: Option<String>,
}

pub(super) async fn page(
    State(app): State<App>,
    Extension(asking): Extension<Asking>,
    QueryParameters(query): QueryParameters<DisagreementsQuery>,
) -> Result<impl IntoResponse, Problem> {
    let after: Option<ProofKey> = parsed(query.after)?;
    let after = after.map(|ProofKey { job, pubkey }| (job.batch, job.tee_type, pubkey));
    let mut disagreements = app.service.disagreements_after(after, DISAGREEMENTS + 1).await?;
    let goes_on = disagreements.len() > DISAGREEMENTS as usize;
    disagreements.truncate(DISAGREEMENTS as usize);
    let next = disagreements.last().filter(|_| goes_on).map(|last| ProofKey::of(last).to_string());
    let frame = Frame::of(&asking);
    let alarms = alarms_for(frame, &app).await?;
    Ok(Page(DisagreementsPage { frame, trust: app.service.trust(), alarms, disagreements, next }))
}
