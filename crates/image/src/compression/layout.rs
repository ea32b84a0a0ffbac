//! What the uncompressed image looks like, as far as header and TLVs tell.
//!
//! | part | made of |
//! |---|---|
//! | header | the compressed image's; no compression flags, sizes of this image |
//! | header padding | the same |
//! | body | the stream, decompressed |
//! | protected TLVs | the same but for DECOMP_SIZE, DECOMP_SHA, DECOMP_SIGNATURE, COMP_DEC_SIZE; no area at all if none is left |
//! | unprotected TLVs | the same; the hash has the payload of DECOMP_SHA, a signature that of DECOMP_SIGNATURE |
//!
//! That is what imgtool hashed and signed before it compressed (`sign` in its `main.py` makes the
//! uncompressed image first), and what Nordic's MCUboot writes to the primary slot
//! (nrfconnect/sdk-mcuboot, `boot/zephyr/decompression.c`). Key hash and encryption TLVs stay, and so
//! does the encryption flag: in the primary slot the body is plaintext whatever that flag says.

use super::error::CompressionError;
use super::{symbols, thumb};
use crate::{
    Flags, HashKind, Header, HeaderError, Source, TlvArea, TlvEntry, TlvIter, TlvKind, TlvType,
};

/// Bytes of a TLV's or an area's header.
const HEAD: u32 = 4;

type Result<T, S> = core::result::Result<T, CompressionError<<S as Source>::Error>>;

/// Sizes and places in both images.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The header of the uncompressed image.
    pub header: Header,
    /// Whether the body went through the ARM-Thumb filter.
    pub filtered: bool,
    /// Offset of the stream in the compressed image, and of its end.
    pub stream: (u32, u32),
    /// How far back matches reach at most.
    pub dictionary: u32,
    /// Size of the whole uncompressed image.
    pub size: u32,
    tlvs: TlvArea,
    /// Size of the unprotected area.
    unprotected: u16,
    new: Replacements,
}

/// What takes the place of hash and signature.
#[derive(Clone, Copy, Debug)]
struct Replacements {
    hash: HashKind,
    sha: TlvEntry,
    signature: Option<TlvEntry>,
}

impl Replacements {
    /// What the payload of `entry`, an unprotected TLV, is replaced with. `Err` if there should be
    /// something.
    fn of(&self, entry: &TlvEntry) -> core::result::Result<TlvEntry, TlvType> {
        let is_signature = matches!(
            entry.kind,
            TlvType::RSA2048 | TlvType::ECDSA_SIG | TlvType::RSA3072 | TlvType::ED25519
        );
        if entry.kind == self.hash.tlv() {
            Ok(self.sha)
        } else if is_signature {
            self.signature.ok_or(TlvType::DECOMP_SIGNATURE)
        } else {
            Ok(*entry)
        }
    }
}

/// The compression TLVs of an image.
#[derive(Default)]
struct Found {
    size: Option<TlvEntry>,
    sha: Option<TlvEntry>,
    signature: Option<TlvEntry>,
    packed: Option<TlvEntry>,
}

impl Found {
    /// Where the TLV of type `kind` belongs; `None` for all other types.
    fn place(&mut self, kind: TlvType) -> Option<&mut Option<TlvEntry>> {
        match kind {
            TlvType::DECOMP_SIZE => Some(&mut self.size),
            TlvType::DECOMP_SHA => Some(&mut self.sha),
            TlvType::DECOMP_SIGNATURE => Some(&mut self.signature),
            TlvType::COMP_DEC_SIZE => Some(&mut self.packed),
            _ => None,
        }
    }
}

