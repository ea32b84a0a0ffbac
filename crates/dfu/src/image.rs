//! What is in a slot: the image as its header and TLVs claim it, and whether bytes have a hash.
//!
//! Nothing of it is verified: [`Dfu::verify`](crate::Dfu::verify) does that.

use updraft_flash::{AreaId, FlashMap, SlotSource, Which, is_blank};
use updraft_image::{Digest, HashKind, Hasher, Header, HeaderError, Source, TlvArea};

use crate::{Dfu, DfuError};

/// The image of a slot, as its header and TLVs claim it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// Where in the slot it begins, in bytes.
    pub start: u32,
    /// Its header.
    pub header: Header,
    /// Content of its one hash TLV.
    pub hash: Digest,
    /// Its size in bytes, TLVs included.
    pub size: u32,
}

impl Dfu {
    /// The header of the image in `slot`; refused if there is no magic, or if `hdr_size` is less
    /// than the header.
    pub fn header<M: FlashMap>(
        &self,
        map: &mut M,
        slot: Which,
    ) -> Result<Header, DfuError<M::Error>> {
        let start = self.image_start(map, slot)?;
        header_at(&mut SlotSource::at(map, self.area(slot), start))
    }

    /// The image in `slot`: header, TLV area and exactly one hash have to be there.
    pub fn image<M: FlashMap>(
        &self,
        map: &mut M,
        slot: Which,
    ) -> Result<ImageInfo, DfuError<M::Error>> {
        let start = self.image_start(map, slot)?;
        let mut source = SlotSource::at(map, self.area(slot), start);
        let header = header_at(&mut source)?;
        let tlvs = TlvArea::open(&mut source, &header)?;
        let mut entries = tlvs.iter();
        let mut hash = None;
        while let Some(entry) = entries.next(&mut source)? {
            let Some(kind) = HashKind::from_tlv(entry.kind) else { continue };
            if hash.is_some() {
                return Err(DfuError::Hashes { found: 2 });
            }
            let mut buf = [0; 64];
            let payload = entry.payload(&mut source, &mut buf).map_err(DfuError::Flash)?;
            hash = payload.and_then(|payload| Digest::from_slice(kind, payload));
        }
        let hash = hash.ok_or(DfuError::Hashes { found: 0 })?;
        Ok(ImageInfo { start, header, hash, size: tlvs.end() })
    }

    /// Whether the first `len` bytes of what was uploaded to `slot`, read back from flash, have the
    /// hash `wanted`. `len` has to be at least 1, and no more than the slot holds.
    pub fn check<M: FlashMap>(
        &self,
        map: &mut M,
        slot: Which,
        len: u32,
        wanted: &Digest,
    ) -> Result<bool, DfuError<M::Error>> {
        let start = self.upload_start(map, slot);
        let found = digest(map, self.area(slot), start, len, wanted.kind())?;
        Ok(found == *wanted)
    }

    /// Whether nothing is in `slot`, trailer included.
    pub fn is_blank<M: FlashMap>(
        &self,
        map: &mut M,
        slot: Which,
    ) -> Result<bool, DfuError<M::Error>> {
        let area = self.area(slot);
        let size = map.info(area).ok_or(DfuError::NoSlot { area })?.size;
        is_blank(map, area, 0, size).map_err(DfuError::Flash)
    }
}

/// The hash of `len` bytes of `area` from `offset` on, at least 1.
pub fn digest<M: FlashMap>(
    map: &mut M,
    area: AreaId,
    offset: u32,
    len: u32,
    kind: HashKind,
) -> Result<Digest, DfuError<M::Error>> {
    let size = map.info(area).ok_or(DfuError::NoSlot { area })?.size;
    let max = size.saturating_sub(offset);
    if len == 0 || len > max {
        return Err(DfuError::Length { len, max });
    }
    let mut hasher = Hasher::new(kind);
    let mut piece = [0; 256];
    let mut at = 0;
    while at < len {
        let n = (len - at).min(piece.len() as u32);
        let piece = piece.get_mut(..n as usize).unwrap_or_default();
        map.read(area, offset.saturating_add(at), piece).map_err(DfuError::Flash)?;
        hasher.update(piece);
        at += n;
    }
    Ok(hasher.finish())
}

/// What the image in `source` begins with.
pub(crate) fn header_at<S: Source>(source: &mut S) -> Result<Header, DfuError<S::Error>> {
    let mut bytes = [0; Header::SIZE];
    source.read(0, &mut bytes).map_err(DfuError::Flash)?;
    let header = Header::parse(&bytes).map_err(DfuError::NoImage)?;
    match usize::from(header.hdr_size) < Header::SIZE {
        true => Err(DfuError::NoImage(HeaderError::HeaderSize { hdr_size: header.hdr_size })),
        false => Ok(header),
    }
}
