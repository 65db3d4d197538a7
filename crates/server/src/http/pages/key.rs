//! `GET /keys/{key}`: a key, the quote that vouches for it, and what it proved.

use askama::Template;
use axum::{
    Extension,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tee_api::{KeyStanding, PublicKey};
use tee_attestation::{Claim, Verdict, claims_of};

use super::{
    frame::{Frame, Page, file},
    shown::{self, At, Short, Tone, key_tone},
};
use crate::{
    database::{KeyRecord, ProofOfKey},
    http::{
        Problem,
        authorize::Asking,
        request::{PathParameter, QueryParameters, malformed_path},
    },
    keys::{KnownBuild, Trust},
    service::Service,
};

/// How many proofs are on a page.
const PROOFS: u32 = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyQuery {
    /// Shows proofs of batches below this one.
    before: Option<u32>,
}

#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage {
    frame: Frame,
    trust: Trust,
    record: KeyRecord,
    key: String,
    address: String,
    quote_hash: String,
    tone: Tone,
    meaning: &'static str,
    claims: Vec<Claim>,
    build: Option<KnownBuild>,
    rules: Vec<RuleLine>,
    now: Option<Now>,
    proofs: Vec<ProofOfKey>,
    /// The cursor of the page with the proofs of lower batches.
    older: Option<u32>,
    check: String,
}

/// How the quote is judged at this moment.
struct Now {
    passed: bool,
    at: At,
}

/// A rule of the judgement, with its result when the key registered and its result now.
struct RuleLine {
    rule: String,
    /// At registration, and now.
    findings: [Option<Finding>; 2],
    wanted: String,
}

struct Finding {
    passed: bool,
    found: String,
}

/// A verdict in its archived form.
#[derive(Deserialize)]
struct Archived {
    #[serde(default)]
    checks: Vec<ArchivedCheck>,
}

#[derive(Deserialize)]
struct ArchivedCheck {
    rule: String,
    passed: bool,
    found: String,
    wanted: String,
}

pub(super) async fn page(
    State(service): State<Service>,
    Extension(asking): Extension<Asking>,
    PathParameter(pubkey): PathParameter<PublicKey>,
    QueryParameters(query): QueryParameters<KeyQuery>,
) -> Result<impl IntoResponse, Problem> {
    let record = find(&service, &pubkey).await?;
    let mut proofs = service.proofs_of_key(&pubkey, query.before, PROOFS + 1).await?;
    let goes_on = proofs.len() > PROOFS as usize;
    proofs.truncate(PROOFS as usize);
    let now = service.verdict_now(&record).await;
    let trust = service.trust();
    let option = shown::root_option(trust);
    Ok(Page(KeyPage {
        frame: Frame::of(&asking),
        trust,
        key: pubkey.to_string(),
        address: format!("{:?}", pubkey.address()),
        quote_hash: hex::encode(Sha256::digest(&record.entry.quote)),
        tone: key_tone(record.entry.standing),
        meaning: meaning(record.entry.standing),
        claims: claims_of(&record.entry.quote).unwrap_or_default(),
        build: service.known_build(&record.entry.quote),
        rules: RuleLine::of(record.verdict.as_deref(), now.as_ref()),
        now: now.map(|verdict| Now { passed: verdict.passed(), at: At::from_secs(verdict.judged_at_secs()) }),
        older: proofs.last().filter(|_| goes_on).map(|proof| proof.number),
        proofs,
        check: format!(
            "teectl quote verify quote.bin --collateral collateral.json --policy policy.yaml --key {pubkey}{option}"
        ),
        record,
    }))
}

/// Redirects from a quote's SHA-256 to the page of its key.
pub(super) async fn of_quote(
    State(service): State<Service>,
    PathParameter(text): PathParameter<String>,
) -> Result<Redirect, Problem> {
    let mut sha256 = [0; 32];
    hex::decode_to_slice(&text, &mut sha256).map_err(malformed_path)?;
    let key = service.key_of_quote(&sha256).await?.ok_or_else(Problem::unknown_key)?;
    Ok(Redirect::to(&format!("/keys/{key}")))
}

