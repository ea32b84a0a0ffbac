//! Looking at a device again and again.

use std::time::{Duration, Instant};

use serde::Serialize;
use updraft_smp::Rc;
use updraft_smp::client::{AnswerError, Code};

use super::session::Bootloader;
use super::{ImageState, Link, LogEntry, Numbers, Session};
use crate::report::find;

/// What a device is like at one moment. What it does not tell is left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    /// What it runs on.
    pub board: Option<String>,
    /// What starts it.
    pub bootloader: Option<Bootloader>,
    /// The images in its slots.
    pub images: Option<Vec<ImageState>>,
    /// Milliseconds since it was started.
    pub uptime_ms: Option<u64>,
    /// Microseconds from a request to its answer.
    pub round_trip_us: u64,
    /// Its counters, by group.
    pub statistics: Vec<(String, Numbers)>,
    /// What its logs have got since the look before.
    pub log: Vec<LogEntry>,
}

/// What devices may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    Images,
    Uptime,
    Statistics,
    Log,
}

/// Knows what the device told before and what it lacks, so that it is not asked for that again.
#[derive(Debug, Default)]
pub struct Watch {
    introduced: Option<(Option<String>, Option<Bootloader>)>,
    lacks: Vec<Feature>,
    next_entry: u32,
    /// How long the last look took.
    took: Duration,
}

impl Watch {
    /// Looks at the device. A device that is away is an error; what it lacks is not.
    pub fn look<L: Link>(&mut self, session: &mut Session<L>) -> anyhow::Result<Snapshot> {
        let began = Instant::now();
        session.echo("").or_else(refused)?;
        let round_trip = began.elapsed();
        if self.introduced.is_none() {
            self.introduced = Some((session.platform()?, session.bootloader()?));
            // Who is there answers soon.
            session.patience.retries = session.patience.retries.min(1);
        }
        let (board, bootloader) = self.introduced.clone().unwrap_or_default();
        let mut snapshot = Snapshot {
            board,
            bootloader,
            round_trip_us: u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
            images: self.ask(Feature::Images, || session.images())?,
            ..Snapshot::default()
        };
        snapshot.statistics =
            self.ask(Feature::Statistics, || statistics(session))?.unwrap_or_default();
        snapshot.uptime_ms = self.ask(Feature::Uptime, || uptime(session))?.flatten();
        let from = self.next_entry;
        let log = self.ask(Feature::Log, || {
            let (log, next) = session.read_log(None, from, false)?;
            // Logs that began anew, with a device that was reset meanwhile, have lower numbers.
            if next < from { session.read_log(None, 0, false) } else { Ok((log, next)) }
        })?;
        if let Some((log, next)) = log {
            let last = log.iter().map(|entry| entry.index.saturating_add(1)).max();
            self.next_entry = last.unwrap_or(next.min(from));
            snapshot.log = log;
        }
        self.took = began.elapsed();
        Ok(snapshot)
    }

    /// How long to wait before the next look: looks take no more than a fifth of a slow line.
    pub fn pause(&self, every: Duration) -> Duration {
        every.max(self.took * 4)
    }

    /// The device was away: it may be another one by now, or run something else.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Asks, unless the device is known to lack that. It has just answered, so one that refuses, or
    /// does not know what to answer, lacks it.
    fn ask<T>(
        &mut self,
        feature: Feature,
        ask: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        if self.lacks.contains(&feature) {
            return Ok(None);
        }
        match ask() {
            Ok(told) => Ok(Some(told)),
            Err(error) => match find::<AnswerError>(&error) {
                Some(answer) if is_for_good(answer) => {
                    self.lacks.push(feature);
                    Ok(None)
                }
                // Another time, perhaps.
                Some(_) => Ok(None),
                None => Err(error),
            },
        }
    }
}

/// Whether a device that answers so will never answer otherwise.
fn is_for_good(answer: &AnswerError) -> bool {
    match answer {
        AnswerError::Refused(refusal) => {
            !matches!(refusal.code, Code::Generic(Rc::BUSY | Rc::NO_MEMORY))
        }
        // It was damaged on its way.
        AnswerError::Malformed(_) => false,
    }
}

/// A refusal is an answer, too.
fn refused(error: anyhow::Error) -> anyhow::Result<String> {
    match find::<AnswerError>(&error) {
        Some(_) => Ok(String::new()),
        None => Err(error),
    }
}

fn statistics<L: Link>(session: &mut Session<L>) -> anyhow::Result<Vec<(String, Numbers)>> {
    let mut all = Vec::new();
    for group in session.statistics_groups()? {
        match session.counters(&group) {
            Ok(counters) => all.push((group, counters)),
            // One that is too large for an answer does not hide the others.
            Err(error) if find::<AnswerError>(&error).is_some() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Milliseconds, as `kernel uptime` tells them in the shell of a Zephyr device: no command of SMP's
/// own does.
fn uptime<L: Link>(session: &mut Session<L>) -> anyhow::Result<Option<u64>> {
    // To ask twice does no harm, which of command lines in general nobody knows.
    session.ask(
        session.patience,
        |requests, buffer| requests.shell(buffer, &["kernel", "uptime"]).map(<[u8]>::len),
        |answer| {
            let said = answer.shell()?;
            let mut words = said.output.split_whitespace();
            Ok(words.find_map(|word| word.parse().ok()).filter(|_| said.ret == 0))
        },
    )
}
