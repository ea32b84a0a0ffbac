//! Flash maps of boards.

use updraft_flash::{
    AreaEntry, Areas, Brief, Device, Fault, FlashMap, Spi, SpiNor, StatusFormat, StatusMap,
};

use crate::Facts;

/// The areas of a board file on `N` devices.
pub type Plain<D, const N: usize> = Brief<Areas<D, [D; N], &'static [AreaEntry]>>;

/// The same with trailers in the board's status area.
pub type WithStatus<D, const N: usize> = StatusMap<Plain<D, N>>;

/// The flash map that a board's mode works on. [`board_file!`](crate::board_file) picks it, as `Map`.
pub trait Open<D: Device, const N: usize>: FlashMap<Error = Fault> + Sized {
    /// The first look at it after a reset.
    fn open(facts: &Facts, areas: Plain<D, N>) -> Result<Self, Fault>;
}

impl<D: Device, const N: usize> Open<D, N> for Plain<D, N> {
    fn open(_: &Facts, areas: Self) -> Result<Self, Fault> {
        Ok(areas)
    }
}

impl<D: Device, const N: usize> Open<D, N> for WithStatus<D, N> {
    fn open(facts: &Facts, areas: Plain<D, N>) -> Result<Self, Fault> {
        let format = facts.status.zip(facts.scratch).and_then(|(status, scratch)| {
            StatusFormat::new(status, scratch, facts.trailers, facts.pairs)
        });
        Self::open(areas, format.ok_or(Fault::NoArea)?)
    }
}

/// The flash map of a board with these devices, in the order of its file. An application opens it
/// after its bootloader has. Nobody changes the factory image through it.
pub fn flash<M: Open<D, N>, D: Device, const N: usize>(
    facts: &Facts,
    devices: [D; N],
) -> Result<M, Fault> {
    let mut areas = Areas::new(devices, facts.areas);
    if let Some(factory) = facts.factory {
        // There is room for four.
        let _ = areas.make_read_only(factory);
    }
    M::open(facts, Brief::new(areas))
}

/// What is odd about a chip beside the processor's, of which its board file knows these. An unknown one is
/// used all the same: the commands are those of every such chip, and a board that does not start cannot be
/// mended.
pub fn remark<S: Spi>(chip: &SpiNor<S>, known: &[[u8; 3]]) -> Option<&'static str> {
    match chip.is_there() {
        false => Some("no answer from the external flash: is it there, and connected?"),
        true if known.contains(&chip.id()) => None,
        true => Some("external flash of an unknown kind"),
    }
}
