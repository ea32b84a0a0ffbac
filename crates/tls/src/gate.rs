//! Which records reach the library, and how many.
//!
//! ```text
//! handshake    one open record of the handshake (the server's hello), changes of cipher that mean
//!              nothing, alerts; then sealed ones
//! afterwards   sealed ones, one each time that somebody wants to read
//! ```
//! A record is begun when its head is there, and read whole within a time: what a server sends byte by
//! byte does not hold the device for longer. Outside the handshake nothing is waited for.

use core::cell::Cell;
use core::time::Duration;

use embedded_io::{Error, ErrorKind, ErrorType, Read, Write};

use crate::sealed::Phase;
use crate::wire::{Refused, Wire};

/// How long a record may take, or what is sent.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a handshake may take. The chip's own part of it is seconds.
const HANDSHAKE: Duration = Duration::from_secs(60);
/// Records of the longest handshake: every message in one of its own, and some that mean nothing.
const MOST_RECORDS: u32 = 16;

/// Bytes before the payload of a record: kind, version, length.
const HEAD: usize = 5;
/// Bytes of the longest record.
pub const LONGEST: usize = (1 << 14) + 256;
/// Kinds of records.
const CHANGE_CIPHER: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE_RECORD: u8 = 22;
const SEALED: u8 = 23;

/// What the connection and its gate tell each other: the library keeps the gate for itself.
#[derive(Debug)]
pub struct Watch {
    pub(crate) phase: Cell<Phase>,
    /// Whether a record may be begun.
    pub(crate) may_read: Cell<bool>,
    /// By when everything has to be sent, or the handshake done.
    pub(crate) until: Cell<Duration>,
    /// Why no more bytes reach the library.
    pub(crate) refused: Cell<Option<Refused>>,
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

impl Watch {
    /// Before the handshake.
    pub const fn new() -> Self {
        Self {
            phase: Cell::new(Phase::Handshake),
            may_read: Cell::new(true),
            until: Cell::new(Duration::MAX),
            refused: Cell::new(None),
        }
    }
}

/// What the library reads from and writes to.
pub struct Gate<'w, W> {
    wire: W,
    watch: &'w Watch,
    /// Bytes of the record that has begun, and by when they have to be there.
    left: usize,
    due: Duration,
    /// Records so far, and open ones among them that were of the handshake.
    records: u32,
    hellos: u32,
}

/// The library gets nothing; [`Watch::refused`] says why, or there is nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept(ErrorKind);

impl core::fmt::Display for Kept {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no bytes for the TLS library")
    }
}

impl core::error::Error for Kept {}

impl Error for Kept {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

impl<'w, W: Wire> Gate<'w, W> {
    /// The handshake begins.
    pub fn new(mut wire: W, watch: &'w Watch) -> Self {
        watch.phase.set(Phase::Handshake);
        watch.may_read.set(true);
        watch.refused.set(None);
        watch.until.set(wire.now().saturating_add(HANDSHAKE));
        Self { wire, watch, left: 0, due: Duration::ZERO, records: 0, hellos: 0 }
    }

    fn refuse<T>(&self, why: Refused) -> Result<T, Kept> {
        self.watch.refused.set(Some(why));
        Err(Kept(ErrorKind::ConnectionAborted))
    }

    /// Waits until there are so many bytes.
    fn await_bytes(&mut self, needed: usize, until: Duration) -> Result<(), Kept> {
        while self.wire.waiting() < needed {
            if self.wire.has_ended() {
                return self.refuse(Refused::Gone);
            }
            if self.wire.now() >= until {
                return self.refuse(Refused::Late);
            }
            self.wire.pause();
        }
        Ok(())
    }

    /// The head of the next record, which the library asks for first.
    fn begin(&mut self, head: &mut [u8]) -> Result<usize, Kept> {
        let phase = self.watch.phase.get();
        if phase == Phase::Open {
            let is_there = self.wire.waiting() >= HEAD;
            // What has come of a head that nobody will finish is no reason to wait for the rest.
            if !is_there && self.wire.has_ended() {
                return self.refuse(Refused::Gone);
            }
            if !is_there || !self.watch.may_read.get() {
                return Err(Kept(ErrorKind::Interrupted));
            }
        }
        self.await_bytes(HEAD, self.watch.until.get())?;
        let Some(head) = head.first_chunk_mut::<HEAD>() else {
            return self.refuse(Refused::Unclear);
        };
        if self.wire.receive(head) != Ok(HEAD) {
            return self.refuse(Refused::Gone);
        }
        let [kind, .., high, low] = *head;
        self.left = u16::from_be_bytes([high, low]).into();
        self.records = self.records.saturating_add(1);
        self.admit(phase, kind)?;
        self.watch.may_read.set(phase == Phase::Handshake);
        self.due = match phase {
            Phase::Handshake => self.watch.until.get(),
            Phase::Open => self.wire.now().saturating_add(PATIENCE),
        };
        if kind == SEALED {
            phase.mark(head);
        }
        Ok(HEAD)
    }

    fn admit(&mut self, phase: Phase, kind: u8) -> Result<(), Kept> {
        if self.left > LONGEST {
            return self.refuse(Refused::Record);
        }
        match (phase, kind) {
            (Phase::Open, SEALED) => {}
            (Phase::Handshake, SEALED) if self.hellos > 0 => {}
            (Phase::Handshake, CHANGE_CIPHER) if self.hellos > 0 && self.left == 1 => {}
            (Phase::Handshake, ALERT) => {}
            (Phase::Handshake, HANDSHAKE_RECORD) if self.hellos == 0 => self.hellos = 1,
            (Phase::Handshake, CHANGE_CIPHER | HANDSHAKE_RECORD | SEALED) | (Phase::Open, _) => {
                return self.refuse(Refused::Record);
            }
            (Phase::Handshake, _) => return self.refuse(Refused::Unclear),
        }
        if phase == Phase::Handshake && self.records > MOST_RECORDS {
            return self.refuse(Refused::Idle);
        }
        Ok(())
    }
}

impl<W> ErrorType for Gate<'_, W> {
    type Error = Kept;
}

impl<W: Wire> Read for Gate<'_, W> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Kept> {
        if self.left == 0 {
            return self.begin(buffer);
        }
        self.await_bytes(1, self.due)?;
        let most = self.left.min(buffer.len());
        let read = self.wire.receive(buffer.get_mut(..most).unwrap_or_default());
        match read {
            Ok(len) => {
                self.left -= len.min(self.left);
                Ok(len)
            }
            Err(gone) => self.refuse(gone.into()),
        }
    }
}

impl<W: Wire> Write for Gate<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Kept> {
        loop {
            match self.wire.send(bytes) {
                Ok(0) if !bytes.is_empty() => {}
                Ok(sent) => return Ok(sent),
                Err(gone) => return self.refuse(gone.into()),
            }
            if self.wire.now() >= self.watch.until.get() {
                return self.refuse(Refused::Late);
            }
            self.wire.pause();
        }
    }

    fn flush(&mut self) -> Result<(), Kept> {
        Ok(())
    }
}

/// By when what is sent now has to be gone.
pub fn patience(now: Duration) -> Duration {
    now.saturating_add(PATIENCE)
}
