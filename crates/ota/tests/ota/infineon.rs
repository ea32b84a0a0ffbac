//! Infineon's protocol over MQTT, with a publisher made of the same messages.

use std::collections::VecDeque;
use std::time::Duration;

use updraft_image::SwapType;
use updraft_ota::infineon::{
    Chunk, Device, Document, Flow, Message, Prefix, Request, Settings, Spelling, notify_topic,
    shared_topic,
};
use updraft_ota::json::Text;
use updraft_ota::{
    Answer, Config, Endpoint, Gate, Input, Protocol, Reason, State, Transport, Version,
};

use crate::common::{BOARD, Board, Flash, Line, SECOND, Server, image, reasons};

pub const V1: Version = Version::new(1, 0, 0);
pub const V2: Version = Version::new(2, 0, 0);

/// What happens to chunks on their way.
pub type Weather = Box<dyn FnMut(Vec<Vec<u8>>) -> Vec<Vec<u8>>>;

pub struct Publisher {
    pub image: Vec<u8>,
    pub version: Version,
    pub job: String,
    pub prefix: Prefix<'static>,
    /// Bytes of a chunk.
    pub chunk: u16,
    /// Answers requests for single chunks.
    pub chunkwise: bool,
    pub weather: Weather,
    /// Chunks sent, by their offsets.
    pub served: Vec<u32>,
    pub heard: Vec<Message>,
    pub reachable: bool,
    pub silent: bool,
}

pub fn job(version: &str, board: &str) -> String {
    format!(
        r#"{{"Message":"Update Available","Manufacturer":"Infineon","Board":"{board}","Version":"{version}","Connection":"MQTT","Broker":"","Port":""}}"#
    )
}

impl Publisher {
    pub fn new(image: Vec<u8>, version: Version) -> Self {
        Self {
            image,
            version,
            job: job(&version.to_string(), BOARD),
            prefix: Prefix::OtaUpdate,
            chunk: 4096,
            chunkwise: true,
            weather: Box::new(|chunks| chunks),
            served: Vec::new(),
            heard: Vec::new(),
            reachable: true,
            silent: false,
        }
    }

    fn chunk(&mut self, offset: u32) -> Option<Vec<u8>> {
        let chunk = Chunk::of(&self.image, self.version, offset, self.chunk)?;
        self.served.push(offset);
        let mut bytes = vec![0; 32 + chunk.data.len()];
        assert_eq!(chunk.encode(&mut bytes), Some(bytes.len()));
        Some(bytes)
    }
}

impl Server for Publisher {
    fn open(&mut self, _: &str, _: u16) -> bool {
        self.reachable
    }

    fn message(&mut self, topic: &str, payload: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut notify = String::new();
        notify_topic(&mut notify, self.prefix, BOARD).unwrap();
        assert_eq!(topic, notify);
        if self.silent {
            return Vec::new();
        }
        let document = Document::decode(payload).expect("devices send messages");
        self.heard.extend(document.kind());
        let request = document.request().expect("devices ask");
        let all = || (0..self.image.len() as u32).step_by(self.chunk.into()).collect::<Vec<_>>();
        let (topic, offsets) = match request {
            Request::Availability { topic, .. } => {
                return vec![(topic.to_string(), self.job.clone().into_bytes())];
            }
            Request::Result { topic, .. } => {
                let answer = Document {
                    message: Some(Text::new(Message::ResultReceived.name())),
                    ..Document::default()
                };
                let mut bytes = vec![0; 100];
                let len = answer.encode(Spelling::Job, &mut bytes).unwrap();
                return vec![(topic.to_string(), bytes[..len].to_vec())];
            }
            Request::Update { topic } => (topic.to_string(), all()),
            Request::Chunk { topic, offset, size } => {
                assert_eq!(size, Some(self.chunk.into()));
                let offsets = if self.chunkwise { vec![offset] } else { Vec::new() };
                (topic.to_string(), offsets)
            }
            Request::Direct { .. } => {
                let mut shared = String::new();
                shared_topic(&mut shared, self.prefix, BOARD).unwrap();
                (shared, all())
            }
        };
        let chunks = offsets.into_iter().filter_map(|offset| self.chunk(offset)).collect();
        (self.weather)(chunks).into_iter().map(|chunk| (topic.clone(), chunk)).collect()
    }
}

