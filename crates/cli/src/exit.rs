//! How a command ends: the only table of exit codes.

use std::fmt::Write;

/// Exit codes of all commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    Failure = 1,
    Unreadable = 2,
    /// The code that shells report for a program that SIGPIPE has ended. It is not a success, since the output is incomplete.
    ReaderGone = 128 + 13,
}

impl Exit {
    const ALL: [Self; 4] = [Self::Success, Self::Failure, Self::Unreadable, Self::ReaderGone];

    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Success => "yes: verified, accepted, matching or proven; or everything was done",
            Self::Failure => "no: rejected, refused, different or unproven; or not everything could be done",
            Self::Unreadable => "no answer: the command line is invalid, or an input cannot be read",
            Self::ReaderGone => "the reader of the output closed it",
        }
    }
}

/// The table for `--help`.
pub(crate) fn table() -> String {
    let mut table = "Exit codes:".to_owned();
    for exit in Exit::ALL {
        // Writing to a string does not fail.
        let _ = write!(table, "\n  {:<4} {}", exit.code(), exit.meaning());
    }
    table
}

/// The text below a command's options: its examples and the exit codes.
pub(crate) fn table_after(examples: &str) -> String {
    format!("{examples}\n\n{}", table())
}

/// Prints why something cannot be read.
pub(crate) fn unreadable(error: &anyhow::Error) -> Exit {
    eprintln!("unreadable: {error:#}");
    Exit::Unreadable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_same_table() {
        let document = include_str!("../../../docs/TEECTL.md");
        let rows: Vec<_> = document.lines().skip_while(|line| *line != "| exit code | meaning |").skip(2).collect();
        let rows: Vec<_> = rows.into_iter().take_while(|line| line.starts_with('|')).collect();
        assert_eq!(rows, Exit::ALL.map(|exit| format!("| {} | {} |", exit.code(), exit.meaning())));
    }
}
