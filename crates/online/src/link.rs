//! One machine and its line.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Registry, Token};
use updraft_mqtt::{Client, Connect, Event as Heard, LastWill, NoRoom, Patience, QoS};
use updraft_ota::{Endpoint, Input, Output, Protocol, Transport};

use crate::line::{Line, Piece, Traffic};
use crate::resolve::Resolver;
use crate::{LineError, Tls, TlsError};

/// Steps that one machine makes before the others have their turn.
const STEPS: usize = 64;
/// How long a line may take until it stands.
const PATIENCE: Duration = Duration::from_secs(30);
/// Part of it that one address may take while there are others.
const EACH: u32 = 6;
/// How long a line that was left is kept until the server has heard it.
const GOODBYE: Duration = Duration::from_secs(5);
/// Bytes of the outbox that are kept for acknowledgements.
const ACKNOWLEDGEMENTS: usize = 12;

/// A last will: what the broker publishes, with QoS 1, if the line breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
}

/// An MQTT session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who this is.
    pub client_id: String,
    /// Begins anew with each connection. A session that is kept brings what came in between.
    pub clean: bool,
    /// Seconds of silence after which the broker asks no more; 0 for no limit.
    pub keep_alive: u16,
    /// What is published if the line breaks.
    pub will: Option<Will>,
    /// A name and a password, for brokers that want them.
    pub user: Option<(String, String)>,
}

impl Session {
    /// A clean session with a keep-alive of 60 s.
    pub fn new(client_id: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), clean: true, keep_alive: 60, will: None, user: None }
    }
}

/// How a machine's lines are made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its session, where it speaks MQTT.
    pub session: Session,
    /// TLS, where it is spoken.
    pub tls: Option<Arc<Tls>>,
    /// Speaks MQTT in plain text. HTTP is encrypted if the machine says so.
    pub plain: bool,
    /// How long a line may take until it stands: the look for the name, TCP, TLS. A sixth of that
    /// for each address while there are others.
    pub patience: Duration,
}

impl Settings {
    /// Plain MQTT, and HTTP without TLS.
    pub fn plain(session: Session) -> Self {
        Self { session, tls: None, plain: true, patience: PATIENCE }
    }

    /// MQTT over TLS, and HTTP as the machine says.
    pub fn tls(session: Session, tls: Arc<Tls>) -> Self {
        Self { session, tls: Some(tls), plain: false, patience: PATIENCE }
    }
}

/// What MQTT keeps messages in.
#[derive(Clone, Debug)]
pub struct Memory {
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

impl Memory {
    /// For messages of up to `inbox` bytes that come, and `outbox` bytes of messages on their way.
    pub fn new(inbox: usize, outbox: usize) -> Self {
        // Topics, and what is around them.
        const AROUND: usize = 320;
        Self { inbox: vec![0; inbox + AROUND], outbox: vec![0; outbox + AROUND] }
    }

    /// For a device that fetches blocks of `block` bytes.
    pub fn of_device(block: usize) -> Self {
        Self::new(block + 1024, 4096)
    }
}

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

/// What found no room yet.
enum Held {
    Subscribe(String),
    Publish { topic: String, payload: Vec<u8>, reliably: bool },
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
    client: Client<'b>,
    outbox: usize,
    stage: Stage,
    line: Option<Line>,
    /// What was read and not looked at yet.
    unread: Vec<u8>,
    held: Option<Held>,
    /// Topics that were subscribed to, for what the server says to that.
    topics: Vec<(updraft_mqtt::PacketId, String)>,
    leaving: Option<(Line, Duration)>,
    questions: u64,
    /// Until when the line has to stand, or its next address is tried.
    until: Option<Duration>,
    past: Traffic,
}

impl<'b, P: Protocol> Link<'b, P> {
    pub fn new(protocol: P, index: usize, settings: Settings, memory: &'b mut Memory) -> Self {
        let outbox = memory.outbox.len();
        Self {
            protocol,
            index,
            settings,
            client: Client::new(&mut memory.inbox, &mut memory.outbox, Patience::default()),
            outbox,
            stage: Stage::Apart,
            line: None,
            unread: Vec::new(),
            held: None,
            topics: Vec::new(),
            leaving: None,
            questions: 0,
            until: None,
            past: Traffic::default(),
        }
    }

