//! `teectl man`: a manual page for each command.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use tee_api::BUILD;

use crate::PROGRAM;

const EXAMPLES: &str = "Examples:
  teectl man ~/.local/share/man/man1
  teectl man /usr/local/share/man/man1";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Folder for the pages; it is created if it does not exist.
    folder: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut command = crate::Args::command().disable_help_subcommand(true);
    command.build();
    let folder = &args.folder;
    let pages = fs::create_dir_all(folder).and_then(|()| write(&command, folder));
    let pages = pages.with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
    println!("{pages} pages: man -l {}", folder.join(format!("{PROGRAM}.1")).display());
    Ok(())
}

/// Writes the page of a command and those of its subcommands. Returns how many.
fn write(command: &Command, folder: &Path) -> io::Result<usize> {
    let page = Man::new(command.clone()).source(format!("{PROGRAM} {}", BUILD.version)).manual("TEE Prover Gateway");
    page.generate_to(folder)?;
    command.get_subcommands().map(|below| write(below, folder)).try_fold(1, |sum, pages| Ok(sum + pages?))
}
