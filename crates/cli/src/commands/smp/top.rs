//! `updraft smp top`: a device, live.

mod dashboard;
mod view;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use serde_json::json;

use self::dashboard::{Dashboard, Transfer};
use super::Talk;
use crate::output::Output;
use crate::report::Hint;
use crate::smp::{Preflight, Sending, Snapshot, Uploading, Watch};

/// Options of `updraft smp top`.
#[derive(clap::Args)]
#[command(
    after_help = "Slots, versions, uptime, statistics with their rates, the end of the logs, an upload
under way: whatever of it the device tells. A device that goes away is waited for.

Keys: q quits, space pauses, arrows and page keys scroll through the statistics.

Examples:
  updraft smp --udp 192.0.2.7 top
  updraft smp --serial /dev/ttyACM0 top --every 0.5
  updraft smp --udp 192.0.2.7 top --upload app-1.1.0.bin
  updraft smp --udp 192.0.2.7 --json top --count 3"
)]
pub struct Command {
    /// Seconds from one look to the next.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    every: Duration,
    /// Stop after so many looks.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Upload this image meanwhile. It is not asked for: `image test` and `upgrade` do that. There are
    /// fewer looks then, as each takes the line for a moment.
    #[arg(long, value_name = "FILE")]
    upload: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let bounds = Duration::from_millis(50)..=Duration::from_secs(86_400);
    seconds
        .filter(|it| bounds.contains(it))
        .ok_or_else(|| "seconds from 0.05 to 86400, such as 0.5".into())
}

pub fn run(session: &mut Talk, command: Command, device: &str, out: &Output) -> anyhow::Result<()> {
    let image = command.upload.as_deref().map(read).transpose()?;
    let mut watch = Watch::default();
    // Whether there is a device at all is told before the screen is taken.
    let first = watch.look(session)?;
    if out.json() {
        return lines(session, &command, (watch, first), image, out);
    }
    if !out.is_terminal() || !std::io::stdin().is_terminal() {
        return Err(anyhow!("a dashboard needs a terminal"))
            .usage("--json prints what it shows, a line for each look; --count ends that");
    }
    let mut board = Dashboard::default();
    let clock = Instant::now();
    board.saw(first, clock.elapsed());
    let terminal = ratatui::try_init().context("the terminal takes no dashboard")?;
    let mut screen = Screen { terminal, board, device, clock, drawn: None };
    let ended = screen.live(session, &command, watch, image.as_deref());
    ratatui::restore();
    ended
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = super::read(path)?;
    Preflight::of(&file).with_context(|| format!("{} is not sent", path.display()))?;
    Ok(file)
}

/// One line of JSON for each look, with how far an upload is.
fn lines(
    session: &mut Talk,
    command: &Command,
    (mut watch, first): (Watch, Snapshot),
    image: Option<Vec<u8>>,
    out: &Output,
) -> anyhow::Result<()> {
    out.event(&first, "")?;
    let mut own = Own::begin(session, image.as_deref())?;
    let mut looks = 1;
    while own.is_some() || command.count.is_none_or(|count| looks < count) {
        let pause = watch.pause(command.every);
        match &mut own {
            Some(upload) => {
                let until = Instant::now() + pause;
                let mut ended = None;
                while ended.is_none() && (Instant::now() < until || !upload.has_begun()) {
                    ended = session.go_on(&mut upload.sending, FRAME)?;
                }
                if let Some(outcome) = ended {
                    let verified = outcome.verified;
                    out.event(&json!({ "uploaded": { "verified": verified } }), "")?;
                    own = None;
                    continue;
                }
                session.let_settle(&mut upload.sending, SETTLED)?;
            }
            None => std::thread::sleep(pause),
        }
        looks += 1;
        match watch.look(session) {
            Ok(snapshot) => {
                let mut event = serde_json::to_value(&snapshot)?;
                if let Some(upload) = &own {
                    let Transfer { done, total, rate } = upload.transfer();
                    event["upload"] = json!({ "done": done, "total": total, "rate": rate });
                }
                out.event(&event, "")?;
            }
            Err(error) => {
                out.event(&json!({ "away": format!("{error:#}") }), "")?;
                watch.forget();
                session.reopen();
            }
        }
    }
    Ok(())
}

/// How often something is drawn at least while an upload goes on, and how soon a key is felt.
const FRAME: Duration = Duration::from_millis(50);
/// How long what is under way of an upload may take before the device is looked at all the same.
const SETTLED: Duration = Duration::from_millis(500);

