//! Jobs and images over HTTP: a file server that keeps the rules, and servers that do not.

use updraft_image::SwapType;
use updraft_ota::http::{Exchange, Head, Method, Request};
use updraft_ota::infineon::{Device, Document, Flow, Message, Settings};
use updraft_ota::json::Text;
use updraft_ota::{Config, Endpoint, Protocol, Reason, State, Transport, Version};

use crate::common::{BOARD, Board, Line, SECOND, Server, image, reasons};
use crate::infineon::{Publisher, V1, V2, device, session_with, settings};
use crate::pair::{Pair, archive};

/// What a server does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wrong {
    Nothing,
    /// Closes after each answer, and says so.
    ClosesAfterEach,
    /// Closes in the middle of every third answer.
    ClosesInTheMiddle,
    /// Sends the whole file with status 200.
    IgnoresRanges,
    /// Sends a part, and does not say which.
    SaysNoRange,
    /// Sends the part behind the one that was asked for.
    SendsAnother,
    /// Sends more than it was asked for.
    SendsTooMuch,
    /// Sends and sends.
    Endless,
    /// Says that the file has another size each time.
    Grows,
    NotFound,
    Unavailable,
    /// Is no HTTP server.
    Talks,
}

impl Wrong {
    /// What no device puts up with, and what it calls that.
    pub const REFUSED: [(Self, Reason); 9] = [
        (Self::IgnoresRanges, Reason::NoRange),
        (Self::SaysNoRange, Reason::NoRange),
        (Self::SendsAnother, Reason::WrongRange),
        (Self::SendsTooMuch, Reason::TooMuch),
        (Self::Endless, Reason::TooMuch),
        (Self::Grows, Reason::ChunkTotal { total: 0 }),
        (Self::NotFound, Reason::Status(404)),
        (Self::Unavailable, Reason::Status(503)),
        (Self::Talks, Reason::NotHttp),
    ];
}

/// Whether a reason is of a kind, whatever numbers it has.
pub trait Like {
    fn is_like(&self, kind: Reason) -> bool;
}

impl Like for Reason {
    fn is_like(&self, kind: Reason) -> bool {
        match kind {
            Self::ChunkTotal { .. } => matches!(self, Self::ChunkTotal { .. }),
            Self::TooLarge { .. } => matches!(self, Self::TooLarge { .. }),
            Self::NotJson(_) => matches!(self, Self::NotJson(_)),
            kind => *self == kind,
        }
    }
}

/// A file server, and a broker if there has to be one.
pub struct Files {
    pub job: String,
    pub image: Vec<u8>,
    pub wrong: Wrong,
    pub ranges: Vec<(u32, u32)>,
    pub result: Option<String>,
    pub broker: Option<Publisher>,
    pub count: usize,
}

impl Files {
    pub fn new(image: Vec<u8>) -> Self {
        let job = format!(
            r#"{{"Board":"{BOARD}","Version":"2.0.0","Connection":"HTTP","Server":"","Port":"","File":"/fw/new image.bin"}}"#
        );
        let (wrong, ranges, result) = (Wrong::Nothing, Vec::new(), None);
        Self { job, image, wrong, ranges, result, broker: None, count: 0 }
    }

