//! The service's side of AWS IoT's updates, for a lab and for tests: one job for every thing that asks,
//! its image in a stream, reports taken. No account, and nothing of what makes it a cloud.
//!
//! ```text
//!  thing                        broker                          Service
//!    │ $next/get, start-next ─▶ …/jobs/… ──────────────────────▶ │ the job, as it stands
//!    │ ◀──── …/accepted, and notify-next for who does not listen │
//!    │ streams/S/get/cbor ─────────────────────────────────────▶ │ the blocks of the bitmap
//!    │ jobs/J/update ──────────────────────────────────────────▶ │ accepted or rejected; an Event
//! ```
//! AWS's broker sends answers to who has asked, also without a subscription. On other brokers they
//! would be lost for AWS's own agent, so that every answer with a job is published as `notify-next`
//! as well.
//!
//! How a job stands is kept in memory: who starts this anew begins all jobs anew.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use updraft_ota::aws::{
    Accepted, Answer, Asked, Block, BlockRequest, Describe, Description, Details, Execution, File,
    Format, JobTopic, NextJob, Objection, OtaJob, Refused, Rejected, Status, StreamTopic, Times,
    Update, asked, job_topic, stream_topic, update_topic,
};
use updraft_ota::json::Text;
use updraft_ota::{Endpoint, Input, Output, Protocol, Random, Reason, Retry, Transport};

/// Events that nobody has asked for yet; the oldest go.
const MOST_EVENTS: usize = 10_000;
/// Messages that wait to be sent; a thing that asks for more is not answered.
const MOST_WAITING: usize = 10_000;
/// The version of the stream.
const STREAM_VERSION: u32 = 1;
/// What things publish to.
const FILTERS: [&str; 6] = [
    "$aws/things/+/jobs/start-next",
    "$aws/things/+/jobs/get",
    "$aws/things/+/jobs/+/get",
    "$aws/things/+/jobs/+/update",
    "$aws/things/+/streams/+/get/+",
    "$aws/things/+/streams/+/describe/+",
];

/// An update.
#[derive(Clone, Debug)]
pub struct Job {
    /// The job's id.
    pub id: String,
    /// The stream with the image.
    pub stream: String,
    /// The image.
    pub image: Arc<[u8]>,
    /// What the file is called on the device.
    pub path: String,
    /// ECDSA over the image's SHA-256, in base64.
    pub signature: Option<String>,
    /// What the certificate for that is called on the device.
    pub certificate: String,
    /// Where the image can be had over HTTP.
    pub url: Option<String>,
    /// It can be had from the stream.
    pub streams: bool,
}

/// How a service is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What time it is at the machine's time 0, in seconds since 1970.
    pub epoch: u32,
    /// Between tries to connect; after the last one it is tried ever again after the longest wait.
    pub again: Retry,
    /// From one block to the next.
    pub pause: Duration,
    /// Which of the blocks that were asked for are sent, and in which order: networks lose, repeat and
    /// reorder messages, and tests of devices do so here.
    pub order: fn(Vec<u32>) -> Vec<u32>,
}

