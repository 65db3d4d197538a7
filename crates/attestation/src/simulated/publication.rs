//! What Intel's Provisioning Certification Service would publish about the simulated platform (Intel, "PCS API", version 4).

use std::time::SystemTime;

use p256::ecdsa::{Signature, signature::Signer};
use x509_cert::{
    der::{self, DateTime},
    time::Validity,
};

use super::{
    CPU_SVN, Enclave, FMSPC, PCE_ID, PCE_SVN, PCK_CA_SERIAL, PCK_SERIAL, Platform, SimulationError, TCB_SIGNER_SERIAL,
    certificates::pem_chain, time,
};
use crate::{collateral::Collateral, quote::Tee};

/// The content of a publication. By default the platform's SGX is up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The kind of environment that it is about.
    pub tee: Tee,
    /// Status of the platform's security versions, as Intel names it.
    pub tcb_status: &'static str,
    /// Advisories of the platform.
    pub advisories: Vec<&'static str>,
    /// The lowest security version of each component that has a status at all. The platform's is 1.
    pub least_svn: u8,
    /// The family of processors that it is for.
    pub fmspc: [u8; 6],
    /// Status of the quoting enclave's security version.
    pub qe_status: &'static str,
    /// The required quoting enclave.
    pub quoting_enclave: Enclave,
    /// Status of the TDX module's security version.
    pub module_status: &'static str,
    /// MRSIGNERSEAM that the TDX module must have.
    pub module_signer: [u8; 48],
    /// When the TCB info is valid; by default as long as the platform.
    pub tcb_info_valid: Option<(SystemTime, SystemTime)>,
    /// When the QE identity is valid.
    pub qe_identity_valid: Option<(SystemTime, SystemTime)>,
    /// When the revocation lists are valid.
    pub revocation_lists_valid: Option<(SystemTime, SystemTime)>,
    /// What has been revoked.
    pub revoked: Option<Revoked>,
}

/// A certificate that has been revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// The platform's.
    Platform,
    /// That of the authority that issues platforms' certificates.
    PlatformAuthority,
    /// That of the signer of TCB info and QE identity.
    TcbSigner,
}

impl Default for Publication {
    fn default() -> Self {
        Self {
            tee: Tee::Sgx,
            tcb_status: "UpToDate",
            advisories: Vec::new(),
            least_svn: 1,
            fmspc: FMSPC,
            qe_status: "UpToDate",
            quoting_enclave: Enclave::quoting(),
            module_status: "UpToDate",
            module_signer: [0; 48],
            tcb_info_valid: None,
            qe_identity_valid: None,
            revocation_lists_valid: None,
            revoked: None,
        }
    }
}

impl Publication {
    /// The default for TDX.
    pub fn tdx() -> Self {
        Self { tee: Tee::Tdx, ..Self::default() }
    }

    pub(super) fn collateral(&self, platform: &Platform) -> Result<Collateral, SimulationError> {
        let tcb_info = self.tcb_info(window(platform, self.tcb_info_valid)?)?;
        let qe_identity = self.qe_identity(window(platform, self.qe_identity_valid)?)?;
        let lists = window(platform, self.revocation_lists_valid)?;
        let (by_root, by_authority): (&[u8], &[u8]) = match self.revoked {
            None => (&[], &[]),
            Some(Revoked::Platform) => (&[], &[PCK_SERIAL]),
            Some(Revoked::PlatformAuthority) => (&[PCK_CA_SERIAL], &[]),
            Some(Revoked::TcbSigner) => (&[TCB_SIGNER_SERIAL], &[]),
        };
        let signer = &platform.tcb_signer;
        let signer_chain = pem_chain([signer, &platform.root])?;
        let sign = |text: &str| {
            let signature: Signature = signer.key.sign(text.as_bytes());
            signature.to_vec()
        };
        Ok(Collateral {
            pck_crl_issuer_chain: pem_chain([&platform.pck_ca, &platform.root])?,
            root_ca_crl: platform.root.revocation_list(lists, by_root)?,
            pck_crl: platform.pck_ca.revocation_list(lists, by_authority)?,
            tcb_info_issuer_chain: signer_chain.clone(),
            tcb_info_signature: sign(&tcb_info),
            tcb_info,
            qe_identity_issuer_chain: signer_chain,
            qe_identity_signature: sign(&qe_identity),
            qe_identity,
            pck_certificate_chain: None,
        })
    }

