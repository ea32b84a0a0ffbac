//! The recordings of the original, replayed: to what the recorded device said, ours answers what the
//! recorded publisher did.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use serde_json::Value;
use updraft_ota::infineon::Chunk;
use updraft_publisher::{Job, Settings};

use crate::common::{Said, Talk, always};

fn vectors(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/ota").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn recording(name: &str) -> Vec<Said> {
    let text = String::from_utf8(vectors(name)).unwrap();
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let payload = match line["raw_b64"].as_str() {
            Some(raw) => base64::engine::general_purpose::STANDARD.decode(raw).unwrap(),
            None => line["payload"].as_str().unwrap().into(),
        };
        Said { topic: line["topic"].as_str().unwrap().into(), payload }
    };
    text.lines().map(line).collect()
}

#[test]
fn the_publisher_says_what_the_recorded_one_said() {
    let (mut met, mut all) = (0, 0);
    for flow in ["job", "chunk", "direct", "job-samever", "chunk-samever", "direct-samever"] {
        let lines = recording(&format!("infineon-{flow}.jsonl"));
        let is_job =
            |said: &&Said| !Chunk::is_one(&said.payload) && said.json()["Board"].is_string();
        let document =
            lines.iter().filter(is_job).find(|said| said.json()["Message"] == "Update Available");
        let document = &document.unwrap().payload;
        let job = Job::new(document, vectors("image-2.0.0.bin").into()).unwrap();
        let settings = Settings { board: "APP_CY8CPROTO_062_4343W".into(), ..always() };
        let mut talk = Talk::with(Arc::new(job), settings);
        let notify = talk.publisher.notify_topic().to_owned();
        assert_eq!(talk.subscribed, [notify.as_str()]);
        let mut due = Vec::new();
        for said in &lines {
            if said.topic == notify {
                assert_eq!(due, [], "{flow}: more than was recorded");
                talk.hears(&said.payload);
                due = talk.all();
                due.reverse();
                continue;
            }
            let ours = due.pop().unwrap_or_else(|| panic!("{flow}: nothing more is said"));
            assert_eq!(ours.topic, said.topic, "{flow}");
            match Chunk::is_one(&said.payload) {
                true => assert_eq!(ours.payload, said.payload, "{flow}"),
                false => assert_eq!(ours.json(), said.json(), "{flow}"),
            }
            met += 1;
        }
        all += lines.iter().filter(|said| said.topic != notify).count();
        assert_eq!(due, [], "{flow}: more than was recorded");
    }
    println!("messages of the recorded publisher {met} / {all}");
    assert_eq!((met, all), (46, 46));
}
