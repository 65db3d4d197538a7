//! What runs in the environment, and whether the policy knows it.

use dcap_qvl::quote::Report as QvlReport;

use super::verdict::{Findings, Rule};
use crate::{
    policy::{Hex, Policy},
    quote::{EnclaveReport, Quote, Report, TdReport},
};

/// Whether the library reads the same values from a quote as we do.
pub(super) fn read_alike(quote: &Quote, theirs: &QvlReport) -> bool {
    match (quote.report(), theirs) {
        (Report::Sgx(ours), QvlReport::SgxEnclave(theirs)) => {
            ours.attributes == theirs.attributes
                && ours.mr_enclave == theirs.mr_enclave
                && ours.mr_signer == theirs.mr_signer
                && ours.isv_prod_id == theirs.isv_prod_id
                && ours.isv_svn == theirs.isv_svn
                && ours.report_data == theirs.report_data
        }
        (Report::Tdx(ours), theirs) => {
            theirs.as_td10().is_some_and(|theirs| {
                ours.mr_seam == theirs.mr_seam
                    && ours.td_attributes == theirs.td_attributes
                    && ours.xfam == theirs.xfam
                    && ours.mr_td == theirs.mr_td
                    && ours.mr_config_id == theirs.mr_config_id
                    && ours.mr_owner == theirs.mr_owner
                    && ours.mr_owner_config == theirs.mr_owner_config
                    && ours.rtmrs == [theirs.rt_mr0, theirs.rt_mr1, theirs.rt_mr2, theirs.rt_mr3]
                    && ours.report_data == theirs.report_data
            }) && ours.mr_service_td == theirs.as_td15().map(|theirs| theirs.mr_service_td)
        }
        (Report::Sgx(_), _) => false,
    }
}

/// Records the quote's measurements as claims.
pub(super) fn claim(quote: &Quote, findings: &mut Findings) {
    findings.claim("TEE", format!("{}, quote version {}", quote.tee(), quote.version()));
    match quote.report() {
        Report::Sgx(report) => {
            findings.claim("MRENCLAVE", hex::encode(report.mr_enclave));
            findings.claim("MRSIGNER", hex::encode(report.mr_signer));
            findings.claim("ISVPRODID", report.isv_prod_id.to_string());
            findings.claim("ISVSVN", report.isv_svn.to_string());
            findings.claim("attributes", hex::encode(report.attributes));
        }
        Report::Tdx(report) => {
            findings.claim("MRTD", hex::encode(report.mr_td));
            for (name, rtmr) in ["RTMR0", "RTMR1", "RTMR2", "RTMR3"].into_iter().zip(&report.rtmrs) {
                findings.claim(name, hex::encode(rtmr));
            }
            findings.claim("MRSEAM", hex::encode(report.mr_seam));
            findings.claim("TD attributes", hex::encode(report.td_attributes));
            findings.claim("XFAM", hex::encode(report.xfam));
            findings.claim("MRCONFIGID", hex::encode(report.mr_config_id));
            findings.claim("MROWNER", hex::encode(report.mr_owner));
            findings.claim("MROWNERCONFIG", hex::encode(report.mr_owner_config));
            if let Some(mr_service_td) = report.mr_service_td {
                findings.claim("MRSERVICETD", hex::encode(mr_service_td));
            }
        }
    }
    findings.claim("report data", hex::encode(quote.report_data_bytes()));
}

/// Compares the measurements with the policy.
pub(super) fn check(policy: &Policy, quote: &Quote, findings: &mut Findings) {
    match quote.report() {
        Report::Sgx(report) => check_enclave(policy, report, findings),
        Report::Tdx(report) => check_domain(policy, report, findings),
    }
}

fn check_enclave(policy: &Policy, report: &EnclaveReport, findings: &mut Findings) {
    let sgx = policy.sgx.as_ref();
    findings.check(Rule::Tee, sgx.is_some(), "sgx", "a kind that the policy has a section for");
    let mrenclaves = sgx.and_then(|sgx| sgx.mrenclaves.as_deref());
    // Pinning only the signer would accept everything else that it signs, including older versions with known holes.
    one_of(Rule::MrEnclave, Hex(report.mr_enclave), mrenclaves.unwrap_or_default(), findings);
    let Some(sgx) = sgx else { return };
    if let Some(mrsigners) = &sgx.mrsigners {
        one_of(Rule::MrSigner, Hex(report.mr_signer), mrsigners, findings);
    }
    if let Some(ids) = &sgx.isv_prod_ids {
        one_of(Rule::IsvProdId, report.isv_prod_id, ids, findings);
    }
    if let Some(least) = sgx.min_isv_svn {
        findings.check(Rule::IsvSvn, report.isv_svn >= least, report.isv_svn.to_string(), format!("at least {least}"));
    }
}

fn check_domain(policy: &Policy, report: &TdReport, findings: &mut Findings) {
    let tdx = policy.tdx.as_ref();
    findings.check(Rule::Tee, tdx.is_some(), "tdx", "a kind that the policy has a section for");
    let [rtmr0, rtmr1, rtmr2, rtmr3] = report.rtmrs;
    let found = [report.mr_td, rtmr0, rtmr1, rtmr2, rtmr3].map(Hex);
    let mrs = tdx.and_then(|tdx| tdx.mrs.as_deref()).unwrap_or_default();
    let differing = ["MRTD", "RTMR0", "RTMR1", "RTMR2", "RTMR3"]
        .into_iter()
        .enumerate()
        .filter(|(at, _)| !mrs.iter().any(|mrs| mrs.get(*at) == found.get(*at)))
        .map(|(_, name)| name)
        .collect::<Vec<_>>();
    let known = mrs.contains(&found);
    let said = match (known, differing.as_slice()) {
        (true, _) => "known".to_owned(),
        (false, []) => "each is known, but not as a set".to_owned(),
        (false, names) => format!("not in the policy: {}", names.join(", ")),
    };
    findings.check(Rule::Mrs, known, said, format!("one of {} sets of five", mrs.len()));
    let Some(tdx) = tdx else { return };
    if let Some(mrseams) = &tdx.mrseams {
        one_of(Rule::MrSeam, Hex(report.mr_seam), mrseams, findings);
    }
    if let Some(attributes) = &tdx.td_attributes {
        one_of(Rule::TdAttributes, Hex(report.td_attributes), attributes, findings);
    }
    if let Some(xfams) = &tdx.xfams {
        one_of(Rule::Xfam, Hex(report.xfam), xfams, findings);
    }
    for (rule, found, allowed) in [
        (Rule::MrConfigId, report.mr_config_id, &tdx.mr_config_ids),
        (Rule::MrOwner, report.mr_owner, &tdx.mr_owners),
        (Rule::MrOwnerConfig, report.mr_owner_config, &tdx.mr_owner_configs),
    ] {
        if let Some(allowed) = allowed {
            one_of(rule, Hex(found), allowed, findings);
        }
    }
}

fn one_of<T: PartialEq + ToString>(rule: Rule, found: T, allowed: &[T], findings: &mut Findings) {
    findings.check(rule, allowed.contains(&found), found.to_string(), super::list(allowed));
}
