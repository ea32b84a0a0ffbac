//! Whole files to and from a device: piece by piece, resumed where an earlier transfer broke off,
//! and checked by a hash that the device computes.
//!
//! A request is repeated with the same sequence number until an answer comes. Pieces of a download
//! are asked for ahead; an upload goes piece by piece, as a server appends them. Where the device
//! knows SHA-256 that is what is compared, else CRC-32, and where it knows neither the outcome says
//! that nothing was checked.

mod download;
mod upload;

use core::fmt;
use core::time::Duration;

pub use download::FileDownload;
pub use upload::FileUpload;

use super::{Answer, AnswerError, BufferTooSmall, Code, Limits, Patience, Refusal, Requests};
use crate::{FileError, FileHash, Malformed, Op, Rc, Version, group};

/// How to transfer a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// Protocol version to speak.
    pub version: Version,
    /// Sequence number of the first request.
    pub sequence: u8,
    /// Size of messages, and how many may be under way in a download.
    pub limits: Limits,
    /// Patience with every request.
    pub patience: Patience,
    /// Whether to go on where the device's file (or, in a download, one's own) ends, if it is a
    /// beginning of the whole.
    pub resume: bool,
    /// Whether to have the device compute a hash in the end.
    pub verify: bool,
}

impl FileOptions {
    /// The usual options for a link with `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            version: Version::V2,
            sequence: 0,
            limits,
            patience: Patience {
                timeout: Duration::from_millis(2500),
                longest: Duration::from_secs(10),
                retries: 5,
            },
            resume: true,
            verify: true,
        }
    }
}

/// How far a transfer is, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileProgress {
    /// There, on the side that receives.
    pub done: u32,
    /// Of the whole file; `None` before the device has told.
    pub total: Option<u32>,
}

/// How a transfer ended well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOutcome {
    /// Bytes of the file.
    pub len: u32,
    /// Bytes that were there before.
    pub resumed_at: u32,
    /// The kind of hash that both sides agreed in; `None` if the device computes none, or was not
    /// asked.
    pub verified: Option<FileHash>,
}

/// How a transfer ended badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileTransferError {
    /// The device refused.
    Refused(Refusal),
    /// No answer, however often the request was repeated.
    NoAnswer {
        /// Offset in the file.
        off: u32,
        /// How often the request was sent.
        sends: u32,
    },
    /// Every byte went over, but the hashes differ.
    HashMismatch,
    /// The device is at an offset where nothing can be.
    BadOffset {
        /// The offset.
        off: u32,
        /// Bytes of the file.
        len: u32,
    },
    /// The file on the device changed under way, again and again.
    Unsettled {
        /// How often.
        times: u32,
    },
    /// Messages are too small to carry anything beside the name.
    FrameTooSmall,
    /// The file is too large for the protocol.
    BadLength,
    /// An answer that is not one.
    Malformed(Malformed),
}

impl fmt::Display for FileTransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::NoAnswer { off, sends } => {
                write!(f, "no answer at byte {off} of the file ({sends} requests sent)")
            }
            Self::HashMismatch => f.write_str(
                "every byte was transferred, but the device's file has another hash: somebody \
                 else wrote to it, or its storage is damaged; transfer it again",
            ),
            Self::BadOffset { off, len } => {
                write!(f, "the device is at byte {off} of a file of {len} bytes")
            }
            Self::Unsettled { times } => write!(
                f,
                "the file on the device changed {times} times under way: it resets, or another \
                 client writes to the file"
            ),
            Self::FrameTooSmall => f.write_str(
                "messages are too small to carry the name of the file and data; use a shorter name",
            ),
            Self::BadLength => f.write_str("the file is larger than 4 GiB"),
            Self::Malformed(malformed) => {
                write!(f, "the device's answer makes no sense: {malformed}")
            }
        }
    }
}

impl core::error::Error for FileTransferError {}

