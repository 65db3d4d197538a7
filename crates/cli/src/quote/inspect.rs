//! `teectl quote inspect`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};
use tee_attestation::{Claim, claims_of};

use super::files::read_quote;
use crate::exit::{self, Exit};

pub(super) fn run(file: &Path, json: bool) -> Result<Exit> {
    let claims = match read_quote(file).and_then(|quote| claims_of(&quote).with_context(|| file.display().to_string()))
    {
        Ok(claims) => claims,
        Err(error) => return Ok(exit::unreadable(&error)),
    };
    if json {
        let object: Map<_, _> =
            claims.into_iter().map(|Claim { name, value }| (name.to_owned(), Value::String(value))).collect();
        println!("{}", Value::Object(object));
    } else {
        for Claim { name, value } in claims {
            println!("{name:<24} {value}");
        }
        println!("\nNothing here is verified: teectl quote verify does that.");
    }
    Ok(Exit::Success)
}
