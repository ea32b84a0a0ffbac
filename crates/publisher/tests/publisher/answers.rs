//! What devices are answered, and what is not answered.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use updraft_publisher::{Job, JobError, Settings};

use crate::common::{
    BOARD, NOTIFY, Shelf, Talk, always, document, image, job, put_together, settings, topic,
};

fn none() -> Value {
    json!({})
}

#[test]
fn a_device_that_asks_gets_the_job_with_its_own_topic_and_every_key() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    assert_eq!(talk.subscribed, [NOTIFY]);
    talk.device("Update Availability", &topic(7), none());
    let said = talk.all();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].topic, topic(7));
    let mut expected = document("2.0.0");
    expected["UniqueTopicName"] = topic(7).into();
    expected.as_object_mut().unwrap().remove("Number");
    assert_eq!(said[0].json(), expected);
    assert_eq!(talk.told(), ["offered 2.0.0"]);
}

#[test]
fn a_device_that_runs_what_is_published_is_told_so_with_the_whole_job() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    for (running, newer) in [("1.9.9", true), ("2.0.0", false), ("2.1.0", false), ("?", true)] {
        talk.device("Update Availability", &topic(7), json!({ "Version": running }));
        let said = talk.all().remove(0).json();
        let expected = if newer { "Update Available" } else { "No Update Available" };
        assert_eq!(said["Message"], expected, "{running}");
        // Devices of the original library read it as a job whatever the message says.
        assert_eq!(said["Version"], "2.0.0");
    }
    let mut talk = Talk::with(Shelf(Some(job("2.0.0", 9000))), always());
    talk.device("Update Availability", &topic(7), json!({ "Version": "2.0.0" }));
    assert_eq!(talk.all()[0].json()["Message"], "Update Available");
}

/// Some brokers hang up on whoever publishes to such a topic.
#[test]
fn nothing_is_sent_to_topics_that_brokers_dislike() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    for name in ["\u{1}", "\u{7f}", "\u{85}", "\u{fdd0}", "a b", &"/".repeat(220)] {
        talk.device("Request Update", &format!("OTAUpdate/{BOARD}/{name}"), none());
    }
    assert_eq!(talk.all(), []);
    let told = talk.told();
    assert_eq!(told.len(), 6);
    assert!(told.iter().all(|told| told.ends_with("which is no device's topic")), "{told:?}");
}

#[test]
fn who_asks_ever_again_gets_no_more_turns_and_no_more_memory() {
    let mut talk = Talk::new(job("2.0.0", 40_000));
    let size = |talk: &Talk<Shelf>| format!("{:?}", talk.publisher).len();
    for _ in 0..20 {
        talk.device("Request Update", &topic(1), none());
        talk.device("Success", &topic(1), none());
        talk.all();
        talk.told();
    }
    let before = size(&talk);
    for _ in 0..2_000 {
        talk.device("Request Update", &topic(1), none());
        talk.device("Success", &topic(1), none());
        talk.all();
        talk.told();
    }
    assert!(size(&talk) < before + 100);
    for number in [1, 2] {
        talk.device("Request Update", &topic(number), none());
    }
    let said = talk.said(10);
    assert!(said.windows(2).all(|pair| pair[0].topic != pair[1].topic));
}

/// The names of sessions are 16 bits of a clock that all devices of a site start together.
#[test]
fn devices_that_have_chosen_one_topic_are_served_one_after_the_other() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    let [first, second] = ["A", "B"].map(|serial| json!({ "SerialNumber": serial }));
    talk.device("Request Update", &topic(1), first.clone());
    let mut said = talk.said(1);
    talk.device("Update Availability", &topic(1), second.clone());
    talk.device("Request Update", &topic(1), second.clone());
    said.extend(talk.said(4));
    talk.device("Success", &topic(1), first);
    said.extend(talk.all());
    let (documents, chunks): (Vec<_>, Vec<_>) =
        said.iter().partition(|said| said.payload.starts_with(b"{"));
    let chunks: Vec<_> = chunks.iter().map(|said| said.chunk().index).collect();
    assert_eq!(chunks, [0, 1, 2, 0, 1, 2]);
    let documents: Vec<_> = documents.iter().map(|said| said.json()["Message"].clone()).collect();
    assert_eq!(documents, ["Update Available", "Result Received"]);
    talk.device("Success", &topic(1), second);
    assert_eq!(talk.publisher.sessions(), 0);
}

