//! Versions as the protocols write them.

use core::fmt;

/// `major.minor.build`, 16 bits each. What MCUboot calls the revision is the build here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major number.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
    /// Build number.
    pub build: u16,
}

impl Version {
    /// A version of three numbers.
    pub const fn new(major: u16, minor: u16, build: u16) -> Self {
        Self { major, minor, build }
    }

    /// Reads exactly three decimal numbers with dots between.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if digits { part.parse().ok() } else { None }
        });
        let version = Self::new(parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_none() { Some(version) } else { None }
    }

    /// The version in one word, as the AWS agent writes it: 8, 8 and 16 bits.
    pub fn word(self) -> u32 {
        u32::from(self.major & 0xff) << 24
            | u32::from(self.minor & 0xff) << 16
            | u32::from(self.build)
    }

    /// The version that a word says.
    pub fn from_word(word: u32) -> Self {
        Self::new((word >> 24) as u16, (word >> 16 & 0xff) as u16, (word & 0xffff) as u16)
    }
}

impl From<updraft_image::Version> for Version {
    /// Leaves out what MCUboot calls the build number.
    fn from(version: updraft_image::Version) -> Self {
        Self::new(version.major.into(), version.minor.into(), version.revision)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)
    }
}
