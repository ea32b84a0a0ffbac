//! Whether the slots of a board suit its upgrade mode.
//!
//! Source of the rules: MCUboot `docs/design.md`, "Image slots" and the swap sections, and the
//! `boot_slots_compatible` functions of its strategies.

use updraft_flash::SectorRun;
use updraft_image::{TrailerLayout, UpgradeMode};

use crate::check::Findings;
use crate::schema::Role;
use crate::{Area, Board, status};

/// The runs of sectors that make up `size` bytes from `offset` on. The first and the last one may
/// be cut.
pub(crate) fn runs(device: &[SectorRun], offset: u32, size: u32) -> Vec<SectorRun> {
    let end = u64::from(offset) + u64::from(size);
    let mut start = 0u64;
    let mut runs = Vec::new();
    for run in device {
        let len = u64::from(run.size) * u64::from(run.count);
        let size = u64::from(run.size);
        let from = start.max(offset.into());
        let to = (start + len).min(end);
        if from < to {
            let into = (from - start) % size;
            let first = if into > 0 { (size - into).min(to - from) } else { 0 };
            let (whole, last) = ((to - from - first) / size, (to - from - first) % size);
            let parts = [(u64::from(first > 0), first), (whole, size), (u64::from(last > 0), last)];
            let parts = parts.into_iter().filter(|(count, _)| *count > 0);
            runs.extend(
                parts.map(|(count, size)| SectorRun { count: count as u32, size: size as u32 }),
            );
        }
        start += len;
    }
    runs
}

/// Number of sectors in `runs`.
pub(crate) fn count(runs: &[SectorRun]) -> u32 {
    runs.iter().map(|run| run.count).sum()
}

/// The size that all sectors have.
pub(crate) fn uniform(runs: &[SectorRun]) -> Option<u32> {
    let first = runs.first()?.size;
    runs.iter().all(|run| run.size == first).then_some(first)
}

/// How many sectors from the start on hold `bytes`, and where the last of them ends.
pub(crate) fn covering(runs: &[SectorRun], bytes: u32) -> (u32, u32) {
    let (mut sectors, mut end) = (0, 0);
    for run in runs {
        let left = bytes.saturating_sub(end);
        let need = left.div_ceil(run.size).min(run.count);
        sectors += need;
        end += need * run.size;
    }
    (sectors, end)
}

/// Where the first `sectors` sectors end.
pub(crate) fn end_of(runs: &[SectorRun], sectors: u32) -> u32 {
    let (mut left, mut end) = (sectors, 0);
    for run in runs {
        let some = left.min(run.count);
        left -= some;
        end += some * run.size;
    }
    end
}

/// What to do about an area that has only a part of its first or last sector; empty if it has not.
fn cut(board: &Board, area: &Area) -> String {
    let geometry = board.device(area).geometry();
    let inside = |at| geometry.sector_at(at).filter(|sector| sector.offset < at);
    let name = &area.name;
    match (inside(area.offset), inside(area.end())) {
        (Some(first), _) => format!(
            "; \"{name}\" begins {:#x} bytes into a sector: move it to {:#x}",
            area.offset - first.offset,
            first.end()
        ),
        (None, Some(last)) => format!(
            "; \"{name}\" ends {:#x} bytes into a sector: end it at {:#x}",
            area.end() - last.offset,
            last.offset
        ),
        (None, None) => String::new(),
    }
}

fn describe(runs: &[SectorRun]) -> String {
    let runs: Vec<_> = runs.iter().map(|run| format!("{} × {}", run.count, run.size)).collect();
    runs.join(" + ")
}

pub(crate) fn check(board: &Board) -> Result<(), Findings> {
    let mut found = Findings::default();
    for image in 0..board.images().max(1) {
        let needed = if board.has_secondary() {
            &[Role::Primary, Role::Secondary][..]
        } else {
            &[Role::Primary]
        };
        for role in needed {
            match board.slot(image, *role) {
                Some(area) => slot(board, area, &mut found),
                None => found.add(
                    "area",
                    format!(
                        "{} needs a {} area for image {image}, there is none",
                        board.mode(),
                        role.name()
                    ),
                ),
            }
        }
    }
    let missing =
        |role: Role| format!("{} needs a {} area, there is none", board.mode(), role.name());
    if matches!(board.mode(), UpgradeMode::SwapScratch | UpgradeMode::StatusPartition) {
        match board.area(Role::Scratch) {
            Some(scratch) if board.mode() == UpgradeMode::SwapScratch => {
                slot(board, scratch, &mut found);
            }
            Some(_) => {}
            None => found.add("area", missing(Role::Scratch)),
        }
    }
    if board.mode() == UpgradeMode::StatusPartition && board.area(Role::Status).is_none() {
        found.add("area", missing(Role::Status));
    }
    logical(board, &mut found);
    if found.0.is_empty() {
        for image in 0..board.images() {
            pair(board, image, &mut found);
        }
        let status = board.area(Role::Status);
        if let Some(area) = status.filter(|_| board.mode() == UpgradeMode::StatusPartition) {
            status::check(board, area, &mut found);
        }
    }
    if found.0.is_empty() { Ok(()) } else { Err(found) }
}

