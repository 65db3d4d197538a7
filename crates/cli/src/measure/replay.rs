//! `teectl measure replay`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tee_attestation::{
    Quote, Report,
    measure::{Event, EventLog, MAX_EVENT_LOG_BYTES},
};
use tee_checker::read;

use crate::{
    exit::{self, Exit},
    quote::read_quote,
};

pub(super) const EXAMPLES: &str = "Examples:
  teectl measure replay /sys/firmware/acpi/tables/data/CCEL --quote quote.bin --explain";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The event log of firmware and boot loader: the machine's /sys/firmware/acpi/tables/data/CCEL.
    log: PathBuf,
    /// A quote of the same machine: bytes, hex or base64, in one line or several.
    #[arg(long, value_name = "FILE")]
    quote: PathBuf,
    /// Also show each event.
    #[arg(long)]
    explain: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    let files = quoted_registers(&args.quote).and_then(|quoted| Ok((quoted, read(&args.log, MAX_EVENT_LOG_BYTES)?)));
    let (quoted, bytes) = match files {
        Ok(files) => files,
        Err(error) => return Ok(exit::unreadable(&error)),
    };
    let log = match EventLog::parse(&bytes).with_context(|| args.log.display().to_string()) {
        Ok(log) => log,
        Err(error) => return Ok(exit::unreadable(&error)),
    };
    let registers: Vec<_> = ["RTMR0", "RTMR1", "RTMR2", "RTMR3"].into_iter().zip(log.replay()).zip(quoted).collect();
    let matches = registers.iter().all(|((_, replayed), quoted)| replayed == quoted);
    if args.json {
        let registers = registers.iter().map(|((name, replayed), quoted)| {
            json!({
                "register": name,
                "matches": replayed == quoted,
                "log": hex::encode(replayed),
                "quote": hex::encode(quoted),
            })
        });
        let mut object = json!({"matches": matches, "registers": registers.collect::<Vec<_>>()});
        if args.explain {
            object["events"] = log.events().iter().map(event_json).collect();
        }
        println!("{object}");
    } else {
        if args.explain {
            explain(&log);
        }
        for ((name, replayed), quoted) in registers {
            if replayed == quoted {
                println!("ok   {name}  {}", hex::encode(quoted));
            } else {
                println!("FAIL {name}  {} in the quote", hex::encode(quoted));
                println!("            {} by the log", hex::encode(replayed));
            }
        }
        println!("\nThe quote is not verified: teectl quote verify does that.");
    }
    Ok(if matches { Exit::Success } else { Exit::Failure })
}

/// RTMR0 to RTMR3 of a quote. They are not verified.
pub(super) fn quoted_registers(path: &Path) -> Result<[[u8; 48]; 4]> {
    let name = || path.display().to_string();
    let quote = Quote::parse(&read_quote(path)?).with_context(name)?;
    match quote.report() {
        Report::Tdx(report) => Ok(report.rtmrs),
        Report::Sgx(_) => bail!("{}: this is a quote of SGX, which has no such registers", name()),
    }
}

fn explain(log: &EventLog<'_>) {
    for event in log.events() {
        let Event { register, event_type, digest, .. } = event;
        let told = if event.data_is_hashed() { "hashed" } else { "told" };
        println!("{register}  {event_type:<34} {}  {told:<6}  {}", hex::encode(digest), event.description());
    }
    println!("\nhashed: the digest is that of the event's data. told: only the log says what was hashed.\n");
}

fn event_json(event: &Event<'_>) -> Value {
    json!({
        "register": event.register.to_string(),
        "type": event.event_type.to_string(),
        "digest": hex::encode(event.digest),
        "data_is_hashed": event.data_is_hashed(),
        "description": event.description(),
    })
}
