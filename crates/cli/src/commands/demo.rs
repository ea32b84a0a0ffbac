//! `updraft demo`: the whole story in one terminal.

use std::path::PathBuf;

use anyhow::{Context, anyhow};

use crate::demo::{Options, Scratch, tell};
use crate::output::Output;
use crate::report::Hint;

/// Options of `updraft demo`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft demo
  updraft demo --keep playground
  updraft demo --image build/zephyr/zephyr.bin --board virtual-small")]
pub struct Args {
    /// Name or file of the board: one that swaps.
    #[arg(long, default_value = "virtual-nor-4k")]
    board: String,
    /// Leave keys, images and the flash file in this directory, to play with.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Take this firmware (a plain binary, or a signed image) through the story.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
}

/// Carries the command out.
pub fn run(args: Args, out: &Output) -> anyhow::Result<()> {
    let board = super::boards::load(&args.board)?;
    let image = args
        .image
        .map(|path| {
            std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))
        })
        .transpose()?;
    let Some(directory) = args.keep else {
        let scratch = Scratch::new()?;
        let options = Options { board, directory: scratch.path().to_owned(), image };
        return tell(&options, out);
    };
    let taken = directory.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        return Err(anyhow!("{} is not empty", directory.display()))
            .hint("name a directory that is not there yet");
    }
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("{} cannot be made", directory.display()))?;
    let options = Options { board, directory, image };
    tell(&options, out)?;
    out.line(format!(
        "\nEverything is in {0}. To go on with the device:\n  \
         updraft device run --board {1} --flash {0}/device.flash --key {0}/key.pub.pem",
        options.directory.display(),
        options.board.name(),
    ))
}
