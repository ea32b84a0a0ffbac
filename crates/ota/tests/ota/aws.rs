//! AWS IoT: recordings of its own agent, updates from a stand-in, and servers that misbehave.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use updraft_image::{Digest, HashKind, PublicKey, Software, SwapType, Verifier};
use updraft_ota::aws::{
    Accepted, Answer, Asked, Block, BlockRequest, Details, Device, Format, JobTopic, NextJob,
    Objection, OtaJob, Refused, Rejected, Settings, Status, StreamTopic, Update, asked, job_topic,
    stream_topic, update_topic,
};
use updraft_ota::json::Text;
use updraft_ota::{
    Answer as May, Config, Endpoint, Gate, Protocol, Reason, State, Transport, Version,
};

use crate::cloud::{Cloud, Spoil};
use crate::common::{BOARD, Board, Flash, Line, PRIMARY, SECOND, Server, image, reasons};
use crate::http::{Files, Like, Wrong};
use crate::infineon::{V1, V2};
use crate::pair::{Pair, archive};
use crate::transcripts::{lines, vectors};

const V092: Version = Version::new(0, 9, 2);

fn signed(digest: &[u8], signature: &[u8], certificate: &str) -> bool {
    assert_eq!(certificate, "cs.crt");
    let text = String::from_utf8(vectors("aws-codesign.crt")).unwrap();
    let lines: String = text.lines().filter(|line| !line.contains("CERT")).collect();
    let der = STANDARD.decode(lines).unwrap();
    let begins = [0x30, 0x59, 0x30, 0x13, 0x06, 0x07];
    let at = der.windows(6).position(|bytes| bytes == begins).unwrap();
    let key = [PublicKey::from_der(&der[at..at + 91]).unwrap()];
    let digest = Digest::from_slice(HashKind::Sha256, digest).unwrap();
    Software::new(&key).verify(0, &digest, signature).is_yes()
}

pub fn settings(format: Format) -> Settings<'static> {
    let server = Endpoint { transport: Transport::Mqtt, host: Text::new("iot"), port: 8883 };
    Settings { format, ..Settings::new("thing1", server) }
}

pub fn device<'b>(board: &'b mut Board, settings: Settings<'static>) -> Device<'b, Flash<'b>> {
    let agent = board.agent(Config { report_every: 500, ..Config::new(BOARD) });
    Device::new(agent, settings, vec![0; 2560].leak(), vec![0; 4096].leak())
}

fn run(device: &mut Device<'_, Flash<'_>>, server: &mut impl Server) -> (Line, Vec<Reason>) {
    let mut line = Line::new();
    device.start(line.now);
    on(&mut line, device, server);
    let reasons = reasons(device.agent());
    (line, reasons)
}

fn on(line: &mut Line, device: &mut Device<'_, Flash<'_>>, server: &mut impl Server) {
    line.settle(device, server, |device| {
        let rests = device.deadline().is_none_or(|at| at > Duration::from_secs(12 * 3600));
        device.agent().platform().system().resets > 0
            || device.is_testing()
            || (rests && !device.agent().is_busy())
    });
}

/// Says what the service said in a recording, when the device says what the device said there.
struct Replay {
    rest: Vec<Value>,
    /// What ours said as well, to the byte.
    same: usize,
    said: Vec<String>,
}

