//! Packets from bytes.

use crate::Malformed;
use crate::packet::{
    Codes, Connect, ConnectCode, Filters, Kind, LastWill, Packet, PacketId, Publish, QoS,
};
use crate::topic::{is_filter, is_name};

/// Bytes of the packet that begins with `bytes`, its fixed header included; `None` if that cannot be
/// told yet (section 2.2.3).
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some((_, rest)) = bytes.split_first() else { return Ok(None) };
    let mut len = 0usize;
    for (index, byte) in rest.iter().take(4).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some(len + index + 2));
        }
    }
    if rest.len() >= 4 { Err(Malformed::Length) } else { Ok(None) }
}

impl<'p> Packet<'p> {
    /// Reads the packet that `frame` is: the whole of it and nothing else.
    pub fn decode(frame: &'p [u8]) -> Result<Self, Malformed> {
        let first = frame.first().copied().unwrap_or_default();
        let kind = Kind::new(first >> 4).ok_or(Malformed::Type(first >> 4))?;
        let flags = first & 0x0f;
        if kind != Kind::Publish && flags != kind.flags() {
            return Err(Malformed::Flags(kind, flags));
        }
        let whole = frame_len(frame)?.filter(|len| *len == frame.len());
        let whole = whole.ok_or(Malformed::Size(kind))?;
        let header = 1 + frame.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count() + 1;
        let body = frame.get(header..whole).unwrap_or_default();
        let reader = &mut Reader::new(kind, body);
        let packet = Self::body(kind, flags, reader)?;
        if reader.rest.is_empty() { Ok(packet) } else { Err(Malformed::Size(kind)) }
    }

    fn body(kind: Kind, flags: u8, reader: &mut Reader<'p>) -> Result<Self, Malformed> {
        Ok(match kind {
            Kind::Connect => Self::Connect(connect(reader)?),
            Kind::ConnAck => {
                let (flags, code) = (reader.u8()?, reader.u8()?);
                let code = ConnectCode::new(code).ok_or(Malformed::Code(kind, code))?;
                // A refusal keeps no session (MQTT-3.2.2-4).
                let session_present = flags == 1;
                if flags > 1 || (session_present && code != ConnectCode::Accepted) {
                    return Err(Malformed::Flags(kind, flags));
                }
                Self::ConnAck { session_present, code }
            }
            Kind::Publish => {
                let number = flags >> 1 & 0b11;
                let qos = QoS::new(number).ok_or(Malformed::QoS(number))?;
                let dup = flags & 0b1000 != 0;
                // MQTT-3.3.1-2.
                if dup && qos == QoS::AtMostOnce {
                    return Err(Malformed::Flags(kind, flags));
                }
                let topic = reader.text()?;
                if !is_name(topic) {
                    return Err(Malformed::Topic);
                }
                let id = if qos == QoS::AtMostOnce { None } else { Some(reader.id()?) };
                let retain = flags & 1 != 0;
                Self::Publish(Publish { topic, payload: reader.all(), qos, id, retain, dup })
            }
            Kind::PubAck => Self::PubAck(reader.id()?),
            Kind::PubRec => Self::PubRec(reader.id()?),
            Kind::PubRel => Self::PubRel(reader.id()?),
            Kind::PubComp => Self::PubComp(reader.id()?),
            Kind::Subscribe => {
                Self::Subscribe { id: reader.id()?, filters: filters(reader, true)? }
            }
            Kind::SubAck => {
                let (id, bytes) = (reader.id()?, reader.all());
                let wrong = bytes.iter().find(|code| QoS::new(**code).is_none() && **code != 0x80);
                match wrong {
                    Some(code) => return Err(Malformed::Code(kind, *code)),
                    None if bytes.is_empty() => return Err(Malformed::Size(kind)),
                    None => Self::SubAck { id, codes: Codes { bytes } },
                }
            }
            Kind::Unsubscribe => {
                Self::Unsubscribe { id: reader.id()?, filters: filters(reader, false)? }
            }
            Kind::UnsubAck => Self::UnsubAck(reader.id()?),
            Kind::PingReq => Self::PingReq,
            Kind::PingResp => Self::PingResp,
            Kind::Disconnect => Self::Disconnect,
        })
    }
}

fn connect<'p>(reader: &mut Reader<'p>) -> Result<Connect<'p>, Malformed> {
    let (name, level) = (reader.text()?, reader.u8()?);
    if (name, level) != ("MQTT", 4) {
        return Err(Malformed::Protocol);
    }
    let (flags, keep_alive) = (reader.u8()?, reader.u16()?);
    let [user_name, password, retain, will, clean_session, reserved] =
        [7, 6, 5, 2, 1, 0].map(|bit| flags >> bit & 1 != 0);
    let number = flags >> 3 & 0b11;
    let qos = QoS::new(number).ok_or(Malformed::ConnectFlags(flags))?;
    let without_will = !will && (retain || number != 0);
    if reserved || without_will || (password && !user_name) {
        return Err(Malformed::ConnectFlags(flags));
    }
    let client_id = reader.text()?;
    let will = match will {
        true => {
            let (topic, payload) = (reader.text()?, reader.bytes()?);
            if !is_name(topic) {
                return Err(Malformed::Topic);
            }
            Some(LastWill { topic, payload, qos, retain })
        }
        false => None,
    };
    let user_name = if user_name { Some(reader.text()?) } else { None };
    let password = if password { Some(reader.bytes()?) } else { None };
    Ok(Connect { client_id, clean_session, keep_alive, will, user_name, password })
}

fn filters<'p>(reader: &mut Reader<'p>, with_qos: bool) -> Result<Filters<'p>, Malformed> {
    let bytes = reader.rest;
    if bytes.is_empty() {
        return Err(Malformed::NoFilter(reader.kind));
    }
    while !reader.rest.is_empty() {
        if !is_filter(reader.text()?) {
            return Err(Malformed::Filter);
        }
        if with_qos {
            let number = reader.u8()?;
            QoS::new(number).ok_or(Malformed::QoS(number))?;
        }
    }
    Ok(Filters { bytes, with_qos })
}

/// Fields of a packet, one after the other.
pub(crate) struct Reader<'p> {
    kind: Kind,
    rest: &'p [u8],
}

impl<'p> Reader<'p> {
    pub(crate) fn new(kind: Kind, rest: &'p [u8]) -> Self {
        Self { kind, rest }
    }

    fn take(&mut self, len: usize) -> Result<&'p [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Size(self.kind))?;
        self.rest = rest;
        Ok(taken)
    }

    fn all(&mut self) -> &'p [u8] {
        core::mem::take(&mut self.rest)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let bytes = self.take(2)?.try_into().unwrap_or_default();
        Ok(u16::from_be_bytes(bytes))
    }

    fn id(&mut self) -> Result<PacketId, Malformed> {
        PacketId::new(self.u16()?).ok_or(Malformed::PacketId(self.kind))
    }

    fn bytes(&mut self) -> Result<&'p [u8], Malformed> {
        let len = self.u16()?;
        self.take(len.into())
    }

    pub(crate) fn text(&mut self) -> Result<&'p str, Malformed> {
        let text = core::str::from_utf8(self.bytes()?).ok();
        text.filter(|text| !text.contains('\0')).ok_or(Malformed::Text(self.kind))
    }
}
