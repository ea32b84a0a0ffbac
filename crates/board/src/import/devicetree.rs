//! Zephyr's devicetree: fixed partitions, of whatever age.
//!
//! Sources of the names: Zephyr, "Fixed flash partitions", and its bindings `fixed-partitions`,
//! `fixed-subpartitions` and `zephyr,mapped-partition`; the older labels are those that boards had
//! until 2022.

use std::collections::{HashMap, HashSet};

use super::tree::{Node, Tree};
use super::{ImportError, Imported};
use crate::schema::{AreaRow, Role};
use crate::{Board, FlashDevice};

/// What Zephyr calls the flash inside of a chip, whoever made it.
pub(crate) const OWN_FLASH: &str = "flash0";

/// The partitions that a file has, on the devices of `board`.
pub(super) fn read(
    board: &Board,
    nodes: &[(String, String)],
    text: &str,
) -> Result<Imported, ImportError> {
    let tree = Tree::parse(text)?;
    let tables: HashSet<usize> =
        (0..tree.nodes.len()).filter(|index| is_table(&tree, *index)).collect();
    let children: HashSet<usize> =
        tree.nodes.iter().filter(|node| !node.deleted).filter_map(|node| node.parent).collect();
    let mut areas = Vec::new();
    let mut devices = HashMap::new();
    for (index, node) in tree.nodes.iter().enumerate() {
        let Some(table) = node.parent.filter(|parent| tables.contains(parent)) else { continue };
        // One that is divided is there as its parts.
        if is_deleted(&tree, index) || (tables.contains(&index) && children.contains(&index)) {
            continue;
        }
        let Some((offset, size)) = place(&tree, node)? else { continue };
        let (holder, offset) = base(&tree, &tables, table, offset)?;
        let line = node.property("reg").map_or(1, |reg| reg.line);
        let wrong = |what: String| ImportError { line, what };
        let flash = match devices.get(&holder) {
            Some(flash) => *flash,
            None => {
                let flash = device(board, nodes, &tree, holder).map_err(wrong)?;
                devices.insert(holder, flash);
                flash
            }
        };
        let wide = |value: u64| {
            u32::try_from(value).map_err(|_| wrong(format!("{value:#x} is past 4 GiB")))
        };
        areas.push(row(node, &flash.name, wide(offset)?, wide(size)?));
    }
    if areas.is_empty() {
        return Err(nothing(&tree));
    }
    tell_apart(&mut areas);
    Ok(Imported { areas, ..Imported::default() })
}

/// Whether a node holds partitions.
fn is_table(tree: &Tree, index: usize) -> bool {
    let Some(node) = tree.nodes.get(index) else { return false };
    let kinds = node.strings("compatible");
    node.name == "partitions"
        || kinds.iter().any(|kind| matches!(*kind, "fixed-partitions" | "fixed-subpartitions"))
}

fn is_deleted(tree: &Tree, index: usize) -> bool {
    let mut at = Some(index);
    while let Some(node) = at.and_then(|at| tree.nodes.get(at)) {
        if node.deleted {
            return true;
        }
        at = node.parent;
    }
    false
}

/// Offset and size of a partition; `None` if it is none.
fn place(tree: &Tree, node: &Node) -> Result<Option<(u64, u64)>, ImportError> {
    let Some(cells) = tree.cells(node, "reg") else { return Ok(None) };
    let cells = cells?;
    let line = node.property("reg").map_or(1, |reg| reg.line);
    match cells[..] {
        [offset, size] => Ok(Some((offset, size))),
        // Two cells for each.
        [0, offset, 0, size] => Ok(Some((offset, size))),
        _ => Err(ImportError {
            line,
            what: "`reg` of a partition is to hold an offset and a size".to_owned(),
        }),
    }
}

/// The node whose flash a table divides, and the offset there: tables within partitions count from
/// where those begin.
fn base(
    tree: &Tree,
    tables: &HashSet<usize>,
    table: usize,
    offset: u64,
) -> Result<(usize, u64), ImportError> {
    let (mut at, mut offset) = (table, offset);
    // Every step goes up, so that it ends.
    while let Some(node) = tree.nodes.get(at) {
        let Some(parent) = node.parent else { break };
        let is_partition = tables.contains(&at) && tables.contains(&parent);
        if !is_partition {
            return Ok((parent, offset));
        }
        if let Some((start, _)) = place(tree, node)? {
            let line = node.property("reg").map_or(1, |reg| reg.line);
            offset = offset.checked_add(start).ok_or_else(|| ImportError {
                line,
                what: format!("{start:#x} and {offset:#x} are past all flash"),
            })?;
        }
        at = parent;
    }
    Ok((at, offset))
}

