//! An update carried out on a model of the board's flash, to see what it does there.

use std::time::Duration;

use updraft_board::{Board, Role};
use updraft_boot::Event;
use updraft_dfu::{SlotWriter, Upgrade};
use updraft_flash::{AreaId, Error};

use crate::device::{Keys, dfu, flash_in_memory, program};
use crate::flash::{AreaOp, OpKind, SimError};
use crate::loader::{Loader, UnplayableBoard};

/// What the boot that installs an update did to the flash. The power stayed on, and the device was
/// new: the old image was programmed by a probe.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The operations, in their order.
    pub operations: Vec<AreaOp>,
    /// Erases of the sector that was erased most often.
    pub worn: u32,
    /// How long erases and writes take by the board file's timings; zero if it has none.
    pub time: Duration,
}

/// Operations on one area, or on several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Erases.
    pub erases: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes written.
    pub written: u64,
}

/// Why an update cannot be rehearsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RehearsalError {
    /// The board cannot be played.
    #[error(transparent)]
    Board(#[from] UnplayableBoard),
    /// An image does not get into its slot, or is not asked for.
    #[error("{0}")]
    Refused(String),
    /// The bootloader did not install the new image.
    #[error("the bootloader does not install it")]
    NotInstalled,
}

impl RehearsalError {
    fn refused(why: impl ToString) -> Self {
        Self::Refused(why.to_string())
    }
}

impl Rehearsal {
    /// Updates image 0 of a new device from `old` to `new` for good, with the bootloader and the
    /// DFU library of `board`.
    pub fn of(board: &Board, old: &[u8], new: &[u8], keys: &Keys) -> Result<Self, RehearsalError> {
        Self::with(&Loader::new(board)?, board, old, new, keys)
    }

    /// The same with a bootloader of one's own.
    pub fn with(
        loader: &Loader,
        board: &Board,
        old: &[u8],
        new: &[u8],
        keys: &Keys,
    ) -> Result<Self, RehearsalError> {
        let primary = board.slot(0, Role::Primary);
        let primary = primary.ok_or(UnplayableBoard::NoSlot(Role::Primary.name()))?.id;
        let mut flash = flash_in_memory(board);
        program(&mut flash, primary, old).map_err(RehearsalError::refused)?;
        let dfu = dfu(board, &flash).map_err(RehearsalError::refused)?;
        let start = dfu.update_start(&flash);
        let mut writer = SlotWriter::<512>::new(&mut flash, dfu.secondary_trailer(), start)
            .map_err(RehearsalError::refused)?;
        writer.write(&mut flash, new).map_err(RehearsalError::refused)?;
        writer.finish(&mut flash).map_err(RehearsalError::refused)?;
        dfu.request_upgrade(&mut flash, &mut keys.clone(), Upgrade::Permanent)
            .map_err(RehearsalError::refused)?;
        flash.reset_counts();
        flash.supply().record(true);
        let before = flash.supply().time_us();
        let mut installed = false;
        let event = |_, event: Event<Error<SimError>>| {
            installed |= matches!(event, Event::Installed(_));
        };
        let boot = loader.boot(&mut flash, keys.clone(), event);
        boot.map_err(RehearsalError::refused)?;
        if !installed {
            return Err(RehearsalError::NotInstalled);
        }
        let worn = flash.devices().iter().flat_map(|device| device.wear()).max();
        let time = Duration::from_micros(flash.supply().time_us().saturating_sub(before));
        Ok(Self { worn: worn.copied().unwrap_or(0), time, operations: flash.take_log() })
    }

    /// What was done to `area`, or to all of them.
    pub fn sum(&self, area: Option<AreaId>) -> Sum {
        let of = |op: &&AreaOp| area.is_none_or(|area| op.area == area);
        self.operations.iter().filter(of).fold(Sum::default(), |sum, op| match op.kind {
            OpKind::Erase => Sum { erases: sum.erases + 1, ..sum },
            OpKind::Write(_) => {
                Sum { writes: sum.writes + 1, written: sum.written + u64::from(op.len), ..sum }
            }
        })
    }
}
