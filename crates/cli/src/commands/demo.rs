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
  updraft demo --image build/zephyr/zephyr.bin --board virtual-small
  updraft demo --factory
  updraft demo --factory --plain --keep playground")]
pub struct Args {
    /// Name or file of the board: one that swaps, or with --factory one that has a factory image.
    /// Default: virtual-nor-4k, or virtual-factory.
    #[arg(long)]
    board: Option<String>,
    /// Leave keys, images and the flash file in this directory, to play with.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Take this firmware (a plain binary, or a signed image) through the story.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The story of the factory app: an empty device, an update over MQTT, the way back with a power
    /// cut in it. Needs mosquitto, on the PATH or where UPDRAFT_MOSQUITTO says.
    #[cfg(feature = "air")]
    #[arg(long, conflicts_with = "image")]
    factory: bool,
    /// With --factory: MQTT in plain text, without certificates.
    #[cfg(feature = "air")]
    #[arg(long, requires = "factory")]
    plain: bool,
}

/// Carries the command out.
pub fn run(args: Args, out: &Output) -> anyhow::Result<()> {
    #[cfg(feature = "air")]
    let factory = args.factory;
    #[cfg(not(feature = "air"))]
    let factory = false;
    let usual = if factory { "virtual-factory" } else { "virtual-nor-4k" };
    let board = super::boards::load(args.board.as_deref().unwrap_or(usual))?;
    let image = args.image.as_ref().map(|path| {
        std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
    });
    let image = image.transpose()?;
    let Some(directory) = args.keep.clone() else {
        let scratch = Scratch::new()?;
        let options = Options { board, directory: scratch.path().to_owned(), image };
        return the_story(&args, &options, out).map(drop);
    };
    let taken = directory.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        return Err(anyhow!("{} is not empty", directory.display()))
            .hint("name a directory that is not there yet");
    }
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("{} cannot be made", directory.display()))?;
    let options = Options { board, directory, image };
    let commands = the_story(&args, &options, out)?;
    let directory = options.directory.display();
    out.line(format!("\nEverything is in {directory}. To go on with the device:"))?;
    commands.iter().try_for_each(|command| out.line(format!("  {command}")))
}

/// Tells the story that was asked for; returns the commands that go on with what it has left.
fn the_story(args: &Args, options: &Options, out: &Output) -> anyhow::Result<Vec<String>> {
    let (directory, board) = (options.directory.display(), options.board.name());
    let device = format!(
        "updraft device run --board {board} --flash {directory}/device.flash --key \
         {directory}/key.pub.pem"
    );
    #[cfg(feature = "air")]
    if args.factory {
        use crate::demo::{Told, tell_of_the_factory_app};

        let Told { port, image } = tell_of_the_factory_app(options, args.plain, out)?;
        let (scheme, plain) = if args.plain { ("mqtt", " --plain") } else { ("mqtts", "") };
        return Ok(vec![
            format!("mosquitto -c {directory}/mosquitto.conf"),
            format!(
                "updraft publish{plain} -b 127.0.0.1:{port} --certs {directory} --board-name {board} \
                 --job {directory}/ota_update.json -f {}",
                image.display()
            ),
            format!("{device} --ota {scheme}://127.0.0.1:{port} --certs {directory}"),
        ]);
    }
    let _ = args;
    tell(options, out)?;
    Ok(vec![device])
}
