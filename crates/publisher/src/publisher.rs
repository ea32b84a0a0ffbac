//! The machine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use updraft_ota::infineon::{
    CHUNK_HEADER, Chunk, Document, Message, Prefix, Request, is_unique_topic, notify_topic,
    shared_topic,
};
use updraft_ota::json::Text;
use updraft_ota::{Endpoint, Input, Output, Protocol, Random, Reason, Transport, Version};

use crate::answers::{Answer, Answers};
use crate::places::Places;
use crate::session::{Event, Note, Progress, Refusal, Session};
use crate::{Job, JobError, Jobs, Offers, Settings};

/// Events that nobody has asked for yet; the oldest go.
const MOST_EVENTS: usize = 10_000;
/// Bytes of the longest chunk that a device is sent for asking, if usual ones are no longer.
const LONGEST_CHUNK: u16 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connecting,
    Again { at: Duration },
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Todo {
    Open,
    Subscribe,
}

/// A publisher.
#[derive(Debug)]
pub struct Publisher<J> {
    jobs: J,
    settings: Settings,
    notify: String,
    shared: String,
    step: Step,
    failed: u8,
    todo: VecDeque<Todo>,
    answers: Answers,
    places: Places,
    events: VecDeque<Event>,
    /// What is handed out.
    topic: String,
    payload: Vec<u8>,
    random: Random,
    now: Duration,
}

