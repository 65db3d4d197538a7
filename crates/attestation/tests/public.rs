//! Judging public quotes of real processors, which nobody here made. None of them names a signing key.

mod samples;

use samples::public_quotes;
use tee_attestation::{Case, Rule, TrustedRoot, claims_of, judge};

#[test]
fn a_quote_that_names_no_key_is_refused_whatever_else_is_right_about_it() {
    for quote in public_quotes() {
        let claims = claims_of(&quote.bytes).unwrap();
        let named = claims.iter().find(|claim| claim.name == "key named").unwrap();
        assert!(named.value.starts_with("none: "), "{}: {}", quote.name, named.value);
        let Some(collateral) = &quote.collateral else { continue };
        let case = Case {
            quote: &quote.bytes,
            collateral,
            root: &TrustedRoot::intel(),
            policy: &quote.policy,
            key: None,
            at_secs: quote.at_secs.unwrap(),
        };
        let verdict = judge(&case);
        assert!(!verdict.passed() && verdict.attested_key().is_none(), "{}: {verdict}", quote.name);
        assert!(verdict.failures().any(|check| check.rule == Rule::ReportData), "{}: {verdict}", quote.name);
    }
}
