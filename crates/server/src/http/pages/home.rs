//! `GET /`: the latest batches, and a way to find others.

use std::collections::HashSet;

use askama::Template;
use axum::{Extension, extract::State, response::IntoResponse};
use serde::Deserialize;
use tee_api::{KeyStanding, TeeType};

use super::{
    badge::{Badge, Facts, Signer},
    frame::{Frame, Page},
    shown::{At, Short},
};
use crate::{
    database::OverviewRow,
    http::{Problem, authorize::Asking, request::QueryParameters},
    keys::Trust,
    service::Service,
};

/// How many batches are on a page.
const BATCHES: u32 = 25;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HomeQuery {
    /// The highest batch on the page; by default the latest.
    from: Option<u32>,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    trust: Trust,
    batches: Vec<Line>,
    /// The highest batches of the next page, with lower ones, and of the previous page, with higher ones.
    older: Option<u32>,
    newer: Option<u32>,
}

/// A batch in the list.
struct Line {
    number: u32,
    badge: Badge,
    root: Option<String>,
    proven_at: Option<At>,
}

pub(super) async fn page(
    State(service): State<Service>,
    Extension(asking): Extension<Asking>,
    QueryParameters(query): QueryParameters<HomeQuery>,
) -> Result<impl IntoResponse, Problem> {
    let (oldest, latest) = service.present_batches().await?;
    let (oldest, latest) = (oldest.unwrap_or(0), latest.unwrap_or(0));
    let highest = query.from.unwrap_or(latest).min(latest);
    let lowest = highest.saturating_sub(BATCHES - 1);
    let rows = service.overview(lowest, BATCHES).await?;
    let disputed = service.disputed_batches(lowest, highest).await?;
    let trust = service.trust();
    let mut batches: Vec<_> = rows
        .chunk_by(|one, other| one.number == other.number)
        .filter(|rows| rows.iter().all(|row| row.number <= highest))
        .map(|rows| Line::of(rows, &disputed, trust))
        .collect();
    batches.reverse();
    Ok(Page(HomePage {
        frame: Frame::of(&asking),
        trust,
        batches,
        older: (lowest > oldest).then(|| lowest.saturating_sub(1)),
        newer: (highest < latest).then(|| highest.saturating_add(BATCHES).min(latest)),
    }))
}

impl Line {
    /// `rows` belong to one batch, and there is at least one.
    fn of(rows: &[OverviewRow], disputed: &HashSet<u32>, trust: Trust) -> Self {
        let (number, root_is_known) = rows.first().map_or((0, false), |row| (row.number, row.root_is_known));
        let proofs = || rows.iter().filter_map(|row| row.proof.as_ref().zip(row.tee_type));
        let mut jobs: Vec<_> = rows
            .iter()
            .filter_map(|row| Some((row.tee_type.filter(|tee_type| *tee_type != TeeType::None)?, row.status)))
            .collect();
        // A job has a row for each of its proofs.
        jobs.dedup();
        let badge = Badge::of(&Facts {
            jobs: jobs.into_iter().map(|(_, status)| status).collect(),
            signers: proofs()
                .map(|(proof, tee_type)| Signer {
                    tee_type,
                    standing: proof.key_standing,
                    has_statement: proof.statement.is_some(),
                    is_vouched_for: trust == Trust::Nobody || proof.key_has_passed,
                })
                .collect(),
            is_disputed: disputed.contains(&number),
            root_is_known,
        });
        let first = proofs()
            .map(|(proof, _)| proof)
            .filter(|proof| proof.key_standing != KeyStanding::Revoked)
            .min_by_key(|proof| proof.received_at_ms);
        Self {
            number,
            badge,
            root: first.map(|proof| hex::encode(proof.root)),
            proven_at: first.map(|proof| At(proof.received_at_ms)),
        }
    }
}
