//! Flash maps of boards.

use updraft_flash::{AreaEntry, Areas, Brief, Device, Fault, StatusFormat, StatusMap};

use crate::Facts;

/// The areas of a board file on `N` devices.
pub type Plain<D, const N: usize> = Brief<Areas<D, [D; N], &'static [AreaEntry]>>;

/// The same with trailers in the board's status area.
pub type WithStatus<D, const N: usize> = StatusMap<Plain<D, N>>;

/// The flash map of a board with these devices, in the order of its file.
pub fn flash<D: Device, const N: usize>(facts: &Facts, devices: [D; N]) -> Plain<D, N> {
    Brief::new(Areas::new(devices, facts.areas))
}

/// The same with trailers in the status area. An application opens it after its bootloader has.
/// `None` for a board without such an area.
pub fn with_status<D: Device, const N: usize>(
    facts: &Facts,
    devices: [D; N],
) -> Option<Result<WithStatus<D, N>, Fault>> {
    let (status, scratch) = (facts.status?, facts.scratch?);
    let format = StatusFormat::new(status, scratch, facts.trailers, facts.pairs)?;
    Some(StatusMap::open(flash(facts, devices), format))
}
