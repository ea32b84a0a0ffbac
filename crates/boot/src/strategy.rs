//! What every upgrade mode answers to the bootloader.
//!
//! A strategy holds no state of its own: all of it is in flash. The bootloader may call
//! [`Strategy::install`] again after a power cut at any operation, and it goes on where the flash
//! says that it had come to.

use updraft_flash::{AreaId, FlashMap, TrailerAccess};
use updraft_image::{Header, Refusal, Rules, SwapType, UpgradeMode, Validated, Verifier};

use crate::{BootError, Overwrite, Secrets, Slots, SwapMove, SwapOffset, SwapScratch, SwapStatus};

/// What the flash tells about an earlier boot's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was begun.
    None,
    /// A swap was recorded and no sector moved: the images are where they were.
    Recorded(SwapType),
    /// A swap was interrupted between its first and its last step.
    Interrupted {
        /// Which kind of swap.
        swap: SwapType,
        /// A status record is missing below the last one.
        gap: bool,
    },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The kind of swap: test, permanent or revert.
    pub swap: SwapType,
    /// What was found of it in flash.
    pub progress: Progress,
    /// Size of the image in the primary slot with its TLVs, in bytes; 0 if there is none, or if
    /// the job is being resumed.
    pub primary_size: u32,
    /// The same for the secondary slot.
    pub secondary_size: u32,
}

/// How an installation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// The new image is in the primary slot.
    Done,
    /// The images are too large to be exchanged; nothing was touched.
    NoSpace {
        /// Sectors that the larger image takes.
        needed: u32,
        /// Sectors that can be exchanged.
        available: u32,
    },
}

/// Where the header of an image lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The area.
    pub area: AreaId,
    /// Offset in the area, in bytes.
    pub offset: u32,
}

impl Place {
    /// Where the headers are before `swap` has moved anything.
    pub(crate) fn before<M: FlashMap>(
        strategy: &impl Strategy,
        map: &M,
        slots: &Slots,
        swap: SwapType,
    ) -> [Self; 2] {
        let offset = strategy.update_start(map, slots, swap);
        [Self { area: slots.primary.area, offset: 0 }, Self { area: slots.secondary.area, offset }]
    }
}

/// A way of bringing the image of the secondary slot to the primary one.
pub trait Strategy {
    /// Which upgrade mode this is.
    fn mode(&self) -> UpgradeMode;

    /// Whether the sectors of the two slots fit together.
    fn compatible<M: FlashMap>(&self, map: &M, slots: &Slots) -> bool;

    /// The largest image with its TLVs that the slots can take, in bytes.
    fn max_image_size<M: FlashMap>(&self, map: &M, slots: &Slots) -> u32;

    /// Where in the secondary slot the image begins that `swap` would bring in, in bytes.
    fn update_start<M: FlashMap>(&self, _map: &M, _slots: &Slots, _swap: SwapType) -> u32 {
        0
    }

    /// Where, with a swap at `progress`, the headers lie of the images that were in the primary
    /// and in the secondary slot when it began. Nothing that is still to be done touches them
    /// before they have been copied on.
    fn headers<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        progress: Progress,
    ) -> Result<[Place; 2], BootError<M::Error>>;

    /// What the flash tells about an earlier boot's work.
    fn progress<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<Progress, BootError<M::Error>>;

    /// The trailer that has the record of an interrupted swap, and with it the keys.
    fn recorded_in<M: FlashMap>(
        &self,
        _map: &mut M,
        slots: &Slots,
    ) -> Result<TrailerAccess, BootError<M::Error>> {
        Ok(slots.primary.trailer)
    }

    /// Whether compressed images are unpacked on the way to the primary slot. Otherwise none is taken,
    /// whatever the board's rules say.
    const UNPACKS: bool = false;

    /// Checks the image in the secondary slot. A mode that unpacks it looks inside.
    fn validate_update<M: FlashMap, V: Verifier>(
        &self,
        map: &mut M,
        slots: &Slots,
        rules: &Rules,
        verifier: &mut V,
    ) -> Result<(Header, Validated), Refusal<M::Error>> {
        slots.secondary.validate(map, verifier, rules)
    }

    /// Brings the new image to the primary slot, or finishes doing so. `secrets` are the keys of
    /// images that are encrypted.
    fn install<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
        secrets: &Secrets,
    ) -> Result<Installed, BootError<M::Error>>;

    /// Marks the job as done, after the security counter was raised where that is due. Where images
    /// are swapped, that is `copy_done`: from now on one that was only to be tested is reverted,
    /// unless it is confirmed.
    fn finish<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
    ) -> Result<(), BootError<M::Error>> {
        match job.swap {
            SwapType::None => Ok(()),
            _ => slots.primary.trailer.write_copy_done(map).map_err(BootError::Flash),
        }
    }

    /// Takes back a swap that flash refuses to go on with, unless an image or the request for it has
    /// been touched. Returns whether everything is as it was.
    ///
    /// A record must not be left standing, as it would be carried out with whatever is uploaded next.
    fn take_back<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<bool, BootError<M::Error>> {
        match self.progress(map, slots)? {
            Progress::Interrupted { .. } => Ok(false),
            Progress::Recorded(swap) if !slots.asks_for(map, swap) => Ok(false),
            _ => slots.end_standing_record(map).map(|()| true).map_err(BootError::Flash),
        }
    }

    /// Ends the record of a swap that has touched no image, and confirms what runs. That of a test is
    /// void from the first write on, that of a permanent swap from the last one.
    fn forget<M: FlashMap>(&self, map: &mut M, slots: &Slots) -> Result<(), BootError<M::Error>> {
        slots.end_record(map).map_err(BootError::Flash)
    }
}

