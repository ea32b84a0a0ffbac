//! hawkBit's DDI, with a server made of the same messages.

use std::time::Duration;

use updraft_image::{Digest, HashKind, SwapType};
use updraft_ota::ddi::{
    Artifact, Base, Cancel, Deployment, Device, Execution, Feedback, Finished, Settings, Timers,
};
use updraft_ota::json::Text;
use updraft_ota::{Answer, Config, Endpoint, Gate, Protocol, Reason, State, Transport, Version};

use crate::common::{BOARD, Board, Flash, Line, SECOND, Server, image, reasons};
use crate::http::{Files, Wrong};
use crate::infineon::{V1, V2};

const ROOT: &str = "/default/controller/v1/device-1";

pub struct Hawk {
    image: Vec<u8>,
    sha256: [u8; 32],
    version: &'static str,
    address: &'static str,
    pub open: bool,
    pub cancels: bool,
    wants_data: bool,
    wants_consent: bool,
    data: Option<String>,
    pub feedback: Vec<(Execution, Finished, String)>,
    pub ranges: Vec<u32>,
    polls: usize,
    broken: usize,
    /// So many last words are answered by `429 Too Many Requests`.
    refuses: usize,
    /// What becomes of a text in deployments, answers to polls, cancellations.
    pub change: Change,
    pub change_base: Change,
    pub change_cancel: Change,
    /// What the server of files does wrong.
    pub wrong: Wrong,
    count: usize,
}

