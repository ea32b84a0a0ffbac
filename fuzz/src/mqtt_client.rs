//! An MQTT client whose server sends anything: whatever is read can be written again, no stream
//! stops the client from taking bytes, and it never wants to send what is no packet.

use std::time::Duration;

use updraft_mqtt::{Client, Connect, Event, Packet, Patience, Writer, matches};

/// Bytes of CONNECT, the least that an inbox has to hold.
const CONNECT: usize = 18;

/// The first byte says how large the inbox is, the second one in what pieces the stream comes.
pub fn run(data: &[u8]) {
    let Some(([room, piece], stream)) = data.split_first_chunk() else { return };
    if let Ok(packet) = Packet::decode(stream) {
        let mut again = vec![0; stream.len()];
        let len = Writer::new(&mut again).packet(&packet).expect("it was no shorter");
        assert_eq!(Packet::decode(&again[..len]), Ok(packet));
    }
    let (mut inbox, mut outbox) = (vec![0; CONNECT + usize::from(*room)], vec![0; 256]);
    let mut client = Client::new(&mut inbox, &mut outbox, Patience::default());
    client.connect(&Connect::new("fuzz"), Duration::ZERO).expect("there is room");
    let _ = client.subscribe("a/+", true);
    let _ = client.publish("a/b", b"hello", true);
    for (round, mut bytes) in stream.chunks(1 + usize::from(*piece)).enumerate() {
        let now = Duration::from_secs(round as u64);
        while !bytes.is_empty() {
            while !client.transmit().is_empty() {
                let packet = client.transmit().to_vec();
                Packet::decode(&packet).expect("it sends packets");
                client.sent(packet.len(), now);
            }
            let Ok(taken) = client.receive(bytes) else { return };
            bytes = &bytes[taken..];
            let events = std::iter::from_fn(|| match client.event() {
                Ok(Some(Event::Message(it))) => Some(u32::from(matches("a/+", it.topic))),
                Ok(Some(_)) => Some(0),
                Ok(None) | Err(_) => None,
            });
            assert!(events.count() <= 1, "a packet is one event");
        }
        if client.tick(now).is_err() {
            return;
        }
    }
}

/// A session that goes well.
pub fn seeds() -> Vec<Vec<u8>> {
    let session = b"\x20\x02\0\0\x90\x03\0\x01\x01\x40\x02\0\x02\x32\x09\0\x03a/b\0\x0ahi\xd0\0";
    let with = |room, piece| [&[room, piece][..], session].concat();
    vec![
        with(200, 0),
        with(200, 255),
        with(0, 3),
        b"\xff\x00\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01a".to_vec(),
    ]
}