/// The strategy that a board file names, chosen while running: for the desk, where one program
/// plays every board. A chip names its strategy as a type, and carries no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyStrategy {
    /// Overwrite-only.
    Overwrite(Overwrite),
    /// Swap-move.
    SwapMove(SwapMove),
    /// Swap-offset.
    SwapOffset(SwapOffset),
    /// Swap-scratch.
    SwapScratch(SwapScratch),
    /// Status-partition.
    SwapStatus(SwapStatus),
}

impl AnyStrategy {
    /// The strategy of `mode`; `None` for a mode that has none here, or that needs a scratch area
    /// where there is none.
    pub fn new(mode: UpgradeMode, scratch: Option<AreaId>) -> Option<Self> {
        match mode {
            UpgradeMode::OverwriteOnly => Some(Self::Overwrite(Overwrite::Image)),
            UpgradeMode::SwapMove => Some(Self::SwapMove(SwapMove)),
            UpgradeMode::SwapOffset => Some(Self::SwapOffset(SwapOffset)),
            UpgradeMode::SwapScratch => {
                scratch.map(|scratch| Self::SwapScratch(SwapScratch { scratch }))
            }
            UpgradeMode::StatusPartition => {
                scratch.map(|scratch| Self::SwapStatus(SwapStatus { scratch }))
            }
            _ => None,
        }
    }
}

macro_rules! each {
    ($any:expr, $strategy:ident => $call:expr) => {
        match $any {
            AnyStrategy::Overwrite($strategy) => $call,
            AnyStrategy::SwapMove($strategy) => $call,
            AnyStrategy::SwapOffset($strategy) => $call,
            AnyStrategy::SwapScratch($strategy) => $call,
            AnyStrategy::SwapStatus($strategy) => $call,
        }
    };
}

impl Strategy for AnyStrategy {
    fn mode(&self) -> UpgradeMode {
        each!(self, strategy => strategy.mode())
    }

    fn compatible<M: FlashMap>(&self, map: &M, slots: &Slots) -> bool {
        each!(self, strategy => strategy.compatible(map, slots))
    }

    fn max_image_size<M: FlashMap>(&self, map: &M, slots: &Slots) -> u32 {
        each!(self, strategy => strategy.max_image_size(map, slots))
    }

    fn update_start<M: FlashMap>(&self, map: &M, slots: &Slots, swap: SwapType) -> u32 {
        each!(self, strategy => strategy.update_start(map, slots, swap))
    }

    fn headers<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        progress: Progress,
    ) -> Result<[Place; 2], BootError<M::Error>> {
        each!(self, strategy => strategy.headers(map, slots, progress))
    }

    fn progress<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<Progress, BootError<M::Error>> {
        each!(self, strategy => strategy.progress(map, slots))
    }

    fn recorded_in<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<TrailerAccess, BootError<M::Error>> {
        each!(self, strategy => strategy.recorded_in(map, slots))
    }

    fn install<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
        secrets: &Secrets,
    ) -> Result<Installed, BootError<M::Error>> {
        each!(self, strategy => strategy.install(map, slots, job, secrets))
    }

    fn finish<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
    ) -> Result<(), BootError<M::Error>> {
        each!(self, strategy => strategy.finish(map, slots, job))
    }

    fn take_back<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<bool, BootError<M::Error>> {
        each!(self, strategy => strategy.take_back(map, slots))
    }

    fn forget<M: FlashMap>(&self, map: &mut M, slots: &Slots) -> Result<(), BootError<M::Error>> {
        each!(self, strategy => strategy.forget(map, slots))
    }
}
