//! Why a release is not admitted, and what to do about it.

use updraft_image::{HeaderError, Scheme};
use updraft_sign::KnownKey;

/// A release that is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// The image that it is about; `None`: about the release as a whole.
    pub image: Option<u8>,
    /// Why.
    pub reason: Reason,
}

/// Why a release is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// There is no image in it.
    #[error("there is no image in it")]
    NoImage,
    /// Two images have the same number.
    #[error("there are two images with the number {0}")]
    Twice(u8),
    /// The server does not know the board.
    #[error("no board is called {name:?} here")]
    UnknownBoard {
        /// What it was called.
        name: String,
        /// What it may have been meant to be.
        hint: String,
    },
    /// The board has no image of that number.
    #[error("{board} has {count} images, counted from 0")]
    NoSuchImage {
        /// The board.
        board: String,
        /// How many it has.
        count: u8,
    },
    /// The file is no image.
    #[error("no MCUboot image: {0}")]
    NotAnImage(HeaderError),
    /// The file ends before the image does.
    #[error("the file ends {missing} bytes before the image does")]
    CutOff {
        /// How many bytes are missing.
        missing: u64,
    },
    /// A published key has signed it.
    #[error(
        "it is signed with {}, of which everybody has the private half (published by {})",
        key.name, key.origin
    )]
    SampleKey {
        /// The key.
        key: &'static KnownKey,
        /// Whether the server allows such keys.
        server: bool,
        /// Whether the request does.
        request: bool,
    },
    /// It was admitted when nobody had to be trusted, or somebody else.
    #[error("none of the keys that are trusted now has signed it")]
    NotTrusted,
    /// There is a signature, and no key is named for it.
    #[error("it is signed, and does not say with which key")]
    NoKeyNamed,
    /// The board's bootloader asks for a signature that is not there.
    #[error("{board} boots images signed with {} only, and it has no such signature", scheme.name())]
    NotSigned {
        /// The board.
        board: String,
        /// What its bootloader checks.
        scheme: Scheme,
    },
    /// It is encrypted, so that only its signature can be checked, and nobody is trusted.
    #[error("it is encrypted: its hash is that of what only devices can read")]
    Sealed,
    /// It is marked as encrypted, and no device could take a key from it.
    #[error("it is marked as encrypted, and has no TLV with the content key")]
    NoContentKey,
    /// A bootloader would refuse it.
    #[error("bootloaders refuse it: {0}")]
    Invalid(String),
    /// It is valid, and does not suit the board.
    #[error("{board} cannot run it: {reason}")]
    Unsuited {
        /// The board.
        board: String,
        /// Why.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// It decompresses to something that is refused.
    #[error("what it decompresses to is refused: {0}")]
    Uncompressed(String),
}

impl Reason {
    /// A word for programs, which stays the same.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoImage => "no-image",
            Self::Twice(_) => "image-twice",
            Self::UnknownBoard { .. } => "unknown-board",
            Self::NoSuchImage { .. } => "no-such-image",
            Self::NotAnImage(_) => "not-an-image",
            Self::CutOff { .. } => "cut-off",
            Self::SampleKey { .. } => "sample-key",
            Self::NotTrusted => "not-trusted",
            Self::NoKeyNamed => "no-key-named",
            Self::NotSigned { .. } => "not-signed",
            Self::Sealed => "sealed",
            Self::NoContentKey => "no-content-key",
            Self::Invalid(_) => "invalid-image",
            Self::Unsuited { .. } => "unsuited",
            Self::Uncompressed(_) => "invalid-uncompressed",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        let fixed = match self {
            Self::UnknownBoard { hint, .. } | Self::Unsuited { hint, .. } => return hint.clone(),
            Self::SampleKey { server, request, .. } => return own_key(*server, *request),
            Self::NoImage => "send at least one image, as `updraft image sign` makes it",
            Self::Twice(_) => "each of a board's images has a number of its own",
            Self::NoSuchImage { .. } => "is it for another board?",
            Self::NotAnImage(_) => "`updraft image sign` makes an image of a build",
            Self::CutOff { .. } => "it was cut off on its way: fetch or build it again",
            Self::NotTrusted => {
                "sign and add it again, or start the server with the key that has signed it, --trust \
                 KEY"
            }
            Self::NoKeyNamed => {
                "sign it with a KEYHASH or PUBKEY TLV, as `updraft image sign` and imgtool do"
            }
            Self::NotSigned { .. } => "sign it: updraft image sign --board BOARD -k KEY",
            Self::Sealed => {
                "start the server with the key that signs, --trust KEY, so that at least the \
                 signature is checked"
            }
            Self::NoContentKey | Self::Invalid(_) | Self::Uncompressed(_) => {
                "`updraft image verify` explains an image; fetch or build it again"
            }
        };
        fixed.into()
    }
}

/// What to do about an image that a published key has signed, when the server and the request do
/// or do not allow that.
fn own_key(server: bool, request: bool) -> String {
    let allow = match (server, request) {
        (false, true) => "this server takes none: it runs without --allow-sample-key",
        (true, false) => "to take it all the same, for a test, ask for it: --allow-sample-key",
        _ => "a server for tests takes it if it and the request have --allow-sample-key",
    };
    format!("`updraft key new` makes a key of your own, sign with that; {allow}")
}
