//! `updraft image diff`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use updraft_board::{Area, Board, Role, UpgradeCost};
use updraft_flash::SectorRun;
use updraft_image::UpgradeMode;
use updraft_sign::diff::{Change, Diff, Sector, Side};
use updraft_sign::{Inspection, inspect};
use updraft_sim::device::Keys;
use updraft_sim::{Rehearsal, Sum};

use super::number;
use crate::commands::boards;
use crate::input::read;
use crate::output::{BAD, DIM, GOOD, HEADING, Output, WARN, size, styled};
use crate::report::Hint;

/// Options of `updraft image diff`.
#[derive(clap::Args)]
#[command(
    after_help = "With --board, sectors are those of the board's slot, and the update is rehearsed:
the real bootloader installs the new image over the old one on a model of the board's flash, and what
it does there is counted: erases, bytes written, seconds by the board file's timings. Sectors that
both images have in common may be left as they are.

Examples:
  updraft image diff app-1.0.signed.bin app-1.1.signed.bin
  updraft image diff --board virtual-nor-4k app-1.0.signed.bin app-1.1.signed.bin"
)]
pub struct Args {
    /// The image that runs: binary or Intel HEX.
    old: PathBuf,
    /// The image that it is updated to.
    new: PathBuf,
    /// The board: a name from `updraft boards`, or a board file.
    #[arg(short, long, value_name = "NAME|FILE")]
    board: Option<String>,
    /// Which of the board's images this is.
    #[arg(long, default_value_t = 0, requires = "board")]
    image: u8,
    /// Bytes of a sector, where no board says it.
    #[arg(long, value_parser = number, default_value = "4096", conflicts_with = "board")]
    sector_size: u32,
}

/// Runs it.
pub fn run(args: &Args, out: &Output) -> anyhow::Result<()> {
    let board = args.board.as_deref().map(boards::load).transpose()?;
    let [old, new] = [&args.old, &args.new].map(|path| open(path));
    let (old, new) = (old?, new?);
    let sectors = sectors(args, board.as_ref())?;
    let diff = Diff::new(old.side(), new.side(), sectors);
    let price = board.as_ref().map(|board| Price::of(board, args, &old, &new));
    let unpriced = match &price {
        Some(Price::Unknown(reason)) => Some(reason),
        _ => None,
    };
    let update = board.as_ref().zip(price.as_ref()).and_then(|(board, price)| price.json(board));
    let result = json!({ "diff": diff, "update": update, "unpriced": unpriced });
    out.result(&result, |to| {
        changes("Header", &diff.fields, to)?;
        changes("TLVs", &diff.tlvs, to)?;
        body(&diff, to)?;
        map(&diff, out.width(), to)?;
        match (&board, &price) {
            (Some(board), Some(price)) => price.tell(board, to),
            _ => Ok(()),
        }
    })
}

/// What the bootloader does to the flash.
enum Price {
    /// What it did in a rehearsal.
    Rehearsed(Rehearsal),
    /// What it does when all sectors differ, and why that could not be rehearsed.
    AtMost(UpgradeCost, String),
    /// It moves no image.
    Nothing,
    /// Why that cannot be told.
    Unknown(String),
}

impl Price {
    fn of(board: &Board, args: &Args, old: &Image, new: &Image) -> Self {
        let largest = board.capacity(args.image);
        let mut bytes = 0;
        for (image, path) in [(old, &args.old), (new, &args.new)] {
            let Some(size) = image.size() else {
                return Self::Unknown(format!("{} is damaged", path.display()));
            };
            if size > largest.max_image {
                return Self::Unknown(format!(
                    "{} has {size} bytes, and the largest image is {}",
                    path.display(),
                    largest.working
                ));
            }
            bytes = bytes.max(size);
        }
        let copies = matches!(
            board.mode(),
            UpgradeMode::OverwriteOnly
                | UpgradeMode::SwapScratch
                | UpgradeMode::SwapMove
                | UpgradeMode::SwapOffset
                | UpgradeMode::StatusPartition
        );
        if !copies {
            return Self::Nothing;
        }
        let rehearsal = match args.image {
            0 => Rehearsal::of(board, old.bytes(), new.bytes(), &Keys::unsigned())
                .map_err(|error| error.to_string()),
            image => Err(format!("only image 0 is rehearsed, and not image {image}")),
        };
        match (rehearsal, board.upgrade_cost(args.image, bytes)) {
            (Ok(rehearsal), _) => Self::Rehearsed(rehearsal),
            (Err(why), Some(cost)) => Self::AtMost(cost, why),
            (Err(why), None) => Self::Unknown(why),
        }
    }