pub fn settings() -> Settings<'static> {
    Settings::new(Endpoint { transport: Transport::Mqtt, host: Text::new("broker"), port: 8884 })
}

pub fn device<'b>(board: &'b mut Board, settings: Settings<'static>) -> Device<'b, Flash<'b>> {
    with_config(board, settings, Config::new(BOARD))
}

pub fn with_config<'b>(
    board: &'b mut Board,
    settings: Settings<'static>,
    config: Config<'static>,
) -> Device<'b, Flash<'b>> {
    let agent = board.agent(config);
    Device::new(agent, settings, vec![0; 1024].leak(), vec![0; 4096].leak())
}

/// Runs the device to the end of its session, or its reset.
pub fn session(
    device: &mut Device<'_, Flash<'_>>,
    publisher: &mut Publisher,
) -> (Line, Vec<Reason>) {
    session_with(device, publisher)
}

/// The same with any server.
pub fn session_with(
    device: &mut Device<'_, Flash<'_>>,
    server: &mut impl Server,
) -> (Line, Vec<Reason>) {
    let mut line = Line::new();
    device.start(line.now);
    go_on(&mut line, device, server);
    let reasons = reasons(device.agent());
    (line, reasons)
}

pub fn go_on(line: &mut Line, device: &mut Device<'_, Flash<'_>>, server: &mut impl Server) {
    // Weeks are over quickly here.
    line.run(device, server, |device| {
        let rests = !device.agent().is_busy() && device.deadline().is_some_and(|at| at > LONG);
        device.agent().platform().system().resets > 0 || rests
    });
}

const LONG: Duration = Duration::from_secs(12 * 3600);

#[test]
fn an_update_is_fetched_verified_marked_tested_and_accepted() {
    let new = image(V2, 20_000);
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(new.clone(), V2);
    let mut device = device(&mut board, settings());
    let (line, reasons) = session(&mut device, &mut publisher);
    assert_eq!(reasons, []);
    assert_eq!(line.opened, ["broker:8884"]);
    assert_eq!(publisher.heard, [Message::Availability, Message::RequestUpdate, Message::Success,]);
    assert_eq!(publisher.served.len(), 5);
    drop(device);
    assert!(board.holds(&new));
    assert_eq!(board.swap_type(), SwapType::Test);
    board.boot();
    board.settings.resets = 0;
    let mut device = self::device(&mut board, settings());
    device.start(Duration::ZERO);
    assert_eq!(device.agent().state(), State::SelfTest);
    device.agent().self_test(true, SECOND);
    assert_eq!(device.agent().state(), State::Accepted);
    // The device goes on by itself, and the same job again is no update any more.
    let mut line = Line::new();
    go_on(&mut line, &mut device, &mut publisher);
    assert_eq!(device.agent().state(), State::Waiting);
    assert_eq!(
        crate::common::reasons(device.agent()),
        [Reason::NotNewer { offered: V2, running: V2 }]
    );
    drop(device);
    assert_eq!(board.swap_type(), SwapType::None);
}

#[test]
fn a_device_whose_image_fails_its_test_resets_by_itself() {
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(image(V2, 9000), V2);
    session(&mut device(&mut board, settings()), &mut publisher);
    board.boot();
    board.settings.resets = 0;
    let mut device = device(&mut board, settings());
    device.start(Duration::ZERO);
    device.agent().self_test(false, SECOND);
    let mut line = Line::new();
    line.run(&mut device, &mut publisher, |device| device.agent().platform().system().resets > 0);
    drop(device);
    assert_eq!((board.settings.resets, board.swap_type()), (1, SwapType::Revert));
}

