//! Whether a verdict is about the quote or only about the collateral. Broken or expired collateral, or a wrong clock, must not cause
//! every key to be refused.

use tee_attestation::{Collateral, Flaw, Rule, Verdict};

/// What is wrong with the quote itself, whatever the collateral says: `rule: found` for each failure.
pub(super) fn refusal_of_quote(verdict: &Verdict) -> Option<String> {
    let of_quote = verdict.failures().filter(|check| {
        !matches!(check.rule, Rule::Genuine | Rule::TcbStatus | Rule::Advisories | Rule::CollateralAge)
    });
    let refusal: Vec<_> = of_quote.map(|check| format!("{}: {}", check.rule, check.found)).collect();
    (!refusal.is_empty()).then(|| refusal.join("; "))
}

/// Empty collateral, to judge what needs no collateral.
pub(super) fn no_collateral() -> Collateral {
    Collateral {
        pck_crl_issuer_chain: String::new(),
        root_ca_crl: vec![],
        pck_crl: vec![],
        tcb_info_issuer_chain: String::new(),
        tcb_info: String::new(),
        tcb_info_signature: vec![],
        qe_identity_issuer_chain: String::new(),
        qe_identity: String::new(),
        qe_identity_signature: vec![],
        pck_certificate_chain: None,
    }
}

/// Whether the collateral is the only obstacle to a good verdict. An incomplete certificate chain is the quote's fault, unless the
/// quote was `accepted` before. A fault of the quote itself, such as a measurement that the policy does not list, is a refusal
/// whatever the collateral is.
pub(super) fn only_collateral_fails(verdict: &Verdict, accepted: bool) -> bool {
    let genuine = verdict.failures().all(|check| check.rule != Rule::Genuine);
    !verdict.passed()
        && verdict.failures().all(|check| match check.rule {
            Rule::Genuine => {
                check.flaw.is_some_and(|flaw| is_of_collateral(flaw) || (accepted && flaw == Flaw::CertificateChain))
            }
            Rule::CollateralAge => true,
            // If the quote is not known to be genuine, these cannot be determined.
            Rule::TcbStatus | Rule::Advisories => !genuine,
            _ => false,
        })
}

fn is_of_collateral(flaw: Flaw) -> bool {
    matches!(
        flaw,
        Flaw::RootRevocationList
            | Flaw::PckRevocationList
            | Flaw::RevocationListExpired
            | Flaw::RevocationUnknown
            | Flaw::CertificateExpired
            | Flaw::CertificateNotYetValid
            | Flaw::TcbInfoUnreadable
            | Flaw::TcbInfoNotYetValid
            | Flaw::TcbInfoExpired
            | Flaw::TcbInfoSignature
            | Flaw::TcbInfoKind
            | Flaw::Fmspc
            | Flaw::QeIdentityUnreadable
            | Flaw::QeIdentityNotYetValid
            | Flaw::QeIdentityExpired
            | Flaw::QeIdentitySignature
            | Flaw::QeIdentityKind
    )
}

/// Which of Intel's publications the verdict is based on: a higher number is a newer one.
pub(super) fn tcb_evaluation_number(verdict: &Verdict) -> u32 {
    let claim = verdict.claims().iter().find(|claim| claim.name == "TCB evaluation number");
    claim.and_then(|claim| claim.value.parse().ok()).unwrap_or(0)
}
