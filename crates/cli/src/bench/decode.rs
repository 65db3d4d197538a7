//! `teectl bench decode`: what decoding costs compared with verification and with derived decoders.

use std::{hint::black_box, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;
use tee_verifier::{BatchInput, InputForm, Options, verify};

use super::{
    FileArgs, derived,
    measure::{Times, timed},
};
use crate::batch_file::{self, Encoded};

/// A line of `--json`. Times are medians.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    /// The form to which the input was converted.
    form: &'static str,
    compressed_bytes: usize,
    plain_bytes: usize,
    runs: u32,
    /// Decompression and parsing.
    decode_ms: f64,
    decode_range_ms: [f64; 2],
    /// Decompression alone.
    decompress_ms: f64,
    verify_ms: f64,
    /// The share of decoding in the time from compressed bytes to verdict.
    decode_share: f64,
    /// Parsing alone.
    parse_ms: f64,
    parse_range_ms: [f64; 2],
    /// Parsing by `serde_json` or `cbor4ii` into types that derive their decoders.
    derived_ms: f64,
    derived_range_ms: [f64; 2],
    /// How many times faster our parsing is than the derived one.
    ratio: f64,
}

pub(super) fn run(args: &FileArgs) -> Result<()> {
    for file in &args.files {
        let input = batch_file::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        for form in [InputForm::Cbor, InputForm::Json] {
            let report = compare(args, file, &input, form).with_context(|| file.display().to_string())?;
            let text = format!(
                "{}: decoding {:.1} ms ({:.1} of it decompression), verification {:.1} ms, decoding's share {:.1} %; parsing \
                 {:.1} ms, derived {:.1} ms, {:.2} times as fast (medians of {}, {})",
                report.form,
                report.decode_ms,
                report.decompress_ms,
                report.verify_ms,
                report.decode_share * 100.0,
                report.parse_ms,
                report.derived_ms,
                report.ratio,
                report.runs,
                file.display(),
            );
            args.measure.output.print(&report, &text)?;
        }
    }
    Ok(())
}

fn compare<'a>(args: &FileArgs, file: &'a Path, input: &BatchInput, form: InputForm) -> Result<Report<'a>> {
    let compressed = Encoded::compress(input, form)?;
    let plain = compressed.decompress()?;
    let [mut decompression, mut decoding, mut verification, mut parsing, mut derivation] = <[Times; 5]>::default();
    for counts in args.measure.rounds() {
        let (decompressed, took) = timed(|| compressed.decompress());
        black_box(decompressed?);
        decompression.add(counts, took);

        let (input, took) = timed(|| compressed.decode());
        let input = input?;
        decoding.add(counts, took);
        let (verified, took) = timed(|| verify(input, &Options::danger_any_code()));
        verified?;
        verification.add(counts, took);

        let (parsed, took) = timed(|| BatchInput::from_bytes(&plain, form));
        black_box(parsed?);
        parsing.add(counts, took);
        let (parsed, took) = timed(|| derived::parse(&plain, form));
        black_box(parsed?);
        derivation.add(counts, took);
    }
    let (decode_ms, verify_ms) = (decoding.median_ms(), verification.median_ms());
    Ok(Report {
        file,
        form: form.extension(),
        compressed_bytes: compressed.bytes().len(),
        plain_bytes: plain.len(),
        runs: args.measure.runs,
        decode_ms,
        decode_range_ms: decoding.range_ms(),
        decompress_ms: decompression.median_ms(),
        verify_ms,
        decode_share: decode_ms / (decode_ms + verify_ms),
        parse_ms: parsing.median_ms(),
        parse_range_ms: parsing.range_ms(),
        derived_ms: derivation.median_ms(),
        derived_range_ms: derivation.range_ms(),
        ratio: derivation.median_ms() / parsing.median_ms(),
    })
}
