//! Why a quote is not genuine or its platform has no status, in words that help people act.

use dcap_qvl::{SvnComponent, SvnShortfall, TcbInfo, TcbLevel, intel, quote::Quote};
use x509_cert::{
    Certificate,
    crl::CertificateList,
    der::{Decode, asn1::ObjectIdentifier},
    time::Time,
};

use super::{Case, Flaw, time};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The reason for a flaw. `error` is the library's text, which is shown only if nothing else is known.
pub(super) fn of(flaw: Flaw, case: &Case<'_>, error: &str) -> String {
    let dates = |late| out_of_time(case, late).unwrap_or_else(|| flaw.reason().to_owned());
    match flaw {
        Flaw::RevocationListExpired | Flaw::CertificateExpired | Flaw::TcbInfoExpired | Flaw::QeIdentityExpired => {
            dates(Late::Ended)
        }
        Flaw::CertificateNotYetValid | Flaw::TcbInfoNotYetValid | Flaw::QeIdentityNotYetValid => dates(Late::NotBegun),
        Flaw::TcbInfoUnreadable => match case.collateral.tcb_info_head() {
            Err(error) => error.to_string(),
            Ok(_) => flaw.reason().to_owned(),
        },
        Flaw::Fmspc => fmspc(case).unwrap_or_else(|| flaw.reason().to_owned()),
        Flaw::NoTcbLevel => no_level(case).unwrap_or_else(|| flaw.reason().to_owned()),
        Flaw::TdxModule => module(case).unwrap_or_else(|| flaw.reason().to_owned()),
        Flaw::Other => format!("another reason: {}", error.replace(char::is_control, " ")),
        flaw => flaw.reason().to_owned(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    Ended,
    NotBegun,
}

/// A piece of the collateral or of the quote with a period of validity.
struct Piece {
    name: String,
    from_secs: u64,
    until_secs: u64,
}

/// The pieces that are not valid at the time of judging, with the dates.
fn out_of_time(case: &Case<'_>, late: Late) -> Option<String> {
    let at = case.at_secs;
    let mut said: Vec<_> = pieces(case)
        .into_iter()
        .filter_map(|Piece { name, from_secs, until_secs }| match late {
            Late::Ended if until_secs < at => Some(format!("the {name} expired at {}", time(until_secs))),
            Late::NotBegun if from_secs > at => Some(format!("the {name} is not valid before {}", time(from_secs))),
            _ => None,
        })
        .collect();
    // The root's certificate is in every chain and would appear several times.
    said.sort();
    said.dedup();
    (!said.is_empty()).then(|| said.join("; "))
}

fn pieces(case: &Case<'_>) -> Vec<Piece> {
    let ours = case.collateral;
    let document = |name: &str, window: Option<(u64, u64)>| {
        window.map(|(from_secs, until_secs)| Piece { name: name.to_owned(), from_secs, until_secs })
    };
    let lists = [("root's revocation list", &ours.root_ca_crl), ("PCK revocation list", &ours.pck_crl)];
    let lists = lists.into_iter().filter_map(|(name, der)| {
        let list = CertificateList::from_der(der).ok()?.tbs_cert_list;
        Some(Piece {
            name: name.to_owned(),
            from_secs: secs(&list.this_update),
            until_secs: list.next_update.as_ref().map_or(u64::MAX, secs),
        })
    });
    let chains = [&ours.pck_crl_issuer_chain, &ours.tcb_info_issuer_chain, &ours.qe_identity_issuer_chain];
    let issuers = chains.into_iter().filter_map(|pem| Certificate::load_pem_chain(pem.as_bytes()).ok()).flatten();
    let own = Quote::parse(case.quote).ok().and_then(|quote| intel::extract_cert_chain(&quote).ok());
    let own = own.into_iter().flatten().filter_map(|der| Certificate::from_der(&der).ok());
    let certificates = issuers.chain(own).map(|certificate| {
        let certified = certificate.tbs_certificate;
        let names = certified.subject.0.iter().flat_map(|part| part.0.iter());
        let name = names.filter(|name| name.oid == COMMON_NAME).find_map(|name| {
            std::str::from_utf8(name.value.value()).ok().map(|name| name.replace(char::is_control, " "))
        });
        Piece {
            name: format!("certificate of {}", name.as_deref().unwrap_or("an issuer without a name")),
            from_secs: secs(&certified.validity.not_before),
            until_secs: secs(&certified.validity.not_after),
        }
    });
    document("TCB info", ours.tcb_info_window_secs().ok())
        .into_iter()
        .chain(document("QE identity", ours.qe_identity_window_secs().ok()))
        .chain(lists)
        .chain(certificates)
        .collect()
}

fn secs(time: &Time) -> u64 {
    time.to_unix_duration().as_secs()
}

fn fmspc(case: &Case<'_>) -> Option<String> {
    let quotes = intel::quote_fmspc(&Quote::parse(case.quote).ok()?).ok()?;
    let theirs = case.collateral.tcb_info_head().ok()?.fmspc;
    Some(format!(
        "the collateral is for other processors: its FMSPC is {}, the quote's is {}",
        theirs.to_ascii_uppercase(),
        hex::encode_upper(quotes)
    ))
}

/// Which component lacks which security version, for the level that is missed by the least.
fn no_level(case: &Case<'_>) -> Option<String> {
    let quote = Quote::parse(case.quote).ok()?;
    let chain = intel::extract_cert_chain(&quote).ok();
    let pck = match chain.as_deref() {
        Some([leaf, ..]) => intel::parse_pck_extension(leaf).ok()?,
        _ => {
            let pem = case.collateral.pck_certificate_chain.as_deref()?;
            intel::parse_pck_extension_from_pem(pem.as_bytes()).ok()?
        }
    };
    let tcb_info: TcbInfo = serde_json::from_str(&case.collateral.tcb_info).ok()?;
    let launched = quote.report.as_td10().map(|report| report.tee_tcb_svn);
    let current = quote.report.as_td15().map(|report| report.tee_tcb_svn2);
    let nearest = |svn: Option<&[u8; 16]>| -> Option<(&TcbLevel, Vec<SvnShortfall>)> {
        let short = |level: &'_ TcbLevel| level.shortfalls(&pck.cpu_svn, pck.pce_svn, svn).ok();
        let levels = tcb_info.tcb_levels.iter().map(|level| Some((level, short(level)?)));
        levels.collect::<Option<Vec<_>>>()?.into_iter().min_by_key(|(_, short)| (short.len(), missing(short)))
    };
    let (level, short) = [launched.as_ref(), current.as_ref()]
        .into_iter()
        .filter_map(nearest)
        .max_by_key(|(_, short)| (short.len(), missing(short)))?;
    let short: Vec<_> = short.iter().map(shown).collect();
    let (date, _) = level.tcb_date.split_once('T').unwrap_or((&level.tcb_date, ""));
    Some(format!(
        "older than each of the {} TCB levels; the nearest ({} of {date}) needs {}",
        tcb_info.tcb_levels.len(),
        level.tcb_status,
        short.join(", ")
    ))
}

fn missing(short: &[SvnShortfall]) -> u32 {
    short.iter().map(|short| u32::from(short.needs.saturating_sub(short.have))).sum()
}

/// Formats a shortfall. Components are counted from 1, as in Intel's certificates.
fn shown(SvnShortfall { component, have, needs }: &SvnShortfall) -> String {
    let (owner, component) = match component {
        SvnComponent::Sgx(at) => ("the PCK certificate's", format!("component {}", u16::from(*at).saturating_add(1))),
        SvnComponent::Tdx(at) => ("the quote's", format!("TDX component {}", u16::from(*at).saturating_add(1))),
        SvnComponent::PceSvn => ("the PCK certificate's", "PCESVN".to_owned()),
        SvnComponent::TdxModuleIsvSvn => ("the quote's", "TDX module ISVSVN".to_owned()),
    };
    format!("{component} of at least {needs}, {owner} is {have}")
}

fn module(case: &Case<'_>) -> Option<String> {
    let quote = Quote::parse(case.quote).ok()?;
    let [isv_svn, version, ..] = quote.report.as_td10()?.tee_tcb_svn;
    Some(format!("the TCB info has no level for the TDX module of version {version} with ISVSVN {isv_svn}"))
}
