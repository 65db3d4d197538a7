//! Judges a quote. Anyone can repeat the verdict.

mod flaw;
mod measurements;
mod reason;
mod verdict;

use base64::{Engine, prelude::BASE64_STANDARD as STANDARD};
use dcap_qvl::{QuoteClaims, QuoteCollateralV3, QuotePolicy, configs::RingConfig, verify::QuoteVerifier};
use sha2::{Digest, Sha256};

pub use self::{
    flaw::Flaw,
    verdict::{AttestedKey, Check, Claim, Rule, Verdict},
};
use self::{measurements::read_alike, verdict::Findings};
use crate::{
    collateral::Collateral,
    policy::{Advisories, Policy, TcbStatus},
    quote::{Quote, QuoteError, Report, Tee},
};

/// The largest quote that is judged, in bytes. Real ones have 5 to 8 KB.
pub const MAX_QUOTE_BYTES: usize = 64 * 1024;

/// Everything that a verdict depends on.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The quote's bytes, as the prover sent them.
    pub quote: &'a [u8],
    /// What Intel published about the platform.
    pub collateral: &'a Collateral,
    /// The root to trust.
    pub root: &'a TrustedRoot,
    /// Which quotes are accepted.
    pub policy: &'a Policy,
    /// The key that the quote should name, if it is known.
    pub key: Option<Key>,
    /// The time to judge at, in Unix seconds.
    pub at_secs: u64,
}

/// A secp256k1 key in the two forms that report data can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// SEC1 compressed public key.
    pub public_key: [u8; 33],
    /// Its Ethereum address.
    pub address: [u8; 20],
}

/// The certificate at the end of every chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedRoot(Root);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Root {
    Intel,
    Other { certificate_der: Vec<u8> },
}

impl TrustedRoot {
    /// Intel's SGX Root CA, for production.
    pub fn intel() -> Self {
        Self(Root::Intel)
    }

    /// Another root instead of Intel's, such as a simulation's. Whoever has its key can make any quote.
    pub fn danger_other(certificate_der: Vec<u8>) -> Self {
        Self(Root::Other { certificate_der })
    }

    /// The same from a file's bytes: DER, or the first certificate in PEM.
    pub fn danger_from_bytes(bytes: &[u8]) -> Option<Self> {
        const SEQUENCE: u8 = 0x30;
        if bytes.first() == Some(&SEQUENCE) {
            return Some(Self::danger_other(bytes.to_vec()));
        }
        let (_, rest) = std::str::from_utf8(bytes).ok()?.split_once("-----BEGIN CERTIFICATE-----")?;
        let (base64, _) = rest.split_once("-----END CERTIFICATE-----")?;
        let base64: String = base64.split_ascii_whitespace().collect();
        Some(Self::danger_other(STANDARD.decode(base64).ok()?))
    }

    /// Whether it is Intel's.
    pub fn is_intel(&self) -> bool {
        self.0 == Root::Intel
    }

    fn name(&self) -> String {
        match &self.0 {
            Root::Intel => "Intel SGX Root CA".to_owned(),
            Root::Other { certificate_der } => {
                format!("NOT INTEL'S: certificate with SHA-256 {}", hex::encode(Sha256::digest(certificate_der)))
            }
        }
    }

    fn verify(&self, quote: &[u8], collateral: &Collateral, at_secs: u64) -> Result<QuoteClaims, String> {
        let verifier = match &self.0 {
            Root::Intel => QuoteVerifier::new_prod(),
            Root::Other { certificate_der } => QuoteVerifier::new(certificate_der.clone()),
        };
        // Debugging and service domains are allowed here, because our own rules refuse them: this way the verdict also
        // has the results of the other rules.
        let verifier = verifier.with_config::<RingConfig>().allow_debug(true).allow_service_td(true);
        // Our own policy decides whether the platform's status is good enough.
        let no_policy = QuotePolicy::claims_only(at_secs);
        verifier
            .verify_with_policy(quote, for_qvl(collateral, quote), at_secs, &no_policy)
            .map_err(|error| format!("{error:#}"))
    }
}

