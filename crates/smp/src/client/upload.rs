//! The upload: a window of chunks under way, and the server's word on where to go on.
//!
//! ```text
//!          off > 0                     off = len
//! First ───────────────▶ Streaming ───────────────▶ Done
//!   ▲                      │   │ ▲
//!   │ session lost or taken│   └─┘ a chunk lost: go back to the wanted offset
//!   └──────────────────────┘
//! ```
//!
//! The first chunk goes alone and waits long, since the server may erase the slot before it
//! answers. The server's answer says where to go on, which is past the first chunk when an earlier
//! upload is resumed. Then as many chunks are under way as the server has buffers for. A server
//! drops a chunk that is not at the wanted offset and answers with that offset, so one loss makes
//! a burst of equal answers. The first of them makes the client go back; the chunks sent before
//! that are *stale* from then on, and their answers only ever move the acknowledged offset
//! forward. A lost answer needs nothing: later ones say more. A stale chunk may still lie in one
//! of the server's buffers, so it counts against [`Limits::window`](super::Limits::window) until
//! it is answered or its time is up.
//!
//! An answer below what was known to be acknowledged when its chunk was sent means that the
//! session is gone (the device was reset) or another's (a second client). Then the first chunk is
//! sent again with all its fields, and the server decides what is left to send. Before that the
//! client waits, longer each time and not as long as another one would: two clients that took the
//! session from each other at once would both get nowhere. A server at another's offset twice
//! belongs to that client.
//!
//! A first chunk that the server finds cut short, or that it does not answer for long, may be larger
//! than what its link puts together: it is sent again as a message that any server takes
//! ([`UploadOptions::safe_frame`]), and so are those that follow. If it turns out that the large one
//! has arrived after all, nothing stays small.
//!
//! An answer that makes no sense counts as none: what it was the answer to is sent again, and only
//! if nothing better ever comes it is what the upload is said to have failed of. Where the link lets
//! damaged bytes through ([`UploadOptions::damage`]), refusals and hashes that do not match are
//! doubted in the same way, a few times.

use core::time::Duration;

use super::pace::Pace;
use super::{
    Answer, AnswerError, Code, Limits, Outcome, Patience, Progress, Status, UploadError,
    UploadOptions, UploadReply, chunk,
};
use crate::{Op, Rc, group, image};

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The first chunk: `sends` copies are out, the next is due at `due`.
    First {
        sequence: u8,
        sends: u32,
        due: Duration,
    },
    Streaming,
    Over(Result<Outcome, UploadError>),
}

/// A chunk that was sent and not answered.
#[derive(Clone, Copy, Debug)]
struct Sent {
    sequence: u8,
    off: u32,
    end: u32,
    at: Duration,
    /// What was acknowledged when it was sent.
    acked_then: u32,
    /// Bytes of it were sent before.
    copy: bool,
    stage: Stage,
}

/// What a chunk's answer is still good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waited for.
    Live,
    /// Sent before the last step back: in a buffer of the server's until this time at most.
    Stale { until: Duration },
    /// Sent before the last step back, and lost as far as one can tell.
    Lost,
    /// Sent in an earlier session, or one copy of many: frees a buffer and tells nothing.
    Former { until: Duration },
}

impl Sent {
    /// How long it may hold a buffer of the server's, if that is limited already.
    fn until(&self) -> Option<Duration> {
        match self.stage {
            Stage::Stale { until } | Stage::Former { until } => Some(until),
            Stage::Live | Stage::Lost => None,
        }
    }

    fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }
}

