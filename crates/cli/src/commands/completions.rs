//! `updraft completions` and `updraft man`: what shells and manuals know of the command line.

use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::output::Output;

/// Options of `updraft completions`.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  updraft completions bash > ~/.local/share/bash-completion/completions/updraft"
)]
pub struct Args {
    /// The shell.
    shell: Shell,
}

/// Prints the script for the command line `C`.
pub fn run<C: CommandFactory>(args: Args, _: &Output) -> anyhow::Result<()> {
    clap_complete::generate(args.shell, &mut C::command(), "updraft", &mut std::io::stdout());
    Ok(())
}

/// Options of `updraft man`.
#[derive(clap::Args)]
#[command(after_help = "Example:
  updraft man ~/.local/share/man/man1 && man updraft-image-sign")]
pub struct Man {
    /// The folder, made if it is not there.
    folder: PathBuf,
}

/// Writes a page for each subcommand of `C`.
pub fn man<C: CommandFactory>(args: Man, out: &Output) -> anyhow::Result<()> {
    let unwritable = || format!("{} cannot be written", args.folder.display());
    std::fs::create_dir_all(&args.folder).with_context(unwritable)?;
    clap_mangen::generate_to(C::command(), &args.folder).with_context(unwritable)?;
    out.line(format_args!("pages in {}", args.folder.display()))
}
