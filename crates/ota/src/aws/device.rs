//! The device's side.

mod fetch;
mod write;

use core::cmp::Ordering;
use core::time::Duration;

use super::jobs::LONGEST_SIGNATURE;
use super::{Answer, Format, JobTopic, NextJob, OtaJob, StreamTopic, job_topic, stream_topic};
use crate::agent::{Agent, Offer, Signature};
use crate::http::Exchange;
use crate::io::{Endpoint, Input, Output, Protocol, Queue};
use crate::json;
use crate::label::Label;
use crate::platform::Platform;
use crate::timer::Retry;
use crate::{Gate, Reason, State, Version};

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// From the start to the first connection; none where there is something to tell.
    pub first_check: Duration,
    /// For a connection.
    pub connect: Duration,
    /// Between tries to connect; after the last one it is tried ever again after the longest wait.
    pub connect_again: Retry,
    /// Without a job, the server is asked again after so long. It tells of new ones by itself.
    pub next_check: Duration,
    /// For the blocks that were asked for.
    pub gap: Duration,
    /// Times that blocks are asked for again.
    pub silences: u8,
    /// From the last report to the reset.
    pub reset: Duration,
}

impl Default for Timers {
    /// As the original, except: a download is given up after 8 silences and not after 32, and the
    /// device asks once a day.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            first_check: seconds(10),
            connect: seconds(30),
            connect_again: Retry { first: seconds(5), longest: seconds(300), tries: 10 },
            next_check: seconds(24 * 3600),
            gap: seconds(10),
            silences: 8,
            reset: seconds(2),
        }
    }
}

/// How the device is set up.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'c> {
    /// What the device is called, up to 128 bytes.
    pub thing: &'c str,
    /// The broker.
    pub server: Endpoint<'c>,
    /// How blocks are asked for.
    pub format: Format,
    /// Blocks that are asked for at once.
    pub at_once: u32,
    /// Fetches over HTTP where a job offers both.
    pub prefers_http: bool,
    /// How long is waited for what.
    pub timers: Timers,
}

impl<'c> Settings<'c> {
    /// `thing` at `server`, CBOR, 8 blocks at once.
    pub fn new(thing: &'c str, server: Endpoint<'c>) -> Self {
        let (format, timers) = (Format::Cbor, Timers::default());
        Self { thing, server, format, at_once: 8, prefers_http: false, timers }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Not on the line.
    Rest { until: Duration },
    /// A connection is being made.
    Connect { until: Duration },
    /// On the line; the server is asked for a job at this time.
    Online { ask: Duration },
    /// The agent fetches, verifies, marks.
    Fetch,
    /// All is said.
    Reset { at: Duration },
}

/// Which server the connection is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Broker,
    Files,
}

/// What the server is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// So many blocks are there.
    Receive(u32),
    /// It has to wait, for this.
    Waits(Gate),
    Ready,
    Active,
    Succeeded,
    /// The job was refused, or the new image was: `rejected: 0x…`.
    Refused(u32),
    /// Something went wrong: `0x…: 0x…`.
    Wrong(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Todo {
    Open,
    Close,
    Subscribe(JobTopic, Answer),
    SubscribeStream(StreamTopic),
    AskJob,
    AskBlocks,
    AskPart { offset: u32, len: u32 },
    Tell(Told),
}

/// A device that speaks with AWS IoT, or with who speaks like it.
#[derive(Debug)]
pub struct Device<'b, P: Platform> {
    agent: Agent<'b, P>,
    settings: Settings<'b>,
    /// The message with the job.
    job: &'b mut [u8],
    job_len: usize,
    http: Exchange<'b>,
    todo: Queue<Todo>,
    step: Step,
    peer: Peer,
    open: Option<Peer>,
    failed: u8,
    questions: u32,
    /// Blocks that were asked for and have not come.
    due: u32,
    /// The part that was asked for.
    part: Option<(u32, u32)>,
    gap: Option<Duration>,
    silences: u8,
    subscribed: bool,
    /// To be told once there is a connection.
    untold: Option<Told>,
    /// The server knows that the new image is being tested.
    testing: bool,
    /// The version that began the update.
    began: Option<Version>,
    /// Questions for a job that had no answer, one after the other.
    unanswered: u8,
    /// What the server was told that the update waits for.
    told_gate: Option<Gate>,
}

