//! Group 4, logs, as the first generation of servers has them.
//!
//! An answer holds as many entries as fit. Who wants the rest asks again, for a log by its name and
//! from the index behind the last one: indices rise over all logs, so that of several logs at once
//! the later ones would be passed over. Source: the log management of mynewt's newtmgr server.

use super::{Answer, Failure, Group, Request, Reset};
use crate::{LogError, Op, Rc, log};

/// How a log keeps its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LogKind {
    /// Not at all: they are passed on.
    Stream = 0,
    /// In memory.
    Memory = 1,
    /// In storage that outlives a reset.
    Storage = 2,
}

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogMessage<'a> {
    /// Text.
    Text(&'a str),
    /// A CBOR item.
    Cbor(&'a [u8]),
    /// Bytes that mean something to who wrote them.
    Binary(&'a [u8]),
}

impl<'a> LogMessage<'a> {
    fn parts(&self) -> (&'static str, &'a [u8]) {
        match self {
            Self::Text(text) => ("str", text.as_bytes()),
            Self::Cbor(bytes) => ("cbor", bytes),
            Self::Binary(bytes) => ("bin", bytes),
        }
    }
}

/// An entry of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry<'a> {
    /// Its number, which rises from entry to entry over all logs.
    pub index: u32,
    /// When it was written, in microseconds since the device started or since 1970.
    pub timestamp: i64,
    /// Number of the module that wrote it.
    pub module: u8,
    /// Its level, as [`LEVELS`] numbers them.
    pub level: u8,
    /// What it says.
    pub message: LogMessage<'a>,
}

/// The levels by name.
pub const LEVELS: [(&str, u8); 5] =
    [("DEBUG", 0), ("INFO", 1), ("WARN", 2), ("ERROR", 3), ("CRITICAL", 4)];

/// The logs of a device, counted from 0.
pub trait Logs {
    /// Name and kind of a log; `None` past the last.
    fn log(&self, number: usize) -> Option<(&str, LogKind)>;

    /// The index that the next entry will have.
    fn next_index(&self) -> u32;

    /// Calls `each` with every entry of a log, the oldest first, until it says `false`.
    fn entries(
        &mut self,
        number: usize,
        each: impl FnMut(&LogEntry<'_>) -> Result<bool, Failure>,
    ) -> Result<(), Failure>;

    /// Empties a log.
    fn clear(&mut self, number: usize) -> Result<(), Failure>;

    /// Adds an entry to a log. By default nobody may from outside.
    fn append(&mut self, number: usize, level: u8, module: u8, text: &str) -> Result<(), Failure> {
        let _ = (number, level, module, text);
        Err(Rc::NOT_SUPPORTED.into())
    }

    /// Calls `each` with name and number of every module that logs.
    fn modules(&mut self, each: impl FnMut(&str, u8) -> Result<(), Failure>)
    -> Result<(), Failure>;
}

/// The log group over the logs of a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogGroup<L>(pub L);

/// Bytes that close an answer which is full of entries: the lists and maps, and `rc`.
const CLOSING: usize = 8;

/// Which entries are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    since: i64,
    from: u32,
    last_only: bool,
}

/// What of a log has gone into an answer.
struct Written {
    /// How many entries.
    written: u32,
    /// Whether those are all.
    all: bool,
}

fn begin(log: &str, kind: LogKind, answer: &mut Answer<'_>) -> Result<(), Failure> {
    answer.begin_item()?;
    answer.str("name", log)?;
    answer.u32("type", kind as u32)?;
    answer.begin_list("entries")
}

impl<L: Logs> LogGroup<L> {
    fn show(&mut self, request: &Request<'_>, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let (mut name, mut since, mut from) = (None, None, None);
        request.fields(|key, value| match key {
            "log_name" => value.str(&mut name),
            "ts" => value.i64(&mut since),
            "index" => value.u32(&mut from),
            _ => Ok(()),
        })?;
        let since = since.unwrap_or(0);
        let wanted = Wanted { since, from: from.unwrap_or(0), last_only: since == -1 };
        let name = name.filter(|name| !name.is_empty());
        answer.u32("next_index", self.0.next_index())?;
        answer.begin_list("logs")?;
        let (mut found, mut number, mut written) = (name.is_none(), 0, 0);
        while self.0.log(number).is_some() {
            if name.is_none_or(|name| self.0.log(number).is_some_and(|(log, _)| log == name)) {
                found = true;
                let before = answer.mark();
                let here = self.entries(number, wanted, answer)?;
                written += here.written;
                if !here.all && here.written == 0 {
                    answer.rewind(before);
                }
                if !here.all {
                    // An entry that no answer can hold would be asked for again and again.
                    if written == 0 {
                        return Err(LogError::MessageSize.into());
                    }
                    break;
                }
            }
            number += 1;
        }
        if !found {
            return Err(Rc::NO_ENTRY.into());
        }
        answer.end()?;
        answer.u32("rc", 0)
    }

    /// Writes a log, with as many of the entries wanted as fit.
    fn entries(
        &mut self,
        number: usize,
        wanted: Wanted,
        answer: &mut Answer<'_>,
    ) -> Result<Written, Failure> {
        let nothing = Written { written: 0, all: false };
        let Some((log, kind)) = self.0.log(number) else { return Ok(nothing) };
        let head = begin(log, kind, answer);
        if head == Err(Rc::MESSAGE_SIZE.into()) || answer.room() < CLOSING {
            return Ok(nothing);
        }
        head?;
        let start = answer.mark();
        let (mut written, mut all) = (0_u32, true);
        self.0.entries(number, |entry| {
            if !wanted.last_only && (entry.timestamp < wanted.since || entry.index < wanted.from) {
                return Ok(true);
            }
            if wanted.last_only {
                // One that is too large matters only if no other comes behind it.
                (written, all) = (0, true);
                answer.rewind(start);
            }
            let before = answer.mark();
            match entry.write(answer) {
                Ok(()) if answer.room() >= CLOSING => written += 1,
                Err(failure) if failure != Rc::MESSAGE_SIZE.into() => return Err(failure),
                _ => {
                    answer.rewind(before);
                    all = false;
                }
            }
            Ok(all || wanted.last_only)
        })?;
        if all || written > 0 {
            answer.end()?;
            answer.end()?;
        }
        Ok(Written { written, all })
    }

    fn clear(&mut self, request: &Request<'_>) -> Result<(), Failure> {
        let mut name = None;
        request.fields(|key, value| match key {
            "log_name" => value.str(&mut name),
            _ => Ok(()),
        })?;
        let (mut cleared, mut number) = (false, 0);
        while let Some((log, _)) = self.0.log(number) {
            if name.is_none_or(|name| name == log) {
                self.0.clear(number)?;
                cleared = true;
            }
            number += 1;
        }
        if cleared { Ok(()) } else { Err(Rc::NO_ENTRY.into()) }
    }

    fn append(&mut self, request: &Request<'_>) -> Result<(), Failure> {
        let (mut name, mut text, mut level, mut module) = (None, None, None, None);
        request.fields(|key, value| match key {
            "log_name" => value.str(&mut name),
            "msg" => value.str(&mut text),
            "level" => value.u32(&mut level),
            "module" => value.u32(&mut module),
            _ => Ok(()),
        })?;
        let small =
            |number: Option<u32>| u8::try_from(number.unwrap_or(0)).map_err(|_| Rc::INVALID);
        let (name, text) = (name.ok_or(Rc::INVALID)?, text.ok_or(Rc::INVALID)?);
        let (level, module) = (small(level)?, small(module)?);
        let mut number = 0;
        while let Some((log, _)) = self.0.log(number) {
            if log == name {
                return self.0.append(number, level, module, text);
            }
            number += 1;
        }
        Err(Rc::NO_ENTRY.into())
    }

    fn list(&self, answer: &mut Answer<'_>) -> Result<(), Failure> {
        answer.begin_list("log_list")?;
        let mut number = 0;
        while let Some((log, _)) = self.0.log(number) {
            answer.item_str(log)?;
            number += 1;
        }
        answer.end()
    }
}

impl LogEntry<'_> {
    fn write(&self, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let (kind, bytes) = self.message.parts();
        answer.begin_item()?;
        answer.str("type", kind)?;
        answer.i64("ts", self.timestamp)?;
        answer.u32("level", self.level.into())?;
        answer.u32("index", self.index)?;
        answer.u32("module", self.module.into())?;
        answer.bytes("msg", bytes)?;
        answer.end()
    }
}

