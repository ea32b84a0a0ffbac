//! Content keys.

use core::fmt;

use zeroize::Zeroize;

use crate::Flags;

/// How long content keys are: a bootloader is built for one length. A build without the feature
/// `enc` knows none: then nothing that takes a content key can ever happen, and none of it is
/// linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyLength {
    /// AES-128: 16 bytes.
    #[cfg(feature = "enc")]
    Aes128,
    /// AES-256: 32 bytes.
    #[cfg(feature = "enc")]
    Aes256,
}

impl KeyLength {
    /// Every length that this build deals with.
    pub const ALL: [Self; if cfg!(feature = "enc") { 2 } else { 0 }] = [
        #[cfg(feature = "enc")]
        Self::Aes128,
        #[cfg(feature = "enc")]
        Self::Aes256,
    ];

    /// Bytes of a key.
    pub const fn size(self) -> usize {
        match self {
            #[cfg(feature = "enc")]
            Self::Aes128 => 16,
            #[cfg(feature = "enc")]
            Self::Aes256 => 32,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "enc")]
            Self::Aes128 => "AES-128",
            #[cfg(feature = "enc")]
            Self::Aes256 => "AES-256",
        }
    }

    /// The header flag of images that are encrypted with such a key.
    pub const fn flag(self) -> Flags {
        match self {
            #[cfg(feature = "enc")]
            Self::Aes128 => Flags::ENCRYPTED_AES128,
            #[cfg(feature = "enc")]
            Self::Aes256 => Flags::ENCRYPTED_AES256,
        }
    }
}

impl fmt::Display for KeyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The key that the body of one image is encrypted with. Wiped when dropped, never printed.
pub struct ContentKey {
    bytes: [u8; 32],
    length: KeyLength,
}

impl ContentKey {
    /// A key of 16 or 32 bytes; `None` for any other length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let length = KeyLength::ALL.into_iter().find(|length| length.size() == bytes.len())?;
        let mut key = Self { bytes: [0; 32], length };
        key.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(key)
    }

    /// The same key once more, to be wiped by itself.
    #[cfg(feature = "enc")]
    pub(super) fn copy(&self) -> Self {
        Self { bytes: self.bytes, length: self.length }
    }

    /// Its length.
    pub fn length(&self) -> KeyLength {
        self.length
    }

    /// Its 16 or 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length.size()).unwrap_or_default()
    }
}

impl Drop for ContentKey {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentKey({})", self.length)
    }
}
