//! A dump of a device's whole flash: what lies in it, and what its bootloader will do next.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::json;
use updraft_board::{Board, Role};
use updraft_boot::{Boot, Event};
use updraft_image::{Flag, Magic, SwapType, TornFlags, TrailerState, UpgradeMode};
use updraft_sign::hex::Segment;
use updraft_sim::Loader;
use updraft_sim::device::{Keys, flash_in_memory, trailer as find_trailer};
use updraft_sim::flash::SimFlash;

use crate::commands::{boards, device};
use crate::device::{Detail, SlotView, draw, slots};
use crate::input::Input;
use crate::output::{BAD, DIM, GOOD, HEADING, Output, WARN, size, styled};
use crate::report::Hint;

/// What a dump is looked at with.
#[derive(clap::Args)]
pub struct Dump {
    /// The file is a dump of the whole flash of this board, a name from `updraft boards` or a board
    /// file: of its first device, or of all devices one behind the other; Intel HEX by its
    /// addresses.
    #[arg(long, value_name = "NAME|FILE")]
    dump_of: Option<String>,
    /// A dump of another device of that board; may be repeated.
    #[arg(long, value_name = "DEVICE=FILE", requires = "dump_of")]
    device: Vec<String>,
    /// The private key that the device decrypts images with, or the wrapping key in base64.
    #[arg(long, value_name = "KEY", requires = "dump_of")]
    private_key: Option<PathBuf>,
}

impl Dump {
    /// The board, if the file is a dump at all.
    pub fn board(&self) -> Option<&str> {
        self.dump_of.as_deref()
    }
}

/// Explains the dump in `file`.
pub fn run(
    file: &Path,
    board: &str,
    dump: &Dump,
    keys: &[PathBuf],
    out: &Output,
) -> anyhow::Result<()> {
    let board = boards::load(board)?;
    let mut flash = flash_in_memory(&board);
    fill(&board, &mut flash, file)?;
    for device in &dump.device {
        fill_device(&board, &mut flash, device)?;
    }
    let signed = board.boot().signature.scheme().is_some();
    let unchecked = signed && keys.is_empty();
    let ring = match keys.is_empty() {
        true => Keys::unsigned(),
        false => device::trusted(&board, keys, out)?,
    };
    let ring = device::decrypting(ring, &board, dump.private_key.as_deref())?;
    let before = slots(&board, &flash);
    let next = NextBoot::of(&board, flash, ring)?;
    let result = json!({
        "slots": before,
        "next_boot": next.as_json(),
        "signatures_checked": signed && !unchecked,
    });
    out.result(&result, |to| {
        write!(to, "{}", draw(&board, &before, Detail::Full, out.width(), out.is_terminal()))?;
        writeln!(to, "\n{}", styled(HEADING, "At the next boot"))?;
        for line in next.reasons.iter().chain(&next.events) {
            writeln!(to, "  · {line}")?;
        }
        writeln!(to, "  {}", next.work())?;
        match &next.outcome {
            Ok(boot) => writeln!(to, "  {} {}", styled(GOOD, "starts"), describe(&board, boot))?,
            Err(error) => writeln!(to, "  {} {error}", styled(BAD, "starts nothing:"))?,
        }
        if unchecked {
            let warning = styled(WARN, "note:");
            writeln!(to, "{warning} no signature was checked: give the device's key, -k KEY")?;
        }
        if next.changes() {
            writeln!(to, "\n{}", styled(HEADING, "After that"))?;
            let text = draw(&board, &next.after, Detail::Brief, out.width(), out.is_terminal());
            write!(to, "{text}")?;
        }
        Ok(())
    })
}

/// What the bootloader does, found out by letting it.
struct NextBoot {
    /// Why, as the trailers say it.
    reasons: Vec<String>,
    /// What the bootloader tells on its console.
    events: Vec<String>,
    outcome: Result<Boot, String>,
    erases: u64,
    written: u64,
    /// `None` where the board file gives no timings.
    seconds: Option<f64>,
    after: Vec<SlotView>,
}

impl NextBoot {
    fn of(board: &Board, mut flash: SimFlash, keys: Keys) -> anyhow::Result<Self> {
        let loader = Loader::new(board)?;
        let images = board.images();
        let before: Vec<_> = (0..images).map(|image| trailers(board, &mut flash, image)).collect();
        flash.reset_counts();
        let mut events = Vec::new();
        let mut done = vec![None; images.into()];
        let began = flash.supply().time_us();
        let booted = loader.boot(&mut flash, keys, |image, event| {
            let of = if images > 1 { format!("image {image}: ") } else { String::new() };
            events.push(format!("{of}{event}"));
            if let Some(done) = done.get_mut(usize::from(image)) {
                *done = done.or(Done::of(&event));
            }
        });
        let reasons = (0..images).zip(before).zip(done);
        let reasons = reasons.map(|((image, before), done)| {
            let of = if images > 1 { format!("image {image}: ") } else { String::new() };
            format!("{of}{}", reason(board.mode(), before, done))
        });
        let timed = board.flash().iter().all(|it| it.erase_us != 0 && it.write_us != 0);
        let micros = flash.supply().time_us() - began;
        let counts = flash.counts();
        Ok(Self {
            reasons: reasons.collect(),
            events,
            outcome: booted.map_err(|error| error.to_string()),
            erases: counts.erases,
            written: counts.bytes_written,
            seconds: timed.then_some(micros as f64 / 1e6),
            after: slots(board, &flash),
        })
    }

