//! Requests and answers of group 4, logs.

use crate::client::request::{BufferTooSmall, Requests};
use crate::client::{Answer, AnswerError};
use crate::{Malformed, Op, Value, group, log};

/// An entry of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogLine<'p> {
    /// The log that it is in.
    pub log: &'p str,
    /// Its number, which rises over all logs.
    pub index: u32,
    /// When it was written, in microseconds.
    pub timestamp: i64,
    /// Number of the module that wrote it.
    pub module: u32,
    /// Its level.
    pub level: u32,
    /// What the message is: `str`, `cbor` or `bin`.
    pub kind: &'p str,
    /// The message.
    pub message: &'p [u8],
}

impl<'p> LogLine<'p> {
    fn read(item: Value<'_, 'p>) -> Result<Self, Malformed> {
        let (mut index, mut timestamp) = (None, None);
        let (mut module, mut level) = (None, None);
        let (mut kind, mut message) = (None, None);
        item.map(|key, value| match key {
            "index" => value.u32(&mut index),
            "ts" => value.i64(&mut timestamp),
            "module" => value.u32(&mut module),
            "level" => value.u32(&mut level),
            "type" => value.str(&mut kind),
            "msg" => value.bytes_or_str(&mut message),
            _ => Ok(()),
        })?;
        Ok(Self {
            log: "",
            index: index.unwrap_or(0),
            timestamp: timestamp.unwrap_or(0),
            module: module.unwrap_or(0),
            level: level.unwrap_or(0),
            kind: kind.unwrap_or("str"),
            message: message.unwrap_or_default(),
        })
    }
}

impl Requests {
    /// Asks for the entries of a log, or of all, from `index` and the time `since` on; see
    /// [`Answer::log_entries`]. A time of -1 asks for the last entry only.
    pub fn log_entries<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: Option<&str>,
        index: u32,
        since: i64,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::LOG, log::SHOW), |c| {
            c.map(2 + u64::from(name.is_some()))?;
            if let Some(name) = name {
                c.str("log_name")?.str(name)?;
            }
            c.str("ts")?.i64(since)?.str("index")?.u32(index)?.ok()
        })
    }

    /// Empties a log, or all.
    pub fn clear_log<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: Option<&str>,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::LOG, log::CLEAR), |c| match name {
            None => c.map(0)?.ok(),
            Some(name) => c.map(1)?.str("log_name")?.str(name)?.ok(),
        })
    }

    /// Adds a text to a log.
    pub fn append_log<'b>(
        &mut self,
        buffer: &'b mut [u8],
        name: &str,
        (level, module): (u8, u8),
        text: &str,
    ) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::LOG, log::APPEND), |c| {
            c.map(4)?.str("log_name")?.str(name)?.str("level")?.u8(level)?;
            c.str("module")?.u8(module)?.str("msg")?.str(text)?.ok()
        })
    }

    /// Asks which modules log; see [`Answer::log_modules`].
    pub fn log_modules<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::LOG, log::MODULES), |c| c.map(0)?.ok())
    }

    /// Asks which levels there are; see [`Answer::log_levels`].
    pub fn log_levels<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::LOG, log::LEVELS), |c| c.map(0)?.ok())
    }

    /// Asks which logs there are; see [`Answer::logs`].
    pub fn logs<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Read, (group::LOG, log::LIST), |c| c.map(0)?.ok())
    }
}

impl<'p> Answer<'p> {
    /// Calls `each` for every entry; returns the index that the next one to be written will have.
    /// An answer holds as many as fit: ask again, for a log by its name and from the index behind
    /// the last, until one holds none or that index is reached. Of several logs at once, those that
    /// did not fit would be passed over.
    pub fn log_entries(&self, mut each: impl FnMut(LogLine<'p>)) -> Result<u32, AnswerError> {
        let mut next_index = None;
        self.fields(|key, value| match key {
            "next_index" => value.u32(&mut next_index),
            "logs" => value.list(|item| {
                let mut log = None;
                item.map(|key, value| match key {
                    "name" => value.str(&mut log),
                    // The name stands before the entries, in every server's answers.
                    "entries" => value.list(|item| {
                        let mut line = LogLine::read(item)?;
                        line.log = log.unwrap_or_default();
                        each(line);
                        Ok(())
                    }),
                    _ => Ok(()),
                })
            }),
            _ => Ok(()),
        })?;
        next_index.ok_or(self.incomplete())
    }

    /// Calls `each` with the name of every log.
    pub fn logs(&self, each: impl FnMut(&'p str)) -> Result<(), AnswerError> {
        self.texts("log_list", each)
    }

    /// Calls `each` with name and number of every module that logs.
    pub fn log_modules(&self, each: impl FnMut(&'p str, u64)) -> Result<(), AnswerError> {
        self.numbers("module_map", each)
    }

    /// Calls `each` with name and number of every level.
    pub fn log_levels(&self, each: impl FnMut(&'p str, u64)) -> Result<(), AnswerError> {
        self.numbers("level_map", each)
    }
}
