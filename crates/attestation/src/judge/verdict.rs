//! The verdict: the claims, the rules, and the result.

use std::fmt;

use dcap_qvl::QuoteClaims;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Case, Flaw};
use crate::{
    quote::{Quote, Tee},
    report_data::ReportData,
};

/// The result of judging a quote. Nothing else can make one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    passed: bool,
    judged_at_secs: u64,
    #[serde(serialize_with = "as_map")]
    claims: Vec<Claim>,
    checks: Vec<Check>,
    #[serde(skip)]
    facts: Facts,
}

/// A fact from a quote or its collateral. Believe it only if the verdict is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The fact's name in Intel's documents.
    pub name: &'static str,
    /// The fact's value.
    pub value: String,
}

/// A rule and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The rule.
    pub rule: Rule,
    /// Whether the rule is satisfied.
    pub passed: bool,
    /// What was found.
    pub found: String,
    /// What would satisfy the rule.
    pub wanted: String,
    /// The reason why a quote is not genuine or its platform cannot be accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flaw: Option<Flaw>,
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// The bytes are a quote.
    Readable,
    /// Signatures, certificates, revocations and dates are valid.
    Genuine,
    /// The report data names a key.
    ReportData,
    /// The report data names the expected key.
    Key,
    /// The environment cannot be debugged.
    NotDebug,
    /// The enclave cannot have the platform's provisioning key.
    NoProvisionKey,
    /// The enclave does not launch other enclaves.
    NoEinittokenKey,
    /// The domain cannot be moved to another machine.
    NotMigratable,
    /// No service domain is bound to the domain.
    NoServiceTd,
    /// The host cannot steer the domain by exceptions.
    NotSteerable,
    /// No bit of the TD attributes is set that has no meaning yet.
    NoReservedAttributes,
    /// The policy has a section for this kind of environment.
    Tee,
    /// MRENCLAVE.
    #[serde(rename = "mrenclave")]
    MrEnclave,
    /// MRSIGNER.
    #[serde(rename = "mrsigner")]
    MrSigner,
    /// ISVPRODID.
    IsvProdId,
    /// ISVSVN.
    IsvSvn,
    /// MRTD and RTMR0 to RTMR3.
    Mrs,
    /// MRSEAM.
    #[serde(rename = "mrseam")]
    MrSeam,
    /// The TD attributes.
    TdAttributes,
    /// XFAM.
    Xfam,
    /// MRCONFIGID.
    MrConfigId,
    /// MROWNER.
    MrOwner,
    /// MROWNERCONFIG.
    MrOwnerConfig,
    /// The platform's TCB status.
    TcbStatus,
    /// The platform's advisories.
    Advisories,
    /// The collateral's age.
    CollateralAge,
}

/// A key that a quote attests under the policy, at the time of judging. Only a good verdict contains one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestedKey {
    tee: Tee,
    named: ReportData,
    judged_at_secs: u64,
    valid_until_secs: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Facts {
    tee: Option<Tee>,
    tcb_status: Option<String>,
    advisories: Vec<String>,
    valid_until_secs: Option<u64>,
    attested: Option<AttestedKey>,
}

impl Verdict {
    /// Whether every rule is satisfied.
    pub fn passed(&self) -> bool {
        self.passed
    }

    /// The time of judging, in Unix seconds.
    pub fn judged_at_secs(&self) -> u64 {
        self.judged_at_secs
    }

    /// Every claim that was read.
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Every rule that was applied.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The rules that are not satisfied.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.passed)
    }

    /// The key, if every rule is satisfied.
    pub fn attested_key(&self) -> Option<&AttestedKey> {
        self.facts.attested.as_ref()
    }

    /// The kind of environment, if the bytes are a quote.
    pub fn tee(&self) -> Option<Tee> {
        self.facts.tee
    }

    /// The platform's TCB status as Intel names it, if the quote is genuine.
    pub fn tcb_status(&self) -> Option<&str> {
        self.facts.tcb_status.as_deref()
    }

    /// The platform's advisories.
    pub fn advisories(&self) -> &[String] {
        &self.facts.advisories
    }

    /// When the first piece of the collateral expires, in Unix seconds, if the quote is genuine.
    pub fn valid_until_secs(&self) -> Option<u64> {
        self.facts.valid_until_secs
    }

    /// The failures on one line: `rule: found` for each rule that is not satisfied.
    pub fn refusal(&self) -> String {
        let failures: Vec<_> = self.failures().map(|check| format!("{}: {}", check.rule, check.found)).collect();
        failures.join("; ")
    }
}

impl AttestedKey {
    /// The kind of environment that holds the key.
    pub fn tee(&self) -> Tee {
        self.tee
    }

    /// The key's name in the quote.
    pub fn report_data(&self) -> &ReportData {
        &self.named
    }

    /// Whether this is the key with the given compressed form and Ethereum address.
    #[must_use]
    pub fn is(&self, public_key: &[u8; 33], address: &[u8; 20]) -> bool {
        self.named.names(public_key, address)
    }

