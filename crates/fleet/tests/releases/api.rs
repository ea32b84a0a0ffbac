//! The API over a socket, asked by hand: what is answered to whom, and to those who ask for nonsense.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use updraft_fleet::fleet::{Fleet, open_store, record};
use updraft_fleet::http::router;
use updraft_fleet::model::{ArtifactId, Policy, Submission};
use updraft_fleet::server::serve;
use updraft_fleet::store::Store;
use updraft_fleet::token::{Access, Token};

use crate::store::on_a_full_disk;
use crate::support::*;

const MAX: usize = 256 * 1024;

/// A server in this process. It ends with the test.
struct Server {
    address: SocketAddr,
    writer: Token,
    reader: Token,
    log: Arc<Mutex<Vec<String>>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// An answer: status, head and body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.head))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// The end of the problem's type; its detail and hint are never empty.
    fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.head);
        let body = self.json();
        assert_eq!(body["status"], self.status);
        for field in ["detail", "hint", "title"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        }
        body["type"].as_str().unwrap().strip_prefix("urn:updraft:problem:").unwrap().to_owned()
    }
}

impl Server {
    fn new(name: &str, policy: Policy) -> Self {
        let data = folder(name);
        Self::over(&data, Fleet::open(&data, policy).unwrap())
    }

    fn over(data: &Path, fleet: Fleet) -> Self {
        let (writer, reader) = (Token::generate().unwrap(), Token::generate().unwrap());
        let store = open_store(data).unwrap();
        store.add_token(&record("ci", &writer, Access::Write)).unwrap();
        store.add_token(&record("looker", &reader, Access::Read)).unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lines);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let log: updraft_fleet::server::Log =
                    Arc::new(move |event| log.lock().unwrap().push(event.to_string()));
                let router = router(Arc::new(fleet), MAX, Arc::clone(&log));
                serve(listener, None, router, log, async { drop(stopped.await) }).await;
            });
        });
        let address = told.recv().unwrap();
        Self { address, writer, reader, log: lines, stop: Some(stop), thread: Some(thread) }
    }

    /// Sends bytes as they are and reads the answer to its end.
    fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // A server may have answered and closed before it has read everything.
        let _ = stream.write_all(request);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer to {}", request.escape_ascii()));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: bytes[end + 4..].to_vec() }
    }

    fn ask_as(&self, token: &str, line: &str, headers: &str, body: &[u8]) -> Answer {
        let len = match (body.len(), line.starts_with("POST")) {
            (0, false) => String::new(),
            (len, _) => format!("Content-Length: {len}\r\n"),
        };
        let head = format!(
            "{line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             {len}{headers}\r\n"
        );
        self.raw(&[head.as_bytes(), body].concat())
    }

    fn ask(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        self.ask_as(self.writer.reveal(), line, headers, body)
    }

    fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "", b"")
    }

    fn add(&self, query: &str, image: &[u8]) -> Answer {
        self.ask(&format!("POST /api/v1/releases?{query}"), "", image)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

#[test]
fn a_release_is_added_listed_shown_downloaded_and_removed() {
    let server = Server::new("api-story", Policy::new());
    let bytes = unsigned(1);
    let added = server.add("name=blinky-1.0.0", &bytes);
    assert_eq!(added.status, 201);
    assert_eq!(added.header("location"), Some("/api/v1/releases/blinky-1.0.0"));
    let sha256 = added.json()["images"][0]["sha256"].as_str().unwrap().to_owned();
    assert_eq!(sha256, ArtifactId::of(&bytes).to_string());
    let again = server.add("name=blinky-1.0.0", &bytes);
    assert_eq!((again.status, again.json()), (200, added.json()));
    let other = server.add("name=blinky-1.0.0", &unsigned(2));
    assert_eq!((other.status, other.problem().as_str()), (409, "name-taken"));
    assert_eq!(server.get("/api/v1/releases").json()["releases"][0], added.json());
    assert_eq!(server.get("/api/v1/releases/blinky-1.0.0").json(), added.json());
    let file = server.get(&format!("/artifacts/{sha256}"));
    assert_eq!((file.status, &file.body), (200, &bytes));
    assert_eq!(file.header("content-length"), Some(bytes.len().to_string().as_str()));
    let removed = server.ask("DELETE /api/v1/releases/blinky-1.0.0", "", b"");
    assert_eq!((removed.status, removed.json()), (200, added.json()));
    for path in ["/api/v1/releases/blinky-1.0.0", &format!("/artifacts/{sha256}")] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    let log = server.log.lock().unwrap();
    assert!(log.iter().any(|line| line.starts_with("201 POST /api/v1/releases")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains(server.writer.reveal())), "{log:?}");
}

#[test]
fn images_of_published_keys_are_refused_by_name() {
    let server = Server::new("api-sample", Policy::new());
    let lenient = Server::new("api-sample-lenient", Policy::new().allowing_sample_keys());
    for (file, key) in SAMPLES {
        let bytes = sample(file);
        for (server, query) in [
            (&server, "name=a"),
            (&server, "name=a&allow_sample_key=true"),
            (&lenient, "name=a"),
            (&lenient, "name=a&allow_sample_key=false"),
        ] {
            let refused = server.add(query, &bytes);
            assert_eq!(
                (refused.status, refused.problem().as_str()),
                (422, "sample-key"),
                "{query}"
            );
            let body = refused.json();
            assert_eq!(body["key"], key);
            assert!(body["hint"].as_str().unwrap().contains("updraft key new"), "{body}");
        }
        let admitted = lenient.add(&format!("name={key}&allow_sample_key=true"), &bytes);
        assert_eq!(admitted.status, 201);
        assert_eq!(admitted.json()["images"][0]["sample_key"], key);
    }
    assert_eq!(server.get("/api/v1/releases").json()["releases"].as_array().unwrap().len(), 0);
}

#[test]
fn a_form_carries_several_images() {
    let server = Server::new("api-form", Policy::new());
    let (first, second) = (unsigned(1), unsigned(2));
    let part = |head: &str, content: &[u8]| {
        let head = format!("--x\r\nContent-Disposition: form-data; {head}\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    };
    let form = |parts: &[Vec<u8>]| {
        let body = [parts.concat().as_slice(), b"--x--\r\n"].concat();
        let kind = "Content-Type: multipart/form-data; boundary=x\r\n";
        server.ask("POST /api/v1/releases", kind, &body)
    };
    let name = part("name=\"name\"", b"pair");
    let images = [
        part("name=\"image1\"; filename=\"b.bin\"", &second),
        part("name=\"image\"; filename=\"a.bin\"", &first),
    ];
    let added = form(&[name.clone(), images[0].clone(), images[1].clone()]);
    assert_eq!(added.status, 201, "{}", added.json());
    let numbers = |number: usize| added.json()["images"][number]["sha256"].clone();
    assert_eq!(numbers(0), ArtifactId::of(&first).to_string());
    assert_eq!(numbers(1), ArtifactId::of(&second).to_string());
    for (parts, status, problem) in [
        (vec![images[0].clone()], 400, "bad-request"),
        (vec![name.clone()], 422, "no-image"),
        (vec![name.clone(), images[0].clone(), images[0].clone()], 422, "image-twice"),
        (vec![part("name=\"nmae\"", b"x")], 400, "bad-request"),
        (vec![part("name=\"name\"", &[b'x'; 300])], 400, "bad-request"),
        (vec![part("name=\"name\"", b"../x")], 400, "bad-name"),
        (vec![part("name=\"allow_sample_key\"", b"yes")], 400, "bad-request"),
        (vec![part("name=\"image256\"", &first)], 400, "bad-request"),
        (vec![part("name=\"image\"", &[0; MAX])], 413, "too-large"),
    ] {
        let refused = form(&parts);
        assert_eq!((refused.status, refused.problem().as_str()), (status, problem));
    }
    let cut = server.ask(
        "POST /api/v1/releases",
        "Content-Type: multipart/form-data; boundary=x\r\n",
        &part("name=\"name\"", b"pair"),
    );
    assert_eq!((cut.status, cut.problem().as_str()), (400, "bad-request"));
}

#[test]
fn a_range_of_a_file_is_that_range() {
    let server = Server::new("api-ranges", Policy::new());
    let bytes = image("1.0.0", None, &firmware(MAX / 2, 1));
    let sha256 = server.add("name=a", &bytes).json()["images"][0]["sha256"].clone();
    let path = format!("/artifacts/{}", sha256.as_str().unwrap());
    let tag = format!("\"{}\"", sha256.as_str().unwrap());
    let size = bytes.len();
    let ask = |headers: &str| server.ask(&format!("GET {path}"), headers, b"");
    for (range, part) in [
        ("0-0", 0..1),
        ("100-199", 100..200),
        ("-7", size - 7..size),
        (&format!("{}-", size - 3), size - 3..size),
        ("1-99999999", 1..size),
    ] {
        let answer = ask(&format!("Range: bytes={range}\r\n"));
        assert_eq!((answer.status, answer.body.as_slice()), (206, &bytes[part.clone()]), "{range}");
        let of = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!(answer.header("content-range"), Some(of.as_str()));
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
    }
    let outside = ask(&format!("Range: bytes={size}-\r\n"));
    assert_eq!((outside.status, outside.body.len()), (416, 0));
    assert_eq!(outside.header("content-range"), Some(format!("bytes */{size}").as_str()));
    // A resumed download gets the rest only of the same file.
    let resumed = ask(&format!("Range: bytes=5-\r\nIf-Range: {tag}\r\n"));
    assert_eq!((resumed.status, resumed.body.as_slice()), (206, &bytes[5..]));
    let other = ask("Range: bytes=5-\r\nIf-Range: \"other\"\r\n");
    assert_eq!((other.status, other.body.as_slice()), (200, bytes.as_slice()));
    for tags in [&tag, "*", &format!("\"a\", W/{tag}")] {
        let known = ask(&format!("If-None-Match: {tags}\r\n"));
        assert_eq!((known.status, known.body.len()), (304, 0), "{tags}");
    }
    let head = server.ask(&format!("HEAD {path}"), "", b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(size.to_string().as_str()));
    assert_eq!(head.header("accept-ranges"), Some("bytes"));
}

#[test]
fn nobody_gets_in_without_a_token_that_is_good_for_it() {
    let server = Server::new("api-tokens", Policy::new());
    let bytes = unsigned(1);
    for (token, problem) in [("", "no-token"), ("updraft_0", "no-token"), ("a b", "no-token")] {
        for line in ["GET /api/v1/releases", "POST /api/v1/releases?name=a", "GET /nothing"] {
            let answer = server.ask_as(token, line, "", &bytes);
            assert_eq!((answer.status, answer.problem().as_str()), (401, problem));
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
    }
    let none = server.raw(b"GET /api/v1/releases HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(none.status, 401);
    let reader = server.reader.reveal();
    assert_eq!(server.ask_as(reader, "GET /api/v1/releases", "", b"").status, 200);
    for line in ["POST /api/v1/releases?name=a", "DELETE /api/v1/releases/a"] {
        let answer = server.ask_as(reader, line, "", &bytes);
        assert_eq!((answer.status, answer.problem().as_str()), (403, "read-only-token"), "{line}");
    }
}

#[test]
fn nonsense_is_answered_with_what_is_wrong() {
    let server = Server::new("api-nonsense", Policy::new());
    let good = unsigned(1);
    for (line, body, status, problem) in [
        ("GET /", &b""[..], 404, "not-found"),
        ("GET /api/v2/releases", b"", 404, "not-found"),
        ("PUT /api/v1/releases", b"", 405, "method-not-allowed"),
        ("GET /api/v1/releases?limit=many", b"", 400, "bad-request"),
        ("GET /api/v1/releases?page=2", b"", 400, "bad-request"),
        ("GET /api/v1/releases?after=..", b"", 400, "bad-request"),
        ("GET /api/v1/releases/..%2f..%2fetc", b"", 400, "bad-name"),
        ("GET /api/v1/releases/unknown", b"", 404, "no-such-release"),
        ("DELETE /api/v1/releases/unknown", b"", 404, "no-such-release"),
        ("GET /artifacts/1234", b"", 400, "bad-request"),
        ("GET /artifacts/..%2f..%2ffleet.sqlite", b"", 400, "bad-request"),
        ("POST /api/v1/releases", &good, 400, "bad-request"),
        ("POST /api/v1/releases?name=", &good, 400, "bad-name"),
        ("POST /api/v1/releases?name=a%20b", &good, 400, "bad-name"),
        ("POST /api/v1/releases?name=a&image=999", &good, 400, "bad-request"),
        ("POST /api/v1/releases?name=a&allow=1", &good, 400, "bad-request"),
        ("POST /api/v1/releases?name=a&board=nowhere", &good, 422, "unknown-board"),
        ("POST /api/v1/releases?name=a&board=%2fetc%2fpasswd", &good, 422, "unknown-board"),
        ("POST /api/v1/releases?name=a", b"", 422, "not-an-image"),
        (
            "POST /api/v1/releases?name=a",
            b"no image at all, but more than 32 bytes",
            422,
            "not-an-image",
        ),
        ("POST /api/v1/releases?name=a", &good[..good.len() - 1], 422, "cut-off"),
        ("POST /api/v1/releases?name=a", &[0; MAX + 1], 413, "too-large"),
    ] {
        let answer = server.ask(line, "", body);
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{line}");
    }
    // More than it said, less than it said, and a length that no memory holds.
    let token = server.writer.reveal();
    for (length, body) in [("99999999999999", &b"x"[..]), ("18446744073709551615", b"")] {
        let request = format!(
            "POST /api/v1/releases?name=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        let answer = server.raw(&[request.as_bytes(), body].concat());
        assert!(matches!(answer.status, 400 | 413 | 431), "{length}: {}", answer.head);
    }
    let endless = format!(
        "POST /api/v1/releases?name=a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    );
    let chunk = [b"8000\r\n".as_slice(), &[7; 0x8000], b"\r\n"].concat();
    let answer = server.raw(&[endless.as_bytes(), &chunk.repeat(10)].concat());
    assert_eq!((answer.status, answer.problem().as_str()), (413, "too-large"));
    assert_eq!(server.raw(b"\x16\x03\x01 no HTTP\r\n\r\n").status, 400);
    // Forms: what comes before the first part, and parts without an end.
    let form =
        endless.replace("Host: x", "Host: x\r\nContent-Type: Multipart/Form-Data; boundary=b");
    let field = b"--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\na\r\n";
    let long = [&field[..field.len() - 2], &[b'a'; 300], b"\r\n--b--\r\n"].concat();
    for (body, status, problem) in [
        (vec![b'x'; MAX + 0x8000], 413, "too-large"),
        (field.repeat(2), 400, "bad-request"),
        (long, 400, "bad-request"),
    ] {
        let chunks = body
            .chunks(0x8000)
            .map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        let body = chunks.collect::<Vec<_>>().concat();
        let answer = server.raw(&[form.as_bytes(), &body, b"0\r\n\r\n"].concat());
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem));
    }
    // It is still there.
    assert_eq!(server.add("name=a", &good).status, 201);
}

#[test]
fn what_a_request_says_makes_no_line_of_the_log() {
    let server = Server::new("api-log", Policy::new());
    assert_eq!(server.add("a%0a12:00:00Z%20201%20POST=b", b"").status, 400);
    assert_eq!(server.get("/\u{9b}31m").status, 404);
    let log = server.log.lock().unwrap();
    assert!(log.iter().any(|line| line.contains("\\n12:00:00Z")), "{log:?}");
    assert!(log.iter().all(|line| !line.contains(char::is_control)), "{log:?}");
}

#[test]
fn a_withheld_file_is_refused_with_the_reason() {
    let data = folder("api-withheld");
    let lenient = Fleet::open(&data, Policy::new().allowing_sample_keys()).unwrap();
    let bytes = sample(SAMPLES[0].0);
    let submission = submission("a", None, vec![bytes.clone()]);
    lenient.submit(&Submission { allow_sample_key: true, ..submission }).unwrap();
    drop(lenient);
    let server = Server::over(&data, Fleet::open(&data, Policy::new()).unwrap());
    let answer = server.get(&format!("/artifacts/{}", ArtifactId::of(&bytes)));
    assert_eq!((answer.status, answer.problem().as_str()), (403, "sample-key"));
}

#[test]
fn a_page_says_where_the_next_begins() {
    let server = Server::new("api-pages", Policy::new());
    for name in ["a", "b", "c%2B1"] {
        assert_eq!(server.add(&format!("name={name}"), &unsigned(1)).status, 201);
    }
    let page = server.get("/api/v1/releases?limit=2").json();
    assert_eq!((page["releases"].as_array().unwrap().len(), page["next"].as_str()), (2, Some("b")));
    let page = server.get("/api/v1/releases?limit=2&after=b").json();
    assert_eq!(page["releases"][0]["name"], "c+1");
    assert_eq!(page["next"], Value::Null);
}

#[test]
fn a_full_disk_is_told_and_got_over() {
    let data = folder("api-full");
    let (fleet, full) = on_a_full_disk(&data);
    let server = Server::over(&data, fleet);
    let refused = server.add("name=a", &unsigned(1));
    assert_eq!((refused.status, refused.problem().as_str()), (507, "storage"));
    full.store(false, Ordering::Relaxed);
    assert_eq!(server.add("name=a", &unsigned(1)).status, 201);
}

#[test]
fn a_request_that_has_begun_is_answered_before_the_server_ends() {
    let mut server = Server::new("api-stop", Policy::new());
    let bytes = unsigned(1);
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "POST /api/v1/releases?name=last HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\n\r\n",
        server.writer.reveal(),
        bytes.len()
    );
    stream.write_all(&[head.as_bytes(), &bytes[..100]].concat()).unwrap();
    // It has begun once the server has read something of it.
    std::thread::sleep(Duration::from_millis(300));
    drop(server.stop.take());
    std::thread::sleep(Duration::from_millis(300));
    assert!(TcpStream::connect(server.address).is_err(), "nobody new gets in");
    stream.write_all(&bytes[100..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}