    fn json(&self, board: &Board) -> Option<Value> {
        match self {
            Self::Rehearsed(rehearsal) => {
                let Sum { erases, writes, written } = rehearsal.sum(None);
                let areas = by_area(board, rehearsal);
                let areas = areas.map(|(area, sum)| (area.name.clone(), json!(sum.erases)));
                Some(json!({
                    "rehearsed": true,
                    "erases": erases,
                    "erases_by_area": areas.collect::<serde_json::Map<_, _>>(),
                    "erases_of_one_sector": rehearsal.worn,
                    "writes": writes,
                    "written": written,
                    "seconds": timed(board).then_some(rehearsal.time.as_secs_f64()),
                }))
            }
            Self::AtMost(cost, why) => Some(json!({
                "rehearsed": false,
                "because": why,
                "erases": cost.erases,
                "written": cost.written,
                "seconds": cost.time.map(|time| time.as_secs_f64()),
            })),
            Self::Unknown(_) | Self::Nothing => None,
        }
    }

    fn tell(&self, board: &Board, to: &mut dyn Write) -> std::io::Result<()> {
        let name = board.name();
        let (erases, written, time) = match self {
            Self::Nothing => {
                return writeln!(to, "{name}: {} moves no image at an update", board.mode());
            }
            Self::Unknown(reason) => {
                return writeln!(to, "{} the update has no price: {reason}", styled(WARN, "note:"));
            }
            Self::Rehearsed(rehearsal) => {
                let sum = rehearsal.sum(None);
                let areas: Vec<_> = by_area(board, rehearsal)
                    .map(|(area, sum)| format!("{} {}", area.name, sum.erases))
                    .collect();
                let erases = format!(
                    "{} sectors: {}; none more than {}",
                    sum.erases,
                    areas.join(", "),
                    match rehearsal.worn {
                        1 => "once".to_owned(),
                        times => format!("{times} times"),
                    }
                );
                let written = format!("{} in {} writes", size(sum.written), sum.writes);
                (erases, written, timed(board).then_some(rehearsal.time))
            }
            Self::AtMost(cost, _) => (
                format!("at most {} sectors: {}", cost.erases, cost.working),
                format!("{} of images; status and trailers come on top", size(cost.written)),
                cost.time,
            ),
        };
        writeln!(to, "{}", styled(HEADING, format!("The update on {name}")))?;
        writeln!(to, "  mode     {}", board.mode())?;
        writeln!(to, "  erases   {erases}")?;
        writeln!(to, "  written  {written}")?;
        match time {
            Some(time) => writeln!(to, "  takes    {:.1} s", time.as_secs_f64())?,
            None => writeln!(to, "  takes    not known: the board file gives no timings")?,
        }
        match self {
            Self::AtMost(_, why) => writeln!(to, "  counted, not rehearsed: {why}"),
            _ => Ok(()),
        }
    }
}

/// The areas that were erased or written.
fn by_area<'a>(board: &'a Board, of: &'a Rehearsal) -> impl Iterator<Item = (&'a Area, Sum)> {
    let sums = board.areas().iter().map(|area| (area, of.sum(Some(area.id))));
    sums.filter(|(_, sum)| *sum != Sum::default())
}

/// Whether the board file says how long the flash takes.
fn timed(board: &Board) -> bool {
    board.flash().iter().all(|device| device.erase_us != 0 && device.write_us != 0)
}