/// An upload under way.
#[derive(Clone, Debug)]
pub struct Upload<'i> {
    data: &'i [u8],
    len: u32,
    options: UploadOptions,
    phase: Phase,
    sequence: u8,
    /// First byte that the server has not acknowledged.
    acked: u32,
    /// Next byte to send.
    next: u32,
    /// End of what was sent in this session.
    high: u32,
    sent: [Option<Sent>; Upload::MEMORY],
    window: usize,
    /// Chunks accepted since the window last changed.
    credit: usize,
    round_trip: Option<Duration>,
    /// Timeouts in a row.
    failures: u32,
    /// How often the session was lost since the server had more than ever before.
    lost: u32,
    /// How often the server was at somebody else's offset.
    taken: u32,
    /// The most that the server ever had.
    best: u32,
    /// Where the server had the first chunk go on first.
    resumed_at: Option<u32>,
    /// Chunk ends are rounded down to this, once the server took less than a whole chunk.
    align: u32,
    resent: u64,
    furthest: u32,
    /// Steps back since the server last took something.
    steps_back: u32,
    /// The last answer that was no help: what to say if no better one comes.
    complaint: Option<UploadError>,
    /// Whether messages are no larger than any server takes.
    small: bool,
    /// How many refusals, and hashes, were taken for damage on the link.
    doubted: u32,
    pace: Pace,
}

impl<'i> Upload<'i> {
    /// Most chunks that are ever under way.
    pub const WINDOW_MAX: usize = 16;
    /// Chunks that are remembered, stale ones included.
    const MEMORY: usize = 2 * Self::WINDOW_MAX;
    /// How often a session may be lost without having come further.
    const RESTARTS: u32 = 8;
    /// Shortest wait for an answer.
    const SHORTEST_WAIT: Duration = Duration::from_millis(250);
    /// How often the server may ask for the same offset again and again.
    const STEPS_BACK: u32 = 200;
    /// The shortest wait before the first chunk is sent again after the session was lost.
    const BACK_OFF: Duration = Duration::from_millis(250);
    /// The longest wait before the first chunk is sent again after an answer without sense.
    const SECOND_TRY: Duration = Duration::from_secs(1);
    /// Coarsest rounding of chunk ends.
    const ALIGN_MAX: u32 = 64;
    /// After how many first chunks without an answer they are made smaller.
    const LARGE_FIRSTS: u32 = 3;

    /// An upload of a whole file.
    pub fn new(data: &'i [u8], options: UploadOptions) -> Result<Self, UploadError> {
        let len = u32::try_from(data.len()).map_err(|_| UploadError::BadLength)?;
        if len == 0 {
            return Err(UploadError::BadLength);
        }
        let room = chunk::capacity(&options, 0, len);
        if room < data.len().min(updraft_image::Header::SIZE) {
            return Err(UploadError::FrameTooSmall { room });
        }
        let sequence = options.sequence;
        Ok(Self {
            data,
            len,
            options,
            phase: Phase::First { sequence, sends: 0, due: Duration::ZERO },
            sequence: sequence.wrapping_add(1),
            acked: 0,
            next: 0,
            high: 0,
            sent: [None; Upload::MEMORY],
            window: options.limits.window.clamp(1, Self::WINDOW_MAX),
            credit: 0,
            round_trip: None,
            failures: 0,
            lost: 0,
            taken: 0,
            best: 0,
            resumed_at: None,
            align: 1,
            resent: 0,
            furthest: 0,
            steps_back: 0,
            complaint: None,
            small: false,
            doubted: 0,
            pace: Pace::default(),
        })
    }

