//! A stream of bytes over USB's packets, as a device speaks it that is a serial port to its host.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use updraft_smp::framing::{Console, Framing, Packets, Received};

/// Bytes of a packet of USB at full speed.
const SIZE: usize = 64;

/// A host and its cable: what the device has sent, packet by packet, and what it is to get.
#[derive(Default)]
struct Host {
    sent: Vec<Vec<u8>>,
    to_device: VecDeque<Vec<u8>>,
    /// Attempts that fail before a packet is taken.
    busy: usize,
    attempts: usize,
}

impl Host {
    fn takes(&mut self, packet: &[u8]) -> bool {
        self.attempts += 1;
        let taken = self.attempts.is_multiple_of(self.busy + 1);
        if taken {
            self.sent.push(packet.to_vec());
        }
        taken
    }

    /// What a program on the host has read by now: a driver hands on what a packet ends that is not
    /// full.
    fn read(&self) -> Vec<u8> {
        let ended = self.sent.iter().rposition(|packet| packet.len() < SIZE);
        self.sent[..ended.map_or(0, |at| at + 1)].concat()
    }

    /// Writes bytes as the host's driver does: full packets, and a rest.
    fn write(&mut self, bytes: &[u8]) {
        self.to_device.extend(bytes.chunks(SIZE).map(<[u8]>::to_vec));
    }
}

/// The driver of a device: bytes out, waiting for the pipe; then what is left.
fn send(packets: &mut Packets<SIZE>, host: &mut Host, bytes: &[u8]) {
    for byte in bytes {
        while !packets.put(*byte) {
            packets.send_with(|packet| host.takes(packet));
        }
    }
    while packets.is_waiting() {
        packets.send_with(|packet| host.takes(packet));
    }
}

/// Everything that comes in.
fn receive(packets: &mut Packets<SIZE>, host: &mut Host) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        packets.receive_with(|buf| {
            let packet = host.to_device.pop_front()?;
            buf[..packet.len()].copy_from_slice(&packet);
            Some(packet.len())
        });
        let Some(byte) = packets.take() else { return bytes };
        bytes.push(byte);
    }
}

#[test]
fn what_fills_its_packets_is_ended_by_an_empty_one() {
    for (len, lens) in [
        (0, &[][..]),
        (1, &[1]),
        (63, &[63]),
        (64, &[64, 0]),
        (65, &[64, 1]),
        (128, &[64, 64, 0]),
        (191, &[64, 64, 63]),
    ] {
        let (mut packets, mut host) = (Packets::new(), Host::default());
        let bytes = vec![0x55; len];
        send(&mut packets, &mut host, &bytes);
        let found: Vec<_> = host.sent.iter().map(Vec::len).collect();
        assert_eq!(found, lens, "{len} bytes");
        assert_eq!(host.read(), bytes, "{len} bytes");
    }
}

#[test]
fn a_packet_that_is_not_taken_is_offered_again() {
    let (mut packets, mut host) = (Packets::new(), Host { busy: 3, ..Host::default() });
    let bytes: Vec<u8> = (0..200).collect();
    send(&mut packets, &mut host, &bytes);
    assert_eq!(host.read(), bytes);
}

#[test]
fn the_next_packet_is_not_asked_for_before_the_last_one_is_read() {
    let mut packets = Packets::<SIZE>::new();
    packets.receive_with(|buf| {
        buf[..2].copy_from_slice(b"ab");
        Some(2)
    });
    assert_eq!(packets.take(), Some(b'a'));
    packets.receive_with(|_| panic!("a byte is left"));
    assert_eq!((packets.take(), packets.take()), (Some(b'b'), None));
}

#[test]
fn a_packet_without_bytes_carries_none() {
    let (mut packets, mut host) = (Packets::new(), Host::default());
    host.to_device.extend([b"ab".to_vec(), Vec::new()]);
    assert_eq!(receive(&mut packets, &mut host), b"ab");
    assert!(host.to_device.is_empty());
}

#[test]
fn who_comes_back_gets_nothing_of_what_was_before() {
    let (mut packets, mut host) = (Packets::<SIZE>::new(), Host::default());
    packets.receive_with(|buf| {
        buf[0] = b'x';
        Some(1)
    });
    for byte in 0..SIZE as u8 {
        assert!(packets.put(byte));
    }
    packets.reset();
    assert_eq!(packets.take(), None);
    send(&mut packets, &mut host, b"y");
    assert_eq!(host.sent, [b"y"]);
}

proptest! {
    /// Requests in, answers out, over the console's framing: whatever their lengths, a program on
    /// the host has read each answer before it asks for the next.
    #[test]
    fn messages_pass_both_ways_whatever_their_length(
        lens in prop::collection::vec(8usize..400, 1..6),
        busy in 0usize..3,
    ) {
        let (mut packets, mut host) = (Packets::new(), Host { busy, ..Host::default() });
        let (mut device, mut client) = (Console::<512>::new(), Console::<512>::new());
        let mut seen = 0;
        for (number, len) in lens.into_iter().enumerate() {
            let request: Vec<u8> = (0..len).map(|at| (at * 7 + number) as u8).collect();
            let mut line = Vec::new();
            Console::<512>::send(&request, |bytes| line.extend(bytes)).unwrap();
            host.write(&line);
            let mut answers = 0;
            for byte in receive(&mut packets, &mut host) {
                if let Some(Received::Message(message)) = device.receive(byte, Duration::ZERO) {
                    prop_assert_eq!(message, &request[..]);
                    let mut answer = Vec::new();
                    Console::<512>::send(message, |bytes| answer.extend(bytes)).unwrap();
                    send(&mut packets, &mut host, &answer);
                    answers += 1;
                }
            }
            prop_assert_eq!(answers, 1);
            let read = host.read();
            let mut heard = None;
            for byte in &read[seen..] {
                if let Some(Received::Message(message)) = client.receive(*byte, Duration::ZERO) {
                    heard = Some(message.to_vec());
                }
            }
            prop_assert_eq!(heard, Some(request));
            seen = read.len();
        }
    }
}
