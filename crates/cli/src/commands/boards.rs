//! `updraft boards`.

use crate::output::Output;

/// Options of `updraft boards`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(_: Args, _: &Output) -> anyhow::Result<()> {
    Ok(())
}
