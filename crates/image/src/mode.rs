//! Upgrade modes and the largest image that each leaves room for.

use core::fmt;

use crate::trailer::{TrailerLayout, align_up};

/// How a bootloader brings a new image to where it runs. The numbers are those of MCUboot's shared
/// data and of SMP's bootloader information; what has none there is 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum UpgradeMode {
    /// One slot; no upgrade by the bootloader.
    SingleSlot = 0,
    /// Swap through a scratch area.
    SwapScratch = 1,
    /// Copy over the primary slot; no way back.
    OverwriteOnly = 2,
    /// Swap by moving the primary image up one sector.
    SwapMove = 3,
    /// Run from either slot, the higher version.
    DirectXip = 4,
    /// The same with revert.
    DirectXipRevert = 5,
    /// Copy to RAM and run there.
    RamLoad = 6,
    /// A small loader image fetches updates.
    FirmwareLoader = 7,
    /// One slot, copied to RAM.
    SingleSlotRamLoad = 8,
    /// Swap with the update one sector up in the secondary slot.
    SwapOffset = 9,
    /// Swap with the status in an area of its own, in several copies with checks. For devices
    /// whose rows are wider than a trailer's fields. Known from Infineon's builds of MCUboot.
    StatusPartition = 255,
}

impl UpgradeMode {
    /// Every mode.
    pub const ALL: [Self; 11] = [
        Self::SingleSlot,
        Self::SwapScratch,
        Self::OverwriteOnly,
        Self::SwapMove,
        Self::DirectXip,
        Self::DirectXipRevert,
        Self::RamLoad,
        Self::FirmwareLoader,
        Self::SingleSlotRamLoad,
        Self::SwapOffset,
        Self::StatusPartition,
    ];

    /// The name used in board files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SingleSlot => "single-slot",
            Self::SwapScratch => "swap-scratch",
            Self::OverwriteOnly => "overwrite-only",
            Self::SwapMove => "swap-move",
            Self::DirectXip => "direct-xip",
            Self::DirectXipRevert => "direct-xip-revert",
            Self::RamLoad => "ram-load",
            Self::FirmwareLoader => "firmware-loader",
            Self::SingleSlotRamLoad => "single-slot-ram-load",
            Self::SwapOffset => "swap-offset",
            Self::StatusPartition => "status-partition",
        }
    }

    /// Whether the old image is kept in the secondary slot, so that a test can be reverted.
    pub const fn swaps(self) -> bool {
        matches!(
            self,
            Self::SwapScratch | Self::SwapMove | Self::SwapOffset | Self::StatusPartition
        )
    }

    /// Swap status records per sector in the trailer.
    pub const fn status_states(self) -> u32 {
        match self {
            Self::SingleSlot
            | Self::FirmwareLoader
            | Self::SingleSlotRamLoad
            | Self::StatusPartition => 0,
            Self::SwapOffset => 2,
            _ => 3,
        }
    }
}

impl fmt::Display for UpgradeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The largest image (header, body and all TLVs, in bytes) that a pair of slots takes.
///
/// Source: the sizes that MCUboot's `boot_max_image_size` family computes, mode by mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxSize;

impl MaxSize {
    /// For modes that keep the image clear of the trailer only.
    pub fn below_trailer(mode: UpgradeMode, trailer: &TrailerLayout) -> u32 {
        match mode.status_states() {
            0 => trailer.status(),
            _ => trailer.swap_info(),
        }
    }

    /// For swap-move: one spare sector in the primary slot, and the trailers in whole sectors.
    /// `slots` and `trailers` are the sizes of the primary's and the secondary's, `sector` that of
    /// any sector, in bytes. `None` if nothing is left.
    pub fn swap_move(slots: [u32; 2], sector: u32, trailers: [u32; 2]) -> Option<u32> {
        let [primary, secondary] = slots;
        let [in_primary, in_secondary] = trailers.map(|trailer| align_up(trailer, sector));
        let in_primary = primary.checked_sub(in_primary?)?.checked_sub(sector)?;
        let in_secondary = secondary.checked_sub(in_secondary?)?;
        Some(in_primary.min(in_secondary)).filter(|size| *size > 0)
    }

    /// For swap-offset: the spare sector is in the secondary slot, otherwise as for swap-move.
    pub fn swap_offset(slots: [u32; 2], sector: u32, trailers: [u32; 2]) -> Option<u32> {
        let [[primary, secondary], [of_primary, of_secondary]] = [slots, trailers];
        Self::swap_move([secondary, primary], sector, [of_secondary, of_primary])
    }

    /// For swap-scratch: the slot before its trailer, which begins at `trailer`. The sector in which
    /// it begins ends at `sector_end`, the later of both slots'; where less of the trailer lies in
    /// that sector than the scratch area's trailer takes, the image ends so much earlier. All in
    /// bytes. `None` if nothing is left.
    pub fn swap_scratch(trailer: u32, sector_end: u32, scratch_trailer: u32) -> Option<u32> {
        let in_sector = sector_end.checked_sub(trailer)?;
        let padding = scratch_trailer.saturating_sub(in_sector);
        trailer.checked_sub(padding).filter(|size| *size > 0)
    }
}
