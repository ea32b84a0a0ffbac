//! A file to the device.
//!
//! ```text
//!  resume?                       same beginning: go on behind it
//! Close ─▶ Length ─▶ Beginning ──────────────────┐
//!             │ none      │ another              ▼        all sent
//!             └───────────┴────────────────▶ Sending ─────────▶ Closing ─▶ Whole ─▶ over
//!                                             ▲   │ refused, no offset told
//!                                             └─ Place
//! ```
//! A server takes a piece only where its file ends, and says where that is when it refuses another
//! place: so does it when only the answer to a piece was lost. What the device holds is closed
//! before it is asked about: a file that is open may be told of as it was before.

use core::time::Duration;

use super::{
    FileOptions, FileOutcome, FileProgress, FileStatus, FileTransferError, Heard, Turn, next_hash,
};
use crate::client::chunk::{longest_content, uint_len};
use crate::client::{Answer, AnswerError, Code, Part};
use crate::{FileDigest, FileError, FileHash, Header, Op, Rc, Version, files};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Close,
    Length,
    Beginning { len: u32, kind: FileHash },
    Sending,
    Place,
    Closing,
    Whole { kind: FileHash },
    Over(Result<FileOutcome, FileTransferError>),
}

impl Phase {
    /// The command that is under way, and its direction.
    fn command(self) -> Option<(Op, u8)> {
        Some(match self {
            Self::Close | Self::Closing => (Op::Write, files::CLOSE),
            Self::Length | Self::Place => (Op::Read, files::STATUS),
            Self::Beginning { .. } | Self::Whole { .. } => (Op::Read, files::HASH),
            Self::Sending => (Op::Write, files::FILE),
            Self::Over(_) => return None,
        })
    }
}

/// A file on its way to the device.
#[derive(Clone, Debug)]
pub struct FileUpload<'d> {
    name: &'d str,
    data: &'d [u8],
    len: u32,
    options: FileOptions,
    turn: Turn,
    phase: Phase,
    /// Bytes that the device has.
    off: u32,
    /// The most that it ever had in this transfer.
    high: u32,
    resumed_at: u32,
    restarts: u32,
}

impl<'d> FileUpload<'d> {
    /// How often the device may lose its place.
    const RESTARTS: u32 = 8;

    /// An upload of `data` to the file `name`, a whole path.
    pub fn new(
        name: &'d str,
        data: &'d [u8],
        options: FileOptions,
    ) -> Result<Self, FileTransferError> {
        let len = u32::try_from(data.len()).map_err(|_| FileTransferError::BadLength)?;
        let phase = if options.resume && len > 0 { Phase::Close } else { Phase::Sending };
        let turn = Turn::new(&options);
        let this = Self {
            name,
            data,
            len,
            options,
            turn,
            phase,
            off: 0,
            high: 0,
            resumed_at: 0,
            restarts: 0,
        };
        match this.capacity(0).min(this.capacity(len)) {
            0 => Err(FileTransferError::FrameTooSmall),
            _ => Ok(this),
        }
    }

    /// Bytes of the file that a piece at `off` can carry.
    fn capacity(&self, off: u32) -> usize {
        let name = u32::try_from(self.name.len()).unwrap_or(u32::MAX);
        let around = Header::SIZE + 1 + 5 + uint_len(name) + self.name.len();
        let around = around + 4 + uint_len(off) + 5;
        let first = if off == 0 { 4 + uint_len(self.len) } else { 0 };
        let frame = self.options.limits.frame.min(Header::SIZE + usize::from(u16::MAX));
        longest_content(frame.saturating_sub(around + first))
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
        FileProgress { done: self.off, total: Some(self.len) }
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
        sent.map_err(|error| self.over(Err(error))).ok()
    }

    fn write(&mut self, now: Duration, buffer: &mut [u8]) -> Result<usize, FileTransferError> {
        let (name, off, len) = (self.name, self.off, self.len);
        let data = self.piece();
        let phase = self.phase;
        self.turn.send(now, |requests| {
            let message = match phase {
                Phase::Close | Phase::Closing => requests.close_files(buffer),
                Phase::Length | Phase::Place => requests.file_status(buffer, name),
                Phase::Beginning { len, kind } => {
                    let part = Part { off: 0, len: Some(len) };
                    requests.hash_file(buffer, name, Some(kind.name()), part)
                }
                Phase::Whole { kind } => {
                    requests.hash_file(buffer, name, Some(kind.name()), Part::default())
                }
                Phase::Sending | Phase::Over(_) => {
                    requests.write_file(buffer, name, (off, len), data)
                }
            };
            message.map(<[u8]>::len)
        })
    }

