//! The client, with a server that is played by the test.

use std::time::Duration;

use proptest::prelude::*;
use updraft_mqtt::{
    Client, ClientError, Connect, ConnectCode, Event, Kind, Packet, PacketId, Patience, Publish,
    QoS, Unexpected, Writer,
};

const SECOND: Duration = Duration::from_secs(1);

fn client() -> Client<'static> {
    with_room(512, 512)
}

fn with_room(inbox: usize, outbox: usize) -> Client<'static> {
    let [inbox, outbox] = [inbox, outbox].map(|room| Box::leak(vec![0; room].into_boxed_slice()));
    Client::new(inbox, outbox, Patience::default())
}

fn bytes(packet: &Packet<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let len = Writer::new(&mut buffer).packet(packet).unwrap();
    buffer.truncate(len);
    buffer
}

/// Everything that the client wants to send, as the server reads it.
fn sent(client: &mut Client<'_>, now: Duration) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while !client.transmit().is_empty() {
        let packet = client.transmit().to_vec();
        Packet::decode(&packet).unwrap();
        client.sent(packet.len(), now);
        packets.push(packet);
    }
    packets
}

fn kinds(packets: &[Vec<u8>]) -> Vec<Kind> {
    packets.iter().map(|packet| Packet::decode(packet).unwrap().kind()).collect()
}

/// Gives the client a packet, and says what it makes of it.
fn told(client: &mut Client<'_>, packet: &Packet<'_>) -> Option<String> {
    let bytes = bytes(packet);
    assert_eq!(client.receive(&bytes), Ok(bytes.len()));
    client.event().unwrap().map(|event| format!("{event:?}"))
}

const ACCEPTED: Packet<'static> =
    Packet::ConnAck { session_present: false, code: ConnectCode::Accepted };

fn connected() -> Client<'static> {
    let mut client = client();
    open(&mut client, false);
    client
}

fn open(client: &mut Client<'_>, session_present: bool) {
    client.connect(&Connect::new("device"), Duration::ZERO).unwrap();
    assert_eq!(kinds(&sent(client, Duration::ZERO)), [Kind::Connect]);
    let answer = Packet::ConnAck { session_present, code: ConnectCode::Accepted };
    assert!(told(client, &answer).unwrap().starts_with("Connected"));
    assert!(client.is_open());
}

#[test]
fn nothing_is_sent_before_the_server_has_taken_the_connection() {
    let mut client = client();
    client.publish("a", b"early", true).unwrap();
    assert_eq!(client.transmit(), b"");
    client.connect(&Connect::new("device"), Duration::ZERO).unwrap();
    assert_eq!(kinds(&sent(&mut client, Duration::ZERO)), [Kind::Connect]);
    assert!(told(&mut client, &ACCEPTED).is_some());
    assert_eq!(kinds(&sent(&mut client, Duration::ZERO)), [Kind::Publish]);
}

#[test]
fn a_message_is_acknowledged_once_it_has_been_looked_at() {
    let mut client = connected();
    let id = PacketId::new(7);
    let publish = Publish { qos: QoS::AtLeastOnce, id, ..Publish::new("a/b", b"hello") };
    let packet = bytes(&Packet::Publish(publish));
    client.receive(&packet).unwrap();
    assert_eq!(client.event(), Ok(Some(Event::Message(publish))));
    assert_eq!(client.transmit(), b"");
    assert_eq!(client.event(), Ok(None));
    assert_eq!(sent(&mut client, SECOND), [b"\x40\x02\0\x07"]);
}

#[test]
fn a_message_that_is_too_long_is_told_and_acknowledged() {
    let mut client = with_room(64, 256);
    open(&mut client, false);
    let payload = [1; 300];
    let id = PacketId::new(9);
    let publish = Publish { qos: QoS::AtLeastOnce, id, ..Publish::new("a/b", &payload) };
    let packet = bytes(&Packet::Publish(publish));
    assert_eq!(client.receive(&packet), Ok(packet.len()));
    assert_eq!(client.event(), Ok(Some(Event::TooLong { len: packet.len() })));
    assert_eq!(client.event(), Ok(None));
    assert_eq!(sent(&mut client, SECOND), [b"\x40\x02\0\x09"]);
}

