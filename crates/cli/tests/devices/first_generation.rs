//! A client of SMP's first generation: version 1 of the protocol in every request, no question about
//! buffers, and an upload whose window grows from one request to five, of 512 bytes each. That is the
//! window of the `mcumgr` command written in Go, which uses it over Bluetooth; over UDP and serial lines
//! it waits for each answer, as its recordings show (`go_mcumgr`). So the client is made up here, from
//! what that one puts on the wire; nothing of ours builds its messages.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use minicbor::encode::write::{Cursor, EndOfArray};
use minicbor::{Decoder, Encoder};
use serial2::SerialPort;
use updraft_image::{Digest, HashKind};
use updraft_smp::framing::{Console, Framing, Received};

use crate::support::{Bench, Device, HOST, Over, SELF, Setup};

type Map = Encoder<Cursor<[u8; 1024]>>;
type Encoded = Result<(), minicbor::encode::Error<EndOfArray>>;

const READ: u8 = 0;
const WRITE: u8 = 2;
/// Most requests under way.
const WINDOW: usize = 5;
const CHUNK: usize = 512;
const PATIENCE: Duration = Duration::from_secs(5);

enum Link {
    Datagrams(UdpSocket),
    Line(SerialPort, Box<Console<4096>>),
}

impl Link {
    fn send(&mut self, message: &[u8]) {
        match self {
            Self::Datagrams(socket) => drop(socket.send(message).unwrap()),
            Self::Line(port, _) => {
                Console::<4096>::send(message, |piece| port.write_all(piece).unwrap()).unwrap();
            }
        }
    }

    fn receive(&mut self) -> Vec<u8> {
        match self {
            Self::Datagrams(socket) => {
                let mut packet = vec![0; 4096];
                let len = socket.recv(&mut packet).expect("an answer");
                packet[..len].to_vec()
            }
            Self::Line(port, console) => loop {
                let mut byte = [0];
                port.read_exact(&mut byte).expect("an answer");
                let received = console.receive(byte[0], Duration::ZERO);
                if let Some(Received::Message(message)) = received {
                    return message.to_vec();
                }
            },
        }
    }
}

struct Client {
    link: Link,
    sequence: u8,
}

impl Client {
    /// Starts a device, and is its client.
    fn of(setup: Setup<'_>, over: Over) -> (Device, Self) {
        let (device, link) = match over {
            Over::Udp => {
                let device = setup.start();
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(&device.address).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                (device, Link::Datagrams(socket))
            }
            Over::Serial => {
                let device = setup.serial().start();
                let mut port = SerialPort::open(device.serial_line(), 115_200).unwrap();
                port.set_read_timeout(PATIENCE).unwrap();
                (device, Link::Line(port, Box::default()))
            }
        };
        device.wait("app: self-test passed");
        (device, Self { link, sequence: 66 })
    }

    fn send(&mut self, op: u8, group: u8, id: u8, fill: impl FnOnce(&mut Map) -> Encoded) {
        let mut map = Encoder::new(Cursor::new([0; 1024]));
        fill(&mut map).unwrap();
        let cursor = map.into_writer();
        let payload = &cursor.get_ref()[..cursor.position()];
        let len = (payload.len() as u16).to_be_bytes();
        let header = [op, 0, len[0], len[1], 0, group, self.sequence, id];
        self.sequence = self.sequence.wrapping_add(1);
        self.link.send(&[&header, payload].concat());
    }

    /// The payload of the next answer. Its header has to be one of version 1.
    fn receive(&mut self, op: u8, group: u8, id: u8) -> Vec<u8> {
        let packet = self.link.receive();
        assert_eq!([packet[0], packet[4], packet[5], packet[7]], [op + 1, 0, group, id]);
        packet[8..].to_vec()
    }

    fn ask(
        &mut self,
        op: u8,
        group: u8,
        id: u8,
        fill: impl FnOnce(&mut Map) -> Encoded,
    ) -> Vec<u8> {
        self.send(op, group, id, fill);
        self.receive(op, group, id)
    }

