//! Variables for make, as Infineon's bootloader examples take them.
//!
//! Source: the makefiles of the over-the-air and of the rollback example (`CY_BOOT_…`, `MCUBOOT_…`).

use std::fmt::Write as _;

use super::{ExportError, ImportError};
use crate::schema::{AreaRow, Role};
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
    line("MCUBOOT_HEADER_SIZE", board.image_defaults().header_size);
    let primary = board.area(Role::Primary).ok_or(ExportError::NoArea(Role::Primary, 0))?;
    line("MCUBOOT_SLOT_SIZE", primary.size);
    let secondary = board.area(Role::Secondary);
    let external = secondary.is_some_and(|secondary| secondary.device != primary.device);
    let _ = writeln!(text, "MCUBOOT_MAX_IMG_SECTORS={}", board.boot().max_sectors);
    let _ = writeln!(text, "USE_EXT_FLASH={}", u8::from(external));
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

/// The areas that variables name, on the devices of `board`.
pub(super) fn areas(board: &Board, text: &str) -> Result<Vec<AreaRow>, ImportError> {
    let mut starts = std::collections::HashMap::new();
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: String| ImportError { line: index + 1, what };
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((name, value)) = line.split_once(['=']) else { continue };
        let name = name.trim().trim_end_matches([':', '?', '+']).trim();
        let (area, is_start) = match (name.strip_suffix("_START"), name.strip_suffix("_SIZE")) {
            (Some(area), _) => (area, true),
            (_, Some(area)) => (area, false),
            _ => continue,
        };
        let Some((role, image)) = role(area) else { continue };
        let value = value.trim();
        let number = crate::text::size::parse(value)
            .ok_or_else(|| wrong(format!("`{value}` is no number")))?;
        if is_start {
            starts.insert(area.to_owned(), number);
            continue;
        }
        let start = starts.get(area).copied();
        let start = start.ok_or_else(|| wrong(format!("{area}_START has to come before")))?;
        let place = board.flash().iter().find_map(|device| {
            let offset = start.checked_sub(device.base?)?;
            (offset < device.size()).then(|| (device.name.clone(), offset))
        });
        let (flash, offset) =
            place.ok_or_else(|| wrong(format!("{start:#x} is on no device of the board")))?;
        let name = match image {
            0 => role.name().to_owned(),
            image => format!("{}-{image}", role.name()),
        };
        let image = (image > 0).then_some(image);
        rows.push(AreaRow { name, role, image, flash, offset, size: number });
    }
    Ok(rows)
}

fn role(name: &str) -> Option<(Role, u8)> {
    let numbered = |prefix: &str, role| {
        let number: u8 = name.strip_prefix(prefix)?.parse().ok()?;
        Some((role, number.checked_sub(1)?))
    };
    match name {
        "CY_BOOT_BOOTLOADER" => Some((Role::Bootloader, 0)),
        "CY_BOOT_SCRATCH" => Some((Role::Scratch, 0)),
        "CY_BOOT_STATUS" => Some((Role::Status, 0)),
        "FACT_APP" => Some((Role::Factory, 0)),
        _ => numbered("CY_BOOT_PRIMARY_", Role::Primary)
            .or_else(|| numbered("CY_BOOT_SECONDARY_", Role::Secondary)),
    }
}
