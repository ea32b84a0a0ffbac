//! A file from the device.
//!
//! ```text
//!  something is here already       it is the beginning: go on behind it
//! Close ─▶ Length ─▶ Beginning ──────────────────┐
//!             │ shorter   │ another              ▼        all there
//!             └───────────┴────────────────▶ Reading ─────────▶ Whole ─▶ over
//! ```
//! The device decides how long a piece is. Once the first has told that, and the length of the
//! file, the next ones are asked for ahead, as many as the device has buffers for. Pieces are taken
//! in their order: one that comes out of it is asked for again.

use core::time::Duration;

use super::{
    FileOptions, FileOutcome, FileProgress, FileStatus, FileTransferError, Heard, Turn, next_hash,
};
use crate::client::{Answer, AnswerError, FilePiece, Part, Requests};
use crate::{FileDigest, FileHash, FileHasher, Malformed, Op, files, group};

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

/// A piece that was asked for ahead.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    sequence: u8,
    off: u32,
    /// Its answer came before that to an earlier piece, and was dropped. It is not asked for again
    /// before it is its turn.
    early: bool,
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
    /// Next sequence number.
    sequence: u8,
    /// Where the piece begins that is waited for.
    asked: u32,
    ahead: [Option<Ahead>; FileDownload::AHEAD],
    /// Requests that may be under way: halved by a loss, one more after a window without any.
    window: usize,
    /// Pieces that came in their order since the window last changed.
    credit: usize,
    /// Bytes of the first piece, which are as many as any has.
    stride: u32,
    sha256: FileHasher,
    crc32: FileHasher,
}

