//! `updraft boards`: lists the boards, or shows one.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};
use updraft_board::schema::BoardFile;
use updraft_board::{
    Active, Board, Capacity, Foreign, LoadError, Program, Role, UpgradeCost, built_in,
};

use crate::flash_map::FlashMapView;
use crate::output::{DIM, HEADING, Output, size, styled};
use crate::report::Hint;

/// Options of `updraft boards`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft boards                      every board that comes with the program
  updraft boards virtual-nor-4k       its flash map, drawn, and the largest image
  updraft boards my/board.toml        the same for a board file of your own: checks it
  updraft boards virtual-nor-4k --json
  updraft boards export rak4631 --format dts
  updraft boards export rak4631 --svg -o rak4631.svg
  updraft boards import flash.overlay --board rak4631 --format dts
  updraft boards import zephyr.dts --board pinetime --format dts --node spi_flash=nor")]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// A board's name, or the path of a board file.
    name: Option<String>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make others' files from a board: linker script, source, partition table
    Export(Export),
    /// Take the flash map of a board from others' files, and print its board file
    Import(Import),
}

#[derive(clap::Args)]
struct Export {
    /// A board's name, or the path of a board file.
    board: String,
    /// What to make.
    #[arg(short, long, required_unless_present = "svg")]
    format: Option<Format>,
    /// The same as `--format svg`.
    #[arg(long, conflicts_with = "format")]
    svg: bool,
    /// Which program a linker script is for.
    #[arg(long, default_value = "application")]
    program: Linked,
    /// `dts`: the label of a device's node, where it is not the usual one; can be given again.
    #[arg(long, value_name = "NODE=DEVICE", value_parser = node)]
    node: Vec<(String, String)>,
    /// The file to write; standard output without.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A linker script for `cortex-m-rt` and its like
    #[value(name = "memory.x")]
    MemoryX,
    /// Rust constants over `updraft-flash` and `updraft-image`
    Rs,
    /// An overlay of Zephyr's devicetree
    Dts,
    /// A fragment of Kconfig for a Zephyr application: what `dts` cannot say
    Conf,
    /// Make variables of Infineon's examples
    Mk,
    /// A header of C
    H,
    /// A picture of the flash map
    Svg,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Linked {
    Bootloader,
    Application,
}

#[derive(clap::Args)]
struct Import {
    /// The file.
    file: PathBuf,
    /// The board whose devices it is about: a name or a board file.
    #[arg(short, long)]
    board: String,
    /// What it is.
    #[arg(short, long)]
    format: Importable,
    /// `dts`: which device of the board a node is, by its label or name, where that cannot be
    /// told; can be given again.
    #[arg(long, value_name = "NODE=DEVICE", value_parser = node)]
    node: Vec<(String, String)>,
}

/// A node of a devicetree and the device that it stands for.
fn node(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((node, device)) if !node.is_empty() && !device.is_empty() => {
            Ok((node.trim_start_matches('&').to_owned(), device.to_owned()))
        }
        _ => Err("a node and a device, such as flash0=internal".to_owned()),
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Importable {
    /// A devicetree of Zephyr's
    Dts,
    /// Make variables of Infineon's examples
    Mk,
}

/// Runs it.
pub fn run(args: Args, out: &Output) -> anyhow::Result<()> {
    match (args.command, args.name) {
        (Some(Command::Export(args)), _) => export(&args),
        (Some(Command::Import(args)), _) => import(&args),
        (None, Some(name)) => show(&load(&name)?, out),
        (None, None) => list(out),
    }
}

fn export(args: &Export) -> anyhow::Result<()> {
    let board = load(&args.board)?;
    // Without a format it was the flag that was given.
    let text = match args.format.unwrap_or(Format::Svg) {
        Format::MemoryX => board.memory_x(match args.program {
            Linked::Bootloader => Program::Bootloader,
            Linked::Application => Program::Application(0),
        }),
        Format::Rs => board.rust(),
        Format::Dts => board.devicetree(&args.node),
        Format::Conf => board.kconfig(),
        Format::H => board.c_header(),
        Format::Mk => board.make_variables(),
        Format::Svg => Ok(board.picture()),
    }?;
    match &args.output {
        Some(path) => std::fs::write(path, text)
            .with_context(|| format!("{} cannot be written", path.display())),
        None => Ok(anstream::stdout().write_all(text.as_bytes())?),
    }
}

fn import(args: &Import) -> anyhow::Result<()> {
    let board = load(&args.board)?;
    let name = args.file.display();
    let text =
        std::fs::read_to_string(&args.file).with_context(|| format!("{name} cannot be read"))?;
    let from = match args.format {
        Importable::Dts => Foreign::Devicetree(&args.node),
        Importable::Mk => Foreign::Make,
    };
    let imported =
        board.import(from, &text).with_context(|| format!("{name} is not understood"))?;
    let board = board.with_imported(imported).context("its flash map does not suit the board")?;
    Ok(anstream::stdout().write_all(board.to_toml().as_bytes())?)
}

/// Loads a board for any command that takes one.
pub fn load(name: &str) -> anyhow::Result<Board> {
    match Board::load(name) {
        Err(error @ LoadError::Unknown { .. }) => {
            Err(error).usage("updraft boards lists every board")
        }
        Err(error @ LoadError::Refused { .. }) => {
            Err(error).hint("boards/README.md describes every key of a board file")
        }
        Err(error) => Err(error.into()),
        Ok(board) => Ok(board),
    }
}

fn list(out: &Output) -> anyhow::Result<()> {
    let boards = built_in().map(load).collect::<anyhow::Result<Vec<_>>>()?;
    let rows: Vec<Row> = boards.iter().map(Row::new).collect();
    let name = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mode = rows.iter().map(|row| row.mode.len()).max().unwrap_or(0);
    out.result(&rows, |to| {
        let heading = format!(
            "{:name$}  {:mode$}  {:>9}  {:>13}  DESCRIPTION",
            "BOARD", "MODE", "FLASH", "LARGEST IMAGE"
        );
        writeln!(to, "{}", styled(HEADING, heading))?;
        for row in &rows {
            let bytes = row.largest_image.map_or_else(|| "–".into(), exact);
            writeln!(
                to,
                "{:name$}  {:mode$}  {:>9}  {bytes:>13}  {}",
                row.name,
                row.mode,
                size(row.flash),
                styled(DIM, row.description)
            )?;
        }
        Ok(())
    })
}

/// A board in the list.
#[derive(Serialize)]
struct Row<'b> {
    name: &'b str,
    description: &'b str,
    mode: &'static str,
    /// Bytes of all devices.
    flash: u64,
    images: u8,
    /// Bytes of the largest image 0.
    largest_image: Option<u32>,
}

impl<'b> Row<'b> {
    fn new(board: &'b Board) -> Self {
        Self {
            name: board.name(),
            description: board.description(),
            mode: board.mode().name(),
            flash: board.flash().iter().map(|device| u64::from(device.size())).sum(),
            images: board.images(),
            largest_image: (board.images() > 0).then(|| board.capacity(0).max_image),
        }
    }
}

/// A board by itself, as JSON.
#[derive(Serialize)]
struct Details<'b> {
    board: &'b BoardFile,
    vendor_id: Option<String>,
    class_id: Option<String>,
    areas: Vec<Value>,
    images: Vec<Value>,
}

