//! Public keys as a bootloader embeds them.
//!
//! P-256 and Ed25519 keys are embedded as SubjectPublicKeyInfo DER: 91 bytes with an uncompressed
//! point, and 44 bytes. The same bytes are the payload of a PUBKEY TLV and the input of KEYHASH.

use core::fmt;

use crate::{Digest, HashKind, TlvType};

const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A signature scheme of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// ECDSA over P-256 with SHA-256.
    EcdsaP256,
    /// Ed25519, over the image hash or (pure) over the image.
    Ed25519,
}

impl Scheme {
    /// The TLV that carries its signatures.
    pub const fn tlv(self) -> TlvType {
        match self {
            Self::EcdsaP256 => TlvType::ECDSA_SIG,
            Self::Ed25519 => TlvType::ED25519,
        }
    }

    /// The name in board files and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Ed25519 => "ed25519",
        }
    }

    /// What sources with embedded keys call a key of this scheme, as imgtool does.
    pub const fn source_name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa",
            Self::Ed25519 => "ed25519",
        }
    }

    /// Whether it signs images hashed with `hash`: the hash, or (`pure`) the image itself. A pure
    /// signature goes with SHA-512, which is what Ed25519 itself is built on.
    pub const fn allows(self, hash: HashKind, pure: bool) -> bool {
        match (self, pure) {
            (Self::EcdsaP256, false) => matches!(hash, HashKind::Sha256),
            (Self::EcdsaP256, true) => false,
            (Self::Ed25519, false) => matches!(hash, HashKind::Sha256 | HashKind::Sha512),
            (Self::Ed25519, true) => matches!(hash, HashKind::Sha512),
        }
    }

    /// The hash that it goes with unless another one is asked for; `None` if it cannot sign the
    /// image itself.
    pub fn usual_hash(self, pure: bool) -> Option<HashKind> {
        HashKind::ALL.into_iter().find(|hash| self.allows(*hash, pure))
    }

    /// Whether a signature TLV of `len` bytes can be one of this scheme's.
    pub const fn accepts_len(self, len: usize) -> bool {
        match self {
            Self::EcdsaP256 => len <= 128,
            Self::Ed25519 => len == 64,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// A public key in its embedded encoding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey<'a> {
    scheme: Scheme,
    der: &'a [u8],
}

/// The bytes are no embedded key of a known type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError {
    /// How many bytes were given.
    pub len: usize,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes are no P-256 (91 bytes) or Ed25519 (44 bytes) SubjectPublicKeyInfo",
            self.len
        )
    }
}

impl core::error::Error for KeyError {}

impl<'a> PublicKey<'a> {
    /// Recognises SubjectPublicKeyInfo DER by its fixed prefix. The point itself is checked when
    /// a signature is.
    pub fn from_der(der: &'a [u8]) -> Result<Self, KeyError> {
        let scheme = match der.len() {
            91 if der.starts_with(&P256_PREFIX) => Scheme::EcdsaP256,
            44 if der.starts_with(&ED25519_PREFIX) => Scheme::Ed25519,
            len => return Err(KeyError { len }),
        };
        Ok(Self { scheme, der })
    }

    /// What it verifies.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The embedded encoding.
    pub fn as_der(&self) -> &'a [u8] {
        self.der
    }

    /// The key without its DER wrapping: a 65-byte uncompressed point, or 32 bytes.
    pub fn raw(&self) -> &'a [u8] {
        let prefix = match self.scheme {
            Scheme::EcdsaP256 => P256_PREFIX.len(),
            Scheme::Ed25519 => ED25519_PREFIX.len(),
        };
        self.der.get(prefix..).unwrap_or_default()
    }

    /// The KEYHASH payload for images hashed with `kind`.
    pub fn hash(&self, kind: HashKind) -> Digest {
        Digest::of(kind, self.der)
    }
}

impl fmt::Debug for PublicKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.scheme, self.hash(HashKind::Sha256))
    }
}
