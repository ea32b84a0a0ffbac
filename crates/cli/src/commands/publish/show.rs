//! What people and programs get to see of a publisher.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar};
use serde_json::{Value, json};
use updraft_publisher::{Event, Jobs, Note, Publisher};

use super::{Args, clock, now};
use crate::output::{BAD, DIM, GOOD, Output, WARN, styled};
use crate::report::Hint;

/// Bars on a terminal; all devices beyond them share one more.
const MOST_BARS: usize = 12;
/// How often bars move.
const FRAME: Duration = Duration::from_millis(100);
/// How often programs are told how far devices are.
const TICK: Duration = Duration::from_secs(1);

/// What people and programs get to see.
pub struct Show<'o> {
    out: &'o Output,
    log: bool,
    bars: Bars,
    /// Bytes that each session was last told to have been sent, by topic.
    told: HashMap<String, u32>,
    drawn: Instant,
    results: Option<Results>,
    /// Devices that have updated, and that have not.
    pub updated: u64,
    failed: u64,
}

impl<'o> Show<'o> {
    /// For these arguments.
    ///
    /// # Errors
    /// If results are to be kept and their file cannot be written.
    pub fn new(args: &Args, out: &'o Output) -> anyhow::Result<Self> {
        let results = args.results.as_deref().map(Results::open).transpose()?;
        let (log, bars, told) = (args.log, Bars::default(), HashMap::new());
        let drawn = Instant::now();
        Ok(Self { out, log, bars, told, drawn, results, updated: 0, failed: 0 })
    }

    /// A line above the bars.
    pub fn note(&self, text: String) {
        self.bars.all.suspend(|| self.out.note(text));
    }

    /// The broker has taken the session.
    pub fn opened(&self, peer: &str) {
        if self.out.json() {
            let _ = self.out.event(&json!({ "event": "connected", "broker": peer }), "");
        } else {
            self.note(format!("{} connected to {peer}", styled(GOOD, "publisher:")));
        }
    }

    /// Something has happened to a device's update.
    ///
    /// # Errors
    /// If it cannot be told or kept.
    pub fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        let (word, text, more) = match &event.note {
            Note::Offered(version) => (
                "offered",
                format!("is offered {version}"),
                json!({ "version": version.to_string() }),
            ),
            Note::NothingNewer(version) => (
                "nothing-newer",
                format!("runs {version} already"),
                json!({ "version": version.to_string() }),
            ),
            Note::Sending(bytes) => {
                ("sending", format!("is sent {bytes} bytes"), json!({ "bytes": bytes }))
            }
            Note::Sent(bytes) => {
                ("sent", format!("was sent {bytes} bytes"), json!({ "bytes": bytes }))
            }
            Note::Chunk { .. } if !self.log => return Ok(()),
            Note::Chunk { offset, .. } => {
                ("chunk", format!("is sent the chunk at {offset}"), json!({ "offset": offset }))
            }
            Note::Succeeded => ("succeeded", styled(GOOD, "has updated"), json!({})),
            Note::Failed => ("failed", styled(BAD, "has failed"), json!({})),
            Note::Silent => ("silent", styled(BAD, "says nothing any more"), json!({})),
            Note::Displaced => ("displaced", styled(WARN, "gives its place to others"), json!({})),
            Note::Refused(refusal) => {
                let text = format!("{} {refusal}", styled(WARN, "is not answered:"));
                ("refused", text, json!({ "why": refusal.to_string() }))
            }
            _ => return Ok(()),
        };
        match event.note {
            Note::Succeeded => self.updated += 1,
            Note::Failed | Note::Silent => self.failed += 1,
            _ => {}
        }
        let line = line(event, word, more);
        if matches!(event.note, Note::Succeeded | Note::Failed | Note::Silent | Note::Displaced) {
            self.bars.end(&event.topic);
            self.told.remove(&event.topic);
            if let Some(results) = &mut self.results {
                results.keep(&line)?;
            }
        }
        let text = format!("{} {} {text}", styled(DIM, clock()), who(event));
        self.bars.all.suspend(|| self.out.event(&line, text))
    }

    /// Tells how far devices are, if it is time to.
    ///
    /// # Errors
    /// If it cannot be told.
    pub fn frame<J: Jobs>(&mut self, publisher: &Publisher<J>) -> anyhow::Result<()> {
        let every = if self.out.json() { TICK } else { FRAME };
        if self.drawn.elapsed() < every {
            return Ok(());
        }
        self.drawn = Instant::now();
        match self.out.json() {
            true => self.progress(publisher),
            false => {
                self.bars.draw(self.out, publisher);
                Ok(())
            }
        }
    }

    /// An event for each device that has got further.
    fn progress<J: Jobs>(&mut self, publisher: &Publisher<J>) -> anyhow::Result<()> {
        let mut told = HashMap::with_capacity(self.told.len());
        for (topic, progress) in publisher.progress().filter(|(_, progress)| progress.sent > 0) {
            if self.told.get(topic) != Some(&progress.sent) {
                let event = json!({
                    "time": now(), "event": "progress", "topic": topic, "serial": progress.serial,
                    "version": progress.version.to_string(),
                    "sent": progress.sent, "total": progress.total,
                });
                self.out.event(&event, "")?;
            }
            told.insert(topic.to_owned(), progress.sent);
        }
        // Who is gone is forgotten.
        self.told = told;
        Ok(())
    }

    /// The last line.
    ///
    /// # Errors
    /// If it cannot be told.
    pub fn end(&self) -> anyhow::Result<()> {
        let Self { updated, failed, .. } = self;
        let value = json!({ "event": "ended", "updated": updated, "failed": failed });
        self.out.event(&value, format!("{updated} updated, {failed} failed"))
    }
}