impl<'b> Details<'b> {
    fn new(board: &'b Board) -> Self {
        let hex = |id: [u8; 16]| id.iter().map(|byte| format!("{byte:02x}")).collect();
        let ids = board.ids();
        let areas = board.areas().iter().map(|area| {
            let trailer = board.trailer(area);
            json!({
                "id": area.id.0,
                "name": area.name,
                "role": area.role.name(),
                "image": area.role.is_per_image().then_some(area.image),
                "flash": board.device(area).name,
                "offset": area.offset,
                "size": area.size,
                "address": area.address,
                "trailer": trailer.map(|t| json!({ "offset": t.status(), "size": t.size() })),
            })
        });
        let images = (0..board.images()).map(|image| {
            let Capacity { max_image, working } = board.capacity(image);
            let upgrade = board.upgrade_cost(image, max_image).map(|cost| {
                json!({
                    "erases": cost.erases,
                    "written": cost.written,
                    "seconds": cost.time.map(|time| time.as_secs_f64()),
                })
            });
            json!({
                "image": image,
                "largest": max_image,
                "working": working,
                "upgrade": upgrade,
            })
        });
        Self {
            board: board.file(),
            vendor_id: ids.and_then(|ids| ids.vendor).map(hex),
            class_id: ids.and_then(|ids| ids.class).map(hex),
            areas: areas.collect(),
            images: images.collect(),
        }
    }
}

