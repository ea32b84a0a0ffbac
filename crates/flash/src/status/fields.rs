//! What of a table is shown where: fields and records of a trailer.
//!
//! ```text
//! table, from its end     magic 16, image_ok 1, copy_done 1, swap_info 1, swap_size 4, key 0, key 1
//! table, from its start   one byte per round of a swap: how many of its three steps are done
//! ```
//! In a trailer, each of the three steps has a record of its own.

use updraft_image::{Flag, KeySlot, Magic, SwapInfo, WrapFormat};
use zeroize::Zeroizing;

use super::rows::Rows;
use super::{View, is_blank};
use crate::FlashMap;

/// Steps of a round.
const STEPS: u32 = 3;
/// Bytes of a table for the fields besides keys.
const FIXED: u32 = 23;
/// Bytes of the longest fields of a table.
const LONGEST: usize = FIXED as usize + 2 * WrapFormat::LONGEST;

/// A field: where it is shown, how long it is, and where it is in the table, from the end.
type Field = (u32, u32, u32);

/// Every field of `view`. Those that follow in a table lie above those before.
fn fields(view: &View) -> impl Iterator<Item = Field> {
    let layout = view.layout;
    let key = layout.keys().map_or(0, |keys| keys.size() as u32);
    let keys = [(KeySlot::Secondary, FIXED + 2 * key), (KeySlot::Primary, FIXED + key)];
    let keys = keys.into_iter().filter_map(move |(slot, end)| Some((layout.key(slot)?, key, end)));
    keys.chain([
        (layout.swap_size(), 4, 23),
        (layout.swap_info(), 1, 19),
        (layout.copy_done(), 1, 18),
        (layout.image_ok(), 1, 17),
        (layout.magic(), 16, 16),
    ])
}

/// The part of `bytes`, which are shown from `at` on, that the `len` bytes from `from` on have.
fn overlap(bytes: u32, at: u32, from: u32, len: u32) -> Option<(usize, usize, usize)> {
    let start = at.max(from);
    let end = at.saturating_add(bytes).min(from.saturating_add(len));
    let len = end.checked_sub(start).filter(|len| *len > 0)?;
    Some(((start - at) as usize, (start - from) as usize, len as usize))
}

/// Erased bytes are shown as the slot's own device would.
fn translate(bytes: &mut [u8], from: u8, to: u8) {
    if bytes.iter().all(|byte| *byte == from) {
        bytes.fill(to);
    }
}

/// The bytes of a field, as they are shown.
fn read_field<M: FlashMap>(
    map: &mut M,
    rows: &Rows,
    view: &View,
    end: u32,
    field: &mut [u8],
) -> Result<(), M::Error> {
    rows.read(map, view.table, rows.table_size().saturating_sub(end), field)?;
    translate(field, rows.erased, view.info.erased);
    Ok(())
}

/// Which records the `len` bytes shown from `at` on have the first byte of.
fn records(view: &View, at: u32, len: u32) -> impl Iterator<Item = (u32, usize)> {
    let width = view.info.write_size.min(view.layout.max_align()).max(1);
    let (status, count) = (view.layout.status(), view.sectors.saturating_mul(STEPS));
    let first = at.saturating_sub(status).div_ceil(width);
    (first..count).map_while(move |index| {
        let offset = status.saturating_add(index.saturating_mul(width)).checked_sub(at)?;
        (offset < len).then_some((index, offset as usize))
    })
}

/// How many steps of the round of record number `index` are done.
fn done<M: FlashMap>(map: &mut M, rows: &Rows, view: &View, index: u32) -> Result<u32, M::Error> {
    let mut state = [rows.erased];
    rows.read(map, view.table, index / STEPS, &mut state)?;
    let [state] = state;
    Ok(if state == rows.erased { 0 } else { u32::from(state).min(STEPS) })
}