/// The device that a node stands for.
fn device<'b>(
    board: &'b Board,
    nodes: &[(String, String)],
    tree: &Tree,
    index: usize,
) -> Result<&'b FlashDevice, String> {
    let known = || {
        let names: Vec<_> = board.flash().iter().map(|device| device.name.as_str()).collect();
        names.join(", ")
    };
    let unknown = || "partitions of no flash".to_owned();
    let node = tree.nodes.get(index).ok_or_else(unknown)?;
    let mut names: Vec<&str> = node.labels.iter().map(String::as_str).collect();
    names.extend((!node.name.is_empty()).then_some(node.name.as_str()));
    let named = |name: &str| board.flash().iter().find(|device| device.name == name);
    if let Some((_, to)) = nodes.iter().find(|(from, _)| names.contains(&from.as_str())) {
        return named(to)
            .ok_or_else(|| format!("{} has no device {to}; there are {}", board.name(), known()));
    }
    if let Some(device) = names.iter().find_map(|name| named(name)) {
        return Ok(device);
    }
    if let Some(id) = tree.bytes(node, "jedec-id") {
        let has = |device: &&FlashDevice| {
            device.jedec.iter().any(|known| known.eq_ignore_ascii_case(&id))
        };
        if let Some(device) = board.flash().iter().find(has) {
            return Ok(device);
        }
    } else if let Some(device) = by_address(board, tree, node) {
        return Ok(device);
    }
    let own = board.flash().first().filter(|_| names.contains(&OWN_FLASH));
    own.ok_or_else(|| {
        let name = names.first().copied().unwrap_or("NODE");
        format!(
            "which flash of {} is `{name}`? There are {}: `--node {name}=DEVICE` says so",
            board.name(),
            known()
        )
    })
}

/// The device that lies where a node of memory does. The number of a node on a bus is no address.
fn by_address<'b>(board: &'b Board, tree: &Tree, node: &Node) -> Option<&'b FlashDevice> {
    let kinds = node.strings("compatible");
    let in_memory = kinds.contains(&"soc-nv-flash") || (kinds.is_empty() && node.name == "flash");
    let reg = || Some(*tree.cells(node, "reg")?.ok()?.first()?);
    let unit = || u64::from_str_radix(node.unit.as_deref()?, 16).ok();
    let address = reg().or_else(unit).filter(|_| in_memory)?;
    board.flash().iter().find(|device| device.base.map(u64::from) == Some(address))
}

/// What a partition is here.
fn row(node: &Node, flash: &str, offset: u32, size: u32) -> AreaRow {
    let label = node.strings("label").first().map(|label| (*label).to_owned());
    let known = node.labels.iter().find_map(|label| by_label(label));
    let (role, image) =
        known.or_else(|| by_title(label.as_deref()?)).unwrap_or((Role::Reserved, None));
    let own = || node.labels.first().cloned().unwrap_or_else(|| node.name.clone());
    let name = match (role, image) {
        (Role::Reserved | Role::Storage, _) => label.unwrap_or_else(own),
        (role, Some(image)) if image > 0 => format!("{}-{image}", role.name()),
        (role, _) => role.name().to_owned(),
    };
    let image = image.filter(|image| *image > 0);
    AreaRow { name, role, image, flash: flash.to_owned(), offset, size }
}

/// By the label of its node.
fn by_label(label: &str) -> Option<(Role, Option<u8>)> {
    let name = label.strip_suffix("_partition")?;
    Some(match name {
        "boot" | "bootloader" | "mcuboot" => (Role::Bootloader, None),
        "scratch" | "image_scratch" => (Role::Scratch, None),
        "storage" => (Role::Storage, None),
        "factory" => (Role::Factory, Some(0)),
        "status" => (Role::Status, None),
        _ if name.ends_with("_storage") => (Role::Storage, None),
        _ => {
            if let Some(number) = name.strip_prefix("slot") {
                slot(number.parse().ok()?)
            } else {
                let (image, which) = name.strip_prefix("image_")?.split_once('_')?;
                let image = Some(image.parse().ok()?);
                match which {
                    "primary" => (Role::Primary, image),
                    "secondary" => (Role::Secondary, image),
                    _ => return None,
                }
            }
        }
    })
}

/// By what it is called: compiled trees keep that alone.
fn by_title(title: &str) -> Option<(Role, Option<u8>)> {
    Some(match title {
        "mcuboot" => (Role::Bootloader, None),
        "image-scratch" => (Role::Scratch, None),
        "storage" => (Role::Storage, None),
        _ => slot(title.strip_prefix("image-")?.parse().ok()?),
    })
}

fn slot(number: u8) -> (Role, Option<u8>) {
    let role = if number.is_multiple_of(2) { Role::Primary } else { Role::Secondary };
    (role, Some(number / 2))
}

/// Names of areas are their own, those of partitions need not be.
fn tell_apart(areas: &mut [AreaRow]) {
    let mut taken = HashSet::new();
    for area in areas {
        let first = area.name.clone();
        let mut number = 2;
        while !taken.insert(area.name.clone()) {
            area.name = format!("{first}-{number}");
            number += 1;
        }
    }
}

fn nothing(tree: &Tree) -> ImportError {
    let elsewhere = match &tree.includes[..] {
        [] => String::new(),
        files => format!(
            "; it takes some from {}: give that file, or the build's zephyr/zephyr.dts, which has \
             everything",
            files.join(", ")
        ),
    };
    ImportError { line: 1, what: format!("there are no partitions in it{elsewhere}") }
}
