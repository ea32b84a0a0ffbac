//! The device's side.

mod fetch;
mod settings;

use core::fmt::Write as _;
use core::time::Duration;

use super::{Connection, Document, Job, LONGEST_DOCUMENT, Message};
use super::{device_topic, notify_topic, shared_topic, unique_topic};
use crate::agent::{Agent, Offer};
use crate::http::{Exchange, Method, Request};
use crate::io::{Endpoint, Input, Output, Protocol, Queue, Transport};
use crate::json::Text;
use crate::label::Label;
use crate::platform::Platform;
use crate::{Reason, State, Version};

pub use settings::{Flow, Identity, Settings, Timers};

/// Why the device is on the line, or wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Job,
    Data,
    Result,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing is to be done before; `None`: not before something happens.
    Rest { until: Option<Duration> },
    /// A connection is being made.
    Connect { until: Duration },
    /// It could not be made, or was lost.
    Again { at: Duration },
    /// A job was asked for.
    Job { until: Duration },
    /// The agent fetches, verifies, marks.
    Fetch,
    /// The result was sent.
    Result { until: Duration },
    /// All is said.
    Reset { at: Duration },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Todo {
    Open,
    Close,
    Subscribe,
    SubscribeShared,
    /// Sends what the purpose asks for.
    Ask,
}

/// What was asked for last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    /// The whole image, or one chunk of it.
    Image,
    Part {
        offset: u32,
        len: u32,
    },
}

/// A device that speaks Infineon's protocol.
#[derive(Debug)]
pub struct Device<'b, P: Platform> {
    agent: Agent<'b, P>,
    settings: Settings<'b>,
    /// The job as it came.
    job: &'b mut [u8],
    job_len: usize,
    http: Exchange<'b>,
    todo: Queue<Todo>,
    step: Step,
    purpose: Purpose,
    /// A connection is there, to the server with the data if so.
    open: Option<Purpose>,
    /// The topic of this session.
    unique: Label<255>,
    session: u16,
    /// Connections that failed one after the other.
    failed: u8,
    /// Attempts at this update that failed.
    sessions: u8,
    asked: Asked,
    /// Chunk by chunk from now on.
    piecewise: bool,
    /// When what was asked for is given up.
    gap: Option<Duration>,
    /// When the download is given up.
    end: Option<Duration>,
    /// Times that nothing came one after the other.
    silences: u8,
    /// The version that all chunks must have.
    version: Option<Version>,
    good: bool,
}

