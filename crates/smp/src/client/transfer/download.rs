//! A file from the device.
//!
//! ```text
//!  something is here already       it is the beginning: go on behind it
//! Close ─▶ Length ─▶ Beginning ──────────────────┐
//!             │ shorter   │ another              ▼        all there
//!             └───────────┴────────────────▶ Reading ─────────▶ Whole ─▶ over
//! ```
//! The device decides how long a piece is.

use core::time::Duration;

use super::{
    FileOptions, FileOutcome, FileProgress, FileStatus, FileTransferError, Heard, Turn, next_hash,
};
use crate::client::{Answer, FilePiece, Part};
use crate::{FileDigest, FileHash, FileHasher, Malformed, Op, files};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Close,
    Length,
    Beginning { kind: FileHash },
    Reading,
    Whole { kind: FileHash },
    Over(Result<FileOutcome, FileTransferError>),
}

impl Phase {
    fn command(self) -> Option<(Op, u8)> {
        Some(match self {
            Self::Close => (Op::Write, files::CLOSE),
            Self::Length => (Op::Read, files::STATUS),
            Self::Beginning { .. } | Self::Whole { .. } => (Op::Read, files::HASH),
            Self::Reading => (Op::Read, files::FILE),
            Self::Over(_) => return None,
        })
    }
}

/// A file on its way from the device.
#[derive(Clone, Debug)]
pub struct FileDownload<'d> {
    name: &'d str,
    /// What is here already.
    have: &'d [u8],
    options: FileOptions,
    turn: Turn,
    phase: Phase,
    off: u32,
    len: Option<u32>,
    resumed_at: u32,
    sha256: FileHasher,
    crc32: FileHasher,
}

impl<'d> FileDownload<'d> {
    /// A download of the file `name`, a whole path, of which `have` is here already.
    pub fn new(
        name: &'d str,
        have: &'d [u8],
        options: FileOptions,
    ) -> Result<Self, FileTransferError> {
        u32::try_from(have.len()).map_err(|_| FileTransferError::BadLength)?;
        let resume = options.resume && !have.is_empty();
        Ok(Self {
            name,
            have,
            options,
            turn: Turn::new(&options),
            phase: if resume { Phase::Close } else { Phase::Reading },
            off: 0,
            len: None,
            resumed_at: 0,
            sha256: FileHasher::new(FileHash::Sha256),
            crc32: FileHasher::new(FileHash::Crc32),
        })
    }

    /// Where the transfer stands.
    pub fn status(&self) -> FileStatus {
        match self.phase {
            Phase::Over(Ok(outcome)) => FileStatus::Done(outcome),
            Phase::Over(Err(error)) => FileStatus::Failed(error),
            _ => FileStatus::Running,
        }
    }

    /// How far it is.
    pub fn progress(&self) -> FileProgress {
        FileProgress { done: self.off, total: self.len }
    }

    /// The next sequence number, for requests after the transfer.
    pub fn sequence(&self) -> u8 {
        self.turn.requests.sequence
    }

    /// When to call [`poll_transmit`](Self::poll_transmit) again if no packet comes before. `None`
    /// once the transfer is over.
    pub fn deadline(&self) -> Option<Duration> {
        self.phase.command().map(|_| self.turn.due)
    }

    /// Builds the next message to send in `buffer`, which must hold
    /// [`Limits::frame`](crate::client::Limits::frame) bytes. Call it until it returns `None`,
    /// then wait for a packet or the deadline.
    pub fn poll_transmit(&mut self, now: Duration, buffer: &mut [u8]) -> Option<usize> {
        self.phase.command()?;
        let sent = match self.turn.is_due(now, self.off) {
            Ok(false) => return None,
            Ok(true) => self.write(now, buffer),
            Err(error) => Err(error),
        };
        sent.map_err(|error| self.phase = Phase::Over(Err(error))).ok()
    }

    fn write(&mut self, now: Duration, buffer: &mut [u8]) -> Result<usize, FileTransferError> {
        let (name, off, have, phase) = (self.name, self.off, self.have.len(), self.phase);
        let room = buffer.len().min(self.options.limits.frame);
        let buffer = buffer.get_mut(..room).unwrap_or_default();
        self.turn.send(now, |requests| {
            let message = match phase {
                Phase::Close => requests.close_files(buffer),
                Phase::Length => requests.file_status(buffer, name),
                Phase::Beginning { kind } => {
                    let part = Part { off: 0, len: u32::try_from(have).ok() };
                    requests.hash_file(buffer, name, Some(kind.name()), part)
                }
                Phase::Whole { kind } => {
                    requests.hash_file(buffer, name, Some(kind.name()), Part::default())
                }
                Phase::Reading | Phase::Over(_) => requests.read_file(buffer, name, off),
            };
            message.map(<[u8]>::len)
        })
    }

