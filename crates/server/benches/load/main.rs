//! Load on real server processes, with the load generator on the same machine. `docs/SERVER.md` says what each command measures.
//!
//! Without a command, as `cargo test` runs it, each runs for a moment: what they check must hold, but speed does not
//! matter.

mod claims;
mod history;
mod inputs;
mod kill;
mod pair;
mod place;
#[path = "../../tests/server/postgres.rs"]
mod postgres;
mod prover;
mod provers;
mod readers;

use clap::{Parser, Subcommand};
use serde_json::Value;

use self::place::Databases;

#[derive(Parser)]
#[command(name = "load", about = "Load on real server processes")]
struct Arguments {
    /// Print one JSON object per line instead of tables.
    #[arg(long, global = true)]
    json: bool,
    /// Which databases.
    #[arg(long, global = true, value_enum, default_value = "both")]
    database: Databases,
    #[command(subcommand)]
    command: Command,
    /// As `cargo bench` adds it.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Provers that claim and submit as fast as they can, then at half the required rate.
    Provers(provers::Arguments),
    /// What a claim costs with more and more finished batches.
    Claims(claims::Arguments),
    /// What else there is to do once there are millions of finished batches.
    History(history::Arguments),
    /// Clients that fetch large inputs.
    Inputs(inputs::Arguments),
    /// People who look at the overview while provers work.
    Readers(readers::Arguments),
    /// A server that is killed at random under load.
    Kill(kill::Arguments),
    /// Two servers on one PostgreSQL, one of them killed again and again.
    Pair(pair::Arguments),
}

const COMMANDS: [&str; 7] = ["provers", "claims", "history", "inputs", "readers", "kill", "pair"];

/// The results of a measurement, by name.
pub(crate) type Figures = Vec<(&'static str, Value)>;

fn main() {
    let given: Vec<_> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if !given.iter().any(|argument| COMMANDS.contains(&&**argument) || argument == "--help") {
        // The name of a test that `cargo test` looks for.
        if given.iter().any(|argument| !argument.starts_with('-')) {
            return;
        }
        return runtime.block_on(async {
            run(Command::Provers(provers::Arguments::smoke()), Databases::Both, true).await;
            run(Command::Claims(claims::Arguments::smoke()), Databases::Both, true).await;
            run(Command::History(history::Arguments::smoke()), Databases::Both, true).await;
            run(Command::Inputs(inputs::Arguments::smoke()), Databases::Both, true).await;
            run(Command::Readers(readers::Arguments::smoke()), Databases::Both, true).await;
            run(Command::Kill(kill::Arguments::smoke()), Databases::Both, true).await;
            run(Command::Pair(pair::Arguments::smoke()), Databases::Both, true).await;
        });
    }
    let arguments = Arguments::parse();
    runtime.block_on(run(arguments.command, arguments.database, arguments.json));
}

async fn run(command: Command, databases: Databases, json: bool) {
    match command {
        Command::Provers(arguments) => {
            for place in databases.open() {
                show("provers", json, provers::run(&arguments, place).await);
            }
        }
        Command::Claims(arguments) => {
            for place in databases.open() {
                for figures in claims::run(&arguments, place).await {
                    show("claims", json, figures);
                }
            }
        }
        Command::History(arguments) => {
            for place in databases.open() {
                show("history", json, history::run(&arguments, place).await);
            }
        }
        Command::Inputs(arguments) => show("inputs", json, inputs::run(&arguments).await),
        Command::Readers(arguments) => {
            for place in databases.open() {
                show("readers", json, readers::run(&arguments, place).await);
            }
        }
        Command::Kill(arguments) => {
            for place in databases.open() {
                show("kill", json, kill::run(&arguments, place).await);
            }
        }
        Command::Pair(arguments) => {
            for place in Databases::Postgres.open() {
                show("pair", json, pair::run(&arguments, place).await);
            }
        }
    }
}

fn show(command: &str, json: bool, figures: Figures) {
    if json {
        let mut line: serde_json::Map<String, Value> = [("command".to_owned(), command.into())].into_iter().collect();
        line.extend(figures.into_iter().map(|(name, value)| (name.to_owned(), value)));
        return println!("{}", Value::Object(line));
    }
    println!("{command}");
    for (name, value) in figures {
        println!("  {name:<32} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
}