/// An event for programs.
fn line(event: &Event, word: &str, more: Value) -> Value {
    let mut line = json!({
        "time": now(), "event": word, "topic": event.topic, "serial": event.serial,
        "running": event.running.map(|running| running.to_string()),
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        line[key] = value.clone();
    }
    line
}

/// A device in a word or two.
fn who(event: &Event) -> String {
    let session = event.topic.rsplit('/').next().unwrap_or_default();
    let name = match (event.serial.as_str(), session) {
        ("", "") => "somebody".to_owned(),
        ("", session) => format!("device {session}"),
        (serial, session) => format!("{serial} ({session})"),
    };
    let name = crate::output::tame(&name);
    event.running.map_or(name.clone(), |running| format!("{name}, at {running},"))
}

/// A bar for each device, as long as there are few; one for all others.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    /// By topic; with whether the session is still there.
    shown: BTreeMap<String, (ProgressBar, bool)>,
    rest: Option<ProgressBar>,
}

impl Bars {
    fn add(&self, out: &Output, total: u64) -> ProgressBar {
        let bar = out.progress(total, "");
        if bar.is_hidden() { bar } else { self.all.add(bar) }
    }

    fn end(&mut self, topic: &str) {
        if let Some((bar, _)) = self.shown.remove(topic) {
            bar.finish_and_clear();
        }
    }

    fn draw<J: Jobs>(&mut self, out: &Output, publisher: &Publisher<J>) {
        let mut rest = Rest::default();
        self.shown.values_mut().for_each(|(_, lives)| *lives = false);
        for (topic, progress) in publisher.progress().filter(|(_, progress)| progress.sent > 0) {
            if !self.shown.contains_key(topic) {
                if self.shown.len() >= MOST_BARS {
                    rest.add(progress.sent, progress.total);
                    continue;
                }
                let bar = self.add(out, progress.total.into());
                let session = topic.rsplit('/').next().unwrap_or_default();
                let name = if progress.serial.is_empty() { session } else { progress.serial };
                bar.set_message(crate::output::tame(name));
                self.shown.insert(topic.to_owned(), (bar, true));
            }
            if let Some((bar, lives)) = self.shown.get_mut(topic) {
                bar.set_position(progress.sent.into());
                *lives = true;
            }
        }
        self.shown.retain(|_, (bar, lives)| {
            if !*lives {
                bar.finish_and_clear();
            }
            *lives
        });
        if rest.devices == 0 {
            if let Some(bar) = self.rest.take() {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = match self.rest.take() {
            Some(bar) => bar,
            None => self.add(out, rest.total),
        };
        bar.set_length(rest.total);
        bar.set_position(rest.sent);
        bar.set_message(rest.to_string());
        self.rest = Some(bar);
    }
}

/// Devices that have no bar of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rest {
    devices: usize,
    /// Those that were sent everything.
    whole: usize,
    sent: u64,
    total: u64,
}

impl Rest {
    fn add(&mut self, sent: u32, total: u32) {
        self.devices += 1;
        self.whole += usize::from(sent == total);
        self.sent += u64::from(sent);
        self.total += u64::from(total);
    }
}

impl std::fmt::Display for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { devices, whole, .. } = self;
        write!(f, "{devices} more, {whole} sent")
    }
}

/// Results of devices in a file, a line of JSON for each, behind those that are there.
struct Results {
    path: PathBuf,
    file: File,
}

impl Results {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let opened = || -> std::io::Result<File> {
            let mut file = File::options().read(true).append(true).create(true).open(path)?;
            // A line that the end of the system has torn does not spoil the next one.
            let mut last = [b'\n'];
            if file.seek(SeekFrom::End(0))? > 0 {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
            }
            if last != [b'\n'] {
                file.write_all(b"\n")?;
            }
            Ok(file)
        };
        let file = opened()
            .with_context(|| format!("results cannot be kept in {}", path.display()))
            .hint("--results takes a file that may be written, or made")?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn keep(&mut self, line: &Value) -> anyhow::Result<()> {
        // At once, so that whoever ends this process cannot come in between.
        let kept = self.file.write_all(format!("{line}\n").as_bytes());
        kept.with_context(|| format!("a result cannot be kept in {}", self.path.display()))
            .hint("is there room? started again, results are added to those that are there")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Rest, Results};

    #[test]
    fn results_stand_behind_those_that_are_there_and_behind_a_torn_line() {
        let path = std::env::temp_dir().join(format!("updraft-results-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        for number in 0..3 {
            let mut results = Results::open(&path).unwrap();
            results.keep(&json!({ "event": "succeeded", "serial": number })).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        std::fs::write(&path, "{\"event\":\"succ").unwrap();
        Results::open(&path).unwrap().keep(&json!({ "event": "failed" })).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"event\":\"succ\n{\"event\":\"failed\"}\n");
        std::fs::remove_file(&path).unwrap();
        let nowhere = Results::open(std::path::Path::new("/nowhere/at/all")).err().unwrap();
        assert!(
            nowhere.to_string().contains("--results")
                || format!("{nowhere:#}").contains("cannot be kept")
        );
    }

    #[test]
    fn devices_without_a_bar_are_summed_up() {
        let mut rest = Rest::default();
        for (sent, total) in [(10, 40), (40, 40), (u32::MAX, u32::MAX)] {
            rest.add(sent, total);
        }
        assert_eq!(rest.to_string(), "3 more, 2 sent");
        assert_eq!((rest.sent, rest.total), (50 + u64::from(u32::MAX), 80 + u64::from(u32::MAX)));
    }
}
