//! Zephyr's devicetree: the partitions of each flash device.
//!
//! Source of the names: Zephyr, "Fixed flash partitions" and the partitions that its MCUboot support
//! expects; the older names are those that boards had until 2022.

use std::fmt::Write as _;

use super::{ExportError, ImportError};
use crate::schema::{AreaRow, Role};
use crate::{Area, Board};

pub(super) fn overlay(board: &Board) -> Result<String, ExportError> {
    let mut text = format!("/* {}, from boards/{}.toml. */\n", board.description(), board.name());
    for (index, device) in board.flash().iter().enumerate() {
        let mut areas: Vec<_> = board.areas().iter().filter(|area| area.device == index).collect();
        areas.sort_by_key(|area| area.offset);
        if areas.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "\n&{} {{\n\tpartitions {{\n\t\tcompatible = \"fixed-partitions\";\n\t\t#address-cells = \
             <1>;\n\t\t#size-cells = <1>;\n",
            device.name
        );
        for area in areas {
            let (node, label) = names(area);
            let _ = write!(
                text,
                "\n\t\t{node}: partition@{:x} {{\n\t\t\tlabel = \"{label}\";\n\t\t\treg = <{:#x} \
                 {:#x}>;\n\t\t}};\n",
                area.offset, area.offset, area.size
            );
        }
        text.push_str("\t};\n};\n");
    }
    Ok(text)
}

/// The node's and the partition's name.
fn names(area: &Area) -> (String, String) {
    let slot = |second: u8| {
        let number = 2 * area.image + second;
        (format!("slot{number}_partition"), format!("image-{number}"))
    };
    match area.role {
        Role::Bootloader => ("boot_partition".into(), "mcuboot".into()),
        Role::Primary => slot(0),
        Role::Secondary => slot(1),
        Role::Scratch => ("scratch_partition".into(), "image-scratch".into()),
        Role::Storage if area.name == "storage" => ("storage_partition".into(), "storage".into()),
        // There may be several.
        Role::Storage => {
            (format!("{}_storage_partition", identifier(&area.name)), area.name.clone())
        }
        Role::Factory | Role::Status | Role::Reserved => {
            (format!("{}_partition", identifier(&area.name)), area.name.clone())
        }
    }
}

fn identifier(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// The areas that an overlay names, on devices that are called like its nodes.
pub(super) fn areas(text: &str) -> Result<Vec<AreaRow>, ImportError> {
    let mut device = None;
    let mut node = None;
    let mut label = None;
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: &str| ImportError { line: index + 1, what: what.to_owned() };
        let line = line.trim();
        if let Some(name) = line.strip_prefix('&').and_then(|rest| rest.split_whitespace().next()) {
            device = Some(name.to_owned());
        } else if let Some((name, rest)) = line.split_once(':')
            && rest.contains("partition@")
        {
            (node, label) = (Some(name.trim().to_owned()), None);
        } else if let Some(value) = value(line, "label") {
            label = Some(value.trim_matches('"').to_owned());
        } else if let Some(value) = value(line, "reg").filter(|_| node.is_some()) {
            let numbers = value.trim_start_matches('<').trim_end_matches('>');
            let numbers: Option<Vec<u32>> =
                numbers.split_whitespace().map(crate::text::size::parse).collect();
            let Some([offset, size]) = numbers.as_deref() else {
                return Err(wrong("`reg` is to hold an offset and a size"));
            };
            let flash = device.clone().ok_or_else(|| wrong("a partition of no `&device`"))?;
            let node = node.take().unwrap_or_default();
            let (role, image) = role(&node);
            let name = match role {
                Role::Reserved | Role::Storage => label.clone().unwrap_or(node),
                role => role.name().to_owned(),
            };
            let name = image.map_or(name.clone(), |image| match image {
                0 => name,
                image => format!("{name}-{image}"),
            });
            let image = image.filter(|image| *image > 0);
            rows.push(AreaRow { name, role, image, flash, offset: *offset, size: *size });
        }
    }
    Ok(rows)
}

/// What stands behind `key =`.
fn value<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let rest = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
    Some(rest.trim().trim_end_matches(';').trim())
}

fn role(node: &str) -> (Role, Option<u8>) {
    let name = node.trim_end_matches("_partition");
    match name {
        "boot" | "bootloader" => (Role::Bootloader, None),
        "scratch" | "image_scratch" => (Role::Scratch, None),
        "storage" => (Role::Storage, None),
        "factory" => (Role::Factory, Some(0)),
        "status" => (Role::Status, None),
        "image_0_primary" => (Role::Primary, Some(0)),
        "image_0_secondary" => (Role::Secondary, Some(0)),
        _ => match name.strip_prefix("slot").and_then(|number| number.parse::<u8>().ok()) {
            Some(number) if number % 2 == 0 => (Role::Primary, Some(number / 2)),
            Some(number) => (Role::Secondary, Some(number / 2)),
            None if name.ends_with("_storage") => (Role::Storage, None),
            None => (Role::Reserved, None),
        },
    }
}
