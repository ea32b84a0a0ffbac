//! The checksums and hashes that the file group knows: computed alike on both sides.

use updraft_image::{Digest, HashKind, Hasher};

/// A kind of checksum or hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileHash {
    /// CRC-32 (IEEE 802.3): finds damage.
    Crc32,
    /// SHA-256: finds any change.
    Sha256,
}

impl FileHash {
    /// Every kind; the first is the default.
    pub const ALL: [Self; 2] = [Self::Crc32, Self::Sha256];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Sha256 => "sha256",
        }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A checksum or hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileDigest {
    /// CRC-32.
    Crc32(u32),
    /// SHA-256.
    Sha256(Digest),
}

impl FileDigest {
    /// The checksum or hash of one slice.
    pub fn of(kind: FileHash, bytes: &[u8]) -> Self {
        let mut hasher = FileHasher::new(kind);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// A checksum or hash under way.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is no allocator to box the larger one with")]
pub enum FileHasher {
    /// CRC-32, inverted.
    Crc32(u32),
    /// SHA-256.
    Sha256(Hasher),
}

impl FileHasher {
    /// Of nothing yet.
    pub fn new(kind: FileHash) -> Self {
        match kind {
            FileHash::Crc32 => Self::Crc32(u32::MAX),
            FileHash::Sha256 => Self::Sha256(Hasher::new(HashKind::Sha256)),
        }
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(crc) => *crc = bytes.iter().fold(*crc, |crc, byte| step(crc, *byte)),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// That of everything taken in.
    pub fn finish(self) -> FileDigest {
        match self {
            Self::Crc32(crc) => FileDigest::Crc32(!crc),
            Self::Sha256(hasher) => FileDigest::Sha256(hasher.finish()),
        }
    }
}

/// One byte, half a byte at a time: a table for whole bytes would take 1 KiB of flash.
fn step(crc: u32, byte: u8) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut at = 0;
        while at < 16 {
            let (mut crc, mut bit) = (at as u32, 0);
            while bit < 4 {
                crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
                bit += 1;
            }
            table[at] = crc;
            at += 1;
        }
        table
    };
    let half = |crc: u32| (crc >> 4) ^ TABLE[(crc & 15) as usize];
    half(half(crc ^ u32::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::{FileDigest, FileHash};

    #[test]
    fn crc_32_has_its_check_value() {
        assert_eq!(FileDigest::of(FileHash::Crc32, b"123456789"), FileDigest::Crc32(0xcbf4_3926));
        assert_eq!(FileDigest::of(FileHash::Crc32, b""), FileDigest::Crc32(0));
    }
}
