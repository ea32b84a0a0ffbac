//! The server: takes packets, answers the requests in them one by one.
//!
//! ```text
//! packet ─▶ Server::packet ─▶ Packet ─ answer_next(groups, buffer) ─▶ Step { message, reset }
//!                                        │
//!                                        └─ (Os, Image, …): the groups that the device has
//! ```
//!
//! Each group works on a small trait that the device implements ([`Os`], [`Slots`],
//! [`Statistics`], [`Settings`], [`Files`], [`Shell`] and so on); groups of one's own implement
//! [`Group`]. [`Enumerated`] lets clients ask which there are, and [`Access`] decides what may be
//! asked for over a transport.
//!
//! A packet may hold several requests back to back; each is answered with a message of its own,
//! in order, by one worker. Requests are not remembered: a repeated request is executed again,
//! which uploads survive because every chunk carries its offset.

mod access;
mod answer;
mod basic;
mod crash;
mod enumeration;
mod files;
mod groups;
mod image;
mod log;
mod os;
mod run;
mod settings;
mod shell;
mod statistics;
mod version;

pub use access::{Access, Demand, Guarded, LinkSecurity, Rule};
pub use answer::{Answer, Failure, Mark};
pub use basic::{BasicGroup, Storage};
pub use crash::{Crash, CrashGroup, Fault};
pub use enumeration::Enumerated;
pub use files::{FileGroup, Files};
pub use groups::{Group, GroupInfo, Groups, Request};
pub use image::{
    ConfirmOthers, ImageGroup, Incoming, Kind, NextBoot, Policy, Refused, SlotImage, Slots, Trial,
};
pub use log::{LEVELS, LogEntry, LogGroup, LogKind, LogMessage, Logs};
pub use os::{BootloaderInfo, Buffers, Clock, InfoField, Os, OsGroup, Pool, Task};
pub use run::{RunGroup, Tests};
pub use settings::{Settings, SettingsGroup};
pub use shell::{LINE_MAX, Shell, ShellGroup, ShellReply};
pub use statistics::{Statistics, StatisticsGroup};

use crate::{Header, Op, Rc, Version};

/// The reset that a request asked for. Carry it out once its answer has left, a quarter of a
/// second later by custom, so that the client gets the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Where to go: 0 boots normally, 1 enters the bootloader (serial recovery).
    pub boot_mode: u32,
    /// Whether the client insisted.
    pub force: bool,
}

impl Reset {
    /// The arguments of a reset request. Those that cannot be read do not keep a device from being
    /// reset: it may be the last command that still gets through.
    pub fn requested(request: &Request<'_>) -> Self {
        let (mut force, mut boot_mode) = (None, None);
        let _ = request.fields(|key, value| match key {
            "force" => value.flag(&mut force),
            "boot_mode" => value.u32(&mut boot_mode),
            _ => Ok(()),
        });
        Self { boot_mode: boot_mode.unwrap_or(0), force: force.unwrap_or(false) }
    }
}

/// How to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Whether version 1 requests are served; if not they get `rc` 12.
    pub version_1: bool,
    /// Whether version 1 errors carry a short text (`rsn`) where there is one.
    pub verbose: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self { version_1: true, verbose: true }
    }
}

/// What one request led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the answer at the start of the buffer. 0 if even an error does not fit.
    pub len: usize,
    /// A reset to carry out after the answer has been sent.
    pub reset: Option<Reset>,
}

impl Server {
    /// The requests of a packet.
    pub fn packet<'p>(&self, packet: &'p [u8]) -> Packet<'p> {
        Packet { server: *self, rest: packet }
    }

    /// Answers every request of `packet`, each built in `buffer` and handed to `send`. The reset
    /// that comes back, if any, is due after the last answer has left.
    ///
    /// `buffer` must not be smaller than what the operating-system group reports as buffer size.
    pub fn handle(
        &self,
        packet: &[u8],
        groups: &mut impl Groups,
        buffer: &mut [u8],
        mut send: impl FnMut(&[u8]),
    ) -> Option<Reset> {
        let mut reset = None;
        let mut packet = self.packet(packet);
        while let Some(step) = packet.answer_next(groups, buffer) {
            if let Some(message) = buffer.get(..step.len).filter(|message| !message.is_empty()) {
                send(message);
            }
            reset = reset.or(step.reset);
        }
        reset
    }
}

/// The requests of a packet that are still to be answered.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'p> {
    server: Server,
    rest: &'p [u8],
}

impl Packet<'_> {
    /// Answers the next request. `None` when the packet is used up: fewer bytes than a header are
    /// dropped silently, and nothing behind a request that failed with a plain `rc` is looked at.
    pub fn answer_next(&mut self, groups: &mut impl Groups, buffer: &mut [u8]) -> Option<Step> {
        let Ok((header, rest)) = Header::parse(self.rest) else {
            self.rest = &[];
            return None;
        };
        let (outcome, rest) = match rest.split_at_checked(header.length.into()) {
            Some((payload, rest)) => (self.check(&header).map(|()| payload), rest),
            None => (Err(Rc::CORRUPT.into()), &[][..]),
        };
        self.rest = rest;

        let outcome = outcome.and_then(|payload| {
            buffer.iter_mut().take(1).for_each(|first| *first = 0);
            let mut answer = Answer::begin(buffer)?;
            let reset = groups.handle(&Request { header, payload }, &mut answer)?;
            Ok(Step { len: answer.finish_replaceable(header.answer(0))?, reset })
        });
        Some(outcome.unwrap_or_else(|failure| {
            if failure.is_plain() {
                self.rest = &[];
            }
            let len = failure.emit(header.answer(0), self.server.verbose, buffer);
            Step { len, reset: None }
        }))
    }

    /// The checks before any group sees the request, in the order that servers make them.
    fn check(&self, header: &Header) -> Result<(), Failure> {
        if !matches!(header.op, Op::Read | Op::Write) {
            return Err(Rc::NOT_SUPPORTED.into());
        }
        match header.version() {
            None => Err(Rc::TOO_NEW.into()),
            Some(Version::V1) if !self.server.version_1 => Err(Rc::TOO_OLD.into()),
            Some(_) => Ok(()),
        }
    }
}
