//! AWS IoT's side: what the recorded service said to the recorded agent, and what a service objects to.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use updraft_ota::aws::{Objection, Status};
use updraft_ota::{Input, Output, Protocol};
use updraft_publisher::aws::{Job, Note, Service, Settings};

/// When the recordings were made.
const EPOCH: u32 = 1_795_229_000;

fn vectors(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/ota").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn payload(line: &Value) -> Vec<u8> {
    let Some(hex) = line["cbor_hex"].as_str() else {
        return line["json"].as_str().unwrap().into();
    };
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
    bytes.map(Result::unwrap).collect()
}

fn job(image: Vec<u8>) -> Job {
    Job {
        id: "J-1".into(),
        stream: "S-1".into(),
        image: image.into(),
        path: "fw.out".into(),
        signature: None,
        certificate: "cs.crt".into(),
        url: None,
        streams: true,
    }
}

/// Topic, payload, and whether it has to arrive.
type Said = (String, Vec<u8>, bool);

/// Says something to the service at `now`; what it says then, and tells of it.
fn say(
    service: &mut Service,
    (topic, said): (&str, &[u8]),
    now: Duration,
) -> (Vec<Said>, Vec<Note>) {
    service.handle(Input::Message { topic, payload: said }, now);
    let mut answers = Vec::new();
    while let Some(output) = service.output(&mut []) {
        let Output::Publish { topic, payload, reliably } = output else { panic!("{output:?}") };
        answers.push((topic.to_owned(), payload.to_vec(), reliably));
    }
    let notes = std::iter::from_fn(|| service.event()).map(|event| event.note);
    (answers, notes.collect())
}

fn open(job: Job) -> Service {
    let mut service = Service::new(job, Settings::new("broker", 8883, EPOCH));
    service.start(Duration::ZERO);
    assert!(matches!(service.output(&mut []), Some(Output::Open(_))));
    service.handle(Input::Opened, Duration::ZERO);
    let mut filters = 0;
    while let Some(Output::Subscribe(filter)) = service.output(&mut []) {
        assert!(filter.starts_with("$aws/things/+/"), "{filter}");
        filters += 1;
    }
    assert_eq!(filters, 6);
    service
}

/// Without what the recorded service has other habits in: it never changes `lastUpdatedAt` and never
/// tells `startedAt`, makes the job a second before it is asked for it, and puts a space behind one
/// colon.
fn usual(payload: &[u8]) -> Vec<u8> {
    let Ok(text) = str::from_utf8(payload) else { return payload.to_vec() };
    let mut text = text.replace(": ", ":");
    for key in ["\"lastUpdatedAt\":", "\"queuedAt\":", "\"startedAt\":"] {
        if let Some(at) = text.find(key) {
            let end = text[at..].find(',').unwrap() + at + 1;
            text.replace_range(at..end, "");
        }
    }
    text.into_bytes()
}

#[test]
fn the_service_says_to_the_recorded_agent_what_the_recorded_one_said() {
    let mut compared = 0;
    for name in ["aws-ota-mqtt.jsonl", "aws-ota-mqtt-badsig.jsonl", "aws-ota-mqtt-samever.jsonl"] {
        let text = String::from_utf8(vectors(name)).unwrap();
        let lines: Vec<Value> = text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
        let topic = |line: &Value| line["topic"].as_str().unwrap().to_owned();
        let from_agent = |line: &Value| {
            let topic = topic(line);
            ["/update", "$next/get", "/get/cbor"].iter().any(|end| topic.ends_with(end))
        };
        let first = lines.iter().find(|line| topic(line).ends_with("get/accepted")).unwrap();
        let told: Value = serde_json::from_slice(&payload(first)).unwrap();
        let file = &told["execution"]["jobDocument"]["afr_ota"]["files"][0];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let ota = &told["execution"]["jobDocument"]["afr_ota"];
        let mut service = open(Job {
            id: text(&told["execution"]["jobId"]),
            stream: text(&ota["streamname"]),
            image: blocks(&lines).into(),
            path: text(&file["filepath"]),
            signature: Some(text(&file["sig-sha256-ecdsa"])),
            certificate: text(&file["certfile"]),
            url: None,
            streams: true,
        });
        let mut expected: Vec<_> = lines.iter().filter(|line| !from_agent(line)).collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| from_agent(line)) {
            // The service's clock, by what it said next.
            let next = lines[at..].iter().filter(|line| !from_agent(line));
            let clock = next.filter_map(|line| {
                serde_json::from_str::<Value>(line["json"].as_str()?).ok()?["timestamp"].as_u64()
            });
            let clock = clock.into_iter().next().unwrap_or(EPOCH.into());
            let now = Duration::from_secs(clock - u64::from(EPOCH));
            let (answers, _) = say(&mut service, (&topic(line), &payload(line)), now);
            for (to, said, reliably) in answers {
                let there = expected.iter().position(|line| topic(line) == to);
                let there = expected.remove(there.unwrap_or_else(|| panic!("{name}: {to}")));
                let recorded = payload(there);
                assert_eq!(usual(&said), usual(&recorded), "{name}: {to}");
                assert_eq!(u64::from(reliably), there["qos"].as_u64().unwrap(), "{name}: {to}");
                compared += 1;
            }
        }
        let left: Vec<_> = expected.iter().map(|line| topic(line)).collect();
        assert!(left.is_empty(), "{name}: the recorded service also said {left:?}");
    }
    println!("messages of the service {compared} / {compared}: as recorded, but for its habits");
}

