//! Content keys in a trailer, where a swap finds them again after a power cut.

use core::fmt;

use zeroize::Zeroize;

use crate::{ContentKey, KeyLength, KeyUnwrap, UnwrapError, WrapFormat, WrappedKey, align_up};

/// What a trailer keeps of the two images' content keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrailerKeys {
    /// The keys themselves.
    Plain(KeyLength),
    /// The payloads of their TLVs, unwrapped again after every reset. MCUboot calls this
    /// `MCUBOOT_SWAP_SAVE_ENCTLV`.
    Wrapped(WrapFormat),
}

impl TrailerKeys {
    /// Bytes that are saved of one key.
    pub const fn size(self) -> usize {
        match self {
            Self::Plain(length) => length.size(),
            Self::Wrapped(format) => format.payload_len(),
        }
    }

    /// Bytes of a field in a trailer that is laid out for `max_align`. Fields are at most 256
    /// bytes long.
    pub const fn field_size(self, max_align: u32) -> u32 {
        // No payload is longer than 256 bytes.
        match align_up(self.size() as u32, max_align) {
            Some(size) => size,
            None => self.size() as u32,
        }
    }

    /// What to save of a key that came wrapped.
    pub fn save(self, wrapped: &WrappedKey, key: &ContentKey) -> SavedKey {
        SavedKey::from_prefix(match self {
            Self::Plain(_) => key.as_bytes(),
            Self::Wrapped(_) => wrapped.as_bytes(),
        })
    }

    /// The key that was saved; `unwrap` is asked if it was saved wrapped.
    pub fn restore<U: KeyUnwrap + ?Sized>(
        self,
        saved: &SavedKey,
        unwrap: &mut U,
    ) -> Result<ContentKey, UnwrapError> {
        match self {
            Self::Plain(length) => {
                let found = saved.as_bytes().len();
                ContentKey::from_slice(saved.as_bytes())
                    .filter(|key| key.length() == length)
                    .ok_or(UnwrapError::KeyLength { found })
            }
            Self::Wrapped(format) => unwrap.unwrap(format.kind(), saved.as_bytes()),
        }
    }
}

/// Whose content key a field of the trailer holds. A swap writes both fields into the trailer that
/// it works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeySlot {
    /// That of the image that was in the primary slot when the swap began: key 0, the upper field.
    Primary,
    /// That of the image that was in the secondary slot: key 1, below key 0.
    Secondary,
}

/// The content of one key field of a trailer. Wiped when dropped, never printed.
pub struct SavedKey {
    bytes: [u8; WrapFormat::LONGEST],
    len: usize,
}

impl SavedKey {
    /// The byte that fills a field without a key, and what a key leaves of its field. It is the
    /// same on devices whose erased value is another.
    pub const ABSENT: u8 = 0xff;

    /// A field of `keys` without a key, to be read into.
    pub fn absent(keys: TrailerKeys) -> Self {
        Self { bytes: [Self::ABSENT; WrapFormat::LONGEST], len: keys.size() }
    }

    fn from_prefix(bytes: &[u8]) -> Self {
        let mut saved = Self { bytes: [0; WrapFormat::LONGEST], len: 0 };
        for (to, from) in saved.bytes.iter_mut().zip(bytes) {
            *to = *from;
            saved.len += 1;
        }
        saved
    }

    /// The key, or the payload of its TLV.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The same, to be filled from flash.
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }

    /// Whether there is a key: the field is neither erased, on a device that erases to `erased`,
    /// nor was it written without a key.
    pub fn is_present(&self, erased: u8) -> bool {
        let differs = |from| self.as_bytes().iter().any(|byte| *byte != from);
        differs(erased) && differs(Self::ABSENT)
    }
}

impl Drop for SavedKey {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for SavedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SavedKey({} bytes)", self.len)
    }
}
