//! Variables for make, as Infineon's bootloader examples take them.
//!
//! Source: the makefiles of the over-the-air and of the rollback example (`CY_BOOT_…`, `MCUBOOT_…`).

use std::fmt::Write as _;

use super::memory::ram;
use super::{ExportError, Program};
use crate::schema::Role;
use crate::{Area, Board};

pub(super) fn variables(board: &Board) -> Result<String, ExportError> {
    let mut text = format!("# {}, from boards/{}.toml.\n", board.description(), board.name());
    let mut line = |name: &str, value: u32| {
        let _ = writeln!(text, "{name}={value:#x}");
    };
    for (index, device) in board.flash().iter().enumerate() {
        line(if index == 0 { "INT_FLASH_SIZE" } else { "EXTERNAL_FLASH_SIZE" }, device.size());
    }
    for area in board.areas() {
        if let Some(name) = name(area) {
            // Memory tells devices apart where all are mapped; elsewhere offsets have to do.
            line(&format!("{name}_START"), area.address.unwrap_or(area.offset));
            line(&format!("{name}_SIZE"), area.size);
        }
    }
    if let Some(bootloader) = board.area(Role::Bootloader) {
        line("BOOTLOADER_APP_FLASH_SIZE", bootloader.size);
    }
    if let Ok((_, size)) = ram(board, Program::Bootloader) {
        line("BOOTLOADER_APP_RAM_SIZE", size);
    }
    line("MCUBOOT_HEADER_SIZE", board.image_defaults().header_size);
    let primary = board.area(Role::Primary).ok_or(ExportError::NoArea(Role::Primary, 0))?;
    line("MCUBOOT_SLOT_SIZE", primary.size);
    line("ERASED_VALUE", board.device(primary).erased.into());
    let secondary = board.area(Role::Secondary);
    let external = secondary.is_some_and(|secondary| secondary.device != primary.device);
    let _ = writeln!(text, "MCUBOOT_MAX_IMG_SECTORS={}", board.boot().max_sectors);
    let _ = writeln!(text, "USE_EXT_FLASH={}", u8::from(external));
    let flags = super::c::flags(board).into_iter();
    let flags: Vec<_> = flags.map(|(name, value)| format!("{name}={value}")).collect();
    let _ = writeln!(text, "# MCUboot's own switches, for the compiler.");
    let _ = writeln!(text, "MCUBOOT_DEFINES={}", flags.join(" "));
    let _ = writeln!(text, "# {}", board.how_to_sign());
    Ok(text)
}

fn name(area: &Area) -> Option<String> {
    let image = area.image + 1;
    Some(match area.role {
        Role::Bootloader => "CY_BOOT_BOOTLOADER".into(),
        Role::Primary => format!("CY_BOOT_PRIMARY_{image}"),
        Role::Secondary => format!("CY_BOOT_SECONDARY_{image}"),
        Role::Scratch => "CY_BOOT_SCRATCH".into(),
        Role::Status => "CY_BOOT_STATUS".into(),
        Role::Factory => "FACT_APP".into(),
        Role::Storage | Role::Reserved => return None,
    })
}