impl<'d> FileDownload<'d> {
    /// Most pieces that are asked for ahead.
    const AHEAD: usize = 15;

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
            sequence: options.sequence.wrapping_add(1),
            asked: 0,
            ahead: [None; FileDownload::AHEAD],
            window: Self::window_max(&options),
            credit: 0,
            stride: 0,
            sha256: FileHasher::new(FileHash::Sha256),
            crc32: FileHasher::new(FileHash::Crc32),
        })
    }

    fn window_max(options: &FileOptions) -> usize {
        options.limits.window.clamp(1, 1 + FileDownload::AHEAD)
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
        self.sequence
    }

    /// When to call [`poll_transmit`](Self::poll_transmit) again if no packet comes before. `None`
    /// once the transfer is over.
    pub fn deadline(&self) -> Option<Duration> {
        self.phase.command().map(|_| match self.next_ahead() {
            Some(_) => Duration::ZERO,
            None => self.turn.due,
        })
    }

    /// Builds the next message to send in `buffer`, which must hold
    /// [`Limits::frame`](crate::client::Limits::frame) bytes. Call it until it returns `None`,
    /// then wait for a packet or the deadline.
    pub fn poll_transmit(&mut self, now: Duration, buffer: &mut [u8]) -> Option<usize> {
        self.phase.command()?;
        let sent = match self.turn.is_due(now, self.off) {
            Ok(false) => self.write_ahead(buffer)?,
            Ok(true) => {
                if self.turn.sends > 0 {
                    // What was asked for behind a loss may be lost as well.
                    self.ahead = [None; FileDownload::AHEAD];
                    (self.window, self.credit) = ((self.window / 2).max(1), 0);
                } else {
                    self.asked = self.off;
                }
                self.write(now, buffer)
            }
            Err(error) => Err(error),
        };
        sent.map_err(|error| self.phase = Phase::Over(Err(error))).ok()
    }

    /// Where the next piece begins that may be asked for ahead.
    fn next_ahead(&self) -> Option<u32> {
        let under_way = self.ahead.iter().flatten();
        let reading = self.phase == Phase::Reading && self.turn.sends > 0 && self.stride > 0;
        let last = under_way.clone().map(|ahead| ahead.off).fold(self.asked, u32::max);
        let next = last.checked_add(self.stride).filter(|next| Some(*next) < self.len);
        next.filter(|_| reading && under_way.count() + 1 < self.window)
    }

    fn write_ahead(&mut self, buffer: &mut [u8]) -> Option<Result<usize, FileTransferError>> {
        let off = self.next_ahead()?;
        let place = self.ahead.iter_mut().find(|place| place.is_none())?;
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        *place = Some(Ahead { sequence, off, early: false });
        let mut requests = Requests { sequence, ..self.turn.requests };
        let message = requests.read_file(buffer, self.name, off).map(<[u8]>::len);
        Some(message.map_err(|_| FileTransferError::FrameTooSmall))
    }

    fn write(&mut self, now: Duration, buffer: &mut [u8]) -> Result<usize, FileTransferError> {
        let (name, off, have, phase) = (self.name, self.asked, self.have.len(), self.phase);
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
                    // The file may have grown meanwhile.
                    let part = Part { off: 0, len: self.len };
                    requests.hash_file(buffer, name, Some(kind.name()), part)
                }
                Phase::Reading | Phase::Over(_) => requests.read_file(buffer, name, off),
            };
            message.map(<[u8]>::len)
        })
    }

    /// Takes a packet. `None` if it was no answer to this transfer; else what came with it, which
    /// may be nothing: bytes to be put at their offset, in order. At offset 0 the file begins
    /// anew, whatever was there before.
    pub fn handle<'p>(&mut self, packet: &'p [u8], now: Duration) -> Option<FilePiece<'p>> {
        let command = self.phase.command()?;
        let nothing = FilePiece { off: self.off, data: &[], len: self.len };
        let answer = match self.turn.hear(packet, command) {
            Heard::Stray => return self.is_ahead(packet, now).then_some(nothing),
            Heard::Later => return Some(nothing),
            Heard::Answer(answer) => answer,
        };
        self.turn.next();
        self.turn.requests.sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        match self.answered(&answer) {
            Ok((phase, piece)) => {
                self.phase = phase;
                match phase {
                    Phase::Reading => self.promote(now),
                    // What comes late of it is nobody's answer any more.
                    _ => self.ahead = [None; FileDownload::AHEAD],
                }
                piece.or(Some(nothing))
            }
            Err(error) => {
                self.phase = Phase::Over(Err(error));
                Some(nothing)
            }
        }
    }

    /// Whether a packet answers what was asked for ahead. It has come too soon, which is most likely
    /// because the piece before it was lost: that is asked for again at once, if it was not before
    /// and may be.
    fn is_ahead(&mut self, packet: &[u8], now: Duration) -> bool {
        let Some(Answer { header, .. }) = Answer::parse(packet) else { return false };
        let command = (header.op, header.group, header.id);
        if command != (Op::ReadResponse, group::FILES, files::FILE) {
            return false;
        }
        let mut ahead = self.ahead.iter_mut().flatten();
        let Some(ahead) = ahead.find(|ahead| ahead.sequence == header.sequence) else {
            return false;
        };
        ahead.early = true;
        if self.turn.sends == 1 && self.turn.patience.retries > 0 {
            self.turn.due = now;
        }
        true
    }

    /// Waits for the piece that holds the next byte, if it was asked for ahead.
    fn promote(&mut self, now: Duration) {
        let (off, stride) = (self.off, self.stride);
        for place in &mut self.ahead {
            // A piece that was longer than the first leaves nothing of those that it covers.
            let passed = |ahead: &Ahead| ahead.off.saturating_add(stride) <= off;
            if place.as_ref().is_some_and(passed) {
                *place = None;
            }
        }
        let covers = |place: &&mut Option<Ahead>| place.is_some_and(|ahead| ahead.off <= off);
        let ahead = self.ahead.iter_mut().find(covers).and_then(Option::take);
        let Some(ahead) = ahead.filter(|ahead| !ahead.early) else { return };
        // The number that was set aside for a request that is not needed is given back.
        self.sequence = self.turn.requests.sequence;
        self.turn.requests.sequence = ahead.sequence;
        self.asked = ahead.off;
        self.turn.sends = 1;
        self.turn.due = now.saturating_add(self.turn.patience.wait(1));
    }

    fn answered<'p>(
        &mut self,
        answer: &Answer<'p>,
    ) -> Result<(Phase, Option<FilePiece<'p>>), FileTransferError> {
        let phase = match self.phase {
            // What is not open cannot be closed, and some servers lack the command.
            Phase::Close => Phase::Length,
            Phase::Length => {
                let len = match answer.file_length() {
                    Ok(len) => len,
                    // Servers of the first generation lack the command.
                    Err(AnswerError::Refused(_)) => return Ok((Phase::Reading, None)),
                    Err(error) => return Err(error.into()),
                };
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
                Err(error) => match next_hash(kind, error) {
                    Ok(Some(kind)) => Phase::Beginning { kind },
                    Ok(None) | Err(FileTransferError::Refused(_)) => Phase::Reading,
                    Err(error) => return Err(error),
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
        let end = end.filter(|end| piece.off == self.asked && *end <= len);
        // A piece without anything new in it is the end of a file that has become shorter.
        let end = end.filter(|end| *end > self.off || (*end == len && *end == self.off));
        let end = end.ok_or(FileTransferError::BadOffset { off: piece.off, len })?;
        // One that was asked for ahead may begin with what the piece before it ended with.
        let known = usize::try_from(self.off.saturating_sub(piece.off)).unwrap_or(usize::MAX);
        let data = piece.data.get(known..).unwrap_or_default();
        let piece = FilePiece { off: self.off, data, len: piece.len };
        self.sha256.update(data);
        self.crc32.update(data);
        if self.stride == 0 {
            // The first piece of a file comes with its length, so later ones have more room; of
            // others they may have a few bytes less, as offsets grow.
            let spare = if self.off == 0 { 0 } else { 4 };
            self.stride = end.saturating_sub(self.off).saturating_sub(spare);
        }
        (self.off, self.len) = (end, Some(len));
        self.credit += 1;
        if self.credit >= self.window {
            self.window = (self.window + 1).min(Self::window_max(&self.options));
            self.credit = 0;
        }
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
