//! Image versions: `major.minor.revision+build`, 8 bytes in the header.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use crate::{Describe, Text, text};

/// A firmware version as the image header carries it (8 bytes, little-endian).
///
/// `Ord` compares all four fields. A bootloader compares without the build number unless it was
/// configured otherwise: [`Version::cmp_ignoring_build`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major number.
    pub major: u8,
    /// Minor number.
    pub minor: u8,
    /// Revision.
    pub revision: u16,
    /// Build number.
    pub build: u32,
}

impl Version {
    /// Bytes that a version takes in a header or a dependency TLV.
    pub const SIZE: usize = 8;

    /// A version from its four fields.
    pub const fn new(major: u8, minor: u8, revision: u16, build: u32) -> Self {
        Self { major, minor, revision, build }
    }

    /// Reads the 8-byte form.
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let [major, minor, r0, r1, b0, b1, b2, b3] = bytes;
        Self {
            major,
            minor,
            revision: u16::from_le_bytes([r0, r1]),
            build: u32::from_le_bytes([b0, b1, b2, b3]),
        }
    }

    /// The 8-byte form.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let [r0, r1] = self.revision.to_le_bytes();
        let [b0, b1, b2, b3] = self.build.to_le_bytes();
        [self.major, self.minor, r0, r1, b0, b1, b2, b3]
    }

    /// Orders by major, minor and revision only, as bootloaders do by default.
    pub fn cmp_ignoring_build(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.revision).cmp(&(other.major, other.minor, other.revision))
    }
}

/// `1.2.3+4`, always with the build number, as imgtool prints it.
impl Describe for Version {
    fn describe(&self, to: &mut Text<'_>) {
        let Self { major, minor, revision, build } = self;
        to.fill("{}.{}.{}+{}", &[major, minor, revision, build]);
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

/// Why a text is not a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseVersionError {
    /// The text is not `major[.minor[.revision]][+build]` in decimal without leading zeros.
    Form,
    /// A number is larger than its field: 255 for major and minor, 65535 for the revision,
    /// 4294967295 for the build number.
    Range,
}

impl fmt::Display for ParseVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => {
                "a version is major[.minor[.revision]][+build], in decimal without leading zeros"
            }
            Self::Range => "a version's parts end at 255.255.65535+4294967295",
        })
    }
}

impl core::error::Error for ParseVersionError {}

impl FromStr for Version {
    type Err = ParseVersionError;

    /// Reads `1`, `1.2`, `1.2.3` or `1.2.3+4`; what is missing counts as 0 (imgtool's rule).
    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        fn number<T: TryFrom<u64>>(text: &str) -> Result<T, ParseVersionError> {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            if text.is_empty() || !digits || (text.len() > 1 && text.starts_with('0')) {
                return Err(ParseVersionError::Form);
            }
            let value: u64 = text.parse().map_err(|_| ParseVersionError::Range)?;
            T::try_from(value).map_err(|_| ParseVersionError::Range)
        }
        let (numbers, build) = match text.split_once('+') {
            Some((numbers, build)) => (numbers, number(build)?),
            None => (text, 0),
        };
        let mut parts = numbers.split('.');
        let version = Self {
            major: number(parts.next().unwrap_or_default())?,
            minor: parts.next().map_or(Ok(0), number)?,
            revision: parts.next().map_or(Ok(0), number)?,
            build,
        };
        match parts.next() {
            None => Ok(version),
            Some(_) => Err(ParseVersionError::Form),
        }
    }
}
