//! Copying between regions of flash.

use updraft_flash::{AreaId, FlashMap};

use crate::secrets::Through;

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
