//! A machine that says what it is told to, and keeps what it hears.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use updraft_online::{Event, LineError, Memory, Online, Settings};
use updraft_ota::json::Text;
use updraft_ota::{Endpoint, Input, Output, Protocol, Transport};

use crate::broker::LONG;

#[derive(Clone, Debug)]
pub enum Does {
    Open(Transport, String, u16),
    Close,
    Subscribe(String),
    Publish(String, Vec<u8>),
    Send(Vec<u8>),
}

#[derive(Default)]
pub struct Talker {
    pub does: VecDeque<Does>,
    doing: Option<Does>,
    pub heard: Vec<String>,
}

impl Talker {
    pub fn mqtt(port: u16) -> Self {
        Self::to(Transport::Mqtt, "127.0.0.1", port)
    }

    pub fn to(transport: Transport, host: &str, port: u16) -> Self {
        Self::default().and(Does::Open(transport, host.into(), port))
    }

    pub fn and(mut self, does: Does) -> Self {
        self.does.push_back(does);
        self
    }

    pub fn listens(self, topic: &str) -> Self {
        self.and(Does::Subscribe(topic.into()))
    }

    pub fn says(self, topic: &str, what: &str) -> Self {
        self.and(Does::Publish(topic.into(), what.into()))
    }
}

impl Protocol for Talker {
    fn start(&mut self, _: Duration) {}

    fn handle(&mut self, input: Input<'_>, _: Duration) {
        self.heard.push(match input {
            Input::Opened => "opened".into(),
            Input::Closed => "closed".into(),
            Input::Message { topic, payload } => {
                format!("{topic}: {}", String::from_utf8_lossy(payload))
            }
            Input::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        });
    }

    fn poll(&mut self, _: Duration) {}

    fn output<'o>(&'o mut self, buffer: &'o mut [u8]) -> Option<Output<'o>> {
        // Whoever is not on the line says nothing.
        let open = self.heard.last().is_some_and(|last| last != "closed");
        if !open && !matches!(self.does.front(), Some(Does::Open(..) | Does::Close)) {
            return None;
        }
        self.doing = Some(self.does.pop_front()?);
        let _ = buffer;
        Some(match self.doing.as_ref()? {
            Does::Open(transport, host, port) => {
                let host = Text::new(host);
                Output::Open(Endpoint { transport: *transport, host, port: *port })
            }
            Does::Close => Output::Close,
            Does::Subscribe(topic) => Output::Subscribe(topic),
            Does::Publish(topic, payload) => Output::Publish { topic, payload, reliably: true },
            Does::Send(bytes) => Output::Send(bytes),
        })
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }
}

/// Goes on until `end`.
pub fn until(
    online: &mut Online<'_, Talker>,
    lost: &mut Vec<String>,
    mut end: impl FnMut(&mut Online<'_, Talker>, &[String]) -> bool,
) {
    let limit = Instant::now() + LONG;
    while !end(online, lost) {
        assert!(Instant::now() < limit, "nothing happens; lost: {lost:?}");
        let hear = &mut |_, event: Event<'_>| match event {
            Event::Lost(error) => lost.push(told(error)),
            Event::TooLong { len } => lost.push(format!("{len} bytes are too long")),
            _ => {}
        };
        online.turn(Duration::from_millis(50), hear).unwrap();
    }
}

/// An error with its causes and its advice.
pub fn told(error: &LineError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(" because {error}");
        cause = error.source();
    }
    format!("{text}; {}", error.hint().unwrap_or_default())
}

/// Lets one talk until it hears `last`.
pub fn talk(talker: Talker, settings: Settings, last: &str) -> Vec<String> {
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    online.add(talker, settings, &mut memory);
    until(&mut online, &mut Vec::new(), |online, _| {
        let heard = &online.machine(0).unwrap().heard;
        heard.iter().any(|it| it.contains(last))
    });
    std::mem::take(&mut online.machine(0).unwrap().heard)
}

/// Lets one try to connect, and returns why it failed.
pub fn fails(talker: Talker, settings: Settings) -> String {
    let mut memory = Memory::of_device(4096);
    let mut online = Online::new().unwrap();
    online.add(talker, settings, &mut memory);
    let mut lost = Vec::new();
    until(&mut online, &mut lost, |_, lost| !lost.is_empty());
    assert_eq!(online.machine(0).unwrap().heard.last().map(String::as_str), Some("closed"));
    lost.remove(0)
}
