//! What the dashboard knows: the last look at the device, and what came before it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::smp::{LogEntry, Numbers, Snapshot};

/// Lines of logs that are kept.
const LINES: usize = 500;
/// Round trips that are kept.
const TRIPS: usize = 240;

/// An upload under way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transfer {
    /// Bytes that the device has.
    pub done: u64,
    /// Bytes of the image, where that is known.
    pub total: Option<u64>,
    /// Bytes a second.
    pub rate: f64,
}

impl Transfer {
    /// How much of it is done, from 0 to 1.
    pub fn ratio(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0)?;
        Some((self.done as f64 / total as f64).clamp(0.0, 1.0))
    }

    /// How long the rest takes at this rate.
    pub fn left(&self) -> Option<Duration> {
        let rest = self.total?.saturating_sub(self.done);
        Duration::try_from_secs_f64(rest as f64 / self.rate).ok()
    }
}

/// A counter.
#[derive(Clone, Debug, PartialEq)]
pub struct Counter {
    /// Its group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: u64,
    /// How fast it rises, each second; `None` at the first look and after a restart.
    pub rate: Option<f64>,
}

/// Everything that is shown.
#[derive(Debug, Default)]
pub struct Dashboard {
    /// The last look.
    pub latest: Snapshot,
    /// Counters, with their rates.
    pub counters: Vec<Counter>,
    /// The ends of the logs, oldest first.
    pub log: VecDeque<LogEntry>,
    /// Microseconds of the last round trips, oldest first.
    pub round_trips: VecDeque<u64>,
    /// Since when the device has not answered, and what was said of it.
    pub away: Option<(Duration, String)>,
    /// How often it was seen to start anew.
    pub restarts: u32,
    /// An upload under way, this one's or another client's.
    pub transfer: Option<Transfer>,
    /// The first counter that is shown.
    pub scroll: usize,
    /// Nothing is asked.
    pub paused: bool,
    /// How this one's own upload ended.
    pub notice: Option<String>,
    seen: Option<Duration>,
}

impl Dashboard {
    /// Takes in a look at time `now`.
    pub fn saw(&mut self, mut snapshot: Snapshot, now: Duration) {
        let restarted = self.has_restarted(&snapshot, now);
        self.restarts += u32::from(restarted);
        let since = self.seen.filter(|_| !restarted).map(|seen| now.saturating_sub(seen));
        self.counters = counters(&snapshot.statistics, &self.latest.statistics, since);
        self.transfer = self.transfer_of_others();
        for entry in snapshot.log.drain(..) {
            push(&mut self.log, entry, LINES);
        }
        push(&mut self.round_trips, snapshot.round_trip_us, TRIPS);
        self.latest = snapshot;
        self.seen = Some(now);
        self.away = None;
    }

    /// The device did not answer.
    pub fn missed(&mut self, why: String, now: Duration) {
        let since = self.away.take().map_or(now, |(since, _)| since);
        self.away = Some((since, why));
        self.transfer = None;
    }

    /// An upload of one's own has come so far.
    pub fn uploading(&mut self, transfer: Option<Transfer>) {
        self.transfer = transfer;
    }

    /// Shows other counters.
    pub fn scroll(&mut self, by: isize) {
        let last = self.counters.len().saturating_sub(1);
        self.scroll = self.scroll.saturating_add_signed(by).min(last);
    }

    /// Its clock has gone back, or by far less forward than time has; or its counters have gone back.
    fn has_restarted(&self, snapshot: &Snapshot, now: Duration) -> bool {
        match (self.latest.uptime_ms, snapshot.uptime_ms) {
            (Some(before), Some(uptime)) => {
                let since = self.seen.map_or(Duration::ZERO, |seen| now.saturating_sub(seen));
                let slack = Duration::from_secs(1) + since / 5;
                let expected = Duration::from_millis(before) + since;
                uptime < before || Duration::from_millis(uptime) + slack < expected
            }
            _ => {
                let before = &self.latest.statistics;
                let mut names = snapshot.statistics.iter().flat_map(|(group, numbers)| {
                    numbers.iter().map(move |(name, value)| (group, name, *value))
                });
                names.any(|(group, name, value)| {
                    // A counter that ran over has not restarted the device.
                    let was = value_of(before, group, name);
                    was.is_some_and(|was| value < was && was < u64::from(u32::MAX) / 2)
                        && name != "offset"
                        && name != "length"
                })
            }
        }
    }