#[test]
fn images_go_to_many_devices_in_turns() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    for number in 0..3 {
        talk.device("Update Availability", &topic(number), none());
        talk.device("Request Update", &topic(number), none());
    }
    let said = talk.all();
    let to: Vec<_> = said.iter().skip(3).map(|said| said.topic.clone()).collect();
    let turn: Vec<_> = (0..3).map(topic).collect();
    assert_eq!(to, [&turn[..], &turn, &turn].concat());
    for number in 0..3 {
        let chunks = said.iter().skip(3).filter(|said| said.topic == topic(number));
        let (version, bytes) = put_together(chunks);
        assert_eq!(version.to_string(), "2.0.0");
        assert_eq!(bytes, *image(9000));
    }
    for number in 0..3 {
        talk.device("Success", &topic(number), none());
    }
    assert!(talk.all().iter().all(|said| said.json()["Message"] == "Result Received"));
    assert_eq!(talk.publisher.sessions(), 0);
    assert_eq!(talk.told().iter().filter(|told| *told == "Succeeded").count(), 3);
}

#[test]
fn a_chunk_that_is_asked_for_comes_before_the_images_of_others() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    talk.device("Request Update", &topic(1), none());
    assert_eq!(talk.said(1)[0].topic, topic(1));
    talk.device("Request Data Chunk", &topic(2), json!({ "Offset": "8192", "Size": "4096" }));
    let said = talk.said(1);
    assert_eq!(said[0].topic, topic(2));
    let chunk = said[0].chunk();
    assert_eq!((chunk.offset, chunk.data.len(), chunk.index, chunk.count), (8192, 808, 2, 3));
    talk.device("Request Data Chunk", &topic(2), json!({ "Offset": "4096", "Size": "-1" }));
    assert_eq!(talk.said(1)[0].chunk().offset, 4096);
}

#[test]
fn chunks_that_there_are_not_are_refused() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    for (offset, size) in
        [("9000", "4096"), ("12288", "4096"), ("100", "4096"), ("0", "60001"), ("0", "4294967295")]
    {
        talk.device("Request Data Chunk", &topic(2), json!({ "Offset": offset, "Size": size }));
        assert_eq!(talk.all(), [], "{offset} {size}");
        assert!(talk.told()[0].starts_with("there is no chunk of"), "{offset} {size}");
    }
    for (offset, size) in [("x", "4096"), ("-1", "4096"), ("0", "")] {
        talk.device("Request Data Chunk", &topic(2), json!({ "Offset": offset, "Size": size }));
        assert_eq!(talk.all(), []);
        assert!(talk.told()[0].starts_with("the request cannot be read"), "{offset} {size}");
    }
}

#[test]
fn answers_go_to_topics_of_devices_only() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    for foreign in [
        "OTAUpdate/APP_KIT/publish_notify",
        "OTAUpdate/APP_KIT/OTAImage",
        "OTAUpdate/APP_KIT/",
        "OTAUpdate/APP_KITTEN/OTAImage/1",
        "OTAUpdate/APP_KIT/#",
        "OTAUpdate/APP_KIT/+/1",
        "$SYS/broker",
        "home/door/open",
    ] {
        for message in ["Update Availability", "Request Update", "Success"] {
            talk.device(message, foreign, none());
            assert_eq!(talk.all(), [], "{message} {foreign}");
            assert!(talk.told()[0].contains("no device's topic"), "{message} {foreign}");
        }
    }
}

