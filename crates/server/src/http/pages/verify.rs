//! `/verify`: a proof or a quote that somebody pastes, judged by this server's own code.

mod pasted;

use askama::Template;
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tee_api::{PublicKey, Quote};
use tee_attestation::{Claim, Verdict, claims_of};
use tee_pages::CheckedProof;

use self::pasted::Pasted;
use super::{
    batch::{check_line, server_url},
    frame::{Frame, Page},
    shown::{self, At, Stated, cut},
};
use crate::{
    database::AttestationEntry,
    http::{App, Problem, authorize::Asking, request::FormBody},
    keys::{KnownBuild, Trust},
    proofs::JudgedProof,
    service::Service,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    text: String,
}

#[derive(Template)]
#[template(path = "verify.html")]
struct VerifyPage {
    frame: Frame,
    trust: Trust,
    /// Why nothing was judged, if something was pasted.
    flaw: Option<String>,
    proofs: Vec<ProofVerdict>,
    quote: Option<QuoteVerdict>,
    /// How to do the same without this server's code.
    check: String,
}

/// A proof, judged.
struct ProofVerdict {
    number: u32,
    checked: CheckedProof,
    stated: Vec<Stated>,
    key: Option<AttestationEntry>,
    rules: Option<Rules>,
}

/// A quote alone, judged.
struct QuoteVerdict {
    sha256: String,
    claims: Vec<Claim>,
    build: Option<KnownBuild>,
    /// The key that registered here with it.
    key: Option<PublicKey>,
    rules: Option<Rules>,
}

/// A verdict on a quote, rule by rule.
struct Rules {
    passed: bool,
    at: At,
    lines: Vec<RuleLine>,
}

struct RuleLine {
    rule: &'static str,
    passed: bool,
    found: String,
    wanted: String,
}

pub(super) async fn form(
    State(app): State<App>,
    Extension(asking): Extension<Asking>,
    headers: HeaderMap,
) -> impl IntoResponse {
    Page(VerifyPage::empty(&app, &asking, &headers))
}

pub(super) async fn judge(
    State(app): State<App>,
    Extension(asking): Extension<Asking>,
    headers: HeaderMap,
    FormBody(Form { text }): FormBody<Form>,
) -> Result<Response, Problem> {
    let mut page = VerifyPage::empty(&app, &asking, &headers);
    match Pasted::read(&text) {
        Ok(Pasted::Quote(quote)) => {
            page.check = quote_line(app.service.trust());
            page.quote = Some(QuoteVerdict::of(&app.service, quote).await?);
        }
        Ok(Pasted::Proofs(proofs)) => {
            for proof in proofs {
                page.proofs.extend(app.service.judge_proof(proof).await?.map(ProofVerdict::of));
            }
            match page.proofs.first() {
                Some(first) => {
                    page.check = check_line(&server_url(&headers, app.speaks_tls), first.number, app.service.trust());
                }
                None => page.flaw = Some("There is no proof in it yet: nobody has signed.".to_owned()),
            }
        }
        Err(flaw) => page.flaw = Some(cut(&flaw.to_string())),
    }
    let status = if page.flaw.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, Page(page)).into_response())
}

impl VerifyPage {
    fn empty(app: &App, asking: &Asking, headers: &HeaderMap) -> Self {
        let trust = app.service.trust();
        let proofs = check_line(&server_url(headers, app.speaks_tls), "BATCH", trust);
        let check = format!("{proofs}\n{}", quote_line(trust));
        Self { frame: Frame::of(asking), trust, flaw: None, proofs: vec![], quote: None, check }
    }
}

impl ProofVerdict {
    fn of(judged: JudgedProof) -> Self {
        let JudgedProof { number, checked, verdict, key } = judged;
        Self {
            number,
            stated: Stated::of(checked.statement.iter().cloned().collect()),
            checked: CheckedProof::of(&checked),
            key,
            rules: verdict.as_ref().map(Rules::of),
        }
    }
}

impl QuoteVerdict {
    async fn of(service: &Service, quote: Quote) -> Result<Self, Problem> {
        let sha256: [u8; 32] = Sha256::digest(quote.as_bytes()).into();
        Ok(Self {
            sha256: hex::encode(sha256),
            claims: claims_of(quote.as_bytes()).unwrap_or_default(),
            build: service.known_build(quote.as_bytes()),
            key: service.key_of_quote(&sha256).await?,
            rules: service.verdict_on(quote, None, None).await?.as_ref().map(Rules::of),
        })
    }
}

impl Rules {
    fn of(verdict: &Verdict) -> Self {
        let line = |check: &tee_attestation::Check| RuleLine {
            rule: check.rule.as_str(),
            passed: check.passed,
            found: cut(&check.found),
            wanted: cut(&check.wanted),
        };
        Self {
            passed: verdict.passed(),
            at: At::from_secs(verdict.judged_at_secs()),
            lines: verdict.checks().iter().map(line).collect(),
        }
    }
}

/// The command that an outsider runs.
fn quote_line(trust: Trust) -> String {
    let option = shown::root_option(trust);
    format!(
        "teectl quote verify quote.bin --policy policy.yaml --collateral https://api.trustedservices.intel.com{option}"
    )
}
