//! What goes into an upload and what comes of it: options, progress, outcome, errors.

use core::fmt;
use core::time::Duration;

use super::{Limits, Patience, Refusal};
use crate::{Malformed, Version};

/// How to upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadOptions {
    /// Protocol version to speak.
    pub version: Version,
    /// Sequence number of the first request.
    pub sequence: u8,
    /// Number of the image; `None` leaves it to the server.
    pub image: Option<u32>,
    /// SHA-256 of the whole file. Lets an upload be resumed, and servers check what they stored.
    pub sha256: Option<[u8; 32]>,
    /// Have the server refuse the image unless it is newer than the running one.
    pub upgrade: bool,
    /// Size and number of messages under way. At most
    /// [`Upload::WINDOW_MAX`](super::Upload::WINDOW_MAX) are.
    pub limits: Limits,
    /// Patience with the first chunk.
    pub first: Patience,
    /// Patience with the other chunks. The wait shortens to four round trips once those are known.
    pub chunk: Patience,
    /// How often a refusal, or a hash that does not match, is taken for damage on the link, and what
    /// was sent is sent again. 0 where a message arrives as it was sent or not at all; on a serial
    /// line a byte may become another one.
    pub damage: u32,
    /// Bytes of the messages to go down to if the server does not take the first one as large as
    /// [`limits`](Self::limits) allow: what it says that it buffers is not always what its link puts
    /// together.
    pub safe_frame: Option<usize>,
}

impl UploadOptions {
    /// The usual options for a link with `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            version: Version::V2,
            sequence: 0,
            image: None,
            sha256: None,
            upgrade: false,
            limits,
            first: Patience {
                timeout: Duration::from_secs(30),
                longest: Duration::from_secs(60),
                retries: 2,
            },
            // Half of all packets may be lost, answers included, and no link is given up for that.
            chunk: Patience {
                timeout: Duration::from_millis(2500),
                longest: Duration::from_secs(5),
                retries: 14,
            },
            damage: 0,
            safe_frame: None,
        }
    }

    /// The same with the file's hash. The first chunk is then repeated sooner: a server that
    /// already has it answers a copy at once instead of erasing again.
    pub fn with_sha256(self, sha256: [u8; 32]) -> Self {
        let (timeout, longest) = (Duration::from_secs(4), Duration::from_secs(10));
        let first = Patience { timeout, longest, retries: 10 };
        Self { sha256: Some(sha256), first, ..self }
    }
}

/// How far an upload is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Sent at least once, in this run.
    pub sent: u32,
    /// Acknowledged by the server.
    pub acked: u32,
    /// Of the whole file.
    pub total: u32,
    /// Sent again after a loss.
    pub resent: u64,
    /// Chunks that may be under way now.
    pub window: usize,
    /// Bytes that the server takes in a second, over the last seconds; `None` at the beginning.
    pub rate: Option<u32>,
}

impl Progress {
    /// How long it will take at this rate.
    pub fn left(&self) -> Option<Duration> {
        let rate = self.rate.filter(|rate| *rate > 0)?;
        let left = u64::from(self.total.saturating_sub(self.acked)).saturating_mul(1000);
        Some(Duration::from_millis(left / u64::from(rate)))
    }
}

/// How an upload ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the server read the bytes back and found the announced hash.
    pub verified: bool,
    /// Whether the server had them all before, so that none was written.
    pub already_there: bool,
    /// Bytes that the server had before, from an upload that was broken off.
    pub resumed_at: u32,
}

/// How an upload ended badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UploadError {
    /// The server refused a chunk.
    Refused(Refusal),
    /// No answer, however often the chunk was repeated.
    NoAnswer {
        /// Offset of the chunk.
        off: u32,
        /// How often it was sent.
        sends: u32,
    },
    /// The server stored all bytes, but they do not have the announced hash.
    HashMismatch,
    /// The server wants an offset behind the end of the file.
    PastEnd {
        /// The offset.
        off: u32,
        /// Bytes of the file.
        len: u32,
    },
    /// The server lost the upload again and again.
    Unsettled {
        /// How often.
        times: u32,
    },
    /// Another client took the upload over, and did so again after it was taken back.
    AnotherClient,
    /// Messages are too small for the first chunk.
    FrameTooSmall {
        /// Bytes of image data that the first chunk can carry.
        room: usize,
    },
    /// The file is too large for the protocol, or empty.
    BadLength,
    /// An answer that is not one.
    Malformed(Malformed),
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NoAnswer { off, sends } => write!(
                f,
                "no answer to the chunk at byte {off}, sent {sends} times: check the link, or use \
                 smaller messages"
            ),
            Self::HashMismatch => f.write_str(
                "the bytes that the device stored do not have the file's hash: upload again, and \
                 make sure that no other client uploads at the same time",
            ),
            Self::PastEnd { off, len } => {
                write!(f, "the device asks for byte {off} of a file of {len} bytes")
            }
            Self::Unsettled { times } => write!(
                f,
                "the device lost the upload {times} times: it resets, or another client uploads \
                 at the same time"
            ),
            Self::AnotherClient => f.write_str(
                "another client is uploading to the device: try again when it has ended",
            ),
            Self::FrameTooSmall { room } => write!(
                f,
                "messages are too small: the first chunk could carry {room} bytes, less than an \
                 image header"
            ),
            Self::BadLength => f.write_str("the file is empty or larger than 4 GiB"),
            Self::Malformed(malformed) => {
                write!(f, "the device's answer makes no sense: {malformed}")
            }
        }
    }
}

impl core::error::Error for UploadError {}

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Under way.
    Running,
    /// The server has the whole file.
    Done(Outcome),
    /// Given up.
    Failed(UploadError),
}