/// Fills `buf` with what is shown of `view` from `at` on.
pub(super) fn show<M: FlashMap>(
    map: &mut M,
    rows: &Rows,
    view: &View,
    at: u32,
    buf: &mut [u8],
) -> Result<(), M::Error> {
    buf.fill(view.info.erased);
    let len = buf.len() as u32;
    for (offset, size, end) in fields(view) {
        let Some((to, from, n)) = overlap(len, at, offset, size) else { continue };
        let mut field = Zeroizing::new([0; WrapFormat::LONGEST]);
        let field = field.get_mut(..size as usize).unwrap_or_default();
        read_field(map, rows, view, end, field)?;
        let to = buf.iter_mut().skip(to);
        to.zip(field.iter().skip(from).take(n)).for_each(|(to, from)| *to = *from);
    }
    for (index, offset) in records(view, at, len) {
        let step = index % STEPS;
        if done(map, rows, view, index)? > step
            && let Some(record) = buf.get_mut(offset)
        {
            *record = step as u8 + 1;
        }
    }
    Ok(())
}

/// Takes what is written over what is shown of `view` from `at` on to its table. All fields in one
/// row change at once.
pub(super) fn put<M: FlashMap>(
    map: &mut M,
    rows: &Rows,
    view: &View,
    at: u32,
    data: &[u8],
) -> Result<(), M::Error> {
    let len = data.len() as u32;
    for (index, offset) in records(view, at, len) {
        let written = data.get(offset).is_some_and(|byte| *byte != view.info.erased);
        let step = index % STEPS + 1;
        if written && done(map, rows, view, index)? < step {
            rows.write(map, view.table, index / STEPS, &[step as u8])?;
        }
    }
    let size = fields(view).map(|(_, _, end)| end).max().unwrap_or(FIXED);
    let begin = rows.table_size().saturating_sub(size);
    let mut all = Zeroizing::new([0; LONGEST]);
    let all = all.get_mut(..size as usize).unwrap_or_default();
    rows.read(map, view.table, begin, all)?;
    let mut touched = false;
    for (offset, size, end) in fields(view) {
        let Some((from, to, n)) = overlap(len, at, offset, size) else { continue };
        let place = all.len().saturating_sub(end as usize);
        let field = all.get_mut(place..).and_then(|all| all.get_mut(..size as usize));
        let field = field.unwrap_or_default();
        translate(field, rows.erased, view.info.erased);
        let from = data.iter().skip(from).take(n);
        field.iter_mut().skip(to).zip(from).for_each(|(to, from)| *to = *from);
        translate(field, view.info.erased, rows.erased);
        touched = true;
    }
    if !touched {
        return Ok(());
    }
    if view.is_primary {
        copy_to_slot(map, rows, view, all)?;
    }
    rows.write(map, view.table, begin, all)
}

/// Copies the fields to the slot's own trailer when a swap ends, before the status area says so:
/// until then nobody looks there.
fn copy_to_slot<M: FlashMap>(
    map: &mut M,
    rows: &Rows,
    view: &View,
    all: &[u8],
) -> Result<(), M::Error> {
    let (Some(own), Some(tail)) = (view.own, all.last_chunk::<23>()) else { return Ok(()) };
    let [s0, s1, s2, s3, info, copy_done, image_ok, magic @ ..] = *tail;
    let mut before = [0];
    read_field(map, rows, view, 18, &mut before)?;
    let ends = Flag::decode(copy_done, rows.erased) == Flag::Set
        && Flag::decode(before[0], view.info.erased) != Flag::Set;
    let max_align = view.layout.max_align();
    if !ends || Magic::decode(&magic, max_align, rows.erased) != Magic::Good {
        return Ok(());
    }
    if !is_blank(map, &own)? {
        own.erase(map)?;
    }
    // A size that was never recorded, as after a bootstrap, is none to be written: what reads as
    // erased would pass for blank, and could not be written any more.
    let size = [s0, s1, s2, s3];
    if size != [rows.erased; 4] {
        own.write_swap_size(map, u32::from_le_bytes(size))?;
    }
    own.write_swap_info(map, SwapInfo::decode(info, rows.erased))?;
    own.write_copy_done(map)?;
    if Flag::decode(image_ok, rows.erased) == Flag::Set {
        own.write_image_ok(map)?;
    }
    own.write_magic(map)
}
