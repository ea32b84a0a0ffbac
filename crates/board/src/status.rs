//! How large a status area has to be.
//!
//! ```text
//! row     payload, u32 magic, u32 counter, u32 CRC-32C            one sector, erased by itself
//! table   one byte per sector of the slot, then 64 bytes of trailer fields, each in whole rows
//! area    two copies of a table for every primary, secondary and scratch area
//! ```
//! Two copies, because one counts while the other is written. Source: the layout of
//! Infineon's builds of MCUboot ("swap using status partition").

use crate::check::Findings;
use crate::schema::Role;
use crate::slots::{count, uniform};
use crate::{Area, Board};

/// Bytes of a row that are not payload.
const ROW_OVERHEAD: u32 = 12;
/// Bytes of a table for what otherwise stands in a trailer.
const TRAILER: u32 = 64;
/// Bytes of those that are no keys.
const FIELDS: u32 = 23;
/// Bytes that are written to a status area together, at most.
const LONGEST_WRITE: u32 = 512;
/// Copies of a table.
const COPIES: u32 = 2;

/// Whether the status area of `board` holds its tables.
pub(crate) fn check(board: &Board, area: &Area, found: &mut Findings) {
    let key = |name: &str| format!("area[{}].{name}", area.row);
    let sectors = board.sectors(area);
    let Some(row) = uniform(&sectors).filter(|row| *row > ROW_OVERHEAD && row % 16 == 0) else {
        found.add(
            key("flash"),
            format!(
                "a row of \"{}\" is one sector, which is erased by itself: sectors of one size, a \
                 multiple of 16 bytes",
                area.name
            ),
        );
        return;
    };
    let write = board.device(area).write_size;
    if write > LONGEST_WRITE {
        found.add(
            key("flash"),
            format!(
                "\"{}\" is written {write} bytes at a time, more than {LONGEST_WRITE}",
                area.name
            ),
        );
    }
    let payload = row - ROW_OVERHEAD;
    let states = board.boot().max_sectors.div_ceil(payload);
    let trailer = TRAILER.div_ceil(payload);
    let keys = board.trailer_keys().map_or(0, |keys| 2 * keys.size() as u32);
    if FIELDS + keys > trailer * payload {
        found.add(
            "boot.encryption",
            format!(
                "two keys take {keys} bytes in \"{}\", beside {FIELDS} of other fields, and rows of \
                 {row} bytes have room for {}",
                area.name,
                trailer * payload
            ),
        );
    }
    let scratch = u32::from(board.area(Role::Scratch).is_some());
    let tables = 2 * u32::from(board.images()) + scratch;
    let rows = u64::from(tables * COPIES) * u64::from(states + trailer);
    let have = count(&sectors);
    if rows > u64::from(have) {
        found.add(
            key("size"),
            format!(
                "\"{}\" has {have} rows of {row} bytes, its tables take {rows}: {tables} of them \
                 × {COPIES} copies × ({states} for {} sector states + {trailer} for the trailer \
                 fields, {payload} bytes of payload each)",
                area.name,
                board.boot().max_sectors
            ),
        );
    }
}