    pub fn traffic(&self) -> Traffic {
        let lines = self.line.iter().chain(self.leaving.iter().map(|(line, _)| line));
        lines.fold(self.past, |sum, line| add(sum, line.traffic))
    }

    /// When something is to be done, if nothing happens before.
    pub fn deadline(&self) -> Option<Duration> {
        let client = if self.speaks_mqtt() { self.client.deadline() } else { None };
        let leaving = self.leaving.as_ref().map(|(_, until)| *until);
        [self.protocol.deadline(), client, leaving, self.until].into_iter().flatten().min()
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
                    self.lost(&error, common.now(), hear);
                    busy = true;
                }
            }
            let now = common.now();
            if self.protocol.deadline().is_some_and(|at| at <= now) {
                self.protocol.poll(now);
                busy = true;
            }
            if !busy {
                // A line that was just left need not wait for anybody.
                self.see_off(common);
                return false;
            }
        }
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
            self.lost(&error, common.now(), hear);
        }
    }

    /// Takes the machine's outputs as long as there is room for them.
    fn outputs(&mut self, common: &mut Common, hear: &mut dyn FnMut(Event<'_>)) -> bool {
        let mut any = false;
        loop {
            match self.offer_held() {
                Ok(true) => {}
                Ok(false) => return any,
                Err(error) => {
                    self.lost(&error, common.now(), hear);
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
                    self.lost(&error, common.now(), hear);
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
            Output::Subscribe(topic) => self.held = Some(Held::Subscribe(topic.to_owned())),
            Output::Publish { topic, payload, reliably } => {
                match self.client.publish(topic, payload, reliably) {
                    Ok(_) => {}
                    Err(refused) => {
                        fits(refused, self.outbox)?;
                        let (topic, payload) = (topic.to_owned(), payload.to_vec());
                        self.held = Some(Held::Publish { topic, payload, reliably });
                    }
                }
            }
            Output::Send(bytes) => {
                if let Some(line) = &mut self.line {
                    line.write(bytes)?;
                }
            }
        }
        Ok(true)
    }

    /// Tries again what found no room; says whether there is room for more.
    fn offer_held(&mut self) -> Result<bool, LineError> {
        let Some(held) = self.held.take() else { return Ok(true) };
        let offered = match &held {
            Held::Subscribe(topic) => self.client.subscribe(topic, true).map(|id| {
                self.topics.push((id, topic.clone()));
            }),
            Held::Publish { topic, payload, reliably } => {
                self.client.publish(topic, payload, *reliably).map(|_| ())
            }
        };
        let Err(refused) = offered else { return Ok(true) };
        fits(refused, self.outbox)?;
        self.held = Some(held);
        Ok(false)
    }

    fn open(&mut self, wish: Wish, common: &mut Common) -> Result<(), LineError> {
        self.close(common.now());
        // What is said from now on is for the new session.
        if self.settings.session.clean {
            self.client.forget();
        }
        self.topics.clear();
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
            (Some(tls), true) => Some(tls.connect(host).map_err(|error| no_tls(Some(error)))?),
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
        self.unread.clear();
        let Some(mut line) = self.line.take() else { return };
        if self.client.is_open() {
            // Without room for a goodbye, the server notices the line's end.
            let _ = self.client.disconnect();
            let _ = transmit(&mut self.client, &mut line, now, true);
        }
        self.client.closed();
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

    fn lost(&mut self, error: &LineError, now: Duration, hear: &mut dyn FnMut(Event<'_>)) {
        self.drop_line();
        hear(Event::Lost(error));
        self.protocol.handle(Input::Closed, now);
    }

    fn drop_line(&mut self) {
        self.stage = Stage::Apart;
        self.until = None;
        self.unread.clear();
        self.client.closed();
        // A session that is kept loses nothing.
        if self.settings.session.clean {
            self.held = None;
        }
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
                self.greet(now)?;
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

    fn greet(&mut self, now: Duration) -> Result<(), LineError> {
        let Session { client_id, clean, keep_alive, will, user } = &self.settings.session;
        let will = will.as_ref().map(|Will { topic, payload }| LastWill {
            topic,
            payload,
            qos: QoS::AtLeastOnce,
            retain: false,
        });
        let connect = Connect {
            client_id,
            clean_session: *clean,
            keep_alive: *keep_alive,
            will,
            user_name: user.as_ref().map(|(name, _)| name.as_str()),
            password: user.as_ref().map(|(_, password)| password.as_bytes()),
        };
        let room = self.outbox;
        let connected = self.client.connect(&connect, now);
        connected.map_err(|NoRoom { needed, .. }| LineError::TooLong { needed, room })
    }

    fn mqtt(
        &mut self,
        common: &mut Common,
        hear: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, LineError> {
        let now = common.now();
        let Some(line) = &mut self.line else { return Ok(false) };
        let peer = line.peer.clone();
        let failed = |source| LineError::Mqtt { peer: peer.clone(), source };
        self.client.tick(now).map_err(failed)?;
        // The socket tells once that it takes bytes again: what it takes makes room for more.
        let mut moved = line.make_room()?;
        moved |= transmit(&mut self.client, line, now, false)?;
        if let Some(event) = self.client.event().map_err(failed)? {
            match event {
                Heard::Connected { session_present } => {
                    self.stage = Stage::Open(Transport::Mqtt);
                    hear(Event::Opened { peer: &line.peer, session_present });
                    self.protocol.handle(Input::Opened, now);
                }
                Heard::Message(message) => {
                    let (topic, payload) = (message.topic, message.payload);
                    self.protocol.handle(Input::Message { topic, payload }, now);
                }
                Heard::TooLong { len } => hear(Event::TooLong { len }),
                Heard::Subscribed { id, codes } => {
                    let refused = codes.iter().any(|granted| granted.is_none());
                    let at = self.topics.iter().position(|(asked, _)| *asked == id);
                    let topic = at.map(|at| self.topics.swap_remove(at).1).unwrap_or_default();
                    if refused {
                        let peer = line.peer.clone();
                        return Err(LineError::NotSubscribed { peer, topic });
                    }
                }
                Heard::Published(_) | Heard::Unsubscribed(_) => {}
            }
            return Ok(true);
        }
        if self.unread.is_empty() {
            match line.read(&mut common.scratch)? {
                Piece::Bytes(len) => {
                    self.unread.extend_from_slice(common.scratch.get(..len).unwrap_or_default());
                    moved = true;
                }
                Piece::Nothing => {}
                Piece::End => {
                    let greeted = self.client.is_open();
                    let (peer, encrypted) = (line.peer.clone(), line.is_encrypted());
                    return Err(LineError::Closed { peer, greeted, encrypted });
                }
            }
        }
        if !self.unread.is_empty() {
            let taken = self.client.receive(&self.unread).map_err(failed)?;
            self.unread.drain(..taken);
            moved |= taken > 0;
        }
        Ok(moved)
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

/// Hands the client's bytes to the line: all of them, or as long as not too many wait already.
fn transmit(
    client: &mut Client<'_>,
    line: &mut Line,
    now: Duration,
    all: bool,
) -> Result<bool, LineError> {
    let mut any = false;
    while all || line.has_room() {
        let len = client.transmit().len();
        if len == 0 {
            break;
        }
        line.write(client.transmit())?;
        client.sent(len, now);
        any = true;
    }
    Ok(any)
}

/// Whether a message finds room once others are gone.
fn fits(NoRoom { needed, .. }: NoRoom, outbox: usize) -> Result<(), LineError> {
    let room = outbox.saturating_sub(ACKNOWLEDGEMENTS);
    if needed > room { Err(LineError::TooLong { needed, room }) } else { Ok(()) }
}

fn add(one: Traffic, other: Traffic) -> Traffic {
    Traffic { sent: one.sent + other.sent, received: one.received + other.received }
}
