//! Real quotes, from Intel's samples in the `dcap-qvl` package and from Era mainnet, and simulated ones.

mod samples;

use std::time::{Duration, SystemTime};

use dcap_qvl::{QuoteCollateralV3, verify::QuoteVerifier};
use samples::sample;
use tee_attestation::{
    EnclaveReport, Quote, QuoteError, Report, ReportData, ReportDataError, Tee,
    simulated::{self, Collateral, Platform},
};

const REPORT_DATA: ReportData = ReportData::V1 { address: [0xab; 20] };

#[test]
fn an_sgx_quote_is_read_like_dcap_qvl_reads_it() {
    let bytes = sample("sgx_quote");
    let quote = Quote::parse(&bytes).unwrap();
    let theirs = dcap_qvl::quote::Quote::parse(&bytes).unwrap();
    let theirs = theirs.report.as_sgx().unwrap();
    assert_eq!((quote.version(), quote.tee(), quote.is_debug()), (3, Tee::Sgx, theirs.attributes[0] & 2 != 0));
    let ours = EnclaveReport {
        attributes: theirs.attributes,
        mr_enclave: theirs.mr_enclave,
        mr_signer: theirs.mr_signer,
        isv_prod_id: theirs.isv_prod_id,
        isv_svn: theirs.isv_svn,
        report_data: theirs.report_data,
    };
    assert_eq!(*quote.report(), Report::Sgx(ours));
}

#[test]
fn tdx_quotes_of_both_versions_are_read_like_dcap_qvl_reads_them() {
    for (name, version) in [("tdx_quote", 4), ("tdx_quote_outdated", 5), ("tdx_quote_td15ex", 5)] {
        let bytes = sample(name);
        let quote = Quote::parse(&bytes).unwrap();
        let theirs = dcap_qvl::quote::Quote::parse(&bytes).unwrap();
        let theirs = theirs.report.as_td10().unwrap();
        assert_eq!((quote.version(), quote.tee()), (version, Tee::Tdx), "{name}");
        assert_eq!(quote.is_debug(), theirs.td_attributes[0] != 0, "{name}");
        let Report::Tdx(ours) = quote.report() else { panic!("{name} is of TDX") };
        assert_eq!(ours.mr_seam, theirs.mr_seam, "{name}");
        assert_eq!(ours.td_attributes, theirs.td_attributes, "{name}");
        assert_eq!(ours.mr_td, theirs.mr_td, "{name}");
        assert_eq!(ours.rtmrs, [theirs.rt_mr0, theirs.rt_mr1, theirs.rt_mr2, theirs.rt_mr3], "{name}");
        assert_eq!(ours.report_data, theirs.report_data, "{name}");
    }
}

#[test]
fn the_quote_of_an_era_mainnet_prover_names_its_key() {
    let Some(data) = test_skips::data() else { return };
    let quote = Quote::parse(&std::fs::read(data.join("attestation/tdx-650000/quote.bin")).unwrap()).unwrap();
    assert_eq!((quote.version(), quote.tee(), quote.is_debug()), (4, Tee::Tdx, false));
    let public_key = hex::decode("0235104e4c31f0b404f73c74df3731f77d2d89080cc2b4117d58e05ffa71199ea6").unwrap();
    let address = hex::decode("726cfd7c264de899cfcd9e1a0d05a83f23321c9b").unwrap();
    let report_data = quote.report_data().unwrap();
    assert!(report_data.names(&public_key.try_into().unwrap(), &address.try_into().unwrap()));
    assert!(!report_data.names(&[2; 33], &[0; 20]));
}

#[test]
fn a_quote_for_other_purposes_names_no_key() {
    // The sample's report data is something else.
    let quote = Quote::parse(&sample("tdx_quote")).unwrap();
    assert!(matches!(
        quote.report_data(),
        Err(ReportDataError::Padding { .. } | ReportDataError::UnknownVersion { .. })
    ));
}

#[test]
fn a_simulated_quote_says_what_it_was_asked_to_say() {
    let quote = Quote::parse(&platform().quote(&REPORT_DATA).unwrap()).unwrap();
    assert_eq!((quote.version(), quote.tee(), quote.is_debug()), (3, Tee::Sgx, false));
    assert_eq!(quote.report_data(), Ok(REPORT_DATA));
    let Report::Sgx(report) = quote.report() else { panic!("simulated quotes are of SGX") };
    assert_eq!(report.mr_enclave, simulated::mr_enclave());
    assert_eq!(report.mr_signer, simulated::mr_signer());
}

