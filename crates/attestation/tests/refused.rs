//! Quotes that are refused, each for a different reason. A simulated machine makes what a real one would not.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tee_attestation::{
    Case, Collateral, Flaw, Key, Policy, ReportData, Rule, TrustedRoot, Verdict, judge,
    simulated::{self, Domain, Enclave, Format, Platform, Publication, Revoked},
};

use Rule::{
    Advisories, CollateralAge, Genuine, IsvProdId, IsvSvn, MrConfigId, MrEnclave, MrOwner, MrOwnerConfig, MrSeam,
    MrSigner, Mrs, NoEinittokenKey, NoProvisionKey, NoReservedAttributes, NoServiceTd, NotDebug, NotMigratable,
    NotSteerable, Readable, TcbStatus, TdAttributes, Xfam,
};

/// The case to judge. The default is accepted; each test changes one thing.
struct Try {
    quote: Vec<u8>,
    collateral: Collateral,
    root: TrustedRoot,
    policy: Policy,
    key: Key,
    at_secs: u64,
}

static NOW: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);
static MACHINE: LazyLock<Platform> = LazyLock::new(|| Platform::new(*NOW).unwrap());
const KEY: Key = Key { public_key: [2; 33], address: [0xab; 20] };
const NAMED: ReportData = ReportData::V1 { address: KEY.address };
/// The mirror image of the same point.
const OTHER_PUBLIC_KEY: [u8; 33] = {
    let mut key = KEY.public_key;
    key[0] = 3;
    key
};
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Try {
    fn sgx() -> Self {
        Self::enclave(&Enclave::default())
    }

    fn enclave(enclave: &Enclave) -> Self {
        Self::of(MACHINE.sgx_quote(enclave, &NAMED.to_bytes()).unwrap(), &Publication::default())
    }

    fn tdx() -> Self {
        Self::domain(Format::V4, &Domain::default())
    }

    fn domain(format: Format, domain: &Domain) -> Self {
        Self::of(MACHINE.tdx_quote(format, domain, &NAMED.to_bytes()).unwrap(), &Publication::tdx())
    }

    fn of(quote: Vec<u8>, publication: &Publication) -> Self {
        Self {
            quote,
            collateral: MACHINE.publish(publication).unwrap(),
            root: root_of(&MACHINE),
            policy: policy(""),
            key: KEY,
            at_secs: secs(*NOW),
        }
    }

    fn published(self, change: impl FnOnce(&mut Publication)) -> Self {
        let tdx = self.quote.get(4) == Some(&0x81);
        let mut publication = if tdx { Publication::tdx() } else { Publication::default() };
        change(&mut publication);
        Self { collateral: MACHINE.publish(&publication).unwrap(), ..self }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn flip(self, at: usize) -> Self {
        self.with(|tried| tried.quote[at] ^= 1)
    }

    fn judge(&self) -> Verdict {
        let Self { quote, collateral, root, policy, key, at_secs } = self;
        judge(&Case { quote, collateral, root, policy, key: Some(*key), at_secs: *at_secs })
    }
}

fn root_of(machine: &Platform) -> TrustedRoot {
    TrustedRoot::danger_other(machine.root_certificate().unwrap())
}

fn secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The policy that the default quotes pass, with one more line: lines `sgx: …` go into its SGX part, and so on.
fn policy(more: &str) -> Policy {
    let domain = Domain::default();
    let mrs: Vec<_> = [domain.mr_td].iter().chain(&domain.rtmrs).map(hex::encode).collect();
    let lines = |section: &str| {
        let mut lines: Vec<String> = match section {
            "sgx" => vec![format!("mrenclaves: [{}]", hex::encode(simulated::mr_enclave()))],
            "tdx" => vec![format!("mrs: [[{}]]", mrs.join(", "))],
            _ => vec![],
        };
        if let Some(line) = more.strip_prefix(&format!("{section}: ")) {
            let (key, _) = line.split_once(':').unwrap();
            lines.retain(|line| !line.starts_with(key));
            lines.push(line.to_owned());
        }
        lines.iter().map(|line| format!("  {line}\n")).collect::<String>()
    };
    let top = more.strip_prefix("top: ").map(|line| format!("{line}\n")).unwrap_or_default();
    let yaml = format!("sgx:\n{}tdx:\n{}{top}", lines("sgx"), lines("tdx"));
    Policy::from_yaml(&yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
}

fn sgx_policy(line: &str) -> Try {
    Try::sgx().with(|tried| tried.policy = policy(&format!("sgx: {line}")))
}

fn tdx_policy(line: &str) -> Try {
    Try::tdx().with(|tried| tried.policy = policy(&format!("tdx: {line}")))
}

fn enclave(change: impl FnOnce(&mut Enclave)) -> Try {
    let mut enclave = Enclave::default();
    change(&mut enclave);
    Try::enclave(&enclave)
}

/// Pins of the three measurements that a domain's owner sets.
fn owner_pins(byte: &str) -> String {
    let pins = format!("[\"{}\"]", byte.repeat(48));
    format!("mr_config_ids: {pins}\n  mr_owners: {pins}\n  mr_owner_configs: {pins}")
}

fn domain(change: impl FnOnce(&mut Domain)) -> Try {
    in_format(Format::V4, change)
}

fn in_format(format: Format, change: impl FnOnce(&mut Domain)) -> Try {
    let mut domain = Domain::default();
    change(&mut domain);
    Try::domain(format, &domain)
}

fn quoting_enclave(change: impl FnOnce(&mut Enclave)) -> Try {
    let mut enclave = Enclave::quoting();
    change(&mut enclave);
    let machine = Platform::new(*NOW).unwrap().with_quoting_enclave(enclave);
    Try {
        quote: machine.quote(&NAMED).unwrap(),
        collateral: machine.collateral().unwrap(),
        root: root_of(&machine),
        ..Try::sgx()
    }
}

fn report_data(change: impl FnOnce(&mut [u8; 64])) -> Try {
    let mut bytes = NAMED.to_bytes();
    change(&mut bytes);
    Try::of(MACHINE.sgx_quote(&Enclave::default(), &bytes).unwrap(), &Publication::default())
}

fn machine_of(from: SystemTime, until: SystemTime) -> Try {
    let machine = Platform::valid_between(from, until).unwrap();
    let now = Some((*NOW - DAY, *NOW + DAY));
    let publication = Publication {
        tcb_info_valid: now,
        qe_identity_valid: now,
        revocation_lists_valid: now,
        ..Publication::default()
    };
    Try {
        quote: machine.quote(&NAMED).unwrap(),
        collateral: machine.publish(&publication).unwrap(),
        root: root_of(&machine),
        ..Try::sgx()
    }
}

fn other_machine() -> (Platform, Collateral) {
    let other = Platform::new(*NOW).unwrap();
    let collateral = other.collateral().unwrap();
    (other, collateral)
}

const PAST: fn() -> Option<(SystemTime, SystemTime)> = || Some((*NOW - DAY * 2, *NOW - DAY));
const FUTURE: fn() -> Option<(SystemTime, SystemTime)> = || Some((*NOW + DAY, *NOW + DAY * 2));

/// The layout of a quote of version 3: after header and body come a length, signature, attestation key, the quoting
/// enclave's report, its signature, its data after a length, and the certification data after a type and a length.
const SIGNATURE: usize = 48 + 384 + 4;
const ATTESTATION_KEY: usize = SIGNATURE + 64;
const QE_REPORT: usize = ATTESTATION_KEY + 64;
const QE_SIGNATURE: usize = QE_REPORT + 384;
const QE_DATA: usize = QE_SIGNATURE + 64 + 2;
const CERTIFICATION_TYPE: usize = QE_DATA + 32;
const PEM: usize = CERTIFICATION_TYPE + 2 + 4;

type Expected = (&'static [Rule], Option<Flaw>);

fn genuine(flaw: Flaw) -> Expected {
    (&[Genuine], Some(flaw))
}

fn platform(flaw: Flaw) -> Expected {
    (&[TcbStatus], Some(flaw))
}

const fn only(rules: &'static [Rule]) -> Expected {
    (rules, None)
}

fn cases() -> Vec<(&'static str, Try, Expected)> {
    let (other, other_collateral) = other_machine();
    let tdx_collateral = MACHINE.publish(&Publication::tdx()).unwrap();
    vec![
        // Bytes that are no quotes.
        ("nothing", Try::sgx().with(|t| t.quote.clear()), only(&[Readable])),
        ("a quote cut in its header", Try::sgx().with(|t| t.quote.truncate(40)), only(&[Readable])),
        ("a quote cut in its signature", Try::sgx().with(|t| t.quote.truncate(1000)), only(&[Readable])),
        ("a quote of version 2", Try::sgx().with(|t| t.quote[0] = 2), only(&[Readable])),
        ("a quote of version 6", Try::tdx().with(|t| t.quote[0] = 6), only(&[Readable])),
        ("a TDX quote of version 3", Try::sgx().with(|t| t.quote[4] = 0x81), only(&[Readable])),
        ("an unknown TEE", Try::tdx().with(|t| t.quote[4] = 0x82), only(&[Readable])),
        ("an unknown body", in_format(Format::V5Td15, |_| ()).with(|t| t.quote[48] = 9), only(&[Readable])),
        ("a body of a wrong size", in_format(Format::V5Td15, |_| ()).flip(50), only(&[Readable])),
        ("a quote with much behind it", Try::sgx().with(|t| t.quote.resize(65 * 1024, 0)), only(&[Readable])),
        // Quotes under other roots.
        ("Intel's root", Try::sgx().with(|t| t.root = TrustedRoot::intel()), genuine(Flaw::RootRevocationList)),
        ("another root", Try::sgx().with(|t| t.root = root_of(&other)), genuine(Flaw::RootRevocationList)),
        ("an invalid root", Try::sgx().with(|t| t.root = TrustedRoot::danger_other(vec![1])), genuine(Flaw::Root)),
        (
            "another machine's quote",
            Try::sgx().with(|t| t.quote = other.quote(&NAMED).unwrap()),
            genuine(Flaw::CertificateChain),
        ),
        (
            "another root's collateral",
            Try::sgx().with(|t| {
                t.root = root_of(&other);
                t.collateral = other_collateral.clone();
            }),
            genuine(Flaw::CertificateChain),
        ),
        // Quotes that are not genuine.
        ("a bit of the header", Try::sgx().flip(30), genuine(Flaw::QuoteSignature)),
        ("a bit of MRENCLAVE", Try::sgx().flip(48 + 64), (&[Genuine, MrEnclave], Some(Flaw::QuoteSignature))),
        ("a bit of ISVSVN", Try::sgx().flip(48 + 258), genuine(Flaw::QuoteSignature)),
        ("a bit of the key's name", Try::sgx().flip(48 + 320), (&[Genuine, Rule::Key], Some(Flaw::QuoteSignature))),
        ("a bit of MRTD", Try::tdx().flip(48 + 136), (&[Genuine, Mrs], Some(Flaw::QuoteSignature))),
        ("a bit of the signature", Try::sgx().flip(SIGNATURE + 5), genuine(Flaw::QuoteSignature)),
        ("a bit of the attestation key", Try::sgx().flip(ATTESTATION_KEY), genuine(Flaw::AttestationKey)),
        ("a bit of the QE report", Try::sgx().flip(QE_REPORT + 300), genuine(Flaw::QeReportSignature)),
        ("a bit of the QE report's signature", Try::sgx().flip(QE_SIGNATURE + 40), genuine(Flaw::QeReportSignature)),
        ("a bit of the QE's data", Try::sgx().flip(QE_DATA), genuine(Flaw::AttestationKey)),
        ("a bit of the QE's data's length", Try::sgx().flip(QE_DATA - 1), genuine(Flaw::Layout)),
        ("another vendor's QE", Try::sgx().flip(12), genuine(Flaw::QeVendor)),
        ("another type of attestation key", Try::sgx().with(|t| t.quote[2] = 3), genuine(Flaw::AttestationKeyType)),
        (
            "certification data of another type",
            Try::sgx().with(|t| t.quote[CERTIFICATION_TYPE] = 4),
            genuine(Flaw::CertificationData),
        ),
        ("invalid certificates", Try::sgx().flip(PEM), genuine(Flaw::CertificateChain)),
        ("a bit of the platform's certificate", Try::sgx().flip(PEM + 200), genuine(Flaw::CertificateChain)),
        // Quotes at other times.
        ("an expired TCB info", Try::sgx().published(|p| p.tcb_info_valid = PAST()), genuine(Flaw::TcbInfoExpired)),
        ("a future TCB info", Try::sgx().published(|p| p.tcb_info_valid = FUTURE()), genuine(Flaw::TcbInfoNotYetValid)),
        (
            "an expired QE identity",
            Try::sgx().published(|p| p.qe_identity_valid = PAST()),
            genuine(Flaw::QeIdentityExpired),
        ),
        (
            "a future QE identity",
            Try::sgx().published(|p| p.qe_identity_valid = FUTURE()),
            genuine(Flaw::QeIdentityNotYetValid),
        ),
        (
            "expired revocation lists",
            Try::sgx().published(|p| p.revocation_lists_valid = PAST()),
            genuine(Flaw::RevocationListExpired),
        ),
        ("expired certificates", machine_of(*NOW - DAY * 9, *NOW - DAY), genuine(Flaw::CertificateExpired)),
        ("future certificates", machine_of(*NOW + DAY, *NOW + DAY * 9), genuine(Flaw::CertificateNotYetValid)),
        (
            "in ten years",
            Try::sgx().with(|t| t.at_secs = secs(*NOW + DAY * 3653)),
            genuine(Flaw::RevocationListExpired),
        ),
        // Quotes that are revoked.
        (
            "a revoked platform",
            Try::sgx().published(|p| p.revoked = Some(Revoked::Platform)),
            genuine(Flaw::CertificateRevoked),
        ),
        (
            "a revoked authority",
            Try::sgx().published(|p| p.revoked = Some(Revoked::PlatformAuthority)),
            genuine(Flaw::CertificateRevoked),
        ),
        (
            "a revoked signer of collateral",
            Try::sgx().published(|p| p.revoked = Some(Revoked::TcbSigner)),
            genuine(Flaw::CertificateRevoked),
        ),
        ("a revoked TCB", Try::sgx().published(|p| p.tcb_status = "Revoked"), platform(Flaw::Revoked)),
        ("a revoked QE", Try::sgx().published(|p| p.qe_status = "Revoked"), platform(Flaw::Revoked)),
        ("a revoked TDX module", Try::tdx().published(|p| p.module_status = "Revoked"), platform(Flaw::Revoked)),
        // Collateral that is not genuine.
        (
            "no root revocation list",
            Try::sgx().with(|t| t.collateral.root_ca_crl.clear()),
            genuine(Flaw::RootRevocationList),
        ),
        ("no PCK revocation list", Try::sgx().with(|t| t.collateral.pck_crl.clear()), genuine(Flaw::PckRevocationList)),
        (
            "another authority's revocation list",
            Try::sgx().with(|t| t.collateral.pck_crl = other_collateral.pck_crl.clone()),
            genuine(Flaw::RevocationUnknown),
        ),
        (
            "a changed TCB info",
            Try::sgx().with(|t| t.collateral.tcb_info = t.collateral.tcb_info.replace("tcbType\":0", "tcbType\":1")),
            genuine(Flaw::TcbInfoSignature),
        ),
        (
            "a TCB info signed by nobody",
            Try::sgx().with(|t| t.collateral.tcb_info_signature[7] ^= 1),
            genuine(Flaw::TcbInfoSignature),
        ),
        (
            "an unreadable TCB info",
            Try::sgx().with(|t| t.collateral.tcb_info.clear()),
            genuine(Flaw::TcbInfoUnreadable),
        ),
        (
            "a changed QE identity",
            Try::sgx().with(|t| {
                t.collateral.qe_identity = t.collateral.qe_identity.replace("isvprodid\":1", "isvprodid\":2");
            }),
            genuine(Flaw::QeIdentitySignature),
        ),
        (
            "an unreadable QE identity",
            Try::sgx().with(|t| t.collateral.qe_identity = "{}".to_owned()),
            genuine(Flaw::QeIdentityUnreadable),
        ),
        (
            "another signer's chain",
            Try::sgx().with(|t| t.collateral.tcb_info_issuer_chain = other_collateral.tcb_info_issuer_chain.clone()),
            genuine(Flaw::CertificateChain),
        ),
        (
            "a platform's certificate as signer of collateral",
            Try::sgx().with(|t| t.collateral.tcb_info_issuer_chain = t.collateral.pck_crl_issuer_chain.clone()),
            genuine(Flaw::CertificateChain),
        ),
        ("collateral of other processors", Try::sgx().published(|p| p.fmspc = [9; 6]), genuine(Flaw::Fmspc)),
        ("a platform older than all levels", Try::sgx().published(|p| p.least_svn = 2), platform(Flaw::NoTcbLevel)),
        (
            "TDX collateral for SGX",
            Try::sgx().with(|t| t.collateral = tdx_collateral.clone()),
            genuine(Flaw::QeIdentityKind),
        ),
        (
            "a TDX TCB info for SGX",
            Try::sgx().with(|t| {
                t.collateral.tcb_info = tdx_collateral.tcb_info.clone();
                t.collateral.tcb_info_signature = tdx_collateral.tcb_info_signature.clone();
            }),
            genuine(Flaw::TcbInfoKind),
        ),
        // Quoting enclaves and TDX modules that are not genuine.
        ("a debug QE", quoting_enclave(|qe| qe.attributes[0] |= 2), genuine(Flaw::QeDebug)),
        ("another signer's QE", quoting_enclave(|qe| qe.mr_signer = [7; 32]), genuine(Flaw::QeMrSigner)),
        ("another product's QE", quoting_enclave(|qe| qe.isv_prod_id = 7), genuine(Flaw::QeIsvProdId)),
        ("an old QE", quoting_enclave(|qe| qe.isv_svn = 0), genuine(Flaw::QeIsvSvn)),
        ("a QE with other attributes", quoting_enclave(|qe| qe.attributes[0] |= 0x10), genuine(Flaw::QeAttributes)),
        ("another signer's TDX module", domain(|d| d.mr_signer_seam = [7; 48]), platform(Flaw::TdxModuleSigner)),
        ("a TDX module with attributes", domain(|d| d.seam_attributes[0] = 1), platform(Flaw::TdxModuleAttributes)),
        ("an unknown TDX module", domain(|d| d.tee_tcb_svn = Domain::svn(1, 2)), platform(Flaw::TdxModule)),
        (
            "a TDX module older than all levels",
            domain(|d| d.tee_tcb_svn = Domain::svn(0, 1)),
            platform(Flaw::TdxModule),
        ),
        // Environments that keep no secrets.
        ("a debug enclave", enclave(|e| e.attributes[0] |= 2), only(&[NotDebug])),
        ("an enclave with the provisioning key", enclave(|e| e.attributes[0] |= 0x10), only(&[NoProvisionKey])),
        ("an enclave with the EINITTOKEN key", enclave(|e| e.attributes[0] |= 0x20), only(&[NoEinittokenKey])),
        (
            "an enclave with all of them",
            enclave(|e| e.attributes[0] |= 0x32),
            only(&[NotDebug, NoProvisionKey, NoEinittokenKey]),
        ),
        ("a debug domain", domain(|d| d.td_attributes[0] |= 1), only(&[NotDebug])),
        ("a profiled domain", domain(|d| d.td_attributes[0] |= 0x10), only(&[NotDebug])),
        (
            "a domain with a reserved debug bit",
            domain(|d| d.td_attributes[0] |= 2),
            (&[NotDebug, NoReservedAttributes], Some(Flaw::ReservedTdAttributes)),
        ),
        ("a migratable domain", domain(|d| d.td_attributes[3] |= 0x20), (&[NotMigratable], Some(Flaw::Migratable))),
        (
            "a domain with a reserved bit",
            domain(|d| d.td_attributes[5] = 1),
            (&[NoReservedAttributes], Some(Flaw::ReservedTdAttributes)),
        ),
        (
            "a domain that the host can steer",
            domain(|d| d.td_attributes[3] = 0),
            (&[NotSteerable], Some(Flaw::SeptVeDisable)),
        ),
        (
            "a domain with a service domain",
            in_format(Format::V5Td15, |d| d.mr_service_td = [1; 48]),
            only(&[NoServiceTd]),
        ),
        (
            "an extended domain with a service domain",
            in_format(Format::V5Td15Ex, |d| d.td_attributes[2] |= 2),
            only(&[NoServiceTd]),
        ),
        // Measurements that the policy does not pin.
        ("a policy without SGX", Try::sgx().with(|t| t.policy.sgx = None), only(&[Rule::Tee, MrEnclave, TcbStatus])),
        ("a policy without TDX", Try::tdx().with(|t| t.policy.tdx = None), only(&[Rule::Tee, Mrs, TcbStatus])),
        ("no policy", Try::sgx().with(|t| t.policy = Policy::default()), only(&[Rule::Tee, MrEnclave, TcbStatus])),
        ("another enclave", enclave(|e| e.mr_enclave = [7; 32]), only(&[MrEnclave])),
        ("an empty list of enclaves", sgx_policy("mrenclaves: []"), only(&[MrEnclave])),
        ("no list of enclaves", sgx_policy("mrenclaves: ~"), only(&[MrEnclave])),
        (
            "the right signer alone",
            sgx_policy(&format!("mrsigners: [{}]", hex::encode(simulated::mr_signer())))
                .with(|t| t.policy.sgx.as_mut().unwrap().mrenclaves = None),
            only(&[MrEnclave]),
        ),
        ("another signer", sgx_policy(&format!("mrsigners: [{}]", "07".repeat(32))), only(&[MrSigner])),
        ("an empty list of signers", sgx_policy("mrsigners: []"), only(&[MrSigner])),
        ("another product", sgx_policy("isv_prod_ids: [2, 3]"), only(&[IsvProdId])),
        ("an empty list of products", sgx_policy("isv_prod_ids: []"), only(&[IsvProdId])),
        ("an old version", sgx_policy("min_isv_svn: 2"), only(&[IsvSvn])),
        ("another MRTD", domain(|d| d.mr_td = [7; 48]), only(&[Mrs])),
        ("another RTMR0", domain(|d| d.rtmrs[0] = [7; 48]), only(&[Mrs])),
        ("another RTMR1", domain(|d| d.rtmrs[1] = [7; 48]), only(&[Mrs])),
        ("another RTMR2", domain(|d| d.rtmrs[2] = [7; 48]), only(&[Mrs])),
        ("an RTMR3 that has been extended", domain(|d| d.rtmrs[3] = [7; 48]), only(&[Mrs])),
        ("registers in another order", domain(|d| d.rtmrs.swap(0, 1)), only(&[Mrs])),
        ("an empty list of registers", tdx_policy("mrs: []"), only(&[Mrs])),
        (
            "registers of two domains mixed",
            Try::tdx().with(|t| {
                let mrs = t.policy.tdx.as_mut().unwrap().mrs.as_mut().unwrap();
                let (mut first, mut second) = (mrs[0], mrs[0]);
                first[0] = tee_attestation::Hex([7; 48]);
                second[4] = tee_attestation::Hex([7; 48]);
                *mrs = vec![first, second];
            }),
            only(&[Mrs]),
        ),
        ("another TDX module", tdx_policy(&format!("mrseams: [{}]", "07".repeat(48))), only(&[MrSeam])),
        ("an empty list of TDX modules", tdx_policy("mrseams: []"), only(&[MrSeam])),
        ("other TD attributes", tdx_policy("td_attributes: ['0000001000000080']"), only(&[TdAttributes])),
        ("an empty list of TD attributes", tdx_policy("td_attributes: []"), only(&[TdAttributes])),
        // Platforms that the policy does not allow.
        ("software hardening needed", Try::sgx().published(|p| p.tcb_status = "SWHardeningNeeded"), only(&[TcbStatus])),
        ("configuration needed", Try::sgx().published(|p| p.tcb_status = "ConfigurationNeeded"), only(&[TcbStatus])),
        (
            "both needed",
            Try::sgx().published(|p| p.tcb_status = "ConfigurationAndSWHardeningNeeded"),
            only(&[TcbStatus]),
        ),
        ("out of date", Try::sgx().published(|p| p.tcb_status = "OutOfDate"), only(&[TcbStatus])),
        (
            "out of date and configuration needed",
            Try::sgx().published(|p| p.tcb_status = "OutOfDateConfigurationNeeded"),
            only(&[TcbStatus]),
        ),
        ("an outdated QE", Try::sgx().published(|p| p.qe_status = "OutOfDate"), only(&[TcbStatus])),
        ("an outdated TDX module", Try::tdx().published(|p| p.module_status = "OutOfDate"), only(&[TcbStatus])),
        ("an empty list of statuses", sgx_policy("allowed_tcb_levels: []"), only(&[TcbStatus])),
        ("another status than the allowed one", sgx_policy("allowed_tcb_levels: [OutOfDate]"), only(&[TcbStatus])),
        ("an advisory", Try::sgx().published(|p| p.advisories = vec!["INTEL-SA-00001"]), only(&[Advisories])),
        (
            "an advisory beside an allowed one",
            sgx_policy("allowed_advisory_ids: [INTEL-SA-00001]")
                .published(|p| p.advisories = vec!["INTEL-SA-00001", "INTEL-SA-00002"]),
            only(&[Advisories]),
        ),
        (
            "an advisory that is refused by name",
            sgx_policy("allowed_advisory_ids: any")
                .with(|t| {
                    t.policy.sgx.as_mut().unwrap().refused_advisory_ids = vec!["intel-sa-00002".to_owned()];
                })
                .published(|p| p.advisories = vec!["INTEL-SA-00001", "INTEL-SA-00002"]),
            only(&[Advisories]),
        ),
        (
            "collateral too old for the policy",
            Try::sgx().with(|t| t.policy = policy("top: max_collateral_age_secs: 3599")),
            only(&[CollateralAge]),
        ),
        ("other features", tdx_policy("xfams: [e700060000000000]"), only(&[Xfam])),
        ("another owner's domain", tdx_policy(&owner_pins("07")), only(&[MrConfigId, MrOwner, MrOwnerConfig])),
        // Quotes that do not name the key.
        ("another key", Try::sgx().with(|t| t.key.address = [1; 20]), only(&[Rule::Key])),
        (
            "another public key",
            Try::of(MACHINE.quote(&ReportData::V0 { public_key: OTHER_PUBLIC_KEY }).unwrap(), &Publication::default()),
            only(&[Rule::Key]),
        ),
        ("report data of zeros", report_data(|data| *data = [0; 64]), only(&[Rule::ReportData, Rule::Key])),
        (
            "a hash and zeros",
            report_data(|data| {
                *data = [0; 64];
                data[..32].fill(0x5a);
            }),
            only(&[Rule::ReportData, Rule::Key]),
        ),
        ("the zero address", report_data(|data| data[..20].fill(0)), only(&[Rule::ReportData, Rule::Key])),
        ("a name of version 2", report_data(|data| data[63] = 2), only(&[Rule::ReportData, Rule::Key])),
        ("a name of version 255", report_data(|data| data[63] = 255), only(&[Rule::ReportData, Rule::Key])),
        ("an address with something behind it", report_data(|data| data[20] = 1), only(&[Rule::ReportData, Rule::Key])),
        ("padding that ends in something", report_data(|data| data[62] = 1), only(&[Rule::ReportData, Rule::Key])),
        ("all ones", report_data(|data| *data = [0xff; 64]), only(&[Rule::ReportData, Rule::Key])),
        (
            "a public key with something behind it",
            report_data(|data| (data[40], data[63]) = (1, 0)),
            only(&[Rule::ReportData, Rule::Key]),
        ),
    ]
}

#[test]
fn what_is_in_order_is_accepted() {
    let v0 = Try::of(MACHINE.quote(&ReportData::V0 { public_key: KEY.public_key }).unwrap(), &Publication::default());
    let mut accepted = vec![
        ("an SGX quote", Try::sgx()),
        ("a public key instead of an address", v0),
        ("a quote with padding", Try::tdx().with(|t| t.quote.resize(8000, 0))),
        ("collateral as old as allowed", Try::sgx().with(|t| t.policy = policy("top: max_collateral_age_secs: 3600"))),
        ("a signer, a product and a version beside", {
            let signer = hex::encode(simulated::mr_signer());
            sgx_policy(&format!("mrsigners: [{signer}]")).with(|t| {
                let sgx = t.policy.sgx.as_mut().unwrap();
                sgx.isv_prod_ids = Some(vec![1]);
                sgx.min_isv_svn = Some(1);
            })
        }),
        ("a TDX module beside", tdx_policy(&format!("mrseams: ['{}']", "5E".repeat(48)))),
        ("TD attributes beside", tdx_policy("td_attributes: ['0000001000000000']")),
        ("XFAM beside", tdx_policy("xfams: [e702060000000000]")),
        ("what the owner says beside", tdx_policy(&owner_pins("00"))),
        (
            "an allowed advisory",
            sgx_policy("allowed_advisory_ids: [INTEL-SA-00001]").published(|p| p.advisories = vec!["INTEL-SA-00001"]),
        ),
    ];
    for format in [Format::V4, Format::V5Td10, Format::V5Td15, Format::V5Td15Ex] {
        accepted.push(("a TDX quote", in_format(format, |_| ())));
    }
    for status in [
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
    ] {
        let allowing = sgx_policy(&format!("allowed_tcb_levels: [{status}]"));
        accepted.push((status, allowing.published(|p| p.tcb_status = status)));
    }
    for (name, tried) in accepted {
        let verdict = tried.judge();
        assert!(verdict.passed(), "{name}: {verdict}");
        let attested = verdict.attested_key().unwrap();
        assert!(attested.is(&KEY.public_key, &KEY.address), "{name}");
        assert_eq!(attested.judged_at_secs(), secs(*NOW), "{name}");
    }
}

#[test]
fn each_of_these_is_refused_for_its_own_reason() {
    let cases = cases();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for (name, tried, (rules, flaw)) in cases {
        let verdict = tried.judge();
        assert!(!verdict.passed(), "{name}: {verdict}");
        assert!(verdict.attested_key().is_none(), "{name}");
        // The rules about what only a genuine quote shows fail with it.
        let reasons: Vec<_> =
            verdict.failures().filter(|check| !check.found.starts_with("unknown")).map(|check| check.rule).collect();
        let found = verdict.checks().iter().find_map(|check| check.flaw);
        if reasons != rules || found != flaw {
            let words = verdict.refusal();
            wrong.push(format!("{name}: {reasons:?} {found:?} where {rules:?} {flaw:?} is expected: {words}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_relaunch_is_advised_where_only_the_module_at_launch_is_out_of_date() {
    // The module's level needs ISVSVN 1, and nothing older has a level. The platform's status distinguishes the two.
    let current = in_format(Format::V5Td15, |d| d.tee_tcb_svn2 = Domain::svn(0, 1));
    let verdict = current.judge();
    assert_eq!(verdict.checks().iter().find_map(|check| check.flaw), Some(Flaw::TdxModule), "{verdict}");
}

#[test]
fn any_byte_changed_at_random_is_refused_or_meaningless() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    for base in [Try::sgx(), Try::tdx(), in_format(Format::V5Td15Ex, |_| ())] {
        let honest = base.judge();
        assert!(honest.passed());
        for _ in 0..400 {
            let mut quote = base.quote.clone();
            for _ in 0..=random(3) {
                let at = random(quote.len());
                quote[at] = random(256) as u8;
            }
            quote.truncate(quote.len() - if random(8) == 0 { random(200) } else { 0 });
            let Try { collateral, root, policy, at_secs, .. } = &base;
            let verdict = judge(&Case { quote: &quote, collateral, root, policy, key: Some(KEY), at_secs: *at_secs });
            // The root's own certificate in the quote's chain is not examined; everything else is.
            if verdict.passed() {
                assert_eq!(verdict.claims(), honest.claims());
                assert_eq!(verdict.attested_key(), honest.attested_key());
            }
        }
    }
}
