//! Judging: quotes, collateral and policies from outside, each with valid ones of the other two.

use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use tee_attestation::{
    Case, Collateral, Hex, Key, Policy, Quote, Report, ReportData, TrustedRoot, judge as verdict,
    simulated::{self, Platform},
};

const KEY: Key = Key { public_key: [2; 33], address: [0xab; 20] };

/// A valid case: a simulated platform and what belongs to it.
struct World {
    quotes: [Vec<u8>; 2],
    collateral: Collateral,
    root: TrustedRoot,
    policy: Policy,
    at_secs: u64,
}

/// One per process, because each process makes new keys.
static WORLD: LazyLock<World> = LazyLock::new(|| {
    let now = SystemTime::now();
    let platform = Platform::new(now).expect("a platform can be simulated");
    let quote = |name| platform.quote(&name).expect("it quotes");
    World {
        quotes: [quote(ReportData::V1 { address: KEY.address }), quote(ReportData::V0 { public_key: KEY.public_key })],
        collateral: platform.collateral().expect("it publishes"),
        root: TrustedRoot::danger_other(platform.root_certificate().expect("it has one")),
        policy: Policy::from_yaml(&policy_yaml()).expect("it is a policy"),
        at_secs: now.duration_since(UNIX_EPOCH).expect("now is after 1970").as_secs(),
    }
});

impl World {
    fn accepts(&self, quote: &[u8], collateral: &Collateral, policy: &Policy) -> bool {
        let (root, at_secs) = (&self.root, self.at_secs);
        verdict(&Case { quote, collateral, root, policy, key: Some(KEY), at_secs }).passed()
    }
}

/// A quote. It is accepted only if it is genuine, comes from the right enclave, and names the key.
pub fn judge(data: &[u8]) {
    if !WORLD.accepts(data, &WORLD.collateral, &WORLD.policy) {
        return;
    }
    let quote = Quote::parse(data).expect("what is accepted can be read");
    let Report::Sgx(report) = quote.report() else { panic!("accepted without a policy for TDX") };
    assert_eq!(report.mr_enclave, simulated::mr_enclave());
    let named = [ReportData::V1 { address: KEY.address }, ReportData::V0 { public_key: KEY.public_key }];
    assert!(named.iter().any(|name| name.to_bytes() == report.report_data));
}

/// Collateral. Signed collateral is accepted only if it is the platform's own.
pub fn collateral(data: &[u8]) {
    let Ok(collateral) = Collateral::from_json(data) else { return };
    let json = serde_json::to_vec(&collateral).expect("collateral is JSON");
    assert_eq!(Collateral::from_json(&json).as_ref(), Ok(&collateral));
    let _ = (collateral.tcb_info_head(), collateral.issued_at_secs(), collateral.next_update_secs());
    if WORLD.accepts(&WORLD.quotes[0], &collateral, &WORLD.policy) {
        assert_eq!(collateral.tcb_info, WORLD.collateral.tcb_info);
        assert_eq!(collateral.qe_identity, WORLD.collateral.qe_identity);
    }
}

/// A policy, which accepts no enclave that it does not name.
pub fn policy(data: &[u8]) {
    let Ok(yaml) = std::str::from_utf8(data) else { return };
    let Ok(policy) = Policy::from_yaml(yaml) else { return };
    assert!(policy.sgx.is_some() || policy.tdx.is_some());
    if WORLD.accepts(&WORLD.quotes[0], &WORLD.collateral, &policy) {
        let named = policy.sgx.and_then(|sgx| sgx.mrenclaves).expect("it names enclaves");
        assert!(named.contains(&Hex(simulated::mr_enclave())));
    }
}

fn policy_yaml() -> String {
    format!("sgx: {{mrenclaves: [{}]}}\n", hex::encode(simulated::mr_enclave()))
}

pub(crate) fn quote_seeds() -> Vec<Vec<u8>> {
    assert!(WORLD.quotes.iter().all(|quote| WORLD.accepts(quote, &WORLD.collateral, &WORLD.policy)));
    WORLD.quotes.to_vec()
}

pub(crate) fn collateral_seeds() -> Vec<Vec<u8>> {
    vec![serde_json::to_vec(&WORLD.collateral).expect("collateral is JSON")]
}

pub(crate) fn policy_seeds() -> Vec<Vec<u8>> {
    let all = format!(
        "max_collateral_age_secs: 2592000
sgx:
  mrenclaves: [\"{enclave}\"]
  mrsigners: [\"{signer}\"]
  isv_prod_ids: [0, 7]
  min_isv_svn: 0
  allowed_tcb_levels: [Ok, UpToDate, SWHardeningNeeded, TDRelaunchAdvised]
  allowed_advisory_ids: any
  refused_advisory_ids: [INTEL-SA-00615]
tdx:
  mrs: [[\"{mr}\", \"{mr}\", \"{mr}\", \"{mr}\", \"{mr}\"]]
  mrseams: [\"{mr}\"]
  td_attributes: [\"0000001000000000\"]
  allowed_advisory_ids: [INTEL-SA-00615]
",
        enclave = hex::encode(simulated::mr_enclave()),
        signer = hex::encode(simulated::mr_signer()),
        mr = "ab".repeat(48),
    );
    let seeds = [policy_yaml(), all];
    assert!(seeds.iter().all(|yaml| Policy::from_yaml(yaml).is_ok()));
    seeds.map(String::into_bytes).to_vec()
}