#[test]
fn a_simulated_quote_is_verified_like_a_real_one_under_its_own_root() {
    let platform = platform();
    let quote = platform.quote(&REPORT_DATA).unwrap();
    let collateral = theirs(platform.collateral().unwrap());
    let verifier = QuoteVerifier::new(platform.root_certificate().unwrap());
    let verified = verifier.verify(&quote, &collateral, now_secs()).unwrap();
    assert_eq!(verified.status, "UpToDate");
    assert_eq!(verified.report.as_sgx().unwrap().report_data, REPORT_DATA.to_bytes());

    let in_two_years = now_secs() + 2 * 365 * 24 * 60 * 60;
    verifier.verify(&quote, &collateral, in_two_years).unwrap_err();
}

#[test]
fn a_simulated_quote_is_worth_nothing_under_intels_root_or_another_simulations() {
    let platform = platform();
    let quote = platform.quote(&REPORT_DATA).unwrap();
    let collateral = theirs(platform.collateral().unwrap());
    QuoteVerifier::new_prod().verify(&quote, &collateral, now_secs()).unwrap_err();
    let other = self::platform();
    let verifier = QuoteVerifier::new(other.root_certificate().unwrap());
    verifier.verify(&quote, &collateral, now_secs()).unwrap_err();
    verifier.verify(&quote, &theirs(other.collateral().unwrap()), now_secs()).unwrap_err();
}

#[test]
fn a_changed_simulated_quote_no_longer_verifies() {
    let platform = platform();
    let quote = platform.quote(&REPORT_DATA).unwrap();
    let collateral = theirs(platform.collateral().unwrap());
    let verifier = QuoteVerifier::new(platform.root_certificate().unwrap());
    // Header and body, signature, attestation key, the quoting enclave's report and its signature.
    for at in (0..432).step_by(31).chain((436..436 + 64 + 64 + 384 + 64).step_by(37)) {
        let mut changed = quote.clone();
        changed[at] ^= 1;
        assert!(verifier.verify(&changed, &collateral, now_secs()).is_err(), "byte {at}");
    }
}

#[test]
fn a_real_quote_is_canonical_except_for_its_padding() {
    let mut padded = 0;
    let public = samples::public_quotes().into_iter().map(|quote| (quote.name, quote.bytes));
    for (name, bytes) in quotes().into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).chain(public) {
        let padding = Quote::parse(&bytes).unwrap().padding_bytes();
        padded += usize::from(padding > 0);
        assert_eq!(Quote::canonical(&bytes).unwrap(), bytes[..bytes.len() - padding], "{name}");
    }
    assert!(padded > 0);
}

/// The room that no signature covers. With other bytes there, a quote still verifies, so these bytes must not be kept.
#[test]
fn what_anybody_may_add_to_a_quote_is_not_in_its_canonical_form() {
    let platform = platform();
    let collateral = theirs(platform.collateral().unwrap());
    let verifier = QuoteVerifier::new(platform.root_certificate().unwrap());
    let quote = platform.quote(&REPORT_DATA).unwrap();
    assert_eq!((quote[0], Quote::canonical(&quote).unwrap()), (3, quote.clone()));
    // Header and report, the length of what follows, two signatures with key and report, then the authentication data.
    let signed = Quote::parse(&quote).unwrap().signed_bytes();
    let authenticated = signed + 4 + 64 + 64 + 384 + 64;
    let chain =
        authenticated + 2 + usize::from(u16::from_le_bytes([quote[authenticated], quote[authenticated + 1]])) + 2;
    let lengthened = |places: &[usize], at: usize, added: &[u8]| {
        let mut bytes = quote.clone();
        for place in places {
            let length = u32::from_le_bytes(bytes[*place..place + 4].try_into().unwrap()) + added.len() as u32;
            bytes[*place..place + 4].copy_from_slice(&length.to_le_bytes());
        }
        bytes.splice(at..at, added.iter().copied());
        bytes
    };
    let junk = [b'#'; 20_000];
    for (room, bytes) in [
        ("behind the quote", lengthened(&[], quote.len(), &junk)),
        ("behind the signature data", lengthened(&[signed], quote.len(), &junk)),
        ("before the certificates", lengthened(&[signed, chain], chain + 4, b"# \n")),
        ("behind the certificates", lengthened(&[signed, chain], quote.len(), &junk)),
    ] {
        assert_ne!(bytes, quote, "{room}");
        verifier.verify(&bytes, &collateral, now_secs()).unwrap_or_else(|error| panic!("{room}: {error}"));
        let canonical = Quote::canonical(&bytes).unwrap();
        assert_eq!(canonical, quote, "{room}");
        verifier.verify(&canonical, &collateral, now_secs()).unwrap();
    }
}