/// Judges a quote. Every rule is applied, whatever the results of the others:
///
/// 1. the bytes are a quote;
/// 2. it is genuine: the processor's signature is valid, its certificates lead to the trusted root, nothing is revoked,
///    and everything is valid at the given time (`dcap-qvl`). If the quote has its own certificates, those are used;
/// 3. the library and our own parser read the same from it;
/// 4. its report data names a key; if a key is expected, that key;
/// 5. nobody can look into the environment or steer it: no debugging, no provisioning or launch key, no migration, no service domain,
///    no steering by exceptions, no unknown attributes; no policy can allow these;
/// 6. the policy has a section for its kind of environment, and pins what runs there: MRENCLAVE, or MRTD with RTMR0 to 3;
/// 7. what else the policy requires: MRSIGNER, ISVPRODID, ISVSVN, MRSEAM, TD attributes, XFAM, MRCONFIGID, MROWNER,
///    MROWNERCONFIG;
/// 8. the platform's TCB status and each of its advisories are allowed;
/// 9. the collateral is not older than the policy allows.
///
/// A rule whose result is unknown, because the quote is not genuine or not even a quote, counts as failed.
pub fn judge(case: &Case<'_>) -> Verdict {
    let mut findings = Findings::default();
    findings.claim("judged at", time(case.at_secs));
    findings.claim("root", case.root.name());
    let quote = match Quote::parse(case.quote) {
        Ok(_) if case.quote.len() > MAX_QUOTE_BYTES => Err(format!("{} bytes", case.quote.len())),
        parsed => parsed.map_err(|error| error.to_string()),
    };
    let quote = match quote {
        Ok(quote) => quote,
        Err(error) => {
            findings.fail(Rule::Readable, error, "a quote of version 3, 4 or 5");
            return findings.unreadable(case);
        }
    };
    findings.pass(Rule::Readable, format!("{} of version {}", quote.tee(), quote.version()), "a quote");
    measurements::claim(&quote, &mut findings);
    let genuine = genuine(case, &quote, &mut findings);
    names_a_key(case, &quote, &mut findings);
    keeps_secrets(&quote, &mut findings);
    measurements::check(case.policy, &quote, &mut findings);
    platform(case.policy, quote.tee(), &genuine, &mut findings);
    collateral_age(case, !matches!(genuine, Genuine::No), &mut findings);
    let claims = match &genuine {
        Genuine::Yes(claims) => Some(&**claims),
        Genuine::ButItsPlatform { .. } | Genuine::No => None,
    };
    findings.verdict(case, &quote, claims)
}

/// The library's finding about a quote.
enum Genuine {
    /// The quote is genuine, and the library reads the same as we do.
    Yes(Box<QuoteClaims>),
    /// All signatures are valid, but the platform that they describe has no status.
    ButItsPlatform { flaw: Flaw, reason: String },
    /// The quote is not genuine.
    No,
}

/// The facts in a quote, for people. Nothing is verified.
pub fn claims_of(quote: &[u8]) -> Result<Vec<Claim>, QuoteError> {
    let mut findings = Findings::default();
    let quote = Quote::parse(quote)?;
    measurements::claim(&quote, &mut findings);
    let named = quote.report_data().map_or_else(|error| format!("none: {error}"), |named| named.to_string());
    findings.claim("key named", named);
    findings.claim("debug", if quote.is_debug() { "YES: its host can read its secrets" } else { "no" });
    Ok(findings.into_claims())
}

