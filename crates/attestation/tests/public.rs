//! Verdicts on public quotes of real processors, which other people made. None of them names a signing key.

mod samples;

use samples::{PublicQuote, public_quotes};
use tee_attestation::{Case, Rule, TrustedRoot, Verdict, claims_of, judge};

fn verdict(quote: &PublicQuote) -> Option<Verdict> {
    Some(judge(&Case {
        quote: &quote.bytes,
        collateral: quote.collateral.as_ref()?,
        root: &TrustedRoot::intel(),
        policy: &quote.policy,
        key: None,
        at_secs: quote.at_secs?,
    }))
}

fn named(name: &str) -> Option<PublicQuote> {
    public_quotes().into_iter().find(|quote| quote.name == name)
}

fn failed(verdict: &Verdict) -> Vec<Rule> {
    verdict.failures().map(|check| check.rule).collect()
}

fn found(verdict: &Verdict, rule: Rule) -> &str {
    &verdict.checks().iter().find(|check| check.rule == rule).unwrap().found
}

#[test]
fn a_quote_that_names_no_key_is_refused_whatever_else_is_right_about_it() {
    for quote in public_quotes() {
        let claims = claims_of(&quote.bytes).unwrap();
        let named = claims.iter().find(|claim| claim.name == "key named").unwrap();
        assert!(named.value.starts_with("none: "), "{}: {}", quote.name, named.value);
        let Some(verdict) = verdict(&quote) else { continue };
        assert!(!verdict.passed() && verdict.attested_key().is_none(), "{}: {verdict}", quote.name);
        assert!(failed(&verdict).contains(&Rule::ReportData), "{}: {verdict}", quote.name);
    }
}

#[test]
fn each_is_genuine_and_has_the_status_that_another_reader_found() {
    for quote in public_quotes() {
        let Some(verdict) = verdict(&quote) else { continue };
        assert!(!failed(&verdict).contains(&Rule::Genuine), "{}: {verdict}", quote.name);
        assert_eq!(verdict.tcb_status(), quote.tcb_status.as_deref().or(verdict.tcb_status()), "{}", quote.name);
    }
}

/// Collateral is shared by all platforms of a kind, with the certificates of the one that asked.
#[test]
fn the_quotes_own_certificates_count_and_not_another_machines_in_the_collateral() {
    let Some(quote) = named("tdx-collateral-of-another-machine") else { return };
    assert!(quote.collateral.as_ref().unwrap().pck_certificate_chain.is_some());
    let verdict = verdict(&quote).unwrap();
    assert_eq!(failed(&verdict), [Rule::ReportData], "{verdict}");
}

#[test]
fn a_platform_older_than_all_levels_is_genuine_and_its_component_is_named() {
    let Some(quote) = named("tdx-below-all-levels") else { return };
    let verdict = verdict(&quote).unwrap();
    assert_eq!(failed(&verdict), [Rule::ReportData, Rule::TcbStatus, Rule::Advisories], "{verdict}");
    let reason = found(&verdict, Rule::TcbStatus);
    assert!(reason.contains("component 8 of at least 5, the PCK certificate's is 3"), "{reason}");
}

#[test]
fn a_bound_service_domain_is_said_with_its_value_and_the_status_is_shown_all_the_same() {
    let Some(quote) = named("tdx-v5-service-td") else { return };
    let verdict = verdict(&quote).unwrap();
    assert_eq!(failed(&verdict), [Rule::ReportData, Rule::NoServiceTd], "{verdict}");
    let claim = verdict.claims().iter().find(|claim| claim.name == "MRSERVICETD").unwrap();
    assert!(found(&verdict, Rule::NoServiceTd).contains(&claim.value));
    assert_eq!(verdict.tcb_status(), Some("OutOfDate"));
}

/// The text for people names the piece and the date.
#[test]
fn what_is_out_of_its_time_is_named_with_its_date() {
    let Some(mut quote) = named("tdx-mpc") else { return };
    for (at_secs, words) in
        [(0, "the TCB info is not valid before 2026-08-13T10:45:38Z"), (4_000_000_000, "expired at 20")]
    {
        quote.at_secs = Some(at_secs);
        let verdict = verdict(&quote).unwrap();
        let reason = found(&verdict, Rule::Genuine);
        assert!(reason.contains(words), "{reason}");
    }
}
