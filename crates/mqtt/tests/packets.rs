//! Packets: what is written is read again, and what breaks a rule is refused.

use proptest::prelude::*;
use updraft_mqtt::{
    Connect, ConnectCode, Kind, LastWill, Malformed, Packet, PacketId, Publish, QoS, Writer,
    frame_len, is_filter, is_name,
};

fn written(packet: &Packet<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 400_000];
    let len = Writer::new(&mut buffer).packet(packet).unwrap();
    buffer.truncate(len);
    buffer
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

#[test]
fn packets_have_the_bytes_of_the_standard() {
    let connect = Connect {
        client_id: "id",
        clean_session: true,
        keep_alive: 10,
        will: Some(LastWill { topic: "w", payload: b"x", qos: QoS::AtLeastOnce, retain: false }),
        user_name: Some("u"),
        password: Some(b"p"),
    };
    let bytes = b"\x10\x1a\0\x04MQTT\x04\xce\0\x0a\0\x02id\0\x01w\0\x01x\0\x01u\0\x01p";
    assert_eq!(written(&Packet::Connect(connect)), bytes);
    let publish = Publish { qos: QoS::AtLeastOnce, id: Some(id(10)), ..Publish::new("a/b", b"hi") };
    assert_eq!(written(&Packet::Publish(publish)), b"\x32\x09\0\x03a/b\0\x0ahi");
    let mut buffer = [0; 64];
    let len = Writer::new(&mut buffer)
        .subscribe(id(10), &[("a/b", QoS::AtLeastOnce), ("c/d", QoS::ExactlyOnce)])
        .unwrap();
    assert_eq!(&buffer[..len], b"\x82\x0e\0\x0a\0\x03a/b\x01\0\x03c/d\x02");
    let len = Writer::new(&mut buffer).unsubscribe(id(10), &["a/b", "c/d"]).unwrap();
    assert_eq!(&buffer[..len], b"\xa2\x0c\0\x0a\0\x03a/b\0\x03c/d");
    let granted = [Some(QoS::AtMostOnce), None];
    let len = Writer::new(&mut buffer).sub_ack(id(1), &granted).unwrap();
    assert_eq!(&buffer[..len], b"\x90\x04\0\x01\0\x80");
    assert_eq!(written(&Packet::PubRel(id(258))), b"\x62\x02\x01\x02");
    assert_eq!(written(&Packet::PingReq), b"\xc0\0");
    assert_eq!(written(&Packet::Disconnect), b"\xe0\0");
}

/// The examples of table 2.4.
#[test]
fn lengths_take_one_to_four_bytes() {
    for (payload, digits) in [(124, 1), (125, 2), (16_380, 2), (16_381, 3), (300_000, 3)] {
        let payload = vec![0; payload];
        let frame = written(&Packet::Publish(Publish::new("a", &payload)));
        assert_eq!(frame.len(), 1 + digits + 3 + payload.len());
        assert_eq!(frame_len(&frame), Ok(Some(frame.len())));
        assert_eq!(frame_len(&frame[..digits]), Ok(None));
    }
    assert_eq!(frame_len(&[0x30, 0xff, 0xff, 0xff, 0x7f]), Ok(Some(268_435_455 + 5)));
    assert_eq!(frame_len(&[0x30, 0xff, 0xff, 0xff, 0xff]), Err(Malformed::Length));
}