#[test]
fn what_is_no_request_is_told_and_changes_nothing() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    for garbage in [&b""[..], b"{", b"[]", b"\xff\xfe", b"{\"Message\":\"Make Coffee\"}", b"{}"] {
        talk.hears(garbage);
        assert_eq!(talk.all(), []);
        assert!(talk.told()[0].starts_with("the request cannot be read"));
    }
    talk.hears(&vec![b' '; 5000]);
    assert!(talk.told()[0].contains("5000 bytes"));
}

#[test]
fn changing_the_job_publishes_it_and_leaves_updates_under_way_as_they_are() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    talk.device("Update Availability", &topic(1), none());
    talk.publisher.jobs().0 = Some(job("3.0.0", 5000));
    talk.device("Update Availability", &topic(2), none());
    talk.device("Request Update", &topic(1), none());
    talk.device("Request Update", &topic(2), none());
    let said = talk.all();
    let chunks = |number| {
        let of_topic = said.iter().skip(2).filter(move |said| said.topic == topic(number));
        let (version, image) = put_together(of_topic);
        (version.to_string(), image.len())
    };
    assert_eq!(chunks(1), ("2.0.0".into(), 9000));
    assert_eq!(chunks(2), ("3.0.0".into(), 5000));
    talk.publisher.jobs().0 = None;
    talk.device("Update Availability", &topic(3), none());
    assert_eq!(talk.all(), []);
    assert_eq!(talk.told().last().unwrap(), "there is nothing to publish");
}

