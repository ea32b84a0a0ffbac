//! One machine and its line.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Registry, Token};
use updraft_ota::{Endpoint, Input, Output, Protocol, Transport};

use crate::line::{Line, Piece, Traffic};
use crate::resolve::Resolver;
use crate::session::{Heard, Room, Talk};
use crate::settings::{Memory, Regard, Settings};
use crate::{LineError, TlsError};

/// Steps that one machine makes before the others have their turn.
const STEPS: usize = 64;
/// Part of a line's patience that one address may take while there are others.
const EACH: u32 = 6;
/// How long a line that was left is kept until the server has heard it.
const GOODBYE: Duration = Duration::from_secs(5);
/// Times that a machine is called although nothing comes of it.
const IN_VAIN: u32 = 8;
/// How long it is left alone then.
const REST: Duration = Duration::from_millis(20);

/// What happens on a line.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'e> {
    /// It stands, and with MQTT the server has taken the session.
    Opened {
        /// `host:port`.
        peer: &'e str,
        /// A session that was kept goes on.
        session_present: bool,
    },
    /// It could not be made, or was lost.
    Lost(&'e LineError),
    /// The server has closed it, as servers of HTTP do.
    Closed {
        /// `host:port`.
        peer: &'e str,
    },
    /// A message was longer than the memory for it, and let go.
    TooLong {
        /// Bytes of the packet.
        len: usize,
    },
}

/// What links have in common.
pub(crate) struct Common {
    pub registry: Registry,
    pub resolver: Resolver,
    pub clock: Instant,
    /// For what is to be sent, and for what is read.
    pub out: Vec<u8>,
    pub scratch: Vec<u8>,
}

impl Common {
    pub fn now(&self) -> Duration {
        self.clock.elapsed()
    }
}

/// The machine wants a line.
struct Wish {
    transport: Transport,
    host: String,
    port: u16,
}

enum Stage {
    Apart,
    /// A name is being looked up.
    Asking(Wish),
    /// The line is being made.
    Greeting(Transport),
    Open(Transport),
}

pub(crate) struct Link<'b, P> {
    pub protocol: P,
    index: usize,
    settings: Settings,
    talk: Talk<'b>,
    stage: Stage,
    line: Option<Line>,
    /// The first host that the machine called.
    own: Option<String>,
    /// What the host is that the line leads to.
    regard: Regard,
    leaving: Option<(Line, Duration)>,
    questions: u64,
    /// Until when the line has to stand, or its next address is tried.
    until: Option<Duration>,
    /// Calls of the machine since anything came of one, and until when it is left alone.
    in_vain: u32,
    rest: Duration,
    past: Traffic,
}

impl<'b, P: Protocol> Link<'b, P> {
    pub fn new(protocol: P, index: usize, settings: Settings, memory: &'b mut Memory) -> Self {
        Self {
            protocol,
            index,
            settings,
            talk: Talk::new(memory),
            stage: Stage::Apart,
            line: None,
            own: None,
            regard: Regard::Own,
            leaving: None,
            questions: 0,
            until: None,
            in_vain: 0,
            rest: Duration::ZERO,
            past: Traffic::default(),
        }
    }

    pub fn traffic(&self) -> Traffic {
        let lines = self.line.iter().chain(self.leaving.iter().map(|(line, _)| line));
        lines.fold(self.past, |sum, line| add(sum, line.traffic))
    }

    /// When something is to be done, if nothing happens before.
    pub fn deadline(&self) -> Option<Duration> {
        let talk = if self.speaks_mqtt() { self.talk.deadline() } else { None };
        let leaving = self.leaving.as_ref().map(|(_, until)| *until);
        let machine = self.protocol.deadline().map(|at| at.max(self.rest));
        [machine, talk, leaving, self.until].into_iter().flatten().min()
    }

    fn speaks_mqtt(&self) -> bool {
        matches!(self.stage, Stage::Greeting(Transport::Mqtt) | Stage::Open(Transport::Mqtt))
    }

