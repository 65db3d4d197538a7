//! SGX under Gramine (Gramine's documentation, "Attestation and Secret Provisioning", "Low-level /dev/attestation
//! interface"). Opening `quote` makes the quote, over the content of `user_report_data` at that time. The files belong to
//! this process only, so nobody else can write in between.

use std::path::Path;

use super::{MAX_QUOTE_BYTES, PlatformError, REPORT_DATA_BYTES, read, read_word, write};

pub(super) const FOLDER: &str = "/dev/attestation";

pub(super) fn quote(folder: &Path, report_data: &[u8; REPORT_DATA_BYTES]) -> Result<Vec<u8>, PlatformError> {
    let found = read_word(&folder.join("attestation_type"))?;
    if found != "dcap" {
        return Err(PlatformError::NotDcap { found });
    }
    write(&folder.join("user_report_data"), report_data)?;
    read(&folder.join("quote"), MAX_QUOTE_BYTES)
}
