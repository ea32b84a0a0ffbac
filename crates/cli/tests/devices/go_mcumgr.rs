//! The `mcumgr` command written in Go, in every group that it speaks: what it said to a virtual device,
//! and heard, is said and heard again. (Neither the command nor the modules that it is made of can be
//! had from a package registry; `vectors/smp/mcumgr-go.json` tells what was recorded, and how.)

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use minicbor::Decoder;
use minicbor::data::Type;
use serde_json::Value;
use serial2::SerialPort;
use updraft_smp::framing::{Console, Framing, Received};

use crate::support::{Bench, Image};

const RECORDED: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/smp/mcumgr-go.json"));
const PATIENCE: Duration = Duration::from_secs(10);

/// Commands whose answers hold times and counts: these may be others.
const PASSING: [&str; 5] = ["taskstat", "mpstat", "datetime", "stat device", "log show"];

enum Link {
    Datagrams(UdpSocket),
    Line(SerialPort, Box<Console<4096>>),
}

impl Link {
    fn send(&self, bytes: &[u8]) {
        match self {
            Self::Datagrams(socket) => drop(socket.send(bytes).unwrap()),
            Self::Line(port, _) => port.write_all(bytes).unwrap(),
        }
    }

    /// The next message.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let until = Instant::now() + PATIENCE;
        match self {
            Self::Datagrams(socket) => {
                let mut packet = vec![0; 4096];
                let len = socket.recv(&mut packet).ok()?;
                Some(packet[..len].to_vec())
            }
            Self::Line(port, console) => loop {
                let mut byte = [0];
                port.read_exact(&mut byte).ok().filter(|()| Instant::now() < until)?;
                let received = console.receive(byte[0], Duration::ZERO);
                if let Some(Received::Message(message)) = received {
                    return Some(message.to_vec());
                }
            },
        }
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// A message, its numbers left out, also those in texts.
fn shape(message: &[u8]) -> String {
    let mut shape = format!("{:02x?}", [&message[..2], &message[4..8]]);
    let mut payload = Decoder::new(&message[8..]);
    while let Ok(kind) = payload.datatype() {
        shape += &match kind {
            Type::MapIndef => payload.map().map(|_| "{".to_owned()).unwrap(),
            Type::ArrayIndef => payload.array().map(|_| "[".to_owned()).unwrap(),
            Type::Break => {
                payload.set_position(payload.position() + 1);
                ")".to_owned()
            }
            Type::String => {
                let parts = payload.str().unwrap().split(|c: char| c.is_ascii_digit());
                parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
            }
            other => {
                payload.skip().map(|()| format!("{other:?}").replace(char::is_numeric, "")).unwrap()
            }
        };
        shape.push(' ');
    }
    shape
}

fn replay(over: &str) {
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let bench = Bench::new(&format!("mcumgr-go-{over}"));
    let image = |name: &str, version: &str| {
        let bytes = from_hex(recorded["images"][name].as_str().unwrap());
        let file = bench.file(&format!("{name}.img"), &bytes);
        Image { file, version: version.into(), bytes, hash: String::new() }
    };
    let (old, new) = (image("old", "1.0.0"), image("new", "1.1.0"));
    let setup = bench.device().trusting(&[]).with(&["--files", "files"]).load("primary", &old);
    let device = setup.serial().start();
    let line = device.serial_line();
    device.starts("1.0.0");
    let mut link = match over {
        "udp" => {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(&device.address).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            Link::Datagrams(socket)
        }
        _ => {
            let mut port = SerialPort::open(line, 115_200).unwrap();
            port.set_read_timeout(PATIENCE).unwrap();
            Link::Line(port, Box::default())
        }
    };
    let exchanges = recorded[over].as_array().unwrap();
    let mut messages = 0;
    for exchange in exchanges {
        let command = exchange["command"].as_str().unwrap();
        for message in exchange["messages"].as_array().unwrap() {
            let (way, bytes) = message.as_str().unwrap().split_once(' ').unwrap();
            let bytes = from_hex(bytes);
            messages += 1;
            if way == ">" {
                link.send(&bytes);
                continue;
            }
            let answer = link.receive().unwrap_or_else(|| panic!("no answer to {command}"));
            match PASSING.contains(&command) {
                true => assert_eq!(shape(&answer), shape(&bytes), "{command}"),
                false => assert_eq!(answer, bytes, "{command}"),
            }
        }
        match command {
            "reset" => device.starts("1.1.0"),
            "image upload new.img" => assert!(bench.area("secondary").starts_with(&new.bytes)),
            _ => {}
        }
    }
    assert!(bench.area("primary").starts_with(&new.bytes) && bench.slots().confirmed());
    println!("mcumgr in Go over {over}: {0} of {0} commands, {messages} messages", exchanges.len());
    assert_eq!(exchanges.len(), 32);
}

#[test]
fn mcumgr_in_go_is_answered_in_every_group_that_it_speaks() {
    replay("udp");
}

#[cfg(unix)]
#[test]
fn mcumgr_in_go_is_answered_over_a_serial_line() {
    replay("serial");
}
