//! `updraft flash`: the first images of a device, over a debug probe.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use serde_json::json;
use updraft_imgtool::passphrase;
use updraft_sign::hex::{self, Segment};

use super::boards;
use crate::files::{self, Mode};
use crate::output::{DIM, GOOD, Output, styled};
use crate::programming::{Contents, Part, Tool, commands};
use crate::report::Hint;

/// Options of `updraft flash`.
#[derive(clap::Args)]
#[command(
    after_help = "Prints the commands, or runs them with --run. Each part goes where the board
file has its area; only the sectors that it lies in are erased, never the whole chip. Images are
checked as the bootloader does it, and unsigned ones are refused. What is not in its file as it goes
into the flash is written beside it as Intel HEX.

Examples:
  updraft flash --board virtual-nor-4k --app app.signed.bin --config board/my_board.cfg
  updraft flash --board my/board.toml --bootloader boot.bin --app app.signed.bin --confirm --run
  updraft flash --board my/board.toml --app app.signed.bin --tool probe-rs --chip nRF52832_xxAA"
)]
pub struct Args {
    /// The board: a name from `updraft boards`, or a board file.
    #[arg(short, long, value_name = "NAME|FILE")]
    board: String,
    #[command(flatten)]
    contents: Contents,
    /// Which programmer.
    #[arg(long, value_enum, default_value = "openocd")]
    tool: Tool,
    /// OpenOCD's configuration, instead of the board file's; may be repeated.
    #[arg(long, value_name = "FILE")]
    config: Vec<String>,
    /// What probe-rs calls the chip, instead of the board file's name.
    #[arg(long, value_name = "NAME")]
    chip: Option<String>,
    /// Run the commands.
    #[arg(long)]
    run: bool,
}

/// Runs it.
pub fn run(args: Args, out: &Output) -> anyhow::Result<()> {
    let board = boards::load(&args.board)?;
    let parts = args.contents.parts(&board, out)?;
    let mut programmer = board.programmer().cloned().unwrap_or_default();
    if !args.config.is_empty() {
        programmer.openocd.clone_from(&args.config);
    }
    programmer.chip = args.chip.or(programmer.chip);
    let written: Vec<_> = parts.iter().filter_map(written).collect();
    let placed = parts.iter().map(|part| match (part.address, part.as_it_is()) {
        (None, _) => {
            Err(anyhow!("area {} is on {}, which is mapped nowhere", part.area, part.device)).hint(
                "write it with `updraft image merge --split`, and program that device by itself",
            )
        }
        (Some(_), Some(placed)) => Ok(placed),
        (Some(_), None) => Ok((beside(part).display().to_string(), None)),
    });
    let placed = placed.collect::<anyhow::Result<Vec<_>>>()?;
    let commands = commands(args.tool, &board, &programmer, &placed)?;
    for (path, bytes) in &written {
        files::write(path, bytes, Mode::Result)?;
        out.note(styled(DIM, format!("written {}", path.display())));
    }
    if !args.run {
        return out.result(&json!({ "parts": parts, "commands": commands }), |to| {
            commands.iter().try_for_each(|command| writeln!(to, "{command}"))
        });
    }
    for command in &commands {
        out.note(styled(DIM, format!("$ {command}")));
        let (program, words) = command.0.split_first().context("there is no command")?;
        let status = std::process::Command::new(program)
            .args(words)
            .env_remove(passphrase::VARIABLE)
            .env_remove("UPDRAFT_PKCS11_PIN")
            // Standard output is for the result.
            .stdout(std::io::stderr())
            .status()
            .with_context(|| format!("{program} cannot be started"))
            .hint(format!(
                "install {program}, or leave --run out and run the commands elsewhere"
            ))?;
        if !status.success() {
            return Err(anyhow!("{program} failed, {status}"))
                .hint("its own messages are above; is the probe connected?");
        }
    }
    out.result(&json!({ "parts": parts, "commands": commands, "programmed": true }), |to| {
        for part in &parts {
            let version = part.version.as_deref().unwrap_or_default();
            let done = styled(GOOD, "programmed");
            writeln!(to, "{done} {} {version} ({} bytes)", part.area, part.size)?;
        }
        Ok(())
    })
}

/// The file for a part whose own file is not what goes into the flash.
fn beside(part: &Part) -> PathBuf {
    // A name of the board file's, which is letters, digits, - and _.
    part.file.with_extension(format!("{}.flash.hex", part.area))
}

fn written(part: &Part) -> Option<(PathBuf, Vec<u8>)> {
    let base = part.address.filter(|_| part.as_it_is().is_none())?;
    let segments: Vec<_> = part
        .pieces
        .iter()
        .map(|piece| Segment {
            // Board files are checked: nothing passes 4 GiB.
            address: base.wrapping_add(piece.address),
            bytes: piece.bytes.clone(),
        })
        .collect();
    Some((beside(part), hex::emit(&segments).into_bytes()))
}