    /// Uploads an image; the most requests that were under way.
    fn upload(&mut self, image: &[u8]) -> usize {
        let sha = Digest::of(HashKind::Sha256, image);
        let (mut window, mut widest) = (1, 0);
        let (mut next, mut acked) = (0, 0);
        let mut under_way: VecDeque<usize> = VecDeque::new();
        let start = Instant::now();
        while acked < image.len() {
            while next < image.len() && under_way.len() < window {
                let end = (next + CHUNK).min(image.len());
                let data = &image[next..end];
                self.send(WRITE, 1, 1, |map| {
                    map.map(if next == 0 { 4 } else { 2 })?.str("data")?.bytes(data)?;
                    if next == 0 {
                        map.str("len")?.u64(image.len() as u64)?;
                        map.str("sha")?.bytes(sha.as_bytes())?;
                    }
                    map.str("off")?.u64(next as u64)?.ok()
                });
                under_way.push_back(end);
                next = end;
                widest = widest.max(under_way.len());
            }
            let answer = self.receive(WRITE, 1, 1);
            let off = number(&answer, "off").expect("an offset") as usize;
            assert_eq!(under_way.pop_front(), Some(off), "chunks are taken one after the other");
            (acked, window) = (off, WINDOW.min(window + 1));
            assert!(start.elapsed() < Duration::from_secs(60), "the upload goes on for ever");
        }
        widest
    }
}

/// The number under a key of an answer.
fn number(payload: &[u8], key: &str) -> Option<i64> {
    let mut d = Decoder::new(payload);
    let entries = d.map().unwrap().unwrap_or(u64::MAX);
    for _ in 0..entries {
        if d.datatype().ok()? == minicbor::data::Type::Break {
            return None;
        }
        if d.str().ok()? == key {
            return d.i64().ok();
        }
        d.skip().ok()?;
    }
    None
}

fn nothing(map: &mut Map) -> Encoded {
    map.map(0)?.ok()
}

/// Whether an answer holds a text; any answer holds nothing.
fn holds(payload: &[u8], text: &str) -> bool {
    text.is_empty() || payload.windows(text.len().max(1)).any(|window| window == text.as_bytes())
}

#[test]
fn a_client_of_the_first_generation_updates_with_five_requests_under_way() {
    updates(Over::Udp);
}

#[cfg(unix)]
#[test]
fn a_client_of_the_first_generation_updates_over_a_serial_line() {
    updates(Over::Serial);
}

fn updates(over: Over) {
    let bench = Bench::new(&format!("first-generation-{over:?}"));
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
    let (device, mut client) = Client::of(bench.device().load("primary", &old), over);
    let listed = client.ask(READ, 1, 0, nothing);
    assert!(holds(&listed, "1.0.0") && holds(&listed, "splitStatus"));
    assert_eq!(client.upload(&new.bytes), WINDOW);
    assert!(bench.slots().hold(&new));

    let hash = Digest::of(HashKind::Sha256, b"something else");
    let mark = |hash: &[u8]| {
        let hash = hash.to_vec();
        move |map: &mut Map| {
            map.map(2)?.str("confirm")?.bool(false)?.str("hash")?.bytes(&hash)?.ok()
        }
    };
    let refused = client.ask(WRITE, 1, 0, mark(hash.as_bytes()));
    assert!(number(&refused, "rc").is_some_and(|rc| rc > 0), "version 1 knows plain codes");
    let hash: Vec<u8> = (0..new.hash.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&new.hash[at..at + 2], 16).unwrap())
        .collect();
    let marked = client.ask(WRITE, 1, 0, mark(&hash));
    assert!(holds(&marked, "1.1.0"));
    client.ask(WRITE, 0, 5, nothing);
    device.starts("1.1.0");
    assert!(bench.slots().run(&new) && bench.slots().on_trial());
    client.ask(WRITE, 1, 0, |map| map.map(1)?.str("confirm")?.bool(true)?.ok());
    assert!(bench.slots().run(&new) && bench.slots().confirmed());
}
