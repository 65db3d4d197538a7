//! The processor's reports about an enclave or a domain.

use super::{CPU_SVN, mr_enclave, mr_signer};
use crate::report_data::REPORT_DATA_BYTES;

/// A simulated enclave. The default is the simulated prover's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enclave {
    /// ATTRIBUTES: 8 bytes of flags, 8 bytes of XFRM.
    pub attributes: [u8; 16],
    /// MRENCLAVE.
    pub mr_enclave: [u8; 32],
    /// MRSIGNER.
    pub mr_signer: [u8; 32],
    /// ISVPRODID.
    pub isv_prod_id: u16,
    /// ISVSVN.
    pub isv_svn: u16,
}

/// A simulated domain. The default is the simulated prover's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// TEE_TCB_SVN of the TDX module: the first byte is its version's number, the second the version.
    pub tee_tcb_svn: [u8; 16],
    /// MRSEAM.
    pub mr_seam: [u8; 48],
    /// MRSIGNERSEAM: zeros for Intel.
    pub mr_signer_seam: [u8; 48],
    /// SEAMATTRIBUTES.
    pub seam_attributes: [u8; 8],
    /// TDATTRIBUTES.
    pub td_attributes: [u8; 8],
    /// XFAM.
    pub xfam: [u8; 8],
    /// MRTD.
    pub mr_td: [u8; 48],
    /// MRCONFIGID.
    pub mr_config_id: [u8; 48],
    /// MROWNER.
    pub mr_owner: [u8; 48],
    /// MROWNERCONFIG.
    pub mr_owner_config: [u8; 48],
    /// RTMR0 to RTMR3.
    pub rtmrs: [[u8; 48]; 4],
    /// TEE_TCB_SVN2 of the TDX module that runs now, in the bodies that have it.
    pub tee_tcb_svn2: [u8; 16],
    /// MRSERVICETD, in the bodies that have it.
    pub mr_service_td: [u8; 48],
}

/// The layout of a TDX quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Version 4.
    V4,
    /// Version 5 with the body of TDX 1.0.
    V5Td10,
    /// Version 5 with the body of TDX 1.5.
    V5Td15,
    /// Version 5 with the extended body of TDX 1.5.
    V5Td15Ex,
}

impl Default for Enclave {
    fn default() -> Self {
        Self {
            // INIT and MODE64BIT; XFRM with x87 and SSE. Without DEBUG, so that simulated quotes pass the same policy as real ones.
            attributes: [5, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0],
            mr_enclave: mr_enclave(),
            mr_signer: mr_signer(),
            isv_prod_id: 1,
            isv_svn: 1,
        }
    }
}

impl Default for Domain {
    fn default() -> Self {
        Self {
            tee_tcb_svn: Self::svn(1, 1),
            mr_seam: [0x5e; 48],
            mr_signer_seam: [0; 48],
            seam_attributes: [0; 8],
            // SEPT_VE_DISABLE: without it the host can steer the domain by exceptions.
            td_attributes: [0, 0, 0, 0x10, 0, 0, 0, 0],
            xfam: [0xe7, 0x02, 0x06, 0, 0, 0, 0, 0],
            mr_td: [0x7d; 48],
            mr_config_id: [0; 48],
            mr_owner: [0; 48],
            mr_owner_config: [0; 48],
            rtmrs: [[0xa0; 48], [0xa1; 48], [0xa2; 48], [0xa3; 48]],
            tee_tcb_svn2: Self::svn(1, 1),
            mr_service_td: [0; 48],
        }
    }
}

impl Enclave {
    /// The simulated platform's quoting enclave.
    pub fn quoting() -> Self {
        Self { mr_enclave: [0; 32], ..Self::default() }
    }

    /// `sgx_report_body_t`, 384 bytes.
    pub(super) fn report(&self, report_data: &[u8; REPORT_DATA_BYTES]) -> Vec<u8> {
        let mut report = Vec::with_capacity(384);
        report.extend(CPU_SVN);
        report.extend([0; 4]); // MISCSELECT
        report.extend([0; 28]);
        report.extend(self.attributes);
        report.extend(self.mr_enclave);
        report.extend([0; 32]);
        report.extend(self.mr_signer);
        report.extend([0; 96]);
        report.extend(self.isv_prod_id.to_le_bytes());
        report.extend(self.isv_svn.to_le_bytes());
        report.extend([0; 60]);
        report.extend(report_data);
        report
    }
}

impl Domain {
    /// A TEE_TCB_SVN of a TDX module with this version.
    pub fn svn(module_isv_svn: u8, module_version: u8) -> [u8; 16] {
        let mut svn = [1; 16];
        let [isv_svn, version, ..] = &mut svn;
        (*isv_svn, *version) = (module_isv_svn, module_version);
        svn
    }

    /// `sgx_report2_body_t`, 584 bytes, or one of the longer ones; in version 5 preceded by its type and size.
    pub(super) fn report(&self, format: Format, report_data: &[u8; REPORT_DATA_BYTES]) -> Vec<u8> {
        let mut body = Vec::with_capacity(1024);
        body.extend(self.tee_tcb_svn);
        body.extend(self.mr_seam);
        body.extend(self.mr_signer_seam);
        body.extend(self.seam_attributes);
        body.extend(self.td_attributes);
        body.extend(self.xfam);
        body.extend(self.mr_td);
        body.extend(self.mr_config_id);
        body.extend(self.mr_owner);
        body.extend(self.mr_owner_config);
        body.extend(self.rtmrs.as_flattened());
        body.extend(report_data);
        let body_type: u16 = match format {
            Format::V4 => return body,
            Format::V5Td10 => 2,
            Format::V5Td15 => 3,
            Format::V5Td15Ex => 4,
        };
        if format != Format::V5Td10 {
            body.extend(self.tee_tcb_svn2);
            body.extend(self.mr_service_td);
        }
        if format == Format::V5Td15Ex {
            body.extend([0; 237]);
        }
        let mut described = body_type.to_le_bytes().to_vec();
        described.extend((body.len() as u32).to_le_bytes());
        described.extend(body);
        described
    }
}

impl Format {
    pub(super) fn version(self) -> u16 {
        match self {
            Self::V4 => 4,
            Self::V5Td10 | Self::V5Td15 | Self::V5Td15Ex => 5,
        }
    }
}
