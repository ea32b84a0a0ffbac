//! What may be uploaded, and the writer for it.

use updraft_flash::{FlashMap, ProgressStore, StreamTag};
use updraft_image::{Flags, Header, HeaderError, SwapType, UpgradeMode};

use crate::error::ResumeError;
use crate::{Dfu, DfuError, SlotWriter};

/// What is to be uploaded, as far as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Bytes of the whole file.
    pub len: u32,
    /// The header at its beginning.
    pub header: Header,
}

impl Dfu {
    /// Whether `offer` is worth taking: what the bootloader could not install anyway is refused by
    /// its header, before anything is erased for it.
    pub fn admit<M: FlashMap>(&self, map: &mut M, offer: &Offer) -> Result<(), DfuError<M::Error>> {
        let Offer { len, header } = offer;
        let max = self.max_image_size(map);
        // The TLV area has at least its own 4 bytes.
        let least = header.hashed_len().map_err(DfuError::NoImage)?.saturating_add(4);
        if *len == 0 || *len > max {
            return Err(DfuError::Length { len: *len, max });
        }
        if least > *len {
            return Err(DfuError::NoImage(HeaderError::TooLarge { size: least, slot: *len }));
        }
        if usize::from(header.hdr_size) < Header::SIZE {
            let hdr_size = header.hdr_size;
            return Err(DfuError::NoImage(HeaderError::HeaderSize { hdr_size }));
        }
        let packed = Flags(header.flags.0 & (Flags::ENCRYPTED | Flags::COMPRESSED).0);
        let flags = packed.without(self.config.rules.supported);
        if flags != Flags::default() {
            return Err(DfuError::NoImage(HeaderError::Flags { flags }));
        }
        let runs_there = matches!(
            self.config.trailers.mode,
            UpgradeMode::DirectXip | UpgradeMode::DirectXipRevert
        );
        if runs_there && header.flags.contains(Flags::ROM_FIXED) {
            let area = self.area(self.upload_slot());
            let slot = map.info(area).ok_or(DfuError::NoSlot { area })?.offset;
            if header.load_addr != slot {
                let load_addr = header.load_addr;
                return Err(DfuError::LinkedElsewhere { load_addr, slot });
            }
        }
        self.is_free(map)
    }

    /// Whether the slot that takes uploads may be written: not if it holds the image that the next
    /// boot goes back to. A slot without a whole image serves no revert.
    pub fn is_free<M: FlashMap>(&self, map: &mut M) -> Result<(), DfuError<M::Error>> {
        if self.swap_type(map)? != SwapType::Revert {
            return Ok(());
        }
        match self.image(map, self.upload_slot()) {
            Ok(_) => Err(DfuError::KeptForRevert),
            Err(DfuError::Flash(error)) => Err(DfuError::Flash(error)),
            Err(_) => Ok(()),
        }
    }

    /// A writer for the slot that takes uploads, in blocks of `N` bytes. An old request is gone
    /// when it is returned. Refused if the slot is needed for a revert.
    pub fn writer<M: FlashMap, const N: usize>(
        &self,
        map: &mut M,
    ) -> Result<SlotWriter<N>, DfuError<M::Error>> {
        self.is_free(map)?;
        self.writer_giving_up_revert(map)
    }

    /// The same, also over the image that the next boot would go back to: if the running one is not
    /// confirmed by then, it stays nevertheless, as there is none to go back to.
    pub fn writer_giving_up_revert<M: FlashMap, const N: usize>(
        &self,
        map: &mut M,
    ) -> Result<SlotWriter<N>, DfuError<M::Error>> {
        let slot = self.upload_slot();
        let start = self.upload_start(map, slot);
        Ok(SlotWriter::new(map, self.trailer(slot), start)?)
    }

    /// Like [`Dfu::writer`], and goes on where the progress stored under `key` says that the upload
    /// of `tag` had come to: [`SlotWriter::written`] tells the source where.
    pub fn resume_writer<M: FlashMap, S: ProgressStore, const N: usize>(
        &self,
        map: &mut M,
        progress: (&mut S, &str, &StreamTag),
    ) -> Result<SlotWriter<N>, ResumeError<M::Error, S::Error>> {
        self.is_free(map)?;
        let slot = self.upload_slot();
        let start = self.upload_start(map, slot);
        Ok(SlotWriter::resume(map, self.trailer(slot), start, progress)?)
    }
}
