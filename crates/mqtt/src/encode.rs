//! Packets to bytes.

use crate::NoRoom;
use crate::packet::{Connect, Kind, Packet, PacketId, Publish, QoS};

/// The longest remaining length (section 2.2.3).
const LONGEST: usize = 268_435_455;

/// Writes packets to a buffer, each with its length in front.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
}

impl<'b> Writer<'b> {
    /// A writer to `buffer`.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer }
    }

    /// Writes a packet. SUBSCRIBE, UNSUBSCRIBE and SUBACK are written as they were read; see
    /// [`subscribe`](Self::subscribe) for new ones. Returns how many bytes it took.
    ///
    /// # Errors
    /// If there is no room for it, or a field is longer than its length can say; the buffer may have
    /// a part of it then.
    pub fn packet(&mut self, packet: &Packet<'_>) -> Result<usize, NoRoom> {
        match packet {
            Packet::Connect(connect) => self.connect(connect),
            Packet::ConnAck { session_present, code } => {
                let body = [u8::from(*session_present), *code as u8];
                self.write(Kind::ConnAck, 0, &[Part::Bytes(&body)])
            }
            Packet::Publish(publish) => self.publish(publish),
            Packet::PubAck(id) => self.id(Kind::PubAck, *id),
            Packet::PubRec(id) => self.id(Kind::PubRec, *id),
            Packet::PubRel(id) => self.id(Kind::PubRel, *id),
            Packet::PubComp(id) => self.id(Kind::PubComp, *id),
            Packet::UnsubAck(id) => self.id(Kind::UnsubAck, *id),
            Packet::Subscribe { id, filters } => {
                self.with_id(Kind::Subscribe, *id, Part::Bytes(filters.bytes))
            }
            Packet::Unsubscribe { id, filters } => {
                self.with_id(Kind::Unsubscribe, *id, Part::Bytes(filters.bytes))
            }
            Packet::SubAck { id, codes } => {
                self.with_id(Kind::SubAck, *id, Part::Bytes(codes.bytes))
            }
            Packet::PingReq => self.write(Kind::PingReq, 0, &[]),
            Packet::PingResp => self.write(Kind::PingResp, 0, &[]),
            Packet::Disconnect => self.write(Kind::Disconnect, 0, &[]),
        }
    }

    /// Writes SUBSCRIBE.
    ///
    /// # Errors
    /// As [`packet`](Self::packet).
    pub fn subscribe(&mut self, id: PacketId, filters: &[(&str, QoS)]) -> Result<usize, NoRoom> {
        self.with_id(Kind::Subscribe, id, Part::Filters(filters))
    }

    /// Writes UNSUBSCRIBE.
    ///
    /// # Errors
    /// As [`packet`](Self::packet).
    pub fn unsubscribe(&mut self, id: PacketId, filters: &[&str]) -> Result<usize, NoRoom> {
        self.with_id(Kind::Unsubscribe, id, Part::Names(filters))
    }

    /// Writes SUBACK with one answer for each filter; `None` is a refusal.
    ///
    /// # Errors
    /// As [`packet`](Self::packet).
    pub fn sub_ack(&mut self, id: PacketId, granted: &[Option<QoS>]) -> Result<usize, NoRoom> {
        self.with_id(Kind::SubAck, id, Part::Granted(granted))
    }

    fn connect(&mut self, connect: &Connect<'_>) -> Result<usize, NoRoom> {
        let Connect { client_id, clean_session, keep_alive, will, user_name, password } = connect;
        // A password without a name is not sent: it would be against the rules.
        let password = password.filter(|_| user_name.is_some());
        let mut flags = u8::from(*clean_session) << 1;
        flags |= u8::from(user_name.is_some()) << 7 | u8::from(password.is_some()) << 6;
        if let Some(will) = will {
            flags |= u8::from(will.retain) << 5 | (will.qos as u8) << 3 | 1 << 2;
        }
        let [high, low] = keep_alive.to_be_bytes();
        let fixed = [0, 4, b'M', b'Q', b'T', b'T', 4, flags, high, low];
        self.write(
            Kind::Connect,
            0,
            &[
                Part::Bytes(&fixed),
                Part::Long(client_id.as_bytes()),
                Part::text(will.map(|will| will.topic)),
                will.map_or(Part::Nothing, |will| Part::Long(will.payload)),
                Part::text(*user_name),
                password.map_or(Part::Nothing, Part::Long),
            ],
        )
    }

    fn publish(&mut self, publish: &Publish<'_>) -> Result<usize, NoRoom> {
        let Publish { topic, payload, qos, id, retain, dup } = publish;
        let flags = u8::from(*dup) << 3 | (*qos as u8) << 1 | u8::from(*retain);
        let id = id.filter(|_| *qos != QoS::AtMostOnce).map(|id| id.get().to_be_bytes());
        let id = id.as_ref().map_or(Part::Nothing, |id| Part::Bytes(id));
        let parts = [Part::Long(topic.as_bytes()), id, Part::Bytes(payload)];
        self.write(Kind::Publish, flags, &parts)
    }

    fn id(&mut self, kind: Kind, id: PacketId) -> Result<usize, NoRoom> {
        self.with_id(kind, id, Part::Nothing)
    }

    fn with_id(&mut self, kind: Kind, id: PacketId, rest: Part<'_>) -> Result<usize, NoRoom> {
        self.write(kind, kind.flags(), &[Part::Bytes(&id.get().to_be_bytes()), rest])
    }

    fn write(&mut self, kind: Kind, flags: u8, parts: &[Part<'_>]) -> Result<usize, NoRoom> {
        let room = self.buffer.len();
        let body = parts.iter().try_fold(0usize, |sum, part| sum.checked_add(part.len()?));
        let body = body.filter(|body| *body <= LONGEST);
        let body = body.ok_or(NoRoom { needed: usize::MAX, room })?;
        let mut length = [0; 4];
        let (mut rest, mut digits) = (body, 0);
        for digit in &mut length {
            *digit = (rest & 0x7f) as u8;
            rest >>= 7;
            digits += 1;
            if rest == 0 {
                break;
            }
            *digit |= 0x80;
        }
        let needed = 1 + digits + body;
        let mut to = Cursor { rest: self.buffer.get_mut(..needed).ok_or(NoRoom { needed, room })? };
        to.put(&[(kind as u8) << 4 | flags]);
        to.put(length.get(..digits).unwrap_or_default());
        parts.iter().for_each(|part| part.write(&mut to));
        Ok(needed)
    }
}

