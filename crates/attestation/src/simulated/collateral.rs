//! What Intel's Provisioning Certification Service would publish about the simulated platform (Intel, "PCS API", version 4).

use super::{
    ATTRIBUTES, CPU_SVN, FMSPC, ISV_PROD_ID, ISV_SVN, PCE_ID, PCE_SVN, Platform, SimulationError,
    certificates::pem_chain, mr_signer,
};
use p256::ecdsa::{Signature, signature::Signer};
use std::fmt::Write;

use crate::collateral::Collateral;
use x509_cert::der::DateTime;

impl Collateral {
    pub(super) fn of(platform: &Platform) -> Result<Self, SimulationError> {
        let issue_date = date(platform.valid.not_before)?;
        let next_update = date(platform.valid.not_after)?;
        let tcb_info = tcb_info(&issue_date, &next_update);
        let qe_identity = qe_identity(&issue_date, &next_update);
        let signer = &platform.tcb_signer;
        let signer_chain = pem_chain([signer, &platform.root])?;
        let sign = |text: &str| {
            let signature: Signature = signer.key.sign(text.as_bytes());
            signature.to_vec()
        };
        Ok(Self {
            pck_crl_issuer_chain: pem_chain([&platform.pck_ca, &platform.root])?,
            root_ca_crl: platform.root.revocation_list(platform.valid)?,
            pck_crl: platform.pck_ca.revocation_list(platform.valid)?,
            tcb_info_issuer_chain: signer_chain.clone(),
            tcb_info_signature: sign(&tcb_info),
            tcb_info,
            qe_identity_issuer_chain: signer_chain,
            qe_identity_signature: sign(&qe_identity),
            qe_identity,
            pck_certificate_chain: None,
        })
    }
}

fn tcb_info(issue_date: &DateTime, next_update: &DateTime) -> String {
    let components: Vec<_> = CPU_SVN.iter().map(|svn| format!(r#"{{"svn":{svn}}}"#)).collect();
    format!(
        concat!(
            r#"{{"id":"SGX","version":3,"issueDate":"{issue_date}","nextUpdate":"{next_update}","#,
            r#""fmspc":"{fmspc}","pceId":"{pce_id}","tcbType":0,"tcbEvaluationDataNumber":1,"tcbLevels":["#,
            r#"{{"tcb":{{"sgxtcbcomponents":[{components}],"pcesvn":{pce_svn}}},"#,
            r#""tcbDate":"{issue_date}","tcbStatus":"UpToDate"}}]}}"#,
        ),
        issue_date = issue_date,
        next_update = next_update,
        fmspc = hex(&FMSPC),
        pce_id = hex(&PCE_ID),
        components = components.join(","),
        pce_svn = PCE_SVN,
    )
}

fn qe_identity(issue_date: &DateTime, next_update: &DateTime) -> String {
    format!(
        concat!(
            r#"{{"id":"QE","version":2,"issueDate":"{issue_date}","nextUpdate":"{next_update}","#,
            r#""tcbEvaluationDataNumber":1,"miscselect":"00000000","miscselectMask":"FFFFFFFF","#,
            r#""attributes":"{attributes}","attributesMask":"{mask}","mrsigner":"{mr_signer}","#,
            r#""isvprodid":{isv_prod_id},"tcbLevels":["#,
            r#"{{"tcb":{{"isvsvn":{isv_svn}}},"tcbDate":"{issue_date}","tcbStatus":"UpToDate"}}]}}"#,
        ),
        issue_date = issue_date,
        next_update = next_update,
        attributes = hex(&ATTRIBUTES),
        mask = hex(&[0xff; 16]),
        mr_signer = hex(&mr_signer()),
        isv_prod_id = ISV_PROD_ID,
        isv_svn = ISV_SVN,
    )
}

fn date(time: x509_cert::time::Time) -> Result<DateTime, x509_cert::der::Error> {
    DateTime::from_unix_duration(time.to_unix_duration())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}