    /// Takes a packet. `None` if it was no answer to this transfer; else what came with it, which
    /// may be nothing: bytes to be put at their offset, in order. At offset 0 the file begins
    /// anew, whatever was there before.
    pub fn handle<'p>(&mut self, packet: &'p [u8]) -> Option<FilePiece<'p>> {
        let command = self.phase.command()?;
        let nothing = FilePiece { off: self.off, data: &[], len: self.len };
        let answer = match self.turn.hear(packet, command) {
            Heard::Stray => return None,
            Heard::Later => return Some(nothing),
            Heard::Answer(answer) => answer,
        };
        self.turn.next();
        match self.answered(&answer) {
            Ok((phase, piece)) => {
                self.phase = phase;
                piece.or(Some(nothing))
            }
            Err(error) => {
                self.phase = Phase::Over(Err(error));
                Some(nothing)
            }
        }
    }

    fn answered<'p>(
        &mut self,
        answer: &Answer<'p>,
    ) -> Result<(Phase, Option<FilePiece<'p>>), FileTransferError> {
        let phase = match self.phase {
            // What is not open cannot be closed, and some servers lack the command.
            Phase::Close => Phase::Length,
            Phase::Length => {
                let len = answer.file_length()?;
                match usize::try_from(len).is_ok_and(|len| len >= self.have.len()) {
                    true => {
                        self.len = Some(len);
                        Phase::Beginning { kind: FileHash::Sha256 }
                    }
                    false => Phase::Reading,
                }
            }
            Phase::Beginning { kind } => match answer.file_hash() {
                Ok(reply) => {
                    if reply.output.is(&FileDigest::of(kind, self.have)) {
                        self.keep();
                    }
                    self.reading(Some(kind))
                }
                Err(error) => match next_hash(kind, error)? {
                    Some(kind) => Phase::Beginning { kind },
                    None => Phase::Reading,
                },
            },
            Phase::Reading => {
                let piece = self.read(answer)?;
                return Ok((self.reading(None), Some(piece)));
            }
            Phase::Whole { kind } => {
                let ours = match kind {
                    FileHash::Sha256 => self.sha256.clone().finish(),
                    FileHash::Crc32 => self.crc32.clone().finish(),
                };
                match answer.file_hash() {
                    Ok(reply) if reply.output.is(&ours) => self.done(Some(kind)),
                    Ok(_) => return Err(FileTransferError::HashMismatch),
                    Err(error) => match next_hash(kind, error)? {
                        Some(kind) => Phase::Whole { kind },
                        None => self.done(None),
                    },
                }
            }
            over @ Phase::Over(_) => over,
        };
        Ok((phase, None))
    }

    /// What is here is the beginning of the file.
    fn keep(&mut self) {
        self.off = u32::try_from(self.have.len()).unwrap_or(u32::MAX);
        self.resumed_at = self.off;
        self.sha256.update(self.have);
        self.crc32.update(self.have);
    }

    fn read<'p>(&mut self, answer: &Answer<'p>) -> Result<FilePiece<'p>, FileTransferError> {
        let piece = answer.file_piece()?;
        let len = match (self.off, piece.len) {
            (0, len) => len,
            _ => self.len,
        };
        let len = len.ok_or(FileTransferError::Malformed(Malformed { offset: 0 }))?;
        let end = u32::try_from(piece.data.len()).ok().and_then(|n| piece.off.checked_add(n));
        let end = end.filter(|end| piece.off == self.off && *end <= len);
        // A piece without anything in it is the end of a file that has become shorter.
        let end = end.filter(|end| *end > self.off || *end == len);
        let end = end.ok_or(FileTransferError::BadOffset { off: piece.off, len })?;
        self.sha256.update(piece.data);
        self.crc32.update(piece.data);
        (self.off, self.len) = (end, Some(len));
        Ok(piece)
    }

    /// On with reading, or what comes after it. `known` is how what is here was compared already.
    fn reading(&mut self, known: Option<FileHash>) -> Phase {
        if self.len != Some(self.off) {
            return Phase::Reading;
        }
        match known {
            Some(_) => self.done(known),
            None if self.options.verify && self.off > 0 => Phase::Whole { kind: FileHash::Sha256 },
            None => self.done(None),
        }
    }

    fn done(&self, verified: Option<FileHash>) -> Phase {
        let (len, resumed_at) = (self.off, self.resumed_at);
        Phase::Over(Ok(FileOutcome { len, resumed_at, verified }))
    }
}
