//! `updraft smp top`: a device, live.

mod dashboard;
mod view;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use self::dashboard::{Dashboard, Transfer};
use super::Talk;
use crate::output::Output;
use crate::report::Hint;
use crate::smp::{Preflight, Uploading, Watch};

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
    /// Upload this image meanwhile. It is not asked for: `image test` and `upgrade` do that.
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
    let mut screen = Screen { terminal, board, device, clock };
    let ended = screen.live(session, &command, watch, image.as_deref());
    ratatui::restore();
    ended
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = super::read(path)?;
    Preflight::of(&file).with_context(|| format!("{} is not sent", path.display()))?;
    Ok(file)
}

/// One line of JSON for each look.
fn lines(
    session: &mut Talk,
    command: &Command,
    (mut watch, first): (Watch, crate::smp::Snapshot),
    image: Option<Vec<u8>>,
    out: &Output,
) -> anyhow::Result<()> {
    out.event(&first, "")?;
    if let Some(image) = image {
        session.upload(&image, Uploading::default(), |_| ())?;
    }
    for _ in 1..command.count.unwrap_or(u64::MAX) {
        std::thread::sleep(command.every);
        match watch.look(session) {
            Ok(snapshot) => out.event(&snapshot, "")?,
            Err(error) => {
                out.event(&serde_json::json!({ "away": format!("{error:#}") }), "")?;
                watch.forget();
                session.reopen();
            }
        }
    }
    Ok(())
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
        if let Some(image) = image {
            self.upload(session, image)?;
        }
        let mut looks = 1;
        while command.count.is_none_or(|count| looks < count) {
            if self.keys(command.every)? == Wish::Quit {
                return Ok(());
            }
            if self.board.paused {
                continue;
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
            looks += 1;
            self.draw()?;
        }
        Ok(())
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        let Self { terminal, board, device, clock } = self;
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

    /// Uploads `image`, with the dashboard showing how far it is. What goes wrong is shown, and no
    /// reason to stop looking.
    fn upload(&mut self, session: &mut Talk, image: &[u8]) -> anyhow::Result<()> {
        const FRAME: Duration = Duration::from_millis(100);
        let began = Instant::now();
        let mut drawn: Option<Instant> = None;
        let mut broken = Ok(());
        let outcome = session.upload(image, Uploading::default(), |progress| {
            if drawn.is_some_and(|at| at.elapsed() < FRAME) || broken.is_err() {
                return;
            }
            drawn = Some(Instant::now());
            let done = u64::from(progress.acked);
            let rate = done as f64 / began.elapsed().as_secs_f64().max(1e-3);
            self.board.uploading(Some(Transfer { done, total: Some(image.len() as u64), rate }));
            broken = self.draw();
        });
        broken?;
        self.board.uploading(None);
        if let Err(error) = outcome {
            self.board.missed(format!("upload: {error:#}"), self.clock.elapsed());
        }
        self.draw()
    }
}
