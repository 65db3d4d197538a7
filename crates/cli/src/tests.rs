//! What `--help` says about each command.

use clap::{Command, CommandFactory, Parser};

use crate::Args;

/// Stands for a key in examples.
const KEY: &str = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";

/// The commands below `command`, each with the words that lead to it.
fn commands(command: &Command, words: &str) -> Vec<(String, Command)> {
    let below = command.get_subcommands().flat_map(|below| commands(below, &format!("{words} {}", below.get_name())));
    [(words.to_owned(), command.clone())].into_iter().chain(below).collect()
}

fn all() -> Vec<(String, Command)> {
    commands(&Args::command(), "teectl")
}

fn examples(command: &Command) -> Vec<String> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix("  teectl").map(|rest| format!("teectl{rest}"))).collect()
}

/// The words of a line, up to where a shell redirects the output.
fn words(line: &str) -> Vec<String> {
    let quoted = line.split('"').enumerate();
    let words = quoted.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    });
    let own = words.take_while(|word| ![">", "<", "|"].contains(&word.as_str()));
    own.map(|word| word.replace("KEY", KEY)).collect()
}

#[test]
fn each_example_is_a_command_line_of_its_command() {
    for (name, command) in all() {
        for line in examples(&command) {
            assert!(line.starts_with(&name), "{name}: {line}");
            if let Err(error) = Args::try_parse_from(words(&line)) {
                panic!("{line}: {error}");
            }
        }
    }
}

#[test]
fn commands_that_do_something_have_examples() {
    let plain = ["teectl server jobs ignore", "teectl server jobs requeue", "teectl server tee-types serve"];
    for (name, command) in all() {
        let is_plain = plain.contains(&name.as_str()) || name.starts_with("teectl bench ");
        if command.get_subcommands().next().is_none() && !is_plain {
            assert!(!examples(&command).is_empty(), "{name} has none");
        }
    }
}
