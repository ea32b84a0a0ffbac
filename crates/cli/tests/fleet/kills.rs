//! A server that is killed at any time loses nothing that it has acknowledged, and keeps nothing by
//! halves. What is there is read from its answers and hashed anew.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use updraft_image::{Digest, HashKind};

use crate::support::{Lab, Server, json};

const ROUNDS: u64 = 12;
const UPLOADERS: u64 = 3;

/// Uploads releases one after the other, slowly, until the server is gone. Returns the names of those
/// that were acknowledged.
fn upload(address: &str, token: &str, who: &str, image: &[u8], stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let name = format!("{who}-{number}");
        // Each has a file of its own: the bytes behind an image are not the image's.
        let file = [image, name.as_bytes()].concat();
        let Ok(mut stream) = TcpStream::connect(address) else { break };
        let head = format!(
            "POST /api/v1/releases?name={name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
            file.len()
        );
        let sent = stream.write_all(head.as_bytes()).and_then(|()| {
            file.chunks(file.len() / 3 + 1).try_for_each(|piece| {
                std::thread::sleep(Duration::from_millis(2));
                stream.write_all(piece)
            })
        });
        let mut answer = Vec::new();
        let read = sent.and_then(|()| stream.read_to_end(&mut answer).map(|_| ()));
        if answer.starts_with(b"HTTP/1.1 201") {
            acknowledged.push(name);
        } else if read.is_ok() && !answer.is_empty() {
            panic!("{}", String::from_utf8_lossy(&answer));
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    acknowledged
}

fn download(server: &Server, token: &str, sha256: &str) -> Vec<u8> {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /artifacts/{sha256} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    answer.split_off(head + 4)
}

#[test]
fn a_server_killed_in_the_middle_of_uploads_loses_nothing_and_keeps_no_half() {
    let seed = match std::env::var("UPDRAFT_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(),
    };
    let lab = Lab::new("kills");
    let token = lab.token("ci");
    let image = std::fs::read(lab.path("old.bin")).unwrap();
    let mut acknowledged = Vec::new();
    let mut random = seed;
    for round in 0..ROUNDS {
        let mut server = lab.serve("");
        let address = server.url.strip_prefix("http://").unwrap().to_owned();
        let stop = AtomicBool::new(false);
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let life = Duration::from_millis(30 + (random >> 33) % 300);
        std::thread::scope(|scope| {
            let uploaders: Vec<_> = (0..UPLOADERS)
                .map(|who| {
                    let (address, token, image, stop) = (&address, &token, &image, &stop);
                    let who = format!("r{round}-u{who}");
                    scope.spawn(move || upload(address, token, &who, image, stop))
                })
                .collect();
            std::thread::sleep(life);
            server.kill();
            stop.store(true, Ordering::Relaxed);
            for uploader in uploaders {
                acknowledged.extend(uploader.join().unwrap());
            }
        });
    }
    let server = lab.serve("");
    let releases = json(&lab.run(&server.line("list --json", &token)));
    let releases = releases.as_array().unwrap();
    let names: Vec<_> = releases.iter().map(|it| it["name"].as_str().unwrap()).collect();
    for name in &acknowledged {
        assert!(
            names.contains(&name.as_str()),
            "{name} was acknowledged, and is lost; seed {seed}"
        );
    }
    for release in releases {
        let (name, image) = (release["name"].as_str().unwrap(), &release["images"][0]);
        let sha256 = image["sha256"].as_str().unwrap();
        let bytes = download(&server, &token, sha256);
        assert_eq!(Digest::of(HashKind::Sha256, &bytes).to_string(), sha256, "{name}; seed {seed}");
    }
    // Nothing is there that no release has.
    let mut files = 0;
    for folder in std::fs::read_dir(lab.path("data/artifacts")).unwrap() {
        files += std::fs::read_dir(folder.unwrap().path()).unwrap().count();
    }
    assert_eq!(files, releases.len(), "seed {seed}");
    assert!(!acknowledged.is_empty());
    println!(
        "{ROUNDS} kills during uploads, seed {seed}: {} acknowledged, {} kept, none lost or half",
        acknowledged.len(),
        releases.len()
    );
}
