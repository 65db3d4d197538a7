//! `teectl doctor`: what a machine lacks to prove, and what to do about it.

mod asked;
mod check;
mod machine;

use std::{env, path::PathBuf};

use anyhow::Result;
use serde::Serialize;

use self::{
    asked::Asked,
    check::{Check, Part},
    machine::Machine,
};
use crate::{exit::Exit, print::shown, progress::Progress, server::ConnectionArgs};

pub(crate) const EXAMPLES: &str = "Examples:
  teectl doctor
  teectl doctor --pccs https://api.trustedservices.intel.com --policy policy.yaml
  teectl doctor --server https://proofs.example.org --ca-file cert.pem --json";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Check that this server is ready, and compare this machine's clock with its clock.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Check that these collateral services (PCS or PCCS) can be reached.
    #[arg(long, value_name = "URL")]
    pccs: Option<String>,
    /// Check that this policy can be read.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Folder for data, whose free space is checked.
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib")]
    folder: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Read the machine's files from this folder.
    #[arg(long, value_name = "FOLDER", default_value = "/", hide = true)]
    root: PathBuf,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Report {
    /// Whether the machine can prove and everything that was asked for is in order.
    ok: bool,
    /// The types of enclave that lack nothing.
    can_prove: Vec<Part>,
    checks: Vec<Check>,
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(args: &Args) -> Result<Exit> {
    let search = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    let looking = Progress::unknown("looking at this machine and at what was asked for", args.json);
    let mut checks = Machine::new(&args.root, search).checks(&args.folder);
    checks.extend(Asked::of(args).checks().await);
    drop(looking);
    let report = Report::of(checks);
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        report.print();
    }
    Ok(if report.ok { Exit::Success } else { Exit::Failure })
}

impl Report {
    fn of(checks: Vec<Check>) -> Self {
        let all_ok = |part| checks.iter().filter(|check| check.part == part).all(|check| check.ok);
        let can_prove: Vec<_> = [Part::Sgx, Part::Tdx].into_iter().filter(|part| all_ok(*part)).collect();
        Self { ok: !can_prove.is_empty() && all_ok(Part::Asked), can_prove, checks }
    }

    fn print(&self) {
        for part in [Part::Sgx, Part::Tdx, Part::Machine, Part::Asked] {
            let mut checks = self.checks.iter().filter(|check| check.part == part).peekable();
            if checks.peek().is_some() {
                println!("{}", part.name());
            }
            for Check { check, ok, found, todo, .. } in checks {
                println!("  {}  {check:<17} {}", if *ok { "ok  " } else { "TODO" }, shown(found));
                if let Some(todo) = todo {
                    println!("        {todo}");
                }
            }
        }
        println!();
        match self.can_prove[..] {
            [] => println!("This machine cannot prove: neither SGX nor TDX is complete."),
            [one] => println!("This machine can prove with {}.", one.name()),
            [..] => println!("This machine can prove with SGX and TDX."),
        }
        if self.checks.iter().any(|check| check.part == Part::Asked && !check.ok) {
            println!("Something that you requested is not in order.");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_complete_type_of_enclave_is_enough_and_what_was_asked_for_counts() {
        let report = |parts: &[(Part, bool)]| {
            let checks = parts.iter().map(|(part, ok)| match ok {
                true => Check::ok(*part, "check", "found"),
                false => Check::todo(*part, "check", "found", "todo"),
            });
            let report = Report::of(checks.collect());
            (report.can_prove, report.ok)
        };
        let (sgx, tdx, machine, asked) = (Part::Sgx, Part::Tdx, Part::Machine, Part::Asked);
        assert_eq!(report(&[(sgx, true), (tdx, false), (machine, false)]), (vec![sgx], true));
        assert_eq!(report(&[(sgx, true), (sgx, false), (tdx, true), (asked, true)]), (vec![tdx], true));
        assert_eq!(report(&[(sgx, true), (tdx, true), (asked, false)]), (vec![sgx, tdx], false));
        assert_eq!(report(&[(sgx, false), (tdx, false), (asked, true)]), (vec![], false));
    }
}
