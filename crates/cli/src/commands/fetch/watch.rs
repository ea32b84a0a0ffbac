//! A device's session until it ends: what people and programs get to see of it, and when it is over.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use indicatif::ProgressBar;
use serde_json::json;
use updraft_online::{Event as Line, Memory, Online, Settings};
use updraft_ota::{Note, Reason, Report, State};

use super::{ANSWER, Args, BLOCK, Ended, JOB, LAST_WORDS, Resets, Updates};
use crate::air::advised;
use crate::output::{DIM, Output, WARN, styled};
use crate::report::Hint;

/// How long one turn waits at most.
const FRAME: Duration = Duration::from_millis(100);
/// A device that rests for longer than this has ended its session.
const LONG_REST: Duration = Duration::from_secs(3600);

/// A device's session, and what people and programs get to see of it.
pub struct Watch<'o> {
    out: &'o Output,
    /// Whether it goes on while there is nothing.
    polls: bool,
    until: Option<Instant>,
    bar: Option<ProgressBar>,
    /// Why the last line was lost, as long as there is no other.
    lost: Option<anyhow::Error>,
    /// Why the update ended, or was refused.
    reason: Option<Reason>,
    /// Something has come to an end of which the server is told.
    ended: bool,
    /// Blocks that are held, and when the last one came while this has watched.
    held: u32,
    got: Option<Instant>,
    patience: Duration,
    /// Since when the line stands.
    opened: Option<Instant>,
    /// Jobs are to be signed, and nobody knows by whom.
    knows_no_signer: bool,
    /// What was said last has to be heard before the line is left.
    lingers: bool,
}

impl<'o> Watch<'o> {
    pub fn new(args: &Args, out: &'o Output, polls: bool) -> Self {
        let until = args.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        Self {
            out,
            polls,
            until,
            bar: None,
            lost: None,
            reason: None,
            ended: false,
            held: 0,
            got: None,
            patience: Duration::from_secs(args.patience),
            opened: None,
            knows_no_signer: args.signer.is_empty(),
            lingers: args.thing.is_some(),
        }
    }