impl<L: Logs> Group for LogGroup<L> {
    const ID: u16 = crate::group::LOG;
    const NAME: Option<&'static str> = Some("log mgmt");

    fn commands(&self) -> u32 {
        6
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        self.answer(request, answer).map_err(|failure| match failure {
            // This group has a code of its own.
            failure if failure == Rc::MESSAGE_SIZE.into() => LogError::MessageSize.into(),
            failure => failure,
        })
    }
}

impl<L: Logs> LogGroup<L> {
    fn answer(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        match request.command() {
            (log::SHOW, Op::Read) => {
                self.show(request, answer)?;
                return Ok(None);
            }
            (log::CLEAR, Op::Write) => self.clear(request)?,
            (log::APPEND, Op::Write) => self.append(request)?,
            (log::MODULES, Op::Read) => {
                answer.begin_map("module_map")?;
                self.0.modules(|name, number| answer.u32(name, number.into()))?;
                answer.end()?;
            }
            (log::LEVELS, Op::Read) => {
                answer.begin_map("level_map")?;
                LEVELS.iter().try_for_each(|(name, number)| answer.u32(name, (*number).into()))?;
                answer.end()?;
            }
            (log::LIST, Op::Read) => self.list(answer)?,
            _ => return Err(Rc::NOT_SUPPORTED.into()),
        }
        answer.u32("rc", 0)?;
        Ok(None)
    }
}
