//! The device's side.

mod fetch;

use core::fmt::Write as _;
use core::time::Duration;

use super::{Base, Cancel, Deployment, Execution, Feedback, Finished};
use crate::agent::{Agent, Offer};
use crate::http::{Exchange, Method, Request, Url};
use crate::io::{Endpoint, Input, Output, Protocol, Queue};
use crate::json::{Text, Writer};
use crate::label::Label;
use crate::platform::{Answer as Consent, Platform};
use crate::timer::Retry;
use crate::{Gate, Reason, State};

/// A server that says more than that is asked nevertheless.
const LONGEST_SLEEP: Duration = Duration::from_secs(31 * 24 * 3600);

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// From the start to the first poll.
    pub first_check: Duration,
    /// From poll to poll, where the server does not say.
    pub next_check: Duration,
    /// For a connection.
    pub connect: Duration,
    /// For an answer.
    pub answer: Duration,
    /// Between tries; after the last one the next poll comes.
    pub again: Retry,
    /// From the last word to the reset.
    pub reset: Duration,
}

impl Default for Timers {
    /// A poll every 5 minutes; 30 s for connections and answers; again after 5 s and ever longer up
    /// to 5 min, 6 times.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            first_check: seconds(10),
            next_check: seconds(300),
            connect: seconds(30),
            answer: seconds(30),
            again: Retry { first: seconds(5), longest: seconds(300), tries: 6 },
            reset: seconds(1),
        }
    }
}

