//! `teectl completions`: command line completion for shells.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::aot::{Shell, generate};

const EXAMPLES: &str = "Examples:
  teectl completions bash > ~/.local/share/bash-completion/completions/teectl
  teectl completions zsh > ~/.zfunc/_teectl
  teectl completions fish > ~/.config/fish/completions/teectl.fish";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell to complete for.
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut crate::Args::command(), crate::PROGRAM, &mut script);
    println!("{}", String::from_utf8(script)?.trim_end());
    Ok(())
}
