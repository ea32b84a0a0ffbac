//! What an upgrade does to the flash, beside what the original does to it.

use std::fmt::Write as _;

use updraft_board::{Board, Role};
use updraft_image::UpgradeMode;

use super::{image, keys};
use crate::{Loader, Rehearsal, Sum};

/// Erases, writes, bytes written, most erases of one sector.
type Cost = [u64; 4];

/// An upgrade that was measured with the original: 4 KiB sectors, 8-byte writes, for good.
struct Measured {
    mode: UpgradeMode,
    /// KiB of the scratch area; 0 for none.
    scratch: u32,
    /// Whether overwriting copies the whole slot, and not the image alone.
    whole: bool,
    /// KiB of the images, roughly.
    kib: u32,
    original: Cost,
}

const fn measured(mode: UpgradeMode, scratch: u32, kib: u32, original: Cost) -> Measured {
    Measured { mode, scratch, whole: false, kib, original }
}

const MEASURED: [Measured; 12] = [
    measured(UpgradeMode::OverwriteOnly, 0, 256, [98, 384, 393_216, 1]).whole(),
    measured(UpgradeMode::OverwriteOnly, 0, 512, [162, 640, 655_360, 1]).whole(),
    measured(UpgradeMode::OverwriteOnly, 0, 256, [66, 252, 256_912, 1]),
    measured(UpgradeMode::OverwriteOnly, 0, 512, [131, 508, 519_056, 1]),
    measured(UpgradeMode::SwapScratch, 4, 256, [195, 969, 788_056, 65]),
    measured(UpgradeMode::SwapScratch, 4, 512, [389, 1929, 1_576_024, 129]),
    measured(UpgradeMode::SwapScratch, 64, 256, [210, 789, 786_616, 5]),
    measured(UpgradeMode::SwapScratch, 64, 512, [404, 1569, 1_573_144, 9]),
    measured(UpgradeMode::SwapMove, 0, 256, [194, 965, 788_016, 2]),
    measured(UpgradeMode::SwapMove, 0, 512, [388, 1925, 1_575_984, 2]),
    measured(UpgradeMode::SwapOffset, 0, 256, [130, 646, 525_368, 1]),
    measured(UpgradeMode::SwapOffset, 0, 512, [260, 1286, 1_050_680, 1]),
];

/// The areas that an upgrade writes to.
const AREAS: [Role; 3] = [Role::Primary, Role::Secondary, Role::Scratch];

impl Measured {
    const fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    /// Sectors of a slot, sectors with records, bytes of the old and of the new image.
    fn layout(&self) -> (u32, u32, [u32; 2]) {
        match self.kib {
            256 => (96, 128, [260_000, 256_890]),
            _ => (160, 256, [522_000, 519_035]),
        }
    }

    fn board(&self) -> Option<Board> {
        let (sectors, records, _) = self.layout();
        let (slot, scratch) = (sectors * 4096, self.scratch * 1024);
        let mut file = format!(
            "name = \"operations\"\ndescription = \"4 KiB sectors\"\n[[core]]\nname = \"app\"\n\
             arch = \"cortex-m4\"\ntarget = \"thumbv7em-none-eabi\"\nmhz = 64\n[[flash]]\n\
             name = \"flash\"\nbase = 0\nwrite_size = 8\n\
             sectors = [{{ size = 4096, count = {} }}]\n[boot]\nmode = \"{}\"\n\
             max_sectors = {records}\nsignature = \"none\"\n[image]\nheader_size = 32\n",
            2 * sectors + scratch.div_ceil(4096),
            self.mode,
        );
        let mut offset = 0;
        for (role, size) in AREAS.into_iter().zip([slot, slot, scratch]) {
            if size > 0 {
                let name = role.name();
                let _ = write!(
                    file,
                    "[[area]]\nname = \"{name}\"\nrole = \"{name}\"\nflash = \"flash\"\n\
                     offset = {offset}\nsize = {size}\n"
                );
                offset += size;
            }
        }
        Board::parse(&file, "operations").ok()
    }

    /// The upgrade on its board; `None` where nothing here can play the mode.
    fn rehearsed(&self) -> Option<(Board, Rehearsal)> {
        let board = self.board()?;
        let (_, _, [old, new]) = self.layout();
        let (old, new) = (image(&board, 1, old)?, image(&board, 2, new)?);
        let loader = Loader::new(&board).ok()?;
        let loader = if self.whole { loader.copying_whole_slots() } else { loader };
        let rehearsal = Rehearsal::with(&loader, &board, &old, &new, &keys(&board)).ok()?;
        Some((board, rehearsal))
    }
}

/// The page on what upgrades do to the flash. `cargo xtask tables` writes it; in every row ours
/// is at most the original's.
pub fn flash_operations() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut areas = String::new();
    for measured in &MEASURED {
        let Measured { mode, scratch, whole, kib, original } = measured;
        let Some((board, rehearsal)) = measured.rehearsed() else { continue };
        let name = match scratch {
            0 if *whole => format!("{mode}, whole slot"),
            0 => mode.to_string(),
            kib => format!("{mode}, {kib} KiB"),
        };
        let Sum { erases, writes, written } = rehearsal.sum(None);
        let ours = [erases, writes, written, rehearsal.worn.into()];
        let cells = ours.iter().zip(original).map(|(ours, original)| {
            assert!(ours <= original, "{name}: {ours} against {original}");
            format!("{ours} | {original}")
        });
        let cells: Vec<_> = cells.collect();
        let _ = writeln!(page, "| {name} | {kib} KiB | {} |", cells.join(" | "));
        let each = AREAS.iter().map(|role| match board.area(*role) {
            Some(area) => {
                let Sum { erases, writes, written } = rehearsal.sum(Some(area.id));
                format!("{erases} | {writes} | {written}")
            }
            None => "– | – | –".to_owned(),
        });
        let each: Vec<_> = each.collect();
        let _ = writeln!(areas, "| {name} | {kib} KiB | {} |", each.join(" | "));
    }
    page + BY_AREA + &areas
}

const INTRODUCTION: &str = "\
# Flash operations

What one permanent upgrade does to flash of 4 KiB sectors that is written 8 bytes at a time, without \
a power cut, beside the same upgrade by MCUboot (its C code over a counting flash, the same images and \
slots). The boot after it does nothing at all. Generated by `cargo xtask tables`; a test keeps every \
figure at or below the original's.

| mode | images | erases | MCUboot | writes | MCUboot | bytes written | MCUboot | erases of one sector | MCUboot |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|
";

const BY_AREA: &str = "
## By area

| mode | images | primary: erases | writes | bytes | secondary: erases | writes | bytes | scratch: erases | writes | bytes |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
";