/// How the device is set up.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'c> {
    /// The server.
    pub server: Endpoint<'c>,
    /// The tenant.
    pub tenant: &'c str,
    /// What the device is called there.
    pub controller: &'c str,
    /// What stands in `Authorization`, such as `TargetToken abc`; empty for devices that are known
    /// by their certificate.
    pub authorization: &'c str,
    /// What the device tells of itself when asked: keys and values.
    pub attributes: &'c [(&'c str, &'c str)],
    /// How long is waited for what.
    pub timers: Timers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Rest { until: Duration },
    Connect { until: Duration },
    Again { at: Duration },
    Await { until: Duration },
    Fetch,
    Reset { at: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Poll,
    Deployment,
    Cancel,
    /// Tells that a cancellation was heeded, or comes too late.
    Cancelled {
        heeded: bool,
    },
    Config,
    /// Tells that an update may be done.
    Confirm,
    /// Tells how the update goes.
    Tell(Told),
    Part {
        offset: u32,
        len: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Begun,
    /// It has to wait, for this.
    Waits(Gate),
    /// It waits no more.
    GoesOn,
    Installed,
    Testing,
    Good,
    Bad(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Todo {
    Open,
    Close,
    Send,
}

/// Which server the connection is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Server,
    Files,
}

/// A device that polls a server like hawkBit.
#[derive(Debug)]
pub struct Device<'b, P: Platform> {
    agent: Agent<'b, P>,
    settings: Settings<'b>,
    http: Exchange<'b>,
    todo: Queue<Todo>,
    step: Step,
    ask: Ask,
    open: Option<Peer>,
    failed: u8,
    sleep: Duration,
    /// Paths of the update, of the cancellation or of what waits for consent, and of what the server
    /// wants to know.
    deployment: Label<255>,
    cancel: Label<255>,
    config: Label<255>,
    /// Address of the file.
    address: Label<512>,
    /// The server knows that the new image is being tested.
    told_testing: bool,
    /// When the server is asked again during an update: it may have taken it back.
    poll_at: Duration,
    /// What the server was told that the update waits for.
    told_gate: Option<Gate>,
}

impl<'b, P: Platform> Device<'b, P> {
    /// A device that keeps answers in `http`: at least a block, and the longest of the server's
    /// messages.
    pub fn new(agent: Agent<'b, P>, settings: Settings<'b>, http: &'b mut [u8]) -> Self {
        Self {
            agent,
            settings,
            http: Exchange::new(http),
            todo: Queue::new(),
            step: Step::Rest { until: Duration::MAX },
            ask: Ask::Poll,
            open: None,
            failed: 0,
            sleep: settings.timers.next_check,
            deployment: Label::EMPTY,
            cancel: Label::EMPTY,
            config: Label::EMPTY,
            address: Label::EMPTY,
            told_testing: false,
            poll_at: Duration::MAX,
            told_gate: None,
        }
    }

    /// The agent: state, reports, self-test.
    pub fn agent(&mut self) -> &mut Agent<'b, P> {
        &mut self.agent
    }

    fn peer(&self) -> Peer {
        let same = || {
            Url::split(self.address.text()).is_some_and(|url| url.server == self.settings.server)
        };
        match self.ask {
            Ask::Part { .. } if !same() => Peer::Files,
            _ => Peer::Server,
        }
    }

    /// Asks or tells something, on a connection that is there or is made for it.
    fn ask(&mut self, ask: Ask, now: Duration) {
        self.ask = ask;
        if self.open == Some(self.peer()) {
            return self.send(now);
        }
        self.disconnect();
        self.todo.push(Todo::Open);
        self.step = Step::Connect { until: now.saturating_add(self.settings.timers.connect) };
    }

    fn send(&mut self, now: Duration) {
        self.http.begin(match self.ask {
            Ask::Part { offset, len } => Some((offset, len)),
            _ => None,
        });
        self.todo.push(Todo::Send);
        self.step = Step::Await { until: now.saturating_add(self.settings.timers.answer) };
    }

    fn disconnect(&mut self) {
        if self.open.take().is_some() {
            self.todo.push(Todo::Close);
        }
    }

    fn rest(&mut self, now: Duration) {
        self.disconnect();
        let wait = self.agent.random().jitter(self.sleep);
        self.step = Step::Rest { until: now.saturating_add(wait) };
    }

    /// Back to the update that is under way, or to rest up to the next poll.
    fn go_on(&mut self, now: Duration) {
        if !self.agent.is_busy() || self.agent.state() == State::SelfTest {
            return self.rest(now);
        }
        self.poll_at = now.saturating_add(self.agent.random().jitter(self.sleep));
        self.step = Step::Fetch;
    }

    /// The question has no answer, or no good one.
    fn lost(&mut self, reason: Reason, now: Duration) {
        self.todo.clear();
        self.disconnect();
        if self.ask == Ask::Poll && self.agent.is_busy() {
            // The update need not wait for it.
            return self.go_on(now);
        }
        self.failed = self.failed.saturating_add(1);
        let wait = self.settings.timers.again.after(self.failed, self.agent.random());
        if let Some(wait) = wait {
            self.step = Step::Again { at: now.saturating_add(wait) };
            return;
        }
        self.failed = 0;
        match self.ask {
            Ask::Part { .. } => {
                self.agent.abort(reason, now);
                self.step = Step::Fetch;
            }
            // The next boot tells.
            Ask::Tell(Told::Installed) => self.go_for_reset(now),
            _ => self.go_on(now),
        }
    }

    fn go_for_reset(&mut self, now: Duration) {
        self.disconnect();
        self.step = Step::Reset { at: now.saturating_add(self.settings.timers.reset) };
    }

    fn keep<const N: usize>(to: &mut Label<N>, link: Option<Text<'_>>) -> Result<bool, Reason> {
        let Some(link) = link else {
            *to = Label::EMPTY;
            return Ok(false);
        };
        *to = Label::of(link).ok_or(Reason::TooLong("href"))?;
        Ok(true)
    }

    fn polled(&mut self, now: Duration) -> Result<(), Reason> {
        let Some(answer) = self.http.answer() else { return Ok(()) };
        let base = Base::decode(answer.good()?)?;
        if let Some(sleep) = base.sleep.filter(|sleep| *sleep > Duration::ZERO) {
            self.sleep = sleep.min(LONGEST_SLEEP);
        }
        let cancels = Self::keep(&mut self.cancel, base.cancel)?;
        // An action that is cancelled is not waited for, so that there is never both.
        let waits = !cancels && Self::keep(&mut self.cancel, base.confirmation)?;
        let updates = Self::keep(&mut self.deployment, base.deployment)?;
        let asks = Self::keep(&mut self.config, base.config_data)?;
        // hawkBit takes no empty list of attributes, and asks again.
        let asks = asks && !self.settings.attributes.is_empty();
        let busy = self.agent.is_busy() && self.agent.state() != State::SelfTest;
        match (cancels, asks, updates) {
            (true, ..) => self.ask(Ask::Cancel, now),
            _ if busy => self.go_on(now),
            (_, true, _) => self.ask(Ask::Config, now),
            _ if waits && self.agent.platform().gate(Gate::User) == Consent::Go => {
                self.ask(Ask::Confirm, now);
            }
            (.., true) => self.ask(Ask::Deployment, now),
            _ => {
                if self.agent.state() != State::SelfTest {
                    self.agent.reported(now);
                }
                self.rest(now);
            }
        }
        Ok(())
    }

    fn cancelled(&mut self, now: Duration) -> Result<(), Reason> {
        let Some(answer) = self.http.answer() else { return Ok(()) };
        let cancel = Cancel::decode(answer.good()?)?;
        let ours = cancel.stop.is(self.agent.job_id());
        let late = ours && matches!(self.agent.state(), State::SelfTest | State::Accepted);
        if ours && !late {
            self.agent.abort(Reason::Cancelled, now);
            self.agent.reported(now);
        }
        self.ask(Ask::Cancelled { heeded: !late }, now);
        Ok(())
    }

    fn deployed(&mut self, now: Duration) -> Result<(), Reason> {
        let Some(answer) = self.http.answer() else { return Ok(()) };
        let deployment = Deployment::decode(answer.good()?)?;
        let ours = deployment.id.is(self.agent.job_id());
        let told = match self.agent.state() {
            State::SelfTest if self.told_testing => None,
            State::SelfTest if ours => Some(Told::Testing),
            State::SelfTest => None,
            State::Accepted if ours => Some(Told::Good),
            State::Rejected if ours => {
                Some(Told::Bad(self.agent.reason().unwrap_or(Reason::Reverted)))
            }
            _ if deployment.waits || deployment.rests => None,
            _ => {
                self.agent.reported(now);
                let id = Label::<72>::of(deployment.id).ok_or(Reason::TooLong("id"))?;
                self.address = deployment
                    .artifact
                    .address
                    .and_then(Label::of)
                    .ok_or(Reason::TooLong("href"))?;
                Url::split(self.address.text()).ok_or(Reason::BadValue("href"))?;
                let offer = Offer {
                    id: id.text(),
                    size: Some(deployment.artifact.size),
                    sha256: deployment.artifact.sha256,
                    source: deployment.artifact.name,
                    ..Offer::default()
                };
                self.told_gate = None;
                match self.agent.offer(&offer, now) {
                    Ok(()) => Some(Told::Begun),
                    Err(reason) => Some(Told::Bad(reason)),
                }
            }
        };
        match told {
            Some(told) => self.ask(Ask::Tell(told), now),
            None => self.rest(now),
        }
        Ok(())
    }

    /// What was told was heard.
    fn heard(&mut self, told: Told, now: Duration) {
        match told {
            Told::Begun => self.go_on(now),
            // The next poll is still due when it was.
            Told::Waits(_) | Told::GoesOn => self.step = Step::Fetch,
            Told::Installed => self.go_for_reset(now),
            Told::Testing => {
                self.told_testing = true;
                self.rest(now);
            }
            Told::Good => {
                self.agent.reported(now);
                self.rest(now);
            }
            Told::Bad(_) => {
                let given_back = self.agent.is_given_back();
                self.agent.reported(now);
                if given_back { self.go_for_reset(now) } else { self.rest(now) }
            }
        }
    }

    fn request<'o>(&self, buffer: &'o mut [u8]) -> Option<&'o [u8]> {
        let Settings { server, tenant, controller, authorization, .. } = self.settings;
        let mut path = Label::<512>::EMPTY;
        let mut body = [0; 512];
        let (mut method, mut len, mut range) = (Method::Get, 0, None);
        let mut to = server;
        let path_of = |link: &Label<255>| {
            Url::split(link.text()).and_then(|url| Label::<512>::of(url.path)).unwrap_or_default()
        };
        match self.ask {
            Ask::Poll => write!(path, "/{tenant}/controller/v1/{controller}").ok()?,
            Ask::Deployment => path = path_of(&self.deployment),
            Ask::Cancel => path = path_of(&self.cancel),
            Ask::Config => {
                (method, path) = (Method::Put, path_of(&self.config));
                let mut writer = Writer::new(&mut body);
                writer.begin("{").key("data").begin("{");
                for (key, value) in self.settings.attributes {
                    writer.member(key, Some(Text::new(value)));
                }
                writer.end("}").member("mode", Some(Text::new("merge"))).end("}");
                len = writer.finish().ok()?;
            }
            Ask::Cancelled { .. } | Ask::Confirm | Ask::Tell(_) => {
                let link = match self.ask {
                    Ask::Cancelled { .. } | Ask::Confirm => &self.cancel,
                    _ => &self.deployment,
                };
                let whole = path_of(link);
                let bare = whole.text().split('?').next().unwrap_or_default();
                (method, path) = (Method::Post, Label::EMPTY);
                write!(path, "{bare}/feedback").ok()?;
                let mut words = Label::<128>::EMPTY;
                len = match self.ask {
                    Ask::Confirm => {
                        let mut writer = Writer::new(&mut body);
                        writer.begin("{").member("confirmation", Some(Text::new("confirmed")));
                        writer.end("}");
                        writer.finish().ok()?
                    }
                    _ => self.feedback(&mut words).encode(&mut body).ok()?,
                };
            }
            Ask::Part { offset, len } => {
                let url = Url::split(self.address.text())?;
                (path, range) = (Label::of(url.path)?, Some((offset, len)));
                to = url.server;
                // Who else has the file is not told the device's secret.
                let known = [("Authorization", authorization)];
                let known = if to == server { &known[..] } else { &[] };
                let known = if authorization.is_empty() { &[] } else { known };
                let get = Request::get(to.host, to.other_port(), Text::new(path.text()));
                let len = Request { range, fields: known, ..get }.encode(buffer).ok()?;
                return buffer.get(..len);
            }
        }
        let fields = [("Accept", "application/json"), ("Authorization", authorization)];
        let count = if authorization.is_empty() { 1 } else { 2 };
        let body = (method != Method::Get).then(|| body.get(..len)).flatten();
        let request = Request {
            method,
            range,
            fields: fields.get(..count)?,
            body: body.map(|body| ("application/json", body)),
            ..Request::get(to.host, to.other_port(), Text::new(path.text()))
        };
        let len = request.encode(buffer).ok()?;
        buffer.get(..len)
    }

    fn feedback<'l>(&self, words: &'l mut Label<128>) -> Feedback<'l> {
        let (execution, finished) = match self.ask {
            Ask::Tell(Told::Bad(_)) => (Execution::Closed, Finished::Failure),
            Ask::Tell(Told::Good) | Ask::Cancelled { heeded: true } => {
                (Execution::Closed, Finished::Success)
            }
            Ask::Cancelled { heeded: false } => (Execution::Rejected, Finished::None),
            _ => (Execution::Proceeding, Finished::None),
        };
        let text = match self.ask {
            Ask::Tell(Told::Begun) => "begun",
            Ask::Tell(Told::GoesOn) => "goes on",
            Ask::Tell(Told::Installed) => "downloaded, verified, to be started",
            Ask::Tell(Told::Testing) => "started, being tested",
            Ask::Tell(Told::Good) => "accepted",
            Ask::Cancelled { heeded: false } => "it runs already",
            _ => "",
        };
        // What does not fit is left out.
        let _ = match self.ask {
            Ask::Tell(Told::Bad(reason)) => write!(words, "{reason}"),
            Ask::Tell(Told::Waits(gate)) => write!(words, "waits: {}", gate.name()),
            _ => words.write_str(text),
        };
        let (held, blocks) = self.agent.progress();
        Feedback {
            execution,
            finished,
            progress: (blocks > 0).then_some((held, blocks)),
            details: Some(Text::new(words.text())).filter(|words| !words.is_empty()),
        }
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
            Input::Opened if matches!(self.step, Step::Connect { .. }) => {
                self.open = Some(self.peer());
                self.send(now);
            }
            Input::Opened | Input::Message { .. } => {}
            Input::Closed => match (self.http.closed(), self.step) {
                (Ok(true), _) => {
                    self.open = None;
                    self.answered(now);
                }
                (Err(reason), _) => {
                    self.open = None;
                    self.lost(reason, now);
                }
                (_, Step::Connect { .. } | Step::Await { .. }) => {
                    self.open = None;
                    self.lost(Reason::Lost, now);
                }
                _ => self.open = None,
            },
            Input::Bytes(bytes) => self.bytes(bytes, now),
        }
    }

    fn poll(&mut self, now: Duration) {
        if self.agent.state() == State::SelfTest {
            self.agent.poll(now);
        }
        match self.step {
            Step::Fetch => self.fetch(now),
            Step::Reset { at } if now >= at => {
                self.step = Step::Rest { until: Duration::MAX };
                self.agent.reset();
            }
            Step::Rest { until } => {
                let over = match self.agent.state() {
                    // The test is over: the server wants to know.
                    State::Accepted => self.told_testing,
                    State::Rejected => self.agent.is_given_back(),
                    _ => false,
                };
                if over && self.told_testing {
                    self.told_testing = false;
                    let told = match self.agent.state() {
                        State::Accepted => Told::Good,
                        _ => Told::Bad(self.agent.reason().unwrap_or(Reason::SelfTestFailed)),
                    };
                    self.ask(Ask::Tell(told), now);
                } else if over {
                    self.step = Step::Reset { at: now };
                } else if now >= until {
                    self.ask(Ask::Poll, now);
                }
            }
            Step::Connect { until } | Step::Await { until } if now >= until => {
                self.lost(Reason::Silent, now);
                // Also of one that was never made.
                self.todo.push(Todo::Close);
            }
            Step::Again { at } if now >= at => self.ask(self.ask, now),
            _ => {}
        }
    }

    fn output<'o>(&'o mut self, buffer: &'o mut [u8]) -> Option<Output<'o>> {
        match self.todo.pop()? {
            Todo::Open if self.peer() == Peer::Files => {
                Url::split(self.address.text()).map(|url| Output::Open(url.server))
            }
            Todo::Open => Some(Output::Open(self.settings.server)),
            Todo::Close => Some(Output::Close),
            Todo::Send => self.request(buffer).map(Output::Send),
        }
    }

    fn deadline(&self) -> Option<Duration> {
        if !self.todo.is_empty() {
            return Some(Duration::ZERO);
        }
        let own = match self.step {
            // To hang up: the server need not wait.
            Step::Fetch if self.agent.deferral().is_some() && self.open.is_some() => Duration::ZERO,
            Step::Fetch => self.agent.deadline().unwrap_or(Duration::ZERO).min(self.poll_at),
            Step::Rest { .. } if self.agent.is_failed_test() => Duration::ZERO,
            Step::Reset { at } => return Some(at).filter(|at| *at < Duration::MAX),
            Step::Rest { .. } if self.told_testing && self.agent.state() != State::SelfTest => {
                Duration::ZERO
            }
            Step::Rest { until } | Step::Connect { until } | Step::Await { until } => until,
            Step::Again { at } => at,
        };
        let test = match self.agent.state() {
            State::SelfTest => self.agent.deadline(),
            _ => None,
        };
        Some(test.map_or(own, |test| test.min(own))).filter(|at| *at < Duration::MAX)
    }
}