/// Bytes of a certificate's longest name.
const LONGEST_CERTIFICATE: usize = 64;

/// What a message says that there is to do.
enum Plan {
    Nothing,
    Download,
    Tested { began: Option<Version> },
}

impl<'b, P: Platform> Device<'b, P> {
    /// A device that keeps jobs in `job`, and parts of files in `http`, at least a block; that one
    /// may be empty where files come from streams, unless those are written in JSON.
    pub fn new(
        agent: Agent<'b, P>,
        settings: Settings<'b>,
        job: &'b mut [u8],
        http: &'b mut [u8],
    ) -> Self {
        Self {
            agent,
            settings,
            job,
            job_len: 0,
            http: Exchange::new(http),
            todo: Queue::new(),
            step: Step::Rest { until: Duration::MAX },
            peer: Peer::Broker,
            open: None,
            failed: 0,
            questions: 0,
            due: 0,
            part: None,
            gap: None,
            silences: 0,
            subscribed: false,
            untold: None,
            testing: false,
            began: None,
            unanswered: 0,
            told_gate: None,
        }
    }

    /// The agent: state, reports, self-test.
    pub fn agent(&mut self) -> &mut Agent<'b, P> {
        &mut self.agent
    }

    /// Asks for a job now; `false` if the device is at something else.
    pub fn check_now(&mut self, now: Duration) -> bool {
        if self.agent.is_busy() {
            return false;
        }
        match self.step {
            Step::Rest { .. } => self.step = Step::Rest { until: now },
            Step::Online { .. } => self.step = Step::Online { ask: now },
            _ => return false,
        }
        true
    }

    /// Whether the server knows that the new image runs: now the application is to test it.
    pub fn is_testing(&self) -> bool {
        self.testing && self.agent.state() == State::SelfTest
    }

    fn next(&self) -> Result<NextJob<'_>, Reason> {
        NextJob::decode(self.job.get(..self.job_len).unwrap_or_default())
    }

    /// The id of the job that the server told of last.
    fn job_id(&self) -> Label<64> {
        let next = self.next().ok().and_then(|next| next.execution);
        next.and_then(|execution| Label::of(execution.job)).unwrap_or_default()
    }

    fn current(&self) -> Option<OtaJob<'_>> {
        OtaJob::of(self.next().ok()?.execution?.document?).ok()
    }

    fn over_http(&self) -> bool {
        let prefers = self.settings.prefers_http;
        self.current().is_some_and(|job| job.http && (prefers || !job.mqtt))
    }

    fn connect(&mut self, peer: Peer, now: Duration) {
        self.disconnect();
        self.peer = peer;
        self.todo.push(Todo::Open);
        let until = now.saturating_add(self.settings.timers.connect);
        self.step = Step::Connect { until };
    }

    fn disconnect(&mut self) {
        self.forget_questions();
        if self.open.take().is_some() {
            self.todo.push(Todo::Close);
        }
    }

    fn forget_questions(&mut self) {
        (self.due, self.part, self.gap, self.subscribed) = (0, None, None, false);
    }

    fn opened(&mut self, now: Duration) {
        self.open = Some(self.peer);
        if self.peer == Peer::Files {
            self.step = Step::Fetch;
            return;
        }
        self.failed = 0;
        self.todo.push(Todo::Subscribe(JobTopic::NotifyNext, Answer::Question));
        // AWS answers without that; other brokers do not.
        self.todo.push(Todo::Subscribe(JobTopic::NextGet, Answer::Accepted));
        self.step = match self.untold.take() {
            Some(told) => {
                self.tell(told, now);
                self.step
            }
            None if self.agent.is_busy() && self.agent.state() != State::SelfTest => Step::Fetch,
            None => Step::Online { ask: now },
        };
    }

    fn lost(&mut self, now: Duration) {
        self.open = None;
        self.todo.clear();
        self.forget_questions();
        // Perhaps nobody has heard it.
        self.told_gate = None;
        if let Step::Reset { .. } = self.step {
            // All is said, and the reset does not wait for who has not heard it.
            return;
        }
        self.failed = self.failed.saturating_add(1);
        let timers = self.settings.timers;
        let wait = timers.connect_again.after(self.failed, self.agent.random());
        let wait = wait.unwrap_or(timers.connect_again.longest);
        if self.peer == Peer::Files && self.failed > self.settings.timers.silences {
            self.agent.abort(Reason::Exhausted, now);
            self.step = Step::Fetch;
            return;
        }
        self.step = Step::Rest { until: now.saturating_add(wait) };
    }

    /// Tells the server, now or once there is a connection, and goes on as befits what is told.
    fn tell(&mut self, told: Told, now: Duration) {
        if self.open != Some(Peer::Broker) {
            self.untold = Some(told);
            return self.connect(Peer::Broker, now);
        }
        self.todo.push(Todo::Tell(told));
        let reset = now.saturating_add(self.settings.timers.reset);
        let given_back = self.agent.is_given_back();
        self.step = match told {
            Told::Receive(_) | Told::Waits(_) => return,
            Told::Ready => Step::Reset { at: reset },
            Told::Refused(_) | Told::Wrong(_) if given_back => Step::Reset { at: reset },
            Told::Active => Step::Online { ask: Duration::MAX },
            _ => Step::Online { ask: self.next_check(now) },
        };
        if !matches!(told, Told::Ready | Told::Active) {
            self.testing = false;
            self.silences = 0;
            self.agent.reported(now);
        }
    }

    fn next_check(&mut self, now: Duration) -> Duration {
        now.saturating_add(self.agent.random().jitter(self.settings.timers.next_check))
    }

    fn tell_failure(&mut self, reason: Reason, now: Duration) {
        let told = match reason {
            Reason::NotNewer { offered, running } if offered == running => Told::Refused(0x10),
            Reason::NotNewer { .. } => Told::Refused(0xf),
            Reason::StateMismatch => Told::Refused(0x11),
            Reason::Silent => Told::Refused(0xe),
            Reason::SelfTestFailed
            | Reason::SelfTestLate
            | Reason::Reverted
            | Reason::FailedBefore => Told::Refused(0),
            Reason::NotJson(_)
            | Reason::Missing(_)
            | Reason::Repeated(_)
            | Reason::WrongType(_)
            | Reason::TooLong(_)
            | Reason::BadValue(_) => Told::Wrong(0xc),
            Reason::HashDiffers
            | Reason::NotSigned
            | Reason::SignatureKind(_)
            | Reason::SignatureDiffers
            | Reason::ImageRefused
            | Reason::Archive(_) => Told::Wrong(0xe3),
            Reason::TooLarge { .. } | Reason::TooManyBlocks { .. } => Told::Wrong(0xe5),
            Reason::Storage(_) => Told::Wrong(0xe4),
            _ => Told::Refused(0x13),
        };
        self.tell(told, now);
    }

    /// The server tells of the next job.
    fn job_came(&mut self, payload: &[u8], now: Duration) {
        // What cannot be read or kept does not take the place of the job that is under way.
        let next = match NextJob::decode(payload) {
            Ok(next) => next,
            Err(reason) => return self.agent.refuse(reason, now),
        };
        let (len, max) = (payload.len(), self.job.len());
        if len > max {
            return self.agent.refuse(Reason::DocumentTooLong { len, max }, now);
        }
        self.unanswered = 0;
        if let Step::Fetch | Step::Reset { .. } = self.step {
            let same = next.execution.is_some_and(|it| it.job.is(self.job_id().text()));
            if same || matches!(self.step, Step::Reset { .. }) {
                // Its address may be another one by now.
                return self.keep(payload);
            }
            // It was taken back, or there is another one in its place.
            self.agent.abort(Reason::Cancelled, now);
            self.agent.reported(now);
            self.forget_questions();
            self.step = Step::Online { ask: now };
        }
        self.keep(payload);
        match self.plan() {
            Ok(Plan::Nothing) => self.nothing_to_do(now),
            Ok(Plan::Download) if self.agent.state() == State::SelfTest => {
                // Nobody has begun what runs here: back to what ran before.
                self.agent.give_back(Reason::StateMismatch);
                self.step = Step::Reset { at: now };
            }
            Ok(Plan::Download) => self.download(now),
            Ok(Plan::Tested { began }) => self.tested(began, now),
            Err(reason) => self.agent.refuse(reason, now),
        }
    }

    fn keep(&mut self, payload: &[u8]) {
        if let Some(room) = self.job.get_mut(..payload.len()) {
            room.copy_from_slice(payload);
            // Addresses are handed on as they lie in the job.
            self.job_len = json::plain(room);
        }
    }

    fn plan(&self) -> Result<Plan, Reason> {
        let Some(execution) = self.next()?.execution else { return Ok(Plan::Nothing) };
        let began = execution.details.began().map(Version::from_word);
        Ok(match execution.details.self_test {
            Some(_) => Plan::Tested { began },
            None => Plan::Download,
        })
    }

    fn nothing_to_do(&mut self, now: Duration) {
        match self.agent.state() {
            State::SelfTest if !self.testing => {
                self.agent.give_back(Reason::Cancelled);
                self.step = Step::Reset { at: now };
            }
            State::SelfTest => {}
            _ => {
                self.agent.reported(now);
                self.step = Step::Online { ask: self.next_check(now) };
            }
        }
    }

    fn tested(&mut self, began: Option<Version>, now: Duration) {
        let running = self.agent.running();
        let order = began.map_or(Ordering::Greater, |began| running.cmp(&began));
        let not_newer = Reason::NotNewer { offered: running, running: began.unwrap_or(running) };
        self.began = began;
        match (self.agent.state(), order) {
            // It says so itself by now, and what began it is not told any more.
            (State::SelfTest, _) if self.testing => {}
            (State::SelfTest, Ordering::Greater) => {
                self.testing = true;
                self.tell(Told::Active, now);
            }
            (State::SelfTest, _) => {
                self.agent.give_back(not_newer);
                self.tell_failure(not_newer, now);
            }
            // Also if it was said before, and the server has not heard it.
            _ if self.agent.has_accepted(self.job_id().text()) => {
                self.tell(Told::Succeeded, now);
            }
            (_, Ordering::Greater) => self.tell_failure(Reason::StateMismatch, now),
            _ => self.tell_failure(not_newer, now),
        }
    }

    fn download(&mut self, now: Duration) {
        if self.agent.state() == State::Accepted || self.agent.state() == State::Rejected {
            self.agent.reported(now);
        }
        let offered = self.offer(now);
        match offered {
            Ok(()) => {
                self.forget_questions();
                self.told_gate = None;
                self.step = Step::Fetch;
            }
            Err(reason) => {
                if self.agent.reason() != Some(reason) {
                    self.agent.refuse(reason, now);
                }
                self.tell_failure(reason, now);
            }
        }
    }

    fn offer(&mut self, now: Duration) -> Result<(), Reason> {
        let next = NextJob::decode(self.job.get(..self.job_len).unwrap_or_default())?;
        let execution = next.execution.ok_or(Reason::Missing("execution"))?;
        let job = OtaJob::of(execution.document.ok_or(Reason::Missing("jobDocument"))?)?;
        let mut buffer = [0; LONGEST_SIGNATURE];
        let mut certificate = [0; LONGEST_CERTIFICATE];
        let id = Label::<64>::of(execution.job).ok_or(Reason::TooLong("jobId"))?;
        let signature = match job.signature(&mut buffer)? {
            None => None,
            Some(bytes) => {
                let name = job.file.certificate.unwrap_or_default();
                let certificate = name.copied(&mut certificate);
                let certificate = certificate.filter(|name| name.len() <= LONGEST_CERTIFICATE);
                let certificate = certificate.ok_or(Reason::TooLong("certfile"))?;
                Some(Signature { bytes, certificate })
            }
        };
        let offer = Offer {
            id: id.text(),
            size: Some(job.file.size),
            signature,
            source: job.stream.or(job.file.path),
            ..Offer::default()
        };
        self.agent.offer(&offer, now)
    }

    fn message(&mut self, topic: &str, payload: &[u8], now: Duration) {
        let thing = self.settings.thing;
        let is_job = |which, answer| {
            let mut name = Label::<255>::EMPTY;
            job_topic(&mut name, thing, which, answer).is_ok() && name.text() == topic
        };
        if is_job(JobTopic::NotifyNext, Answer::Question)
            || is_job(JobTopic::NextGet, Answer::Accepted)
        {
            return self.job_came(payload, now);
        }
        let stream = self.current().and_then(|job| Label::<44>::of(job.stream?));
        let format = self.settings.format;
        let is_stream = |which| {
            let mut name = Label::<255>::EMPTY;
            stream.is_some_and(|stream| {
                stream_topic(&mut name, thing, stream.text(), which, format).is_ok()
            }) && name.text() == topic
        };
        if is_stream(StreamTopic::Data) {
            self.block(payload, now);
        } else if is_stream(StreamTopic::Rejected) {
            self.stream_refused(payload, now);
        }
        // Everything else is the application's, on the same connection.
    }
}