#[test]
fn the_direct_flow_goes_to_the_topic_that_all_devices_share() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    talk.hears(br#"{"Message":"Send Direct Update"}"#);
    let first = talk.said(1);
    // Somebody else has missed that, and gets it after the others.
    talk.hears(br#"{"Message":"Send Direct Update"}"#);
    let rest = talk.all();
    assert!(rest.iter().all(|said| said.topic == "OTAUpdate/APP_KIT/OTAImage"));
    let offsets: Vec<_> = first.iter().chain(&rest).map(|said| said.chunk().offset).collect();
    assert_eq!(offsets, [0, 4096, 8192, 0, 4096, 8192]);
    talk.publisher.jobs().0 = Some(job("3.0.0", 100));
    talk.hears(br#"{"Message":"Send Direct Update"}"#);
    assert_eq!(talk.all()[0].chunk().version.to_string(), "3.0.0");
}

#[test]
fn jobs_that_devices_would_refuse_are_refused_before_they_are_published() {
    let with = |key: &str, value: Value| {
        let mut document = document("2.0.0");
        document[key] = value;
        Job::new(document.to_string().as_bytes(), image(10))
    };
    assert!(with("Manufacturer", "m".into()).is_ok());
    for (key, value) in [
        ("Version", json!("2.0")),
        ("Version", json!(2)),
        ("Connection", json!("FTP")),
        ("Board", json!(null)),
        ("SerialNumber", json!("s".repeat(32))),
        ("Port", json!("65536")),
    ] {
        assert!(matches!(with(key, value.clone()), Err(JobError::Document(_))), "{key} {value}");
    }
    assert!(Job::new(b"{", image(10)).is_err());
    // Too long with the topic in it.
    let mut talk = Talk::with(Arc::new(with("Note", "n".repeat(900).into()).unwrap()), settings());
    talk.device("Update Availability", &topic(1), none());
    assert_eq!(talk.all(), []);
    assert!(talk.told()[0].contains("devices take 1024"));
    let mut talk = Talk::with(job("2.0.0", 0), settings());
    talk.device("Request Update", &topic(1), none());
    assert!(talk.told()[0].contains("cannot be sent in chunks"));
}

#[test]
fn devices_beyond_the_most_are_refused() {
    let settings = Settings { most: 2, ..settings() };
    let mut talk = Talk::with(job("2.0.0", 9000), settings);
    for number in 0..3 {
        talk.device("Request Update", &topic(number), none());
    }
    assert_eq!(talk.told(), ["sending 9000", "sending 9000", "too many devices at once: 2"]);
    assert!(talk.all().iter().all(|said| said.topic != topic(2)));
}

#[test]
fn silence_is_told_once_and_a_word_puts_it_off() {
    let patience = Duration::from_secs(100);
    let mut talk = Talk::with(job("2.0.0", 9000), Settings { patience, ..settings() });
    talk.device("Update Availability", &topic(1), none());
    talk.device("Update Availability", &topic(2), none());
    talk.all();
    talk.passes(Duration::from_secs(60));
    talk.device("Request Data Chunk", &topic(2), json!({ "Offset": "0", "Size": "4096" }));
    talk.all();
    talk.told();
    talk.passes(Duration::from_secs(40));
    assert_eq!(talk.told(), ["Silent"]);
    assert_eq!(talk.publisher.sessions(), 1);
    talk.passes(Duration::from_secs(60));
    assert_eq!(talk.told(), ["Silent"]);
    talk.passes(Duration::from_secs(1000));
    assert_eq!(talk.told(), Vec::<String>::new());
}

/// Anybody can ask under any name.
#[test]
fn a_client_of_a_thousand_names_takes_no_place_from_anybody() {
    let mut talk = Talk::with(job("2.0.0", 30 * 4096), Settings { most: 100, ..settings() });
    talk.device("Update Availability", &topic(1), json!({}));
    talk.device("Request Update", &topic(1), json!({}));
    assert_eq!(talk.said(5).len(), 5);
    for number in 2..1002 {
        talk.device(
            "Update Availability",
            &topic(number),
            json!({ "SerialNumber": number.to_string() }),
        );
        talk.said(1);
    }
    assert_eq!(talk.publisher.sessions(), 100);
    talk.device("Update Availability", &topic(2000), json!({ "SerialNumber": "S2" }));
    talk.device("Request Update", &topic(2000), json!({ "SerialNumber": "S2" }));
    let told = talk.told();
    assert_eq!(told.iter().filter(|told| *told == "Displaced").count(), 902);
    assert_eq!(told[told.len() - 2..], ["offered 2.0.0", "sending 122880"]);
    let said = talk.all();
    for device in [1, 2000] {
        let chunks =
            said.iter().filter(|said| said.topic == topic(device) && said.payload[0] == b'O');
        assert!(chunks.count() >= 26, "{device}");
    }
    assert_eq!(talk.told(), ["sent 122880", "sent 122880"]);
}

#[test]
fn devices_that_are_being_sent_images_do_not_give_way() {
    let mut talk = Talk::with(job("2.0.0", 30 * 4096), Settings { most: 10, ..settings() });
    for number in 0..12 {
        talk.device(
            "Request Update",
            &topic(number),
            json!({ "SerialNumber": number.to_string() }),
        );
    }
    let told = talk.told();
    assert_eq!(told[..10], vec!["sending 122880"; 10]);
    assert_eq!(told[10..], vec!["too many devices at once: 10"; 2]);
    talk.all();
    talk.device("Request Update", &topic(11), json!({ "SerialNumber": "11" }));
    assert_eq!(talk.told().last().unwrap(), "sending 122880");
}

#[test]
fn requests_on_one_topic_do_not_keep_others_from_their_answers() {
    let mut talk = Talk::new(job("2.0.0", 9000));
    for _ in 0..2000 {
        talk.device("Request Data Chunk", &topic(1), json!({ "Offset": "0", "Size": "4096" }));
    }
    talk.device("Update Availability", &topic(2), json!({}));
    let said = talk.all();
    assert!(said.len() <= 65, "{} answers", said.len());
    assert_eq!(said.last().unwrap().json()["Message"], "Update Available");
}
