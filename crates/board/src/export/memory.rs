//! Linker scripts.

use std::fmt::Write as _;

use updraft_image::UpgradeMode;

use super::{ExportError, Program, identifier};
use crate::schema::{Ram, RamUser, Role};
use crate::{Area, Board};

pub(super) fn script(board: &Board, program: Program) -> Result<String, ExportError> {
    let (area, header, what) = match program {
        Program::Bootloader => {
            let area = board.area(Role::Bootloader);
            (area.ok_or(ExportError::NoArea(Role::Bootloader, 0))?, 0, "bootloader")
        }
        Program::Application(image) => {
            let area = board.slot(image, Role::Primary);
            let area = area.ok_or(ExportError::NoArea(Role::Primary, image))?;
            (area, board.image_defaults().header_size, "application")
        }
    };
    let (origin, room) = match (program, board.mode(), &board.boot().ram_load) {
        (
            Program::Application(image),
            UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad,
            Some(ram),
        ) => (ram.base, board.capacity(image).max_image.min(ram.size)),
        (Program::Application(image), ..) => (address(area)?, board.capacity(image).max_image),
        (Program::Bootloader, ..) => (address(area)?, area.size),
    };
    let ram = ram(board, program)?;
    let mut text = format!(
        "/* The {what} of {}, from boards/{}.toml. */\nMEMORY\n{{\n",
        board.name(),
        board.name()
    );
    let size = room.saturating_sub(header);
    let _ = writeln!(text, "  FLASH : ORIGIN = {:#010x}, LENGTH = {size:#x}", origin + header);
    let _ = writeln!(text, "  RAM   : ORIGIN = {:#010x}, LENGTH = {:#x}\n}}", ram.0, ram.1);
    if let Some(retained) = retained(board)? {
        let _ = writeln!(text, "_retained = {retained:#010x};");
    }
    if let Program::Application(image) = program {
        let _ = writeln!(text, "_header_size = {header:#x};");
        let _ = writeln!(text, "_slot_size = {:#x};", area.size);
        let _ = writeln!(text, "_largest_image = {:#x};", board.capacity(image).max_image);
        let _ = writeln!(text, "/* {} */", board.how_to_sign());
    }
    for area in board.areas() {
        let name = identifier(&area.name);
        if let Some(address) = area.address {
            let _ = writeln!(text, "_{name}_start = {address:#010x};");
            let _ = writeln!(
                text,
                "_{name}_end = {:#010x};",
                u64::from(address) + u64::from(area.size)
            );
        }
    }
    Ok(text)
}

fn address(area: &Area) -> Result<u32, ExportError> {
    area.address.ok_or_else(|| ExportError::NotMapped(area.name.clone()))
}

/// Bytes at the end of RAM that outlive a reset.
const RETAINED: u32 = 16;

/// Where the bootloader keeps what outlives a reset, on a board where other processors or programs
/// have RAM of their own: their programs leave it there, too.
fn retained(board: &Board) -> Result<Option<u32>, ExportError> {
    let apart = board.ram().iter().any(|ram| ram.core.is_some() || ram.program.is_some());
    let (start, size) = ram(board, Program::Bootloader)?;
    Ok(apart.then(|| start.saturating_add(size).saturating_sub(RETAINED)))
}

/// The processor that runs a program: the first one has the bootloader, the last one the
/// application; of several images, each has one of its own as long as there are enough.
fn core(board: &Board, program: Program) -> Option<&str> {
    let cores = board.cores();
    let core = match program {
        Program::Bootloader => cores.first(),
        Program::Application(image) if board.images() > 1 => {
            cores.get(usize::from(image)).or(cores.last())
        }
        Program::Application(_) => cores.last(),
    };
    core.map(|core| core.name.as_str())
}

/// The largest stretch of RAM that the program's processor has and no image is loaded to.
pub(super) fn ram(board: &Board, program: Program) -> Result<(u32, u32), ExportError> {
    let loaded = board.boot().ram_load.as_ref().map(|ram| (ram.base, ram.base + ram.size));
    // An image in RAM has its code there and the rest of the region behind it for its own.
    let taken =
        loaded.filter(|_| board.mode() == UpgradeMode::RamLoad || program == Program::Bootloader);
    let core = core(board, program);
    let user = match program {
        Program::Bootloader => RamUser::Bootloader,
        Program::Application(_) => RamUser::Application,
    };
    let its = |ram: &&Ram| {
        (ram.core.is_none() || ram.core.as_deref() == core)
            && ram.program.is_none_or(|program| program == user)
    };
    let parts = board.ram().iter().filter(its).flat_map(|ram| {
        let (start, end) = (u64::from(ram.base), u64::from(ram.base) + u64::from(ram.size));
        let (from, to) = taken.map_or((end, end), |(from, to)| (from.into(), to.into()));
        let (from, to) = (from.clamp(start, end), to.clamp(start, end));
        [(start, from - start), (to, end - to)]
    });
    let largest = parts.max_by_key(|(start, size)| (*size, u64::MAX - start));
    let (start, size) = largest.filter(|(_, size)| *size > 0).ok_or(ExportError::NoRam)?;
    Ok((start as u32, size as u32))
}