fn show(board: &Board, out: &Output) -> anyhow::Result<()> {
    out.result(&Details::new(board), |to| {
        writeln!(to, "{}  {}", styled(HEADING, board.name()), board.description())?;
        writeln!(to)?;
        write!(to, "{}", map(board).render(out.width(), out.is_terminal()))?;
        writeln!(to)?;
        for (what, text) in facts(board) {
            writeln!(to, "{} {text}", styled(HEADING, format!("{what:13}")))?;
        }
        Ok(())
    })
}

/// The flash map with the largest images in the slots.
fn map(board: &Board) -> FlashMapView<'_> {
    let slots = board.areas().iter().filter(|area| area.role == Role::Primary);
    slots.fold(FlashMapView::new(board), |view, primary| {
        let largest = board.capacity(primary.image).max_image;
        let secondary = board.slot(primary.image, Role::Secondary);
        [Some(primary), secondary].into_iter().flatten().fold(view, |view, slot| {
            view.with_content(slot.id, format!("≤ {}", exact(largest)), largest)
        })
    })
}

/// What there is to say of a board, line by line.
fn facts(board: &Board) -> Vec<(&'static str, String)> {
    let boot = board.boot();
    let logical = boot.logical_sector.map(|bytes| format!(" of {}", exact(bytes)));
    let mut lines = vec![(
        "mode",
        format!(
            "{}, {} sectors{}, trailer fields {} bytes apart",
            boot.mode,
            boot.max_sectors,
            logical.unwrap_or_default(),
            boot.max_align
        ),
    )];
    let mut add = |what, text| lines.push((what, text));
    for image in 0..board.images() {
        let what = if image == 0 { "largest image" } else { "" };
        let of = if board.images() > 1 { format!("image {image}: ") } else { String::new() };
        let Capacity { max_image, working } = board.capacity(image);
        add(what, format!("{of}{}: {working}", exact(max_image)));
        if let Some(cost) = board.upgrade_cost(image, max_image) {
            add(if image == 0 { "upgrade" } else { "" }, format!("{of}{}", upgrade(&cost)));
        }
    }
    let pure = if boot.pure { " over the image itself" } else { "" };
    add(
        "signed",
        format!(
            "{}{pure}, header {:#x}",
            boot.signature.name(),
            board.image_defaults().header_size
        ),
    );
    if let Some(format) = boot.encryption.and_then(|encryption| encryption.format()) {
        add("encrypted", format!("AES-{}, {}", 8 * format.key().size(), format.kind()));
    }
    for core in board.cores() {
        add("core", format!("{}: {}, {} MHz, {}", core.name, core.arch, core.mhz, core.target));
    }
    for ram in board.ram() {
        add("ram", format!("{} at {:#x}", size(ram.size.into()), ram.base));
    }
    if let Some(console) = board.console() {
        let pins = [("tx", &console.tx), ("rx", &console.rx)].into_iter();
        let pins = pins.filter_map(|(name, pin)| Some(format!(", {name} {}", pin.as_ref()?)));
        let device = console.device.as_deref().unwrap_or("console");
        add("console", format!("{device}, {} baud{}", console.baud, pins.collect::<String>()));
    }
    let level = |active| if active == Active::Low { "low" } else { "high" };
    for led in board.leds() {
        let color = led.color.as_deref().map(|color| format!("{color}, ")).unwrap_or_default();
        add("led", format!("{}: {color}{}, active {}", led.name, led.pin, level(led.active)));
    }
    for button in board.buttons() {
        add("button", format!("{}: {}, active {}", button.name, button.pin, level(button.active)));
    }
    if let Some(watchdog) = board.watchdog() {
        let by = if watchdog.started_by_bootloader { "bootloader" } else { "application" };
        add("watchdog", format!("{} ms, started by the {by}", watchdog.timeout_ms));
    }
    lines
}

/// A limit, never rounded up: KiB where that is exact.
fn exact(bytes: u32) -> String {
    if bytes.is_multiple_of(1024) { size(bytes.into()) } else { format!("{bytes} B") }
}

fn upgrade(cost: &UpgradeCost) -> String {
    let written = size(cost.written);
    let mut text = format!("{} erases = {}, {written} written", cost.erases, cost.working);
    if let Some(time) = cost.time {
        text += &format!(", about {:.1} s", time.as_secs_f64());
    }
    text + ", at most"
}