/// Where a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileStatus {
    /// Under way.
    Running,
    /// The file is there.
    Done(FileOutcome),
    /// Given up.
    Failed(FileTransferError),
}

/// One request after another, each with its repetitions.
#[derive(Clone, Copy, Debug)]
struct Turn {
    requests: Requests,
    patience: Patience,
    sends: u32,
    due: Duration,
    /// The last refusal that only asked for another try.
    busy: Option<Refusal>,
}

/// What an answer is, before its content is looked at.
enum Heard<'p> {
    /// Not for us.
    Stray,
    /// The device is busy; the request will be repeated.
    Later,
    /// The answer.
    Answer(Answer<'p>),
}

impl Turn {
    fn new(options: &FileOptions) -> Self {
        let requests = Requests { version: options.version, sequence: options.sequence };
        Self { requests, patience: options.patience, sends: 0, due: Duration::ZERO, busy: None }
    }

    /// Whether the request is to be sent now, or again; the error if it was once too often.
    fn is_due(&self, now: Duration, off: u32) -> Result<bool, FileTransferError> {
        if self.sends > 0 && now < self.due {
            return Ok(false);
        }
        if self.sends > self.patience.retries {
            let silence = FileTransferError::NoAnswer { off, sends: self.sends };
            return Err(self.busy.map_or(silence, FileTransferError::Refused));
        }
        Ok(true)
    }

    /// Builds the request; its copies have the same sequence number.
    fn send(
        &mut self,
        now: Duration,
        build: impl FnOnce(&mut Requests) -> Result<usize, BufferTooSmall>,
    ) -> Result<usize, FileTransferError> {
        let mut requests = self.requests;
        let len = build(&mut requests).map_err(|_| FileTransferError::FrameTooSmall)?;
        self.sends += 1;
        self.due = now.saturating_add(self.patience.wait(self.sends));
        Ok(len)
    }

    /// Whether a packet answers the request under way, a command `id` of the file group.
    fn hear<'p>(&mut self, packet: &'p [u8], (op, id): (Op, u8)) -> Heard<'p> {
        let Some(answer) = Answer::parse(packet) else { return Heard::Stray };
        let header = answer.header;
        let expected = (op.response(), group::FILES, id, self.requests.sequence);
        let found = (header.op, header.group, header.id, header.sequence);
        if self.sends == 0 || found != expected {
            return Heard::Stray;
        }
        match answer.check() {
            Err(AnswerError::Refused(refusal))
                if matches!(refusal.code, Code::Generic(Rc::BUSY | Rc::NO_MEMORY)) =>
            {
                self.busy = Some(refusal);
                Heard::Later
            }
            _ => Heard::Answer(answer),
        }
    }

    /// On to the next request.
    fn next(&mut self) {
        self.requests.sequence = self.requests.sequence.wrapping_add(1);
        (self.sends, self.due, self.busy) = (0, Duration::ZERO, None);
    }
}

/// The kind to ask for when a hash of `kind` was refused; `None` if the server computes none. Other
/// refusals tell that something is wrong with the file.
fn next_hash(kind: FileHash, error: AnswerError) -> Result<Option<FileHash>, FileTransferError> {
    let refusal = match error {
        AnswerError::Refused(refusal) => refusal,
        AnswerError::Malformed(malformed) => return Err(FileTransferError::Malformed(malformed)),
    };
    // Version 1 tells "invalid" of a kind that is not known.
    let unknown = match refusal.code {
        Code::Group { rc, .. } => FileError::from_rc(rc) == Some(FileError::HashNotFound),
        Code::Generic(rc) => rc == Rc::INVALID,
    };
    if !unknown && !refusal.is_unsupported() {
        return Err(FileTransferError::Refused(refusal));
    }
    Ok((unknown && kind == FileHash::Sha256).then_some(FileHash::Crc32))
}

impl From<AnswerError> for FileTransferError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Refused(refusal) => Self::Refused(refusal),
            AnswerError::Malformed(malformed) => Self::Malformed(malformed),
        }
    }
}