#[test]
fn what_is_not_acknowledged_is_sent_again_on_the_next_connection() {
    let mut client = connected();
    let id = client.publish("a", b"kept", true).unwrap().unwrap();
    client.publish("a", b"gone", false).unwrap();
    client.subscribe("b/#", true).unwrap();
    let first = sent(&mut client, SECOND);
    assert_eq!(kinds(&first), [Kind::Publish, Kind::Publish, Kind::Subscribe]);
    for session_present in [true, false] {
        open(&mut client, session_present);
        let again = sent(&mut client, SECOND);
        assert_eq!(kinds(&again), [Kind::Publish, Kind::Subscribe]);
        assert_eq!(again[0][1..], first[0][1..]);
        assert!(again[0][0] & 0b1000 != 0, "it may have had it before");
    }
    assert!(told(&mut client, &Packet::PubAck(id)).unwrap().contains("Published"));
    open(&mut client, false);
    assert_eq!(kinds(&sent(&mut client, SECOND)), [Kind::Subscribe]);
}

#[test]
fn what_was_never_sent_is_no_repetition() {
    let mut client = connected();
    client.publish("a", b"sent", true).unwrap();
    sent(&mut client, SECOND);
    client.publish("a", b"waiting", true).unwrap();
    open(&mut client, true);
    let both = sent(&mut client, SECOND);
    assert_eq!(kinds(&both), [Kind::Publish, Kind::Publish]);
    assert_eq!([both[0][0] & 0b1000, both[1][0] & 0b1000], [0b1000, 0]);
}

#[test]
fn an_acknowledgement_of_something_else_is_nothing() {
    let mut client = connected();
    assert_eq!(told(&mut client, &Packet::PubAck(PacketId::MAX)), None);
    let id = client.subscribe("a", false).unwrap();
    sent(&mut client, SECOND);
    assert_eq!(told(&mut client, &Packet::PubAck(id)), None);
    client.receive(&[0x90, 3, 0, 1, 0x80]).unwrap();
    let Ok(Some(Event::Subscribed { id: of, codes })) = client.event() else { panic!("no answer") };
    assert_eq!((of, codes.iter().collect::<Vec<_>>()), (id, vec![None]));
}

#[test]
fn a_silent_connection_is_kept_alive_and_a_silent_server_given_up() {
    let mut client = connected();
    assert_eq!(client.deadline(), Some(60 * SECOND));
    client.tick(59 * SECOND).unwrap();
    assert_eq!(client.transmit(), b"");
    client.tick(60 * SECOND).unwrap();
    assert_eq!(kinds(&sent(&mut client, 60 * SECOND)), [Kind::PingReq]);
    assert_eq!(told(&mut client, &Packet::PingResp), None);
    assert_eq!(client.deadline(), Some(120 * SECOND));
    client.tick(120 * SECOND).unwrap();
    sent(&mut client, 120 * SECOND);
    assert_eq!(client.deadline(), Some(130 * SECOND));
    assert_eq!(client.tick(130 * SECOND), Err(ClientError::Silent));
    assert!(!client.is_open());
    assert_eq!(client.deadline(), None);
}

#[test]
fn a_server_that_does_not_answer_connect_is_given_up() {
    let mut client = client();
    client.connect(&Connect::new("device"), SECOND).unwrap();
    assert_eq!(client.deadline(), Some(31 * SECOND));
    assert_eq!(client.tick(31 * SECOND), Err(ClientError::Silent));
}

#[test]
fn a_refusal_and_what_no_server_sends_close_the_connection() {
    let mut client = client();
    client.connect(&Connect::new("device"), SECOND).unwrap();
    sent(&mut client, SECOND);
    client.receive(b"\x20\x02\0\x05").unwrap();
    assert_eq!(client.event(), Err(ClientError::Refused(ConnectCode::NotAuthorized)));
    for (bytes, kind) in [
        (&b"\xc0\0"[..], Kind::PingReq),
        (b"\x20\x02\0\0", Kind::ConnAck),
        (b"\x34\x05\0\x01a\0\x01", Kind::Publish),
        (b"\x50\x02\0\x01", Kind::PubRec),
    ] {
        let mut client = connected();
        client.receive(bytes).unwrap();
        assert_eq!(client.event(), Err(ClientError::Unexpected(Unexpected(kind))));
        assert!(!client.is_open());
        // What comes behind it is of no interest.
        assert_eq!(client.receive(b"\xd0\0"), Ok(2));
        assert_eq!(client.event(), Ok(None));
    }
    let mut client = connected();
    assert!(client.receive(b"\x30\xff\xff\xff\xff\xff").is_err());
}