#[test]
fn every_truncation_of_a_quote_is_an_error() {
    for (name, bytes) in quotes() {
        let announced = announced_length(&bytes);
        for length in 0..announced {
            assert_eq!(Quote::parse(&bytes[..length]), Err(QuoteError::Truncated), "{name}, {length} bytes");
        }
        Quote::parse(&bytes[..announced]).unwrap();
    }
}

#[test]
fn any_bytes_are_read_or_refused_without_a_panic() {
    for (name, bytes) in quotes() {
        // Everything after the report is skipped.
        for at in 0..1000.min(bytes.len()) {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                if let Ok(quote) = Quote::parse(&changed) {
                    assert!((3..=5).contains(&quote.version()), "{name}, bit {bit} of byte {at}");
                    let _ = (quote.report_data(), quote.is_debug());
                }
            }
        }
    }
}

#[test]
fn an_unknown_version_tee_or_body_is_an_error() {
    let sgx = sample("sgx_quote");
    let tdx = sample("tdx_quote_td15ex");
    let with = |bytes: &[u8], at: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        Quote::parse(&bytes)
    };
    assert_eq!(with(&sgx, 0, 6), Err(QuoteError::UnknownVersion { version: 6 }));
    // TDX does not exist in version 3.
    assert_eq!(with(&sgx, 4, 0x81), Err(QuoteError::UnknownTeeType { version: 3, tee_type: 0x81 }));
    assert_eq!(with(&tdx, 4, 7), Err(QuoteError::UnknownTeeType { version: 5, tee_type: 7 }));
    assert_eq!(with(&tdx, 48, 5), Err(QuoteError::UnknownBodyType { tee_type: 0x81, body_type: 5 }));
    // An enclave's body under the header of a trust domain.
    assert_eq!(with(&tdx, 48, 1), Err(QuoteError::UnknownBodyType { tee_type: 0x81, body_type: 1 }));
    assert_eq!(with(&tdx, 48, 2), Err(QuoteError::BodySize { body_type: 2, got: 885, expected: 584 }));
}

#[test]
fn a_debug_enclave_and_a_debug_domain_are_recognised() {
    // DEBUG is bit 1 of an enclave's attributes and bit 0 of a domain's.
    for (name, at, bit) in [("sgx_quote", 48 + 48, 1), ("tdx_quote", 48 + 120, 0), ("tdx_quote_td15ex", 54 + 120, 0)] {
        let mut bytes = sample(name);
        bytes[at] &= !(1 << bit);
        assert!(!Quote::parse(&bytes).unwrap().is_debug(), "{name}");
        bytes[at] |= 1 << bit;
        assert!(Quote::parse(&bytes).unwrap().is_debug(), "{name}");
    }
}

/// Real quotes of each kind, and a simulated one.
fn quotes() -> Vec<(&'static str, Vec<u8>)> {
    let samples = ["sgx_quote", "tdx_quote", "tdx_quote_outdated", "tdx_quote_td15ex"];
    let mut quotes: Vec<_> = samples.into_iter().map(|name| (name, sample(name))).collect();
    quotes.push(("simulated", platform().quote(&REPORT_DATA).unwrap()));
    quotes
}

/// The end of a quote's signature data; padding may follow.
fn announced_length(quote: &[u8]) -> usize {
    let body = match (quote[0], quote[4]) {
        (5, _) => 6 + u32::from_le_bytes(quote[50..54].try_into().unwrap()) as usize,
        (_, 0) => 384,
        _ => 584,
    };
    let at = 48 + body;
    at + 4 + u32::from_le_bytes(quote[at..at + 4].try_into().unwrap()) as usize
}

fn platform() -> Platform {
    Platform::new(SystemTime::now()).unwrap()
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs)
}

fn theirs(ours: Collateral) -> QuoteCollateralV3 {
    QuoteCollateralV3 {
        pck_crl_issuer_chain: ours.pck_crl_issuer_chain,
        root_ca_crl: ours.root_ca_crl,
        pck_crl: ours.pck_crl,
        tcb_info_issuer_chain: ours.tcb_info_issuer_chain,
        tcb_info: ours.tcb_info,
        tcb_info_signature: ours.tcb_info_signature,
        qe_identity_issuer_chain: ours.qe_identity_issuer_chain,
        qe_identity: ours.qe_identity,
        qe_identity_signature: ours.qe_identity_signature,
        pck_certificate_chain: None,
    }
}
