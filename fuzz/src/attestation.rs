//! Quotes, and the report data in them.

use std::time::SystemTime;

use tee_attestation::{
    Quote, REPORT_DATA_BYTES, ReportData,
    simulated::{self, Platform},
};

/// A quote of any version.
pub fn quote(data: &[u8]) {
    let Ok(quote) = Quote::parse(data) else { return };
    assert!((3..=5).contains(&quote.version()));
    let _ = (quote.tee(), quote.is_debug());
    if let Ok(report_data) = quote.report_data() {
        assert_eq!(ReportData::parse(&report_data.to_bytes()), Ok(report_data));
    }
}

/// The 64 bytes of report data: each name has one layout.
pub fn report_data(data: &[u8]) {
    let Some(bytes) = data.first_chunk::<REPORT_DATA_BYTES>() else { return };
    if let Ok(report_data) = ReportData::parse(bytes) {
        assert_eq!(report_data.to_bytes(), *bytes);
    }
}

const REPORT_DATA: [ReportData; 2] = [ReportData::V0 { public_key: [2; 33] }, ReportData::V1 { address: [0xab; 20] }];

pub(crate) fn quote_seeds() -> Vec<Vec<u8>> {
    let platform = Platform::new(SystemTime::now()).expect("a platform can be simulated");
    let sgx = platform.quote(&REPORT_DATA[1]).expect("it quotes");
    // The layouts of TDX, version 4 and version 5 with each body: header, body, no signature.
    let header = |version: u16| [&version.to_le_bytes()[..], &[2, 0, 0x81, 0, 0, 0], &[0; 40]].concat();
    let body = |bytes: usize| [vec![0; 520], REPORT_DATA[0].to_bytes().to_vec(), vec![0; bytes - 584]].concat();
    let described = |kind: u16, bytes: usize| {
        [header(5), kind.to_le_bytes().to_vec(), (bytes as u32).to_le_bytes().to_vec(), body(bytes), vec![0; 4]]
            .concat()
    };
    vec![
        sgx,
        [header(4), body(584), vec![0; 4]].concat(),
        described(2, 584),
        described(3, 648),
        described(4, 885),
        simulated::mr_enclave().to_vec(),
    ]
}

pub(crate) fn report_data_seeds() -> Vec<Vec<u8>> {
    REPORT_DATA.iter().map(|data| data.to_bytes().to_vec()).collect()
}