#[test]
fn a_full_outbox_refuses_and_keeps_room_for_acknowledgements() {
    let mut client = with_room(256, 160);
    open(&mut client, false);
    let mut kept = 0;
    while client.publish("topic", &[0; 20], true).is_ok() {
        kept += 1;
    }
    assert!(kept >= 3, "{kept}");
    let publish = Publish { qos: QoS::AtLeastOnce, id: PacketId::new(1), ..Publish::new("a", b"") };
    for _ in 0..3 {
        assert!(told(&mut client, &Packet::Publish(publish)).is_some());
    }
    assert_eq!(client.event(), Ok(None));
    let sent = sent(&mut client, SECOND);
    assert_eq!(sent.iter().filter(|packet| packet[0] == 0x40).count(), 3);
}

/// A session that is kept would lock itself out otherwise, for ever.
#[test]
fn an_outbox_full_of_what_was_not_acknowledged_does_not_stand_in_the_way_of_a_connection() {
    let mut client = with_room(256, 160);
    open(&mut client, false);
    let mut kept = 0;
    while client.publish("topic", &[0; 20], true).is_ok() {
        kept += 1;
    }
    sent(&mut client, SECOND);
    for round in 0..3 {
        client.closed();
        let name = "a-name-of-sixty-five-characters-which-no-corner-of-an-outbox-holds";
        client.connect(&Connect::new(name), SECOND).unwrap();
        assert_eq!(kinds(&sent(&mut client, SECOND)), [Kind::Connect], "{round}");
        let answer = Packet::ConnAck { session_present: true, code: ConnectCode::Accepted };
        assert!(told(&mut client, &answer).unwrap().starts_with("Connected"));
        let again = sent(&mut client, SECOND);
        assert_eq!(kinds(&again), vec![Kind::Publish; kept], "{round}");
    }
}

#[test]
fn what_comes_before_connect_is_sent_waits() {
    let mut client = client();
    client.connect(&Connect::new("device"), SECOND).unwrap();
    let connect = client.transmit().to_vec();
    client.sent(5, SECOND);
    assert_eq!(client.receive(&bytes(&ACCEPTED)), Ok(0));
    assert_eq!(client.event(), Ok(None));
    assert_eq!(client.transmit(), &connect[5..]);
    client.sent(connect.len() - 5, SECOND);
    assert!(told(&mut client, &ACCEPTED).is_some());
}

#[test]
fn a_name_that_no_inbox_holds_is_named() {
    let mut client = with_room(16, 512);
    let refused = client.connect(&Connect::new("device"), SECOND).unwrap_err();
    assert_eq!((refused.needed, refused.room), (20, 16));
    assert_eq!(client.transmit(), b"");
}

#[test]
fn goodbye_is_the_last_word() {
    let mut client = connected();
    client.publish("a", b"b", false).unwrap();
    client.disconnect().unwrap();
    assert_eq!(kinds(&sent(&mut client, SECOND)), [Kind::Publish, Kind::Disconnect]);
}

proptest! {
    /// However the stream is cut, and whatever it is.
    #[test]
    fn any_bytes_from_a_server_end_in_events_or_an_error(
        stream in proptest::collection::vec(any::<u8>(), 0..400), pieces in 1usize..40,
    ) {
        let mut client = connected();
        'stream: for mut piece in stream.chunks(pieces) {
            while !piece.is_empty() {
                let Ok(taken) = client.receive(piece) else { break 'stream };
                piece = &piece[taken..];
                loop {
                    sent(&mut client, SECOND);
                    match client.event() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'stream,
                    }
                }
                prop_assert!(taken > 0 || piece.is_empty());
            }
        }
    }

    /// Acknowledged messages go, the others stay, in their order.
    #[test]
    fn the_outbox_keeps_what_is_not_acknowledged(
        script in proptest::collection::vec((0u8..4, 0usize..30), 1..120),
    ) {
        let mut client = connected();
        let mut waiting: Vec<(PacketId, usize)> = Vec::new();
        for (what, size) in script {
            match what {
                0 | 1 => if let Ok(id) = client.publish("t", &vec![7; size], true) {
                    waiting.push((id.unwrap(), size));
                },
                2 if !waiting.is_empty() => {
                    sent(&mut client, SECOND);
                    let (id, _) = waiting.remove(size % waiting.len());
                    prop_assert!(told(&mut client, &Packet::PubAck(id)).is_some());
                }
                _ => {
                    open(&mut client, true);
                    let again = sent(&mut client, SECOND);
                    let found: Vec<_> = again.iter().map(|packet| {
                        let Ok(Packet::Publish(it)) = Packet::decode(packet) else { panic!() };
                        (it.id.unwrap(), it.payload.len())
                    }).collect();
                    prop_assert_eq!(&found, &waiting);
                }
            }
        }
    }
}
