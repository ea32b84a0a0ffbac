//! Many machines in one thread.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use updraft_ota::Protocol;

use crate::line::Traffic;
use crate::link::{Common, Event, Link};
use crate::resolve::Resolver;
use crate::settings::{Memory, Settings};

/// What the resolver wakes the thread with.
const NAMES: Token = Token(usize::MAX);
/// Sockets that are looked at in one turn.
const AT_ONCE: usize = 1024;
/// Bytes of the longest message that a machine sends, topic included.
const LONGEST: usize = 66 * 1024;
/// Bytes that are read at once.
const PIECE: usize = 16 * 1024;

/// Machines, their lines, and a clock.
pub struct Online<'b, P> {
    poll: Poll,
    events: Events,
    common: Common,
    links: Vec<Link<'b, P>>,
    /// Who has more to do at once, and who waits for what time.
    busy: VecDeque<usize>,
    is_busy: Vec<bool>,
    deadlines: BTreeSet<(Duration, usize)>,
    waits: Vec<Option<Duration>>,
}

impl<P> std::fmt::Debug for Online<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Online({} machines)", self.waits.len())
    }
}

impl<'b, P: Protocol> Online<'b, P> {
    /// Nobody yet; the clock begins at zero.
    ///
    /// # Errors
    /// If the system has no way to wait for sockets.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let resolver = Resolver::new(Waker::new(poll.registry(), NAMES)?);
        let common = Common {
            registry: poll.registry().try_clone()?,
            resolver,
            clock: Instant::now(),
            out: vec![0; LONGEST],
            scratch: vec![0; PIECE],
        };
        Ok(Self {
            poll,
            events: Events::with_capacity(AT_ONCE),
            common,
            links: Vec::new(),
            busy: VecDeque::new(),
            is_busy: Vec::new(),
            deadlines: BTreeSet::new(),
            waits: Vec::new(),
        })
    }

    /// The time that machines are given.
    pub fn now(&self) -> Duration {
        self.common.now()
    }

    /// Takes a machine in and starts it; returns its number.
    pub fn add(&mut self, mut protocol: P, settings: Settings, memory: &'b mut Memory) -> usize {
        let index = self.links.len();
        protocol.start(self.now());
        self.links.push(Link::new(protocol, index, settings, memory));
        self.is_busy.push(false);
        self.waits.push(None);
        self.wake(index);
        index
    }

    /// The machine of that number. Who changes something in it has to [`wake`](Self::wake) it.
    pub fn machine(&mut self, index: usize) -> Option<&mut P> {
        self.links.get_mut(index).map(|link| &mut link.protocol)
    }

    /// What has gone over that machine's lines.
    pub fn traffic(&self, index: usize) -> Traffic {
        self.links.get(index).map(Link::traffic).unwrap_or_default()
    }

    /// Has that machine asked in the next turn for what it wants.
    pub fn wake(&mut self, index: usize) {
        if let Some(busy) = self.is_busy.get_mut(index).filter(|busy| !**busy) {
            *busy = true;
            self.busy.push_back(index);
        }
    }

    /// Waits until something can be done, but no longer than `longest`, and does it. `hear` is told
    /// by machine what happens on the lines.
    ///
    /// # Errors
    /// If the system fails to wait.
    pub fn turn(
        &mut self,
        longest: Duration,
        hear: &mut dyn FnMut(usize, Event<'_>),
    ) -> io::Result<()> {
        let until_next = self.deadlines.first().map(|(at, _)| at.saturating_sub(self.now()));
        let wait = match self.busy.is_empty() {
            true => until_next.map_or(longest, |next| next.min(longest)),
            false => Duration::ZERO,
        };
        match self.poll.poll(&mut self.events, Some(round_up(wait))) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let ready: Vec<usize> =
            self.events.iter().map(|event| event.token().0).filter(|it| *it != NAMES.0).collect();
        ready.into_iter().for_each(|index| self.wake(index));
        while let Some(found) = self.common.resolver.found() {
            let index = found.link;
            if let Some(link) = self.links.get_mut(index) {
                let hear = &mut |event: Event<'_>| hear(index, event);
                link.found(found.question, found.addresses, &mut self.common, hear);
                self.wake(index);
            }
        }
        let now = self.now();
        while let Some((_, index)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.pop_first();
            if let Some(wait) = self.waits.get_mut(index) {
                *wait = None;
            }
            self.wake(index);
        }
        for _ in 0..self.busy.len() {
            let Some(index) = self.busy.pop_front() else { break };
            if let Some(busy) = self.is_busy.get_mut(index) {
                *busy = false;
            }
            self.go_on(index, hear);
        }
        Ok(())
    }

    fn go_on(&mut self, index: usize, hear: &mut dyn FnMut(usize, Event<'_>)) {
        let Some(link) = self.links.get_mut(index) else { return };
        let hear = &mut |event: Event<'_>| hear(index, event);
        let more = link.go_on(&mut self.common, hear);
        let deadline = link.deadline();
        if more {
            self.wake(index);
        }
        if let Some(wait) = self.waits.get_mut(index)
            && *wait != deadline
        {
            if let Some(before) = wait.take() {
                self.deadlines.remove(&(before, index));
            }
            if let Some(at) = deadline {
                self.deadlines.insert((at, index));
            }
            *wait = deadline;
        }
    }
}

/// The system waits for whole milliseconds, and cuts off the rest: it would be asked in vain.
fn round_up(wait: Duration) -> Duration {
    match wait.subsec_nanos() % 1_000_000 {
        0 => wait,
        rest => wait + Duration::from_nanos(u64::from(1_000_000 - rest)),
    }
}