impl Layout {
    /// Reads the compressed image whose header is `header`.
    pub fn open<S: Source>(source: &mut S, header: &Header) -> Result<Self, S> {
        let flags = header.flags;
        if !flags.contains(Flags::COMPRESSED_LZMA2) || flags.contains(Flags::COMPRESSED_LZMA1) {
            return Err(CompressionError::Flags { flags });
        }
        let hdr_size = header.hdr_size;
        if usize::from(hdr_size) < Header::SIZE {
            return Err(HeaderError::HeaderSize { hdr_size }.into());
        }
        let tlvs = TlvArea::open(source, header)?;
        let (found, protected) = protected(source, &tlvs)?;
        let missing = |kind| CompressionError::Missing { kind };
        let size = found.size.ok_or(missing(TlvType::DECOMP_SIZE))?;
        let body = match word(source, &size)? {
            0 => return Err(CompressionError::Tlv { entry: size }),
            body => body,
        };
        let sha = found.sha.ok_or(missing(TlvType::DECOMP_SHA))?;
        let hash = HashKind::ALL.into_iter().find(|hash| hash.size() == sha.len.into());
        let hash = hash.ok_or(CompressionError::Tlv { entry: sha })?;
        let new = Replacements { hash, sha, signature: found.signature };
        let unprotected = unprotected(source, &tlvs, &new)?;

        let stored = header.img_size;
        let header = Header {
            flags: Flags(flags.0 & !Flags::COMPRESSED.0),
            img_size: body,
            protect_tlv_size: protected,
            ..*header
        };
        let size = header.hashed_len()?.checked_add(unprotected.into());
        let packed = match found.packed {
            _ if !flags.intersects(Flags::ENCRYPTED) => stored,
            // Encryption has filled the stream up with zeros.
            Some(entry) => match word(source, &entry)? {
                packed if packed <= stored => packed,
                _ => return Err(CompressionError::Tlv { entry }),
            },
            None => return Err(missing(TlvType::COMP_DEC_SIZE)),
        };
        let start = u32::from(hdr_size);
        // The end of the body, or before: no overflow.
        let stream = (start + 2, start + packed);
        if stream.0 > stream.1 {
            return Err(CompressionError::Stream { offset: start });
        }
        Ok(Self {
            header,
            filtered: flags.contains(Flags::COMPRESSED_ARM_THUMB),
            stream,
            dictionary: dictionary(source, start)?,
            size: size.ok_or(HeaderError::Overflow)?,
            tlvs,
            unprotected,
            new,
        })
    }

    /// Offset of the body.
    pub fn body(&self) -> u32 {
        self.header.hdr_size.into()
    }

    /// Offset of the first TLV area.
    pub fn tail(&self) -> u32 {
        // `open` has found that all of the image has less than 4 GiB.
        self.body().saturating_add(self.header.img_size)
    }

    /// How far back the output has to be at hand.
    pub fn reach(&self) -> u32 {
        let margin = if self.filtered { thumb::BEHIND as u32 } else { 0 };
        self.dictionary.saturating_add(margin).min(self.header.img_size)
    }

    /// Fills `buf` from `offset` on with the header and what pads it.
    pub fn read_head<S: Source>(
        &self,
        source: &mut S,
        offset: u32,
        buf: &mut [u8],
    ) -> Result<(), S> {
        let header = self.header.emit();
        let header = header.get(offset as usize..).unwrap_or_default();
        let (first, rest) = buf.split_at_mut(header.len().min(buf.len()));
        first.copy_from_slice(header.get(..first.len()).unwrap_or_default());
        if rest.is_empty() {
            return Ok(());
        }
        let offset = offset.max(Header::SIZE as u32);
        source.read(offset, rest).map_err(CompressionError::Read)
    }
}

/// The compression TLVs, and the size of the protected area without them.
fn protected<S: Source>(source: &mut S, tlvs: &TlvArea) -> Result<(Found, u16), S> {
    let mut found = Found::default();
    let mut size = HEAD;
    let mut walk = tlvs.iter_bounded();
    while let Some(entry) = walk.next(source)? {
        if entry.area == TlvKind::Unprotected {
            break;
        }
        match found.place(entry.kind) {
            Some(place @ None) => *place = Some(entry),
            Some(Some(_)) => return Err(CompressionError::Twice { kind: entry.kind }),
            None => size += HEAD + u32::from(entry.len),
        }
    }
    if size == HEAD {
        return Ok((found, 0));
    }
    // Less than there was, which is a u16.
    let size = u16::try_from(size).map_err(|_| HeaderError::Overflow)?;
    Ok((found, size))
}

/// The size of the unprotected area with the new hash and signature.
fn unprotected<S: Source>(source: &mut S, tlvs: &TlvArea, new: &Replacements) -> Result<u16, S> {
    let mut size = HEAD;
    let mut walk = tlvs.iter_bounded();
    while let Some(entry) = walk.next(source)? {
        if entry.area == TlvKind::Unprotected {
            let entry = new.of(&entry).map_err(|kind| CompressionError::Missing { kind })?;
            size = size.saturating_add(HEAD + u32::from(entry.len));
        }
    }
    Ok(u16::try_from(size).map_err(|_| HeaderError::Overflow)?)
}

/// A TLV with a number of four bytes.
fn word<S: Source>(source: &mut S, entry: &TlvEntry) -> Result<u32, S> {
    let mut bytes = [0; 4];
    if usize::from(entry.len) != bytes.len() {
        return Err(CompressionError::Tlv { entry: *entry });
    }
    source.read(entry.offset, &mut bytes).map_err(CompressionError::Read)?;
    Ok(u32::from_le_bytes(bytes))
}

