//! The lines of the console as a log.

use std::collections::VecDeque;
use std::time::Duration;

use updraft_smp::server::{Failure, LogEntry, LogKind, LogMessage, Logs};

/// Lines that are kept.
const LINES: usize = 200;
/// Who writes to the log: what its lines begin with, and its number.
const MODULES: [(&str, u8); 3] = [("boot", 0), ("app", 1), ("host", 2)];
const HOST: u8 = 2;
const INFO: u8 = 1;

#[derive(Debug)]
struct Line {
    index: u32,
    at: Duration,
    module: u8,
    level: u8,
    text: String,
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct Journal {
    lines: VecDeque<Line>,
    next: u32,
    pub now: Duration,
}

impl Journal {
    pub fn push(&mut self, line: &str, now: Duration) {
        let module = MODULES.iter().find(|(name, _)| line.starts_with(&format!("{name}: ")));
        let (text, module) = match module {
            Some((name, number)) => (line.get(name.len() + 2..).unwrap_or_default(), *number),
            None => (line, MODULES[0].1),
        };
        self.add(text, (INFO, module), now);
    }

    fn add(&mut self, text: &str, (level, module): (u8, u8), at: Duration) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { index: self.next, at, module, level, text: text.into() });
        self.next = self.next.wrapping_add(1);
    }
}

impl Logs for Journal {
    fn log(&self, number: usize) -> Option<(&str, LogKind)> {
        (number == 0).then_some(("console", LogKind::Memory))
    }

    fn next_index(&self) -> u32 {
        self.next
    }

    fn entries(
        &mut self,
        _: usize,
        mut each: impl FnMut(&LogEntry<'_>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        for line in &self.lines {
            let entry = LogEntry {
                index: line.index,
                timestamp: i64::try_from(line.at.as_micros()).unwrap_or(i64::MAX),
                module: line.module,
                level: line.level,
                message: LogMessage::Text(&line.text),
            };
            if !each(&entry)? {
                break;
            }
        }
        Ok(())
    }

    fn clear(&mut self, _: usize) -> Result<(), Failure> {
        self.lines.clear();
        Ok(())
    }

    fn append(&mut self, _: usize, level: u8, _: u8, text: &str) -> Result<(), Failure> {
        self.add(text, (level, HOST), self.now);
        Ok(())
    }

    fn modules(
        &mut self,
        mut each: impl FnMut(&str, u8) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        MODULES.iter().try_for_each(|(name, number)| each(name, *number))
    }
}
