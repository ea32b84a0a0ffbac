//! The record of a swap: what a trailer says of one that is under way.

use updraft_flash::{FlashMap, TrailerAccess};
use updraft_image::{Flag, SwapInfo, SwapType, TrailerState};

use crate::{Secrets, Slots};

/// What has to outlive a power cut besides the status records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SwapRecord {
    /// The kind of swap, and of which image.
    pub(crate) info: SwapInfo,
    /// Whether the image that comes in is to stay.
    pub(crate) confirmed: bool,
    /// Bytes that are exchanged: the size of the larger image.
    pub(crate) swap_size: u32,
    /// Sizes of the unprotected TLVs of both images, for the mode that keeps them.
    pub(crate) tlv_sizes: [u16; 2],
}

impl SwapRecord {
    /// Writes the record to an erased trailer. The magic, written last, vouches for everything
    /// before it.
    ///
    /// | step | |
    /// |---|---|
    /// | 1 | `swap_info` |
    /// | 2 | `image_ok` if the image is to stay |
    /// | 3 | `swap_size`, then the TLV sizes where there is room for them |
    /// | 4 | the keys of both images where there is room for them |
    /// | 5 | magic |
    pub(crate) fn write<M: FlashMap>(
        &self,
        map: &mut M,
        trailer: &TrailerAccess,
        secrets: &Secrets,
    ) -> Result<(), M::Error> {
        trailer.write_swap_info(map, self.info)?;
        if self.confirmed {
            trailer.write_image_ok(map)?;
        }
        trailer.write_swap_size(map, self.swap_size)?;
        trailer.write_tlv_sizes(map, self.tlv_sizes)?;
        secrets.write(map, trailer)?;
        trailer.write_magic(map)
    }
}

/// Writes `image_ok` after a swap that is not to be reverted. It comes before `copy_done`: the
/// other way round a cut in between would ask for a revert.
pub(crate) fn confirm<M: FlashMap>(
    map: &mut M,
    slots: &Slots,
    swap: SwapType,
) -> Result<(), M::Error> {
    let keeps = matches!(swap, SwapType::Permanent | SwapType::Revert);
    if keeps { slots.confirm_primary(map) } else { Ok(()) }
}

/// Whether the record in the primary trailer was taken back before an image was touched. Only the
/// bootloader runs while such a record stands, so only it can have confirmed anything: what runs, to end
/// the record of a test. That takes one write.
pub(crate) fn is_taken_back(state: &TrailerState) -> bool {
    state.swap_info.swap_type == SwapType::Test && state.image_ok != Flag::Unset
}