/// The quote as it was sent.
pub(super) async fn quote(
    State(service): State<Service>,
    PathParameter(pubkey): PathParameter<PublicKey>,
) -> Result<impl IntoResponse, Problem> {
    let record = find(&service, &pubkey).await?;
    Ok((file("application/octet-stream", "quote.bin"), record.entry.quote))
}

/// The collateral that the quote was judged with.
pub(super) async fn collateral(
    State(service): State<Service>,
    PathParameter(pubkey): PathParameter<PublicKey>,
) -> Result<impl IntoResponse, Problem> {
    let collateral = find(&service, &pubkey).await?.collateral;
    let missing =
        || Problem::new(StatusCode::NOT_FOUND, "no_collateral", "no collateral was archived with the key's quote");
    Ok((file("application/json", "collateral.json"), collateral.ok_or_else(missing)?))
}

async fn find(service: &Service, pubkey: &PublicKey) -> Result<KeyRecord, Problem> {
    service.key_record(pubkey).await?.ok_or_else(Problem::unknown_key)
}

fn meaning(standing: KeyStanding) -> &'static str {
    match standing {
        KeyStanding::Accepted => "This server's policy accepts its quote. It may sign, and its proofs count.",
        KeyStanding::Unjudged => {
            "Its quote was not judged when it registered. It may sign, but nothing shows that its quote is genuine."
        }
        KeyStanding::Suspended => {
            "Its quote was accepted, but could not be judged again because collateral is missing. It may make no new \
             proofs until it is judged again; its earlier proofs count."
        }
        KeyStanding::Refused => {
            "This server's policy refuses its quote now. It may make no new proofs; its earlier proofs count."
        }
        KeyStanding::Revoked => {
            "An operator revoked it for good. It may make no new proofs, and none of its proofs count."
        }
    }
}

impl RuleLine {
    /// The rules of the current verdict, then those that only the archived one has.
    fn of(archived: Option<&str>, now: Option<&Verdict>) -> Vec<Self> {
        let archived: Option<Archived> = archived.and_then(|json| serde_json::from_str(json).ok());
        let mut then = archived.map_or_else(Vec::new, |archived| archived.checks);
        let checks = now.map_or(&[][..], Verdict::checks);
        let mut lines: Vec<_> = checks
            .iter()
            .map(|check| {
                let name = check.rule.as_str();
                let before = then.iter().position(|before| before.rule == name).map(|at| then.remove(at));
                Self {
                    rule: name.to_owned(),
                    findings: [
                        before.map(|before| Finding { passed: before.passed, found: before.found }),
                        Some(Finding { passed: check.passed, found: check.found.clone() }),
                    ],
                    wanted: check.wanted.clone(),
                }
            })
            .collect();
        lines.extend(then.into_iter().map(|before| Self {
            rule: before.rule,
            findings: [Some(Finding { passed: before.passed, found: before.found }), None],
            wanted: before.wanted,
        }));
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_archived_verdict_that_cannot_be_read_shows_nothing() {
        for archived in [None, Some(""), Some("{"), Some("[]"), Some(r#"{"checks": [{"rule": 1}]}"#)] {
            assert!(RuleLine::of(archived, None).is_empty(), "{archived:?}");
        }
        let check = json!({ "rule": "mrenclave", "passed": false, "found": "07", "wanted": "08" });
        let archived: Value = json!({ "passed": false, "claims": {}, "checks": [check] });
        let lines = RuleLine::of(Some(&archived.to_string()), None);
        let [then, now] = &lines[0].findings;
        let then = then.as_ref().unwrap();
        assert_eq!((lines[0].rule.as_str(), then.passed, then.found.as_str()), ("mrenclave", false, "07"));
        assert!(now.is_none());
    }
}
