//! Packets, as they are talked about.

use core::fmt;
use core::num::NonZeroU16;

use crate::decode::Reader;

/// Identifies a packet that is acknowledged (section 2.3.1).
pub type PacketId = NonZeroU16;

/// Kinds of packets, with the numbers of section 2.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Client: connect to server.
    Connect = 1,
    /// Server: answer to CONNECT.
    ConnAck = 2,
    /// Either: a message.
    Publish = 3,
    /// Either: a message of QoS 1 has come.
    PubAck = 4,
    /// Either: QoS 2, received.
    PubRec = 5,
    /// Either: QoS 2, released.
    PubRel = 6,
    /// Either: QoS 2, complete.
    PubComp = 7,
    /// Client: subscribe.
    Subscribe = 8,
    /// Server: answer to SUBSCRIBE.
    SubAck = 9,
    /// Client: unsubscribe.
    Unsubscribe = 10,
    /// Server: answer to UNSUBSCRIBE.
    UnsubAck = 11,
    /// Client: is anybody there?
    PingReq = 12,
    /// Server: answer to PINGREQ.
    PingResp = 13,
    /// Client: this is the end, and no last will is to be published.
    Disconnect = 14,
}

impl Kind {
    pub(crate) fn new(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            _ => return None,
        })
    }

    /// The flags that it has to have; PUBLISH has some of its own.
    pub(crate) fn flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
        })
    }
}

/// Quality of service (section 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum QoS {
    /// Once, or lost.
    #[default]
    AtMostOnce = 0,
    /// Until it is acknowledged, so perhaps more than once.
    AtLeastOnce = 1,
    /// Once, with two acknowledgements.
    ExactlyOnce = 2,
}

impl QoS {
    pub(crate) fn new(number: u8) -> Option<Self> {
        [Self::AtMostOnce, Self::AtLeastOnce, Self::ExactlyOnce].get(usize::from(number)).copied()
    }
}

/// The server's answer to CONNECT (section 3.2.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ConnectCode {
    /// Accepted.
    Accepted = 0,
    /// It does not speak this version.
    ProtocolVersion = 1,
    /// It does not allow this client identifier.
    Identifier = 2,
    /// It is not available.
    Unavailable = 3,
    /// User name or password are malformed.
    Credentials = 4,
    /// The client may not connect.
    NotAuthorized = 5,
}

impl ConnectCode {
    pub(crate) fn new(number: u8) -> Option<Self> {
        let all = [
            Self::Accepted,
            Self::ProtocolVersion,
            Self::Identifier,
            Self::Unavailable,
            Self::Credentials,
            Self::NotAuthorized,
        ];
        all.get(usize::from(number)).copied()
    }
}

impl fmt::Display for ConnectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::ProtocolVersion => "it does not speak MQTT 3.1.1",
            Self::Identifier => "it does not take this client identifier",
            Self::Unavailable => "it is not available",
            Self::Credentials => "user name or password is wrong",
            Self::NotAuthorized => "this client is not authorized",
        })
    }
}

/// A message that the server publishes when the client is gone without DISCONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastWill<'p> {
    /// Where to.
    pub topic: &'p str,
    /// What.
    pub payload: &'p [u8],
    /// How.
    pub qos: QoS,
    /// Whether the server keeps it for later subscribers.
    pub retain: bool,
}

/// CONNECT (section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'p> {
    /// Who this is. Every server takes 1 to 23 letters and digits.
    pub client_id: &'p str,
    /// Begin a new session, and keep none: what was subscribed to before is forgotten.
    pub clean_session: bool,
    /// Seconds after which the server may take a silent client for gone; 0 turns that off.
    pub keep_alive: u16,
    /// Published if the client goes without a word.
    pub will: Option<LastWill<'p>>,
    /// Who this is, for servers that want to know.
    pub user_name: Option<&'p str>,
    /// Proof of that. It needs a user name (MQTT-3.1.2-22).
    pub password: Option<&'p [u8]>,
}

impl<'p> Connect<'p> {
    /// A clean session of `client_id`, with a keep-alive of 60 s.
    pub fn new(client_id: &'p str) -> Self {
        Self {
            client_id,
            clean_session: true,
            keep_alive: 60,
            will: None,
            user_name: None,
            password: None,
        }
    }
}

