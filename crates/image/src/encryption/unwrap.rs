//! Who unwraps content keys: the seam between the format and a device's private key.

use core::fmt;

use crate::{ContentKey, Describe, KeyLength, Text, TlvType, text};

/// Turns the payload of an encryption TLV into the content key, with a private key that only it
/// knows.
///
/// A chip may implement it with hardware that never gives the private key away; the software
/// implementations are named after the TLVs that they take. A bootloader takes one kind of TLV
/// with content keys of one length.
pub trait KeyUnwrap {
    /// What it takes; `None`: it has no private key, and encrypted images cannot be read.
    fn format(&self) -> Option<WrapFormat>;

    /// The content key in `payload`, the payload of a TLV of type `kind`. Whatever is not exactly
    /// of the one [`KeyUnwrap::format`] is refused, and so is what was altered or made for another
    /// device, before anything is decrypted.
    fn unwrap(&mut self, kind: TlvType, payload: &[u8]) -> Result<ContentKey, UnwrapError>;
}

impl<U: KeyUnwrap + ?Sized> KeyUnwrap for &mut U {
    fn format(&self) -> Option<WrapFormat> {
        (**self).format()
    }

    fn unwrap(&mut self, kind: TlvType, payload: &[u8]) -> Result<ContentKey, UnwrapError> {
        (**self).unwrap(kind, payload)
    }
}

/// For bootloaders without a private key.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrivateKey;

impl KeyUnwrap for NoPrivateKey {
    fn format(&self) -> Option<WrapFormat> {
        None
    }

    fn unwrap(&mut self, _: TlvType, _: &[u8]) -> Result<ContentKey, UnwrapError> {
        Err(UnwrapError::NoPrivateKey)
    }
}

/// How a content key is wrapped: the type of the TLV and the length of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WrapFormat {
    kind: TlvType,
    key: KeyLength,
}

impl WrapFormat {
    /// The longest payload, and the longest field of a trailer that one is saved in.
    pub const LONGEST: usize = if cfg!(feature = "enc-rsa") { 256 } else { 160 };

    /// Content keys of length `key` in TLVs of type `kind`; `None` if that is no encryption TLV, or
    /// one with a payload that this build has no room for: a chip whose hardware decrypts with RSA
    /// asks for the feature `enc-rsa` as well.
    pub const fn new(kind: TlvType, key: KeyLength) -> Option<Self> {
        match kind {
            #[cfg(feature = "enc-rsa")]
            TlvType::ENCRSA2048 => Some(Self { kind, key }),
            TlvType::ENCKW | TlvType::ENCEC256 | TlvType::ENCX25519 | TlvType::ENCX25519_SHA512 => {
                Some(Self { kind, key })
            }
            _ => None,
        }
    }

    /// The type of the TLV.
    pub const fn kind(self) -> TlvType {
        self.kind
    }

    /// The length of the content key.
    pub const fn key(self) -> KeyLength {
        self.key
    }

    /// Bytes of the TLV's payload: there is one length for each type and key length.
    pub const fn payload_len(self) -> usize {
        match self.kind {
            // An RSA block, whatever is in it.
            TlvType::ENCRSA2048 => 256,
            // One block of 8 bytes more than the key.
            TlvType::ENCKW => self.key.size() + 8,
            // Ephemeral public key, tag, wrapped key.
            TlvType::ENCEC256 => 65 + 32 + self.key.size(),
            TlvType::ENCX25519 => 32 + 32 + self.key.size(),
            _ => 32 + 64 + self.key.size(),
        }
    }

    /// Refuses a TLV of another type or length.
    pub fn check(self, kind: TlvType, payload: &[u8]) -> Result<(), UnwrapError> {
        if kind != self.kind {
            return Err(UnwrapError::Type { found: kind, expected: self.kind });
        }
        match (payload.len(), self.payload_len()) {
            (found, expected) if found != expected => Err(UnwrapError::Length { found, expected }),
            _ => Ok(()),
        }
    }
}

/// Why a content key cannot be unwrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnwrapError {
    /// This device has no private key.
    NoPrivateKey,
    /// Wrapped in a way that this device does not use.
    Type {
        /// The TLV that is there.
        found: TlvType,
        /// The TLV that the device takes.
        expected: TlvType,
    },
    /// The TLV's payload has another length than keys of this device's length need.
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes that it has to have.
        expected: usize,
    },
    /// The ephemeral public key is no point that a secret could be agreed on with.
    PublicKey,
    /// The tag is wrong: wrapped for another device's key, or altered.
    Tag,
    /// What was unwrapped has not the length of a content key.
    KeyLength {
        /// Bytes unwrapped.
        found: usize,
    },
}

impl Describe for UnwrapError {
    fn describe(&self, to: &mut Text<'_>) {
        match self {
            Self::NoPrivateKey => to.say("the image is encrypted and there is no private key"),
            // Where no content key is known there is nothing else to say, and no text for it.
            _ if KeyLength::ALL.is_empty() => {}
            Self::Type { found, expected } => {
                to.fill("the content key is in a {} TLV, this device reads {}", &[found, expected])
            }
            Self::Length { found, expected } => {
                to.fill("the encryption TLV has {} bytes instead of {}", &[found, expected]);
            }
            Self::PublicKey => to.say("the encryption TLV's public key is not on the curve"),
            Self::Tag => to.say("the content key was wrapped for another device, or altered"),
            Self::KeyLength { found } => {
                to.fill("{} bytes were unwrapped, which is no content key", &[found]);
            }
        }
    }
}

impl fmt::Display for UnwrapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

impl core::error::Error for UnwrapError {}
