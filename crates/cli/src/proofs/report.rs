//! The results, for people and for programs.

use indicatif::ProgressBar;
use serde_json::{Value, json};
use tee_api::settings::LevelFilter;
use tee_checker::{Checked, Examined, Problem, Verdict};

use super::system_logs;
use crate::progress::Progress;

/// What proofs are compared with, besides their quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    /// The roots from another source.
    pub(super) root: bool,
    /// A pinned chain.
    pub(super) chain: bool,
    /// Pinned code.
    pub(super) code: bool,
}

/// Reports the results for batches.
pub(super) struct Report {
    json: bool,
    level: LevelFilter,
    progress: Progress,
    counts: [(Verdict, u32); 7],
    unstated: u32,
    compared: Compared,
}

impl Report {
    /// `batches` is the number of batches, if it is known.
    pub(super) fn new(json: bool, level: LevelFilter, batches: Option<u64>, compared: Compared) -> Self {
        let (bar, template) = match batches {
            Some(batches) => (ProgressBar::new(batches), "{bar:40} {pos}/{len} batches, {per_sec}, {wide_msg}"),
            None => (ProgressBar::new_spinner(), "{spinner} {pos} batches, {per_sec}, {wide_msg}"),
        };
        let progress = Progress::styled(bar, template, json);
        Self { json, level, progress, counts: Verdict::ALL.map(|verdict| (verdict, 0)), unstated: 0, compared }
    }

    pub(super) fn waiting(&self, number: u32) {
        self.progress.say(format!("waiting for batch {number}"));
    }

    pub(super) fn batch(&mut self, examined: &Examined) {
        for (verdict, count) in &mut self.counts {
            *count += u32::from(*verdict == examined.verdict);
        }
        if examined.verdict == Verdict::Proven && examined.statement.is_none() {
            self.unstated += 1;
        }
        self.progress.step();
        self.progress.say(format!("batch {}", examined.number));
        let line = if self.json { line_of(examined, self.compared).to_string() } else { text_of(examined) };
        self.progress.above(|| println!("{line}"));
        if self.level >= LevelFilter::INFO && self.json {
            self.progress.above(|| eprintln!("{}", text_of(examined)));
        }
    }

    /// Prints the summary. Returns whether every batch is proven.
    pub(super) fn finish(self, interrupted: bool, elapsed_secs: f64) -> bool {
        let Self { json, progress, counts, unstated, compared, .. } = self;
        drop(progress);
        let count = |wanted| counts.iter().find(|(verdict, _)| *verdict == wanted).map_or(0, |(_, count)| *count);
        let total: u32 = counts.iter().map(|(_, count)| count).sum();
        let proven = count(Verdict::Proven);
        let all = total > 0 && proven == total;
        let rate = f64::from(total) / elapsed_secs.max(1e-6);
        if json {
            let summary = json!({
                "batches": total,
                "proven": proven,
                "bare": count(Verdict::Bare),
                "unproven": count(Verdict::Unproven),
                "contradicted": count(Verdict::Contradicted),
                "ignored": count(Verdict::Ignored),
                "missing": count(Verdict::Missing),
                "unreachable": count(Verdict::Unreachable),
                "without_statement": unstated,
                "not_compared": compared.missing(),
                "interrupted": interrupted,
                "batches_per_sec": (rate * 10.0).round() / 10.0,
                "ok": all,
            });
            println!("{}", json!({ "summary": summary }));
            return all;
        }
        let others: Vec<_> = (counts.iter().skip(1).filter(|(_, count)| *count > 0))
            .map(|(verdict, count)| format!("{count} {}", verdict.as_str()))
            .collect();
        let others = if others.is_empty() { String::new() } else { format!(", {}", others.join(", ")) };
        println!("\nproven {proven}/{total} batches{others} ({rate:.0} batches/s)");
        if unstated > 0 {
            println!(
                "{} of them without a statement: a bare root says nothing about chain, code, L1 transactions or the \
                 root before",
                unstated
            );
        }
        for missing in compared.missing() {
            println!("not compared: {missing}");
        }
        if interrupted {
            println!("interrupted");
        }
        all
    }
}