    pub fn drive<D: Updates>(mut self, device: D, settings: Settings) -> anyhow::Result<Ended>
    where
        D::Platform: Resets,
    {
        let mut memory = match self.lingers {
            // Jobs are longer there, and so are blocks in JSON.
            true => Memory::new(JOB, 4096),
            false => Memory::of_device(BLOCK as usize),
        };
        let mut online = Online::new().context("this system cannot wait for sockets")?;
        online.add(device, settings, &mut memory);
        let mut tested = false;
        loop {
            let mut lasting = false;
            let hear = &mut |_, event: Line<'_>| match event {
                Line::Opened { .. } => (self.lost, self.opened) = (None, Some(Instant::now())),
                Line::Lost(error) => {
                    lasting |= error.is_lasting();
                    if !lasting {
                        self.note(&format!("{} {error}", styled(WARN, "line:")));
                    }
                    self.lost = Some(advised(error));
                }
                _ => {}
            };
            online.turn(FRAME, hear).context("this system cannot wait for sockets")?;
            if let Some(error) = self.lost.take_if(|_| lasting) {
                return Err(error);
            }
            let now = online.now();
            let Some(device) = online.machine(0) else { return Ok(Ended::Nothing) };
            let rests = device.deadline().is_none_or(|at| at > now + LONG_REST);
            let may_test = device.may_test();
            let agent = device.agent();
            if may_test
                && agent.state() == State::SelfTest
                && let Some(passed) = agent.platform().passes()
            {
                agent.self_test(passed, now);
                tested = true;
            }
            while let Some(report) = agent.report() {
                self.report(&report)?;
            }
            let held = agent.progress().0;
            self.progress(agent.size(), held);
            // What an earlier process has left counts once its job is taken up.
            if agent.is_busy() && std::mem::replace(&mut self.held, held) < held {
                self.got = Some(Instant::now());
            }
            if agent.platform().wants_reset() {
                let size = agent.size().unwrap_or_default();
                return Ok(Ended::Installed(agent.platform().installed(size)));
            }
            let done = match self.polls {
                true => self.ended && agent.state() == State::Waiting,
                false => rests && !agent.is_busy(),
            };
            if std::mem::take(&mut tested) {
                online.wake(0);
                continue;
            }
            if done && self.may_come_back() && device.check_now(now) {
                self.reason = None;
                online.wake(0);
                continue;
            }
            if done {
                let until = Instant::now() + LAST_WORDS;
                while self.lingers && Instant::now() < until {
                    online.turn(FRAME, &mut |_, _| ())?;
                }
                return self.end();
            }
            if self.until.is_some_and(|until| Instant::now() >= until) {
                let why = self.lost.take().unwrap_or_else(|| anyhow!("nothing came of it"));
                return Err(why.context("the time that --timeout gave is over"));
            }
        }
    }

    /// Whether an update has begun, and what keeps its blocks from coming may pass.
    fn may_come_back(&self) -> bool {
        let gone = match self.reason {
            None => self.lost.is_some() || self.is_unanswered(),
            Some(reason) => matches!(
                reason,
                Reason::Lost
                    | Reason::Cut
                    | Reason::Silent
                    | Reason::Exhausted
                    | Reason::Status(500..)
            ),
        };
        gone && self.got.is_some_and(|at| at.elapsed() < self.patience)
    }

    fn is_unanswered(&self) -> bool {
        self.opened.is_some_and(|since| since.elapsed() >= ANSWER)
    }

    fn end(self) -> anyhow::Result<Ended> {
        let is_unanswered = self.is_unanswered();
        match (self.reason, self.lost) {
            (None, None) if is_unanswered => {
                Err(anyhow!("nobody has answered for {} seconds", ANSWER.as_secs()))
                    .hint("does `updraft publish` run, with the same kit and the same prefix?")
            }
            (None | Some(Reason::NotNewer { .. }), None) => Ok(Ended::Nothing),
            (Some(reason), None) => {
                let ended = Err(anyhow!(reason)).context("there was no update");
                match reason {
                    Reason::SignatureDiffers if self.knows_no_signer => {
                        ended.hint("the job is signed: say by whom, --signer FILE")
                    }
                    Reason::SignatureDiffers | Reason::NotSigned => {
                        ended.hint("is the job signed by who --signer says?")
                    }
                    _ => ended,
                }
            }
            (_, Some(lost)) => Err(lost.context("there was no update")),
        }
    }

    fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.out.note(text)),
            None => self.out.note(text),
        }
    }

    fn report(&mut self, report: &Report) -> anyhow::Result<()> {
        let Report { state, note, held, blocks, .. } = *report;
        let (word, why) = match note {
            Note::Entered => (state.name(), None),
            Note::Progress => ("progress", None),
            Note::TakenUp => ("taken up", None),
            Note::BegunAnew(reason) => ("begun anew", Some(reason.to_string())),
            Note::Deferred(gate) => ("deferred", Some(gate.name().to_owned())),
            Note::Resumed(gate) | Note::Overruled(gate) => {
                ("resumed", Some(gate.name().to_owned()))
            }
            Note::Differs { promised, image } => {
                ("differs", Some(format!("the job says {promised}, the image is {image}")))
            }
            Note::Activated => ("activated", None),
            Note::Refused(reason) => ("refused", Some(reason.to_string())),
            Note::Failed(reason) => ("failed", Some(reason.to_string())),
        };
        match note {
            Note::Refused(reason) => self.reason = Some(reason),
            Note::Failed(reason) => (self.reason, self.ended) = (Some(reason), true),
            Note::Entered if state == State::Accepted => self.ended = true,
            Note::Entered if state == State::JobReceived => self.reason = None,
            _ => {}
        }
        if self.out.json() {
            let event = json!({
                "event": word, "state": state.name(), "why": why, "held": held, "blocks": blocks,
            });
            return self.out.event(&event, "");
        }
        match (note, why) {
            (Note::Progress, _) => {}
            (Note::TakenUp, _) => {
                self.note(&format!("{word}: {held} of {blocks} blocks are there"));
            }
            (_, Some(why)) => self.note(&format!("{} {why}", styled(WARN, format!("{word}:")))),
            (_, None) => self.note(&styled(DIM, word)),
        }
        Ok(())
    }

    fn progress(&mut self, size: Option<u32>, held: u32) {
        let Some(size) = size else { return };
        let out = self.out;
        let bar = self.bar.get_or_insert_with(|| out.progress(size.into(), "fetching"));
        bar.set_position(u64::from(held.saturating_mul(BLOCK).min(size)));
    }
}