impl<'b, P: Platform> Device<'b, P> {
    /// A device that keeps jobs in `job`, 1,024 bytes, and parts of files in `http`, at least a
    /// block and 1,024 bytes; that one may be empty if no server speaks HTTP.
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
            step: Step::Rest { until: None },
            purpose: Purpose::Job,
            open: None,
            unique: Label::EMPTY,
            session: settings.session,
            failed: 0,
            sessions: 0,
            asked: Asked::Nothing,
            piecewise: false,
            gap: None,
            end: None,
            silences: 0,
            version: None,
            good: false,
        }
    }

    /// The agent: state, reports, self-test.
    pub fn agent(&mut self) -> &mut Agent<'b, P> {
        &mut self.agent
    }

    /// Asks for a job now; `false` if the device is at something else.
    pub fn check_now(&mut self, now: Duration) -> bool {
        let rests = matches!(self.step, Step::Rest { .. }) && !self.agent.is_busy();
        if rests {
            self.begin(now);
        }
        rests
    }

    /// Breaks the update off, and tells the server.
    pub fn abort(&mut self, now: Duration) {
        self.agent.abort(Reason::Aborted, now);
        if self.step == Step::Fetch {
            self.poll(now);
        }
    }

    fn document(&self) -> Document<'_> {
        Document::decode(self.job.get(..self.job_len).unwrap_or_default()).unwrap_or_default()
    }

    /// The job; in the direct flow there is none.
    fn current(&self) -> Option<Job<'_>> {
        self.document().job().ok()
    }

    /// The server with the image: the job's, where it names one.
    fn data_server(&self) -> Endpoint<'_> {
        let first = self.settings.server;
        let Some(job) = self.current() else { return first };
        let transport = job.connection.transport();
        let other = transport != first.transport;
        // What the job leaves out is as it is now; a port only if that can be.
        let kept = if other && job.server.is_some() { transport.port() } else { first.port };
        Endpoint {
            transport,
            host: job.server.unwrap_or(first.host),
            port: job.port.unwrap_or(kept),
        }
    }

    fn server(&self, purpose: Purpose) -> Endpoint<'_> {
        match purpose {
            Purpose::Data => self.data_server(),
            Purpose::Job | Purpose::Result => self.settings.server,
        }
    }

    fn is_redirected(&self) -> bool {
        self.data_server() != self.settings.server
    }

    /// Whether the connection that is there serves `purpose`.
    fn serves(&self, purpose: Purpose) -> bool {
        self.open.is_some_and(|open| self.server(open) == self.server(purpose))
    }

    /// Begins a session.
    fn begin(&mut self, now: Duration) {
        self.session = self.session.wrapping_add(1);
        self.unique = Label::EMPTY;
        let Settings { prefix, device, .. } = self.settings;
        let (board, to) = (self.agent.config().board, &mut self.unique);
        let written = match device {
            Some(device) => device_topic(to, prefix, board, device, self.session),
            None => unique_topic(to, prefix, board, self.session),
        };
        if written.is_err() {
            self.unique = Label::EMPTY;
        }
        (self.job_len, self.failed, self.silences) = (0, 0, 0);
        (self.asked, self.gap, self.end, self.version) = (Asked::Nothing, None, None, None);
        self.piecewise = self.settings.piecewise;
        match self.settings.flow {
            Flow::Job => self.connect(Purpose::Job, now),
            Flow::Direct => {
                let offer = Offer { source: Some(self.settings.file), ..Offer::default() };
                match self.agent.offer(&offer, now) {
                    Ok(()) => self.step = Step::Fetch,
                    Err(reason) => self.finish(Some(reason), now),
                }
            }
        }
    }

    fn connect(&mut self, purpose: Purpose, now: Duration) {
        self.purpose = purpose;
        if self.serves(purpose) {
            self.open = Some(purpose);
            return self.opened(now);
        }
        self.disconnect();
        self.todo.push(Todo::Open);
        let until = now.saturating_add(self.settings.timers.connect);
        self.step = Step::Connect { until };
    }

    fn disconnect(&mut self) {
        if self.open.take().is_some() {
            self.todo.push(Todo::Close);
        }
    }

    fn opened(&mut self, now: Duration) {
        let timers = self.settings.timers;
        match self.purpose {
            Purpose::Job => {
                self.ask();
                self.step = Step::Job { until: now.saturating_add(timers.job) };
            }
            Purpose::Data => {
                (self.asked, self.gap) = (Asked::Nothing, None);
                self.step = Step::Fetch;
            }
            Purpose::Result => {
                self.ask();
                self.step = Step::Result { until: now.saturating_add(timers.result) };
            }
        }
    }

    /// The connection could not be made, or was lost.
    fn lost(&mut self, reason: Reason, now: Duration) {
        self.open = None;
        self.todo.clear();
        (self.asked, self.gap) = (Asked::Nothing, None);
        self.failed = self.failed.saturating_add(1);
        let wait = self.settings.timers.connect_again.after(self.failed, self.agent.random());
        match wait {
            Some(wait) => self.step = Step::Again { at: now.saturating_add(wait) },
            None if self.purpose == Purpose::Result => self.close_session(now),
            // Who has sent the job can be told.
            None if self.purpose == Purpose::Data && self.is_redirected() => {
                self.agent.abort(Reason::Exhausted, now);
                self.ended(false, now);
            }
            // There is no update yet that could be broken off, and yet it is to be told.
            None if !self.agent.is_busy() => {
                self.agent.refuse(reason, now);
                self.finish(Some(reason), now);
            }
            None => {
                self.agent.abort(Reason::Exhausted, now);
                self.finish(Some(reason), now);
            }
        }
    }

    /// The session ends without an image that was marked.
    fn finish(&mut self, reason: Option<Reason>, now: Duration) {
        self.agent.reported(now);
        self.disconnect();
        let timers = self.settings.timers;
        let again = match reason {
            Some(reason) if reason.may_pass() => {
                self.sessions = self.sessions.saturating_add(1);
                timers.session_again.after(self.sessions, self.agent.random())
            }
            _ => None,
        };
        let wait = again.unwrap_or_else(|| {
            self.sessions = 0;
            self.agent.random().jitter(timers.next_check)
        });
        self.step = Step::Rest { until: Some(now.saturating_add(wait)) };
    }

    /// Keeps an answer to the question for a job.
    fn keep_job(&mut self, payload: &[u8]) -> Result<(), Reason> {
        let (len, max) = (payload.len(), LONGEST_DOCUMENT.min(self.job.len()));
        let room = self.job.get_mut(..len).filter(|_| len <= max);
        room.ok_or(Reason::DocumentTooLong { len, max })?.copy_from_slice(payload);
        self.job_len = len;
        Ok(())
    }

    /// Makes of it what there is to be made.
    fn take_job(&mut self, kept: Result<(), Reason>, now: Duration) {
        let bytes = self.job.get(..self.job_len).unwrap_or_default();
        let document = kept.and_then(|()| Document::decode(bytes));
        let job = document.and_then(|document| match document.kind() {
            // Who leaves it out, or has another word for it, still sends a job.
            None | Some(Message::Available) => document.job().map(Some),
            Some(_) => Ok(None),
        });
        let no_http = self.http.room() == 0;
        let job = job.and_then(|job| match job {
            Some(job) if job.connection != Connection::Mqtt && no_http => {
                Err(Reason::BadValue("Connection"))
            }
            job => Ok(job),
        });
        let offered = match job {
            Ok(Some(job)) => {
                let (board, version) = (Some(job.board), Some(job.version));
                let offer = Offer { board, version, source: job.file, ..Offer::default() };
                self.agent.offer(&offer, now).is_ok()
            }
            Ok(None) => false,
            Err(reason) => {
                self.agent.refuse(reason, now);
                false
            }
        };
        match offered {
            true => self.step = Step::Fetch,
            // Nothing was begun, and there is nothing to tell.
            false => self.finish(None, now),
        }
    }

    /// The agent is done with the image, one way or the other.
    fn ended(&mut self, good: bool, now: Duration) {
        (self.good, self.gap, self.end) = (good, None, None);
        (self.failed, self.silences, self.asked) = (0, 0, Asked::Nothing);
        if self.settings.sends_result && self.settings.flow == Flow::Job {
            self.connect(Purpose::Result, now);
        } else {
            self.close_session(now);
        }
    }

    fn close_session(&mut self, now: Duration) {
        self.disconnect();
        if self.agent.is_activated() {
            let at = now.saturating_add(self.settings.timers.reset);
            self.step = Step::Reset { at };
        } else {
            self.finish(self.agent.reason(), now);
        }
    }

    /// Sends what the purpose asks for.
    fn ask(&mut self) {
        if self.server(self.purpose).transport.is_http() {
            self.http.begin(match self.asked {
                Asked::Part { offset, len } if self.purpose == Purpose::Data => Some((offset, len)),
                _ => None,
            });
        }
        self.todo.push(Todo::Ask);
    }

    fn message(&mut self, topic: &str, payload: &[u8], now: Duration) {
        let mut shared = Label::<255>::EMPTY;
        let board = self.agent.config().board;
        let is_shared = self.settings.flow == Flow::Direct
            && shared_topic(&mut shared, self.settings.prefix, board).is_ok()
            && topic == shared.text();
        if topic != self.unique.text() && !is_shared {
            // The application's, on the same connection.
            return;
        }
        match self.step {
            Step::Job { .. } if !is_shared => {
                let kept = self.keep_job(payload);
                self.take_job(kept, now);
            }
            Step::Fetch => self.chunk(payload, now),
            Step::Result { .. } => {
                let answer = Document::decode(payload).ok().and_then(|answer| answer.kind());
                if answer == Some(Message::ResultReceived) {
                    self.close_session(now);
                }
            }
            // What comes late, or twice.
            _ => {}
        }
    }

    fn write_mqtt<'o>(&mut self, buffer: &'o mut [u8]) -> Option<Output<'o>> {
        let Settings { prefix, spelling, identity, file, flow, .. } = self.settings;
        let board = self.agent.config().board;
        let mut topic = Label::<255>::EMPTY;
        notify_topic(&mut topic, prefix, board).ok()?;
        let mut running = Label::<20>::EMPTY;
        write!(running, "{}", self.agent.running()).ok()?;
        let (mut offset, mut size) = (Label::<10>::EMPTY, Label::<10>::EMPTY);
        let message = match (self.purpose, self.asked) {
            (Purpose::Job, _) => Message::Availability,
            (Purpose::Data, Asked::Part { offset: from, .. }) => {
                // Always whole pieces, the last one too: the publisher counts by their size.
                write!(offset, "{from}")
                    .and_then(|()| write!(size, "{}", self.agent.block_size()))
                    .ok()?;
                Message::RequestChunk
            }
            (Purpose::Data, _) if flow == Flow::Direct => Message::DirectUpdate,
            (Purpose::Data, _) => Message::RequestUpdate,
            (Purpose::Result, _) if self.good => Message::Success,
            (Purpose::Result, _) => Message::Failure,
        };
        let job_file = self.current().and_then(|job| job.file);
        let mut document = Document {
            message: Some(Text::new(message.name())),
            unique_topic: Some(Text::new(self.unique.text())),
            ..Document::default()
        };
        if self.purpose != Purpose::Result {
            document = Document {
                manufacturer: Some(Text::new(identity.manufacturer)),
                manufacturer_id: Some(Text::new(identity.manufacturer_id)),
                product: Some(Text::new(identity.product)),
                serial_number: Some(Text::new(identity.serial_number)),
                board: Some(Text::new(board)),
                version: Some(Text::new(running.text())),
                ..document
            };
        }
        if message == Message::RequestChunk {
            document.file = job_file.or(Some(file)).filter(|file| !file.is_empty());
            document.offset = Some(Text::new(offset.text()));
            document.size = Some(Text::new(size.text()));
        }
        Output::publish(&topic, true, buffer, |to| document.encode(spelling, to).ok())
    }

    fn write_http<'o>(&self, buffer: &'o mut [u8]) -> Option<Output<'o>> {
        let server = self.server(self.purpose);
        let port = server.other_port();
        let file = self.current().and_then(|job| job.file).unwrap_or(self.settings.file);
        let mut body = [0; 384];
        let request = match (self.purpose, self.asked) {
            (Purpose::Job, _) => Request::get(server.host, port, self.settings.file),
            (Purpose::Data, Asked::Part { offset, len }) => {
                let get = Request::get(server.host, port, file);
                Request { range: Some((offset, len)), ..get }
            }
            (Purpose::Data, _) => return None,
            (Purpose::Result, _) => {
                let message = if self.good { Message::Success } else { Message::Failure };
                let result = Document {
                    message: Some(Text::new(message.name())),
                    file: Some(file),
                    ..Document::default()
                };
                let len = result.encode(super::Spelling::Job, &mut body).ok()?;
                let body = Some(("application/json", body.get(..len)?));
                Request { method: Method::Post, body, ..Request::get(server.host, port, file) }
            }
        };
        let len = request.encode(buffer).ok()?;
        Some(Output::Send(buffer.get(..len)?))
    }
}

