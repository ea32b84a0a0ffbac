//! Zephyr's devicetree: the partitions of each flash device, and the RAM that the bootloader leaves.
//! What else an application has to know is not in a devicetree, and said in comments.
//!
//! Source of the names: Zephyr, "Fixed flash partitions" and the partitions that its MCUboot support
//! expects; the older names are those that boards had until 2022.

use std::fmt::Write as _;

use super::memory::ram;
use super::{ExportError, Program, identifier};
use crate::import::OWN_FLASH;
use crate::schema::Role;
use crate::{Area, Board};

/// The label of the RAM inside of the chip.
const OWN_RAM: &str = "sram0";

pub(super) fn overlay(board: &Board, nodes: &[(String, String)]) -> Result<String, ExportError> {
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
            node_of(board, nodes, index, &device.name)
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
    let mut chosen = String::new();
    if let Ok((base, size)) = ram(board, Program::Application(0)) {
        let _ = write!(text, "\n&{OWN_RAM} {{\n\treg = <{base:#x} {size:#x}>;\n}};\n");
        let _ = writeln!(chosen, "\t\tzephyr,sram = &{OWN_RAM};");
    }
    if board.area(Role::Primary).is_some() {
        chosen.push_str("\t\tzephyr,code-partition = &slot0_partition;\n");
        let header = board.image_defaults().header_size;
        let _ = write!(
            text,
            "\n/* Code begins {header:#x} bytes into its partition, behind the header:\n   \
             CONFIG_ROM_START_OFFSET={header:#x}, as `--format conf` has it. */\n/* {} */\n",
            board.how_to_sign()
        );
    }
    if !chosen.is_empty() {
        let _ = write!(text, "\n/ {{\n\tchosen {{\n{chosen}\t}};\n}};\n");
    }
    Ok(text)
}

/// The label of a device's node: Zephyr calls the flash inside of every chip the same.
fn node_of<'b>(
    board: &Board,
    nodes: &'b [(String, String)],
    index: usize,
    name: &'b str,
) -> &'b str {
    let named = nodes.iter().find(|(_, device)| device == name);
    let is_own = index == 0 && board.flash().iter().all(|device| device.name != OWN_FLASH);
    match named {
        Some((node, _)) => node,
        None if is_own => OWN_FLASH,
        None => name,
    }
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
