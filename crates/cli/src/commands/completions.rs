//! `updraft completions`: scripts that let a shell complete the command line.

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
