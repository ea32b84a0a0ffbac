//! `updraft smp monitor`: what the device prints, and what it logs, as it comes.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Talk;
use super::log::line;
use crate::output::{Output, tame};
use crate::report::Hint;
use crate::smp::is_away;

/// The longest wait for text, so that a line without an end is shown.
const GLANCE: Duration = Duration::from_millis(100);
/// How long a line may stay without an end.
const UNENDED: Duration = Duration::from_millis(300);

#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft smp --serial /dev/ttyACM0 monitor
  updraft smp --serial /dev/ttyACM0 monitor --log
  updraft smp --udp 192.0.2.7 monitor
  updraft smp --udp 192.0.2.7 --json monitor --log console --all

A console on a serial line carries text beside messages, and that is shown. Elsewhere, and with
--log, the device is asked for what is new in its logs.")]
pub struct Command {
    /// Follow the device's logs, or one of them, also where there is text.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    log: Option<String>,
    /// Begin with the oldest entry instead of the next one.
    #[arg(long)]
    all: bool,
    /// Seconds between two looks at the logs.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    every: Duration,
    /// End after so many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    long: Option<Duration>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
    let day = Duration::from_secs(86_400);
    seconds
        .filter(|seconds| !seconds.is_zero() && *seconds <= day)
        .ok_or_else(|| "seconds above 0 and up to a day, such as 2.5".into())
}

pub fn run(session: &mut Talk, command: Command, out: &Output) -> anyhow::Result<()> {
    let began = Instant::now();
    let has_text = session.text(Duration::from_millis(1))?.is_some();
    let mut logs = (!has_text || command.log.is_some()).then(|| Follower {
        name: command.log.clone().filter(|name| !name.is_empty()),
        from: command.all.then_some(0),
        due: began,
        away: false,
    });
    let mut lines = Lines::default();
    let mut gone = false;
    while command.long.is_none_or(|long| began.elapsed() < long) {
        if let Some(logs) = logs.as_mut().filter(|logs| logs.due <= Instant::now()) {
            logs.look(session, out)?;
            logs.due = Instant::now() + command.every;
        }
        match session.text(GLANCE) {
            Ok(text) => {
                gone = false;
                for line in lines.complete(&text.unwrap_or_default(), Instant::now()) {
                    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    out.event(&json!({ "line": line, "ms": ms }), &line)?;
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut gone, true) {
                    out.note(format!("{error:#}; waiting for it"));
                }
                std::thread::sleep(GLANCE);
                session.reopen();
            }
        }
    }
    Ok(())
}

/// Follows logs.
struct Follower {
    name: Option<String>,
    /// The first entry that was not shown; `None` before the device has told which that is.
    from: Option<u32>,
    due: Instant,
    /// The device did not answer last time.
    away: bool,
}

impl Follower {
    fn look(&mut self, session: &mut Talk, out: &Output) -> anyhow::Result<()> {
        let name = self.name.as_deref();
        let looked = match self.from {
            Some(from) => session.read_log(name, from, false),
            // Where to begin.
            None => session.read_log(name, 0, true).map(|(_, next)| (Vec::new(), next)),
        };
        let (entries, next) = match looked {
            Ok(looked) => looked,
            Err(error) if is_away(&error) => {
                if !std::mem::replace(&mut self.away, true) {
                    out.note("the device does not answer; waiting for it");
                }
                return Ok(());
            }
            Err(error) => {
                return Err(error).hint(
                    "devices without logs (Zephyr's) can be followed by their console: --serial",
                );
            }
        };
        self.away = false;
        for entry in &entries {
            out.event(entry, line(entry))?;
        }
        let last = entries.iter().map(|entry| entry.index.saturating_add(1)).max();
        // A log that begins anew has lower numbers.
        let from = self.from.filter(|from| *from <= next);
        self.from = Some(match (from, last) {
            (Some(from), last) => from.max(last.unwrap_or(0)),
            (None, _) if self.from.is_some() => 0,
            (None, _) => next,
        });
        Ok(())
    }
}

/// Text, line by line.
#[derive(Default)]
struct Lines {
    unended: Vec<u8>,
    since: Option<Instant>,
}

impl Lines {
    /// The lines that `text` completes, and one that has waited long enough for its end.
    fn complete(&mut self, text: &[u8], now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in text {
            match byte {
                b'\n' => lines.push(self.take()),
                b'\r' => {}
                _ => self.unended.push(*byte),
            }
        }
        if self.unended.is_empty() {
            self.since = None;
        } else if !text.is_empty() {
            self.since = Some(now);
        } else if self.since.is_some_and(|since| now.duration_since(since) >= UNENDED) {
            lines.push(self.take());
        }
        lines
    }

    fn take(&mut self) -> String {
        self.since = None;
        let bytes = std::mem::take(&mut self.unended);
        tame(&String::from_utf8_lossy(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_one_without_an_end_after_a_while() {
        let (mut lines, now) = (Lines::default(), Instant::now());
        assert_eq!(lines.complete(b"one\r\ntw", now), ["one"]);
        assert_eq!(lines.complete(b"o\r\n\nuart:~$ ", now), ["two", ""]);
        assert!(lines.complete(b"", now + GLANCE).is_empty());
        assert_eq!(lines.complete(b"", now + UNENDED), ["uart:~$ "]);
        assert!(lines.complete(b"", now + UNENDED * 2).is_empty());
        assert_eq!(lines.complete(b"\x07\xff\x1b[31mred\n", now), ["\u{fffd}\x1b[31mred"]);
    }
}