    /// The time at which its quote was judged, in Unix seconds.
    pub fn judged_at_secs(&self) -> u64 {
        self.judged_at_secs
    }

    /// When the collateral that it was judged with expires, in Unix seconds.
    pub fn valid_until_secs(&self) -> u64 {
        self.valid_until_secs
    }
}

impl Rule {
    /// The rule's stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Readable => "readable",
            Self::Genuine => "genuine",
            Self::ReportData => "report_data",
            Self::Key => "key",
            Self::NotDebug => "not_debug",
            Self::NoProvisionKey => "no_provision_key",
            Self::NoEinittokenKey => "no_einittoken_key",
            Self::NotMigratable => "not_migratable",
            Self::NoServiceTd => "no_service_td",
            Self::NotSteerable => "not_steerable",
            Self::NoReservedAttributes => "no_reserved_attributes",
            Self::Tee => "tee",
            Self::MrEnclave => "mrenclave",
            Self::MrSigner => "mrsigner",
            Self::IsvProdId => "isv_prod_id",
            Self::IsvSvn => "isv_svn",
            Self::Mrs => "mrs",
            Self::MrSeam => "mrseam",
            Self::TdAttributes => "td_attributes",
            Self::Xfam => "xfam",
            Self::MrConfigId => "mr_config_id",
            Self::MrOwner => "mr_owner",
            Self::MrOwnerConfig => "mr_owner_config",
            Self::TcbStatus => "tcb_status",
            Self::Advisories => "advisories",
            Self::CollateralAge => "collateral_age",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Writes a table for people.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Claim { name, value } in &self.claims {
            writeln!(f, "{name:<24} {value}")?;
        }
        writeln!(f)?;
        for Check { rule, passed, found, wanted, .. } in &self.checks {
            let mark = if *passed { "ok  " } else { "FAIL" };
            writeln!(f, "{mark} {:<23} {found}", rule.as_str())?;
            if !passed {
                writeln!(f, "     {:<23} wanted: {wanted}", "")?;
            }
        }
        writeln!(f)?;
        let failed = self.failures().count();
        match self.passed {
            true => write!(f, "accepted: all {} rules are kept", self.checks.len()),
            false => write!(f, "refused: {failed} of {} rules are not kept", self.checks.len()),
        }
    }
}

/// Collects the results while a quote is judged.
#[derive(Default)]
pub(super) struct Findings {
    claims: Vec<Claim>,
    checks: Vec<Check>,
}

impl Findings {
    pub(super) fn claim(&mut self, name: &'static str, value: impl Into<String>) {
        self.claims.push(Claim { name, value: value.into() });
    }

    pub(super) fn check(&mut self, rule: Rule, passed: bool, found: impl ToString, wanted: impl ToString) {
        self.checks.push(Check { rule, passed, found: found.to_string(), wanted: wanted.to_string(), flaw: None });
    }

    pub(super) fn pass(&mut self, rule: Rule, found: impl ToString, wanted: impl ToString) {
        self.check(rule, true, found, wanted);
    }

    pub(super) fn fail(&mut self, rule: Rule, found: impl ToString, wanted: impl ToString) {
        self.check(rule, false, found, wanted);
    }

    pub(super) fn flaw(&mut self, rule: Rule, flaw: Flaw, found: impl ToString, wanted: impl ToString) {
        let (found, wanted) = (found.to_string(), wanted.to_string());
        self.checks.push(Check { rule, passed: false, found, wanted, flaw: Some(flaw) });
    }

    pub(super) fn into_claims(self) -> Vec<Claim> {
        self.claims
    }

    pub(super) fn unreadable(self, case: &Case<'_>) -> Verdict {
        Verdict {
            passed: false,
            judged_at_secs: case.at_secs,
            claims: self.claims,
            checks: self.checks,
            facts: Facts::default(),
        }
    }

    /// The only place where a key becomes an attested one: when the quote is genuine and no rule failed.
    pub(super) fn verdict(self, case: &Case<'_>, quote: &Quote, genuine: Option<&QuoteClaims>) -> Verdict {
        let kept = self.checks.iter().all(|check| check.passed);
        let attested = match (kept, genuine, quote.report_data()) {
            (true, Some(claims), Ok(named)) => Some(AttestedKey {
                tee: quote.tee(),
                named,
                judged_at_secs: case.at_secs,
                valid_until_secs: claims.earliest_expiration_date,
            }),
            _ => None,
        };
        let facts = Facts {
            tee: Some(quote.tee()),
            tcb_status: genuine.map(|claims| claims.tcb.status.to_string()),
            advisories: genuine.map(|claims| claims.tcb.advisory_ids.clone()).unwrap_or_default(),
            valid_until_secs: genuine.map(|claims| claims.earliest_expiration_date),
            attested,
        };
        Verdict {
            passed: facts.attested.is_some(),
            judged_at_secs: case.at_secs,
            claims: self.claims,
            checks: self.checks,
            facts,
        }
    }
}

fn as_map<S: Serializer>(claims: &[Claim], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(claims.len()))?;
    for Claim { name, value } in claims {
        map.serialize_entry(name, value)?;
    }
    map.end()
}
