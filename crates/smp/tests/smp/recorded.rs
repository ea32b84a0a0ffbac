//! Requests and answers recorded from servers of the field, replayed byte by byte.
//!
//! Recorded are a Zephyr 4.4 server without slots (A), and a Zephyr 4.4 device with MCUboot in
//! swap-using-offset mode through errors (B1) and a whole life of updates (B2). The recording keeps
//! only the first two chunks of each upload; the others are sent here, from a file that is made up
//! around the recorded header and hash.

use std::collections::BTreeMap;

use serde_json::Value;
use updraft_image::Version;
use updraft_smp::server::Server;
use updraft_smp::{Header, client, group, image, os};

use crate::device::{Cbor, Device, Memory, image_write, map, tlvs};
use crate::zephyr;

const VECTORS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/smp/smp-vectors.json"));

/// A request and what came back.
pub struct Exchange {
    pub source: String,
    pub name: String,
    pub request: Vec<u8>,
    pub answer: Option<Vec<u8>>,
    /// The answer's payload, as another decoder reads it; byte strings are `{"$hex": …}`.
    pub payload: Value,
}

pub fn exchanges() -> Vec<Exchange> {
    let vectors: Value = serde_json::from_str(VECTORS).expect("the recording is JSON");
    let bytes = |text: &str| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16))
            .collect::<Result<_, _>>()
            .expect("hex")
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    vectors["vectors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| Exchange {
            source: text(&entry["source"]),
            name: text(&entry["name"]),
            request: bytes(entry["req_hex"].as_str().expect("every request is there")),
            answer: entry["rsp_hex"].as_str().map(bytes),
            payload: entry["rsp"].clone(),
        })
        .collect()
}

/// What this server answers where it does so on purpose otherwise: the reason, and the answer's
/// payload.
fn stricter(exchange: &Exchange) -> Option<(&'static str, Vec<u8>)> {
    let malformed = b"\xbf\x62rc\x03\xff".to_vec();
    let length = |len: u8| [&b"\xbf\x63len"[..], &[len, 0xff]].concat();
    let truth = "a file that is open: its length is what was written, not what was written back";
    match exchange.name.as_str() {
        "hdr len too small" | "hdr len zero with data" => {
            Some(("the length field: the payload ends where it says", malformed))
        }
        "v1 fs status" | "v2 fs status" => Some((truth, length(10))),
        "v1 fs status after" | "v2 fs status after" => Some((truth, length(6))),
        _ => None,
    }
}

/// The uploads of a recording: which bytes of the file have no recorded chunk.
struct Uploads {
    hashes: BTreeMap<String, [u8; 32]>,
    file: Vec<u8>,
}

impl Uploads {
    fn new(exchanges: &[Exchange]) -> Self {
        let mut hashes = BTreeMap::new();
        for answer in exchanges.iter().filter_map(|exchange| exchange.answer.as_deref()) {
            let Some(answer) = client::Answer::parse(answer) else { continue };
            let _ = answer.images(|entry| {
                if let Some(hash) = entry.hash.and_then(|hash| hash.try_into().ok()) {
                    hashes.insert(entry.version.to_owned(), hash);
                }
            });
        }
        Self { hashes, file: Vec::new() }
    }

    /// Takes note of a recorded chunk and makes up the rest of its file.
    fn note(&mut self, request: &[u8]) {
        let (mut off, mut len, mut data) = (None, None, None);
        updraft_smp::fields(&request[Header::SIZE..], |key, value| match key {
            "off" => value.u32(&mut off),
            "len" => value.u32(&mut len),
            "data" => value.bytes(&mut data),
            _ => Ok(()),
        })
        .expect("a recorded upload");
        let (off, data) = (off.expect("an offset") as usize, data.expect("data"));
        if off == 0 {
            let Version { major, minor, revision, build } =
                updraft_image::Header::parse(data).expect("a header").version;
            let spelled = match build {
                0 => format!("{major}.{minor}.{revision}"),
                _ => format!("{major}.{minor}.{revision}.{build}"),
            };
            self.file = vec![0; len.expect("a length") as usize];
            let end = self.file.len();
            self.file[end - 40..].copy_from_slice(&tlvs(&self.hashes[&spelled]));
        }
        self.file[off..off + data.len()].copy_from_slice(data);
    }

    /// Sends the chunks that were not recorded, up to `end`.
    fn fill(&self, device: &mut Device, end: usize) {
        for off in (512..end).step_by(256) {
            let data = &self.file[off..(off + 256).min(end)];
            let payload = map(&[("off", Cbor::Uint(off as u64)), ("data", Cbor::Bytes(data))]);
            let answer = device.answer(&image_write(image::UPLOAD, &payload));
            let reply = client::Answer::parse(&answer).expect("an answer").upload();
            assert_eq!(reply.expect("success").off as usize, off + data.len());
        }
    }
}