    /// Devices that count what they take in tell of other clients' uploads.
    fn transfer_of_others(&self) -> Option<Transfer> {
        let counter = |name: &str| {
            self.counters.iter().find(|counter| counter.group == "image" && counter.name == name)
        };
        let (done, total) = (counter("offset")?.value, counter("length")?.value);
        let rate = counter("bytes").and_then(|bytes| bytes.rate).unwrap_or(0.0);
        (total > 0).then_some(Transfer { done, total: Some(total), rate })
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}

fn value_of(statistics: &[(String, Numbers)], group: &str, name: &str) -> Option<u64> {
    let (_, numbers) = statistics.iter().find(|(found, _)| found == group)?;
    numbers.get(name).copied()
}

fn counters(
    now: &[(String, Numbers)],
    before: &[(String, Numbers)],
    since: Option<Duration>,
) -> Vec<Counter> {
    let seconds = since.map(|since| since.as_secs_f64()).filter(|seconds| *seconds > 0.0);
    let all = now.iter().flat_map(|(group, numbers)| {
        numbers.iter().map(move |(name, value)| {
            let was = value_of(before, group, name).filter(|was| was <= value);
            let rate = was.zip(seconds).map(|(was, seconds)| (value - was) as f64 / seconds);
            Counter { group: group.clone(), name: name.clone(), value: *value, rate }
        })
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(uptime_ms: u64, counts: &[(&str, u64)]) -> Snapshot {
        let numbers = counts.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Snapshot {
            uptime_ms: Some(uptime_ms),
            statistics: vec![("image".into(), numbers)],
            ..Snapshot::default()
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn counters_have_a_rate_from_the_second_look_on() {
        let mut board = Dashboard::default();
        board.saw(look(1000, &[("bytes", 100)]), SECOND);
        assert_eq!(board.counters[0].rate, None);
        board.saw(look(3000, &[("bytes", 700)]), 3 * SECOND);
        assert_eq!(board.counters[0].rate, Some(300.0));
    }

    #[test]
    fn a_clock_that_goes_back_is_a_restart_and_no_rate() {
        let mut board = Dashboard::default();
        board.saw(look(9000, &[("bytes", 100)]), SECOND);
        board.saw(look(20, &[("bytes", 200)]), 2 * SECOND);
        assert_eq!((board.restarts, board.counters[0].rate), (1, None));
    }

    #[test]
    fn a_restart_shows_after_a_long_absence_too() {
        let mut board = Dashboard::default();
        board.saw(look(3000, &[]), SECOND);
        board.missed("no answer".into(), 3 * SECOND);
        board.saw(look(4500, &[]), 7 * SECOND);
        assert_eq!(board.restarts, 1);
        // It was only not asked, or its clock is a bad one.
        board.saw(look(62_000, &[]), 67 * SECOND);
        assert_eq!(board.restarts, 1);
    }

    #[test]
    fn an_upload_of_another_client_shows() {
        let mut board = Dashboard::default();
        board.saw(look(1000, &[("bytes", 0), ("offset", 0), ("length", 0)]), SECOND);
        assert_eq!(board.transfer, None);
        board.saw(look(2000, &[("bytes", 250), ("offset", 250), ("length", 1000)]), 2 * SECOND);
        let transfer = board.transfer.unwrap();
        assert_eq!((transfer.ratio(), transfer.left()), (Some(0.25), Some(3 * SECOND)));
    }

    #[test]
    fn a_device_that_comes_back_is_not_away_any_more() {
        let mut board = Dashboard::default();
        board.missed("no answer".into(), SECOND);
        board.missed("no answer".into(), 2 * SECOND);
        assert_eq!(board.away.as_ref().map(|(since, _)| *since), Some(SECOND));
        board.saw(look(10, &[]), 3 * SECOND);
        assert_eq!(board.away, None);
    }

    #[test]
    fn no_end_of_lines_is_kept() {
        let mut queue = VecDeque::new();
        (0..1000).for_each(|line| push(&mut queue, line, LINES));
        assert_eq!((queue.len(), queue.front()), (LINES, Some(&500)));
    }
}
