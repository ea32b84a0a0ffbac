//! What others said to each other, replayed.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use serde_json::Value;
use updraft_image::SwapType;
use updraft_ota::infineon::{Chunk, Document, Flow, Message, Request, Settings};
use updraft_ota::{Protocol, Reason, State, Version};

use crate::common::{BOARD, Board, Line, Server, reasons};
use crate::infineon::{V1, V2, device, go_on, settings};

pub fn vectors(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/ota").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn lines(name: &str) -> Vec<Value> {
    let text = String::from_utf8(vectors(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A recording: topics and payloads.
fn recording(name: &str) -> Vec<(String, Vec<u8>)> {
    let payload = |line: &Value| match line["raw_b64"].as_str() {
        Some(raw) => base64::engine::general_purpose::STANDARD.decode(raw).unwrap(),
        None => line["payload"].as_str().unwrap().into(),
    };
    lines(name).iter().map(|line| (line["topic"].as_str().unwrap().into(), payload(line))).collect()
}

/// Says what the publisher said in the recording when the device says what the device said there.
struct Replay {
    rest: Vec<(String, Vec<u8>)>,
    unique: String,
    /// Messages of the recorded device that ours said as well, in the same order.
    met: Vec<Message>,
}

impl Replay {
    fn new(name: &str) -> Self {
        Self { rest: recording(name), unique: String::new(), met: Vec::new() }
    }
}

impl Server for Replay {
    fn message(&mut self, topic: &str, payload: &[u8]) -> Vec<(String, Vec<u8>)> {
        let said = Document::decode(payload).unwrap();
        if let Some(topic) = said.unique_topic {
            self.unique = topic.to_string();
        }
        let asks = |payload: &[u8]| {
            Document::decode(payload).ok().map(|it| (it.kind(), it.offset.map(|it| it.to_string())))
        };
        let wanted = (said.kind(), said.offset.map(|it| it.to_string()));
        let recorded = |(there, payload): &(String, Vec<u8>)| {
            there == topic && asks(payload) == Some(wanted.clone())
        };
        let Some(at) = self.rest.iter().position(recorded) else { return Vec::new() };
        self.met.extend(said.kind());
        let after: Vec<_> = self.rest.drain(..=at).collect();
        drop(after);
        let answers = self.rest.iter().position(|(there, _)| there == topic);
        let answers = self.rest.drain(..answers.unwrap_or(self.rest.len()));
        let shared = format!("OTAUpdate/{BOARD}/OTAImage");
        let to = |there: String| if there == shared { there } else { self.unique.clone() };
        answers.map(|(there, payload)| (to(there), payload)).collect()
    }
}

fn replayed(
    name: &str,
    running: Version,
    settings: Settings<'static>,
) -> (Board, Vec<Message>, Vec<Reason>) {
    let mut board = Board::new(running);
    let mut server = Replay::new(name);
    let mut device = device(&mut board, settings);
    let mut line = Line::new();
    device.start(line.now);
    line.run(&mut device, &mut server, |device| {
        let rests = !device.agent().is_busy()
            && device.deadline().is_some_and(|at| at > std::time::Duration::from_secs(7200));
        device.agent().platform().system().resets > 0 || rests
    });
    let reasons = reasons(device.agent());
    drop(device);
    (board, server.met, reasons)
}

#[test]
fn the_recorded_publisher_updates_our_device() {
    let image = vectors("image-2.0.0.bin");
    for (name, piecewise) in [("infineon-job.jsonl", false), ("infineon-chunk.jsonl", true)] {
        let (mut board, met, reasons) = replayed(name, V1, Settings { piecewise, ..settings() });
        assert_eq!(reasons, [], "{name}");
        assert!(board.holds(&image), "{name}");
        assert_eq!(board.swap_type(), SwapType::Test, "{name}");
        assert_eq!(met.first(), Some(&Message::Availability));
        assert_eq!(met.last(), Some(&Message::Success));
        assert_eq!(met.len(), if piecewise { 8 } else { 3 }, "{name}: {met:?}");
    }
    let direct = Settings { flow: Flow::Direct, ..settings() };
    let (mut board, met, reasons) = replayed("infineon-direct.jsonl", V1, direct);
    assert_eq!((met, reasons), (vec![Message::DirectUpdate], vec![]));
    assert!(board.holds(&image));
    assert_eq!(board.swap_type(), SwapType::Test);
}

#[test]
fn recorded_jobs_of_the_same_version_and_for_another_board_are_refused() {
    for name in ["infineon-job-samever.jsonl", "infineon-chunk-samever.jsonl"] {
        let (mut board, met, reasons) = replayed(name, V2, settings());
        assert_eq!(reasons, [Reason::WrongBoard], "{name}");
        assert_eq!(met, [Message::Availability], "{name}");
        assert_eq!(board.swap_type(), SwapType::None);
    }
    let direct = Settings { flow: Flow::Direct, ..settings() };
    let mut samever = Replay::new("infineon-direct-samever.jsonl");
    for (_, payload) in &samever.rest {
        assert!(
            Chunk::decode(payload).is_ok_and(|chunk| chunk.version == V2) || payload[0] == b'{'
        );
    }
    let mut board = Board::new(V2);
    let mut device = device(&mut board, direct);
    let mut line = Line::new();
    device.start(line.now);
    line.run(&mut device, &mut samever, |device| device.agent().state() == State::Rejected);
    assert_eq!(device.agent().reason(), Some(Reason::NotNewer { offered: V2, running: V2 }),);
    drop(device);
    assert_eq!(board.swap_type(), SwapType::None);
}

/// The board of the recording's second half is that of older devices: they meet the version rule.
#[test]
fn a_device_that_is_named_as_the_job_says_refuses_the_same_version() {
    let bytes = recording("infineon-job-samever.jsonl");
    let (_, job) = &bytes[1];
    let job = Document::decode(job).unwrap().job().unwrap();
    assert!(job.board.is("CY8CPROTO_062_4343W") && job.version == V2);
    let mut board = Board::new(V2);
    let mut agent = board.agent(updraft_ota::Config::new("CY8CPROTO_062_4343W"));
    let offer = updraft_ota::Offer {
        board: Some(job.board),
        version: Some(job.version),
        ..updraft_ota::Offer::default()
    };
    let refused = agent.offer(&offer, crate::common::SECOND);
    assert_eq!(refused, Err(Reason::NotNewer { offered: V2, running: V2 }));
    assert_eq!(refused.unwrap_err().infineon_code(), 23);
}

/// In the other role: every recorded message is read, and chunks are written to the byte.
#[test]
fn every_recorded_message_is_understood_by_the_other_role() {
    let image = vectors("image-2.0.0.bin");
    let (mut chunks, mut requests, mut answers) = (0, 0, 0);
    for name in ["job", "chunk", "direct", "job-samever", "chunk-samever", "direct-samever"] {
        for (topic, payload) in recording(&format!("infineon-{name}.jsonl")) {
            if Chunk::is_one(&payload) {
                let chunk = Chunk::decode(&payload).unwrap();
                let made = Chunk::of(&image, V2, chunk.offset, 4096).unwrap();
                let mut bytes = vec![0; payload.len()];
                assert_eq!(made.encode(&mut bytes), Some(payload.len()));
                assert_eq!(bytes, payload);
                chunks += 1;
                continue;
            }
            let document = Document::decode(&payload).unwrap();
            if !topic.ends_with("publish_notify") {
                document.job().unwrap();
                answers += 1;
                continue;
            }
            match document.request().unwrap() {
                Request::Availability { running, .. } => {
                    let expected = if name.contains("samever") { V2 } else { V1 };
                    assert_eq!(running, Some(expected), "{name}");
                }
                Request::Chunk { offset, size, .. } => {
                    assert_eq!((offset % 4096, size), (0, Some(4096)));
                }
                Request::Result { good, .. } => assert!(good),
                Request::Update { .. } | Request::Direct { .. } => {}
            }
            requests += 1;
        }
    }
    println!(
        "chunks {chunks} / {chunks}, requests {requests} / {requests}, answers {answers} / {answers}"
    );
    assert_eq!((chunks, requests, answers), (36, 26, 10));
}

#[test]
fn the_first_recorded_header_is_written_to_the_byte() {
    let image = vectors("image-2.0.0.bin");
    let header = Chunk::of(&image, V2, 0, 4096).unwrap().header();
    let hex: String = header.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "4f5441496d6167652000000002000000\
        0000b752000000000000001006000000"
    );
}

#[test]
fn our_session_goes_on_where_the_recording_ends() {
    // The recorded result belongs to another topic; ours is answered on our own.
    let mut board = Board::new(V1);
    let mut publisher = crate::infineon::Publisher::new(vectors("image-2.0.0.bin"), V2);
    let mut device = device(&mut board, settings());
    let mut line = Line::new();
    device.start(line.now);
    go_on(&mut line, &mut device, &mut publisher);
    assert_eq!(publisher.heard.last(), Some(&Message::Success));
}
