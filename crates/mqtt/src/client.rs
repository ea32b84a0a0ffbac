//! One session with a server.

use core::ops::Range;
use core::time::Duration;

use crate::inbox::{Frame, Inbox};
use crate::outbox::Outbox;
use crate::packet::{Codes, Connect, ConnectCode, Kind, Packet, PacketId, Publish, QoS};
use crate::{ClientError, NoRoom, Unexpected, Writer};

/// How long a server may take to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From CONNECT to CONNACK.
    pub connect: Duration,
    /// From PINGREQ to any packet.
    pub ping: Duration,
}

impl Default for Patience {
    /// 30 s and 10 s.
    fn default() -> Self {
        Self { connect: Duration::from_secs(30), ping: Duration::from_secs(10) }
    }
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'e> {
    /// The server takes the connection.
    Connected {
        /// It goes on with a session that it kept: subscriptions stand.
        session_present: bool,
    },
    /// A message. It is acknowledged when the next event is asked for.
    Message(Publish<'e>),
    /// A message that is longer than the inbox was let go; it is acknowledged nevertheless, or it
    /// would come again and again.
    TooLong {
        /// Bytes of the packet.
        len: usize,
    },
    /// The server has taken a message of QoS 1.
    Published(PacketId),
    /// The answer to a subscription.
    Subscribed {
        /// Which.
        id: PacketId,
        /// What was granted; a refusal has no quality of service.
        codes: Codes<'e>,
    },
    /// A subscription has ended.
    Unsubscribed(PacketId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no connection, or it has to be closed.
    Closed,
    /// CONNECT is on its way, or its answer is waited for.
    Connecting {
        until: Duration,
    },
    Open,
}

/// A client as a state machine. Times count from any moment on, the same for all calls.
///
/// ```text
/// open a connection ── connect ──▶ transmit, sent ──▶ the server
///                                     ▲
///            publish, subscribe ──────┘   receive ◀── bytes of the server
///                                            └──▶ event: messages, acknowledgements
///            tick at the deadline: pings, and servers that do not answer
/// ```
///
/// After an error the connection has to be closed, and the client connected anew: what was not
/// acknowledged by then is sent again.
#[derive(Debug)]
pub struct Client<'b> {
    inbox: Inbox<'b>,
    outbox: Outbox<'b>,
    state: State,
    patience: Patience,
    keep_alive: Duration,
    /// When something was sent last.
    sent_at: Duration,
    /// Until when an answer to a ping has to be there.
    ping: Option<Duration>,
    last_id: u16,
    /// What is still to be sent of CONNECT, which waits in the inbox.
    greeting: Range<usize>,
    /// The packet in the inbox has been looked at.
    looked_at: bool,
    /// It is a message that is to be acknowledged.
    owed: Option<PacketId>,
}

impl<'b> Client<'b> {
    /// A client that takes packets up to the size of `inbox`, which has to hold CONNECT as well, and
    /// keeps those that it sends in `outbox` until they are acknowledged.
    pub fn new(inbox: &'b mut [u8], outbox: &'b mut [u8], patience: Patience) -> Self {
        Self {
            inbox: Inbox::new(inbox),
            outbox: Outbox::new(outbox),
            state: State::Closed,
            patience,
            keep_alive: Duration::ZERO,
            sent_at: Duration::ZERO,
            ping: None,
            last_id: 0,
            greeting: 0..0,
            looked_at: false,
            owed: None,
        }
    }

    /// Begins to talk on a connection that has just been opened.
    ///
    /// # Errors
    /// If CONNECT is longer than the inbox.
    pub fn connect(&mut self, connect: &Connect<'_>, now: Duration) -> Result<(), NoRoom> {
        self.closed();
        self.outbox.begin_anew();
        // The outbox may be full of what was not acknowledged, which only a connection empties. The
        // inbox is empty: nothing comes before the server has read CONNECT.
        let len = Writer::new(self.inbox.lend()).packet(&Packet::Connect(*connect))?;
        self.greeting = 0..len;
        self.keep_alive = Duration::from_secs(connect.keep_alive.into());
        self.state = State::Connecting { until: now.saturating_add(self.patience.connect) };
        Ok(())
    }

    /// The connection is gone. What was not acknowledged is kept for the next one.
    pub fn closed(&mut self) {
        self.inbox.clear();
        (self.looked_at, self.owed, self.ping) = (false, None, None);
        self.greeting = 0..0;
        self.state = State::Closed;
    }

