//! `teectl quote inspect`.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use tee_attestation::{Claim, claims_of};

use super::files::read_quote;

pub(super) fn run(file: &Path, json: bool) -> Result<ExitCode> {
    let claims = match read_quote(file).and_then(|quote| claims_of(&quote).with_context(|| file.display().to_string()))
    {
        Ok(claims) => claims,
        Err(error) => return Ok(super::unreadable(&error)),
    };
    if json {
        let object: Map<_, _> =
            claims.into_iter().map(|Claim { name, value }| (name.to_owned(), Value::String(value))).collect();
        println!("{}", Value::Object(object));
    } else {
        for Claim { name, value } in claims {
            println!("{name:<24} {value}");
        }
        println!("\nNothing of this is verified: teectl quote verify does that.");
    }
    Ok(ExitCode::SUCCESS)
}
