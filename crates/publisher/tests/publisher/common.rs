//! A publisher, and what goes in and comes out.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use updraft_ota::infineon::Chunk;
use updraft_ota::{Input, Output, Protocol, Version};
use updraft_publisher::{Event, Job, JobError, Jobs, Note, Offers, Publisher, Settings};

pub const BOARD: &str = "APP_KIT";
pub const NOTIFY: &str = "OTAUpdate/APP_KIT/publish_notify";
pub const SECOND: Duration = Duration::from_secs(1);

pub fn image(len: usize) -> Arc<[u8]> {
    (0..len).map(|i| (i * 7 + i / 4096) as u8).collect()
}

pub fn document(version: &str) -> Value {
    json!({
        "Message": "Update Available", "Manufacturer": "Infineon", "Board": BOARD,
        "Version": version, "Connection": "MQTT", "UniqueTopicName": "none yet", "Extra": "kept",
        "Number": 7,
    })
}

pub fn job(version: &str, len: usize) -> Arc<Job> {
    Arc::new(Job::new(document(version).to_string().as_bytes(), image(len)).unwrap())
}

/// What is published, until that changes.
#[derive(Debug)]
pub struct Shelf(pub Option<Arc<Job>>);

impl Jobs for Shelf {
    fn current(&mut self) -> Result<Arc<Job>, JobError> {
        let missing = || JobError::Missing("the file is gone".into());
        self.0.clone().ok_or_else(missing)
    }
}

/// What the publisher has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub topic: String,
    pub payload: Vec<u8>,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }

    pub fn chunk(&self) -> Chunk<'_> {
        Chunk::decode(&self.payload).unwrap()
    }
}

pub struct Talk<J: Jobs> {
    pub publisher: Publisher<J>,
    pub now: Duration,
    pub opened: usize,
    pub subscribed: Vec<String>,
}

pub fn settings() -> Settings {
    Settings::new("broker", 1883, BOARD)
}

impl Talk<Shelf> {
    pub fn new(job: Arc<Job>) -> Self {
        Self::with(Shelf(Some(job)), settings())
    }
}

impl<J: Jobs> Talk<J> {
    pub fn with(jobs: J, settings: Settings) -> Self {
        let publisher = Publisher::new(jobs, settings);
        let (opened, subscribed) = (0, Vec::new());
        let mut talk = Self { publisher, now: Duration::ZERO, opened, subscribed };
        talk.publisher.start(talk.now);
        assert_eq!(talk.said(1), []);
        talk.publisher.handle(Input::Opened, talk.now);
        assert_eq!(talk.said(1), []);
        talk
    }

    /// What it says next, at most `most` messages.
    pub fn said(&mut self, most: usize) -> Vec<Said> {
        let mut said = Vec::new();
        while said.len() < most {
            match self.publisher.output(&mut []) {
                None => break,
                Some(Output::Open(server)) => {
                    assert!(server.host.is("broker"));
                    self.opened += 1;
                }
                Some(Output::Subscribe(topic)) => self.subscribed.push(topic.into()),
                Some(Output::Publish { topic, payload, reliably }) => {
                    assert!(reliably);
                    said.push(Said { topic: topic.into(), payload: payload.into() });
                }
                Some(other) => panic!("{other:?}"),
            }
        }
        said
    }

    pub fn all(&mut self) -> Vec<Said> {
        self.said(usize::MAX)
    }

    pub fn hears(&mut self, payload: &[u8]) {
        let topic = self.publisher.notify_topic().to_owned();
        self.publisher.handle(Input::Message { topic: &topic, payload }, self.now);
    }

    /// A device says something.
    pub fn device(&mut self, message: &str, topic: &str, more: Value) {
        let mut said = json!({
            "Message": message, "UniqueTopicName": topic, "SerialNumber": "S1", "Version": "1.0.0",
        });
        for (key, value) in more.as_object().unwrap() {
            said[key] = value.clone();
        }
        self.hears(said.to_string().as_bytes());
    }

    pub fn passes(&mut self, time: Duration) {
        self.now += time;
        self.publisher.poll(self.now);
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.publisher.event()).collect()
    }

    /// What there is to tell, in words.
    pub fn told(&mut self) -> Vec<String> {
        let word = |event: Event| match event.note {
            Note::Offered(version) => format!("offered {version}"),
            Note::NothingNewer(version) => format!("nothing newer than {version}"),
            Note::Sending(bytes) => format!("sending {bytes}"),
            Note::Sent(bytes) => format!("sent {bytes}"),
            Note::Chunk { offset, .. } => format!("chunk {offset}"),
            Note::Refused(refusal) => refusal.to_string(),
            other => format!("{other:?}"),
        };
        self.events().into_iter().map(word).collect()
    }
}

pub fn topic(number: u32) -> String {
    format!("OTAUpdate/APP_KIT/OTAImage/{number}")
}

/// The image that chunks come to, whatever their order.
pub fn put_together<'s>(said: impl Iterator<Item = &'s Said>) -> (Version, Vec<u8>) {
    let (mut image, mut version) = (Vec::new(), Version::default());
    for said in said {
        let chunk = said.chunk();
        image.resize(chunk.total as usize, 0);
        let from = chunk.offset as usize;
        image[from..from + chunk.data.len()].copy_from_slice(chunk.data);
        version = chunk.version;
    }
    (version, image)
}

pub fn always() -> Settings {
    Settings { offers: Offers::Always, ..settings() }
}