    /// Forgets what waits to be sent or to be acknowledged: before a clean session, of which the
    /// server knows nothing either (MQTT-3.1.2-6).
    pub fn forget(&mut self) {
        self.outbox.clear();
    }

    /// Whether the server has taken the connection.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Publishes a message; with `reliably` (QoS 1) it is kept until the server has acknowledged it,
    /// and told by the identifier then. It may be done before there is a connection.
    ///
    /// # Errors
    /// If there is no room; send what waits, or wait for acknowledgements.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        reliably: bool,
    ) -> Result<Option<PacketId>, NoRoom> {
        let id = reliably.then(|| self.next_id());
        let qos = if reliably { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let packet = Packet::Publish(Publish { qos, id, ..Publish::new(topic, payload) });
        let until = id.map(|id| (Kind::PubAck, id));
        self.push(Kind::Publish, until, |writer| writer.packet(&packet))?;
        Ok(id)
    }

    /// Subscribes to a filter, with QoS 1 if `reliably` and 0 otherwise.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn subscribe(&mut self, filter: &str, reliably: bool) -> Result<PacketId, NoRoom> {
        let id = self.next_id();
        let qos = if reliably { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let until = Some((Kind::SubAck, id));
        self.push(Kind::Subscribe, until, |writer| writer.subscribe(id, &[(filter, qos)]))?;
        Ok(id)
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn unsubscribe(&mut self, filter: &str) -> Result<PacketId, NoRoom> {
        let id = self.next_id();
        let until = Some((Kind::UnsubAck, id));
        self.push(Kind::Unsubscribe, until, |writer| writer.unsubscribe(id, &[filter]))?;
        Ok(id)
    }

    /// Says goodbye, so that the server publishes no last will. The connection can be closed once
    /// this is sent.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn disconnect(&mut self) -> Result<(), NoRoom> {
        self.outbox.push(Kind::Disconnect, None, 0, |writer| writer.packet(&Packet::Disconnect))
    }

    /// Bytes to be sent now; none if there are none, or if the server has to answer first.
    pub fn transmit(&self) -> &[u8] {
        match self.state {
            State::Open => self.outbox.unsent(),
            State::Connecting { .. } => self.inbox.lent(self.greeting.clone()),
            State::Closed => &[],
        }
    }

    /// So many of them have been sent.
    pub fn sent(&mut self, count: usize, now: Duration) {
        if count == 0 || self.transmit().is_empty() {
            return;
        }
        self.sent_at = now;
        match self.state {
            State::Open => self.outbox.sent(count),
            _ => self.greeting.start = self.greeting.start.saturating_add(count),
        }
    }

    /// Takes bytes from the server, up to the end of a packet; the others are to be offered again
    /// after the next [`event`](Self::event). None are taken while an acknowledgement finds no room,
    /// or while CONNECT is not sent.
    ///
    /// # Errors
    /// If they are no packet.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<usize, ClientError> {
        if self.state == State::Closed {
            return Ok(bytes.len());
        }
        if !self.greeting.is_empty() || !self.let_go() {
            return Ok(0);
        }
        self.inbox.take(bytes).map_err(|malformed| {
            self.state = State::Closed;
            malformed.into()
        })
    }

