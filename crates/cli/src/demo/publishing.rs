//! A publisher on a thread of its own, as `updraft publish` is one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use updraft_online::{Event as Line, Memory, Online, Settings as Lines};
use updraft_publisher::{Event, Note, Publisher, Settings};

use crate::air::{Described, Files, Source};

const FRAME: Duration = Duration::from_millis(20);
/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A publisher at work, which ends with this.
#[derive(Debug)]
pub struct Publishing {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publishing {
    /// Publishes the job in the file `job` with the image in `image`, both read again at each
    /// request, to who asks at the broker at `port`. `tell` gets what happens.
    pub fn start(
        (job, image): (PathBuf, PathBuf),
        (board, port): (&str, u16),
        lines: Lines,
        mut tell: impl FnMut(String) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let described = Described { board: board.to_owned(), version: None };
        let files = Files::new(Some(job), described, Source::File(image));
        let publisher = Publisher::new(files, Settings::new("127.0.0.1", port, board));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (opened, wait) = channel();
        let work = move || {
            if let Err(error) = publish(publisher, lines, &stopped, &opened, &mut tell) {
                tell(format!("{error:#}"));
            }
        };
        let thread = std::thread::Builder::new().name("publisher".into()).spawn(work)?;
        let publishing = Self { stop, thread: Some(thread) };
        match wait.recv_timeout(PATIENCE) {
            Ok(()) => Ok(publishing),
            Err(_) => Err(anyhow!("the broker does not answer the publisher")),
        }
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it had to say, it has said.
            let _ = thread.join();
        }
    }
}

fn publish(
    publisher: Publisher<Files>,
    lines: Lines,
    stopped: &AtomicBool,
    opened: &Sender<()>,
    tell: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    const NO_SOCKETS: &str = "this system cannot wait for sockets";
    let mut memory = Memory::new(4096, 9 * (4096 + 512));
    let mut online = Online::new().context(NO_SOCKETS)?;
    online.add(publisher, lines, &mut memory);
    while !stopped.load(Ordering::Relaxed) {
        let mut lost = None;
        let hear = &mut |_, event: Line<'_>| match event {
            // Nobody waits any more where this fails.
            Line::Opened { .. } => drop(opened.send(())),
            Line::Lost(error) => lost = Some(error.to_string()),
            _ => {}
        };
        online.turn(FRAME, hear).context(NO_SOCKETS)?;
        lost.into_iter().for_each(&mut *tell);
        while let Some(event) = online.machine(0).and_then(Publisher::event) {
            said(&event).into_iter().for_each(&mut *tell);
        }
    }
    Ok(())
}

/// What a publisher tells of an event.
fn said(event: &Event) -> Option<String> {
    let serial = &event.serial;
    Some(match &event.note {
        Note::Offered(version) => format!("{serial} is offered {version}"),
        Note::NothingNewer(version) => format!("{serial} runs {version} already"),
        Note::Sent(bytes) => format!("{serial} was sent {bytes} bytes"),
        Note::Succeeded => format!("{serial} has updated"),
        Note::Failed => format!("{serial} has failed"),
        Note::Silent => format!("{serial} says nothing any more"),
        Note::Refused(refusal) => format!("{serial} is not answered: {refusal}"),
        _ => return None,
    })
}