    pub fn part(&mut self, from: u32, last: u32) -> Vec<Option<Vec<u8>>> {
        self.ranges.push((from, last));
        self.count += 1;
        let total = self.image.len() as u32;
        let last = last.min(total - 1);
        let body = |from: u32, last: u32| self.image[from as usize..=last as usize].to_vec();
        let head = |status: &str, more: String, len: usize| {
            format!("HTTP/1.1 {status}\r\n{more}Content-Length: {len}\r\n\r\n").into_bytes()
        };
        let range = |from: u32, last: u32, total: u32| {
            format!("Content-Range: bytes {from}-{last}/{total}\r\n")
        };
        let good = |more: &str| {
            let body = body(from, last);
            let head = head("206 Partial Content", range(from, last, total) + more, body.len());
            [head, body].concat()
        };
        match self.wrong {
            Wrong::Nothing => vec![Some(good(""))],
            Wrong::ClosesAfterEach => vec![Some(good("Connection: close\r\n")), None],
            Wrong::ClosesInTheMiddle if self.count.is_multiple_of(3) => {
                let bytes = good("");
                vec![Some(bytes[..bytes.len() / 2].to_vec()), None]
            }
            Wrong::ClosesInTheMiddle => vec![Some(good(""))],
            Wrong::IgnoresRanges => {
                vec![Some(
                    [head("200 OK", String::new(), self.image.len()), self.image.clone()].concat(),
                )]
            }
            Wrong::SaysNoRange => {
                let body = body(from, last);
                vec![Some([head("206 Partial Content", String::new(), body.len()), body].concat())]
            }
            Wrong::SendsAnother => {
                let body = body(from, last);
                let other = range(from + 1, last + 1, total + 1);
                vec![Some([head("206 Partial Content", other, body.len()), body].concat())]
            }
            Wrong::SendsTooMuch => {
                let mut bytes = good("");
                bytes.extend_from_slice(b"more");
                vec![Some(bytes)]
            }
            Wrong::Endless => {
                let head = format!(
                    "HTTP/1.1 206 Partial Content\r\n{}Transfer-Encoding: chunked\r\n\r\n",
                    range(from, last, total)
                );
                let chunk = Some([&b"1000\r\n"[..], &[7; 4096], b"\r\n"].concat());
                std::iter::once(Some(head.into_bytes())).chain(vec![chunk; 100]).collect()
            }
            Wrong::Grows => {
                let body = body(from, last);
                let total = total + self.count as u32 - 1;
                let head = head("206 Partial Content", range(from, last, total), body.len());
                vec![Some([head, body].concat())]
            }
            Wrong::NotFound => vec![Some(head("404 Not Found", String::new(), 0))],
            Wrong::Unavailable => vec![Some(head("503 Service Unavailable", String::new(), 0))],
            Wrong::Talks => vec![Some(b"220 mail.example ESMTP\r\n".to_vec())],
        }
    }
}

impl Server for Files {
    fn message(&mut self, topic: &str, payload: &[u8]) -> Vec<(String, Vec<u8>)> {
        self.broker.as_mut().expect("there is a broker").message(topic, payload)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let first = lines.next().unwrap();
        if let Some(path) = first.strip_prefix("POST ") {
            assert!(path.starts_with("/fw/new%20image.bin "), "{path}");
            self.result = Some(body.to_owned());
            return vec![Some(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())];
        }
        if first == "GET /ota_update.json HTTP/1.1" {
            let len = self.job.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{}", self.job);
            // Byte by byte, as networks may.
            return answer.bytes().map(|byte| Some(vec![byte])).collect();
        }
        assert_eq!(first, "GET /fw/new%20image.bin HTTP/1.1");
        let range = lines.find_map(|line| line.strip_prefix("Range: bytes=")).unwrap();
        let (from, last) = range.split_once('-').unwrap();
        self.part(from.parse().unwrap(), last.parse().unwrap())
    }
}

fn http() -> Settings<'static> {
    let server = Endpoint { transport: Transport::Http, host: Text::new("files"), port: 8080 };
    Settings { server, ..settings() }
}

#[test]
fn a_job_and_its_image_are_fetched_from_a_file_server() {
    // The last one of these has a single byte behind its last whole block.
    for len in [100, 4096 * 3 - 68, 20_000, 4096 * 4 - 67] {
        let new = image(V2, len);
        let mut board = Board::new(V1);
        let mut files = Files::new(new.clone());
        let mut device = device(&mut board, http());
        let (line, reasons) = session_with(&mut device, &mut files);
        assert_eq!(reasons, []);
        assert_eq!(line.opened, ["files:8080"]);
        assert!(line.said[1].contains("Accept-Ranges: bytes\r\n"), "{}", line.said[1]);
        assert!(line.said[1].contains("Host: files:8080\r\n"), "{}", line.said[1]);
        let result = files.result.expect("it told how it went");
        let result = Document::decode(result.as_bytes()).unwrap();
        assert_eq!(result.kind(), Some(Message::Success));
        assert_eq!(files.ranges.len(), new.len().div_ceil(4096));
        drop(device);
        assert!(board.holds(&new));
        assert_eq!(board.swap_type(), SwapType::Test);
    }
}

