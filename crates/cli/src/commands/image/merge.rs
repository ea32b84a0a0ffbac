//! `updraft image merge`.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde_json::json;
use updraft_board::Board;
use updraft_sign::elf;
use updraft_sign::hex::{self, Segment};

use crate::commands::boards;
use crate::files;
use crate::flash_map::FlashMapView;
use crate::output::{GOOD, Output, styled};
use crate::programming::{Contents, Part};
use crate::report::Hint;

/// Largest binary file, in bytes: what lies far apart belongs into Intel HEX.
const LARGEST: u64 = 256 << 20;

/// Options of `updraft image merge`.
#[derive(clap::Args)]
#[command(after_help = "The ending says what is written: .hex, .elf or .bin. A binary begins with
the first byte of the first part, and gaps are erased flash. What lies on a device that is not
mapped into memory goes into a file of its own, --split DEVICE=FILE, from the device's beginning on.

Examples:
  updraft image merge --board virtual-nor-4k --bootloader boot.elf --app app.signed.bin -o all.hex
  updraft image merge --board virtual-factory --bootloader boot.bin --app app.signed.bin \\
      --factory factory.signed.hex --split external=nor.bin --confirm -o all.elf")]
pub struct Args {
    /// The board: a name from `updraft boards`, or a board file.
    #[arg(short, long, value_name = "NAME|FILE")]
    board: String,
    /// The file for the programmer.
    #[arg(short, long)]
    output: PathBuf,
    #[command(flatten)]
    contents: Contents,
    /// Where to write what lies on a device that is not mapped; may be repeated.
    #[arg(long, value_name = "DEVICE=FILE")]
    split: Vec<String>,
}

/// Runs it.
pub fn run(args: &Args, out: &Output) -> anyhow::Result<()> {
    let board = boards::load(&args.board)?;
    let parts = args.contents.parts(&board, out)?;
    let split = args.split.iter().map(|text| Split::parse(text, &board));
    let split = split.collect::<anyhow::Result<Vec<_>>>()?;
    let is_split = |part: &&Part| split.iter().any(|split| split.device == part.device);
    let lost = parts.iter().find(|part| part.address.is_none() && !is_split(part));
    if let Some(part) = lost {
        return Err(anyhow!(
            "area {} is on {}, which is mapped nowhere: a programmer needs an address",
            part.area,
            part.device
        ))
        .usage(format!("--split {}=FILE writes it for that device alone", part.device));
    }
    let here: Vec<&Part> = parts.iter().filter(|part| !is_split(part)).collect();
    if here.is_empty() {
        return Err(anyhow!("nothing is left for {}", args.output.display()))
            .usage("leave --split out, or add what belongs there");
    }
    let mut written = vec![(args.output.clone(), merged(&args.output, &board, &here)?)];
    for Split { device, file } in &split {
        if !parts.iter().any(|part| part.device == *device) {
            return Err(anyhow!("nothing goes to {device}")).usage("leave that --split out");
        }
        let there: Vec<&Part> = parts.iter().filter(|part| part.device == *device).collect();
        let segments = there.iter().flat_map(|part| at(part, part.offset)).collect();
        let erased =
            board.flash().iter().find(|it| it.name == *device).map_or(0xff, |it| it.erased);
        written.push((file.clone(), binary(segments, Some(0), erased)?));
    }
    let sources: Vec<&Path> = parts.iter().map(|part| part.file.as_path()).collect();
    let outputs: Vec<(&Path, &[u8])> =
        written.iter().map(|(path, bytes)| (path.as_path(), bytes.as_slice())).collect();
    let paths: Vec<&Path> = outputs.iter().map(|(path, _)| *path).collect();
    files::apart(&paths, &sources)?;
    files::write_all(&outputs)?;
    let names: Vec<_> = written.iter().map(|(path, _)| path).collect();
    out.result(&json!({ "files": names, "parts": parts }), |to| {
        let mut map = FlashMapView::new(&board).without_list();
        for part in &parts {
            let label = part.version.clone().unwrap_or_default();
            map = map.with_content(part.id, label, part.size);
        }
        write!(to, "{}", map.render(out.width(), out.is_terminal()))?;
        for part in &parts {
            let place = match part.address {
                Some(address) => format!("{address:#010x}"),
                None => format!("{} + {:#x}", part.device, part.offset),
            };
            writeln!(
                to,
                "  {:<12} {place:>16}  {:>8} bytes  {}",
                part.area,
                part.size,
                part.file.display()
            )?;
        }
        for (path, bytes) in &written {
            writeln!(to, "{} {}, {} bytes", styled(GOOD, "written"), path.display(), bytes.len())?;
        }
        Ok(())
    })
}

/// A device whose parts go into a file of their own.
struct Split {
    device: String,
    file: PathBuf,
}

impl Split {
    fn parse(text: &str, board: &Board) -> anyhow::Result<Self> {
        let (device, file) = text
            .split_once('=')
            .ok_or_else(|| anyhow!("--split {text} names no device"))
            .usage("--split DEVICE=FILE, such as --split external=nor.bin")?;
        let names: Vec<_> = board.flash().iter().map(|flash| flash.name.as_str()).collect();
        match names.contains(&device) {
            true => Ok(Self { device: device.into(), file: file.into() }),
            false => Err(anyhow!("{} has no flash called {device}", board.name()))
                .usage(format!("one of {}", names.join(", "))),
        }
    }
}

/// The pieces of a part, if it begins at `base`. Nothing passes 4 GiB: board files are checked.
fn at(part: &Part, base: u32) -> Vec<Segment> {
    let moved = |piece: &Segment| Segment {
        address: base.wrapping_add(piece.address),
        bytes: piece.bytes.clone(),
    };
    part.pieces.iter().map(moved).collect()
}

fn merged(path: &Path, board: &Board, parts: &[&Part]) -> anyhow::Result<Vec<u8>> {
    let mapped = || {
        parts.iter().flat_map(|part| {
            let pieces = at(part, part.address.unwrap_or_default());
            pieces.into_iter().map(|piece| (part.area.as_str(), piece))
        })
    };
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "hex" => {
            let segments: Vec<_> = mapped().map(|(_, piece)| piece).collect();
            Ok(hex::emit(&segments).into_bytes())
        }
        "elf" => Ok(elf::emit(&mapped().collect::<Vec<_>>())?),
        "bin" => {
            let erased = board.flash().first().map_or(0xff, |flash| flash.erased);
            binary(mapped().map(|(_, piece)| piece).collect(), None, erased)
        }
        _ => Err(anyhow!("{} has no ending that says its format", path.display()))
            .usage("call it .hex, .elf or .bin"),
    }
}

/// The bytes from `start`, or from the first segment on; gaps are `erased`.
fn binary(segments: Vec<Segment>, start: Option<u32>, erased: u8) -> anyhow::Result<Vec<u8>> {
    let start = start.or_else(|| segments.first().map(|segment| segment.address)).unwrap_or(0);
    let mut bytes: Vec<u8> = Vec::new();
    for Segment { address, bytes: piece } in segments {
        let from = u64::from(address.wrapping_sub(start));
        if from + piece.len() as u64 > LARGEST {
            return Err(anyhow!("a binary from {start:#x} to {address:#x} would be too long"))
                .usage("write Intel HEX or ELF, which have addresses");
        }
        let (from, end) = (from as usize, from as usize + piece.len());
        bytes.resize(bytes.len().max(end), erased);
        if let Some(place) = bytes.get_mut(from..end) {
            place.copy_from_slice(&piece);
        }
    }
    Ok(bytes)
}