/// This dashboard's own upload.
struct Own<'i> {
    sending: Sending<'i>,
}

impl<'i> Own<'i> {
    fn begin(session: &mut Talk, image: Option<&'i [u8]>) -> anyhow::Result<Option<Self>> {
        let sending = image.map(|image| session.begin_upload(image, Uploading::default()));
        Ok(sending.transpose()?.map(|sending| Self { sending }))
    }

    /// Whether the device has taken something. Before that it may be erasing, and answers nothing.
    fn has_begun(&self) -> bool {
        self.sending.progress().acked > 0
    }

    fn transfer(&self) -> Transfer {
        let progress = self.sending.progress();
        let rate = f64::from(progress.rate.unwrap_or(0));
        Transfer { done: progress.acked.into(), total: Some(progress.total.into()), rate }
    }
}

/// What somebody at the keyboard wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Nothing,
    Quit,
}

struct Screen<'d> {
    terminal: DefaultTerminal,
    board: Dashboard,
    device: &'d str,
    clock: Instant,
    drawn: Option<Instant>,
}

impl Screen<'_> {
    fn live(
        &mut self,
        session: &mut Talk,
        command: &Command,
        mut watch: Watch,
        image: Option<&[u8]>,
    ) -> anyhow::Result<()> {
        self.draw()?;
        let mut own = Own::begin(session, image)?;
        let mut looks = 1;
        let mut next = Instant::now() + command.every;
        // What an upload has changed is looked at in any case.
        let mut changed = false;
        while own.is_some() || changed || command.count.is_none_or(|count| looks < count) {
            let left = next.saturating_duration_since(Instant::now());
            if self.keys(if own.is_some() { Duration::ZERO } else { left })? == Wish::Quit {
                return Ok(());
            }
            if let Some(upload) = &mut own {
                match session.go_on(&mut upload.sending, FRAME) {
                    Ok(None) => self.board.uploading(Some(upload.transfer())),
                    ended => {
                        (own, changed, next) = (None, true, Instant::now());
                        self.board.uploading(None);
                        self.board.notice = Some(match ended {
                            Ok(_) => "uploaded: `image test` or `upgrade` asks for it".into(),
                            Err(error) => format!("upload: {error:#}"),
                        });
                    }
                }
                self.draw_sometimes()?;
            }
            let erasing = own.as_ref().is_some_and(|upload| !upload.has_begun());
            if self.board.paused || erasing || Instant::now() < next {
                continue;
            }
            if let Some(upload) = &mut own {
                session.let_settle(&mut upload.sending, SETTLED)?;
            }
            let looked = watch.look(session);
            let now = self.clock.elapsed();
            match looked {
                Ok(snapshot) => self.board.saw(snapshot, now),
                Err(error) => {
                    self.board.missed(error.to_string(), now);
                    watch.forget();
                    session.reopen();
                }
            }
            if let Some(upload) = &own {
                self.board.uploading(Some(upload.transfer()));
            }
            (looks, changed) = (looks + 1, false);
            next = Instant::now() + watch.pause(command.every);
            self.draw()?;
        }
        Ok(())
    }

    /// Draws, unless that was done a moment ago.
    fn draw_sometimes(&mut self) -> anyhow::Result<()> {
        match self.drawn.is_some_and(|at| at.elapsed() < FRAME) {
            true => Ok(()),
            false => self.draw(),
        }
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        let Self { terminal, board, device, clock, drawn } = self;
        *drawn = Some(Instant::now());
        terminal.draw(|frame| view::draw(frame, board, device, clock.elapsed()))?;
        Ok(())
    }

    /// Waits so long, and does what keys say meanwhile.
    fn keys(&mut self, wait: Duration) -> anyhow::Result<Wish> {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if !event::poll(left)? {
                return Ok(Wish::Nothing);
            }
            let page = isize::from(10i8);
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Release => {}
                Event::Key(key) => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(Wish::Quit),
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                        return Ok(Wish::Quit);
                    }
                    KeyCode::Char(' ') => self.board.paused = !self.board.paused,
                    KeyCode::Up => self.board.scroll(-1),
                    KeyCode::Down => self.board.scroll(1),
                    KeyCode::PageUp => self.board.scroll(-page),
                    KeyCode::PageDown => self.board.scroll(page),
                    _ => {}
                },
                _ => {}
            }
            self.draw()?;
        }
    }
}