/// PUBLISH (section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'p> {
    /// Where to.
    pub topic: &'p str,
    /// What.
    pub payload: &'p [u8],
    /// How.
    pub qos: QoS,
    /// For the acknowledgement: there if `qos` is not 0.
    pub id: Option<PacketId>,
    /// To be kept for later subscribers, or kept for this one.
    pub retain: bool,
    /// It may have been sent before.
    pub dup: bool,
}

impl<'p> Publish<'p> {
    /// A message of QoS 0.
    pub fn new(topic: &'p str, payload: &'p [u8]) -> Self {
        Self { topic, payload, qos: QoS::AtMostOnce, id: None, retain: false, dup: false }
    }
}

/// The topic filters of SUBSCRIBE or UNSUBSCRIBE, checked when the packet was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Filters<'p> {
    pub(crate) bytes: &'p [u8],
    /// SUBSCRIBE has a quality of service behind each.
    pub(crate) with_qos: bool,
}

impl<'p> Filters<'p> {
    /// Each of them, with the most that is asked for; 0 in UNSUBSCRIBE.
    pub fn iter(&self) -> impl Iterator<Item = (&'p str, QoS)> + use<'p> {
        let (mut reader, with_qos) = (Reader::new(Kind::Subscribe, self.bytes), self.with_qos);
        core::iter::from_fn(move || {
            let filter = reader.text().ok()?;
            let qos = if with_qos { QoS::new(reader.u8().ok()?)? } else { QoS::AtMostOnce };
            Some((filter, qos))
        })
    }
}

impl fmt::Debug for Filters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The answers of SUBACK, one for each filter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Codes<'p> {
    pub(crate) bytes: &'p [u8],
}

impl<'p> Codes<'p> {
    /// What was granted; `None` is a refusal.
    pub fn iter(&self) -> impl Iterator<Item = Option<QoS>> + use<'p> {
        self.bytes.iter().map(|code| QoS::new(*code))
    }
}

impl fmt::Debug for Codes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'p> {
    /// Client: connect to server.
    Connect(Connect<'p>),
    /// Server: answer to CONNECT.
    ConnAck {
        /// It goes on with a session that it kept.
        session_present: bool,
        /// Accepted or refused.
        code: ConnectCode,
    },
    /// Either: a message.
    Publish(Publish<'p>),
    /// Either: a message of QoS 1 has come.
    PubAck(PacketId),
    /// Either: QoS 2, received.
    PubRec(PacketId),
    /// Either: QoS 2, released.
    PubRel(PacketId),
    /// Either: QoS 2, complete.
    PubComp(PacketId),
    /// Client: subscribe.
    Subscribe {
        /// For the answer.
        id: PacketId,
        /// To what.
        filters: Filters<'p>,
    },
    /// Server: answer to SUBSCRIBE.
    SubAck {
        /// That of the SUBSCRIBE.
        id: PacketId,
        /// What was granted.
        codes: Codes<'p>,
    },
    /// Client: unsubscribe.
    Unsubscribe {
        /// For the answer.
        id: PacketId,
        /// From what.
        filters: Filters<'p>,
    },
    /// Server: answer to UNSUBSCRIBE.
    UnsubAck(PacketId),
    /// Client: is anybody there?
    PingReq,
    /// Server: answer to PINGREQ.
    PingResp,
    /// Client: the end.
    Disconnect,
}

impl Packet<'_> {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connect(_) => Kind::Connect,
            Self::ConnAck { .. } => Kind::ConnAck,
            Self::Publish(_) => Kind::Publish,
            Self::PubAck(_) => Kind::PubAck,
            Self::PubRec(_) => Kind::PubRec,
            Self::PubRel(_) => Kind::PubRel,
            Self::PubComp(_) => Kind::PubComp,
            Self::Subscribe { .. } => Kind::Subscribe,
            Self::SubAck { .. } => Kind::SubAck,
            Self::Unsubscribe { .. } => Kind::Unsubscribe,
            Self::UnsubAck(_) => Kind::UnsubAck,
            Self::PingReq => Kind::PingReq,
            Self::PingResp => Kind::PingResp,
            Self::Disconnect => Kind::Disconnect,
        }
    }
}
