//! Copying between regions of flash.

use updraft_flash::{AreaId, FlashMap, readable};

use crate::secrets::Through;
use crate::slots::Slot;

/// The longest piece that is read and written at once, in bytes. The original copies in the same
/// pieces, so that each may be cut off where the other's would be.
pub const PIECE: usize = 1024;

/// Copies `len` bytes from one place to another that has been erased; on the way they pass
/// `through` a cipher, or none. Regions of one area may lie next to each other but not overlap.
pub(crate) fn copy<M: FlashMap>(
    map: &mut M,
    (from, from_offset): (AreaId, u32),
    (to, to_offset): (AreaId, u32),
    len: u32,
    through: Through<'_>,
) -> Result<(), M::Error> {
    let mut buf = [0; PIECE];
    let mut done = 0;
    while done < len {
        let n = (len - done).min(PIECE as u32);
        let Some(piece) = buf.get_mut(..n as usize) else {
            break;
        };
        // An offset past 4 GiB saturates and is refused by the map as out of bounds.
        map.read(from, from_offset.saturating_add(done), piece)?;
        through.apply(done, piece);
        map.write(to, to_offset.saturating_add(done), piece)?;
        done += n;
    }
    Ok(())
}

/// Fills whole sectors of `to` with `len` bytes: each is erased and copied. With `spare`, a sector
/// that holds its bytes already is left alone: what two images have in common costs no wear.
///
/// `spare` is not for a step that a power cut may have stopped before: cells may read right then,
/// and otherwise later.
pub(crate) fn replace<M: FlashMap>(
    map: &mut M,
    (from, from_offset): (AreaId, u32),
    (to, to_offset): (&Slot, u32),
    len: u32,
    through: Through<'_>,
    spare: bool,
) -> Result<(), M::Error> {
    let mut done = 0;
    while done < len {
        let at = to_offset.saturating_add(done);
        let Some(sector) = map.sector_at(to.area, at) else { break };
        let (from, to) = ((from, from_offset.saturating_add(done)), (to.area, at));
        let through = through.from(done);
        if !spare || !holds(map, from, to, sector.size, through)? {
            map.erase(to.0, sector.offset, sector.size)?;
            copy(map, from, to, sector.size, through)?;
        }
        done = done.saturating_add(sector.size);
    }
    Ok(())
}

/// Whether a copy of `len` bytes would change nothing. What cannot be read has to be written.
pub(crate) fn holds<M: FlashMap>(
    map: &mut M,
    (from, from_offset): (AreaId, u32),
    (to, to_offset): (AreaId, u32),
    len: u32,
    through: Through<'_>,
) -> Result<bool, M::Error> {
    let mut buf = [0; PIECE];
    let (source, target) = buf.split_at_mut(PIECE / 2);
    let mut done = 0;
    while done < len {
        let n = (len - done).min(PIECE as u32 / 2) as usize;
        let (Some(source), Some(target)) = (source.get_mut(..n), target.get_mut(..n)) else {
            break;
        };
        let read = map.read(from, from_offset.saturating_add(done), source);
        if !readable(read)? || !readable(map.read(to, to_offset.saturating_add(done), target))? {
            return Ok(false);
        }
        through.apply(done, source);
        if source != target {
            return Ok(false);
        }
        done += n as u32;
    }
    Ok(true)
}