impl<P: Platform> Protocol for Device<'_, P> {
    fn start(&mut self, now: Duration) {
        let state = self.agent.start(now);
        let first = self.agent.random().jitter(self.settings.timers.first_check);
        let mut until = Some(now.saturating_add(first));
        match state {
            Ok(State::SelfTest) => until = None,
            // The publisher learns of it by the version that asks next.
            Ok(State::Accepted | State::Rejected) => self.agent.reported(now),
            _ => {}
        }
        self.step = Step::Rest { until };
    }

    fn handle(&mut self, input: Input<'_>, now: Duration) {
        match input {
            Input::Opened if matches!(self.step, Step::Connect { .. }) => {
                self.open = Some(self.purpose);
                if self.server(self.purpose).transport == Transport::Mqtt {
                    self.todo.push(Todo::Subscribe);
                    if self.settings.flow == Flow::Direct {
                        self.todo.push(Todo::SubscribeShared);
                    }
                }
                self.opened(now);
            }
            Input::Opened => {}
            Input::Closed => match self.http.closed() {
                Ok(true) => {
                    self.open = None;
                    self.answered(now);
                }
                Ok(false) => self.closed(Reason::Lost, now),
                Err(reason) => self.closed(reason, now),
            },
            Input::Message { topic, payload } => self.message(topic, payload, now),
            Input::Bytes(bytes) => self.bytes(bytes, now),
        }
    }

    fn poll(&mut self, now: Duration) {
        match self.step {
            Step::Rest { until } => self.rest(until, now),
            Step::Connect { until } if now >= until => {
                self.lost(Reason::Silent, now);
                self.todo.push(Todo::Close);
            }
            Step::Again { at } if now >= at => self.connect(self.purpose, now),
            // A publisher that has nothing does not answer; a file server would.
            Step::Job { until } if now >= until => match self.settings.server.transport {
                Transport::Mqtt => self.finish(None, now),
                _ => {
                    self.lost(Reason::Silent, now);
                    self.todo.push(Todo::Close);
                }
            },
            Step::Result { until } if now >= until => self.close_session(now),
            Step::Fetch => self.fetch(now),
            Step::Reset { at } if now >= at => {
                self.step = Step::Rest { until: None };
                self.agent.reset();
            }
            _ => {}
        }
    }

    fn output<'o>(&'o mut self, buffer: &'o mut [u8]) -> Option<Output<'o>> {
        match self.todo.pop()? {
            Todo::Open => Some(Output::Open(self.server(self.purpose))),
            Todo::Close => Some(Output::Close),
            Todo::Subscribe => Some(Output::Subscribe(self.unique.text())),
            Todo::SubscribeShared => {
                let mut topic = Label::<255>::EMPTY;
                shared_topic(&mut topic, self.settings.prefix, self.agent.config().board).ok()?;
                Output::subscribe(&topic, buffer)
            }
            Todo::Ask if self.server(self.purpose).transport.is_http() => self.write_http(buffer),
            Todo::Ask => self.write_mqtt(buffer),
        }
    }

    fn deadline(&self) -> Option<Duration> {
        if !self.todo.is_empty() {
            return Some(Duration::ZERO);
        }
        match self.step {
            // The test is over, and nobody need wait for anything.
            Step::Rest { .. } if self.agent.is_decided() => Some(Duration::ZERO),
            Step::Rest { until: None } => self.agent.deadline(),
            Step::Rest { until } => until,
            Step::Connect { until } | Step::Job { until } | Step::Result { until } => Some(until),
            Step::Again { at } | Step::Reset { at } => Some(at),
            Step::Fetch => self.fetch_deadline(),
        }
    }
}
