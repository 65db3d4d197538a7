//! Not a test: it lists the tests that were skipped.

use std::{collections::BTreeMap, process::ExitCode};

fn main() -> ExitCode {
    let skipped = match test_skips::take_skipped() {
        Ok(skipped) => skipped,
        Err(error) => {
            eprintln!("the list of skipped tests cannot be read: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut by_cause = BTreeMap::<_, Vec<_>>::new();
    for (missing, test) in skipped {
        by_cause.entry(missing).or_default().push(test);
    }
    println!("\nskipped tests:{}", if by_cause.is_empty() { " none" } else { "" });
    for (missing, tests) in by_cause {
        println!("\n  {missing}");
        for test in tests {
            println!("    {test}");
        }
    }
    println!();
    ExitCode::SUCCESS
}