impl Settings {
    /// At the broker of that name and port, from `epoch` on: seconds since 1970.
    pub fn new(host: impl Into<String>, port: u16, epoch: u32) -> Self {
        let seconds = Duration::from_secs;
        Self {
            host: host.into(),
            port,
            epoch,
            again: Retry { first: seconds(1), longest: seconds(60), tries: 8 },
            pause: Duration::ZERO,
            order: |blocks| blocks,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The thing.
    pub thing: String,
    /// What.
    pub note: Note,
}

/// What happened to a thing's job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// It was told of the job, as it stands.
    Told(Status),
    /// It has nothing to do any more.
    Nothing,
    /// It asked for these blocks, and is sent them.
    Blocks(Vec<u32>),
    /// It reports, with these details.
    Report(Status, Vec<(&'static str, String)>),
    /// It was not heeded.
    Objected(Objection),
    /// What it asked of the stream was refused.
    Refused(&'static str),
    /// What it said cannot be read.
    Unreadable(Reason),
}

/// How a thing's job stands.
#[derive(Clone, Debug)]
struct Standing {
    status: Status,
    version: u32,
    details: Vec<(&'static str, String)>,
    times: Times,
}

#[derive(Debug)]
enum Waiting {
    Message { topic: String, payload: Vec<u8> },
    Block { thing: String, index: u32, size: u32, format: Format },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connecting,
    Again { at: Duration },
    Open,
}

/// The service.
#[derive(Debug)]
pub struct Service {
    settings: Settings,
    job: Job,
    things: BTreeMap<String, Standing>,
    step: Step,
    failed: u8,
    opens: bool,
    subscribes: VecDeque<&'static str>,
    waiting: VecDeque<Waiting>,
    events: VecDeque<Event>,
    /// The next block is sent no earlier.
    not_before: Duration,
    topic: String,
    payload: Vec<u8>,
    random: Random,
    now: Duration,
}

impl Service {
    /// A service with `job` for every thing.
    pub fn new(job: Job, settings: Settings) -> Self {
        Self {
            job,
            things: BTreeMap::new(),
            step: Step::Connecting,
            failed: 0,
            opens: false,
            subscribes: VecDeque::new(),
            waiting: VecDeque::new(),
            events: VecDeque::new(),
            not_before: Duration::ZERO,
            topic: String::new(),
            payload: Vec::new(),
            random: Random::new(settings.port.into()),
            now: Duration::ZERO,
            settings,
        }
    }

    /// The next event.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How the job of a thing that has asked stands.
    pub fn status(&self, thing: &str) -> Option<Status> {
        self.things.get(thing).map(|standing| standing.status)
    }

    fn tell(&mut self, thing: &str, note: Note) {
        if self.events.len() >= MOST_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Event { thing: thing.to_owned(), note });
    }

    fn clock(&self) -> u32 {
        let passed = u32::try_from(self.now.as_secs()).unwrap_or(u32::MAX);
        self.settings.epoch.saturating_add(passed)
    }

    fn standing(&mut self, thing: &str) -> &mut Standing {
        let now = Some(self.clock());
        self.things.entry(thing.to_owned()).or_insert_with(|| Standing {
            status: Status::Queued,
            version: 1,
            details: Vec::new(),
            times: Times { queued: now, started: None, last_updated: now },
        })
    }

    fn message(&mut self, topic: &str, payload: &[u8]) {
        let Some((thing, what)) = asked(topic) else { return };
        if self.waiting.len() >= MOST_WAITING {
            return;
        }
        let done = match what {
            Asked::Next => self.next(thing, payload, JobTopic::NextGet),
            Asked::StartNext => {
                let now = self.clock();
                let standing = self.standing(thing);
                if standing.status == Status::Queued {
                    standing.status = Status::InProgress;
                    standing.version = standing.version.saturating_add(1);
                    standing.times.started = Some(now);
                    standing.times.last_updated = Some(now);
                }
                self.next(thing, payload, JobTopic::StartNext)
            }
            Asked::Report(job) => self.report(thing, job, payload),
            Asked::Stream { stream, what, format } => {
                self.stream(thing, stream, what, format, payload)
            }
            // Things that fetch updates ask for the next job, and for no other.
            Asked::List | Asked::Job(_) => Ok(()),
        };
        if let Err(reason) = done {
            self.tell(thing, Note::Unreadable(reason));
        }
    }

    /// The job, as an answer and for who does not hear answers.
    fn next(&mut self, thing: &str, payload: &[u8], topic: JobTopic) -> Result<(), Reason> {
        let question = Accepted::decode(payload)?;
        let standing = self.standing(thing).clone();
        let answer = self.execution(&standing, question.token);
        self.publish(|to| job_topic(to, thing, topic, Answer::Accepted), answer);
        let notice = self.execution(&standing, None);
        self.publish(|to| job_topic(to, thing, JobTopic::NotifyNext, Answer::Question), notice);
        let open = !standing.status.is_final();
        self.tell(thing, if open { Note::Told(standing.status) } else { Note::Nothing });
        Ok(())
    }

    /// What is told of the next job.
    fn execution(&self, standing: &Standing, token: Option<Text<'_>>) -> Vec<u8> {
        let detail = |key| {
            let found = standing.details.iter().find(|(name, _)| *name == key);
            found.map(|(_, value)| Text::new(value))
        };
        let Job { id, stream, image, path, signature, certificate, url, streams } = &self.job;
        let details = Details {
            receive: detail("receive"),
            self_test: detail("self_test"),
            reason: detail("reason"),
            updated_by: detail("updatedBy"),
        };
        let execution = Execution {
            job: Text::new(id),
            status: standing.status,
            times: standing.times,
            version: Some(standing.version),
            number: Some(1),
            details,
            document: None,
        };
        let file = File {
            path: Some(Text::new(path)),
            size: u32::try_from(image.len()).unwrap_or(u32::MAX),
            id: 0,
            certificate: Some(Text::new(certificate)),
            signature: signature.as_deref().map(Text::new),
            url: url.as_deref().map(Text::new),
            auth_scheme: url.as_ref().map(|_| Text::new("aws.s3.presigned")),
            kind: 0,
        };
        let stream = streams.then_some(Text::new(stream));
        let job = OtaJob { mqtt: *streams, http: url.is_some(), stream, file };
        let execution = (!standing.status.is_final()).then_some(execution);
        let next = NextJob { timestamp: Some(self.clock()), token, execution };
        // Every character may be escaped to six.
        written(6 * (id.len() + path.len() + url.as_ref().map_or(0, String::len)) + 4096, |to| {
            next.encode(Some(&job), to).ok()
        })
    }

    fn report(&mut self, thing: &str, job: &str, payload: &[u8]) -> Result<(), Reason> {
        let update = match Update::decode(payload) {
            Ok(update) => update,
            Err(reason) => {
                let why = match reason {
                    Reason::NotJson(_) => Objection::InvalidJson,
                    _ => Objection::InvalidRequest,
                };
                self.object(thing, job, why, None, None);
                return Err(reason);
            }
        };
        let known = job == self.job.id && self.things.contains_key(thing);
        let standing = self.things.get(thing).map(|it| (it.status, it.version));
        let (status, version) = standing.unwrap_or((Status::Queued, 0));
        let why = if !known {
            Some(Objection::ResourceNotFound)
        } else if update.status == Status::Queued {
            Some(Objection::InvalidRequest)
        } else if status.is_final() {
            Some(Objection::InvalidStateTransition)
        } else if update.expected_version.is_some_and(|expected| expected != version) {
            Some(Objection::VersionMismatch)
        } else {
            None
        };
        if let Some(why) = why {
            self.object(thing, job, why, update.token, standing.filter(|_| known));
            return Ok(());
        }
        let now = self.clock();
        let details = update.details.map(|details| {
            let all = [
                ("receive", details.receive),
                ("self_test", details.self_test),
                ("reason", details.reason),
                ("updatedBy", details.updated_by),
            ];
            let told = all.into_iter().filter_map(|(key, value)| Some((key, value?.to_string())));
            told.collect::<Vec<_>>()
        });
        let standing = self.standing(thing);
        if standing.status == Status::Queued {
            standing.times.started = Some(now);
        }
        standing.status = update.status;
        standing.version = standing.version.saturating_add(1);
        standing.times.last_updated = Some(now);
        // A report without them leaves them as they are.
        let told = details.clone().unwrap_or_default();
        standing.details = details.unwrap_or_else(|| standing.details.clone());
        let ended = update.status.is_final();
        let standing = standing.clone();
        let answer = Accepted { timestamp: Some(now), token: update.token };
        let answer = written(1024 + payload.len(), |to| answer.encode(to).ok());
        self.publish(|to| update_topic(to, thing, job, Answer::Accepted), answer);
        self.tell(thing, Note::Report(update.status, told));
        if ended {
            let nothing = self.execution(&standing, None);
            let topic = JobTopic::NotifyNext;
            self.publish(|to| job_topic(to, thing, topic, Answer::Question), nothing);
        }
        Ok(())
    }

    fn object(
        &mut self,
        thing: &str,
        job: &str,
        why: Objection,
        token: Option<Text<'_>>,
        state: Option<(Status, u32)>,
    ) {
        let tells = matches!(why, Objection::InvalidStateTransition | Objection::VersionMismatch);
        let refused = Refused {
            why: Some(why),
            message: None,
            token,
            timestamp: Some(self.clock()),
            state: state.filter(|_| tells),
        };
        let room = 512 + 6 * token.map_or(0, |token| token.len());
        let answer = written(room, |to| refused.encode(to).ok());
        self.publish(|to| update_topic(to, thing, job, Answer::Rejected), answer);
        self.tell(thing, Note::Objected(why));
    }

    fn stream(
        &mut self,
        thing: &str,
        stream: &str,
        what: StreamTopic,
        format: Format,
        payload: &[u8],
    ) -> Result<(), Reason> {
        let size = u32::try_from(self.job.image.len()).unwrap_or(u32::MAX);
        let unknown =
            (stream != self.job.stream || !self.job.streams).then_some("ResourceNotFound");
        if what == StreamTopic::Describe {
            let token = Describe::decode(payload, format)?.token;
            if let Some(code) = unknown {
                self.refuse(thing, stream, code, format);
                return Ok(());
            }
            let about = "an update";
            let description = Description { token, version: STREAM_VERSION, about, file: 0, size };
            let answer = written(256 + payload.len(), |to| description.encode(format, to).ok());
            let which = StreamTopic::Description;
            self.publish(|to| stream_topic(to, thing, stream, which, format), answer);
            return Ok(());
        }
        let mut bits = vec![0; payload.len()];
        let request = match BlockRequest::decode(payload, format, &mut bits) {
            Ok(request) => request,
            Err(reason) => {
                self.refuse(thing, stream, "InvalidRequest", format);
                return Err(reason);
            }
        };
        let other = request.version.is_some_and(|version| version != STREAM_VERSION);
        let refused = unknown
            .or(other.then_some("VersionMismatch"))
            .or((request.file != 0).then_some("ResourceNotFound"))
            .or(request.objection());
        if let Some(code) = refused {
            self.refuse(thing, stream, code, format);
            return Ok(());
        }
        let blocks: Vec<u32> = request.blocks(size).collect();
        let size = request.size;
        for index in (self.settings.order)(blocks.clone()) {
            let thing = thing.to_owned();
            self.waiting.push_back(Waiting::Block { thing, index, size, format });
        }
        self.tell(thing, Note::Blocks(blocks));
        Ok(())
    }

    fn refuse(&mut self, thing: &str, stream: &str, code: &'static str, format: Format) {
        let answer = written(128, |to| Rejected { code }.encode(format, to).ok());
        let which = StreamTopic::Rejected;
        self.publish(|to| stream_topic(to, thing, stream, which, format), answer);
        self.tell(thing, Note::Refused(code));
    }

    fn publish(&mut self, topic: impl FnOnce(&mut String) -> std::fmt::Result, payload: Vec<u8>) {
        let mut name = String::new();
        // Writing to a `String` cannot fail.
        let _ = topic(&mut name);
        self.waiting.push_back(Waiting::Message { topic: name, payload });
    }

    /// Whether a block is next, and not to be sent yet.
    fn is_paused(&self) -> bool {
        let next = self.waiting.front();
        matches!(next, Some(Waiting::Block { .. })) && self.now < self.not_before
    }

    /// A block as a message.
    fn block(&mut self, thing: &str, index: u32, size: u32, format: Format) -> Option<()> {
        let start = index.checked_mul(size)? as usize;
        let end = start.saturating_add(size as usize).min(self.job.image.len());
        let data = self.job.image.get(start..end)?;
        let block = Block { file: 0, index, data };
        // In base64, and what is around it.
        self.payload = written(data.len() / 3 * 4 + 128, |to| block.encode(format, to).ok());
        self.topic.clear();
        let which = StreamTopic::Data;
        stream_topic(&mut self.topic, thing, &self.job.stream, which, format).ok()
    }
}

/// What `write` puts into a buffer of `room` bytes.
fn written(room: usize, write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Vec<u8> {
    let mut buffer = vec![0; room];
    let len = write(&mut buffer).unwrap_or(0);
    buffer.truncate(len);
    buffer
}

impl Protocol for Service {
    fn start(&mut self, now: Duration) {
        self.now = now;
        self.opens = true;
    }

    fn handle(&mut self, input: Input<'_>, now: Duration) {
        self.now = now;
        match input {
            Input::Opened => {
                (self.step, self.failed) = (Step::Open, 0);
                self.subscribes.extend(FILTERS);
            }
            Input::Closed => {
                self.subscribes.clear();
                self.failed = self.failed.saturating_add(1);
                let again = self.settings.again;
                let wait = again.after(self.failed, &mut self.random).unwrap_or(again.longest);
                self.step = Step::Again { at: now.saturating_add(wait) };
            }
            Input::Message { topic, payload } => self.message(topic, payload),
            Input::Bytes(_) => {}
        }
    }

    fn poll(&mut self, now: Duration) {
        self.now = now;
        if let Step::Again { at } = self.step
            && now >= at
        {
            (self.step, self.opens) = (Step::Connecting, true);
        }
    }

    fn output<'o>(&'o mut self, _: &'o mut [u8]) -> Option<Output<'o>> {
        if std::mem::take(&mut self.opens) {
            let host = Text::new(&self.settings.host);
            let (transport, port) = (Transport::Mqtt, self.settings.port);
            return Some(Output::Open(Endpoint { transport, host, port }));
        }
        if self.step != Step::Open {
            return None;
        }
        if let Some(filter) = self.subscribes.pop_front() {
            return Some(Output::Subscribe(filter));
        }
        if self.is_paused() {
            return None;
        }
        let reliably = match self.waiting.pop_front()? {
            Waiting::Message { topic, payload } => {
                (self.topic, self.payload) = (topic, payload);
                true
            }
            Waiting::Block { thing, index, size, format } => {
                self.not_before = self.now.saturating_add(self.settings.pause);
                self.block(&thing, index, size, format)?;
                false
            }
        };
        Some(Output::Publish { topic: &self.topic, payload: &self.payload, reliably })
    }

    fn deadline(&self) -> Option<Duration> {
        match self.step {
            Step::Again { at } => Some(at),
            Step::Open if self.is_paused() => Some(self.not_before),
            _ => None,
        }
    }
}
