//! Public keys as a bootloader embeds them.
//!
//! P-256, P-384 and Ed25519 keys are embedded as SubjectPublicKeyInfo DER: 91 and 120 bytes with an
//! uncompressed point, and 44 bytes. RSA keys are embedded as RSAPublicKey DER (PKCS#1): 270 and
//! 398 bytes with the exponent 65537. The same bytes are the payload of a PUBKEY TLV and the input
//! of KEYHASH.

use core::fmt;

use crate::{Digest, HashKind, TlvType};

const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P384_PREFIX: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
const ED25519_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const RSA2048_PREFIX: [u8; 9] = [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
const RSA3072_PREFIX: [u8; 9] = [0x30, 0x82, 0x01, 0x8a, 0x02, 0x82, 0x01, 0x81, 0x00];
/// The exponent, which all keys of the format have.
const RSA_65537: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];

/// A signature scheme of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// RSA-PSS with 2048 bits and SHA-256.
    Rsa2048,
    /// RSA-PSS with 3072 bits and SHA-256.
    Rsa3072,
    /// ECDSA over P-256 with SHA-256.
    EcdsaP256,
    /// ECDSA over P-384 with SHA-384.
    EcdsaP384,
    /// Ed25519, over the image hash or (pure) over the image.
    Ed25519,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 5] =
        [Self::Rsa2048, Self::Rsa3072, Self::EcdsaP256, Self::EcdsaP384, Self::Ed25519];

    /// The TLV that carries its signatures.
    pub const fn tlv(self) -> TlvType {
        match self {
            Self::Rsa2048 => TlvType::RSA2048,
            Self::Rsa3072 => TlvType::RSA3072,
            Self::EcdsaP256 | Self::EcdsaP384 => TlvType::ECDSA_SIG,
            Self::Ed25519 => TlvType::ED25519,
        }
    }

    /// The name in board files and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Ed25519 => "ed25519",
        }
    }

    /// What sources with embedded keys call a key of this scheme, as imgtool does.
    pub const fn source_name(self) -> &'static str {
        match self {
            Self::Rsa2048 | Self::Rsa3072 => "rsa",
            Self::EcdsaP256 => "ecdsa",
            Self::EcdsaP384 => "ecdsap384",
            Self::Ed25519 => "ed25519",
        }
    }

    /// Whether it signs images hashed with `hash`: the hash, or (`pure`) the image itself. A pure
    /// signature goes with SHA-512, which is what Ed25519 itself is built on.
    pub const fn allows(self, hash: HashKind, pure: bool) -> bool {
        match (self, pure) {
            (Self::Rsa2048 | Self::Rsa3072 | Self::EcdsaP256, false) => {
                matches!(hash, HashKind::Sha256)
            }
            #[cfg(feature = "sha512")]
            (Self::EcdsaP384, false) => matches!(hash, HashKind::Sha384),
            #[cfg(feature = "sha512")]
            (Self::Ed25519, true) => matches!(hash, HashKind::Sha512),
            #[cfg(feature = "sha512")]
            (Self::Ed25519, false) => matches!(hash, HashKind::Sha256 | HashKind::Sha512),
            #[cfg(not(feature = "sha512"))]
            (Self::Ed25519, false) => matches!(hash, HashKind::Sha256),
            _ => false,
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
            Self::Rsa2048 => len == 256,
            Self::Rsa3072 => len == 384,
            Self::EcdsaP256 | Self::EcdsaP384 => len <= 128,
            Self::Ed25519 => len == 64,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa3072 => "RSA-3072",
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
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
            "{} bytes are no SubjectPublicKeyInfo of P-256 (91 bytes), P-384 (120) or Ed25519 (44), \
             and no RSAPublicKey of 2048 bits (270) or 3072 (398) with the exponent 65537",
            self.len
        )
    }
}

impl core::error::Error for KeyError {}

impl<'a> PublicKey<'a> {
    /// Recognises the DER by its fixed beginning and, of RSA, its end. The point or the modulus
    /// itself is checked when a signature is.
    ///
    /// A board does it while it is compiled, so that this is not linked, nor any other scheme.
    pub const fn from_der(der: &'a [u8]) -> Result<Self, KeyError> {
        let scheme = match der.len() {
            270 if starts_with(der, &RSA2048_PREFIX) && has_exponent(der) => Scheme::Rsa2048,
            398 if starts_with(der, &RSA3072_PREFIX) && has_exponent(der) => Scheme::Rsa3072,
            91 if starts_with(der, &P256_PREFIX) => Scheme::EcdsaP256,
            120 if starts_with(der, &P384_PREFIX) => Scheme::EcdsaP384,
            44 if starts_with(der, &ED25519_PREFIX) => Scheme::Ed25519,
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

    /// The key without its DER wrapping: an uncompressed point of 65 or 97 bytes, 32 bytes, or the
    /// modulus of 256 or 384 bytes.
    pub fn raw(&self) -> &'a [u8] {
        let (prefix, suffix) = match self.scheme {
            Scheme::Rsa2048 => (RSA2048_PREFIX.len(), RSA_65537.len()),
            Scheme::Rsa3072 => (RSA3072_PREFIX.len(), RSA_65537.len()),
            Scheme::EcdsaP256 => (P256_PREFIX.len(), 0),
            Scheme::EcdsaP384 => (P384_PREFIX.len(), 0),
            Scheme::Ed25519 => (ED25519_PREFIX.len(), 0),
        };
        self.der.get(prefix..self.der.len().saturating_sub(suffix)).unwrap_or_default()
    }

    /// The KEYHASH payload for images hashed with `kind`.
    pub fn hash(&self, kind: HashKind) -> Digest {
        Digest::of(kind, self.der)
    }
}

/// [`slice::starts_with`] while compiling.
const fn starts_with(mut bytes: &[u8], mut beginning: &[u8]) -> bool {
    while let Some((expected, more)) = beginning.split_first() {
        match bytes.split_first() {
            Some((found, rest)) if *found == *expected => (bytes, beginning) = (rest, more),
            _ => return false,
        }
    }
    true
}

const fn has_exponent(der: &[u8]) -> bool {
    match der.last_chunk::<{ RSA_65537.len() }>() {
        Some(end) => starts_with(end, &RSA_65537),
        None => false,
    }
}

impl fmt::Debug for PublicKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.scheme, self.hash(HashKind::Sha256))
    }
}