    /// Does what there is to do, a bounded number of steps; says whether some are left.
    pub fn go_on(&mut self, common: &mut Common, hear: &mut dyn FnMut(Event<'_>)) -> bool {
        self.see_off(common);
        for _ in 0..STEPS {
            let mut busy = self.outputs(common, hear);
            match self.look_at_the_clock(common).and_then(|()| self.transfer(common, hear)) {
                Ok(moved) => busy |= moved,
                Err(error) => {
                    let error = self.before_greeting(error);
                    self.lost(error, common.now(), hear);
                    busy = true;
                }
            }
            if busy {
                (self.in_vain, self.rest) = (0, Duration::ZERO);
            }
            busy |= self.call(common.now());
            if !busy {
                // A line that was just left need not wait for anybody.
                self.see_off(common);
                return false;
            }
        }
        true
    }

    /// Calls the machine if it is time. One that stays due although nothing comes of it waits for the
    /// line to take what it says, and is not called without end.
    fn call(&mut self, now: Duration) -> bool {
        if now < self.rest || self.protocol.deadline().is_none_or(|at| at > now) {
            return false;
        }
        self.in_vain += 1;
        if self.in_vain > IN_VAIN {
            (self.in_vain, self.rest) = (0, now + REST);
            return false;
        }
        self.protocol.poll(now);
        true
    }

    /// Gives up what takes too long to stand: an address while there are others, then the line.
    fn look_at_the_clock(&mut self, common: &Common) -> Result<(), LineError> {
        let now = common.now();
        if self.until.is_none_or(|until| now < until) {
            return Ok(());
        }
        self.until = None;
        let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
        if let Stage::Asking(wish) = &self.stage {
            return Err(LineError::NotFound { host: wish.host.clone(), source });
        }
        let Some(line) = &mut self.line else { return Ok(()) };
        line.give_up(source, &common.registry, Token(self.index))?;
        self.until = Some(now + self.patience());
        Ok(())
    }

    /// How long the line, or its address, may take.
    fn patience(&self) -> Duration {
        let patience = self.settings.patience;
        match &self.line {
            Some(line) if line.has_others() => patience / EACH,
            _ => patience,
        }
    }

    /// A server that hangs up before it has said anything does not like what it was told, however
    /// it hangs up.
    fn before_greeting(&self, error: LineError) -> LineError {
        match (error, &self.stage, &self.line) {
            (LineError::Broken { peer, .. }, Stage::Greeting(_), Some(line)) => {
                LineError::Closed { peer, greeted: false, encrypted: line.is_encrypted() }
            }
            (error, ..) => error,
        }
    }

    /// The answer to a question for a name.
    pub fn found(
        &mut self,
        question: u64,
        addresses: std::io::Result<Vec<SocketAddr>>,
        common: &mut Common,
        hear: &mut dyn FnMut(Event<'_>),
    ) {
        if question != self.questions || !matches!(self.stage, Stage::Asking(_)) {
            return;
        }
        let Stage::Asking(wish) = std::mem::replace(&mut self.stage, Stage::Apart) else { return };
        let connected = match addresses {
            Ok(addresses) => self.connect(&wish, addresses, common),
            Err(source) => Err(LineError::NotFound { host: wish.host, source }),
        };
        if let Err(error) = connected {
            self.lost(error, common.now(), hear);
        }
    }

    /// Takes the machine's outputs as long as there is room for them.
    fn outputs(&mut self, common: &mut Common, hear: &mut dyn FnMut(Event<'_>)) -> bool {
        let mut any = false;
        loop {
            match self.talk.offer_held() {
                Ok(Room::ForAll) => {}
                // Whoever has no line may want one, which makes room for the rest.
                Ok(Room::ForLines) if !matches!(self.stage, Stage::Open(_)) => {}
                Ok(_) => return any,
                Err(error) => {
                    self.lost(error, common.now(), hear);
                    return true;
                }
            }
            if self
                .line
                .as_ref()
                .is_some_and(|line| matches!(self.stage, Stage::Open(_)) && !line.has_room())
            {
                return any;
            }
            let mut out = std::mem::take(&mut common.out);
            let done = self.output(&mut out, common);
            common.out = out;
            match done {
                Ok(true) => any = true,
                Ok(false) => return any,
                Err(error) => {
                    self.lost(error, common.now(), hear);
                    return true;
                }
            }
        }
    }

    fn output(&mut self, buffer: &mut [u8], common: &mut Common) -> Result<bool, LineError> {
        let Some(output) = self.protocol.output(buffer) else { return Ok(false) };
        match output {
            Output::Open(Endpoint { transport, host, port }) => {
                let wish = Wish { transport, host: host.to_string(), port };
                self.open(wish, common)?;
            }
            Output::Close => self.close(common.now()),
            Output::Subscribe(topic) => self.talk.subscribe(topic)?,
            Output::Publish { topic, payload, reliably } => {
                self.talk.publish(topic, payload, reliably)?;
            }
            Output::Send(bytes) => {
                if let Some(line) = &mut self.line {
                    line.write(bytes)?;
                }
            }
        }
        Ok(true)
    }

    fn open(&mut self, wish: Wish, common: &mut Common) -> Result<(), LineError> {
        self.close(common.now());
        let peer = format!("{}:{}", wish.host, wish.port);
        let broker = Some(peer.as_str()).filter(|_| wish.transport == Transport::Mqtt);
        self.talk.prepare(&self.settings.session, broker);
        let own = self.own.get_or_insert_with(|| wish.host.clone());
        self.regard = self.settings.regard(own, &wish.host);
        self.questions += 1;
        self.until = Some(common.now() + self.settings.patience);
        if let Some(address) = Resolver::address(&wish.host, wish.port) {
            return self.connect(&wish, vec![address], common);
        }
        let asked = common.resolver.ask(self.index, self.questions, &wish.host, wish.port);
        match asked {
            Ok(()) => {
                self.stage = Stage::Asking(wish);
                Ok(())
            }
            Err(source) => Err(LineError::NotFound { host: wish.host, source }),
        }
    }

    fn connect(
        &mut self,
        wish: &Wish,
        addresses: Vec<SocketAddr>,
        common: &Common,
    ) -> Result<(), LineError> {
        let Wish { transport, host, port } = wish;
        let peer = format!("{host}:{port}");
        let encrypted = match transport {
            Transport::Mqtt => !self.settings.plain,
            Transport::Http => false,
            Transport::Https => true,
        };
        let no_tls = |source: Option<TlsError>| LineError::NoTls { peer: peer.clone(), source };
        let tls = match (&self.settings.tls, encrypted) {
            (_, false) => None,
            (None, true) => return Err(no_tls(None)),
            (Some(tls), true) => {
                Some(tls.connect(host, self.regard).map_err(|error| no_tls(Some(error)))?)
            }
        };
        let token = Token(self.index);
        let line = Line::connect(peer.clone(), addresses, tls, &common.registry, token)?;
        self.line = Some(line);
        self.until = Some(common.now() + self.patience());
        self.stage = Stage::Greeting(*transport);
        Ok(())
    }

    fn close(&mut self, now: Duration) {
        self.stage = Stage::Apart;
        self.until = None;
        if let Some(line) = &mut self.line {
            self.talk.leave(line, now);
        }
        self.talk.closed();
        let Some(mut line) = self.line.take() else { return };
        line.leave();
        if let Some((before, _)) = self.leaving.replace((line, now + GOODBYE)) {
            self.past = add(self.past, before.traffic);
        }
    }

    /// Lets a line go that has said goodbye.
    fn see_off(&mut self, common: &mut Common) {
        let now = common.now();
        let gone =
            |(line, until): &mut (Line, Duration)| now >= *until || line.left(&mut common.scratch);
        if self.leaving.as_mut().is_some_and(gone)
            && let Some((line, _)) = self.leaving.take()
        {
            self.past = add(self.past, line.traffic);
        }
    }

    fn lost(&mut self, error: LineError, now: Duration, hear: &mut dyn FnMut(Event<'_>)) {
        let kept_back = self.regard == Regard::Strange && self.settings.has_secrets();
        let error = if kept_back { error.of_a_stranger() } else { error };
        self.drop_line();
        hear(Event::Lost(&error));
        self.protocol.handle(Input::Closed, now);
    }

    fn drop_line(&mut self) {
        self.stage = Stage::Apart;
        self.until = None;
        self.talk.lost(&self.settings.session);
        if let Some(line) = self.line.take() {
            self.past = add(self.past, line.traffic);
        }
    }

    /// Moves bytes between line and machine, a piece of them.
    fn transfer(
        &mut self,
        common: &mut Common,
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, LineError> {
        let now = common.now();
        let Some(line) = &mut self.line else { return Ok(false) };
        let just_open = line.advance(&common.registry, Token(self.index))?;
        if just_open {
            self.until = None;
        }
        match self.stage {
            Stage::Greeting(Transport::Mqtt) if just_open => {
                let is_known = self.regard != Regard::Strange;
                self.talk.greet(&self.settings.session, is_known, now)?;
                Ok(true)
            }
            Stage::Greeting(transport) if just_open => {
                self.stage = Stage::Open(transport);
                hear(Event::Opened { peer: &line.peer, session_present: false });
                self.protocol.handle(Input::Opened, now);
                Ok(true)
            }
            Stage::Greeting(Transport::Mqtt) | Stage::Open(Transport::Mqtt) => {
                self.mqtt(common, hear)
            }
            Stage::Open(_) => self.bytes(common, hear),
            _ => Ok(false),
        }
    }

    fn mqtt(
        &mut self,
        common: &mut Common,
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, LineError> {
        let now = common.now();
        let Self { protocol, talk, stage, line, .. } = self;
        let Some(line) = line else { return Ok(false) };
        talk.transfer(line, &mut common.scratch, now, &mut |peer, heard| match heard {
            Heard::Opened { session_present } => {
                *stage = Stage::Open(Transport::Mqtt);
                hear(Event::Opened { peer, session_present });
                protocol.handle(Input::Opened, now);
            }
            Heard::Message { topic, payload } => {
                protocol.handle(Input::Message { topic, payload }, now);
            }
            Heard::TooLong { len } => hear(Event::TooLong { len }),
        })
    }

    fn bytes(
        &mut self,
        common: &mut Common,
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, LineError> {
        let now = common.now();
        let Some(line) = &mut self.line else { return Ok(false) };
        let moved = line.make_room()?;
        match line.read(&mut common.scratch)? {
            Piece::Bytes(len) => {
                let bytes = common.scratch.get(..len).unwrap_or_default();
                self.protocol.handle(Input::Bytes(bytes), now);
                Ok(true)
            }
            Piece::Nothing => Ok(moved),
            Piece::End => {
                hear(Event::Closed { peer: &line.peer });
                self.drop_line();
                self.protocol.handle(Input::Closed, now);
                Ok(true)
            }
        }
    }
}

fn add(one: Traffic, other: Traffic) -> Traffic {
    Traffic { sent: one.sent + other.sent, received: one.received + other.received }
}