fn genuine(case: &Case<'_>, quote: &Quote, findings: &mut Findings) -> Genuine {
    const WANTED: &str = "signed by the processor, certified by the root, not revoked, valid at this time";
    match case.root.verify(case.quote, case.collateral, case.at_secs) {
        // If two parsers disagree, a quote of one thing could pass for a quote of another.
        Ok(claims) if !read_alike(quote, &claims.report) => {
            findings.flaw(Rule::Genuine, Flaw::ReadDifferently, "two parsers read its fields differently", WANTED);
            Genuine::No
        }
        Ok(claims) => {
            findings.pass(Rule::Genuine, "signed, certified, not revoked, valid", WANTED);
            findings.claim("FMSPC", hex::encode_upper(claims.platform.pck.fmspc));
            findings.claim("TCB status", claims.tcb.status.to_string());
            findings.claim("TCB date", claims.platform.tcb_level.tcb_date.clone());
            findings.claim("advisories", list(&claims.tcb.advisory_ids));
            findings.claim("TCB evaluation number", claims.tcb.eval_data_number.to_string());
            findings.claim("collateral valid until", time(claims.earliest_expiration_date));
            Genuine::Yes(Box::new(claims))
        }
        Err(error) => {
            let flaw = Flaw::of(&error);
            let reason = reason::of(flaw, case, &error);
            // The library checks the platform and the attributes only after all signatures were found valid.
            match flaw.is_of_the_platform() || flaw.is_of_attributes() {
                true => {
                    findings.pass(Rule::Genuine, "all signatures are valid", WANTED);
                    Genuine::ButItsPlatform { flaw, reason }
                }
                false => {
                    findings.flaw(Rule::Genuine, flaw, reason, WANTED);
                    Genuine::No
                }
            }
        }
    }
}

fn names_a_key(case: &Case<'_>, quote: &Quote, findings: &mut Findings) {
    const WANTED: &str = "a public key (version 0) or an Ethereum address (version 1), padded with zeros";
    match quote.report_data() {
        Ok(named) => {
            findings.claim("key named", named.to_string());
            findings.pass(Rule::ReportData, named.to_string(), WANTED);
            if let Some(key) = case.key {
                let wanted = format!("{} or 0x{}", hex::encode(key.public_key), hex::encode(key.address));
                findings.check(Rule::Key, named.names(&key.public_key, &key.address), named.to_string(), wanted);
            }
        }
        Err(error) => {
            findings.fail(Rule::ReportData, error, WANTED);
            if case.key.is_some() {
                findings.fail(Rule::Key, "none", "the expected key");
            }
        }
    }
}

/// Checks what could reveal a signing key. In 2026 a rollup lost money to a leaked key, because its verifier allowed debug
/// enclaves.
fn keeps_secrets(quote: &Quote, findings: &mut Findings) {
    let mut must_not = |rule, is: bool| {
        findings.check(rule, !is, if is { "set" } else { "not set" }, "not set");
    };
    must_not(Rule::NotDebug, quote.is_debug());
    match quote.report() {
        Report::Sgx(report) => {
            must_not(Rule::NoProvisionKey, report.has_provision_key());
            must_not(Rule::NoEinittokenKey, report.has_einittoken_key());
        }
        Report::Tdx(report) => {
            must_not(Rule::NotMigratable, report.is_migratable());
            must_not(Rule::NotSteerable, report.is_steerable());
            must_not(Rule::NoReservedAttributes, report.has_reserved_attributes());
            let bound = report.mr_service_td.filter(|mr| *mr != [0; 48]);
            let found = match (report.has_service_td(), bound) {
                (false, _) => "none".to_owned(),
                (true, Some(mr_service_td)) => format!("MRSERVICETD is {}", hex::encode(mr_service_td)),
                (true, None) => "SERVTD_EXT is set in the TD attributes".to_owned(),
            };
            findings.check(
                Rule::NoServiceTd,
                !report.has_service_td(),
                found,
                "no service domain (no policy can allow one)",
            );
        }
    }
}