    /// Where the upload stands.
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::Over(Ok(outcome)) => Status::Done(outcome),
            Phase::Over(Err(error)) => Status::Failed(error),
            Phase::First { .. } | Phase::Streaming => Status::Running,
        }
    }

    /// How far the upload is.
    pub fn progress(&self) -> Progress {
        Progress {
            sent: self.furthest,
            acked: self.acked,
            total: self.len,
            resent: self.resent,
            window: self.window,
            rate: self.pace.rate(),
        }
    }

    /// The next sequence number, for requests after the upload.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// When to call [`poll_transmit`](Self::poll_transmit) again if no packet comes before.
    /// `None` once the upload is over.
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::First { due, .. } if self.has_buffer() => Some(due),
            Phase::First { due, .. } => self.freed().map(|until| until.max(due)),
            Phase::Streaming if self.may_send() => Some(Duration::ZERO),
            Phase::Streaming => {
                let due = self.live().map(|sent| self.due(sent)).min();
                [due, self.freed()].into_iter().flatten().min()
            }
            Phase::Over(_) => None,
        }
    }

    /// Builds the next message to send in `buffer`, which must hold
    /// [`Limits::frame`](super::Limits::frame) bytes. Call it until it returns `None`, then wait
    /// for a packet or the deadline.
    pub fn poll_transmit(&mut self, now: Duration, buffer: &mut [u8]) -> Option<usize> {
        self.expire(now);
        match self.phase {
            Phase::First { sequence, sends, due } => {
                if now < due || !self.has_buffer() {
                    return None;
                }
                if sends > self.options.first.retries {
                    return self.give_up(UploadError::NoAnswer { off: 0, sends });
                }
                if sends >= Self::LARGE_FIRSTS {
                    self.make_small();
                }
                let due = now.saturating_add(self.options.first.wait(sends + 1));
                self.phase = Phase::First { sequence, sends: sends + 1, due };
                self.write(sequence, 0, buffer).map(|(len, _)| len)
            }
            Phase::Streaming => {
                if self.live().any(|sent| self.due(sent) <= now) {
                    self.timed_out(now)?;
                }
                if !self.may_send() {
                    return None;
                }
                let (sequence, off) = (self.sequence, self.next);
                self.sequence = sequence.wrapping_add(1);
                let copy = off < self.furthest;
                let (len, end) = self.write(sequence, off, buffer)?;
                self.next = end;
                let (acked_then, stage) = (self.acked, Stage::Live);
                self.remember(Sent { sequence, off, end, at: now, acked_then, copy, stage });
                Some(len)
            }
            Phase::Over(_) => None,
        }
    }

    /// Takes a packet. Returns whether it was an answer to this upload; anything else is left to
    /// others.
    pub fn handle(&mut self, packet: &[u8], now: Duration) -> bool {
        let Some(answer) = Answer::parse(packet) else { return false };
        let header = answer.header;
        let command = (header.op, header.group, header.id);
        if command != (Op::WriteResponse, group::IMAGE, image::UPLOAD) {
            return false;
        }
        match self.phase {
            Phase::First { sequence, sends, .. } if sends > 0 && header.sequence == sequence => {
                match answer.upload() {
                    Ok(reply) => self.begun(reply, now),
                    Err(error) => self.refused(error, now),
                }
                true
            }
            Phase::First { .. } => self.sent.iter_mut().any(|place| {
                let fits = place.is_some_and(|sent| sent.sequence == header.sequence);
                if fits {
                    *place = None;
                }
                fits
            }),
            Phase::Streaming => {
                let place = self
                    .sent
                    .iter_mut()
                    .find(|place| place.is_some_and(|sent| sent.sequence == header.sequence));
                let Some(place) = place else { return false };
                if place.is_some_and(|sent| matches!(sent.stage, Stage::Former { .. })) {
                    *place = None;
                    return true;
                }
                match answer.upload() {
                    Ok(reply) => {
                        if let Some(sent) = place.take() {
                            self.answered(sent, reply, now);
                        }
                    }
                    Err(error) => self.refused(error, now),
                }
                true
            }
            Phase::Over(_) => false,
        }
    }

    /// The answer to the first chunk: the server's offset decides where to go on.
    fn begun(&mut self, reply: UploadReply, now: Duration) {
        let UploadReply { off, matched } = reply;
        if off > self.len {
            self.makes_no_sense(UploadError::PastEnd { off, len: self.len }, now);
        } else if off == self.len {
            let already_there = self.furthest < self.len;
            self.done(matched, already_there, now);
        } else if off > 0 {
            self.acked = off;
            self.next = off;
            self.high = self.high.max(off);
            self.resumed_at.get_or_insert(if off > self.furthest { off } else { 0 });
            self.furthest = self.furthest.max(off);
            self.failures = 0;
            self.complaint = None;
            self.came_to(off);
            self.pace.at(off, now);
            self.keep_copies();
            self.phase = Phase::Streaming;
        }
        // An answer of 0 took nothing. The next copy goes out when it is due.
        let large = chunk::capacity(&self.options, 0, self.len).min(self.data.len());
        if self.small && usize::try_from(off) == Ok(large) {
            self.small = false;
        }
    }

    /// Goes down to messages that any server takes. Whether these are smaller, and large enough for
    /// an image's header.
    fn make_small(&mut self) -> bool {
        let Some(frame) = self.options.safe_frame.filter(|_| !self.small) else { return false };
        let limits = Limits { frame, ..self.options.limits };
        let room = chunk::capacity(&UploadOptions { limits, ..self.options }, 0, self.len);
        let least = self.data.len().min(updraft_image::Header::SIZE);
        self.small = frame < self.options.limits.frame && room >= least;
        self.small
    }

    /// Bytes of the file that a chunk at `off` has room for.
    fn room(&self, off: u32) -> usize {
        let small = self.options.safe_frame.filter(|_| self.small);
        let frame = small.unwrap_or(self.options.limits.frame);
        let limits = Limits { frame, ..self.options.limits };
        chunk::capacity(&UploadOptions { limits, ..self.options }, off, self.len)
    }

    fn answered(&mut self, sent: Sent, reply: UploadReply, now: Duration) {
        let UploadReply { off, matched } = reply;
        if sent.is_live() {
            let sample = now.saturating_sub(sent.at);
            let smooth = self.round_trip.map_or(sample, |old| old / 8 * 7 + sample / 8);
            self.round_trip = Some(smooth);
        }
        if off < sent.acked_then || off > self.high {
            return self.restart(off, now);
        }
        if off > self.acked {
            self.advance(off, now);
        }
        if off == self.len {
            return self.done(matched, false, now);
        }
        if !sent.is_live() {
            return;
        }
        if off >= sent.end {
            return self.grow();
        }
        if off > sent.off {
            // Taken in part, by a server that writes whole flash words only.
            let taken = off - sent.off;
            self.align = (1 << taken.trailing_zeros().min(31)).min(Self::ALIGN_MAX);
        } else {
            self.shrink(self.window - 1 - self.window / 4);
        }
        self.go_back();
    }

    /// A server that is busy or out of buffers took nothing, like one that did not answer: the
    /// chunk goes out again when its time is up. Every other refusal is final, unless it may be that
    /// of a message that was damaged on its way: the same one twice is believed.
    fn refused(&mut self, error: AnswerError, now: Duration) {
        match error {
            AnswerError::Malformed(malformed) => {
                self.makes_no_sense(UploadError::Malformed(malformed), now);
            }
            AnswerError::Refused(refusal) => {
                let error = UploadError::Refused(refusal);
                if refusal.is_cut_short() && self.make_small() {
                    match self.phase {
                        Phase::First { .. } => self.begin_again(0, now),
                        _ => self.go_back(),
                    }
                } else if matches!(refusal.code, Code::Generic(Rc::BUSY | Rc::NO_MEMORY)) {
                    self.complaint = Some(error);
                } else if self.complaint != Some(error) && self.may_be_damage() {
                    self.makes_no_sense(error, now);
                } else {
                    self.over(Err(error));
                }
            }
        }
    }

    /// An answer that cannot be one. Chunks are sent again when their time is up; that of the first
    /// may be long.
    fn makes_no_sense(&mut self, error: UploadError, now: Duration) {
        self.complaint = Some(error);
        if let Phase::First { due, .. } = &mut self.phase {
            *due = (*due).min(now.saturating_add(Self::SECOND_TRY));
        }
    }

    /// Whether what the server says may come from damage on the link; no more than a few times.
    fn may_be_damage(&mut self) -> bool {
        let doubt = self.doubted < self.options.damage;
        self.doubted += u32::from(doubt);
        doubt
    }

    /// The oldest chunk was not answered in time. `None` if that was once too often.
    fn timed_out(&mut self, now: Duration) -> Option<()> {
        // Before the wait for the next ones doubles.
        self.make_stale();
        self.expire(now);
        self.failures += 1;
        if self.failures > self.options.chunk.retries {
            let error = UploadError::NoAnswer { off: self.acked, sends: self.failures };
            return self.give_up(error);
        }
        self.shrink(self.window / 2);
        self.go_back();
        matches!(self.phase, Phase::Streaming).then_some(())
    }

    /// Sends everything from the acknowledged offset on again.
    fn go_back(&mut self) {
        self.make_stale();
        self.next = self.acked;
        self.steps_back += 1;
        if self.steps_back > Self::STEPS_BACK {
            self.over(Err(UploadError::Unsettled { times: self.steps_back }));
        }
    }

    /// The session is gone: the server is at `off`, which is not ours.
    fn restart(&mut self, off: u32, now: Duration) {
        match off {
            0 => self.lost += 1,
            _ => self.taken += 1,
        }
        // On a link with damage, an offset may be another one than was sent.
        if self.taken > 1 + self.options.damage || (off > 0 && self.lost > 0 && self.taken > 1) {
            return self.over(Err(UploadError::AnotherClient));
        }
        if self.lost > Self::RESTARTS {
            return self.over(Err(UploadError::Unsettled { times: self.lost }));
        }
        self.begin_again(self.lost + self.taken, now);
    }

    /// Sends the first chunk once more, after a wait that is longer each time.
    fn begin_again(&mut self, times: u32, now: Duration) {
        self.make_stale();
        for sent in self.sent.iter_mut().flatten() {
            sent.stage = Stage::Former { until: sent.until().unwrap_or(now) };
        }
        // No two clients are likely to be at the same sequence number.
        let jitter = Self::BACK_OFF / 256 * u32::from(self.sequence);
        let doublings = times.saturating_sub(1).min(Self::RESTARTS);
        let wait = (Self::BACK_OFF + jitter).saturating_mul(1 << doublings);
        let due = now.saturating_add(wait);
        self.phase = Phase::First { sequence: self.sequence, sends: 0, due };
        self.sequence = self.sequence.wrapping_add(1);
        (self.acked, self.next, self.high) = (0, 0, 0);
    }

    /// Chunks under way are not waited for any more. They keep their time.
    fn make_stale(&mut self) {
        let mut sent = self.sent;
        for sent in sent.iter_mut().flatten().filter(|sent| sent.is_live()) {
            sent.stage = Stage::Stale { until: self.due(sent) };
        }
        self.sent = sent;
    }

    /// Copies of the first chunk that were sent and not answered.
    fn keep_copies(&mut self) {
        let Phase::First { sequence, sends, due } = self.phase else { return };
        for _ in 1..sends {
            let stage = Stage::Former { until: due };
            let (off, end, acked_then, copy) = (0, 0, 0, true);
            self.remember(Sent { sequence, off, end, at: due, acked_then, copy, stage });
        }
    }

    /// Forgets what holds no buffer of the server's any more.
    fn expire(&mut self, now: Duration) {
        for place in &mut self.sent {
            match place {
                Some(Sent { stage: Stage::Former { until }, .. }) if *until <= now => *place = None,
                Some(Sent { stage: stage @ Stage::Stale { .. }, .. }) => {
                    if matches!(stage, Stage::Stale { until } if *until <= now) {
                        *stage = Stage::Lost;
                    }
                }
                _ => {}
            }
        }
    }

    /// Everything up to `off` has arrived.
    fn advance(&mut self, off: u32, now: Duration) {
        self.acked = off;
        self.next = self.next.max(off);
        self.failures = 0;
        self.steps_back = 0;
        self.complaint = None;
        self.came_to(off);
        self.pace.at(off, now);
        let mut places = self.sent;
        for place in &mut places {
            let Some(sent) = place else { continue };
            match sent.stage {
                // The server may owe the offset to the other copy, and have this one before it.
                Stage::Live if sent.end <= off && sent.copy => {
                    sent.stage = Stage::Stale { until: self.due(sent) };
                }
                Stage::Live | Stage::Lost if sent.end <= off => *place = None,
                _ => {}
            }
        }
        self.sent = places;
    }

    /// A device that is reset now and then gets there all the same, as long as it keeps something.
    fn came_to(&mut self, off: u32) {
        if off > self.best {
            (self.best, self.lost) = (off, 0);
        }
    }

    fn grow(&mut self) {
        self.credit += 1;
        if self.credit >= self.window {
            let most = self.options.limits.window.clamp(1, Self::WINDOW_MAX);
            self.window = (self.window + 1).min(most);
            self.credit = 0;
        }
    }

    fn shrink(&mut self, window: usize) {
        self.window = window.max(1);
        self.credit = 0;
    }

    fn done(&mut self, matched: Option<bool>, already_there: bool, now: Duration) {
        if matched == Some(false) && self.options.sha256.is_some() {
            return match self.may_be_damage() {
                true => self.begin_again(self.doubted, now),
                false => self.over(Err(UploadError::HashMismatch)),
            };
        }
        self.acked = self.len;
        let resumed_at = if already_there { self.len } else { self.resumed_at.unwrap_or(0) };
        self.over(Ok(Outcome { verified: matched == Some(true), already_there, resumed_at }));
    }

    fn over(&mut self, result: Result<Outcome, UploadError>) {
        self.phase = Phase::Over(result);
    }

    /// Ends an upload that got no further; a server that kept saying something is quoted.
    fn give_up<T>(&mut self, error: UploadError) -> Option<T> {
        self.over(Err(self.complaint.unwrap_or(error)));
        None
    }

    /// Chunks that are waited for.
    fn live(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter().flatten().filter(|sent| sent.is_live())
    }

    /// Whether the server has a buffer to spare, as far as one can tell.
    fn has_buffer(&self) -> bool {
        let held = self.sent.iter().flatten().filter(|sent| sent.stage != Stage::Lost).count();
        held < self.options.limits.window.clamp(1, Self::WINDOW_MAX)
    }

    /// When the next stale chunk stops counting.
    fn freed(&self) -> Option<Duration> {
        self.sent.iter().flatten().filter_map(Sent::until).min()
    }

    fn may_send(&self) -> bool {
        self.next < self.len && self.live().count() < self.window && self.has_buffer()
    }

    /// When a chunk counts as lost. The last one is given more time: the server may read
    /// everything back and hash it before it answers.
    fn due(&self, sent: &Sent) -> Duration {
        let Patience { timeout, longest, .. } = self.options.chunk;
        let usual = match self.round_trip {
            Some(round_trip) => {
                round_trip.saturating_mul(4).clamp(Self::SHORTEST_WAIT.min(timeout), timeout)
            }
            None => timeout,
        };
        let usual = if sent.end == self.len { timeout.saturating_mul(2) } else { usual };
        let wait = usual.saturating_mul(1 << self.failures.min(16)).min(longest.max(timeout));
        sent.at.saturating_add(wait)
    }

    fn remember(&mut self, sent: Sent) {
        let least_useful = |place: &&mut Option<Sent>| match place {
            None => (0, Duration::ZERO),
            Some(old) if old.stage == Stage::Lost => (1, old.at),
            Some(old) => (2, old.at),
        };
        if let Some(place) = self.sent.iter_mut().min_by_key(least_useful) {
            *place = Some(sent);
        }
    }

    /// Builds the chunk at `off`; returns its message's length and the offset behind it.
    fn write(&mut self, sequence: u8, off: u32, buffer: &mut [u8]) -> Option<(usize, u32)> {
        let room = u32::try_from(self.room(off)).ok()?;
        let mut end = off.saturating_add(room).min(self.len);
        let excess = end % self.align;
        if end < self.len && end - excess > off {
            end -= excess;
        }
        let data = self.data.get(usize::try_from(off).ok()?..usize::try_from(end).ok()?)?;
        match chunk::write(&self.options, sequence, (off, self.len), data, buffer) {
            Ok(len) => {
                self.resent += u64::from(self.furthest.min(end).saturating_sub(off));
                self.furthest = self.furthest.max(end);
                self.high = self.high.max(end);
                Some((len, end))
            }
            Err(_) => self.give_up(UploadError::FrameTooSmall { room: 0 }),
        }
    }
}