/// The size of the dictionary, from the two bytes that the body begins with.
fn dictionary<S: Source>(source: &mut S, body: u32) -> Result<u32, S> {
    let mut found = [0; 2];
    source.read(body, &mut found).map_err(CompressionError::Read)?;
    let [size, properties] = found;
    if size > 40 || symbols::properties(properties).is_none() {
        return Err(CompressionError::Parameters { found });
    }
    // Powers of two from 4 KiB on, with the one and a half fold between them.
    Ok(match size {
        40 => u32::MAX,
        size => (2 | u32::from(size & 1)) << (size / 2 + 11),
    })
}

/// The TLV areas of the uncompressed image, read in any order; forwards is fast.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    walk: TlvIter,
    area: TlvKind,
    item: Item,
}

/// The header of an area, or a TLV.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// Offset in the uncompressed image.
    start: u32,
    head: [u8; HEAD as usize],
    /// Where the compressed image has the payload.
    payload: u32,
    len: u32,
}

impl Item {
    fn area(start: u32, kind: TlvKind, total: u16) -> Self {
        Self { start, head: head(kind.magic(), total), payload: 0, len: 0 }
    }

    fn entry(start: u32, kind: TlvType, payload: &TlvEntry) -> Self {
        let TlvEntry { offset, len, .. } = *payload;
        Self { start, head: head(kind.0, len), payload: offset, len: len.into() }
    }

    fn end(&self) -> u32 {
        self.start.saturating_add(HEAD).saturating_add(self.len)
    }
}

fn head(first: u16, second: u16) -> [u8; HEAD as usize] {
    let ([a, b], [c, d]) = (first.to_le_bytes(), second.to_le_bytes());
    [a, b, c, d]
}

impl Tail {
    pub fn new(layout: &Layout) -> Self {
        let (area, total) = match layout.header.protect_tlv_size {
            0 => (TlvKind::Unprotected, layout.unprotected),
            total => (TlvKind::Protected, total),
        };
        let item = Item::area(layout.tail(), area, total);
        Self { walk: layout.tlvs.iter_bounded(), area, item }
    }

    /// Fills `buf` from `offset` of the uncompressed image on.
    pub fn read<S: Source>(
        &mut self,
        layout: &Layout,
        source: &mut S,
        mut offset: u32,
        mut buf: &mut [u8],
    ) -> Result<(), S> {
        if offset < self.item.start {
            *self = Self::new(layout);
        }
        while !buf.is_empty() {
            while offset >= self.item.end() {
                self.item = self.next(layout, source)?;
            }
            let Item { head, payload, len, .. } = self.item;
            let into = offset.saturating_sub(self.item.start);
            let n = match into.checked_sub(HEAD) {
                None => {
                    let head = head.get(into as usize..).unwrap_or_default();
                    buf.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
                    head.len().min(buf.len())
                }
                Some(into) => {
                    let n = buf.len().min((len - into) as usize);
                    let part = buf.get_mut(..n).unwrap_or_default();
                    source
                        .read(payload.saturating_add(into), part)
                        .map_err(CompressionError::Read)?;
                    n
                }
            };
            offset += n as u32;
            buf = buf.split_at_mut(n).1;
        }
        Ok(())
    }

    /// What follows the current item.
    fn next<S: Source>(&mut self, layout: &Layout, source: &mut S) -> Result<Item, S> {
        let start = self.item.end();
        loop {
            let before = self.walk.clone();
            let entry = self.walk.next(source)?;
            return Ok(match (self.area, entry) {
                (_, Some(entry)) if entry.area == TlvKind::Protected => {
                    let gone = Found::default().place(entry.kind).is_some();
                    if gone || self.area == TlvKind::Unprotected {
                        continue;
                    }
                    Item::entry(start, entry.kind, &entry)
                }
                (TlvKind::Protected, _) => {
                    (self.walk, self.area) = (before, TlvKind::Unprotected);
                    Item::area(start, self.area, layout.unprotected)
                }
                (TlvKind::Unprotected, Some(entry)) => {
                    let new = layout.new.of(&entry);
                    let new = new.map_err(|kind| CompressionError::Missing { kind })?;
                    Item::entry(start, entry.kind, &new)
                }
                (TlvKind::Unprotected, None) => {
                    let size = layout.size;
                    return Err(CompressionError::OutOfRange { offset: start, size });
                }
            });
        }
    }
}
