//! Swap using a status area: chunk by chunk through a scratch area, as with
//! [swap-scratch](crate::SwapScratch), with every trailer in an area of its own.
//!
//! For flash that is written in rows longer than a trailer, and for flash whose torn cells nobody
//! can trust: the status area has two copies of each row, with checksums. It is shown where trailers
//! belong by a [`StatusMap`](updraft_flash::StatusMap), which the bootloader has to be given as its
//! flash; each boot opens it anew, which settles what a power cut has torn there.
//!
//! | written | when | in the status area |
//! |---|---|---|
//! | record of the swap | before anything is copied | the scratch area's table, then the primary slot's |
//! | state of a round, 1 to 3 | after each step | one byte of the primary slot's table |
//! | request | cleared in the first round | the secondary slot's table |
//! | `image_ok`, `copy_done` | at last | the primary slot's table, and before that its own trailer |
//!
//! No chunk shares a sector with a trailer, as the image ends before the sectors of that. Source:
//! `swap_scratch.c` with `MCUBOOT_SWAP_USING_STATUS` in Infineon's branches of MCUboot.

use updraft_flash::{AreaId, FlashMap, TrailerAccess};
use updraft_image::{Magic, UpgradeMode};

use crate::{BootError, Installed, Job, Place, Progress, Secrets, Slots, Strategy, SwapScratch};

/// The status-partition mode. The flash map of the bootloader is a
/// [`StatusMap`](updraft_flash::StatusMap).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SwapStatus {
    /// The scratch area. All images share it.
    pub scratch: AreaId,
}

impl SwapStatus {
    const fn swap(self) -> SwapScratch {
        SwapScratch { scratch: self.scratch }
    }
}

impl Strategy for SwapStatus {
    fn mode(&self) -> UpgradeMode {
        UpgradeMode::StatusPartition
    }

    /// As with swap-scratch; a chunk that would end within a sector of the secondary slot is
    /// shorter.
    fn compatible<M: FlashMap>(&self, map: &M, slots: &Slots) -> bool {
        self.swap().compatible(map, slots)
    }

    fn max_image_size<M: FlashMap>(&self, map: &M, slots: &Slots) -> u32 {
        self.swap().max_image_size(map, slots)
    }

    fn headers<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        progress: Progress,
    ) -> Result<[Place; 2], BootError<M::Error>> {
        self.swap().headers(map, slots, progress)
    }

    fn progress<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<Progress, BootError<M::Error>> {
        self.swap().progress(map, slots)
    }

    fn recorded_in<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<TrailerAccess, BootError<M::Error>> {
        self.swap().recorded_in(map, slots)
    }

    fn install<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
        secrets: &Secrets,
    ) -> Result<Installed, BootError<M::Error>> {
        self.swap().install(map, slots, job, secrets)
    }

    fn finish<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
    ) -> Result<(), BootError<M::Error>> {
        self.swap().finish(map, slots, job)
    }

    /// The request is cleared in the status area, before the slot that may refuse the next step. As long
    /// as that has not changed the slot, it is made anew.
    fn take_back<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<bool, BootError<M::Error>> {
        if let Progress::Interrupted { swap, .. } = self.progress(map, slots)?
            && slots.secondary_state(map).magic != Magic::Good
            && self.swap().spares_update(map, slots)?
        {
            slots.request(map, swap).map_err(BootError::Flash)?;
        }
        self.swap().take_back(map, slots)
    }

    fn forget<M: FlashMap>(&self, map: &mut M, slots: &Slots) -> Result<(), BootError<M::Error>> {
        self.swap().forget(map, slots)
    }
}