#[test]
fn what_breaks_a_rule_is_refused() {
    for (bytes, wrong) in [
        (&b"\x00\0"[..], Malformed::Type(0)),
        (b"\xf0\0", Malformed::Type(15)),
        (b"\x80\x06\0\x01\0\x01a\0", Malformed::Flags(Kind::Subscribe, 0)),
        (b"\xc1\0", Malformed::Flags(Kind::PingReq, 1)),
        (b"\x40\x02\0\0", Malformed::PacketId(Kind::PubAck)),
        (b"\x40\x03\0\x01\0", Malformed::Size(Kind::PubAck)),
        (b"\x40\x01\0", Malformed::Size(Kind::PubAck)),
        (b"\x36\x05\0\x01a\0\x01", Malformed::QoS(3)),
        (b"\x38\x03\0\x01a", Malformed::Flags(Kind::Publish, 8)),
        (b"\x30\x03\0\x01+", Malformed::Topic),
        (b"\x30\x02\0\0", Malformed::Topic),
        (b"\x30\x03\0\x01\xff", Malformed::Text(Kind::Publish)),
        (b"\x30\x03\0\x01\0", Malformed::Text(Kind::Publish)),
        (b"\x30\x03\0\x09a", Malformed::Size(Kind::Publish)),
        (b"\x82\x02\0\x01", Malformed::NoFilter(Kind::Subscribe)),
        (b"\x82\x07\0\x01\0\x02a#\0", Malformed::Filter),
        (b"\x82\x06\0\x01\0\x01a\x03", Malformed::QoS(3)),
        (b"\x90\x03\0\x01\x03", Malformed::Code(Kind::SubAck, 3)),
        (b"\x90\x02\0\x01", Malformed::Size(Kind::SubAck)),
        (b"\x20\x02\0\x06", Malformed::Code(Kind::ConnAck, 6)),
        (b"\x20\x02\x02\0", Malformed::Flags(Kind::ConnAck, 2)),
        (b"\x20\x02\x01\x05", Malformed::Flags(Kind::ConnAck, 1)),
        (b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\x01a", Malformed::Protocol),
        (b"\x10\x0d\0\x04MQTT\x04\x03\0\0\0\x01a", Malformed::ConnectFlags(3)),
        (b"\x10\x0d\0\x04MQTT\x04\x42\0\0\0\x01a", Malformed::ConnectFlags(0x42)),
        (b"\x10\x0d\0\x04MQTT\x04\x22\0\0\0\x01a", Malformed::ConnectFlags(0x22)),
    ] {
        assert_eq!(Packet::decode(bytes), Err(wrong), "{bytes:02x?}");
        assert!(!wrong.to_string().is_empty());
    }
    assert_eq!(Packet::decode(&[]), Err(Malformed::Type(0)));
}

#[test]
fn what_does_not_fit_is_not_written() {
    let publish = Packet::Publish(Publish::new("a/b", b"hello"));
    let whole = written(&publish).len();
    for room in 0..whole {
        let refused = Writer::new(&mut vec![0; room]).packet(&publish).unwrap_err();
        assert_eq!((refused.needed, refused.room), (whole, room));
    }
    let long = "a".repeat(65_536);
    let publish = Packet::Publish(Publish::new(&long, b""));
    assert!(Writer::new(&mut vec![0; 100_000]).packet(&publish).is_err());
}

fn topic() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9/$ é]{1,40}".prop_filter("a name", |text| is_name(text))
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..300)
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written(
        topic in topic(), payload in bytes(), qos in qos(), id in 1u16.., retain: bool, dup: bool,
    ) {
        let reliable = qos != QoS::AtMostOnce;
        let id = reliable.then(|| PacketId::new(id).unwrap());
        let packet = Packet::Publish(Publish {
            topic: &topic, payload: &payload, qos, id, retain, dup: dup && reliable,
        });
        let bytes = written(&packet);
        prop_assert_eq!(Packet::decode(&bytes), Ok(packet));
    }

    #[test]
    fn connect_is_read_as_it_was_written(
        client_id in "[a-zA-Z0-9]{0,30}",
        clean_session: bool,
        keep_alive: u16,
        will in proptest::option::of((topic(), bytes(), qos(), any::<bool>())),
        user in proptest::option::of("[a-z]{0,20}"),
        password in proptest::option::of(bytes()),
    ) {
        let will = will.as_ref().map(|(topic, payload, qos, retain)| LastWill {
            topic, payload, qos: *qos, retain: *retain,
        });
        let password = password.as_deref().filter(|_| user.is_some());
        let packet = Packet::Connect(Connect {
            client_id: &client_id, clean_session, keep_alive, will,
            user_name: user.as_deref(), password,
        });
        let bytes = written(&packet);
        prop_assert_eq!(Packet::decode(&bytes), Ok(packet));
    }

    #[test]
    fn filters_are_read_as_they_were_written(
        filters in proptest::collection::vec(("[a-z/+]{1,20}", qos()), 1..8), number in 1u16..,
    ) {
        let filters: Vec<(&str, QoS)> =
            filters.iter().map(|(filter, qos)| (filter.as_str(), *qos)).collect();
        let mut buffer = vec![0; 1000];
        let len = Writer::new(&mut buffer).subscribe(id(number), &filters).unwrap();
        match Packet::decode(&buffer[..len]) {
            Ok(Packet::Subscribe { id: read, filters: found }) => {
                prop_assert_eq!(read, id(number));
                prop_assert_eq!(found.iter().collect::<Vec<_>>(), filters);
                let again = Packet::Subscribe { id: read, filters: found };
                prop_assert_eq!(written(&again), &buffer[..len]);
            }
            other => {
                prop_assert!(filters.iter().any(|(filter, _)| !is_filter(filter)));
                prop_assert_eq!(other, Err(Malformed::Filter));
            }
        }
    }

    /// Whatever is read can be written, to the same bytes but for longer lengths than needed.
    #[test]
    fn any_bytes_are_a_packet_or_refused(bytes in bytes()) {
        if let Ok(packet) = Packet::decode(&bytes) {
            let again = written(&packet);
            prop_assert_eq!(Packet::decode(&again), Ok(packet));
            prop_assert!(again.len() <= bytes.len());
        }
        let _ = frame_len(&bytes);
    }
}

#[test]
fn answers_to_connect_are_read() {
    let refused = Packet::ConnAck { session_present: false, code: ConnectCode::NotAuthorized };
    assert_eq!(Packet::decode(b"\x20\x02\0\x05"), Ok(refused));
    let kept = Packet::ConnAck { session_present: true, code: ConnectCode::Accepted };
    assert_eq!(Packet::decode(&written(&kept)), Ok(kept));
}
