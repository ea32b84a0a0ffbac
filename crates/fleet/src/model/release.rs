//! A release: what was admitted.

use serde::{Deserialize, Serialize};

use super::{ArtifactId, ReleaseName};

/// A release of firmware for one board: one image, or several that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its name, which no other release has.
    pub name: ReleaseName,
    /// The version in the header of its first image.
    pub version: String,
    /// The board that it was checked for; `None`: for no particular one.
    pub board: Option<String>,
    /// Its images in the order of their numbers: never none.
    pub images: Vec<Image>,
    /// When it was admitted, in seconds since 1970, UTC.
    pub created: u64,
}

/// An image of a release: a file, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Which of the board's images it is, from 0 on.
    pub number: u8,
    /// The file.
    pub sha256: ArtifactId,
    /// Bytes of the file.
    pub size: u64,
    /// The version in the header: `major.minor.revision+build`.
    pub version: String,
    /// The image hash, in hexadecimal: what devices list an image by.
    pub image_hash: String,
    /// The security counter.
    pub security_counter: Option<u32>,
    /// SHA-256 of the trusted key that has signed it, in hexadecimal. If there is none: the hash of the
    /// key that the image names as its signer's, of several the first.
    pub key_hash: Option<String>,
    /// What is known of its signature.
    pub signature: Signature,
    /// The published key that it is signed with, which was allowed.
    pub sample_key: Option<String>,
    /// Whether the body is encrypted, so that only devices can tell whether it is undamaged.
    pub encrypted: bool,
}

/// What is known of an image's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "key", rename_all = "kebab-case")]
pub enum Signature {
    /// There is none.
    None,
    /// There is one, and nobody is trusted here to check it against.
    Unchecked,
    /// It is right for the trusted key of this name.
    Good(String),
}

impl Release {
    /// Whether `other` is for the same board and has the same files, whenever it was admitted.
    pub fn has_content_of(&self, other: &Self) -> bool {
        let files = |release: &Self| {
            release.images.iter().map(|it| (it.number, it.sha256)).collect::<Vec<_>>()
        };
        self.board == other.board && files(self) == files(other)
    }
}