impl<J: Jobs> Publisher<J> {
    /// A publisher of `jobs`.
    pub fn new(jobs: J, settings: Settings) -> Self {
        let prefix = Prefix::Own(&settings.prefix);
        let [mut notify, mut shared] = [String::new(), String::new()];
        // Writing to a `String` cannot fail.
        let _ = notify_topic(&mut notify, prefix, &settings.board);
        let _ = shared_topic(&mut shared, prefix, &settings.board);
        Self {
            jobs,
            notify,
            shared,
            step: Step::Connecting,
            failed: 0,
            todo: VecDeque::new(),
            answers: Answers::default(),
            places: Places::new(settings.most),
            events: VecDeque::new(),
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

    /// Where jobs come from.
    pub fn jobs(&mut self) -> &mut J {
        &mut self.jobs
    }

    /// The topic that devices publish to.
    pub fn notify_topic(&self) -> &str {
        &self.notify
    }

    /// How far every update is, by topic.
    pub fn progress(&self) -> impl Iterator<Item = (&str, Progress<'_>)> {
        self.places.iter().map(|(topic, session)| {
            let progress = Progress {
                serial: &session.serial,
                version: session.job.version,
                sent: session.reached,
                total: session.total(),
            };
            (topic.as_str(), progress)
        })
    }

    /// Updates under way.
    pub fn sessions(&self) -> usize {
        self.places.len()
    }

    fn tell(&mut self, topic: &str, who: Option<(&str, Option<Version>)>, note: Note) {
        let known = self.places.get(topic);
        let known = known.map(|session| (session.serial.clone(), session.running));
        let said = who.map(|(serial, running)| (serial.to_owned(), running));
        let (serial, running) = known.or(said).unwrap_or_default();
        if self.events.len() >= MOST_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(Event {
            at: self.now,
            topic: topic.to_owned(),
            serial,
            running,
            note,
        });
    }

    fn request(&mut self, payload: &[u8]) {
        let document = Document::decode(payload);
        let request = document.and_then(|document| document.request().map(|it| (document, it)));
        let (document, request) = match request {
            Ok(request) => request,
            Err(reason) => return self.tell("", None, Note::Refused(Refusal::Request(reason))),
        };
        let serial = document.serial_number.map(|serial| serial.to_string()).unwrap_or_default();
        let topic = match request {
            Request::Availability { topic, .. }
            | Request::Update { topic }
            | Request::Chunk { topic, .. }
            | Request::Result { topic, .. } => topic.to_string(),
            Request::Direct { .. } => self.shared.clone(),
        };
        let running = match request {
            Request::Availability { running, .. } => running,
            _ => None,
        };
        let is_direct = matches!(request, Request::Direct { .. });
        let answered = match is_direct || self.is_a_devices(&topic) {
            true => self.answer(request, &topic, &serial),
            false => Err(Refusal::Topic(topic.clone())),
        };
        match answered {
            Ok(Some(note)) => self.tell(&topic, Some((&serial, running)), note),
            Ok(None) => {}
            Err(refusal) => {
                self.tell(&topic, Some((&serial, running)), Note::Refused(refusal));
            }
        }
    }

    /// Whether a topic is below the board's, and not one that others listen or publish to.
    fn is_a_devices(&self, topic: &str) -> bool {
        let Settings { prefix, board, .. } = &self.settings;
        is_unique_topic(Text::new(topic), Prefix::Own(prefix), board)
            && topic != self.notify
            && topic != self.shared
    }

    fn answer(
        &mut self,
        request: Request<'_>,
        topic: &str,
        serial: &str,
    ) -> Result<Option<Note>, Refusal> {
        match request {
            Request::Availability { running, .. } => self.availability(topic, serial, running),
            Request::Update { .. } | Request::Direct { .. } => self.update(topic, serial),
            Request::Chunk { offset, size, .. } => self.chunk(topic, serial, offset, size),
            Request::Result { good, .. } => self.result(topic, serial, good),
        }
    }

    fn availability(
        &mut self,
        topic: &str,
        serial: &str,
        running: Option<Version>,
    ) -> Result<Option<Note>, Refusal> {
        let job = self.jobs.current().map_err(Refusal::Job)?;
        let version = job.version;
        let newer = running.is_none_or(|running| version > running);
        if !newer && self.settings.offers == Offers::Newer {
            self.say(&job, Message::Unavailable, topic)?;
            if !self.places.serves_another(topic, serial) {
                self.places.end(topic);
            }
            return Ok(Some(Note::NothingNewer(version)));
        }
        self.begin(topic, serial, running, Arc::clone(&job))?;
        self.say(&job, Message::Available, topic)?;
        Ok(Some(Note::Offered(version)))
    }

    fn say(&mut self, job: &Job, message: Message, topic: &str) -> Result<(), Refusal> {
        let payload = job.answer(message, topic).map_err(Refusal::Job)?;
        let topic = topic.to_owned();
        self.answers.push(Answer::Document { topic, payload })
    }

    fn begin(
        &mut self,
        topic: &str,
        serial: &str,
        running: Option<Version>,
        job: Arc<Job>,
    ) -> Result<(), Refusal> {
        if self.places.serves_another(topic, serial) {
            // Theirs comes to its end first.
            return Ok(());
        }
        let until = self.now.saturating_add(self.settings.patience);
        let session = Session::new(job, serial.to_owned(), running, (self.now, until));
        let gave_way = self.places.begin(topic, session).map_err(Refusal::Crowd)?;
        if let Some((other, Session { serial, running, .. })) = gave_way {
            self.tell(&other, Some((&serial, running)), Note::Displaced);
        }
        Ok(())
    }

    /// The update that a request belongs to. One that nobody knows was begun before this publisher
    /// was.
    fn session(&mut self, topic: &str, serial: &str) -> Result<&mut Session, Refusal> {
        if self.places.get(topic).is_none() {
            let job = self.jobs.current().map_err(Refusal::Job)?;
            self.begin(topic, serial, None, job)?;
        }
        let now = self.now;
        self.places.rest(topic);
        let session = self.places.get_mut(topic).ok_or(Refusal::Crowd(0))?;
        session.seen = now;
        Ok(session)
    }

    fn update(&mut self, topic: &str, serial: &str) -> Result<Option<Note>, Refusal> {
        let chunk = self.settings.chunk;
        let is_shared = topic == self.shared;
        let waits = is_shared || self.places.serves_another(topic, serial);
        if is_shared && self.places.get(topic).is_none_or(|session| session.next.is_none()) {
            // There is no session to go by: what is published now is sent.
            let job = self.jobs.current().map_err(Refusal::Job)?;
            self.begin(topic, serial, None, job)?;
        }
        let session = self.session(topic, serial)?;
        let (image, version) = (&session.job.image, session.job.version);
        let len = image.len();
        if Chunk::of(image, version, 0, chunk).is_none() {
            return Err(Refusal::Job(JobError::Size { len, chunk }));
        }
        let total = session.total();
        let runs = session.next.is_some();
        if runs && waits {
            session.again = Some(serial.to_owned());
            return Ok(None);
        }
        (session.next, session.reached) = (Some(0), 0);
        self.places.queue(topic);
        Ok(Some(Note::Sending(total)))
    }

    fn chunk(
        &mut self,
        topic: &str,
        serial: &str,
        offset: u32,
        size: Option<u32>,
    ) -> Result<Option<Note>, Refusal> {
        let usual = self.settings.chunk;
        let session = self.session(topic, serial)?;
        let (job, total) = (Arc::clone(&session.job), session.total());
        // Of the rest, what a chunk holds.
        let size = size.unwrap_or(u32::from(usual));
        let refused = Refusal::Chunk { offset, size };
        let longest = usual.max(LONGEST_CHUNK);
        let Some(size) = u16::try_from(size).ok().filter(|size| *size <= longest) else {
            return Err(refused);
        };
        let Some(chunk) = Chunk::of(&job.image, job.version, offset, size) else {
            return Err(refused);
        };
        let end = offset.saturating_add(chunk.data.len() as u32);
        session.reached = session.reached.max(end).min(total);
        let topic = topic.to_owned();
        self.answers.push(Answer::Chunk { topic, job, offset, size })?;
        Ok(Some(Note::Chunk { offset, total }))
    }

    fn result(&mut self, topic: &str, serial: &str, good: bool) -> Result<Option<Note>, Refusal> {
        let known = self.places.get(topic).map(|session| Arc::clone(&session.job));
        let job = match known {
            Some(job) => job,
            None => self.jobs.current().map_err(Refusal::Job)?,
        };
        let note = if good { Note::Succeeded } else { Note::Failed };
        if self.places.serves_another(topic, serial) {
            self.say(&job, Message::ResultReceived, topic)?;
            return Ok(Some(note));
        }
        self.tell(topic, None, note);
        self.places.end(topic);
        self.say(&job, Message::ResultReceived, topic)?;
        Ok(None)
    }

    /// Puts the next chunk of an image into `topic` and `payload`; whose turn it is waits behind the
    /// others then.
    fn next_chunk(&mut self) -> bool {
        let waiting = self.places.waiting().len();
        for _ in 0..waiting {
            let Some(topic) = self.places.next_turn() else { return false };
            let Some(session) = self.places.get_mut(&topic) else { continue };
            let Some(offset) = session.next else {
                self.places.rest(&topic);
                continue;
            };
            if session.not_before > self.now {
                self.places.queue(&topic);
                continue;
            }
            let job = Arc::clone(&session.job);
            let size = self.settings.chunk;
            let Some(chunk) = Chunk::of(&job.image, job.version, offset, size) else {
                session.next = None;
                self.places.rest(&topic);
                continue;
            };
            put(&chunk, &mut self.payload);
            let end = offset.saturating_add(chunk.data.len() as u32);
            session.reached = end;
            session.not_before = self.now.saturating_add(self.settings.pause);
            session.next = Some(end).filter(|end| *end < chunk.total);
            self.topic.clone_from(&topic);
            if session.next.is_none()
                && let Some(serial) = session.again.take()
            {
                (session.next, session.serial) = (Some(0), serial);
            } else if session.next.is_none() {
                // From now on it is for the device to say something.
                session.seen = self.now;
                self.tell(&topic, None, Note::Sent(chunk.total));
            }
            match self.places.get(&topic).is_some_and(|session| session.next.is_some()) {
                true => self.places.queue(&topic),
                false => self.places.rest(&topic),
            }
            self.answers.image_sent(topic, offset);
            return true;
        }
        false
    }

    fn closed(&mut self, now: Duration) {
        self.todo.clear();
        self.failed = self.failed.saturating_add(1);
        let wait = self.settings.again.after(self.failed, &mut self.random);
        let wait = wait.unwrap_or_else(|| self.random.jitter(self.settings.again.longest));
        self.step = Step::Again { at: now.saturating_add(wait) };
        // What was on its way may not have arrived, and nobody would ask for it.
        for (topic, offset) in self.answers.line_lost() {
            let Some(session) = self.places.get_mut(&topic) else { continue };
            session.next = Some(session.next.map_or(offset, |next| next.min(offset)));
            self.places.queue(&topic);
        }
    }

    fn look_for_silence(&mut self) {
        while let Some(topic) = self.places.silent(self.now, self.settings.patience) {
            if topic != self.shared {
                self.tell(&topic, None, Note::Silent);
            }
            self.places.end(&topic);
        }
    }
}

/// A chunk as a message.
fn put(chunk: &Chunk<'_>, payload: &mut Vec<u8>) {
    payload.clear();
    payload.resize(CHUNK_HEADER, 0);
    payload.copy_from_slice(&chunk.header());
    payload.extend_from_slice(chunk.data);
}

impl<J: Jobs> Protocol for Publisher<J> {
    fn start(&mut self, now: Duration) {
        self.now = now;
        self.todo.push_back(Todo::Open);
    }

    fn handle(&mut self, input: Input<'_>, now: Duration) {
        self.now = now;
        match input {
            Input::Opened => {
                (self.step, self.failed) = (Step::Open, 0);
                self.todo.push_back(Todo::Subscribe);
            }
            Input::Closed => self.closed(now),
            Input::Message { topic, payload } if topic == self.notify => self.request(payload),
            Input::Message { topic, .. } => {
                let topic = topic.to_owned();
                self.tell(&topic, None, Note::Refused(Refusal::Request(Reason::Unasked)));
            }
            Input::Bytes(_) => {}
        }
    }

    fn poll(&mut self, now: Duration) {
        self.now = now;
        if matches!(self.step, Step::Again { at } if at <= now) {
            self.step = Step::Connecting;
            self.todo.push_back(Todo::Open);
        }
        self.look_for_silence();
    }

    fn output<'o>(&'o mut self, _: &'o mut [u8]) -> Option<Output<'o>> {
        match self.todo.pop_front() {
            Some(Todo::Open) => {
                let Settings { host, port, .. } = &self.settings;
                let (transport, host, port) = (Transport::Mqtt, Text::new(host), *port);
                return Some(Output::Open(Endpoint { transport, host, port }));
            }
            Some(Todo::Subscribe) => return Some(Output::Subscribe(&self.notify)),
            None => {}
        }
        if self.step != Step::Open {
            return None;
        }
        match self.answers.next() {
            Some(answer) => {
                match &answer {
                    Answer::Document { topic, payload } => {
                        self.topic.clone_from(topic);
                        self.payload.clone_from(payload);
                    }
                    Answer::Chunk { topic, job, offset, size } => {
                        self.topic.clone_from(topic);
                        let chunk = Chunk::of(&job.image, job.version, *offset, *size)?;
                        put(&chunk, &mut self.payload);
                    }
                }
                self.answers.sent(answer);
            }
            None if self.next_chunk() => {}
            None => return None,
        }
        Some(Output::Publish { topic: &self.topic, payload: &self.payload, reliably: true })
    }

    fn deadline(&self) -> Option<Duration> {
        let again = match self.step {
            Step::Again { at } => Some(at),
            _ => None,
        };
        let silence = self.places.next_silence();
        // What may be sent already waits for the line, and that alone says when.
        let paused = self.step == Step::Open && !self.settings.pause.is_zero();
        let turns = self.places.waiting().filter(|_| paused);
        let chunk = turns.filter_map(|topic| Some(self.places.get(topic)?.not_before));
        let chunk = chunk.filter(|at| *at > self.now).min();
        [again, silence, chunk].into_iter().flatten().min()
    }
}
