//! TLV areas: what follows the body.
//!
//! ```text
//! info   u16 magic (0x6908 protected, 0x6907 not) · u16 total length, these 4 bytes included
//! entry  u16 type · u16 length · payload          unaligned, back to back
//! ```
//! A protected area, if there is one, comes first and is covered by the hash; its total must equal
//! the header's `protect_tlv_size`. Source: MCUboot `docs/design.md`, "Protected TLVs", and
//! `boot/bootutil/src/tlv.c`.

use core::fmt;

use crate::text::{self, Hex};
use crate::{Describe, Header, HeaderError, Source, Text, Version};

const INFO_SIZE: u32 = 4;
const ENTRY_HEADER: u32 = 4;

/// The two areas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlvKind {
    /// Covered by the image hash.
    Protected,
    /// Hash, key and signature, and whatever else is not signed.
    Unprotected,
}

impl TlvKind {
    /// First word of the area's info.
    pub const fn magic(self) -> u16 {
        match self {
            Self::Protected => 0x6908,
            Self::Unprotected => 0x6907,
        }
    }
}

/// The type number of a TLV.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlvType(pub u16);

macro_rules! tlv_types {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $read:expr;)*) => {
        impl TlvType {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The format's name of the type, as imgtool prints it.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The same of the types that this build reads, which are few on a chip.
            fn name_if_read(self) -> Option<&'static str> {
                match self.0 {
                    $($value if $read || DESK => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

/// Whether there is room for every name.
const DESK: bool = cfg!(not(target_os = "none"));
const RSA: bool = cfg!(feature = "sig-rsa");
const ECDSA: bool = cfg!(any(feature = "sig-ecdsa-p256", feature = "sig-ecdsa-p384"));
const EDDSA: bool = cfg!(feature = "sig-ed25519");
const LONG: bool = cfg!(feature = "sha512");
const SEALED: bool = cfg!(feature = "enc");
const PACKED: bool = cfg!(feature = "compression");

tlv_types! {
    /// Hash of the public key that signed: 32, 48 or 64 bytes.
    KEYHASH = 0x01, RSA || ECDSA || EDDSA;
    /// The whole public key.
    PUBKEY = 0x02, false;
    /// Image hash, 32 bytes.
    SHA256 = 0x10, true;
    /// Image hash, 48 bytes.
    SHA384 = 0x11, LONG;
    /// Image hash, 64 bytes.
    SHA512 = 0x12, LONG;
    /// RSA-2048 PSS signature.
    RSA2048 = 0x20, RSA;
    /// Obsolete.
    ECDSA224 = 0x21, false;
    /// ECDSA signature in DER, P-256 or P-384.
    ECDSA_SIG = 0x22, ECDSA;
    /// RSA-3072 PSS signature.
    RSA3072 = 0x23, RSA;
    /// Ed25519 signature, 64 bytes.
    ED25519 = 0x24, EDDSA;
    /// One byte, 1: the signature covers the image itself and not its hash.
    SIG_PURE = 0x25, EDDSA;
    /// Image key encrypted with RSA-OAEP.
    ENCRSA2048 = 0x30, SEALED;
    /// Image key wrapped with AES.
    ENCKW = 0x31, SEALED;
    /// Image key encrypted with ECIES-P256.
    ENCEC256 = 0x32, SEALED;
    /// Image key encrypted with ECIES-X25519.
    ENCX25519 = 0x33, SEALED;
    /// Image key encrypted with ECIES-X25519 and SHA-512.
    ENCX25519_SHA512 = 0x34, SEALED;
    /// Another image that must be there: 12 bytes, see [`crate::Dependency`].
    DEPENDENCY = 0x40, false;
    /// Security counter, u32.
    SEC_CNT = 0x50, true;
    /// Measured-boot record, CBOR.
    BOOT_RECORD = 0x60, false;
    /// Size of the decompressed body, u32.
    DECOMP_SIZE = 0x70, PACKED;
    /// Hash of the image before compression.
    DECOMP_SHA = 0x71, PACKED;
    /// Signature of the image before compression.
    DECOMP_SIGNATURE = 0x72, PACKED;
    /// Compressed size before encryption padding.
    COMP_DEC_SIZE = 0x73, PACKED;
    /// Vendor id, a UUID.
    UUID_VID = 0x74, true;
    /// Class id, a UUID: the kind of board.
    UUID_CID = 0x75, true;
}

impl TlvType {
    /// Whether imgtool accepts the type for a custom TLV (0x00a0 to 0xfffe).
    pub const fn is_custom(self) -> bool {
        self.0 >= 0x00a0 && self.0 < 0xffff
    }

    /// Whether such TLVs carry the key that the body is encrypted with.
    pub const fn is_encryption(self) -> bool {
        matches!(self.0, 0x30..=0x34)
    }

    /// Whether the type may stand in an unprotected area when the optional allow-list is on
    /// (`pure` adds SIG_PURE).
    pub const fn is_allowed_unprotected(self, pure: bool) -> bool {
        matches!(self.0, 0x01 | 0x02 | 0x10..=0x12 | 0x20..=0x24 | 0x30..=0x34)
            || (pure && self.0 == Self::SIG_PURE.0)
    }
}

impl fmt::Debug for TlvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name, or the number in hexadecimal. A chip names what it reads, and no other type.
impl Describe for TlvType {
    fn describe(&self, to: &mut Text<'_>) {
        match self.name_if_read() {
            Some(name) => to.say(name),
            None => Hex(self.0.into(), 4).describe(to),
        }
    }
}

impl fmt::Display for TlvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

/// A TLV as it lies in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlvEntry {
    /// Its type.
    pub kind: TlvType,
    /// Which area its header stands in.
    pub area: TlvKind,
    /// Offset of its payload from the start of the image.
    pub offset: u32,
    /// Bytes of payload.
    pub len: u16,
}

impl TlvEntry {
    /// Reads the payload into `buf` and returns the part that was filled; `None` if `buf` is
    /// shorter than the payload, or the payload passes the source's end.
    pub fn payload<'b, E>(
        &self,
        source: &mut dyn Source<Error = E>,
        buf: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, E> {
        let fits = self.offset.checked_add(self.len.into()).is_some_and(|it| it <= source.size());
        match buf.get_mut(..self.len.into()) {
            Some(buf) if fits => {
                source.read(self.offset, buf)?;
                Ok(Some(buf))
            }
            _ => Ok(None),
        }
    }
}

/// Why the TLVs of an image cannot be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlvError<E> {
    /// The header does not allow them to be found.
    Header(HeaderError),
    /// No TLV info where the header says that one begins.
    Info {
        /// Offset from the start of the image.
        offset: u32,
        /// The magic that stands there.
        found: u16,
    },
    /// The protected area's own length is not what the header says.
    ProtectedSize {
        /// The header's `protect_tlv_size`.
        header: u16,
        /// The total in the area's info (0: there is no protected area).
        area: u16,
    },
    /// An entry does not end inside its area.
    Bounds {
        /// Offset of the entry from the start of the image.
        offset: u32,
        /// First offset behind the area.
        end: u32,
    },
    /// The source failed.
    Read(E),
}

impl<E: Describe> Describe for TlvError<E> {
    fn describe(&self, to: &mut Text<'_>) {
        match self {
            Self::Header(error) => error.describe(to),
            Self::Info { offset, found } => {
                let (offset, found) = (Hex(*offset, 1), Hex((*found).into(), 4));
                to.fill("no TLV area at offset {}: magic is {}", &[&offset, &found]);
            }
            Self::ProtectedSize { header, area } => {
                to.fill("{} bytes of protected TLVs promised, {} there", &[header, area])
            }
            Self::Bounds { offset, end } => {
                let (offset, end) = (Hex(*offset, 1), Hex(*end, 1));
                to.fill("the TLV at offset {} passes the end of its area at {}", &[&offset, &end]);
            }
            Self::Read(error) => error.describe(to),
        }
    }
}

impl<E: Describe> fmt::Display for TlvError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

impl<E: fmt::Debug + Describe> core::error::Error for TlvError<E> {}

/// The TLV areas of an image, opened and found consistent with its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlvArea {
    start: u32,
    protected_end: u32,
    end: u32,
}

impl TlvArea {
    /// Finds the areas of the image in `source` whose header is `header`.
    pub fn open<E>(
        source: &mut dyn Source<Error = E>,
        header: &Header,
    ) -> Result<Self, TlvError<E>> {
        let start = header.tlv_offset().map_err(TlvError::Header)?;
        let mut at = start;
        let (mut magic, mut total) = read_pair(source, at)?;
        if magic == TlvKind::Protected.magic() {
            if total != header.protect_tlv_size {
                let header = header.protect_tlv_size;
                return Err(TlvError::ProtectedSize { header, area: total });
            }
            at = header.hashed_len().map_err(TlvError::Header)?;
            (magic, total) = read_pair(source, at)?;
        } else if header.protect_tlv_size != 0 {
            let header = header.protect_tlv_size;
            return Err(TlvError::ProtectedSize { header, area: 0 });
        }
        if magic != TlvKind::Unprotected.magic() {
            return Err(TlvError::Info { offset: at, found: magic });
        }
        let end = at.checked_add(total.into()).ok_or(TlvError::Header(HeaderError::Overflow))?;
        Ok(Self { start, protected_end: at, end })
    }

    /// First offset behind the image.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Where the protected area ends and the unprotected one begins.
    pub fn protected_end(&self) -> u32 {
        self.protected_end
    }

    /// Walks both areas, protected first.
    pub fn iter(&self) -> TlvIter {
        self.walk(self.end, false)
    }

    /// Walks both areas; an entry that begins in the protected area has to end there.
    pub fn iter_bounded(&self) -> TlvIter {
        self.walk(self.end, true)
    }

    /// Walks the protected area alone.
    pub fn iter_protected(&self) -> TlvIter {
        self.walk(self.protected_end, true)
    }

    fn walk(&self, end: u32, bounded: bool) -> TlvIter {
        TlvIter { at: self.start.saturating_add(INFO_SIZE), area: *self, end, bounded }
    }
}

/// A walk over TLVs; call [`TlvIter::next`] with the source until it answers `None` or an error.
#[derive(Clone, Debug)]
pub struct TlvIter {
    at: u32,
    area: TlvArea,
    end: u32,
    bounded: bool,
}

impl TlvIter {
    /// The next entry. An entry that does not fit is an error: the image is damaged, not short.
    pub fn next<E>(
        &mut self,
        source: &mut dyn Source<Error = E>,
    ) -> Result<Option<TlvEntry>, TlvError<E>> {
        let has_protected = self.area.protected_end != self.area.start;
        if has_protected && self.at == self.area.protected_end && self.at < self.end {
            self.at = self.at.saturating_add(INFO_SIZE);
        }
        if self.at >= self.end {
            return Ok(None);
        }
        let protected = has_protected && self.at < self.area.protected_end;
        let limit = match protected && self.bounded {
            true => self.area.protected_end,
            false => self.end,
        };
        let out = TlvError::Bounds { offset: self.at, end: limit };
        let payload = match self.at.checked_add(ENTRY_HEADER) {
            Some(payload) if payload <= limit => payload,
            _ => return Err(out),
        };
        let (kind, len) = read_pair(source, self.at)?;
        match payload.checked_add(len.into()) {
            Some(end) if end <= limit => self.at = end,
            _ => return Err(out),
        }
        let area = if protected { TlvKind::Protected } else { TlvKind::Unprotected };
        Ok(Some(TlvEntry { kind: TlvType(kind), area, offset: payload, len }))
    }

    /// The next entry of type `kind`.
    pub fn find<E>(
        &mut self,
        source: &mut dyn Source<Error = E>,
        kind: TlvType,
    ) -> Result<Option<TlvEntry>, TlvError<E>> {
        while let Some(entry) = self.next(source)? {
            if entry.kind == kind {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

fn read_pair<E>(source: &mut dyn Source<Error = E>, at: u32) -> Result<(u16, u16), TlvError<E>> {
    let mut bytes = [0; 4];
    let (end, slot) = (at.saturating_add(bytes.len() as u32), source.size());
    if end > slot {
        // The source would refuse that, too, and look as if it had failed.
        return Err(TlvError::Header(HeaderError::TooLarge { size: end, slot }));
    }
    source.read(at, &mut bytes).map_err(TlvError::Read)?;
    let [a, b, c, d] = bytes;
    Ok((u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
}

/// The payload of a DEPENDENCY TLV: another image must be there in at least this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Index of the image that is needed.
    pub image: u8,
    /// Lowest version that will do.
    pub version: Version,
}

impl Dependency {
    /// Bytes of the payload: index, three zero bytes, version.
    pub const SIZE: usize = 12;

    /// Reads the 12-byte form.
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [image, _, _, _, version @ ..] = bytes;
        Self { image, version: Version::from_bytes(version) }
    }

    /// The 12-byte form.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut out = [0; Self::SIZE];
        out[0] = self.image;
        out[4..].copy_from_slice(&self.version.to_bytes());
        out
    }
}

/// Writes one TLV area into a buffer.
#[derive(Debug)]
pub struct TlvWriter<'b> {
    buf: &'b mut [u8],
    len: usize,
    kind: TlvKind,
}

impl<'b> TlvWriter<'b> {
    /// An empty area in `buf`; `None` if not even the info fits.
    pub fn new(kind: TlvKind, buf: &'b mut [u8]) -> Option<Self> {
        (buf.len() >= INFO_SIZE as usize).then_some(Self { buf, len: INFO_SIZE as usize, kind })
    }

    /// Appends an entry; `None`, with nothing written, if it does not fit in the buffer or the
    /// area would pass 65535 bytes.
    pub fn push(&mut self, kind: TlvType, payload: &[u8]) -> Option<()> {
        let len = u16::try_from(payload.len()).ok()?;
        let end = self.len.checked_add(ENTRY_HEADER as usize)?.checked_add(payload.len())?;
        u16::try_from(end).ok()?;
        let out = self.buf.get_mut(self.len..end)?;
        let (head, body) = out.split_at_mut_checked(ENTRY_HEADER as usize)?;
        let ([t0, t1], [l0, l1]) = (kind.0.to_le_bytes(), len.to_le_bytes());
        head.copy_from_slice(&[t0, t1, l0, l1]);
        body.copy_from_slice(payload);
        self.len = end;
        Some(())
    }

    /// Writes the info and returns the area's bytes.
    pub fn finish(self) -> &'b [u8] {
        let [m0, m1] = self.kind.magic().to_le_bytes();
        // `push` keeps the length within u16.
        let [l0, l1] = (self.len as u16).to_le_bytes();
        let (area, _) = self.buf.split_at_mut(self.len);
        if let Some(info) = area.first_chunk_mut::<4>() {
            *info = [m0, m1, l0, l1];
        }
        area
    }
}