    /// The piece that is due.
    fn piece(&self) -> &'d [u8] {
        let rest = usize::try_from(self.off).ok().and_then(|off| self.data.get(off..));
        let rest = rest.unwrap_or_default();
        rest.get(..self.capacity(self.off)).unwrap_or(rest)
    }

    /// Takes a packet. Returns whether it was an answer to this transfer.
    pub fn handle(&mut self, packet: &[u8]) -> bool {
        let Some(command) = self.phase.command() else { return false };
        let answer = match self.turn.hear(packet, command) {
            Heard::Stray => return false,
            Heard::Later => return true,
            Heard::Answer(answer) => answer,
        };
        let copies = self.turn.sends > 1;
        self.turn.next();
        match self.answered(&answer, copies) {
            Ok(phase) => self.phase = phase,
            Err(error) => self.over(Err(error)),
        }
        true
    }

    fn answered(&mut self, answer: &Answer<'_>, copies: bool) -> Result<Phase, FileTransferError> {
        match self.phase {
            // What is not open cannot be closed, and some servers lack the command.
            Phase::Close => Ok(Phase::Length),
            Phase::Closing if self.options.verify && self.len > 0 => {
                Ok(Phase::Whole { kind: FileHash::Sha256 })
            }
            Phase::Closing => Ok(self.done(None)),
            Phase::Length => match answer.file_length() {
                Ok(len) if len > 0 && len <= self.len => {
                    Ok(Phase::Beginning { len, kind: FileHash::Sha256 })
                }
                Ok(_) | Err(AnswerError::Refused(_)) => Ok(Phase::Sending),
                Err(error) => Err(error.into()),
            },
            Phase::Beginning { len, kind } => self.compared(answer, len, kind),
            Phase::Sending => self.sent(answer, copies),
            Phase::Place => match answer.file_length() {
                Ok(len) => self.placed(len),
                Err(error) => Err(error.into()),
            },
            Phase::Whole { kind } => match answer.file_hash() {
                Ok(reply) if reply.output.is(&FileDigest::of(kind, self.data)) => {
                    Ok(self.done(Some(kind)))
                }
                Ok(_) => Err(FileTransferError::HashMismatch),
                Err(error) => Ok(match next_hash(kind, error)? {
                    Some(kind) => Phase::Whole { kind },
                    None => self.done(None),
                }),
            },
            over @ Phase::Over(_) => Ok(over),
        }
    }

    /// The hash of what the device has of the file: is it the beginning of ours?
    fn compared(
        &mut self,
        answer: &Answer<'_>,
        len: u32,
        kind: FileHash,
    ) -> Result<Phase, FileTransferError> {
        match answer.file_hash() {
            Ok(reply) => {
                let ours = usize::try_from(len).ok().and_then(|len| self.data.get(..len));
                let ours = FileDigest::of(kind, ours.unwrap_or_default());
                if reply.len == len && reply.output.is(&ours) {
                    (self.off, self.high, self.resumed_at) = (len, len, len);
                    if len == self.len {
                        return Ok(self.done(Some(kind)));
                    }
                }
                Ok(Phase::Sending)
            }
            Err(error) => match next_hash(kind, error) {
                Ok(Some(kind)) => Ok(Phase::Beginning { len, kind }),
                Ok(None) | Err(FileTransferError::Refused(_)) => Ok(Phase::Sending),
                Err(error) => Err(error),
            },
        }
    }

    fn sent(&mut self, answer: &Answer<'_>, copies: bool) -> Result<Phase, FileTransferError> {
        let refusal = match answer.file_offset() {
            Ok(off) => return self.taken(off),
            Err(AnswerError::Malformed(malformed)) => {
                return Err(FileTransferError::Malformed(malformed));
            }
            Err(AnswerError::Refused(refusal)) => refusal,
        };
        let misplaced = match refusal.code {
            Code::Group { rc, .. } => FileError::from_rc(rc) == Some(FileError::OffsetNotValid),
            // What version 1 is told may be anything; a copy that was one too many is likely.
            Code::Generic(Rc::UNKNOWN) => self.options.version == Version::V1 && copies,
            Code::Generic(_) => false,
        };
        match (misplaced && self.off > 0, answer.file_length_beside_error()) {
            (true, Some(len)) => self.placed(len),
            (true, None) => Ok(Phase::Place),
            (false, _) => Err(FileTransferError::Refused(refusal)),
        }
    }

    /// The device took the piece, or a part of it.
    fn taken(&mut self, off: u32) -> Result<Phase, FileTransferError> {
        let sent = u32::try_from(self.piece().len()).unwrap_or(u32::MAX);
        let end = self.off.saturating_add(sent);
        if off > end || (off <= self.off && end > self.off) {
            return Err(FileTransferError::BadOffset { off, len: self.len });
        }
        self.off = off;
        self.high = self.high.max(off);
        Ok(if off == self.len { Phase::Closing } else { Phase::Sending })
    }

    /// The device's file ends at `len`, which is not where the piece was for.
    fn placed(&mut self, len: u32) -> Result<Phase, FileTransferError> {
        let sent = u32::try_from(self.piece().len()).unwrap_or(u32::MAX);
        if len == self.off.saturating_add(sent) {
            return self.taken(len);
        }
        self.restarts += 1;
        if self.restarts > Self::RESTARTS {
            return Err(FileTransferError::Unsettled { times: self.restarts });
        }
        // Behind what was sent stands what somebody else wrote.
        self.off = if len <= self.high { len } else { 0 };
        self.resumed_at = self.resumed_at.min(self.off);
        Ok(Phase::Sending)
    }

    fn done(&self, verified: Option<FileHash>) -> Phase {
        let Self { len, resumed_at, .. } = *self;
        Phase::Over(Ok(FileOutcome { len, resumed_at, verified }))
    }

    fn over(&mut self, outcome: Result<FileOutcome, FileTransferError>) {
        self.phase = Phase::Over(outcome);
    }
}