/// One direct update after the other: installed, tested, accepted.
#[test]
fn any_number_of_direct_updates_are_taken() {
    let mut board = Board::new(V1);
    for number in 2..8 {
        let version = Version::new(number, 0, 0);
        let new = image(version, 9000);
        let mut publisher = Publisher::new(new.clone(), version);
        let mut first = device(&mut board, Settings { flow: Flow::Direct, ..settings() });
        let (_, reasons) = session(&mut first, &mut publisher);
        assert_eq!(reasons, [], "{number}");
        drop(first);
        board.boot();
        board.settings.resets = 0;
        let mut second = device(&mut board, Settings { flow: Flow::Direct, ..settings() });
        second.start(SECOND);
        second.agent().self_test(true, SECOND);
        second.poll(SECOND);
        drop(second);
        assert_eq!(board.swap_type(), SwapType::None, "{number}");
    }
}

#[test]
fn a_gate_that_closes_during_a_whole_image_lets_the_device_hang_up() {
    let new = image(V2, 30_000);
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(new.clone(), V2);
    publisher.weather = Box::new(|_| Vec::new());
    let mut device = device(&mut board, settings());
    let mut line = Line::new();
    device.start(line.now);
    line.settle(&mut device, &mut publisher, |device| device.agent().is_fetching());
    let topic = line.subscribed[0].clone();
    for number in 0..5 {
        if number == 2 {
            device.agent().platform().system().closed = vec![(Gate::Battery, Answer::NotNow)];
        }
        let chunk = publisher.chunk(4096 * number).unwrap();
        device.handle(Input::Message { topic: &topic, payload: &chunk }, line.now);
    }
    // The third was taken before the battery was looked at, those behind it were not.
    assert_eq!(device.agent().progress().0, 3);
    line.settle(&mut device, &mut publisher, |device| {
        device.deadline().is_some_and(|at| at > 60 * SECOND)
    });
    assert_eq!(line.opened.len(), 1);
    publisher.weather = Box::new(|chunks| chunks);
    device.agent().platform().system().closed.clear();
    go_on(&mut line, &mut device, &mut publisher);
    assert_eq!(line.opened.len(), 2);
    drop(device);
    assert!(board.holds(&new));
}

#[test]
fn a_chunk_that_comes_twice_is_not_asked_for_twice() {
    let new = image(V2, 45_000);
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(new.clone(), V2);
    publisher.weather = Box::new(|chunks| chunks.iter().chain(&chunks).cloned().collect());
    let mut device = device(&mut board, Settings { piecewise: true, ..settings() });
    let (_, reasons) = session(&mut device, &mut publisher);
    assert_eq!(reasons, []);
    assert_eq!(publisher.served.len(), 12);
}

#[test]
fn a_line_that_says_nothing_any_more_is_left_before_more_is_asked_for() {
    let new = image(V2, 45_000);
    for settings in [settings(), Settings { flow: Flow::Direct, ..settings() }] {
        let mut board = Board::new(V1);
        let mut publisher = Publisher::new(new.clone(), V2);
        // Of the whole image three chunks come, and then the network is gone.
        publisher.weather = Box::new(|mut chunks| {
            chunks.truncate(3);
            chunks
        });
        let mut device = device(&mut board, settings);
        let (line, reasons) = session(&mut device, &mut publisher);
        assert_eq!(reasons, []);
        assert_eq!(line.opened.len(), 2, "{:?}", line.opened);
        drop(device);
        assert!(board.holds(&new));
        // All of it once, and each of the other nine.
        assert_eq!(publisher.served.len(), 12 + 9);
    }
}

#[test]
fn a_device_may_have_topics_of_its_own() {
    let new = image(V2, 9000);
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(new.clone(), V2);
    let settings = Settings { device: Some("dev-17"), session: 4, ..settings() };
    let mut device = device(&mut board, settings);
    let (line, reasons) = session(&mut device, &mut publisher);
    assert_eq!(reasons, []);
    assert_eq!(line.subscribed, [format!("OTAUpdate/{BOARD}/dev-17/OTAImage/5")]);
}