#[test]
fn the_direct_flow_fetches_a_file_without_a_job() {
    let new = image(V2, 9000);
    let mut board = Board::new(V1);
    let mut files = Files::new(new.clone());
    let file = Text::new("fw/new image.bin");
    let mut device = device(&mut board, Settings { flow: Flow::Direct, file, ..http() });
    let (_, reasons) = session_with(&mut device, &mut files);
    assert_eq!((reasons, files.result), (vec![], None));
    drop(device);
    assert!(board.holds(&new));
    assert_eq!(board.swap_type(), SwapType::Test);
}

#[test]
fn a_file_that_stays_as_it_is_costs_a_block_a_check_and_is_no_failure() {
    let mut board = Board::new(V1);
    let file = Text::new("fw/new image.bin");
    let mut files = Files::new(image(V1, 20_000));
    for _ in 0..5 {
        let mut device = device(&mut board, Settings { flow: Flow::Direct, file, ..http() });
        let (_, reasons) = session_with(&mut device, &mut files);
        assert_eq!(reasons, [Reason::NotNewer { offered: V1, running: V1 }]);
        assert_eq!(std::mem::take(&mut files.ranges), [(0, 4095)]);
    }
    // A new one in its place is taken.
    let new = image(V2, 20_000);
    files.image = new.clone();
    let mut device = device(&mut board, Settings { flow: Flow::Direct, file, ..http() });
    let (_, reasons) = session_with(&mut device, &mut files);
    assert_eq!(reasons, []);
    drop(device);
    assert!(board.holds(&new));
    assert_eq!(board.swap_type(), SwapType::Test);
}

#[test]
fn a_bad_file_without_a_job_is_tried_twice_and_not_again_until_it_changes() {
    let mut board = Board::new(V1);
    let file = Text::new("fw/new image.bin");
    let mut bad = image(V2, 20_000);
    bad[15_000] ^= 1;
    let mut files = Files::new(bad);
    let check = |files: &mut Files, board: &mut Board| {
        let mut device = device(board, Settings { flow: Flow::Direct, file, ..http() });
        let (_, reasons) = session_with(&mut device, files);
        (reasons, std::mem::take(&mut files.ranges).len())
    };
    for _ in 0..2 {
        assert_eq!(check(&mut files, &mut board), (vec![Reason::ImageRefused], 5));
    }
    for _ in 0..3 {
        assert_eq!(check(&mut files, &mut board), (vec![Reason::FailedBefore], 1));
    }
    files.image = image(Version::new(2, 0, 1), 20_000);
    assert_eq!(check(&mut files, &mut board), (vec![], 5));
    assert_eq!(board.swap_type(), SwapType::Test);
}

/// Archives come from file servers, as in the field; whoever is dropped on the way goes on.
#[test]
fn an_archive_is_fetched_from_a_file_server_whatever_happens_on_the_way() {
    let file = archive(V2, [image(V2, 20_000), image(V2, 15_000)]);
    let blocks = file.len().div_ceil(4096);
    for stop in [0, 1, 3, 5, 7, blocks] {
        let mut pair = Pair::new([V1, V1]);
        let mut files = Files { wrong: Wrong::ClosesAfterEach, ..Files::new(file.clone()) };
        let mut reset = false;
        for drops in [true, false] {
            reset = pair.device(Config::new(BOARD), |agent| {
                let (mut job, mut memory) = ([0; 1024], [0; 4096]);
                let mut device = Device::new(agent, http(), &mut job, &mut memory);
                let mut line = Line::new();
                device.start(line.now);
                line.run(&mut device, &mut files, |device| {
                    let dropped = drops && device.agent().progress().0 as usize >= stop;
                    dropped || device.agent().platform().system().resets > 0
                });
                device.agent().platform().system().resets > 0
            });
        }
        assert!(reset, "{stop}");
        assert!(files.ranges.len() <= blocks + 3, "{stop}: {:?}", files.ranges);
        assert_eq!(pair.pending(), [SwapType::Test; 2]);
    }
}

