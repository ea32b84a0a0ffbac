//! Bytes on the wire for one image, flow by flow.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::fleet::{self, Flow, Lab, Line, Sum, Weather};

const LIMIT: Duration = Duration::from_secs(120);

/// What each flow costs: bytes of TCP streams, those of TLS included, those of TCP and IP not.
pub fn table(lab: &mut Lab, image: usize) {
    println!("## Bytes on the wire for an image of {image} bytes\n");
    println!("| flow | to the device | / image | from the device | / image |");
    println!("|---|---|---|---|---|");
    for (name, line) in [("MQTT", Line::Plain), ("MQTT, mutual TLS", Line::Tls)] {
        for (how, flow) in [
            ("job, whole image", Flow::Whole),
            ("job, chunk by chunk", Flow::Chunks),
            ("direct", Flow::Direct),
        ] {
            let sum = fleet::update(lab, line, flow, 1, Weather::Fair, LIMIT);
            assert_eq!(sum.identical, 1, "{name} {how}");
            row(&format!("{name}: {how}"), image, sum);
        }
    }
    for (name, flow) in [
        ("HTTP: job, then ranges", fleet::Http::Job),
        ("HTTP: ranges, without a job", fleet::Http::Direct),
        ("hawkBit's DDI over HTTP", fleet::Http::Ddi),
    ] {
        let server = files(lab.image());
        let sum = fleet::over_http(lab, server, flow, LIMIT);
        assert_eq!(sum.identical, 1, "{name}");
        row(name, image, sum);
    }
}

fn row(name: &str, image: usize, sum: Sum) {
    let of_image = |bytes: u64| bytes as f64 / image as f64;
    let (to, from) = (sum.received, sum.sent);
    println!("| {name} | {to} | {:.3} | {from} | {:.3} |", of_image(to), of_image(from));
}

/// A server of files and of updates for controllers; its port.
fn files(image: Vec<u8>) -> u16 {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let image = Arc::new(image);
    std::thread::spawn(move || {
        for line in server.incoming().flatten() {
            let image = Arc::clone(&image);
            std::thread::spawn(move || serve(line, &image, port));
        }
    });
    port
}

fn serve(mut line: TcpStream, image: &[u8], port: u16) {
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let Some(end) = said.windows(4).position(|it| it == b"\r\n\r\n") else {
            match line.read(&mut buffer) {
                Ok(len @ 1..) => said.extend_from_slice(&buffer[..len]),
                _ => return,
            }
            continue;
        };
        let head = String::from_utf8_lossy(&said[..end]).into_owned();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        let body: usize = field("Content-Length: ").map_or(0, |len| len.parse().unwrap());
        if said.len() < end + 4 + body {
            match line.read(&mut buffer) {
                Ok(len @ 1..) => said.extend_from_slice(&buffer[..len]),
                _ => return,
            }
            continue;
        }
        said.drain(..end + 4 + body);
        let answer = answer(&head, field("Range: bytes="), image, port);
        if line.write_all(&answer).is_err() {
            return;
        }
    }
}

fn answer(head: &str, range: Option<&str>, image: &[u8], port: u16) -> Vec<u8> {
    let whole = |body: String| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let root = format!("http://127.0.0.1:{port}/T/controller/v1/C");
    if let Some((from, last)) = range.and_then(|range| range.split_once('-')) {
        let (from, last): (usize, usize) = (from.parse().unwrap(), last.parse().unwrap());
        let data = &image[from..=last.min(image.len() - 1)];
        let range = format!("bytes {from}-{}/{}", from + data.len() - 1, image.len());
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: {range}\r\nContent-Length: {}\r\n\r\n",
            data.len()
        );
        return [head.as_bytes(), data].concat();
    }
    if head.starts_with("POST ") || head.starts_with("PUT ") {
        return whole(String::new());
    }
    if head.starts_with("GET /ota_update.json ") {
        return whole(fleet::document("HTTP"));
    }
    if head.starts_with("GET /T/controller/v1/C/deploymentBase/8 ") {
        return whole(format!(
            r#"{{"id":"8","deployment":{{"download":"forced","update":"forced","chunks":[{{"part":"os","version":"1.1.0","name":"app","artifacts":[{{"filename":"app.bin","size":{},"_links":{{"download-http":{{"href":"http://127.0.0.1:{port}/app.bin"}}}}}}]}}]}}}}"#,
            image.len()
        ));
    }
    whole(format!(
        r#"{{"config":{{"polling":{{"sleep":"00:05:00"}}}},"_links":{{"deploymentBase":{{"href":"{root}/deploymentBase/8"}}}}}}"#
    ))
}