/// A file with its explanation.
struct Image {
    file: Vec<u8>,
    inspection: Inspection,
}

impl Image {
    /// Bytes of the image, without padding behind it; `None` if the file does not hold all of it.
    fn size(&self) -> Option<u32> {
        self.inspection.image_size.filter(|size| *size as usize <= self.file.len())
    }

    fn bytes(&self) -> &[u8] {
        let size = self.size().unwrap_or(0) as usize;
        self.file.get(..size).unwrap_or(&self.file)
    }

    fn side(&self) -> Side<'_> {
        Side { file: &self.file, inspection: &self.inspection }
    }
}

fn open(path: &Path) -> anyhow::Result<Image> {
    let (file, _) = read(path)?;
    let inspection = inspect(&file, &[])
        .hint("`updraft image sign` makes an image of a build")
        .with_context(|| format!("{} is no image", path.display()))?;
    Ok(Image { file, inspection })
}

/// The sectors of the slot, from its beginning on. Without a board there is no end to them.
fn sectors(
    args: &Args,
    board: Option<&Board>,
) -> anyhow::Result<impl Iterator<Item = u32> + use<>> {
    let runs = match board {
        Some(board) => {
            let area = board
                .slot(args.image, Role::Primary)
                .ok_or_else(|| anyhow!("{} has no image {}", board.name(), args.image))
                .usage("images are counted from 0")?;
            board.sectors(area)
        }
        None => {
            let size = Some(args.sector_size).filter(|size| *size > 0);
            let size =
                size.ok_or_else(|| anyhow!("sectors of 0 bytes")).usage("--sector-size 4096")?;
            vec![SectorRun { size, count: u32::MAX / size }]
        }
    };
    Ok(runs.into_iter().flat_map(|run| std::iter::repeat_n(run.size, run.count as usize)))
}

fn changes(heading: &str, changes: &[Change], to: &mut dyn Write) -> std::io::Result<()> {
    writeln!(to, "{}", styled(HEADING, heading))?;
    if changes.is_empty() {
        writeln!(to, "  {}", styled(DIM, "no difference"))?;
    }
    let width = changes.iter().map(|change| change.name.len()).max().unwrap_or(0);
    for Change { name, old, new } in changes {
        let mut name = format!("{name:width$}");
        for (style, sign, value) in [(BAD, '-', old), (GOOD, '+', new)] {
            let Some(value) = value else { continue };
            writeln!(to, "  {name}  {}", styled(style, format!("{sign} {value}")))?;
            name = " ".repeat(width);
        }
    }
    writeln!(to)
}

fn body(diff: &Diff, to: &mut dyn Write) -> std::io::Result<()> {
    let [old, new] = diff.bodies;
    let shared = old.min(new).max(1);
    let percent = 100.0 * diff.same_body as f64 / shared as f64;
    writeln!(to, "{}", styled(HEADING, "Body"))?;
    writeln!(
        to,
        "  {} → {}; of {} at the same offset, {percent:.1} % are the same\n",
        size(old as u64),
        size(new as u64),
        size(old.min(new) as u64),
    )
}

/// A character per sector, and how many there are of each.
fn map(diff: &Diff, width: usize, to: &mut dyn Write) -> std::io::Result<()> {
    const STATES: [Sector; 4] = [Sector::Same, Sector::Changed, Sector::Added, Sector::Removed];
    let mark = |state: Sector| match state {
        Sector::Same => styled(DIM, '·'),
        Sector::Changed => styled(WARN, '█'),
        Sector::Added => styled(GOOD, '+'),
        Sector::Removed => styled(BAD, '-'),
    };
    writeln!(to, "{}", styled(HEADING, "Sectors"))?;
    for row in diff.sectors.chunks(width.saturating_sub(4).max(16)) {
        let row: String = row.iter().map(|state| mark(*state)).collect();
        writeln!(to, "  {row}")?;
    }
    let legend = STATES.map(|state| format!("{} {} {state}", mark(state), diff.count(state)));
    writeln!(to, "  {} of {}\n", legend.join(", "), diff.sectors.len())
}
