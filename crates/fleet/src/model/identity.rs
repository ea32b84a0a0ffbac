//! What releases and artifacts are called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use updraft_image::{Digest, HashKind};

/// The name of a release: 1 to 64 letters, digits and `.`, `_`, `+`, `-`, beginning with a letter
/// or a digit, so that it can stand in a path or a URL as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseName(String);

/// Why a text is not the name of a release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is none.
    #[error("the name is empty")]
    Empty,
    /// It is too long.
    #[error("the name has {0} characters, and may have {max}", max = ReleaseName::LONGEST)]
    Long(usize),
    /// It begins with something else than a letter or a digit.
    #[error("the name begins with {0:?}")]
    First(char),
    /// Something else stands in it.
    #[error("{0:?} may not stand in a name")]
    Character(char),
}

impl NameError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let longest = ReleaseName::LONGEST;
        format!("up to {longest} letters, digits and . _ + -, such as blinky-1.2.0+4")
    }
}

impl ReleaseName {
    /// Characters of the longest name.
    pub const LONGEST: usize = 64;

    /// The name as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReleaseName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next().ok_or(NameError::Empty)?;
        let stands = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-');
        if let Some(other) = text.chars().find(|c| !stands(c)) {
            return Err(NameError::Character(other));
        }
        // From here on a character is a byte.
        match text.len() {
            len if len > Self::LONGEST => Err(NameError::Long(len)),
            _ if !first.is_ascii_alphanumeric() => Err(NameError::First(first)),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for ReleaseName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ReleaseName> for String {
    fn from(name: ReleaseName) -> Self {
        name.0
    }
}

impl fmt::Display for ReleaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a file is addressed by: the SHA-256 of its bytes. Written as 64 digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactId([u8; 32]);

/// A text is not the address of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256: that is 64 hexadecimal digits in lower case")]
pub struct IdError;

impl ArtifactId {
    /// The address of a file with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut id = [0; 32];
        // A SHA-256 has 32 bytes.
        id.copy_from_slice(Digest::of(HashKind::Sha256, bytes).as_bytes());
        Self(id)
    }
}

impl FromStr for ArtifactId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(IdError),
        };
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| IdError)?;
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(id))
    }
}

impl TryFrom<String> for ArtifactId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ArtifactId> for String {
    fn from(id: ArtifactId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_stand_in_a_url_and_in_a_path() {
        for good in ["a", "1.2.0+4", "blinky-1.2.0", "A_b", &"x".repeat(64)] {
            assert_eq!(good.parse::<ReleaseName>().unwrap().as_str(), good);
        }
        let refused = |text: &str| text.parse::<ReleaseName>().unwrap_err();
        assert_eq!(refused(""), NameError::Empty);
        assert_eq!(refused(&"x".repeat(65)), NameError::Long(65));
        assert_eq!(refused(".."), NameError::First('.'));
        assert_eq!(refused("-x"), NameError::First('-'));
        for (text, found) in [("a/b", '/'), ("a b", ' '), ("é", 'é'), ("a\0", '\0'), ("a%2f", '%')]
        {
            assert_eq!(refused(text), NameError::Character(found));
        }
    }

    #[test]
    fn an_address_is_written_in_one_way() {
        let id = ArtifactId::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
        for other in [&text.to_uppercase(), &text[1..], "", &format!("{text}0")] {
            assert_eq!(other.parse::<ArtifactId>(), Err(IdError));
        }
    }
}