    fn changes(&self) -> bool {
        self.erases > 0 || self.written > 0
    }

    fn work(&self) -> String {
        if !self.changes() {
            return styled(DIM, "the flash stays as it is");
        }
        let Self { erases, seconds, .. } = self;
        let time = match seconds {
            Some(seconds) => format!("{seconds:.1} s"),
            None => "in a time that is not known: the board file gives no timings".into(),
        };
        format!("{erases} erases, {} written, {time}", size(self.written))
    }

    fn as_json(&self) -> serde_json::Value {
        let outcome = match &self.outcome {
            Ok(boot) => json!({
                "starts": {
                    "image": boot.image,
                    "area": boot.area.0,
                    "version": boot.header.version.to_string(),
                    "hash": boot.validated.map(|validated| validated.hash.to_string()),
                    "swap": name(boot.swap),
                },
            }),
            Err(error) => json!({ "starts": null, "reason": error }),
        };
        json!({
            "reasons": self.reasons,
            "events": self.events,
            "outcome": outcome,
            "erases": self.erases,
            "written": self.written,
            "seconds": self.seconds,
            "slots": self.after,
        })
    }
}

/// What the bootloader did to an image, as far as that is a reason by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Resumed,
    Bootstrapped,
    Reverted,
}

impl Done {
    fn of<E>(event: &Event<E>) -> Option<Self> {
        match event {
            Event::Resumed(_) => Some(Self::Resumed),
            Event::Bootstrapped => Some(Self::Bootstrapped),
            Event::Reverted => Some(Self::Reverted),
            _ => None,
        }
    }
}

/// The trailers of image number `image`, primary and secondary, as its bootloader takes them.
fn trailers(board: &Board, flash: &mut SimFlash, image: u8) -> [TrailerState; 2] {
    let roles =
        [(Role::Primary, TornFlags::CountAsSet), (Role::Secondary, TornFlags::CountAsUnset)];
    roles.map(|(role, torn)| {
        let area = board.slot(image, role);
        let trailer = area.and_then(|area| find_trailer(board, flash, area.id));
        let state = trailer.and_then(|trailer| trailer.read(flash).ok());
        let state = state.unwrap_or(TrailerState::UNSET);
        if board.boot().strict { state.decide_torn_flags(torn) } else { state }
    })
}

/// Why the bootloader does what it does.
fn reason(
    mode: UpgradeMode,
    [primary, secondary]: [TrailerState; 2],
    done: Option<Done>,
) -> &'static str {
    match (done, mode, TrailerState::swap_type(mode, &primary, &secondary)) {
        (_, UpgradeMode::SingleSlot | UpgradeMode::SingleSlotRamLoad, _) => "there is one slot",
        (_, UpgradeMode::FirmwareLoader, _) => "the application is started unless it cannot be",
        (_, UpgradeMode::DirectXip | UpgradeMode::DirectXipRevert | UpgradeMode::RamLoad, _) => {
            "the slot with the highest version that is acceptable is started"
        }
        (Some(Done::Resumed), ..) => "a swap was begun and not finished",
        (Some(Done::Bootstrapped), ..) => "there is no image to boot in the primary slot",
        (Some(Done::Reverted), ..) | (_, _, SwapType::Revert) => {
            "the running image was under test and has not confirmed itself: copy_done is set in \
             the primary trailer, image_ok is not"
        }
        (_, _, SwapType::Test) => {
            "an upgrade is asked for, to be tested: the secondary trailer has its magic and no \
             image_ok"
        }
        (_, _, SwapType::Permanent) => {
            "an upgrade is asked for, for good: the secondary trailer has its magic and image_ok"
        }
        _ if primary.magic == Magic::Good && primary.image_ok == Flag::Set => {
            "nothing is asked for, and the running image is confirmed"
        }
        _ => "nothing is asked for: the secondary trailer has no magic",
    }
}

fn describe(board: &Board, boot: &Boot) -> String {
    let area = board.areas().iter().find(|area| area.id == boot.area);
    let area = area.map_or("a slot", |area| &area.name);
    let version = boot.header.version;
    match boot.swap {
        SwapType::None => format!("{version} in {area}"),
        swap => format!("{version} in {area} ({})", name(swap)),
    }
}

fn name(swap: SwapType) -> &'static str {
    match swap {
        SwapType::None => "no swap",
        SwapType::Test => "test: it has to confirm itself",
        SwapType::Permanent => "for good",
        SwapType::Revert => "reverted",
        SwapType::Fail => "refused",
    }
}

