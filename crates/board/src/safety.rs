//! Whether a mode keeps its promises on the flash that its areas lie on, whatever moment power
//! goes. The table and the reasons are in the crate's documentation.

use std::collections::BTreeMap;

use updraft_flash::Kind;
use updraft_image::{KeySlot, TrailerLayout, UpgradeMode};

use crate::check::Findings;
use crate::schema::Role;
use crate::{Area, Board};

/// What a mode reads from the trailers of its slots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trailers {
    /// Nothing.
    Unread,
    /// A request. One that is lost was never made.
    Request,
    /// How far something has come: what was written earlier counts on.
    Progress,
}

impl Trailers {
    fn of(board: &Board) -> Self {
        match board.mode() {
            _ if board.has_trials() => Self::Progress,
            UpgradeMode::OverwriteOnly | UpgradeMode::StatusPartition => Self::Request,
            UpgradeMode::SwapScratch | UpgradeMode::SwapMove | UpgradeMode::SwapOffset => {
                Self::Progress
            }
            _ => Self::Unread,
        }
    }
}

/// Something that is written by itself: where, how long, and what it is called.
type Cell = (u32, u32, &'static str);

pub(crate) fn check(board: &Board) -> Result<(), Findings> {
    let mut found = Findings::default();
    let mode = board.mode();
    let trailers = Trailers::of(board);
    let concerned = |area: &&Area| match area.role {
        Role::Primary => true,
        Role::Secondary => board.has_secondary(),
        Role::Scratch => mode == UpgradeMode::SwapScratch,
        _ => false,
    };
    if trailers != Trailers::Unread {
        for area in board.areas().iter().filter(concerned) {
            let kind = board.device(area).kind();
            let refusal = if kind.writes_replace() {
                (trailers == Trailers::Progress).then(|| wide_row(board, area)).flatten()
            } else {
                spent_word(board, area, kind).or_else(|| imitated(board, area, kind))
            };
            if let Some(refusal) = refusal {
                found.add("boot.mode", refusal);
            }
        }
    }
    if found.0.is_empty() { Ok(()) } else { Err(found) }
}

/// Fields that share a row go with it when it is replaced.
fn wide_row(board: &Board, area: &Area) -> Option<String> {
    let (mode, apart) = (board.mode(), board.boot().max_align);
    let device = board.device(area);
    let row = device.write_size;
    (row > apart).then(|| {
        format!(
            "{mode} writes trailer fields one by one, {apart} bytes apart, and relies on those \
             written before; \"{}\" lies on self-erasing rows of {row} bytes (flash \"{}\"), where \
             writing one field replaces all {row} / {apart} = {} of its row, and a power cut \
             meanwhile takes them all: use overwrite-only or status-partition",
            area.name,
            device.name,
            row / apart
        )
    })
}

/// More is written into a word, bit by bit, than it takes writes.
fn spent_word(board: &Board, area: &Area, kind: Kind) -> Option<String> {
    let limit = kind.programs()?;
    let device = board.device(area);
    let unit = kind.unit(device.write_size).max(1);
    let layout = board.trailer(area)?;
    let cells = cells(board, &layout, board.record_size(area));
    let padded = board.has_trials() && board.image_defaults().pad;
    let units = |(at, len, _): &Cell| at / unit..=(at + len - 1) / unit;
    let mut writes = BTreeMap::<u32, u32>::new();
    for cell in &cells {
        for index in units(cell) {
            *writes.entry(index).or_insert(u32::from(padded)) += 1;
        }
    }
    // Of equals the first.
    let (word, most) = writes.into_iter().rev().max_by_key(|(_, count)| *count)?;
    (most > limit).then(|| {
        let mut names = BTreeMap::<&str, u32>::new();
        for (_, _, name) in cells.iter().filter(|cell| units(cell).contains(&word)) {
            *names.entry(name).or_default() += 1;
        }
        let padding = padded.then(|| "the padding of the upload".to_owned());
        let names = names.into_iter().map(|(name, count)| match count {
            1 => name.to_owned(),
            count => format!("{count} {name}s"),
        });
        let names: Vec<_> = padding.into_iter().chain(names).collect();
        format!(
            "{} writes {} into the {unit}-byte word at {:#x} of \"{}\", each by itself: that \
             makes {most} writes between two erases, and a word of {} flash \"{}\" takes {limit}",
            board.mode(),
            names.join(" and "),
            word * unit,
            area.name,
            device.kind_name(),
            device.name,
        )
    })
}

/// Everything that the mode writes by itself into a trailer, and the end of the image before it.
fn cells(board: &Board, layout: &TrailerLayout, record: u32) -> Vec<Cell> {
    let mode = board.mode();
    let swap_info = (layout.swap_info(), 1, "swap_info");
    let copy_done = (layout.copy_done(), 1, "copy_done");
    let image_ok = (layout.image_ok(), 1, "image_ok");
    let magic = (layout.magic_cell(), layout.slot_size() - layout.magic_cell(), "magic");
    let mut cells = match mode {
        // Image, padding and magic are one upload.
        _ if board.has_trials() && board.image_defaults().pad => {
            return vec![copy_done, image_ok];
        }
        _ if board.has_trials() => vec![copy_done, image_ok, magic],
        UpgradeMode::OverwriteOnly | UpgradeMode::StatusPartition => {
            vec![swap_info, image_ok, magic]
        }
        _ => {
            let lowest = [KeySlot::Secondary, KeySlot::Primary].map(|slot| layout.key(slot));
            let fields = lowest[0].unwrap_or(layout.swap_size());
            let records = (layout.status()..fields).step_by(record.max(1) as usize);
            let records = records.map(|at| (at, record, "status record"));
            let sizes = layout.tlv_sizes().map(|at| (at, 4, "tlv_sizes"));
            let size = layout.keys().map_or(0, |keys| keys.field_size(layout.max_align()));
            let keys = lowest.into_iter().flatten().map(|at| (at, size, "key"));
            let fields = [(layout.swap_size(), 4, "swap_size"), swap_info, copy_done, image_ok];
            records.chain(keys).chain(sizes).chain(fields).chain([magic]).collect()
        }
    };
    let first = cells.iter().map(|(at, _, _)| *at).min().unwrap_or(0);
    cells.extend(first.checked_sub(1).map(|at| (at, 1, "the image's end")));
    cells
}

/// What only the original writes more than once.
fn imitated(board: &Board, area: &Area, kind: Kind) -> Option<String> {
    let (boot, mode) = (board.boot(), board.mode());
    let limit = kind.programs().filter(|_| !boot.strict && area.role == Role::Primary)?;
    let (when, what, writes) = match mode {
        UpgradeMode::SwapMove | UpgradeMode::SwapOffset => (
            "while two images are too large to be exchanged",
            "copy_done again at every boot",
            "any number of".to_owned(),
        ),
        UpgradeMode::SwapScratch if boot.bootstrap && limit < 2 => (
            "in a bootstrap",
            "image_ok and copy_done over the trailer area that it has copied with the slot",
            "2".to_owned(),
        ),
        _ => return None,
    };
    Some(format!(
        "with `strict = false`, {mode} imitates the original, which {when} writes {what}: \
         {writes} writes between two erases of \"{}\", and a word of {} flash \"{}\" takes {limit}",
        area.name,
        board.device(area).kind_name(),
        board.device(area).name,
    ))
}
