//! Lines that break, publishers that are started anew, and pauses.

use std::time::Duration;

use serde_json::json;
use updraft_ota::{Input, Protocol};
use updraft_publisher::Settings;

use crate::common::{SECOND, Talk, image, job, put_together, settings, topic};

#[test]
fn a_publisher_that_is_started_in_the_middle_of_updates_goes_on_with_them() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    talk.device("Request Data Chunk", &topic(1), json!({ "Offset": "4096", "Size": "4096" }));
    talk.device("Request Update", &topic(2), json!({}));
    talk.device("Success", &topic(3), json!({}));
    let said = talk.all();
    assert_eq!(said[0].chunk().offset, 4096);
    assert_eq!(said[1].json()["Message"], "Result Received");
    assert_eq!(put_together(said.iter().skip(2)).1, *image(9000));
    assert_eq!(talk.told().last().unwrap(), "sent 9000");
}

#[test]
fn a_line_that_is_lost_is_made_again_after_ever_longer_waits() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    let mut waits = Vec::new();
    for _ in 0..10 {
        talk.publisher.handle(Input::Closed, talk.now);
        assert_eq!(talk.all(), []);
        let at = talk.publisher.deadline().unwrap();
        waits.push((at - talk.now).as_secs());
        talk.passes(at - talk.now);
        talk.all();
    }
    assert_eq!(talk.opened, 11);
    assert!(waits[..6].is_sorted() && waits[0] == 1, "{waits:?}");
    assert!(waits[6..].iter().all(|wait| (60..68).contains(wait)), "{waits:?}");
    talk.publisher.handle(Input::Opened, talk.now);
    talk.all();
    assert_eq!(talk.subscribed.len(), 2);
    talk.publisher.handle(Input::Closed, talk.now);
    assert!(talk.publisher.deadline().unwrap() - talk.now < 2 * SECOND);
}

#[test]
fn what_was_on_its_way_when_the_line_was_lost_is_sent_again() {
    let len = 30 * 4096;
    let mut talk = Talk::new(job("2.0.0", len));
    talk.device("Request Update", &topic(1), json!({}));
    let before = talk.said(20);
    // The last nine of them were not acknowledged.
    let arrived = before.len() - 9;
    talk.publisher.handle(Input::Closed, talk.now);
    assert_eq!(talk.all(), []);
    talk.passes(2 * SECOND);
    talk.all();
    talk.publisher.handle(Input::Opened, talk.now);
    let after = talk.all();
    let (_, bytes) = put_together(before.iter().take(arrived).chain(&after));
    assert_eq!(bytes, *image(len));
    // And when all of it had been handed out before.
    talk.publisher.handle(Input::Closed, talk.now);
    talk.passes(2 * SECOND);
    talk.all();
    talk.publisher.handle(Input::Opened, talk.now);
    let last: Vec<_> = talk.all().iter().map(|said| said.chunk().index).collect();
    assert_eq!(last, (18..30).collect::<Vec<_>>());
}

/// Every try to connect that fails is told as a line that was lost, too.
#[test]
fn an_outage_has_nothing_sent_again_but_what_was_on_its_way() {
    let mut talk = Talk::new(job("2.0.0", 100 * 4096));
    talk.device("Request Update", &topic(1), json!({}));
    talk.said(50);
    talk.device("Update Availability", &topic(2), json!({}));
    assert_eq!(talk.said(1)[0].json()["Message"], "Update Available");
    for _ in 0..10 {
        talk.publisher.handle(Input::Closed, talk.now);
        let at = talk.publisher.deadline().unwrap();
        talk.passes(at - talk.now);
        talk.all();
    }
    talk.publisher.handle(Input::Opened, talk.now);
    let said = talk.all();
    assert_eq!(said[0].json()["Message"], "Update Available");
    let chunks: Vec<_> = said[1..].iter().map(|said| said.chunk().index).collect();
    // Eleven of the last twelve messages were chunks.
    assert_eq!(chunks, (39..100).collect::<Vec<_>>());
}

#[test]
fn a_pause_is_kept_for_each_device_by_itself() {
    let pause = Duration::from_millis(100);
    let mut talk = Talk::with(job("2.0.0", 9000), Settings { pause, ..settings() });
    talk.device("Request Update", &topic(1), json!({}));
    talk.device("Request Update", &topic(2), json!({}));
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(talk.all().len());
        if let Some(at) = talk.publisher.deadline().filter(|at| *at < SECOND) {
            talk.passes(at - talk.now);
        }
    }
    assert_eq!(sent, [2, 2, 2]);
    assert_eq!(talk.now, 2 * pause);
}
