//! The encryption TLV of an image.

use crate::{
    ContentKey, Flags, Header, KeyUnwrap, Refusal, Source, TlvArea, TlvType, UnwrapError,
    WrapFormat,
};

/// A content key as an image carries it: the payload of its encryption TLV.
#[derive(Clone)]
pub struct WrappedKey {
    kind: TlvType,
    bytes: [u8; WrapFormat::LONGEST],
    len: usize,
}

impl WrappedKey {
    /// The payload `bytes` of a TLV of type `kind`; `None` if no encryption TLV is as long.
    pub fn from_slice(kind: TlvType, bytes: &[u8]) -> Option<Self> {
        let mut wrapped = Self { kind, bytes: [0; WrapFormat::LONGEST], len: bytes.len() };
        wrapped.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(wrapped)
    }

    /// Reads the first encryption TLV of the image in `source` that is of `format`; `None` if the
    /// image is not encrypted.
    ///
    /// This happens before the image is validated, so that everything read here may be forged: the
    /// sizes are checked again, and a TLV is believed no further than [`KeyUnwrap`] can tell.
    pub fn find<E>(
        source: &mut dyn Source<Error = E>,
        header: &Header,
        format: Option<WrapFormat>,
    ) -> Result<Option<Self>, Refusal<E>> {
        if !header.flags.intersects(Flags::ENCRYPTED) {
            return Ok(None);
        }
        let format = format.ok_or(Refusal::ContentKey(UnwrapError::NoPrivateKey))?;
        let slot = source.size();
        header.check(slot, header.flags).map_err(Refusal::Header)?;
        let area = TlvArea::open(source, header)?;
        if area.end() > slot {
            return Err(Refusal::TooLarge { size: area.end(), max: slot });
        }
        let expected = format.kind();
        let mut other = None;
        let mut tlvs = area.iter();
        while let Some(entry) = tlvs.next(source)? {
            if entry.kind != expected {
                other = other.or(entry.kind.is_encryption().then_some(entry.kind));
                continue;
            }
            if usize::from(entry.len) != format.payload_len() {
                return Err(Refusal::TlvLength { entry });
            }
            let mut wrapped =
                Self { kind: expected, bytes: [0; WrapFormat::LONGEST], len: entry.len.into() };
            entry.payload(source, &mut wrapped.bytes).map_err(Refusal::Read)?;
            return Ok(Some(wrapped));
        }
        Err(match other {
            Some(found) => Refusal::ContentKey(UnwrapError::Type { found, expected }),
            None => Refusal::NoContentKey { expected },
        })
    }

    /// The type of its TLV.
    pub fn kind(&self) -> TlvType {
        self.kind
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The content key in it.
    pub fn unwrap<U: KeyUnwrap + ?Sized>(&self, unwrap: &mut U) -> Result<ContentKey, UnwrapError> {
        let key = unwrap.unwrap(self.kind, self.as_bytes());
        super::wipe_stack();
        key
    }
}

impl core::fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "WrappedKey({}, {} bytes)", self.kind, self.len)
    }
}