pub fn payload(line: &Value) -> Vec<u8> {
    match line["cbor_hex"].as_str() {
        Some(hex) => (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect(),
        None => line["json"].as_str().unwrap().into(),
    }
}

impl Server for Replay {
    fn message(&mut self, topic: &str, said: &[u8]) -> Vec<(String, Vec<u8>)> {
        if topic.ends_with("/update") {
            self.said.push(String::from_utf8(said.to_vec()).unwrap());
        }
        let Some(at) = self.rest.iter().position(|line| line["topic"] == topic) else {
            return Vec::new();
        };
        self.same += usize::from(payload(&self.rest[at]) == said);
        self.rest.drain(..=at);
        let from_server = |line: &Value| {
            let topic = line["topic"].as_str().unwrap();
            !["/update", "$next/get", "/get/cbor"].iter().any(|end| topic.ends_with(end))
        };
        let end = self.rest.iter().position(|line| !from_server(line));
        let answers = self.rest.drain(..end.unwrap_or(self.rest.len()));
        answers.map(|line| (line["topic"].as_str().unwrap().into(), payload(&line))).collect()
    }
}

fn replay(name: &str) -> Replay {
    Replay { rest: lines(name), same: 0, said: Vec::new() }
}

fn recorded_reports(name: &str) -> Vec<String> {
    let lines = lines(name);
    let reports = lines.iter().filter(|line| line["topic"].as_str().unwrap().ends_with("/update"));
    reports.map(|line| line["json"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_recorded_service_updates_our_device_through_its_self_test() {
    let name = "aws-ota-mqtt.jsonl";
    let mut server = replay(name);
    let mut board = Board::new(V092);
    board.settings.signer = Some(signed);
    let mut first = device(&mut board, settings(Format::Cbor));
    let (_, reasons) = run(&mut first, &mut server);
    assert_eq!(reasons, []);
    // The question for blocks, the progress and `ready`.
    assert_eq!(server.same, 3);
    drop(first);
    assert!(board.holds(&vectors("image-2.0.0.bin")));
    assert_eq!(board.swap_type(), SwapType::Test);
    board.boot();
    board.settings.resets = 0;
    let mut second = device(&mut board, settings(Format::Cbor));
    let mut line = Line::new();
    second.start(line.now);
    assert_eq!(second.agent().state(), State::SelfTest);
    on(&mut line, &mut second, &mut server);
    assert!(second.is_testing());
    second.agent().self_test(true, line.now);
    on(&mut line, &mut second, &mut server);
    assert_eq!(second.agent().state(), State::Waiting);
    drop(second);
    let recorded = recorded_reports(name);
    assert_eq!(server.said.len(), recorded.len());
    assert_eq!(server.said[..2], recorded[..2]);
    // The recorded image was that of version 1.0.0.
    assert_eq!(server.said[2], recorded[2].replace("0x01000000", "0x02000000"));
    let [ours, theirs] = [&server.said[3], &recorded[3]]
        .map(|report| Update::decode(report.as_bytes()).map(|report| report.status));
    assert_eq!(ours, theirs);
    assert!(server.said[3].contains("accepted v2.0.0"), "{}", server.said[3]);
    assert_eq!(board.swap_type(), SwapType::None);
}

#[test]
fn recorded_jobs_with_a_wrong_signature_or_the_same_version_fail_as_recorded() {
    for (name, running, reason) in [
        ("aws-ota-mqtt-badsig.jsonl", V092, Reason::SignatureDiffers),
        ("aws-ota-mqtt-samever.jsonl", V2, Reason::NotNewer { offered: V2, running: V2 }),
    ] {
        let mut server = replay(name);
        let mut board = Board::new(running);
        board.settings.signer = Some(signed);
        let mut device = device(&mut board, settings(Format::Cbor));
        let (_, reasons) = run(&mut device, &mut server);
        assert_eq!(reasons, [reason], "{name}");
        let recorded = recorded_reports(name);
        // The original finds out that the version is the same only once it runs.
        let tells = usize::from(running != V2);
        assert_eq!(server.said[..tells], recorded[..tells], "{name}");
        assert_eq!(server.said.last(), recorded.last(), "{name}");
        drop(device);
        assert_eq!(board.swap_type(), SwapType::None, "{name}");
    }
}

#[test]
fn every_recorded_message_is_understood_by_the_other_role() {
    let (mut reports, mut jobs, mut answers, mut questions, mut blocks) = (0, 0, 0, 0, 0);
    for name in ["aws-ota-mqtt.jsonl", "aws-ota-mqtt-badsig.jsonl", "aws-ota-mqtt-samever.jsonl"] {
        for line in lines(name) {
            let (topic, bytes) = (line["topic"].as_str().unwrap(), payload(&line));
            if topic.ends_with("/update") {
                Update::decode(&bytes).unwrap();
                reports += 1;
            } else if topic.ends_with("notify-next") || topic.ends_with("get/accepted") {
                let next = NextJob::decode(&bytes).unwrap();
                if let Some(execution) = next.execution {
                    let job = OtaJob::of(execution.document.unwrap()).unwrap();
                    assert_eq!(job.file.size, 21_175);
                    let mut again = [0; 1000];
                    let len = next.encode(Some(&job), &mut again).unwrap();
                    assert_eq!(str::from_utf8(&again[..len]), str::from_utf8(&bytes), "{name}");
                } else {
                    let mut again = [0; 100];
                    let len = next.encode(None, &mut again).unwrap();
                    assert_eq!(again[..len], bytes, "{name}");
                }
                jobs += 1;
            } else if topic.ends_with("/update/accepted") {
                let answer = Accepted::decode(&bytes).unwrap();
                let mut again = [0; 100];
                let len = answer.encode(&mut again).unwrap();
                // The stand-in that was recorded puts a space behind the colon.
                assert_eq!(str::from_utf8(&again[..len]).unwrap().replace(':', ": "), {
                    String::from_utf8(bytes).unwrap()
                });
                answers += 1;
            } else if topic.contains("/get/cbor") {
                let request = BlockRequest::decode(&bytes, Format::Cbor, &mut []).unwrap();
                assert_eq!(request.blocks(21_175).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
                let mut again = [0; 100];
                let len = request.encode(Format::Cbor, &mut again).unwrap();
                assert_eq!(again[..len], bytes);
                questions += 1;
            } else if topic.contains("/data/cbor") {
                let block = Block::decode(&bytes, Format::Cbor, &mut []).unwrap();
                let mut again = vec![0; bytes.len()];
                assert_eq!(block.encode(Format::Cbor, &mut again), Ok(bytes.len()));
                assert_eq!(again, bytes);
                blocks += 1;
            }
        }
    }
    println!(
        "reports {reports}, jobs {jobs}, answers {answers}, questions {questions}, blocks {blocks}: \
         all read, and written again to the byte but for the reports' free texts and a space in the \
         answers"
    );
    assert_eq!((reports, answers, questions, blocks), (9, 9, 3, 18));
}

/// Topics and payloads of the modular libraries.
#[test]
fn the_modular_libraries_words_are_ours() {
    let text = String::from_utf8(vectors("aws-modular-vectors.txt")).unwrap();
    let has = |wanted: &str| assert!(text.lines().any(|line| line.ends_with(wanted)), "{wanted}");
    let mut topic = String::new();
    job_topic(&mut topic, "thing1", JobTopic::StartNext, Answer::Question).unwrap();
    topic.push('\n');
    job_topic(&mut topic, "thing1", JobTopic::NextGet, Answer::Question).unwrap();
    topic.push('\n');
    job_topic(&mut topic, "thing1", JobTopic::Get, Answer::Question).unwrap();
    topic.push('\n');
    update_topic(&mut topic, "thing1", "AFR_OTA-j", Answer::Question).unwrap();
    for (which, format) in [
        (StreamTopic::Data, Format::Json),
        (StreamTopic::Get, Format::Json),
        (StreamTopic::Data, Format::Cbor),
        (StreamTopic::Get, Format::Cbor),
    ] {
        topic.push('\n');
        stream_topic(&mut topic, "thing1", "AFR_OTA-s", which, format).unwrap();
    }
    topic.lines().for_each(has);
    for status in Status::ALL {
        let details = Details { self_test: Some(Text::new("ready")), ..Details::default() };
        for (version, details) in [(None, None), (Some(2), None), (Some(2), Some(details))] {
            let update = Update { status, expected_version: version, details, token: None };
            let mut buffer = [0; 200];
            let len = update.encode(&mut buffer).unwrap();
            has(str::from_utf8(&buffer[..len]).unwrap());
            assert_eq!(Update::decode(&buffer[..len]), Ok(update));
        }
    }
    let hex = text.lines().last().unwrap().split(' ').next_back().unwrap();
    let bytes = payload(&serde_json::json!({ "cbor_hex": hex }));
    let request = BlockRequest::decode(&bytes, Format::Cbor, &mut []).unwrap();
    assert_eq!((request.offset, request.count, request.bitmap), (3, Some(1), Some(&b"MQ=="[..])));
    // What it calls a bitmap has seventeen bits; it wants one block.
    assert_eq!(request.blocks(100 * 4096).collect::<Vec<_>>(), [3]);
    let mut again = [0; 40];
    let len = request.encode(Format::Cbor, &mut again).unwrap();
    assert_eq!(again[..len], bytes);
    // The example of AWS's guide: blocks 20, 21, 24 and 43.
    let mut bitmap = [0; 3];
    [0, 1, 4, 23].iter().for_each(|at| bitmap[at / 8] |= 1 << (at % 8));
    let request =
        BlockRequest { offset: 20, size: 256, bitmap: Some(&bitmap), ..BlockRequest::default() };
    let len = request.encode(Format::Json, &mut [0; 0]);
    assert!(len.is_err());
    let mut again = [0; 100];
    let len = request.encode(Format::Json, &mut again).unwrap();
    assert!(str::from_utf8(&again[..len]).unwrap().contains("\"b\":\"0x130080\""));
    assert_eq!(BlockRequest::decode_json(&again[..len], &mut [0; 3]), Ok(request));
    let mut bits = [0; 3];
    let read = BlockRequest::decode_json(&again[..len], &mut bits).unwrap();
    assert_eq!(read.blocks(100 * 256).collect::<Vec<_>>(), [20, 21, 24, 43]);
    // What the modular library writes in JSON has no bitmap.
    let json = br#"{"s": 1,"f": 0,"l": 4096,"o": 3,"n": 1}"#;
    let request = BlockRequest::decode_json(json, &mut []).unwrap();
    assert_eq!((request.version, request.offset, request.count), (Some(1), 3, Some(1)));
    assert_eq!(request.blocks(100 * 4096).collect::<Vec<_>>(), [3]);
}

#[test]
fn questions_for_blocks_in_json_that_make_no_sense_are_refused_by_name() {
    let good = r#"{"c":"rdy","f":0,"l":4096,"o":0,"b":"0x3f","n":8}"#;
    assert!(BlockRequest::decode_json(good.as_bytes(), &mut [0; 1]).is_ok());
    for (from, to, reason) in [
        ("{", "[", Reason::NotJson(updraft_ota::json::Malformed { offset: 1 })),
        ("\"f\":0,", "", Reason::Missing("f")),
        ("\"f\":0", "\"f\":256", Reason::BadValue("f")),
        ("\"f\":0", "\"f\":\"0\"", Reason::WrongType("f")),
        ("4096", "0", Reason::Missing("l")),
        ("\"n\":8", "\"n\":8,\"n\":9", Reason::Repeated("n")),
        ("0x3f", "0x3", Reason::BadValue("b")),
        ("0x3f", "0xzz", Reason::BadValue("b")),
        ("0x3f", "+1", Reason::BadValue("b")),
        // More than there is room for.
        ("0x3f", "0x3f3f", Reason::BadValue("b")),
        ("\"rdy\"", "5", Reason::WrongType("c")),
    ] {
        let text = good.replacen(from, to, 1);
        let mut room = [0; 1];
        let found = BlockRequest::decode_json(text.as_bytes(), &mut room).unwrap_err();
        let same = match reason {
            Reason::NotJson(_) => matches!(found, Reason::NotJson(_)),
            reason => found == reason,
        };
        assert!(same, "{to}: {found:?}");
    }
}

#[test]
fn a_service_sends_no_more_than_was_asked_for_and_than_an_answer_holds() {
    let ask = |size, offset, count| BlockRequest { size, offset, count, ..BlockRequest::default() };
    for (request, objection, blocks) in [
        (ask(4096, 0, None), None, 32),
        (ask(4096, 90, None), None, 10),
        (ask(4096, 100, None), None, 0),
        (ask(4096, 98_304, Some(98_304)), None, 0),
        (ask(131_072, 0, Some(5)), None, 1),
        (ask(255, 0, None), Some("BlockSizeOutOfBounds"), 0),
        (ask(131_073, 0, None), Some("BlockSizeOutOfBounds"), 0),
        (ask(4096, 98_305, None), Some("OffsetOutOfBounds"), 0),
        (ask(4096, 0, Some(98_305)), Some("BlockCountLimitExceeded"), 0),
    ] {
        assert_eq!(request.objection(), objection, "{request:?}");
        if objection.is_none() {
            assert_eq!(request.blocks(100 * 4096).count(), blocks, "{request:?}");
        }
    }
    let bits = vec![0xff; 12_288];
    let long = BlockRequest { bitmap: Some(&bits), ..ask(4096, 0, Some(1)) };
    assert_eq!(long.objection(), Some("BlockBitmapLimitExceeded"));
}

#[test]
fn topics_tell_who_asks_for_what() {
    let stream = |stream, what, format| Asked::Stream { stream, what, format };
    for (topic, expected) in [
        ("$aws/things/t1/jobs/$next/get", Some(Asked::Next)),
        ("$aws/things/t1/jobs/start-next", Some(Asked::StartNext)),
        ("$aws/things/t1/jobs/get", Some(Asked::List)),
        ("$aws/things/t1/jobs/J-1/get", Some(Asked::Job("J-1"))),
        ("$aws/things/t1/jobs/J-1/update", Some(Asked::Report("J-1"))),
        ("$aws/things/t1/streams/S/get/cbor", Some(stream("S", StreamTopic::Get, Format::Cbor))),
        (
            "$aws/things/t1/streams/S/describe/json",
            Some(stream("S", StreamTopic::Describe, Format::Json)),
        ),
        ("$aws/things/t1/jobs/J-1/update/accepted", None),
        ("$aws/things/t1/jobs/notify-next", None),
        ("$aws/things/t1/streams/S/data/cbor", None),
        ("$aws/things/t1/streams/S/get/xml", None),
        ("$aws/things/t1", None),
        ("things/t1/jobs/get", None),
    ] {
        assert_eq!(asked(topic), expected.map(|it| ("t1", it)), "{topic}");
    }
}

#[test]
fn refusals_of_reports_are_read_as_they_are_written() {
    for why in Objection::ALL {
        let state = (why == Objection::VersionMismatch).then_some((Status::InProgress, 7));
        let token = Some(Text::new("1:thing1"));
        let refused = Refused { why: Some(why), message: None, token, timestamp: Some(5), state };
        let mut bytes = [0; 300];
        let len = refused.encode(&mut bytes).unwrap();
        assert_eq!(Refused::decode(&bytes[..len]), Ok(refused));
    }
}

#[test]
fn an_update_goes_through_streams_of_both_formats_and_its_self_test() {
    for format in [Format::Cbor, Format::Json] {
        let new = image(V2, 45_000);
        let mut cloud = Cloud::new(new.clone(), format);
        let mut board = Board::new(V1);
        let mut first = device(&mut board, settings(format));
        let (_, reasons) = run(&mut first, &mut cloud);
        assert_eq!(reasons, []);
        drop(first);
        // Twelve blocks, eight at once.
        assert_eq!(cloud.asked.iter().map(Vec::len).collect::<Vec<_>>(), [8, 4]);
        assert!(board.holds(&new));
        board.boot();
        board.settings.resets = 0;
        let mut second = device(&mut board, settings(format));
        let mut line = Line::new();
        second.start(line.now);
        on(&mut line, &mut second, &mut cloud);
        second.agent().self_test(true, line.now);
        on(&mut line, &mut second, &mut cloud);
        assert_eq!(cloud.status, Status::Succeeded);
        assert_eq!(cloud.reports.len(), 4, "{:?}", cloud.reports);
    }
}

#[test]
fn a_new_image_that_fails_its_test_is_given_back_and_told() {
    for late in [true, false] {
        let mut cloud = Cloud::new(image(V2, 9000), Format::Cbor);
        let mut board = Board::new(V1);
        let mut first = device(&mut board, settings(Format::Cbor));
        run(&mut first, &mut cloud);
        drop(first);
        board.boot();
        board.settings.resets = 0;
        let mut second = device(&mut board, settings(Format::Cbor));
        let mut line = Line::new();
        second.start(line.now);
        on(&mut line, &mut second, &mut cloud);
        match late {
            true => line.now += 61 * SECOND,
            false => second.agent().self_test(false, line.now),
        }
        line.run(&mut second, &mut cloud, |device| device.agent().platform().system().resets > 0);
        assert_eq!(cloud.status, Status::Failed);
        drop(second);
        assert_eq!(board.swap_type(), SwapType::Revert);
    }
}

#[test]
fn an_image_that_falls_back_by_itself_is_told_by_its_version() {
    let mut cloud = Cloud::new(image(V2, 9000), Format::Cbor);
    let mut board = Board::new(V1);
    let mut first = device(&mut board, settings(Format::Cbor));
    run(&mut first, &mut cloud);
    drop(first);
    board.boot();
    board.boot();
    board.settings.resets = 0;
    let mut second = device(&mut board, settings(Format::Cbor));
    run(&mut second, &mut cloud);
    assert_eq!(cloud.status, Status::Failed);
    assert!(cloud.reports.last().unwrap().contains("rejected: 0x00000010"), "{:?}", cloud.reports);
}

#[test]
fn an_acceptance_that_nobody_heard_is_told_again() {
    let mut cloud = Cloud::new(image(V2, 9000), Format::Cbor);
    let mut board = Board::new(V1);
    let mut first = device(&mut board, settings(Format::Cbor));
    run(&mut first, &mut cloud);
    drop(first);
    board.boot();
    board.settings.resets = 0;
    let mut agent = board.agent(Config::new(BOARD));
    agent.start(SECOND).unwrap();
    agent.self_test(true, SECOND);
    drop(agent);
    let mut second = device(&mut board, settings(Format::Cbor));
    run(&mut second, &mut cloud);
    assert_eq!(cloud.status, Status::Succeeded);
}

#[test]
fn blocks_that_are_lost_or_spoilt_are_asked_for_again() {
    let spoils: [(&str, Spoil); 4] = [
        ("every third is lost", |count, bytes| (count % 3 != 0).then_some(bytes)),
        ("every third is cut", |count, mut bytes| {
            if count % 3 == 0 {
                bytes.truncate(bytes.len() - 1);
            }
            Some(bytes)
        }),
        ("every third is another file's", |count, mut bytes| {
            if count % 3 == 0 {
                bytes[3] = 4;
            }
            Some(bytes)
        }),
        ("every third is out of the image", |count, bytes| {
            if count % 3 != 0 {
                return Some(bytes);
            }
            let mut spoilt = vec![0; 100];
            let block = Block { file: 3, index: u32::MAX, data: &[1; 50] };
            let len = block.encode(Format::Cbor, &mut spoilt).unwrap();
            spoilt.truncate(len);
            Some(spoilt)
        }),
    ];
    for (name, spoil) in spoils {
        let new = image(V2, 45_000);
        let mut cloud = Cloud { spoil, ..Cloud::new(new.clone(), Format::Cbor) };
        let mut board = Board::new(V1);
        let mut device = device(&mut board, settings(Format::Cbor));
        run(&mut device, &mut cloud);
        drop(device);
        assert!(board.holds(&new), "{name}");
        assert_eq!(board.swap_type(), SwapType::Test, "{name}");
    }
}

#[test]
fn an_archive_comes_in_a_stream_too() {
    let file = archive(V2, [image(V2, 20_000), image(V2, 15_000)]);
    let mut cloud = Cloud::new(file.clone(), Format::Cbor);
    let mut pair = Pair::new([V1, V1]);
    let now = pair.device(Config::new(BOARD), |agent| {
        let mut job = [0; 2560];
        let mut device = Device::new(agent, settings(Format::Cbor), &mut job, &mut []);
        let mut line = Line::new();
        device.start(line.now);
        line.run(&mut device, &mut cloud, |device| device.agent().platform().system().resets > 0);
        line.now
    });
    // What came while the slots were made ready is asked for again at once.
    assert!(now < 30 * SECOND, "{now:?}");
    assert_eq!(pair.pending(), [SwapType::Test; 2]);
}

#[test]
fn a_stream_without_blocks_is_given_up() {
    let mut cloud = Cloud { spoil: |_, _| None, ..Cloud::new(image(V2, 9000), Format::Cbor) };
    let mut board = Board::new(V1);
    let mut device = device(&mut board, settings(Format::Cbor));
    let (_, reasons) = run(&mut device, &mut cloud);
    assert_eq!(reasons, [Reason::Silent]);
    assert!(cloud.reports.last().unwrap().contains("rejected: 0x0000000e"));
    assert_eq!(cloud.asked.len(), 9);
}

#[test]
fn a_device_that_is_dropped_at_a_block_asks_for_the_others_only() {
    let new = image(V2, 45_000);
    for stop in 1..12 {
        let mut cloud = Cloud::new(new.clone(), Format::Cbor);
        let mut board = Board::new(V1);
        let mut first = device(&mut board, settings(Format::Cbor));
        let mut line = Line::new();
        first.start(line.now);
        // The others of its question never come.
        cloud.spoil = |_, bytes| Some(bytes);
        line.run(&mut first, &mut cloud, |device| device.agent().progress().0 >= stop);
        let held = first.agent().progress().0;
        drop(first);
        cloud.asked.clear();
        let mut second = device(&mut board, settings(Format::Cbor));
        run(&mut second, &mut cloud);
        let asked: Vec<u32> = cloud.asked.concat();
        assert_eq!(asked, (held..12).collect::<Vec<_>>());
        drop(second);
        assert!(board.holds(&new));
    }
}

#[test]
fn a_job_that_is_taken_back_is_broken_off() {
    let mut cloud = Cloud { spoil: |_, _| None, ..Cloud::new(image(V2, 9000), Format::Cbor) };
    let mut board = Board::new(V1);
    let mut device = device(&mut board, settings(Format::Cbor));
    let mut line = Line::new();
    device.start(line.now);
    line.run(&mut device, &mut cloud, |device| device.agent().is_fetching());
    let topic = "$aws/things/thing1/jobs/notify-next";
    let input = updraft_ota::Input::Message { topic, payload: br#"{"execution":{}}"# };
    device.handle(input, line.now);
    assert_eq!(reasons(device.agent()), [Reason::Cancelled]);
    assert_eq!(device.agent().state(), State::Waiting);
}

#[test]
fn jobs_that_break_the_rules_fail_by_name_and_the_next_one_is_taken() {
    let good = r#"{"execution":{"jobId":"j","status":"QUEUED","jobDocument":{"afr_ota":{"protocols":["MQTT"],"streamname":"s","files":[{"filesize":9000,"fileid":0}]}}}}"#;
    let signed =
        |key: &str, bytes: usize| format!("9000,\"{key}\":\"{}\"", STANDARD.encode(vec![7; bytes]));
    let cases = [
        ("\"afr_ota\"", "\"other\"".into(), Reason::Missing("afr_ota")),
        ("[\"MQTT\"]", "[]".into(), Reason::BadValue("protocols")),
        ("[\"MQTT\"]", "\"MQTT\"".into(), Reason::WrongType("protocols")),
        ("\"streamname\":\"s\",", String::new(), Reason::Missing("streamname")),
        ("\"s\"", "\"a/b\"".into(), Reason::BadValue("streamname")),
        ("\"s\"", "5".into(), Reason::WrongType("streamname")),
        ("\"s\"", format!("\"{}\"", "s".repeat(45)), Reason::TooLong("streamname")),
        ("9000", "0".into(), Reason::BadValue("filesize")),
        ("9000", "-1".into(), Reason::WrongType("filesize")),
        ("9000", "4294967296".into(), Reason::WrongType("filesize")),
        ("9000", "9000,\"filesize\":1".into(), Reason::Repeated("filesize")),
        ("\"fileid\":0", "\"fileid\":256".into(), Reason::BadValue("fileid")),
        ("\"fileid\":0", "\"x\":0".into(), Reason::Missing("fileid")),
        ("[{", "[5,{".into(), Reason::WrongType("files")),
        ("0}]", "0},{\"filesize\":9000,\"fileid\":1}]".into(), Reason::Repeated("files")),
        ("[\"MQTT\"]", "[\"HTTP\"]".into(), Reason::Missing("update_data_url")),
        (
            "9000",
            format!("9000,\"update_data_url\":\"https://{}\"", "u".repeat(1493)),
            Reason::TooLong("update_data_url"),
        ),
        ("\"j\"", "\"../j\"".into(), Reason::BadValue("jobId")),
        ("\"j\"", format!("\"{}\"", "j".repeat(65)), Reason::TooLong("jobId")),
        ("9000", "60000".into(), Reason::TooLarge { size: 60_000, max: 0 }),
        (
            "{\"execution\"",
            format!("{{\"x\":\"{}\",\"execution\"", "x".repeat(2560)),
            Reason::DocumentTooLong { len: 0, max: 2560 },
        ),
        ("9000", signed("sig-sha256-ecdsa", 385), Reason::TooLong("sig-sha256-ecdsa")),
        ("9000", "9000,\"sig-sha256-ecdsa\":\"?\"".into(), Reason::BadValue("sig-sha256-ecdsa")),
        // Base64 of nothing is a signature of nothing.
        ("9000", signed("sig-sha256-ecdsa", 0), Reason::NotSigned),
        (
            "9000",
            format!("{},\"certfile\":\"{}\"", signed("sig-sha256-ecdsa", 70), "c".repeat(65)),
            Reason::TooLong("certfile"),
        ),
        // What cannot be checked is not the same as no signature.
        ("9000", signed("sig-sha256-rsa", 256), Reason::SignatureKind("sig-sha256-rsa")),
        ("9000", signed("sig-sha1-rsa", 256), Reason::SignatureKind("sig-sha1-rsa")),
        ("9000", signed("sig-sha1-ecdsa", 70), Reason::SignatureKind("sig-sha1-ecdsa")),
        ("9000", signed("sig-sha512-rsa", 256), Reason::SignatureKind("sig-…")),
    ];
    let count = cases.len();
    for (from, to, reason) in cases {
        struct Says(String, Vec<String>);
        impl Server for Says {
            fn message(&mut self, topic: &str, payload: &[u8]) -> Vec<(String, Vec<u8>)> {
                if topic.ends_with("/update") {
                    self.1.push(String::from_utf8(payload.to_vec()).unwrap());
                }
                vec![(format!("{topic}/accepted"), self.0.clone().into_bytes())]
            }
        }
        assert!(good.contains(from), "{from}");
        let mut board = Board::new(V1);
        let before = board.flash.bytes(PRIMARY);
        let mut first = device(&mut board, settings(Format::Cbor));
        let mut server = Says(good.replacen(from, &to, 1), Vec::new());
        let (_, reasons) = run(&mut first, &mut server);
        match (reason, reasons.first()) {
            (Reason::TooLarge { .. }, Some(Reason::TooLarge { .. })) => {}
            (Reason::DocumentTooLong { .. }, Some(Reason::DocumentTooLong { .. })) => {}
            (reason, found) => assert_eq!(found, Some(&reason), "{to}"),
        }
        // Of a job without a name nothing can be told, nor of one that nobody could keep.
        let nameless = matches!(
            reason,
            Reason::BadValue("jobId") | Reason::TooLong("jobId") | Reason::DocumentTooLong { .. }
        );
        assert_eq!(server.1.len(), usize::from(!nameless), "{to}");
        assert!(server.1.iter().all(|told| told.contains("FAILED")), "{to}: {:?}", server.1);
        drop(first);
        assert_eq!(board.flash.counts().erases, 0, "{to}");
        assert_eq!(board.swap_type(), SwapType::None, "{to}");
        assert_eq!(board.flash.bytes(PRIMARY), before, "{to}");
        // A better one is taken.
        let new = image(V2, 9000);
        let mut next = device(&mut board, settings(Format::Cbor));
        let (_, reasons) = run(&mut next, &mut Cloud::new(new.clone(), Format::Cbor));
        assert_eq!(reasons, [], "{to}, afterwards");
        drop(next);
        assert!(board.holds(&new), "{to}");
        assert_eq!(board.swap_type(), SwapType::Test, "{to}");
    }
    println!("{count} / {count} jobs refused");
}

#[test]
fn values_of_a_job_may_be_as_long_as_aws_allows() {
    let long = |c: &str, len: usize| c.repeat(len);
    let signature = STANDARD.encode([7; 384]);
    let (job, stream) = (long("j", 64), long("s", 44));
    let url = format!("https://{}", long("u", 1492));
    let text = format!(
        r#"{{"execution":{{"jobId":"{job}","status":"QUEUED","jobDocument":{{"afr_ota":{{"protocols":["MQTT","HTTP"],"streamname":"{stream}","files":[{{"filesize":9,"fileid":255,"update_data_url":"{url}","sig-sha256-ecdsa":"{signature}","sig-sha1-rsa":"AA=="}}]}}}}}}}}"#
    );
    let execution = NextJob::decode(text.as_bytes()).unwrap().execution.unwrap();
    assert!(execution.job.is(&job));
    let ota = OtaJob::of(execution.document.unwrap()).unwrap();
    assert!(ota.stream.unwrap().is(&stream) && ota.file.url.unwrap().is(&url));
    // Of several signatures, the one that can be checked counts.
    assert_eq!(ota.signature(&mut [0; 384]).unwrap().unwrap(), [7; 384]);
}

#[test]
fn a_job_whose_signature_is_empty_is_not_signed() {
    for (signer, signature, reasons) in [
        (Some(signed as crate::common::Signer), None, vec![Reason::NotSigned]),
        (Some(signed), Some(String::new()), vec![Reason::NotSigned]),
        (None, Some(String::new()), vec![Reason::NotSigned]),
        (None, None, vec![]),
    ] {
        let mut cloud = Cloud { signature, ..Cloud::new(image(V2, 9000), Format::Cbor) };
        let mut board = Board::new(V1);
        board.settings.signer = signer;
        let mut device = device(&mut board, settings(Format::Cbor));
        assert_eq!(run(&mut device, &mut cloud).1, reasons);
        assert_eq!(cloud.asked.is_empty(), !reasons.is_empty());
        drop(device);
        assert_eq!(board.swap_type() == SwapType::None, !reasons.is_empty());
    }
}

/// On trial, up to the moment at which the server knows of the test.
fn tested<R>(
    cloud: &mut Cloud,
    then: impl FnOnce(&mut Line, &mut Device<'_, Flash<'_>>, &mut Cloud) -> R,
) -> (R, SwapType) {
    let mut board = Board::new(V1);
    let mut first = device(&mut board, settings(Format::Cbor));
    run(&mut first, cloud);
    drop(first);
    board.boot();
    board.settings.resets = 0;
    let mut second = device(&mut board, settings(Format::Cbor));
    let mut line = Line::new();
    second.start(line.now);
    let result = then(&mut line, &mut second, cloud);
    drop(second);
    (result, board.swap_type())
}

fn notify(device: &mut Device<'_, Flash<'_>>, payload: &[u8], now: Duration) {
    let topic = "$aws/things/thing1/jobs/notify-next";
    device.handle(updraft_ota::Input::Message { topic, payload }, now);
}

#[test]
fn a_success_that_was_lost_with_the_connection_is_told_again() {
    let mut cloud = Cloud::new(image(V2, 9000), Format::Cbor);
    let (_, next) = tested(&mut cloud, |line, device, cloud| {
        on(line, device, cloud);
        device.agent().self_test(true, line.now);
        device.poll(line.now);
        // What was to be sent goes with the connection.
        assert_eq!(device.agent().state(), State::Waiting);
        line.lose(device);
        on(line, device, cloud);
    });
    assert_eq!(cloud.status, Status::Succeeded, "{:?}", cloud.reports);
    assert_eq!(next, SwapType::None);
}

#[test]
fn a_connection_that_is_lost_during_the_test_does_not_end_it() {
    let mut cloud = Cloud::new(image(V2, 9000), Format::Cbor);
    let (_, next) = tested(&mut cloud, |line, device, cloud| {
        on(line, device, cloud);
        line.lose(device);
        // The server is asked for the job once more, and says that it is in its test.
        let until = line.now + 30 * SECOND;
        line.settle(device, cloud, |device| device.deadline().is_none_or(|at| at > until));
        assert_eq!(line.opened.len(), 2);
        assert_eq!(device.agent().state(), State::SelfTest);
        device.agent().self_test(true, line.now);
        on(line, device, cloud);
    });
    assert_eq!((cloud.status, next), (Status::Succeeded, SwapType::None));
}

#[test]
fn messages_that_are_no_job_do_not_take_the_place_of_the_one_under_way() {
    let new = image(V2, 45_000);
    for bad in [&b"{"[..], br#"{"execution":{"jobId":"x","status":"TIMED_OUT"}}"#, &[b' '; 5000]] {
        let mut cloud = Cloud::new(new.clone(), Format::Cbor);
        let mut board = Board::new(V1);
        let mut device = device(&mut board, settings(Format::Cbor));
        let mut line = Line::new();
        device.start(line.now);
        line.run(&mut device, &mut cloud, |device| device.agent().progress().0 == 2);
        notify(&mut device, bad, line.now);
        on(&mut line, &mut device, &mut cloud);
        assert_eq!(reasons(device.agent()).len(), 1);
        drop(device);
        assert!(board.holds(&new));
        assert_eq!(board.swap_type(), SwapType::Test);
    }
    // In a test neither: its success is still told.
    let mut cloud = Cloud::new(image(V2, 9000), Format::Cbor);
    tested(&mut cloud, |line, device, cloud| {
        on(line, device, cloud);
        notify(device, b"{", line.now);
        device.agent().self_test(true, line.now);
        on(line, device, cloud);
    });
    assert_eq!(cloud.status, Status::Succeeded);
}

#[test]
fn a_device_that_loses_its_broker_works_on_and_then_sleeps() {
    let new = image(V2, 20_000);
    let mut cloud = Cloud::new(new.clone(), Format::Cbor);
    let mut board = Board::new(V1);
    let mut device = device(&mut board, settings(Format::Cbor));
    let mut line = Line::new();
    device.start(line.now);
    line.run(&mut device, &mut cloud, |device| device.agent().state() == State::Verifying);
    line.lose(&mut device);
    // No call without something to do.
    let mut calls = 0;
    while device.deadline().is_some_and(|at| at <= line.now) {
        device.poll(line.now);
        calls += 1;
        assert!(calls < 50, "it spins");
    }
    assert!(device.agent().is_activated());
    on(&mut line, &mut device, &mut cloud);
    assert!(cloud.reports.last().unwrap().contains("ready"));
    drop(device);
    assert_eq!(board.swap_type(), SwapType::Test);
}

#[test]
fn a_failed_image_is_given_back_though_the_connection_goes_before_the_reset() {
    let mut cloud = Cloud::new(image(V2, 9000), Format::Cbor);
    let (resets, next) = tested(&mut cloud, |line, device, cloud| {
        on(line, device, cloud);
        device.agent().self_test(false, line.now);
        device.poll(line.now);
        line.lose(device);
        line.run(device, cloud, |device| device.agent().platform().system().resets > 0)
    });
    assert!(resets);
    assert_eq!(next, SwapType::Revert);
}

#[test]
fn a_question_for_a_job_that_is_not_answered_is_asked_again() {
    struct Deaf(Cloud, usize);
    impl Server for Deaf {
        fn message(&mut self, topic: &str, payload: &[u8]) -> Vec<(String, Vec<u8>)> {
            if topic.ends_with("$next/get") && self.1 > 0 {
                self.1 -= 1;
                return Vec::new();
            }
            self.0.message(topic, payload)
        }
    }
    let mut cloud = Cloud::new(image(V2, 9000), Format::Cbor);
    let mut board = Board::new(V1);
    run(&mut device(&mut board, settings(Format::Cbor)), &mut cloud);
    board.boot();
    board.settings.resets = 0;
    let mut second = device(&mut board, settings(Format::Cbor));
    let mut line = Line::new();
    second.start(line.now);
    // The test is not over before the server has answered.
    let mut deaf = Deaf(cloud, 3);
    line.settle(&mut second, &mut deaf, |device| device.is_testing());
    assert!(line.now < 60 * SECOND, "{:?}", line.now);
    // One that never answers is left alone.
    let mut board = Board::new(V1);
    let mut device = device(&mut board, settings(Format::Cbor));
    let (line, _) = run(&mut device, &mut Deaf(Cloud::new(Vec::new(), Format::Cbor), 99));
    assert_eq!(line.said.len(), 9);
}

#[test]
fn streams_may_refuse_for_good() {
    let mut bytes = [0; 40];
    for format in [Format::Cbor, Format::Json] {
        for (code, last) in [("VersionMismatch", true), ("InternalError", false)] {
            let len = Rejected { code }.encode(format, &mut bytes).unwrap();
            let rejected = Rejected::decode(&bytes[..len], format).unwrap();
            assert_eq!((rejected.code, rejected.is_final()), (code, last));
        }
    }
}

/// The same servers that Infineon's devices have to put up with.
#[test]
fn servers_of_signed_addresses_that_send_something_else_fail_the_job_by_name() {
    let new = image(V2, 9000);
    let count = Wrong::REFUSED.len();
    for (wrong, reason) in Wrong::REFUSED {
        let mut cloud = Cloud::new(new.clone(), Format::Cbor);
        cloud.url = Some("https://s3.example/fw/new%20image.bin");
        cloud.files = Some(Files { wrong, ..Files::new(new.clone()) });
        let mut board = Board::new(V1);
        let mut first = device(&mut board, settings(Format::Cbor));
        let (_, reasons) = run(&mut first, &mut cloud);
        assert!(reasons.iter().any(|it| it.is_like(reason)), "{wrong:?}: {reasons:?}");
        assert_eq!(cloud.status, Status::Failed, "{wrong:?}");
        drop(first);
        assert_eq!(board.swap_type(), SwapType::None, "{wrong:?}");
        // A better one is welcome.
        let mut cloud = Cloud { job: "job-2", ..Cloud::new(new.clone(), Format::Cbor) };
        cloud.url = Some("https://s3.example/fw/new%20image.bin");
        cloud.files = Some(Files::new(new.clone()));
        let mut next = device(&mut board, settings(Format::Cbor));
        let (_, reasons) = run(&mut next, &mut cloud);
        assert_eq!(reasons, [], "{wrong:?}, afterwards");
        drop(next);
        assert!(board.holds(&new), "{wrong:?}");
        assert_eq!(board.swap_type(), SwapType::Test, "{wrong:?}");
    }
    println!("{count} / {count} servers refused");
}

#[test]
fn a_signed_address_is_fetched_in_ranges_and_asked_for_anew_when_too_old() {
    for wrong in [Wrong::Nothing, Wrong::ClosesAfterEach, Wrong::NotFound] {
        let new = image(V2, 20_000);
        let mut cloud = Cloud::new(new.clone(), Format::Cbor);
        cloud.url = Some("https://s3.example:9000/fw/new%20image.bin");
        cloud.escaped = wrong == Wrong::ClosesAfterEach;
        cloud.files = Some(Files { wrong, ..Files::new(new.clone()) });
        let mut board = Board::new(V1);
        let mut device = device(&mut board, settings(Format::Cbor));
        let mut line = Line::new();
        device.start(line.now);
        on(&mut line, &mut device, &mut cloud);
        assert_eq!(line.opened[..2], ["iot:8883", "s3.example:9000"]);
        if wrong == Wrong::NotFound {
            assert_eq!(cloud.status, Status::Failed);
            assert!(line.opened.len() > 6, "{:?}", line.opened);
            continue;
        }
        assert!(cloud.reports.last().unwrap().contains("ready"));
        drop(device);
        assert!(board.holds(&new));
        assert_eq!(board.swap_type(), SwapType::Test);
    }
}

/// How many reports have `text`.
fn told(cloud: &Cloud, text: &str) -> usize {
    cloud.reports.iter().filter(|report| report.contains(text)).count()
}

#[test]
fn the_service_is_told_what_an_update_waits_for_and_when_it_goes_on() {
    let new = image(V2, 20_000);
    let hour = Duration::from_secs(3600);
    for over_http in [false, true] {
        let mut cloud = Cloud::new(new.clone(), Format::Json);
        if over_http {
            cloud.url = Some("https://s3.example:9000/fw/new%20image.bin");
            cloud.files = Some(Files::new(new.clone()));
        }
        let mut board = Board::new(V1);
        board.settings.closed = vec![(Gate::Battery, May::NotNow)];
        let one_by_one = Settings { at_once: 1, ..settings(Format::Json) };
        let mut device = device(&mut board, one_by_one);
        let mut line = Line::new();
        device.start(line.now);
        // However often the gate is looked at, it is told once.
        let until = line.now + hour;
        line.settle(&mut device, &mut cloud, |device| device.deadline() > Some(until));
        let waits = r#""statusDetails":{"receive":"0/5","reason":"waits: battery"}"#;
        assert_eq!(told(&cloud, waits), 1, "{:?}", cloud.reports);
        assert_eq!(cloud.status, Status::InProgress);
        device.agent().platform().system().closed.clear();
        line.run(&mut device, &mut cloud, |device| device.agent().progress().0 == 2);
        assert_eq!(told(&cloud, r#""statusDetails":{"receive":"0/5"}"#), 1, "{:?}", cloud.reports);
        // In the middle of the blocks, also while they come from another server.
        device.agent().platform().system().closed = vec![(Gate::Network, May::NotNow)];
        let until = line.now + hour;
        line.settle(&mut device, &mut cloud, |device| device.deadline() > Some(until));
        let last = cloud.reports.last().unwrap();
        assert!(last.contains(r#""reason":"waits: network""#), "{over_http}: {last}");
        assert!(last.contains(r#""receive":"3/5""#), "{over_http}: {last}");
        device.agent().platform().system().closed.clear();
        on(&mut line, &mut device, &mut cloud);
        assert_eq!(told(&cloud, "waits: "), 2, "{:?}", cloud.reports);
        drop(device);
        assert!(board.holds(&new));
        assert_eq!(board.swap_type(), SwapType::Test);
    }
}
