//! Bearer tokens: who may ask a server for what.
//!
//! A token is 32 random bytes, so that nobody finds it by trying, and its SHA-256 is kept in its
//! place: whoever reads the database learns no token.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use updraft_image::{Digest, HashKind};

/// What every token begins with, so that one is known for what it is wherever it turns up.
const PREFIX: &str = "updraft_";

/// A token, which is shown once. Its `Debug` does not tell it.
pub struct Token(String);

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub(crate) [u8; 32]);

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// List releases, download files.
    Read,
    /// Add and remove releases besides.
    Write,
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Who or what it was given to.
    pub name: String,
    /// Its hash.
    pub hash: TokenHash,
    /// What it is good for.
    pub access: Access,
    /// When it was made, in seconds since 1970, UTC.
    pub created: u64,
}

impl Token {
    /// A new one.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("{PREFIX}{digits}")))
    }

    /// The token, for the one who is to have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept in its place.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl TokenHash {
    /// The hash of what somebody presents as a token.
    pub fn of(presented: &str) -> Self {
        let mut hash = [0; 32];
        // A SHA-256 has 32 bytes.
        hash.copy_from_slice(Digest::of(HashKind::Sha256, presented.as_bytes()).as_bytes());
        Self(hash)
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}…", self.0[0], self.0[1])
    }
}

impl Access {
    /// The name in the database and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Not the name of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither read nor write")]
pub struct AccessError;

impl FromStr for Access {
    type Err = AccessError;

    fn from_str(text: &str) -> Result<Self, AccessError> {
        [Self::Read, Self::Write].into_iter().find(|it| it.name() == text).ok_or(AccessError)
    }
}
