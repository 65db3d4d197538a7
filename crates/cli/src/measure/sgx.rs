//! `teectl measure sgx`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use tee_attestation::measure::{Debugging, SIGSTRUCT_BYTES, Sigstruct};
use tee_checker::read;

use crate::exit::{self, Exit};

pub(super) const EXAMPLES: &str = "Examples:
  teectl measure sgx tee-prover-gateway.sig > policy.yaml";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// An enclave's SIGSTRUCT: 1808 bytes, as signing tools write them (Gramine: the .sig file).
    file: PathBuf,
    /// Also measure an enclave that may start with DEBUG: whoever starts it that way can read its keys. Its quotes are
    /// then refused, whatever the policy says.
    #[arg(long)]
    danger_debug: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    let sigstruct = match read_sigstruct(&args.file) {
        Ok(sigstruct) => sigstruct,
        Err(error) => return Ok(exit::unreadable(&error)),
    };
    if sigstruct.debugging() != Debugging::Refused && !args.danger_debug {
        bail!(
            "DEBUG is {}: whoever starts this enclave can read its keys. Sign it with the attribute cleared and \
             covered by the mask (Gramine: sgx.debug = false)",
            debugging(&sigstruct)
        );
    }
    if args.json {
        let object: Map<_, _> =
            claims(&sigstruct).into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
        println!("{}", Value::Object(object));
        return Ok(Exit::Success);
    }
    for (name, value) in claims(&sigstruct) {
        println!("# {name:<14} {value}");
    }
    println!("# The signature is valid, but it only shows who signed: compare MRENCLAVE with your own build.");
    println!("{}", policy(&sigstruct));
    Ok(Exit::Success)
}

fn read_sigstruct(path: &Path) -> Result<Sigstruct> {
    Sigstruct::parse(&read(path, SIGSTRUCT_BYTES)?).with_context(|| path.display().to_string())
}

fn claims(sigstruct: &Sigstruct) -> Vec<(&'static str, String)> {
    vec![
        ("MRENCLAVE", hex::encode(sigstruct.mr_enclave)),
        ("MRSIGNER", hex::encode(sigstruct.mr_signer)),
        ("ISVPRODID", sigstruct.isv_prod_id.to_string()),
        ("ISVSVN", sigstruct.isv_svn.to_string()),
        ("ATTRIBUTES", hex::encode(sigstruct.attributes)),
        ("ATTRIBUTEMASK", hex::encode(sigstruct.attribute_mask)),
        ("MISCSELECT", format!("{:08x}", sigstruct.misc_select)),
        ("MISCMASK", format!("{:08x}", sigstruct.misc_mask)),
        ("VENDOR", format!("{:08x}", sigstruct.vendor)),
        ("DATE", format!("{:08x}", sigstruct.date)),
        ("DEBUG", debugging(sigstruct).to_owned()),
    ]
}

fn debugging(sigstruct: &Sigstruct) -> &'static str {
    match sigstruct.debugging() {
        Debugging::Refused => "refused",
        Debugging::Allowed => "allowed",
        Debugging::Required => "required",
    }
}

fn policy(sigstruct: &Sigstruct) -> String {
    format!(
        "sgx:\n  mrenclaves: [{}]\n  mrsigners: [{}]\n  isv_prod_ids: [{}]\n  min_isv_svn: {}",
        quoted(&sigstruct.mr_enclave),
        quoted(&sigstruct.mr_signer),
        sigstruct.isv_prod_id,
        sigstruct.isv_svn,
    )
}

/// Hex in quotation marks: without them YAML would read a text of digits as a number.
fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(bytes))
}