#[test]
fn publishers_can_tell_topics_of_one_device_from_all_others() {
    use updraft_ota::infineon::{is_unique_topic, parse_notify};
    let is = |topic: &str| is_unique_topic(Text::new(topic), Prefix::Own("P"), "B");
    for good in ["P/B/OTAImage/7", "P/B/subscriber/image1073741824", "P/B/dev/OTAImage/1"] {
        assert!(is(good), "{good}");
    }
    for bad in [
        "",
        "P",
        "P/B",
        "P/B/",
        "P/B/publish_notify",
        "P/B/OTAImage",
        "P/C/OTAImage/7",
        "P/B/+",
        "P/B/OTAImage/#",
        "P/B/a\0",
        "p/B/OTAImage/7",
        "XP/B/OTAImage/7",
    ] {
        assert!(!is(bad), "{bad}");
    }
    assert_eq!(parse_notify("a/P/B/publish_notify"), Some(("a/P", "B")));
    for bad in ["P/B/OTAImage", "B/publish_notify", "/B/publish_notify", "P//publish_notify"] {
        assert_eq!(parse_notify(bad), None, "{bad}");
    }
}

#[test]
fn who_has_sent_the_job_is_told_that_the_other_server_cannot_be_reached() {
    struct Half(Publisher);
    impl Server for Half {
        fn open(&mut self, host: &str, _: u16) -> bool {
            host != "b.example"
        }

        fn message(&mut self, topic: &str, payload: &[u8]) -> Vec<(String, Vec<u8>)> {
            self.0.message(topic, payload)
        }
    }
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(image(V2, 9000), V2);
    publisher.job =
        publisher.job.replace(r#""Broker":"","Port":"""#, r#""Broker":"b.example","Port":"1883""#);
    let mut device = device(&mut board, settings());
    let mut half = Half(publisher);
    session_with(&mut device, &mut half);
    assert!(half.0.heard.contains(&Message::Failure), "{:?}", half.0.heard);
}

#[test]
fn both_prefixes_and_spellings_are_spoken() {
    for prefix in [Prefix::Anycloud, Prefix::OtaUpdate, Prefix::Own("MyUniqueTopic")] {
        for spelling in [Spelling::Device, Spelling::Job] {
            let mut board = Board::new(V1);
            let mut publisher = Publisher { prefix, ..Publisher::new(image(V2, 5000), V2) };
            let mut device = device(&mut board, Settings { prefix, spelling, ..settings() });
            let (line, reasons) = session(&mut device, &mut publisher);
            assert_eq!(reasons, []);
            assert!(line.subscribed[0].starts_with(prefix.text()), "{:?}", line.subscribed);
            let spelled = line.said[0].contains("\"ManufacturerID\"");
            assert_eq!(spelled, spelling == Spelling::Device, "{}", line.said[0]);
        }
    }
}

#[test]
fn the_direct_flow_takes_what_comes_on_the_shared_topic() {
    let new = image(V2, 9000);
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(new.clone(), V2);
    let mut device = device(&mut board, Settings { flow: Flow::Direct, ..settings() });
    let (_, reasons) = session(&mut device, &mut publisher);
    assert_eq!(reasons, []);
    assert_eq!(publisher.heard, [Message::DirectUpdate]);
    drop(device);
    assert!(board.holds(&new));
    assert_eq!(board.swap_type(), SwapType::Test);
}

#[test]
fn chunks_that_are_lost_repeated_or_out_of_order_are_made_good() {
    let new = image(V2, 30_000);
    let weathers: [(&str, Weather); 5] = [
        ("reversed", Box::new(|chunks| chunks.into_iter().rev().collect())),
        ("twice", Box::new(|chunks| chunks.iter().chain(&chunks).cloned().collect())),
        (
            "every other one",
            Box::new(|chunks| {
                let whole = chunks.len() > 1;
                chunks
                    .into_iter()
                    .enumerate()
                    .filter(|(i, _)| !whole || i % 2 == 0)
                    .map(|it| it.1)
                    .collect()
            }),
        ),
        ("the first answers are lost", {
            let mut count = 0;
            Box::new(move |chunks| {
                count += 1;
                if count < 4 { Vec::new() } else { chunks }
            })
        }),
        ("late", {
            let mut late: VecDeque<Vec<u8>> = VecDeque::new();
            Box::new(move |chunks| {
                late.extend(chunks);
                late.pop_front().into_iter().collect()
            })
        }),
    ];
    for (name, weather) in weathers {
        let mut board = Board::new(V1);
        let mut publisher = Publisher { weather, ..Publisher::new(new.clone(), V2) };
        let mut device = device(&mut board, settings());
        let (_, reasons) = session(&mut device, &mut publisher);
        assert_eq!(reasons, [], "{name}");
        drop(device);
        assert!(board.holds(&new), "{name}");
        assert_eq!(board.swap_type(), SwapType::Test, "{name}");
    }
}

#[test]
fn a_publisher_that_sends_no_single_chunks_is_asked_for_all_of_them_again() {
    let new = image(V2, 20_000);
    let mut board = Board::new(V1);
    let mut publisher = Publisher {
        chunkwise: false,
        weather: {
            let mut count = 0;
            Box::new(move |mut chunks| {
                count += 1;
                if count == 1 {
                    chunks.truncate(2);
                }
                chunks
            })
        },
        ..Publisher::new(new.clone(), V2)
    };
    let mut device = device(&mut board, settings());
    let (_, reasons) = session(&mut device, &mut publisher);
    assert_eq!(reasons, []);
    drop(device);
    assert!(board.holds(&new));
}

#[test]
fn a_job_may_send_the_device_to_another_broker() {
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(image(V2, 9000), V2);
    publisher.job =
        publisher.job.replace(r#""Broker":"","Port":"""#, r#""Broker":"b.example","Port":"1883""#);
    let mut device = device(&mut board, settings());
    let (line, reasons) = session(&mut device, &mut publisher);
    assert_eq!(reasons, []);
    assert_eq!(line.opened, ["broker:8884", "b.example:1883", "broker:8884"]);
    assert_eq!(publisher.heard.last(), Some(&Message::Success));
}

#[test]
fn a_lost_connection_is_made_again_and_only_what_is_missing_fetched() {
    let new = image(V2, 30_000);
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(new.clone(), V2);
    publisher.weather = Box::new(|mut chunks| {
        chunks.truncate(3);
        chunks
    });
    let mut device = device(&mut board, settings());
    let mut line = Line::new();
    device.start(line.now);
    line.run(&mut device, &mut publisher, |device| device.agent().progress().0 == 3);
    line.lose(&mut device);
    go_on(&mut line, &mut device, &mut publisher);
    assert_eq!(line.opened.len(), 2);
    assert_eq!(
        publisher.served,
        [0, 4096, 8192, 12288, 16384, 20480, 24576, 28672, 12288, 16384, 20480, 24576, 28672]
    );
    drop(device);
    assert!(board.holds(&new));
}

#[test]
fn a_server_that_is_not_there_is_tried_ever_more_rarely_and_then_left_alone() {
    let mut board = Board::new(V1);
    let mut publisher = Publisher { reachable: false, ..Publisher::new(image(V2, 5000), V2) };
    let mut device = device(&mut board, settings());
    let (line, _) = session(&mut device, &mut publisher);
    // Six tries a session, three sessions.
    assert_eq!(line.opened.len(), 18);
    assert!(line.now > Duration::from_secs(300), "{:?}", line.now);
}

#[test]
fn no_answer_and_no_update_are_the_same_and_no_failure() {
    for silent in [true, false] {
        let mut board = Board::new(V1);
        let job = r#"{"Message":"No Update Available"}"#.into();
        let mut publisher = Publisher { job, silent, ..Publisher::new(Vec::new(), V2) };
        let mut device = device(&mut board, settings());
        let (line, reasons) = session(&mut device, &mut publisher);
        assert_eq!(reasons, []);
        assert_eq!(line.said.len(), 1);
        assert_eq!(device.agent().state(), State::Waiting);
    }
}

#[test]
fn messages_on_other_topics_are_not_heeded() {
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(image(V2, 9000), V2);
    let mut device = device(&mut board, settings());
    let mut line = Line::new();
    device.start(line.now);
    line.run(&mut device, &mut publisher, |device| device.agent().is_fetching());
    let chunk = publisher.chunk(0).unwrap();
    let topic = format!("OTAUpdate/{BOARD}/OTAImage");
    device.handle(Input::Message { topic: &topic, payload: &chunk }, line.now);
    assert_eq!(device.agent().progress(), (0, 0));
    // They are the application's: however many come, the update goes on.
    assert_eq!(reasons(device.agent()), []);
}
