//! Requests and answers recorded from MCUboot's serial recovery, replayed byte by byte.
//!
//! The recorded device has one image and offers hashes and buffer parameters. Of its uploads the
//! recording keeps the first two chunks; the rest of the last one is made up here.

use std::collections::BTreeMap;

use serde_json::Value;
use updraft_image::{HashOnly, UpgradeMode, Version};
use updraft_recovery::{Config, Hooks, ImageSlots, Images, Offers, Recovery};
use updraft_sim::flash::{DeviceSpec, SimFlash};

use crate::common::{HEAD, PRIMARY, Recipe, SECONDARY, config, imitating};

const VECTORS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/smp/smp-vectors.json"));
const SLOT: u32 = 256 * 1024;

struct Recorded;

impl Hooks for Recorded {
    const OFFERS: Offers = Offers { params: true, ..Offers::BASIC };
}

#[derive(Clone)]
struct Exchange {
    name: String,
    request: Vec<u8>,
    answer: Option<Vec<u8>>,
}

/// The exchanges with recovery, and how many the application answered before and behind them.
fn exchanges() -> (Vec<Exchange>, usize) {
    let vectors: Value = serde_json::from_str(VECTORS).expect("the recording is JSON");
    let hex = |text: &str| -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
        (0..text.len()).step_by(2).map(byte).collect()
    };
    let text = |entry: &Value, key: &str| entry[key].as_str().expect("a text").to_owned();
    let all: Vec<_> = vectors["vectors"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|entry| text(entry, "source").starts_with("C:"))
        .map(|entry| Exchange {
            name: text(entry, "name"),
            request: hex(&text(entry, "req_hex")),
            answer: entry["rsp_hex"].as_str().map(hex),
        })
        .collect();
    let position = |name| all.iter().position(|exchange| exchange.name == name).expect(name);
    let (from, to) = (position("app reset boot_mode=1") + 1, position("back in app? echo"));
    (all[from..to].to_vec(), all.len() - (to - from))
}

/// An image of the recorded one's size and version.
fn whole_image() -> Vec<u8> {
    Recipe::new(Version::default(), 131_900).image()
}

fn recorded_device(config: Config) -> Recovery<SimFlash, HashOnly, Recorded, HEAD> {
    let spec = DeviceSpec::nor(2 * SLOT / 4096, 4096, 4);
    let area = |id, offset| updraft_flash::AreaEntry { id, device: 0, offset, size: SLOT };
    let table = vec![area(PRIMARY, 0), area(SECONDARY, SLOT)];
    let mut flash = SimFlash::new(vec![spec], table);
    flash.load(PRIMARY, 0, &whole_image()).unwrap();
    let slots = ImageSlots { primary: PRIMARY, secondary: Some(SECONDARY), max_size: 200_000 };
    Recovery::new(Config { images: Images::one(slots), ..config }, flash, HashOnly, Recorded)
}

/// Puts the hash of the image here in the place of the recorded image's.
fn with_own_hash(answer: &[u8]) -> Vec<u8> {
    let image = whole_image();
    let key = b"dhash\x58\x20";
    let Some(at) = answer.windows(key.len()).position(|window| window == key) else {
        return answer.to_vec();
    };
    let mut answer = answer.to_vec();
    let at = at + key.len();
    answer[at..at + 32].copy_from_slice(&image[image.len() - 32..]);
    answer
}

fn upload(recovery: &mut Recovery<SimFlash, HashOnly, Recorded, HEAD>) {
    let image = whole_image();
    let mut buffer = [0; 256];
    for (n, data) in image.chunks(512).enumerate() {
        let mut keys = serde_json::json!({ "off": n * 512, "data": crate::common::bytes(data) });
        if n == 0 {
            keys["len"] = image.len().into();
        }
        let payload = crate::common::cbor::encode(&keys);
        let len = (payload.len() as u16).to_be_bytes();
        let message = [&[2, 0, len[0], len[1], 0, 1, 0, 1][..], &payload].concat();
        let reply = recovery.handle(&message, &mut buffer).expect("an answer");
        let answer = crate::common::cbor::decode(&buffer[8..reply.len]);
        assert_eq!(answer["rc"], 0, "{answer}");
    }
}

/// Replays everything; what comes back are the exchanges that differ.
fn replay(config: Config, exclusion: impl Fn(usize, &Exchange) -> Option<&'static str>) -> String {
    let (exchanges, of_application) = exchanges();
    let mut excluded = BTreeMap::from([("answered by the application", of_application)]);
    let mut recovery = recorded_device(config);
    let (mut run, mut differ) = (0, Vec::new());
    for (at, exchange) in exchanges.iter().enumerate() {
        if exchanges.len() - at == 2 {
            upload(&mut recovery);
        }
        let mut buffer = [0; 1024];
        let reply = recovery.handle(&exchange.request, &mut buffer);
        if let Some(reason) = exclusion(at, exchange) {
            *excluded.entry(reason).or_default() += 1;
            continue;
        }
        run += 1;
        let ours = reply.map(|reply| buffer[..reply.len].to_vec());
        let recorded = exchange.answer.as_deref().map(with_own_hash);
        if ours != recorded {
            let name = &exchange.name;
            differ.push(format!("{name}:\n  recorded {recorded:02x?}\n  ours     {ours:02x?}"));
        }
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
    let total = exchanges.len() + of_application;
    assert_eq!(run + excluded.values().sum::<usize>(), total);
    let mut report =
        format!("{run} of {total} exchanges with MCUboot's recovery are answered alike");
    for (reason, count) in excluded {
        report.push_str(&format!("\n  {count} left out: {reason}"));
    }
    report
}

/// The recorded device runs its image from RAM and verifies what is there.
fn of_the_copy_in_ram(exchange: &Exchange) -> Option<&'static str> {
    let list = exchange.answer.as_deref().filter(|answer| answer.ends_with(b"0.0\xff\xff\xff"))?;
    let zeros = list.windows(32).any(|window| window == [0; 32]);
    zeros.then_some("lists an image by its copy in RAM while its slot is being written")
}

fn all(config: Config) -> Config {
    // The recorded uploads do not name a board.
    Config { rules: updraft_image::Rules { board: None, ..config.rules }, ..config }
}

#[test]
fn imitating_it_answers_like_the_recorded_device() {
    let config = imitating(all(config(UpgradeMode::SwapMove)));
    println!("imitating: {}", replay(config, |_, exchange| of_the_copy_in_ram(exchange)));
}

#[test]
fn strictly_it_differs_where_it_says_so() {
    let config = all(config(UpgradeMode::SwapMove));
    let report = replay(config, |_, exchange| match exchange.name.as_str() {
        "upload bad magic" => Some("stricter: the first chunk does not begin like an image"),
        _ => of_the_copy_in_ram(exchange),
    });
    println!("strictly: {report}");
}