    /// What has happened; `None` if more bytes are needed, or if what waits has to be sent first.
    ///
    /// # Errors
    /// If the connection has to be closed.
    pub fn event(&mut self) -> Result<Option<Event<'_>>, ClientError> {
        while self.state != State::Closed {
            if !self.let_go() || !self.inbox.is_whole() {
                return Ok(None);
            }
            self.ping = None;
            self.looked_at = true;
            match self.look() {
                // Nothing that anybody wants to know.
                Ok(false) => {}
                Ok(true) => return Ok(self.told()),
                Err(error) => {
                    self.state = State::Closed;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// When [`tick`](Self::tick) is to be called, if nothing happens before.
    pub fn deadline(&self) -> Option<Duration> {
        match (self.state, self.ping) {
            (State::Closed, _) => None,
            (State::Connecting { until }, _) => Some(until),
            (State::Open, Some(until)) => Some(until),
            (State::Open, None) if self.keep_alive.is_zero() => None,
            (State::Open, None) => Some(self.sent_at.saturating_add(self.keep_alive)),
        }
    }

    /// Sends a ping when it is time, and gives up a server that does not answer.
    ///
    /// # Errors
    /// If the connection has to be closed.
    pub fn tick(&mut self, now: Duration) -> Result<(), ClientError> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        if self.state != State::Open || self.ping.is_some() {
            self.state = State::Closed;
            return Err(ClientError::Silent);
        }
        self.ping = Some(now.saturating_add(self.patience.ping));
        // If there is no room, packets wait to be sent, which is as good as a ping.
        let _ = self.outbox.push(Kind::PingReq, None, 0, |writer| writer.packet(&Packet::PingReq));
        Ok(())
    }

    fn push(
        &mut self,
        kind: Kind,
        until: Option<(Kind, PacketId)>,
        write: impl FnOnce(&mut Writer<'_>) -> Result<usize, NoRoom>,
    ) -> Result<(), NoRoom> {
        if self.outbox.free() <= Outbox::KEPT_PACKETS {
            return Err(NoRoom { needed: 0, room: 0 });
        }
        self.outbox.push(kind, until, Outbox::KEPT_BYTES, write)
    }

    /// The next identifier that nothing waits for.
    fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            match PacketId::new(self.last_id) {
                Some(id) if !self.outbox.awaits(id) => return id,
                _ => {}
            }
        }
    }

    /// Lets the packet go that was looked at, and acknowledges it; `false` if there is no room to say
    /// so.
    fn let_go(&mut self) -> bool {
        if let Some(id) = self.owed {
            let packet = Packet::PubAck(id);
            let pushed = self.outbox.push(Kind::PubAck, None, 0, |writer| writer.packet(&packet));
            if pushed.is_err() {
                return false;
            }
            self.owed = None;
        }
        if self.looked_at {
            self.inbox.clear();
            self.looked_at = false;
        }
        true
    }

    /// Takes in the packet in the inbox; says whether it is an event.
    fn look(&mut self) -> Result<bool, ClientError> {
        let (frame, whole) = match self.inbox.frame() {
            Some(Frame::Whole(frame)) => (frame, true),
            Some(Frame::TooLong { head, .. }) => (head, false),
            None => return Ok(false),
        };
        if !whole {
            self.owed = id_of_message(frame);
            return Ok(true);
        }
        let packet = Packet::decode(frame)?;
        let unexpected = Err(ClientError::Unexpected(Unexpected(packet.kind())));
        if let (State::Connecting { .. }, Packet::ConnAck { session_present, code }) =
            (self.state, packet)
        {
            if code != ConnectCode::Accepted {
                return Err(ClientError::Refused(code));
            }
            self.state = State::Open;
            if session_present {
                self.outbox.mark_repeated();
            }
            return Ok(true);
        }
        if self.state != State::Open {
            return unexpected;
        }
        match packet {
            // A client asks for QoS 1 at most (MQTT-3.8.4-6).
            Packet::Publish(Publish { qos: QoS::ExactlyOnce, .. }) => unexpected,
            Packet::Publish(publish) => {
                self.owed = publish.id;
                Ok(true)
            }
            // Acknowledgements of what a client before this one sent are none of its.
            Packet::PubAck(id) => Ok(self.outbox.acknowledged(Kind::PubAck, id)),
            Packet::SubAck { id, .. } => Ok(self.outbox.acknowledged(Kind::SubAck, id)),
            Packet::UnsubAck(id) => Ok(self.outbox.acknowledged(Kind::UnsubAck, id)),
            Packet::PingResp => Ok(false),
            _ => unexpected,
        }
    }

    /// The packet that was looked at, as an event.
    fn told(&self) -> Option<Event<'_>> {
        let frame = match self.inbox.frame()? {
            Frame::Whole(frame) => frame,
            Frame::TooLong { len, .. } => return Some(Event::TooLong { len }),
        };
        Some(match Packet::decode(frame).ok()? {
            Packet::ConnAck { session_present, .. } => Event::Connected { session_present },
            Packet::Publish(publish) => Event::Message(publish),
            Packet::PubAck(id) => Event::Published(id),
            Packet::SubAck { id, codes } => Event::Subscribed { id, codes },
            Packet::UnsubAck(id) => Event::Unsubscribed(id),
            _ => return None,
        })
    }
}

/// The identifier of a message of QoS 1, of which only the beginning is there.
fn id_of_message(head: &[u8]) -> Option<PacketId> {
    let (first, rest) = head.split_first()?;
    if first >> 4 != Kind::Publish as u8 || first >> 1 & 0b11 != QoS::AtLeastOnce as u8 {
        return None;
    }
    let digits = rest.iter().take(4).take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let (len, rest) = rest.get(digits..)?.split_first_chunk()?;
    let id = rest.get(usize::from(u16::from_be_bytes(*len))..)?.first_chunk()?;
    PacketId::new(u16::from_be_bytes(*id))
}
