//! What somebody pasted.

use serde_json::Value;
use tee_api::{Quote, TeeProof};
use tee_checker::quote_of_text;
use thiserror::Error;

/// The most proofs that are judged at a time. A batch usually has one or two.
const MAX_PROOFS: usize = 8;

/// What can be judged.
pub(super) enum Pasted {
    Quote(Quote),
    /// One proof or more.
    Proofs(Vec<TeeProof>),
}

/// Why it cannot be judged. The errors of JSON show a part of what was pasted.
#[derive(Debug, Error)]
pub(super) enum Flaw {
    #[error("Nothing was pasted.")]
    Nothing,
    #[error("This is neither JSON, nor a quote in hexadecimal digits or base64.")]
    NoEncoding,
    #[error("This is not a quote: {0}")]
    Quote(#[from] tee_api::QuoteError),
    #[error("This looks like JSON, but is invalid: {0}")]
    Json(serde_json::Error),
    #[error("This is not a published proof: {0}")]
    Proof(serde_json::Error),
    #[error("There is no proof in it.")]
    NoProof,
    #[error("These are {0} proofs, but at most {MAX_PROOFS} are judged at a time.")]
    TooMany(usize),
}

impl Pasted {
    /// A quote in hexadecimal digits or base64; or JSON: a published proof, a list of them, or an answer of the JSON-RPC.
    pub(super) fn read(text: &str) -> Result<Self, Flaw> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Flaw::Nothing);
        }
        if !text.starts_with(['{', '[']) {
            return Ok(Self::Quote(Quote::new(quote_of_text(text.as_bytes()).ok_or(Flaw::NoEncoding)?)?));
        }
        let mut json: Value = serde_json::from_str(text).map_err(Flaw::Json)?;
        if let Some(result) = json.get_mut("result") {
            json = result.take();
        }
        let proofs = match json {
            Value::Array(proofs) => proofs,
            proof => vec![proof],
        };
        match proofs.len() {
            0 => Err(Flaw::NoProof),
            1..=MAX_PROOFS => {
                let proofs = proofs.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
                proofs.map(Self::Proofs).map_err(Flaw::Proof)
            }
            count => Err(Flaw::TooMany(count)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_read_in_every_usual_form() {
        for text in ["0x0300ff", "0300FF", " 03\n00\r\nff ", "AwD/", "AwD_"] {
            let Ok(Pasted::Quote(quote)) = Pasted::read(text) else { panic!("{text}") };
            assert_eq!(quote.as_bytes(), [3, 0, 255], "{text}");
        }
    }

    #[test]
    fn proofs_are_read_alone_in_a_list_and_in_an_answer() {
        let proof = r#"{"l1BatchNumber": 7, "teeType": "sgx", "provedAt": "", "status": "generated"}"#;
        for (text, count) in [
            (proof.to_owned(), 1),
            (format!("[{proof}, {proof}]"), 2),
            (format!(r#"{{"jsonrpc": "2.0", "id": 1, "result": [{proof}]}}"#), 1),
        ] {
            let Ok(Pasted::Proofs(proofs)) = Pasted::read(&text) else { panic!("{text}") };
            assert_eq!(proofs.len(), count, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_judged_is_named() {
        let long = "00".repeat(tee_api::MAX_QUOTE_BYTES + 1);
        let many = format!("[{}]", ["{}"; MAX_PROOFS + 1].join(","));
        let deep = "[".repeat(100_000);
        for (text, is_expected) in [
            ("  \n", (|flaw| matches!(flaw, Flaw::Nothing)) as fn(&Flaw) -> bool),
            ("<script>", |flaw| matches!(flaw, Flaw::NoEncoding)),
            ("0x", |flaw| matches!(flaw, Flaw::Quote(_))),
            (&long, |flaw| matches!(flaw, Flaw::Quote(_))),
            ("{", |flaw| matches!(flaw, Flaw::Json(_))),
            (&deep, |flaw| matches!(flaw, Flaw::Json(_))),
            ("{}", |flaw| matches!(flaw, Flaw::Proof(_))),
            ("[]", |flaw| matches!(flaw, Flaw::NoProof)),
            (r#"{"result": null}"#, |flaw| matches!(flaw, Flaw::Proof(_))),
            (&many, |flaw| matches!(flaw, Flaw::TooMany(9))),
        ] {
            let flaw = Pasted::read(text).err().unwrap();
            assert!(is_expected(&flaw), "{text:.40}: {flaw}");
        }
    }
}