/// Whether every area that takes part in a swap is made of whole logical sectors.
fn logical(board: &Board, found: &mut Findings) {
    let Some(size) = board.boot().logical_sector else { return };
    let key = "boot.logical_sector";
    if !board.mode().swaps() {
        found.add(key, format!("{} exchanges nothing: leave it out", board.mode()));
        return;
    }
    if !size.is_power_of_two() {
        found.add(key, format!("{size} is no power of two"));
        return;
    }
    let swapped = |area: &&Area| area.role.is_slot() || area.role == Role::Scratch;
    for area in board.areas().iter().filter(swapped) {
        let geometry = board.device(area).geometry();
        let edges = (0..area.size).step_by(size as usize).map(|at| area.offset + at);
        let mut sectors = edges.filter_map(|at| Some((at, geometry.sector_at(at)?)));
        if let Some((at, sector)) = sectors.find(|(at, sector)| sector.offset != *at) {
            found.add(
                key,
                format!(
                    "\"{}\" cannot be exchanged {size} bytes at a time: {:#x} lies inside the \
                     {}-byte sector from {:#x} to {:#x}",
                    area.name,
                    at - area.offset,
                    sector.size,
                    sector.offset - area.offset.min(sector.offset),
                    sector.end() - area.offset
                ),
            );
        } else if !area.size.is_multiple_of(size) {
            found.add(
                key,
                format!(
                    "\"{}\" of {:#x} bytes is not whole logical sectors of {size}: {} over",
                    area.name,
                    area.size,
                    area.size % size
                ),
            );
        }
    }
}

/// What holds for one slot, or the scratch area, by itself.
fn slot(board: &Board, area: &Area, found: &mut Findings) {
    let boot = board.boot();
    let (name, write) = (&area.name, board.device(area).write_size);
    let key = format!("area[{}]", area.row);
    if write > boot.max_align && !board.device(area).kind().writes_replace() {
        found.add(
            "boot.max_align",
            format!(
                "\"{name}\" is written {write} bytes at a time, more than the {} that trailer \
                 fields are apart",
                boot.max_align
            ),
        );
    }
    let scratch = area.role == Role::Scratch;
    let units = board.swap_units(area);
    let sectors = count(&units);
    if !scratch && board.has_secondary() && sectors > boot.max_sectors {
        found.add(
            "boot.max_sectors",
            format!(
                "\"{name}\" has {sectors} sectors ({}), {} more than the {} that the swap status \
                 has records for",
                describe(&units),
                sectors - boot.max_sectors,
                boot.max_sectors
            ),
        );
    }
    if board.trailer(area).is_none() {
        let records = if scratch { 1 } else { u64::from(boot.max_sectors) };
        let states = u64::from(boot.mode.status_states());
        let status = records * states * u64::from(board.record_size(area));
        let info = TrailerLayout::new(u32::MAX, boot.mode, 0, 1, boot.max_align)
            .and_then(|layout| layout.with_keys(board.trailer_keys()))
            .map_or(0, |layout| u64::from(layout.size()));
        found.add(
            format!("{key}.size"),
            format!(
                "the trailer of \"{name}\" takes {records} sectors × {states} records × {} bytes \
                 + {info} = {} bytes, the area has {}",
                board.record_size(area),
                status + info,
                area.size
            ),
        );
    }
    let executed = board.runs_from_flash()
        && (area.role == Role::Primary || (area.role == Role::Secondary && board.runs_secondary()));
    if executed && area.address.is_none() {
        found.add(
            format!("{key}.flash"),
            format!(
                "{} runs code from \"{name}\", but flash \"{}\" is not mapped: it has no `base`",
                boot.mode,
                board.device(area).name
            ),
        );
    }
}

/// What holds for the slots of an image together.
fn pair(board: &Board, image: u8, found: &mut Findings) {
    let (Some(primary), Some(secondary)) =
        (board.slot(image, Role::Primary), board.slot(image, Role::Secondary))
    else {
        return;
    };
    let key = format!("area[{}].size", secondary.row);
    let (first, second) = (board.swap_units(primary), board.swap_units(secondary));
    let names = format!("\"{}\" and \"{}\"", primary.name, secondary.name);
    match board.mode() {
        mode @ (UpgradeMode::SwapMove | UpgradeMode::SwapOffset) => {
            let (one, two) = (uniform(&first), uniform(&second));
            if one.is_none() || one != two {
                found.add(
                    key,
                    format!(
                        "{mode} needs sectors of one size in {names}: {} against {}{}",
                        describe(&first),
                        describe(&second),
                        [primary, secondary].map(|area| cut(board, area)).concat()
                    ),
                );
                return;
            }
            let (primary, secondary) = (count(&first), count(&second));
            let (more, less, rule) = match mode {
                UpgradeMode::SwapOffset => (secondary, primary, "secondary = primary (+ 1)"),
                _ => (primary, secondary, "primary = secondary (+ 1)"),
            };
            if more != less && Some(more) != less.checked_add(1) {
                found.add(
                    key,
                    format!(
                        "{mode} needs as many sectors in both slots, or one for the spare sector \
                         more: {rule}; {names} have {primary} and {secondary}"
                    ),
                );
            }
        }
        UpgradeMode::SwapScratch | UpgradeMode::OverwriteOnly | UpgradeMode::StatusPartition => {
            if primary.size != secondary.size {
                found.add(
                    key,
                    format!(
                        "{} needs slots of one size; {names} have {:#x} and {:#x} bytes, {:#x} \
                         apart",
                        board.mode(),
                        primary.size,
                        secondary.size,
                        primary.size.abs_diff(secondary.size)
                    ),
                );
                return;
            }
            chunks(board, &key, &names, (&first, &second), found);
        }
        _ => {}
    }
}