/// The device of the recordings B1 and B2: image 0.0.0 in slot 0.
fn recorded_device(uploads: &Uploads) -> Device {
    let mut memory = Memory::new(1, 106_496);
    let header = updraft_image::Header { hdr_size: 512, img_size: 1024, ..Default::default() };
    memory.put(0, &header.emit());
    let area = tlvs(&uploads.hashes["0.0.0"]);
    memory.slots[0].as_mut().expect("slot 0")[1536..1576].copy_from_slice(&area);
    // The recorded server marks images without looking at them, and these are made up.
    memory.verify = false;
    Device::new(memory)
}

#[test]
fn answers_like_the_recorded_servers() {
    let exchanges = exchanges();
    let mut otherwise = BTreeMap::<&str, usize>::new();
    let (mut run, mut failed) = (0, Vec::new());

    for source in ["A1", "A2", "B1", "B2"] {
        let of_source: Vec<_> =
            exchanges.iter().filter(|exchange| exchange.source.starts_with(source)).collect();
        let mut uploads = Uploads::new(&exchanges);
        let recorded_here = exchanges.iter().filter(|e| e.source.starts_with("B1"));
        uploads.hashes.extend(first_hash(recorded_here));
        let mut device = recorded_device(&uploads);
        let mut bare = zephyr::groups(ticks(&of_source));

        for (at, exchange) in of_source.iter().enumerate() {
            run += 1;
            let request = &exchange.request;
            let answers = match source {
                "A1" | "A2" => {
                    let (mut answers, mut buffer) = (Vec::new(), [0; 2048]);
                    Server::default()
                        .handle(request, &mut bare, &mut buffer, |a| answers.push(a.to_vec()));
                    answers
                }
                _ => device.answers(request),
            };
            let same = match stricter(exchange) {
                Some((reason, payload)) => {
                    *otherwise.entry(reason).or_default() += 1;
                    answers.first().map(|answer| &answer[Header::SIZE..]) == Some(&payload[..])
                }
                None => answers.first() == exchange.answer.as_ref(),
            };
            if !same {
                failed.push(format!(
                    "{source} {}: {request:02x?}\n  recorded {:02x?}\n  ours     {:02x?}",
                    exchange.name,
                    exchange.answer,
                    answers.first()
                ));
            }

            let Ok((header, _)) = Header::parse(request) else { continue };
            match (header.group, header.id) {
                (group::IMAGE, image::UPLOAD) if exchange.name.starts_with("upload off=") => {
                    uploads.note(request);
                    if exchange.name == "upload off=256" {
                        let probe =
                            of_source.get(at + 2).filter(|e| e.name.contains("resume probe"));
                        let end = probe.map_or(uploads.file.len(), |probe| {
                            let answer = probe.answer.as_deref().expect("recorded");
                            let answer = client::Answer::parse(answer).expect("an answer");
                            answer.upload().expect("success").off as usize
                        });
                        uploads.fill(&mut device, end);
                    }
                }
                (group::OS, os::RESET) if source == "B2" => {
                    assert!(device.resets.pop().is_some(), "the server hands the reset out");
                    device.memory().boot_refuses = exchange.name == "reset corrupt";
                    device.reboot();
                }
                _ => {}
            }
        }
    }
    let recovery = exchanges.iter().filter(|exchange| exchange.source.starts_with("C:")).count();

    println!("recorded exchanges: {run} of {} replayed", exchanges.len());
    println!("  {recovery} left to the recovery crate: serial recovery is another server");
    for (reason, count) in &otherwise {
        println!("  {count} answered otherwise on purpose: {reason}");
    }
    assert!(failed.is_empty(), "{} differ:\n{}", failed.len(), failed.join("\n"));
    assert_eq!(run + recovery, exchanges.len());
}

/// What the recorded server had counted when it was asked.
fn ticks(of_source: &[&Exchange]) -> u64 {
    let mut ticks = 0;
    for answer in of_source.iter().filter_map(|exchange| exchange.answer.as_deref()) {
        let answer = client::Answer::parse(answer).expect("a whole answer");
        let _ = answer.counters(|_, value| ticks = value);
    }
    ticks
}

/// The hash that the first image list of a recording shows for the running image.
fn first_hash<'e>(mut of_source: impl Iterator<Item = &'e Exchange>) -> Option<(String, [u8; 32])> {
    let mut found = None;
    let list = of_source.find(|exchange| exchange.name == "0 initial")?;
    client::Answer::parse(list.answer.as_deref()?)?
        .images(|entry| {
            let hash = entry.hash.and_then(|hash| hash.try_into().ok());
            found = hash.map(|hash| (entry.version.to_owned(), hash));
        })
        .ok()?;
    found
}
