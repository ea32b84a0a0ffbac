//! Image hashes: SHA-256, and with the feature `sha512` SHA-384 and SHA-512.

use core::fmt;

use sha2::Digest as _;

use crate::TlvType;

/// A hash algorithm of the format that this build can compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HashKind {
    /// SHA-256, the default.
    #[default]
    Sha256,
    /// SHA-384, used with P-384 keys.
    #[cfg(feature = "sha512")]
    Sha384,
    /// SHA-512, used with pure Ed25519 and on request.
    #[cfg(feature = "sha512")]
    Sha512,
}

impl HashKind {
    /// Every algorithm that this build can compute.
    pub const ALL: [Self; if cfg!(feature = "sha512") { 3 } else { 1 }] = [
        Self::Sha256,
        #[cfg(feature = "sha512")]
        Self::Sha384,
        #[cfg(feature = "sha512")]
        Self::Sha512,
    ];

    /// Bytes of a digest.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            #[cfg(feature = "sha512")]
            Self::Sha384 => 48,
            #[cfg(feature = "sha512")]
            Self::Sha512 => 64,
        }
    }

    /// The TLV that carries the image hash.
    pub const fn tlv(self) -> TlvType {
        match self {
            Self::Sha256 => TlvType::SHA256,
            #[cfg(feature = "sha512")]
            Self::Sha384 => TlvType::SHA384,
            #[cfg(feature = "sha512")]
            Self::Sha512 => TlvType::SHA512,
        }
    }

    /// The algorithm whose image hash stands in TLVs of `kind`.
    pub fn from_tlv(kind: TlvType) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.tlv() == kind)
    }
}

/// Bytes of the longest digest that this build can compute.
const LONGEST: usize = if cfg!(feature = "sha512") { 64 } else { 32 };

/// A digest of 32, 48 or 64 bytes.
#[derive(Clone, Copy)]
pub struct Digest {
    kind: HashKind,
    bytes: [u8; LONGEST],
}

impl Digest {
    /// Hashes one slice.
    pub fn of(kind: HashKind, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(kind);
        hasher.update(bytes);
        hasher.finish()
    }

    /// A digest computed elsewhere; `None` if `bytes` has not the length of `kind`.
    pub fn from_slice(kind: HashKind, bytes: &[u8]) -> Option<Self> {
        let mut digest = Self { kind, bytes: [0; LONGEST] };
        if bytes.len() != kind.size() {
            return None;
        }
        digest.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(digest)
    }

    /// Which algorithm made it.
    pub fn kind(&self) -> HashKind {
        self.kind
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.kind.size()).unwrap_or_default()
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Digest {}

impl core::hash::Hash for Digest {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A running hash.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(sha2::Sha256),
    /// SHA-384.
    #[cfg(feature = "sha512")]
    Sha384(sha2::Sha384),
    /// SHA-512.
    #[cfg(feature = "sha512")]
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// An empty hash.
    pub fn new(kind: HashKind) -> Self {
        match kind {
            HashKind::Sha256 => Self::Sha256(sha2::Sha256::new()),
            #[cfg(feature = "sha512")]
            HashKind::Sha384 => Self::Sha384(sha2::Sha384::new()),
            #[cfg(feature = "sha512")]
            HashKind::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            #[cfg(feature = "sha512")]
            Self::Sha384(hash) => hash.update(bytes),
            #[cfg(feature = "sha512")]
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of everything taken in.
    pub fn finish(self) -> Digest {
        let mut digest = Digest { kind: HashKind::Sha256, bytes: [0; LONGEST] };
        match self {
            Self::Sha256(hash) => digest.bytes[..32].copy_from_slice(&hash.finalize()),
            #[cfg(feature = "sha512")]
            Self::Sha384(hash) => {
                digest.kind = HashKind::Sha384;
                digest.bytes[..48].copy_from_slice(&hash.finalize());
            }
            #[cfg(feature = "sha512")]
            Self::Sha512(hash) => {
                digest.kind = HashKind::Sha512;
                digest.bytes[..64].copy_from_slice(&hash.finalize());
            }
        }
        digest
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}