/// A part of a packet's body.
enum Part<'p> {
    Nothing,
    Bytes(&'p [u8]),
    /// With its length in two bytes in front.
    Long(&'p [u8]),
    Filters(&'p [(&'p str, QoS)]),
    Names(&'p [&'p str]),
    Granted(&'p [Option<QoS>]),
}

/// Bytes of a text with its length; `None` if that cannot say it.
fn long(bytes: &[u8]) -> Option<usize> {
    u16::try_from(bytes.len()).ok().map(|len| 2 + usize::from(len))
}

impl<'p> Part<'p> {
    fn text(text: Option<&'p str>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Long(text.as_bytes()))
    }

    fn len(&self) -> Option<usize> {
        match self {
            Self::Nothing => Some(0),
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::Long(bytes) => long(bytes),
            Self::Filters(filters) => filters
                .iter()
                .try_fold(0usize, |sum, (filter, _)| sum.checked_add(long(filter.as_bytes())? + 1)),
            Self::Names(names) => {
                names.iter().try_fold(0usize, |sum, name| sum.checked_add(long(name.as_bytes())?))
            }
            Self::Granted(granted) => Some(granted.len()),
        }
    }

    fn write(&self, to: &mut Cursor<'_>) {
        match self {
            Self::Nothing => {}
            Self::Bytes(bytes) => to.put(bytes),
            Self::Long(bytes) => to.long(bytes),
            Self::Filters(filters) => filters.iter().for_each(|(filter, qos)| {
                to.long(filter.as_bytes());
                to.put(&[*qos as u8]);
            }),
            Self::Names(names) => names.iter().for_each(|name| to.long(name.as_bytes())),
            Self::Granted(granted) => {
                granted.iter().for_each(|qos| to.put(&[qos.map_or(0x80, |qos| qos as u8)]));
            }
        }
    }
}

/// Room that was counted before it is written to.
struct Cursor<'b> {
    rest: &'b mut [u8],
}

impl Cursor<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some((to, rest)) = core::mem::take(&mut self.rest).split_at_mut_checked(bytes.len())
        {
            to.copy_from_slice(bytes);
            self.rest = rest;
        }
    }

    fn long(&mut self, bytes: &[u8]) {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.put(&len.to_be_bytes());
        self.put(bytes);
    }
}