impl<P: Platform> Protocol for Device<'_, P> {
    fn start(&mut self, now: Duration) {
        let state = self.agent.start(now);
        let first = self.agent.random().jitter(self.settings.timers.first_check);
        let until = match state {
            Ok(State::SelfTest | State::Accepted | State::Rejected) => now,
            _ => now.saturating_add(first),
        };
        self.step = Step::Rest { until };
    }

    fn handle(&mut self, input: Input<'_>, now: Duration) {
        match input {
            Input::Opened if matches!(self.step, Step::Connect { .. }) => self.opened(now),
            Input::Opened => {}
            Input::Closed => match self.http.closed() {
                Ok(true) => {
                    self.open = None;
                    self.answered(now);
                }
                _ if self.open.is_some() || matches!(self.step, Step::Connect { .. }) => {
                    self.lost(now);
                }
                _ => {}
            },
            Input::Message { topic, payload } => self.message(topic, payload, now),
            Input::Bytes(bytes) => self.bytes(bytes, now),
        }
    }

    fn poll(&mut self, now: Duration) {
        match self.step {
            Step::Fetch => return self.fetch(now),
            Step::Reset { at } if now >= at => {
                self.step = Step::Rest { until: Duration::MAX };
                return self.agent.reset();
            }
            Step::Reset { .. } => return,
            _ => {}
        }
        // The test goes on, and ends, whether there is a connection or not; so does what is left to
        // be done once the blocks are there.
        if self.agent.deadline().is_some_and(|at| now >= at) {
            self.agent.poll(now);
        }
        match (self.step, self.agent.state()) {
            (_, State::Rejected) if self.agent.is_given_back() => {
                let reason = self.agent.reason().unwrap_or(Reason::SelfTestFailed);
                match self.open {
                    Some(_) => self.tell_failure(reason, now),
                    // Nobody hears it; the next one to ask tells by its version.
                    None => self.step = Step::Reset { at: now },
                }
            }
            (Step::Online { .. }, State::Accepted) if self.testing => {
                self.tell(Told::Succeeded, now);
            }
            (Step::Online { ask }, _) if now >= ask => {
                self.todo.push(Todo::AskJob);
                let timers = self.settings.timers;
                self.unanswered = self.unanswered.saturating_add(1);
                let ask = match self.unanswered > timers.silences {
                    true => self.next_check(now),
                    false => now.saturating_add(timers.gap),
                };
                self.step = Step::Online { ask };
            }
            (Step::Rest { until }, _) if now >= until => self.connect(self.peer, now),
            (Step::Connect { until }, _) if now >= until => {
                self.lost(now);
                self.todo.push(Todo::Close);
            }
            _ => {}
        }
    }

    fn output<'o>(&'o mut self, buffer: &'o mut [u8]) -> Option<Output<'o>> {
        let todo = self.todo.pop()?;
        self.write(todo, buffer)
    }

    fn deadline(&self) -> Option<Duration> {
        if !self.todo.is_empty() {
            return Some(Duration::ZERO);
        }
        let own = match self.step {
            Step::Fetch => return self.fetch_deadline(),
            Step::Online { .. } if self.testing && self.agent.state() != State::SelfTest => {
                Duration::ZERO
            }
            Step::Online { .. } | Step::Rest { .. } | Step::Connect { .. }
                if self.agent.is_failed_test() =>
            {
                Duration::ZERO
            }
            Step::Rest { until } | Step::Connect { until } => until,
            Step::Online { ask } => ask,
            Step::Reset { at } => at,
        };
        let test = match self.step {
            Step::Reset { .. } => None,
            _ => self.agent.deadline(),
        };
        Some(test.map_or(own, |test| test.min(own))).filter(|at| *at < Duration::MAX)
    }
}