fn platform(policy: &Policy, tee: Tee, genuine: &Genuine, findings: &mut Findings) {
    let nothing = (Vec::new(), Advisories::default(), Vec::new());
    let (levels, allowed, refused) = match tee {
        Tee::Sgx => policy.sgx.as_ref().map(|sgx| {
            (sgx.allowed_tcb_levels.clone(), sgx.allowed_advisory_ids.clone(), sgx.refused_advisory_ids.clone())
        }),
        Tee::Tdx => policy.tdx.as_ref().map(|tdx| {
            (tdx.allowed_tcb_levels.clone(), tdx.allowed_advisory_ids.clone(), tdx.refused_advisory_ids.clone())
        }),
    }
    .unwrap_or(nothing);
    let wanted_levels = list(&levels);
    let wanted_advisories = match &allowed {
        Advisories::Any if refused.is_empty() => "any".to_owned(),
        Advisories::Any => format!("any except {}", list(&refused)),
        Advisories::Only(ids) => format!("only {}", list(ids)),
    };
    let claims = match genuine {
        Genuine::Yes(claims) => claims,
        Genuine::ButItsPlatform { flaw, reason } => {
            let found = if flaw.is_of_attributes() { format!("unknown: {reason}") } else { reason.clone() };
            findings.flaw(Rule::TcbStatus, *flaw, found, wanted_levels);
            findings.fail(Rule::Advisories, "unknown: no TCB status", wanted_advisories);
            return;
        }
        Genuine::No => {
            findings.fail(Rule::TcbStatus, "unknown: not genuine", wanted_levels);
            findings.fail(Rule::Advisories, "unknown: not genuine", wanted_advisories);
            return;
        }
    };
    let status = claims.tcb.status.to_string();
    let allowed_status = TcbStatus::from_intel(&status).is_some_and(|status| levels.contains(&status));
    findings.check(Rule::TcbStatus, allowed_status, status, wanted_levels);
    // The status of a relaunched domain depends on two TCBs, so the advisories of both count.
    let current = claims.platform.current_tcb_level.iter().flat_map(|level| &level.advisory_ids);
    let unwanted: Vec<_> = (claims.tcb.advisory_ids.iter().chain(current))
        .filter(|id| !allowed.allow(id) || refused.iter().any(|refused| refused.eq_ignore_ascii_case(id)))
        .collect();
    let found = if unwanted.is_empty() { list(&claims.tcb.advisory_ids) } else { list(&unwanted) };
    findings.check(Rule::Advisories, unwanted.is_empty(), found, wanted_advisories);
}

fn collateral_age(case: &Case<'_>, genuine: bool, findings: &mut Findings) {
    let issued = case.collateral.issued_at_secs();
    if let Ok(issued) = &issued {
        findings.claim("collateral issued", time(*issued));
    }
    let Some(limit) = case.policy.max_collateral_age_secs else { return };
    let wanted = format!("at most {limit} s");
    match issued {
        Ok(issued) if genuine => {
            let age = case.at_secs.saturating_sub(issued);
            findings.check(Rule::CollateralAge, age <= limit, format!("{age} s"), wanted);
        }
        Ok(_) => findings.fail(Rule::CollateralAge, "unknown: not genuine", wanted),
        Err(error) => findings.fail(Rule::CollateralAge, error, wanted),
    }
}

/// Converts the collateral. The library prefers the platform certificates in the collateral to those in the quote. Collateral is shared
/// by all platforms of a kind, so they may belong to another machine: they are passed on only for a quote that has none.
fn for_qvl(ours: &Collateral, quote: &[u8]) -> QuoteCollateralV3 {
    let has_chain = dcap_qvl::quote::Quote::parse(quote).is_ok_and(|quote| quote.raw_cert_chain().is_ok());
    QuoteCollateralV3 {
        pck_crl_issuer_chain: ours.pck_crl_issuer_chain.clone(),
        root_ca_crl: ours.root_ca_crl.clone(),
        pck_crl: ours.pck_crl.clone(),
        tcb_info_issuer_chain: ours.tcb_info_issuer_chain.clone(),
        tcb_info: ours.tcb_info.clone(),
        tcb_info_signature: ours.tcb_info_signature.clone(),
        qe_identity_issuer_chain: ours.qe_identity_issuer_chain.clone(),
        qe_identity: ours.qe_identity.clone(),
        qe_identity_signature: ours.qe_identity_signature.clone(),
        pck_certificate_chain: ours.pck_certificate_chain.clone().filter(|_| !has_chain),
    }
}

fn list(items: &[impl ToString]) -> String {
    match items {
        [] => "none".to_owned(),
        items => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn time(secs: u64) -> String {
    let date = i64::try_from(secs).ok().and_then(|secs| chrono::DateTime::from_timestamp(secs, 0));
    date.map_or_else(|| secs.to_string(), |date| format!("{} ({secs})", date.format("%Y-%m-%dT%H:%M:%SZ")))
}