/// Where sectors differ, several of one slot have to make up exactly one of the other; and
/// each such chunk passes through the scratch area.
fn chunks(
    board: &Board,
    key: &str,
    names: &str,
    (first, second): (&[SectorRun], &[SectorRun]),
    found: &mut Findings,
) {
    let exchanges = matches!(board.mode(), UpgradeMode::SwapScratch | UpgradeMode::StatusPartition);
    let records = board.mode() == UpgradeMode::SwapScratch;
    let scratch = board.area(Role::Scratch).filter(|_| exchanges).inspect(|scratch| {
        let status = board.device(scratch).write_size;
        for area in board.areas().iter().filter(|area| area.role == Role::Primary) {
            let write = board.device(area).write_size;
            if records && status > write {
                found.add(
                    format!("area[{}].flash", scratch.row),
                    format!(
                        "status records would be {status} bytes apart as on \"{}\", but \
                             \"{}\" has room for records of {write} bytes",
                        scratch.name, area.name
                    ),
                );
            } else if records && write > 2 * status {
                found.add(
                    format!("area[{}].flash", scratch.row),
                    format!(
                        "status records would be {write} bytes apart as on \"{}\", but \"{}\" \
                         has room for records of {status} bytes",
                        area.name, scratch.name
                    ),
                );
            }
        }
    });
    let mut parts = Vec::new();
    let each = |runs: &[SectorRun]| {
        let sizes: Vec<_> = runs.to_vec();
        sizes.into_iter().flat_map(|run| std::iter::repeat_n(run.size, run.count as usize))
    };
    let (mut first, mut second) = (each(first), each(second));
    let mut start = 0;
    while let (Some(one), Some(two)) = (first.next(), second.next()) {
        let (mut one_end, mut two_end) = (one, two);
        let (mut ones, mut twos) = (1u32, 1u32);
        let mut last = one;
        while one_end != two_end {
            let of_first = one_end < two_end;
            let size = if of_first { first.next() } else { second.next() };
            let Some(size) = size else { return };
            let (end, sectors) =
                if of_first { (&mut one_end, &mut ones) } else { (&mut two_end, &mut twos) };
            *end += size;
            *sectors += 1;
            last = if of_first { size } else { last };
        }
        if ones > 1 && twos > 1 {
            found.add(
                key,
                format!(
                    "the sectors of {names} do not meet: at {start:#x}, {ones} sectors of the one \
                     and {twos} of the other make up {one_end:#x} bytes, one of them has to be 1"
                ),
            );
            return;
        }
        if let Some(scratch) = scratch.filter(|scratch| one_end > scratch.size) {
            found.add(
                format!("area[{}].size", scratch.row),
                format!(
                    "{names} are exchanged {one_end:#x} bytes at a time at {start:#x}, \"{}\" has \
                     {:#x}: {:#x} too few",
                    scratch.name,
                    scratch.size,
                    one_end - scratch.size
                ),
            );
            return;
        }
        parts.push(Part { start, size: one_end, sectors: ones, last });
        start += one_end;
    }
    // With a status area, chunks end where sectors of both slots do.
    if let Some(scratch) = scratch.filter(|_| records)
        && let Some(part) = divided(&parts, scratch.size)
    {
        found.add(
            format!("area[{}].size", scratch.row),
            format!(
                "\"{}\" has room for some of the {} sectors of {:#x} bytes in all that {names} \
                 have at {:#x}, next to what comes before: they can only be exchanged together",
                scratch.name, part.sectors, part.size, part.start
            ),
        );
    }
}

/// What lies between two neighbouring boundaries that both slots have.
struct Part {
    start: u32,
    size: u32,
    /// Sectors of the primary slot, and the size of the last of them.
    sectors: u32,
    last: u32,
}

/// A part that a chunk could end in the middle of: chunks are as many sectors of the primary slot
/// as the scratch area holds, from any boundary downwards.
fn divided(parts: &[Part], scratch: u32) -> Option<&Part> {
    let is_divided = |(index, part): &(usize, &Part)| {
        let mut taken = 0;
        let mut above = parts.iter().skip(index + 1);
        while part.sectors > 1 && taken + part.last <= scratch {
            if taken + part.size > scratch {
                return true;
            }
            let Some(next) = above.next() else { break };
            taken += next.size;
        }
        false
    };
    parts.iter().enumerate().find(is_divided).map(|(_, part)| part)
}