/// Puts the file into the devices of the board: by address, or the first one, or all.
fn fill(board: &Board, flash: &mut SimFlash, file: &Path) -> anyhow::Result<()> {
    let input = Input::open(file)?;
    if input.placed {
        let mut segments = input.segments.iter();
        return segments
            .try_for_each(|segment| fill_at(board, flash, segment.address, &segment.bytes))
            .with_context(|| format!("{} cannot be used", file.display()));
    }
    let bytes = input.flat(0xff)?;
    let sizes: Vec<usize> = flash.devices().iter().map(|it| it.spec().size() as usize).collect();
    let (all, first) = (sizes.iter().sum::<usize>(), sizes.first().copied().unwrap_or(0));
    if bytes.len() != all && bytes.len() != first {
        let name = board.name();
        let only = if all == first { "" } else { ", the first device alone" };
        let first = if all == first { String::new() } else { format!(" {first}") };
        return Err(anyhow!("{} has {} bytes", file.display(), bytes.len()))
            .usage(format!("a dump of {name} has {all} bytes{only}{first}"));
    }
    let mut rest = bytes.as_slice();
    for (index, size) in sizes.into_iter().enumerate() {
        let (device, behind) = rest.split_at(size.min(rest.len()));
        flash.load_device(index, 0, device)?;
        rest = behind;
    }
    Ok(())
}

/// Puts bytes where the device that is mapped there has them.
fn fill_at(board: &Board, flash: &mut SimFlash, address: u32, bytes: &[u8]) -> anyhow::Result<()> {
    let mut bases = board.flash().iter().enumerate().filter_map(|(index, device)| {
        let offset = address.checked_sub(device.base?)?;
        let size = device.sectors.iter().map(|run| run.count * run.size).sum::<u32>();
        (offset < size).then_some((index, offset))
    });
    let (index, offset) = bases
        .next()
        .ok_or_else(|| anyhow!("no flash of {} is mapped at {address:#x}", board.name()))
        .hint("`updraft boards NAME` shows where its devices are")?;
    flash.load_device(index, offset, bytes)?;
    Ok(())
}

/// Takes `NAME=FILE`.
fn fill_device(board: &Board, flash: &mut SimFlash, text: &str) -> anyhow::Result<()> {
    let (name, path) = text
        .split_once('=')
        .ok_or_else(|| anyhow!("--device {text} names no device"))
        .usage("--device DEVICE=FILE, such as --device external=nor.bin")?;
    let found = board.flash().iter().position(|device| device.name == name);
    let names = || board.flash().iter().map(|it| it.name.clone()).collect::<Vec<_>>().join(", ");
    let index = found
        .ok_or_else(|| anyhow!("{} has no flash called {name}", board.name()))
        .usage(format!("one of {}", names()))?;
    let input = Input::open(Path::new(path))?;
    // The addresses of a device that is not mapped are its own.
    let base = board.flash().get(index).and_then(|device| device.base).unwrap_or(0);
    let base = if input.placed { base } else { 0 };
    // What lies between two segments stays erased.
    for Segment { address, bytes } in &input.segments {
        let offset = address
            .checked_sub(base)
            .ok_or_else(|| anyhow!("{path} has bytes at {address:#x}"))
            .usage(format!("{name} is mapped from {base:#x} on"))?;
        let loaded = flash.load_device(index, offset, bytes);
        loaded.with_context(|| {
            format!("{path} has bytes at {address:#x}, which do not lie in {name}")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use updraft_image::TrailerState as State;

    use super::*;

    #[test]
    fn a_status_area_says_what_is_asked_for() {
        let board = Board::load("virtual-psoc6-status").unwrap();
        let mut flash = flash_in_memory(&board);
        let before = trailers(&board, &mut flash, 0);
        assert!(reason(board.mode(), before, None).starts_with("nothing is asked for"));
        let secondary = board.slot(0, Role::Secondary).unwrap().id;
        let trailer = find_trailer(&board, &flash, secondary).unwrap();
        trailer.write_magic(&mut flash).unwrap();
        let asked = trailers(&board, &mut flash, 0);
        assert!(reason(board.mode(), asked, None).contains("to be tested"));
    }

    #[test]
    fn what_the_bootloader_did_is_the_reason() {
        let (mode, none) = (UpgradeMode::SwapMove, [State::UNSET; 2]);
        let begun = State { magic: Magic::Good, ..State::UNSET };
        assert!(reason(mode, none, Some(Done::Bootstrapped)).contains("no image to boot"));
        assert!(reason(mode, [begun, State::UNSET], Some(Done::Resumed)).contains("not finished"));
        // Nothing but the bootloader can tell that from an image that was programmed with a magic.
        assert!(reason(mode, [begun, State::UNSET], None).starts_with("nothing is asked for"));
    }
}