#[test]
fn a_job_by_mqtt_may_send_the_device_to_a_file_server_and_back() {
    let new = image(V2, 9000);
    let mut board = Board::new(V1);
    let mut files = Files::new(new.clone());
    let mut broker = Publisher::new(Vec::new(), V2);
    broker.job = files.job.replace(r#""Server":"""#, r#""Server":"files.example""#);
    files.broker = Some(broker);
    let mut device = device(&mut board, settings());
    let (line, reasons) = session_with(&mut device, &mut files);
    assert_eq!(reasons, []);
    assert_eq!(line.opened, ["broker:8884", "files.example:80", "broker:8884"]);
    assert_eq!(files.broker.unwrap().heard.last(), Some(&Message::Success));
    drop(device);
    assert!(board.holds(&new));
}

#[test]
fn servers_that_close_connections_are_put_up_with() {
    for wrong in [Wrong::ClosesAfterEach, Wrong::ClosesInTheMiddle] {
        let new = image(V2, 30_000);
        let mut board = Board::new(V1);
        let mut files = Files { wrong, ..Files::new(new.clone()) };
        let mut device = device(&mut board, http());
        session_with(&mut device, &mut files);
        drop(device);
        assert!(board.holds(&new), "{wrong:?}");
        assert_eq!(board.swap_type(), SwapType::Test, "{wrong:?}");
    }
}

#[test]
fn servers_that_send_something_else_are_refused_by_name() {
    let count = Wrong::REFUSED.len();
    for (wrong, reason) in Wrong::REFUSED {
        let new = image(V2, 9000);
        let mut board = Board::new(V1);
        let mut files = Files { wrong, ..Files::new(new.clone()) };
        let mut device = device(&mut board, http());
        let (_, reasons) = session_with(&mut device, &mut files);
        let found = reasons.iter().any(|found| found.is_like(reason));
        assert!(found, "{wrong:?}: {reasons:?}");
        assert_eq!(device.agent().state(), State::Waiting);
        drop(device);
        assert_eq!(board.swap_type(), SwapType::None, "{wrong:?}");
        // A better one is welcome afterwards, and goes on where this one ended.
        let mut files = Files::new(new.clone());
        let mut device = crate::infineon::device(&mut board, http());
        let (_, reasons) = session_with(&mut device, &mut files);
        // One that was of another size is found out, and fetched anew.
        assert!(reasons.is_empty() || wrong == Wrong::Grows, "{wrong:?}, afterwards: {reasons:?}");
        drop(device);
        assert!(board.holds(&new), "{wrong:?}");
    }
    println!("{count} / {count} servers refused");
}

#[test]
fn a_part_that_never_comes_is_asked_for_again_on_another_connection() {
    struct Silent(Files, bool);
    impl Server for Silent {
        fn message(&mut self, _: &str, _: &[u8]) -> Vec<(String, Vec<u8>)> {
            Vec::new()
        }

        fn bytes(&mut self, bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
            let range = bytes.windows(6).any(|it| it == b"Range:");
            if range && std::mem::replace(&mut self.1, true) && self.0.ranges.len() < 2 {
                self.0.ranges.push((0, 0));
                return Vec::new();
            }
            self.0.bytes(bytes)
        }
    }
    let new = image(V2, 9000);
    let mut board = Board::new(V1);
    let mut device = device(&mut board, http());
    let (line, _) = session_with(&mut device, &mut Silent(Files::new(new.clone()), false));
    assert_eq!(line.opened.len(), 2);
    drop(device);
    assert!(board.holds(&new));
}

#[test]
fn a_file_server_that_does_not_answer_is_not_taken_for_one_without_a_job() {
    struct Deaf(usize);
    impl Server for Deaf {
        fn message(&mut self, _: &str, _: &[u8]) -> Vec<(String, Vec<u8>)> {
            Vec::new()
        }

        fn bytes(&mut self, _: &[u8]) -> Vec<Option<Vec<u8>>> {
            self.0 += 1;
            Vec::new()
        }
    }
    let mut board = Board::new(V1);
    let mut device = device(&mut board, http());
    let mut deaf = Deaf(0);
    session_with(&mut device, &mut deaf);
    // Six tries a session, three sessions.
    assert_eq!(deaf.0, 18);
}

#[test]
fn a_host_cannot_add_lines_to_a_request() {
    let mut buffer = [0; 300];
    let evil = Request::get(Text::new("a\r\nX: y"), None, Text::new("/"));
    assert!(evil.encode(&mut buffer).is_err());
    let path = Request {
        method: Method::Put,
        fields: &[("Authorization", "TargetToken 1")],
        ..Request::get(Text::new("a"), None, Text::new("x\r\nY: ü?a=%20"))
    };
    let len = path.encode(&mut buffer).unwrap();
    assert_eq!(
        str::from_utf8(&buffer[..len]),
        Ok(
            "PUT /x%0d%0aY:%20%c3%bc?a=%20 HTTP/1.1\r\nHost: a\r\nAuthorization: TargetToken 1\r\n\r\n"
        ),
    );
    for room in 0..len {
        assert!(path.encode(&mut buffer[..room]).is_err());
    }
}

fn read(answer: &[u8]) -> Result<(Head, Vec<u8>), Reason> {
    let mut memory = [0; 64];
    let mut exchange = Exchange::new(&mut memory);
    exchange.begin(None);
    exchange.take(answer)?;
    if exchange.is_awaited() {
        exchange.closed()?;
    }
    let answer = exchange.answer().expect("it is whole");
    Ok((answer.head, answer.body.to_vec()))
}

#[test]
fn answers_are_read_in_every_framing() {
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"),
        ("HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", "abc"),
        ("HTTP/1.0 200\r\n\r\nabc", "abc"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nX: y\r\n\r\n",
            "abc",
        ),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\nabc", "abc"),
        ("HTTP/1.1 204 No Content\r\n\r\n", ""),
    ] {
        let read = read(answer.as_bytes()).map(|(_, body)| String::from_utf8(body).unwrap());
        assert_eq!(read, Ok(body.to_owned()), "{answer}");
    }
    for (answer, reason) in [
        ("HTTP/2 200 OK\r\n\r\n", Reason::NotHttp),
        ("HTTP/1.1 99 OK\r\n\r\n", Reason::NotHttp),
        ("HTTP/1.1 200 OK\r\nno field\r\n\r\n", Reason::NotHttp),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Reason::NotHttp),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Reason::NotHttp),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            Reason::NotHttp,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Reason::NotHttp),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", Reason::NotHttp),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", Reason::NotHttp),
        ("HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n", Reason::TooMuch),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", Reason::Cut),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab", Reason::Cut),
        ("HTTP/1.1 200 OK\r\nContent-Range: bytes 4-3/9\r\n\r\n", Reason::WrongRange),
        ("HTTP/1.1 200 OK\r\nX: y", Reason::Cut),
    ] {
        assert_eq!(read(answer.as_bytes()), Err(reason), "{answer}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(4000));
    assert_eq!(read(endless.as_bytes()), Err(Reason::TooMuch));
    let body = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &[7; 100]].concat();
    assert_eq!(read(&body), Err(Reason::TooMuch));
}

#[test]
fn a_job_document_of_1024_bytes_is_too_long_over_http() {
    let mut board = Board::new(V1);
    let mut files = Files::new(image(V2, 9000));
    files.job = format!("{:1024}", files.job);
    let mut device = device(&mut board, http());
    let mut line = Line::new();
    device.start(line.now);
    line.run(&mut device, &mut files, |device| device.agent().reason().is_some());
    let refused = [Reason::DocumentTooLong { len: 1024, max: 1024 }];
    assert_eq!(reasons(device.agent()), refused);
    assert!(line.now > SECOND);
}
