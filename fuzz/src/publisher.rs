//! A publisher whose devices say anything, in any order: it never spins, answers below its board's
//! topics only, with messages that devices can read, and serves no more than it has places for.

use std::sync::Arc;
use std::time::Duration;

use updraft_ota::infineon::{Chunk, Document};
use updraft_ota::{Input, Output, Protocol};
use updraft_publisher::{Job, Publisher, Settings};

/// Places.
const MOST: usize = 4;
/// Outputs and polls that one input may lead to, while the line takes everything.
const MOST_STEPS: usize = 5000;

fn job() -> Arc<Job> {
    let document = br#"{"Board":"B","Version":"2.0.0","Connection":"MQTT"}"#;
    Arc::new(Job::new(document, vec![7; 1500].into()).expect("devices would take it"))
}

fn settle(publisher: &mut Publisher<Arc<Job>>, now: Duration, waits: &mut bool) -> usize {
    let mut said = 0;
    for step in 0.. {
        assert!(step < MOST_STEPS, "it does not come to rest");
        match publisher.output(&mut []) {
            Some(Output::Open(_)) => *waits = true,
            Some(Output::Close) => *waits = false,
            Some(Output::Subscribe(topic)) => assert_eq!(topic, "P/B/publish_notify"),
            Some(Output::Publish { topic, payload, .. }) => {
                assert!(topic.starts_with("P/B/") && topic != "P/B/publish_notify", "{topic}");
                assert!(!topic.contains(['#', '+', ' ', '\0']), "{topic}");
                let readable = Chunk::decode(payload).is_ok() || Document::decode(payload).is_ok();
                assert!(readable && payload.len() <= 32 + 4096, "{payload:?}");
                said += 1;
            }
            Some(Output::Send(_)) => panic!("it does not speak HTTP"),
            None => match publisher.deadline() {
                Some(at) if at <= now => publisher.poll(now),
                _ => break,
            },
        }
    }
    assert!(publisher.sessions() <= MOST);
    while publisher.event().is_some() {}
    said
}

/// What kind of input, how long it is, and it.
pub fn run(data: &[u8]) {
    let _ = drive(data);
}

/// How many messages it has sent.
fn drive(data: &[u8]) -> usize {
    let Some((kind, mut rest)) = data.split_first() else { return 0 };
    let mut settings = Settings::new("h", 1, "B");
    (settings.prefix, settings.chunk, settings.most) = ("P".into(), 256, MOST);
    settings.pause = Duration::from_secs(u64::from(kind % 2));
    let mut publisher = Publisher::new(job(), settings);
    let (mut now, mut waits, mut is_open) = (Duration::ZERO, false, false);
    publisher.start(now);
    let mut said = settle(&mut publisher, now, &mut waits);
    while let Some(([kind, low, high], more)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([*low, *high]));
        let (input, more) = more.split_at(more.len().min(len));
        rest = more;
        match kind % 8 {
            0 if waits => {
                (is_open, waits) = (true, false);
                publisher.handle(Input::Opened, now);
            }
            1 if is_open || waits => {
                (is_open, waits) = (false, false);
                publisher.handle(Input::Closed, now);
            }
            2..=4 if is_open => {
                let topic = "P/B/publish_notify";
                publisher.handle(Input::Message { topic, payload: input }, now);
            }
            5 if is_open => {
                publisher.handle(Input::Message { topic: "P/B/x", payload: input }, now);
            }
            6 => now += Duration::from_secs(1 << (kind / 8 % 12)),
            _ => now = publisher.deadline().map_or(now, |at| now.max(at)),
        }
        said += settle(&mut publisher, now, &mut waits);
    }
    said
}

fn input(kind: u8, data: &[u8]) -> Vec<u8> {
    let [low, high] = (data.len() as u16).to_le_bytes();
    [&[kind, low, high], data].concat()
}

/// Devices of both kinds, and what one had recorded.
pub fn seeds() -> Vec<Vec<u8>> {
    let says = |text: &str| input(2, text.as_bytes());
    let asks = r#"{"Message":"Update Availability","Version":"1.0.0","SerialNumber":"1","UniqueTopicName":"P/B/OTAImage/7"}"#;
    let all =
        r#"{"Message":"Request Update","SerialNumber":"1","UniqueTopicName":"P/B/OTAImage/7"}"#;
    let one = r#"{"Message":"Request Data Chunk","Offset":"256","Size":"256","UniqueTopicName":"P/B/OTAImage/7"}"#;
    let good = r#"{"Message":"Success","UniqueTopicName":"P/B/OTAImage/7"}"#;
    let direct = r#"{"Message":"Send Direct Update"}"#;
    let open = input(0, b"");
    let whole = [&[0][..], &open, &says(asks), &says(all), &says(good)].concat();
    let slowly =
        [&[1][..], &open, &says(asks), &says(all), &input(7, b""), &input(1, b"")].concat();
    let single = [&[0][..], &open, &says(asks), &says(one), &says(direct)].concat();
    vec![whole, slowly, single]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_answered() {
        let said: Vec<usize> = seeds().iter().map(|seed| drive(seed)).collect();
        // The job, six chunks and that the result was read; others less, or all over again.
        assert_eq!(said[0], 8);
        assert!(said.iter().all(|said| *said > 1), "{said:?}");
    }
}