/// The image that was recorded: another one in each recording.
fn blocks(lines: &[Value]) -> Vec<u8> {
    let data = lines.iter().filter(|line| line["topic"].as_str().unwrap().contains("/data/"));
    let mut image = Vec::new();
    for line in data.take(6) {
        let bytes = payload(line);
        let block =
            updraft_ota::aws::Block::decode(&bytes, updraft_ota::aws::Format::Cbor, &mut []);
        image.extend_from_slice(block.unwrap().data);
    }
    image
}

const GET: &str = "$aws/things/t/jobs/$next/get";
const UPDATE: &str = "$aws/things/t/jobs/J-1/update";

fn begun() -> Service {
    let mut service = open(job(vec![7; 10_000]));
    let (answers, notes) = say(&mut service, (GET, b"{}"), Duration::ZERO);
    assert_eq!((answers.len(), notes), (2, vec![Note::Told(Status::Queued)]));
    service
}

#[test]
fn reports_that_do_not_fit_are_objected_to_and_change_nothing() {
    for (topic, said, why) in [
        (UPDATE, "{", Objection::InvalidJson),
        (UPDATE, r#"{"status":"DONE"}"#, Objection::InvalidRequest),
        (UPDATE, r#"{"status":"QUEUED"}"#, Objection::InvalidRequest),
        (UPDATE, r#"{"status":"SUCCEEDED","expectedVersion":"7"}"#, Objection::VersionMismatch),
        ("$aws/things/t/jobs/J-2/update", r#"{"status":"SUCCEEDED"}"#, Objection::ResourceNotFound),
    ] {
        let mut service = begun();
        let (answers, notes) = say(&mut service, (topic, said.as_bytes()), Duration::ZERO);
        assert_eq!(answers[0].0, format!("{topic}/rejected"), "{said}");
        assert!(String::from_utf8_lossy(&answers[0].1).contains(why.name()), "{said}");
        assert!(notes.contains(&Note::Objected(why)), "{said}");
        assert_eq!(service.status("t"), Some(Status::Queued));
    }
}

#[test]
fn a_job_that_has_ended_stays_so_and_is_told_of_no_more() {
    let mut service = begun();
    let done = br#"{"status":"SUCCEEDED","expectedVersion":"1","clientToken":"x"}"#;
    let (answers, _) = say(&mut service, (UPDATE, done), Duration::ZERO);
    assert_eq!(answers[0].1, format!(r#"{{"timestamp":{EPOCH},"clientToken":"x"}}"#).as_bytes());
    assert_eq!(answers[1].0, "$aws/things/t/jobs/notify-next");
    let (_, notes) = say(&mut service, (UPDATE, br#"{"status":"FAILED"}"#), Duration::ZERO);
    assert_eq!(notes, [Note::Objected(Objection::InvalidStateTransition)]);
    let (answers, notes) = say(&mut service, (GET, br#"{"clientToken":"y"}"#), Duration::ZERO);
    assert_eq!(notes, [Note::Nothing]);
    assert_eq!(answers[0].1, format!(r#"{{"timestamp":{EPOCH},"clientToken":"y"}}"#).as_bytes());
    assert_eq!(service.status("t"), Some(Status::Succeeded));
}

#[test]
fn streams_answer_what_they_have_and_refuse_the_rest() {
    let stream = |name: &str, what: &str| format!("$aws/things/t/streams/{name}/{what}/json");
    let get = stream("S-1", "get");
    let mut service = begun();
    for (topic, said, refused) in [
        (get.clone(), r#"{"f":0,"l":4096,"o":0,"n":2}"#, None),
        (get.clone(), r#"{"f":1,"l":4096,"o":0,"n":2}"#, Some("ResourceNotFound")),
        (get.clone(), r#"{"s":2,"f":0,"l":4096,"o":0,"n":2}"#, Some("VersionMismatch")),
        (get.clone(), r#"{"f":0,"l":100,"o":0,"n":2}"#, Some("BlockSizeOutOfBounds")),
        (get.clone(), r#"{"f":0,"o":0}"#, Some("InvalidRequest")),
        (stream("S-2", "get"), r#"{"f":0,"l":4096,"o":0}"#, Some("ResourceNotFound")),
        (stream("S-2", "describe"), "{}", Some("ResourceNotFound")),
    ] {
        let (answers, notes) = say(&mut service, (&topic, said.as_bytes()), Duration::ZERO);
        match refused {
            None => assert_eq!(notes, [Note::Blocks(vec![0, 1])]),
            Some(code) => {
                assert!(notes.contains(&Note::Refused(code)), "{said}: {notes:?}");
                assert!(answers[0].0.ends_with("/rejected/json"), "{said}");
            }
        }
    }
    let about = stream("S-1", "describe");
    let (answers, _) = say(&mut service, (&about, br#"{"c":"x"}"#), Duration::ZERO);
    assert_eq!(answers[0].0, stream("S-1", "description"));
    let told = r#"{"c":"x","s":1,"d":"an update","r":[{"f":0,"z":10000}]}"#;
    assert_eq!(String::from_utf8_lossy(&answers[0].1), told);
}