impl Compared {
    /// The sources that no batch was compared with, whatever the verdicts are.
    fn missing(self) -> Vec<&'static str> {
        let logs = "the system logs with L1: number and chained hash of L1 transactions, timestamps, root of L2 to L1 logs, upgrades";
        let root = (!self.root).then_some("the roots with another source (--l2-rpc)");
        let chain = (!self.chain).then_some("the chain (--chain-file, --chain)");
        let code = (!self.code).then_some("the code that ran (--chain-file): any bootloader was accepted");
        [Some(logs), root, chain, code].into_iter().flatten().collect()
    }

    /// The same for one batch.
    pub(super) fn missing_of(self, examined: &Examined) -> Vec<&'static str> {
        let mut missing = self.missing();
        match (&examined.statement, examined.follows) {
            (None, _) => missing.push("chain, protocol version, code and the root before: there is no statement"),
            (Some(_), None) => missing.push("the root before with the statement of the batch before"),
            (Some(_), Some(_)) => {}
        }
        missing
    }
}

fn line_of(examined: &Examined, compared: Compared) -> Value {
    let proof = |checked: &Checked| {
        let problem = |problem: &Problem| json!({"code": problem.code(), "detail": problem.to_string()});
        json!({
            "tee_type": checked.tee_type,
            "pubkey": checked.key.map(|key| key.to_string()),
            "holds": checked.problems.is_empty(),
            "root": checked.signed_root,
            "statement": checked.statement.is_some(),
            "problems": checked.problems.iter().map(problem).collect::<Vec<_>>(),
        })
    };
    let statement = examined.statement.as_ref().map(|statement| {
        let version = statement.protocol_version;
        let code = statement.code_hashes;
        json!({
            "chain_id": statement.chain_id,
            "protocol_version": version,
            "previous_root": statement.previous_root,
            "bootloader": code.bootloader,
            "default_account": code.default_account,
            "evm_emulator": code.evm_emulator,
            "code_pinned": compared.code,
            "system_logs": statement.logs().iter().map(|log| system_logs::json_of(log, version)).collect::<Vec<_>>(),
        })
    });
    json!({
        "batch": examined.number,
        "verdict": examined.verdict,
        "root": examined.root,
        "follows": examined.follows,
        "notes": examined.notes,
        "statement": statement,
        "not_compared": compared.missing_of(examined),
        "proofs": examined.proofs.iter().map(proof).collect::<Vec<_>>(),
    })
}

fn text_of(examined: &Examined) -> String {
    let holding = examined.proofs.iter().filter(|proof| proof.problems.is_empty()).count();
    let mut text = format!("batch {}: {}", examined.number, examined.verdict.as_str());
    if !examined.proofs.is_empty() {
        text += &format!(", {holding} of {} proofs are valid", examined.proofs.len());
    }
    if let Some(root) = examined.root {
        text += &format!(", root {root:?}");
    }
    if examined.follows == Some(true) {
        text += ", follows the previous one";
    }
    for note in &examined.notes {
        text += &format!("\n    {note}");
    }
    if let Some(statement) = &examined.statement {
        let version = statement.protocol_version;
        text += &format!("\n    chain {}, protocol version {version}, {}", statement.chain_id, statement.code_hashes);
        for log in statement.logs() {
            text += &format!("\n    {}", system_logs::line_of(&log, version));
        }
    }
    for proof in &examined.proofs {
        let key = proof.key.map_or_else(|| "a proof".to_owned(), |key| format!("the proof of {key}"));
        for problem in &proof.problems {
            text += &format!("\n    {key}: {problem}");
        }
    }
    // Parts of it are the publisher's text, which must not control the terminal.
    text.replace(|letter: char| letter.is_control() && letter != '\n', "?")
}