    fn tcb_info(&self, valid: Validity) -> Result<String, SimulationError> {
        let (issue_date, next_update) = dates(valid)?;
        let components = components(self.least_svn);
        let (id, tdx_levels, tdx_module) = match self.tee {
            Tee::Sgx => ("SGX", String::new(), String::new()),
            Tee::Tdx => ("TDX", format!(r#""tdxtcbcomponents":[{components}],"#), self.tdx_module(&issue_date)),
        };
        Ok(format!(
            concat!(
                r#"{{"id":"{id}","version":3,"issueDate":"{issue_date}","nextUpdate":"{next_update}","#,
                r#""fmspc":"{fmspc}","pceId":"{pce_id}","tcbType":0,"tcbEvaluationDataNumber":1,{tdx_module}"tcbLevels":["#,
                r#"{{"tcb":{{"sgxtcbcomponents":[{components}],{tdx_levels}"pcesvn":{pce_svn}}},"#,
                r#""tcbDate":"{issue_date}","tcbStatus":"{status}","advisoryIDs":[{advisories}]}}]}}"#,
            ),
            id = id,
            issue_date = issue_date,
            next_update = next_update,
            fmspc = hex::encode_upper(self.fmspc),
            pce_id = hex::encode_upper(PCE_ID),
            tdx_module = tdx_module,
            components = components,
            tdx_levels = tdx_levels,
            pce_svn = PCE_SVN,
            status = self.tcb_status,
            advisories = self.advisories.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(","),
        ))
    }

    fn tdx_module(&self, issue_date: &DateTime) -> String {
        format!(
            concat!(
                r#""tdxModule":{{"mrsigner":"{signer}","attributes":"{zeros}","attributesMask":"{mask}"}},"#,
                r#""tdxModuleIdentities":[{{"id":"TDX_01","mrsigner":"{signer}","attributes":"{zeros}","#,
                r#""attributesMask":"{mask}","tcbLevels":[{{"tcb":{{"isvsvn":1}},"tcbDate":"{issue_date}","#,
                r#""tcbStatus":"{status}"}}]}}],"#,
            ),
            signer = hex::encode_upper(self.module_signer),
            zeros = "00".repeat(8),
            mask = "FF".repeat(8),
            issue_date = issue_date,
            status = self.module_status,
        )
    }

    fn qe_identity(&self, valid: Validity) -> Result<String, SimulationError> {
        let (issue_date, next_update) = dates(valid)?;
        let enclave = &self.quoting_enclave;
        Ok(format!(
            concat!(
                r#"{{"id":"{id}","version":2,"issueDate":"{issue_date}","nextUpdate":"{next_update}","#,
                r#""tcbEvaluationDataNumber":1,"miscselect":"00000000","miscselectMask":"FFFFFFFF","#,
                r#""attributes":"{attributes}","attributesMask":"{mask}","mrsigner":"{mr_signer}","#,
                r#""isvprodid":{isv_prod_id},"tcbLevels":["#,
                r#"{{"tcb":{{"isvsvn":{isv_svn}}},"tcbDate":"{issue_date}","tcbStatus":"{status}"}}]}}"#,
            ),
            id = match self.tee {
                Tee::Sgx => "QE",
                Tee::Tdx => "TD_QE",
            },
            issue_date = issue_date,
            next_update = next_update,
            attributes = hex::encode_upper(enclave.attributes),
            mask = "FF".repeat(16),
            mr_signer = hex::encode_upper(enclave.mr_signer),
            isv_prod_id = enclave.isv_prod_id,
            isv_svn = enclave.isv_svn,
            status = self.qe_status,
        ))
    }
}

fn components(least_svn: u8) -> String {
    vec![format!(r#"{{"svn":{least_svn}}}"#); CPU_SVN.len()].join(",")
}

fn window(platform: &Platform, other: Option<(SystemTime, SystemTime)>) -> Result<Validity, SimulationError> {
    match other {
        None => Ok(platform.valid),
        Some((from, until)) => Ok(Validity { not_before: time(from)?, not_after: time(until)? }),
    }
}

fn dates(valid: Validity) -> Result<(DateTime, DateTime), der::Error> {
    let date = |time: x509_cert::time::Time| DateTime::from_unix_duration(time.to_unix_duration());
    Ok((date(valid.not_before)?, date(valid.not_after)?))
}
