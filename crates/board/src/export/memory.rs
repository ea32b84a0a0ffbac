//! Linker scripts.

use std::fmt::Write as _;

use updraft_image::UpgradeMode;

use super::{ExportError, Program};
use crate::schema::Role;
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
    for area in board.areas() {
        let name = area.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
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

/// The largest stretch of RAM that no image is loaded to.
fn ram(board: &Board, program: Program) -> Result<(u32, u32), ExportError> {
    let loaded = board.boot().ram_load.as_ref().map(|ram| (ram.base, ram.base + ram.size));
    // An image in RAM has its code there and the rest of the region behind it for its own.
    let taken =
        loaded.filter(|_| board.mode() == UpgradeMode::RamLoad || program == Program::Bootloader);
    let parts = board.ram().iter().flat_map(|ram| {
        let (start, end) = (u64::from(ram.base), u64::from(ram.base) + u64::from(ram.size));
        let (from, to) = taken.map_or((end, end), |(from, to)| (from.into(), to.into()));
        let (from, to) = (from.clamp(start, end), to.clamp(start, end));
        [(start, from - start), (to, end - to)]
    });
    let largest = parts.max_by_key(|(start, size)| (*size, u64::MAX - start));
    let (start, size) = largest.filter(|(_, size)| *size > 0).ok_or(ExportError::NoRam)?;
    Ok((start as u32, size as u32))
}