type Change = Option<(&'static str, String)>;

impl Hawk {
    pub fn new(image: Vec<u8>) -> Self {
        let digest = Digest::of(HashKind::Sha256, &image);
        Self {
            sha256: digest.as_bytes().try_into().unwrap(),
            image,
            version: "2.0.0",
            address: "https://hawk/default/artifacts/8/fw.bin",
            open: true,
            cancels: false,
            wants_data: false,
            wants_consent: false,
            data: None,
            feedback: Vec::new(),
            ranges: Vec::new(),
            polls: 0,
            broken: 0,
            refuses: 0,
            change: None,
            change_base: None,
            change_cancel: None,
            wrong: Wrong::Nothing,
            count: 0,
        }
    }

    /// Whether this is the last that it was told.
    pub fn is_told(&self, what: (Execution, Finished)) -> bool {
        !self.feedback.is_empty() && self.last() == what
    }

    pub fn last(&self) -> (Execution, Finished) {
        let (execution, finished, _) = self.feedback.last().expect("it was told something");
        (*execution, *finished)
    }
}

fn ok(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

impl Server for Hawk {
    fn message(&mut self, _: &str, _: &[u8]) -> Vec<(String, Vec<u8>)> {
        unreachable!("it speaks HTTP")
    }

    fn bytes(&mut self, bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        if self.broken > 0 {
            self.broken -= 1;
            return vec![Some(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), None];
        }
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let first = head.lines().next().unwrap();
        let secret = head.contains("\r\nAuthorization: TargetToken secret");
        assert_eq!(secret, head.contains("\r\nHost: hawk"), "{head}");
        let link = |rest: &str| format!("https://hawk{ROOT}/{rest}");
        let mut buffer = [0; 2000];
        let mut change = &None;
        let len = if first == format!("GET {ROOT} HTTP/1.1") {
            change = &self.change_base;
            self.polls += 1;
            let [deployment, cancel, data] =
                ["deploymentBase/8?c=-77", "cancelAction/9", "configData"].map(link);
            if self.wants_consent {
                let base = format!(
                    r#"{{"_links":{{"confirmationBase":{{"href":"https://hawk{ROOT}/confirmationBase/8?c=5"}}}}}}"#
                );
                return vec![Some(ok(base.as_bytes()))];
            }
            let base = Base {
                sleep: Some(Duration::from_secs(3661)),
                deployment: (self.open && !self.cancels).then_some(Text::new(&deployment)),
                cancel: self.cancels.then_some(Text::new(&cancel)),
                config_data: self.wants_data.then_some(Text::new(&data)),
                confirmation: None,
            };
            base.encode(&mut buffer).unwrap()
        } else if first == format!("GET {ROOT}/deploymentBase/8?c=-77 HTTP/1.1") {
            change = &self.change;
            let deployment = Deployment {
                id: Text::new("8"),
                waits: false,
                rests: false,
                version: Some(Text::new(self.version)),
                artifact: Artifact {
                    name: Some(Text::new("fw.bin")),
                    size: self.image.len() as u32,
                    sha256: Some(self.sha256),
                    address: Some(Text::new(self.address)),
                },
            };
            deployment.encode(&mut buffer).unwrap()
        } else if first == format!("GET {ROOT}/cancelAction/9 HTTP/1.1") {
            change = &self.change_cancel;
            let cancel = Cancel { id: Text::new("9"), stop: Text::new("8") };
            cancel.encode(&mut buffer).unwrap()
        } else if first.starts_with("PUT ") {
            self.wants_data = false;
            self.data = Some(body.to_owned());
            0
        } else if first == format!("POST {ROOT}/confirmationBase/8/feedback HTTP/1.1") {
            assert_eq!(body, r#"{"confirmation":"confirmed"}"#);
            self.wants_consent = false;
            0
        } else if first.starts_with("POST ") {
            let feedback = Feedback::decode(body.as_bytes()).unwrap();
            if feedback.execution == Execution::Closed && self.refuses > 0 {
                self.refuses -= 1;
                let answer = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
                return vec![Some(answer.to_vec())];
            }
            let details = feedback.details.unwrap_or_default().to_string();
            self.feedback.push((feedback.execution, feedback.finished, details));
            if first == format!("POST {ROOT}/cancelAction/9/feedback HTTP/1.1") {
                self.cancels = false;
                self.open &= feedback.execution == Execution::Rejected;
            } else {
                assert_eq!(first, format!("POST {ROOT}/deploymentBase/8/feedback HTTP/1.1"));
                self.open &= feedback.execution != Execution::Closed;
            }
            0
        } else {
            let range = head.lines().find_map(|line| line.strip_prefix("Range: bytes=")).unwrap();
            let (from, last) = range.split_once('-').unwrap();
            let (from, last): (usize, usize) = (from.parse().unwrap(), last.parse().unwrap());
            self.ranges.push(from as u32);
            let mut files =
                Files { wrong: self.wrong, count: self.count, ..Files::new(self.image.clone()) };
            let answer = files.part(from as u32, last as u32);
            self.count = files.count;
            return answer;
        };
        let mut text = String::from_utf8(buffer[..len].to_vec()).unwrap();
        if let Some((from, to)) = change {
            assert!(text.contains(from), "{from} in {text}");
            text = text.replacen(from, to, 1);
        }
        vec![Some(ok(text.as_bytes()))]
    }
}

fn settings() -> Settings<'static> {
    Settings {
        server: Endpoint { transport: Transport::Https, host: Text::new("hawk"), port: 443 },
        tenant: "default",
        controller: "device-1",
        authorization: "TargetToken secret",
        attributes: &[("revision", "b"), ("serial", "17")],
        timers: Timers::default(),
    }
}

pub fn device(board: &mut Board) -> Device<'_, Flash<'_>> {
    let agent = board.agent(Config::new(BOARD));
    Device::new(agent, settings(), vec![0; 4096].leak())
}

/// Up to the reset, or to the rest after a poll.
pub fn on(line: &mut Line, device: &mut Device<'_, Flash<'_>>, hawk: &mut Hawk) {
    line.now += Duration::from_secs(3600 * 2);
    device.poll(line.now);
    let from = line.now;
    line.settle(device, hawk, |device| {
        let rests = device.deadline().is_none_or(|at| at > from + Duration::from_secs(3600));
        device.agent().platform().system().resets > 0
            || (rests && !device.agent().is_busy())
            || (rests && device.agent().state() == State::SelfTest)
    });
}

#[test]
fn an_update_is_polled_for_fetched_tested_and_told() {
    let new = image(V2, 20_000);
    let mut hawk = Hawk { wants_data: true, broken: 2, ..Hawk::new(new.clone()) };
    let mut board = Board::new(V1);
    let mut first = device(&mut board);
    let mut line = Line::new();
    first.start(line.now);
    on(&mut line, &mut first, &mut hawk);
    assert_eq!(hawk.ranges, [0, 4096, 8192, 12288, 16384]);
    assert_eq!(
        hawk.data.as_deref(),
        Some(r#"{"data":{"revision":"b","serial":"17"},"mode":"merge"}"#)
    );
    drop(first);
    assert!(board.holds(&new));
    assert_eq!(board.swap_type(), SwapType::Test);
    board.boot();
    board.settings.resets = 0;
    let mut second = device(&mut board);
    let mut line = Line::new();
    second.start(line.now);
    // The poll after the reset tells that the test has begun.
    line.settle(&mut second, &mut hawk, |device| device.deadline().is_some_and(|at| at > SECOND));
    assert_eq!(hawk.feedback.last().unwrap().2, "started, being tested");
    second.agent().self_test(true, line.now);
    on(&mut line, &mut second, &mut hawk);
    assert_eq!(hawk.last(), (Execution::Closed, Finished::Success));
    drop(second);
    assert_eq!(board.swap_type(), SwapType::None);
}

#[test]
fn a_new_image_that_fails_its_test_or_falls_back_is_told() {
    for falls_back in [true, false] {
        let mut hawk = Hawk::new(image(V2, 9000));
        let mut board = Board::new(V1);
        let mut first = device(&mut board);
        let mut line = Line::new();
        first.start(line.now);
        on(&mut line, &mut first, &mut hawk);
        drop(first);
        board.boot();
        if falls_back {
            board.boot();
        }
        board.settings.resets = 0;
        let mut second = device(&mut board);
        let mut line = Line::new();
        second.start(line.now);
        if !falls_back {
            line.settle(&mut second, &mut hawk, |device| {
                device.deadline().is_some_and(|at| at > SECOND)
            });
            second.agent().self_test(false, line.now);
        }
        on(&mut line, &mut second, &mut hawk);
        assert_eq!(hawk.last(), (Execution::Closed, Finished::Failure));
        drop(second);
        assert_eq!(board.settings.resets, usize::from(!falls_back));
        let next = if falls_back { SwapType::None } else { SwapType::Revert };
        assert_eq!(board.swap_type(), next);
    }
}

#[test]
fn an_action_that_is_cancelled_is_broken_off_and_acknowledged() {
    let mut hawk = Hawk { cancels: true, ..Hawk::new(image(V2, 9000)) };
    let mut board = Board::new(V1);
    let mut device = device(&mut board);
    let mut line = Line::new();
    device.start(line.now);
    on(&mut line, &mut device, &mut hawk);
    assert_eq!(hawk.last(), (Execution::Closed, Finished::Success));
    assert!(hawk.ranges.is_empty());
    drop(device);
    assert_eq!(board.swap_type(), SwapType::None);
}

#[test]
fn an_update_that_waits_can_still_be_cancelled() {
    let mut hawk = Hawk::new(image(V2, 20_000));
    let mut board = Board::new(V1);
    board.settings.closed = vec![(Gate::User, Answer::NotNow)];
    let mut device = device(&mut board);
    let mut line = Line::new();
    device.start(line.now);
    line.settle(&mut device, &mut hawk, |device| device.agent().deferral().is_some());
    assert_eq!(hawk.last(), (Execution::Proceeding, Finished::None));
    hawk.cancels = true;
    line.settle(&mut device, &mut hawk, |device| !device.agent().is_busy());
    // The server has said how often it wants to be asked.
    assert!(line.now < Duration::from_secs(2 * 3661), "{:?}", line.now);
    let rests = line.now + SECOND;
    line.settle(&mut device, &mut hawk, |device| device.deadline() > Some(rests));
    assert_eq!(hawk.last(), (Execution::Closed, Finished::Success));
    assert!(hawk.ranges.is_empty());
}

#[test]
fn hawkbit_is_told_what_an_update_waits_for_and_when_it_goes_on() {
    let new = image(V2, 20_000);
    let mut hawk = Hawk::new(new.clone());
    let mut board = Board::new(V1);
    board.settings.closed = vec![(Gate::User, Answer::NotNow)];
    let mut device = device(&mut board);
    let mut line = Line::new();
    device.start(line.now);
    line.settle(&mut device, &mut hawk, |device| device.agent().deferral().is_some());
    let until = line.now + Duration::from_secs(2 * 3600);
    line.settle(&mut device, &mut hawk, |device| device.deadline() > Some(until));
    let words = |hawk: &Hawk| -> Vec<String> {
        assert!(hawk.feedback.iter().all(|(it, ..)| *it == Execution::Proceeding));
        hawk.feedback.iter().map(|(.., words)| words.clone()).collect()
    };
    // However often the gate is looked at, it is told once; and the server was asked meanwhile.
    assert_eq!(words(&hawk), ["begun", "waits: user"]);
    assert!(hawk.polls > 1, "{}", hawk.polls);
    device.agent().platform().system().closed.clear();
    line.run(&mut device, &mut hawk, |device| device.agent().progress().0 == 2);
    assert_eq!(words(&hawk), ["begun", "waits: user", "goes on"]);
    device.agent().platform().system().closed = vec![(Gate::Battery, Answer::NotNow)];
    let until = line.now + SECOND;
    line.settle(&mut device, &mut hawk, |device| device.deadline() > Some(until));
    assert_eq!(hawk.feedback.last().unwrap().2, "waits: battery");
    device.agent().platform().system().closed.clear();
    on(&mut line, &mut device, &mut hawk);
    let last = ["waits: battery", "goes on", "downloaded, verified, to be started"];
    assert_eq!(words(&hawk)[3..], last);
    drop(device);
    assert!(board.holds(&new));
}

#[test]
fn a_cancellation_that_comes_too_late_is_not_acknowledged() {
    let mut hawk = Hawk::new(image(V2, 9000));
    let mut board = Board::new(V1);
    let mut first = device(&mut board);
    let mut line = Line::new();
    first.start(line.now);
    on(&mut line, &mut first, &mut hawk);
    drop(first);
    board.boot();
    board.settings.resets = 0;
    hawk.cancels = true;
    let mut second = device(&mut board);
    let mut line = Line::new();
    second.start(line.now);
    line.settle(&mut second, &mut hawk, |device| device.deadline().is_some_and(|at| at > SECOND));
    assert_eq!(hawk.last(), (Execution::Rejected, Finished::None));
    second.agent().self_test(true, line.now);
    on(&mut line, &mut second, &mut hawk);
    assert_eq!(hawk.last(), (Execution::Closed, Finished::Success));
    drop(second);
    assert_eq!(board.swap_type(), SwapType::None);
}

#[test]
fn a_part_that_cannot_be_stored_ends_the_update_at_once() {
    let mut hawk = Hawk::new(image(V2, 20_000));
    let mut board = Board::new(V1);
    let mut device = device(&mut board);
    let mut line = Line::new();
    device.start(line.now);
    line.settle(&mut device, &mut hawk, |device| device.agent().state() == State::Fetching);
    device.agent().platform().map().supply().cut_at(0, updraft_sim::flash::Torn::Skip);
    on(&mut line, &mut device, &mut hawk);
    assert!(!device.agent().is_busy());
    assert!(hawk.ranges.len() <= 1, "{:?}", hawk.ranges);
}

#[test]
fn a_last_word_that_the_server_did_not_take_is_said_again() {
    let mut hawk = Hawk { refuses: 2, sha256: [9; 32], ..Hawk::new(image(V2, 9000)) };
    let mut board = Board::new(V1);
    let mut device = device(&mut board);
    let mut line = Line::new();
    device.start(line.now);
    on(&mut line, &mut device, &mut hawk);
    assert_eq!(hawk.last(), (Execution::Closed, Finished::Failure));
    assert_eq!(hawk.refuses, 0);
}

#[test]
fn another_servers_file_is_fetched_without_the_devices_secret() {
    let new = image(V2, 9000);
    let mut hawk = Hawk { address: "http://cdn.example:8080/fw.bin", ..Hawk::new(new.clone()) };
    let mut board = Board::new(V1);
    let mut device = device(&mut board);
    let mut line = Line::new();
    device.start(line.now);
    on(&mut line, &mut device, &mut hawk);
    assert_eq!(line.opened, ["hawk:443", "cdn.example:8080", "hawk:443"]);
    drop(device);
    assert!(board.holds(&new));
}

#[test]
fn updates_that_are_not_as_promised_are_closed_as_failed() {
    let good = image(V2, 9000);
    type Expected = fn(&Reason) -> bool;
    let cases: [(Hawk, Expected); 3] = [
        (Hawk { sha256: [9; 32], ..Hawk::new(good) }, |it| *it == Reason::HashDiffers),
        (Hawk::new(image(V1, 9000)), |it| matches!(it, Reason::NotNewer { .. })),
        (Hawk::new(image(V2, 62_000)), |it| matches!(it, Reason::TooLarge { .. })),
    ];
    for (number, (mut hawk, expected)) in cases.into_iter().enumerate() {
        let mut board = Board::new(V1);
        let mut device = device(&mut board);
        let mut line = Line::new();
        device.start(line.now);
        on(&mut line, &mut device, &mut hawk);
        assert_eq!(hawk.last(), (Execution::Closed, Finished::Failure), "{number}");
        let reasons = reasons(device.agent());
        assert!(reasons.iter().any(expected), "{number}: {reasons:?}");
        drop(device);
        assert_eq!(board.swap_type(), SwapType::None, "{number}");
    }
}

/// hawkBit's `confirmationBase`, for servers that ask whoever owns the device.
#[test]
fn an_update_that_waits_for_consent_is_confirmed_once_the_user_agrees() {
    let mut hawk = Hawk { wants_consent: true, ..Hawk::new(image(V2, 9000)) };
    let mut board = Board::new(V1);
    board.settings.closed = vec![(Gate::User, Answer::NotNow)];
    let mut device = device(&mut board);
    let mut line = Line::new();
    device.start(line.now);
    on(&mut line, &mut device, &mut hawk);
    assert!(hawk.wants_consent && hawk.ranges.is_empty());
    device.agent().platform().system().closed.clear();
    on(&mut line, &mut device, &mut hawk);
    assert!(!hawk.wants_consent);
    on(&mut line, &mut device, &mut hawk);
    drop(device);
    assert_eq!(board.swap_type(), SwapType::Test);
}

/// hawkBit answers an empty list with 400, and goes on asking.
#[test]
fn a_device_that_has_nothing_to_tell_of_itself_tells_nothing() {
    let mut hawk = Hawk { wants_data: true, ..Hawk::new(image(V2, 9000)) };
    let mut board = Board::new(V1);
    let settings = Settings { attributes: &[], ..settings() };
    let agent = board.agent(Config::new(BOARD));
    let mut device = Device::new(agent, settings, vec![0; 4096].leak());
    let mut line = Line::new();
    device.start(line.now);
    on(&mut line, &mut device, &mut hawk);
    assert_eq!((hawk.data, hawk.ranges.len()), (None, 3));
}

#[test]
fn messages_of_hawkbit_are_read() {
    let base = br#"{"config":{"polling":{"sleep":"00:05:00"}},"_links":{"deploymentBase":{"href":"https://h/T/controller/v1/C/deploymentBase/3?c=-2129030598"},"configData":{"href":"https://h/T/controller/v1/C/configData"}}}"#;
    let base = Base::decode(base).unwrap();
    assert_eq!(base.sleep, Some(300 * SECOND));
    assert!(base.deployment.unwrap().to_string().ends_with("c=-2129030598"));
    let deployment = br#"{"id":"3","deployment":{"download":"forced","update":"forced","maintenanceWindow":"available","chunks":[{"part":"bApp","version":"1.2.0","name":"app","artifacts":[{"filename":"binary.tgz","hashes":{"sha1":"4b4ad1f9d1ae9d0ee2b9d5f21a1f4f8b5b7f0b4f","md5":"6a3f46bb1a4b6c4f6b5f3e3f3a1b0c2d","sha256":"0123456789abcdefABCDEF01234567890123456789abcdef0123456789abcdef"},"size":11,"_links":{"download":{"href":"https://h/a"},"download-http":{"href":"http://h/a"},"md5sum-http":{"href":"http://h/a.MD5SUM"}}}]}]}}"#;
    let deployment = Deployment::decode(deployment).unwrap();
    assert_eq!(
        deployment.version.and_then(Text::plain).and_then(Version::parse),
        Some(Version::new(1, 2, 0))
    );
    assert_eq!(deployment.artifact.sha256.unwrap()[..2], [0x01, 0x23]);
    let feedback = br#"{"id":"3","time":"20140511T121314","status":{"execution":"closed","result":{"finished":"success","progress":{"cnt":2,"of":5}},"details":["ok"]}}"#;
    assert_eq!(Feedback::decode(feedback).unwrap().progress, Some((2, 5)));
}
