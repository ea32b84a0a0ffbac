//! The rows of the tables.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::clients::{Client, Target};
use crate::links;
use crate::stub::{Buffers, Seen, Stub};

/// Bytes of the build; signing adds a header and TLVs.
const BUILD: usize = 512 << 10;
/// A server of the field: Zephyr's largest usual buffer, and one for each request of a window of 7.
const EIGHT: Buffers = Buffers { size: 2048, count: 8 };

/// An image and what a device says of it.
struct Image {
    folder: PathBuf,
    file: PathBuf,
    len: usize,
    hash: Vec<u8>,
}

/// One upload.
struct Upload {
    seen: Seen,
    process: Duration,
}

impl Upload {
    fn time(&self) -> f64 {
        self.seen.time.map_or(f64::NAN, |(first, last)| (last - first).as_secs_f64())
    }
}

pub fn run() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|arg| arg == name);
    for client in Client::ALL.into_iter().filter(|client| !client.is_there()) {
        println!("left out: {} is not there: run `cargo xtask setup`", client.name());
    }
    let image = Image::new();
    let mut bars = Vec::new();
    if wanted("udp") {
        udp(&image, &mut bars);
    }
    if wanted("serial") {
        serial(&image, &mut bars);
    }
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        let load = load.split(' ').next().unwrap_or_default();
        println!(
            "Load average at the end: {load}. Clients that wait for each answer lose time on a \
             busy machine; those with several requests under way do not.\n"
        );
    }
    println!("## Bars\n\n| | at least | found | |\n|---|---:|---:|---|");
    for Bar { what, least, found } in bars {
        let verdict = if found >= least { "met" } else { "missed" };
        println!("| {what} | {least} | {found:.2} | {verdict} |");
    }
}

/// What is asked of our client.
struct Bar {
    what: String,
    least: f64,
    found: f64,
}

fn clients() -> impl Iterator<Item = Client> {
    Client::ALL.into_iter().filter(|client| client.is_there())
}

fn udp(image: &Image, bars: &mut Vec<Bar>) {
    println!("## UDP\n");
    println!("Buffers of {} bytes.\n", EIGHT.size);
    println!(
        "| round trip | buffers | client | requests | chunk | upload | KiB/s | process | updraft is |"
    );
    println!("|---:|---:|---|---:|---:|---:|---:|---:|---:|");
    for (millis, count, turns) in [(0, 8, 7), (10, 4, 1), (10, 8, 3), (50, 8, 1)] {
        let round_trip = Duration::from_millis(millis);
        let buffers = Buffers { count, ..EIGHT };
        let mut uploads: Vec<Vec<Upload>> = clients().map(|_| Vec::new()).collect();
        for _ in 0..turns {
            for (client, uploads) in clients().zip(&mut uploads) {
                let stub = image.stub(buffers);
                let running = links::udp(stub, ([127, 0, 0, 1], 1337).into(), round_trip);
                let process = client.upload(&Target::Udp, &image.file);
                let stub = running.end();
                uploads.push(upload(client, process, stub));
            }
        }
        let uploads: Vec<Upload> = uploads.into_iter().map(middle).collect();
        let ours = uploads.first().map_or(f64::NAN, Upload::time);
        for (client, upload) in clients().zip(&uploads) {
            println!(
                "| {millis} ms | {count} | {} | {} | {} | {} | {:.0} | {} | {} |",
                client.name(),
                upload.seen.requests,
                upload.seen.chunk,
                time(upload.time()),
                image.rate(upload),
                time(upload.process.as_secs_f64()),
                times(client, upload.time() / ours),
            );
            let least = match (client, millis, count) {
                (Client::Updraft, ..) | (_, 1.., 4) => continue,
                (Client::Smpmgr, 0, _) => 5.0,
                (_, 0, _) => 1.0,
                _ => 3.0,
            };
            let what = format!("UDP, {millis} ms: times as fast as {}", client.name());
            bars.push(Bar { what, least, found: upload.time() / ours });
        }
    }
    println!();
}

/// Baud, bytes of a buffer, number of buffers, and who uploads.
type Row = (u32, Buffers, Client);

fn serial(image: &Image, bars: &mut Vec<Bar>) {
    println!("## Serial lines, console framing\n");
    println!(
        "The limits are those of the wire for requests of the chunk that the client sent: with the \
         answer to one awaited before the next, and back to back. mcumgrctl waits for every answer \
         and takes no time of its own: that it comes to its limit, and not past it, shows that the \
         line is as fast as it says.\n"
    );
    println!(
        "| baud | buffers | client | requests | chunk | upload | KiB/s | limit, waiting | of it | \
         limit, back to back | of it |"
    );
    println!("|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut rows: Vec<Row> = Vec::new();
    for baud in [115_200, 1_000_000] {
        for size in [256, 384, 1024, 2048] {
            rows.push((baud, Buffers { size, count: 4 }, Client::Updraft));
        }
        rows.push((baud, Buffers { size: 384, count: 2 }, Client::Updraft));
        let with = |client| (baud, Buffers { size: 384, count: 4 }, client);
        rows.extend([Client::Mcumgrctl, Client::Smpmgr].into_iter().map(with));
    }
    rows.retain(|row| row.2.is_there());
    // A slow line leaves the machine idle: all of them at once. A fast one has it for itself.
    let (slow, fast): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.0 < 500_000);
    let uploads: Vec<Upload> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            slow.iter().map(|row| scope.spawn(|| over_a_line(image, *row))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (row, upload) in slow.into_iter().zip(uploads) {
        bars.extend(print_line(image, row, &upload));
    }
    for row in fast {
        bars.extend(print_line(image, row, &over_a_line(image, row)));
    }
    println!();
}

fn over_a_line(image: &Image, (baud, buffers, client): Row) -> Upload {
    let (running, port) = links::serial(image.stub(buffers), baud);
    let process = client.upload(&Target::Serial { port, baud }, &image.file);
    let stub = running.end();
    upload(client, process, stub)
}

fn print_line(image: &Image, (baud, buffers, client): Row, upload: &Upload) -> Option<Bar> {
    let rate = image.rate(upload);
    let (waiting, back_to_back) = limits(upload.seen.chunk, baud);
    println!(
        "| {baud} | {} × {} | {} | {} | {} | {} | {rate:.2} | {waiting:.2} | {:.1} % | \
         {back_to_back:.2} | {:.1} % |",
        buffers.count,
        buffers.size,
        client.name(),
        upload.seen.requests,
        upload.seen.chunk,
        time(upload.time()),
        100.0 * rate / waiting,
        100.0 * rate / back_to_back,
    );
    let (limit, least) = match (client, buffers.count) {
        // Two buffers are one request and its answer.
        (Client::Updraft, 2) => (waiting, 0.95),
        (Client::Updraft, _) => (back_to_back, 0.95),
        (Client::Mcumgrctl, _) => (waiting, 0.97),
        (Client::Smpmgr, _) => return None,
    };
    let what = format!(
        "{baud} baud, {} × {}: {} beside its limit",
        buffers.count,
        buffers.size,
        client.name()
    );
    Some(Bar { what, least, found: rate / limit })
}

/// KiB of image per second on a line of so many bits per second, for chunks of so many bytes: a
/// request after the answer to the one before, and one behind the other.
///
/// A request past 64 KiB has 26 bytes around its chunk, 25 where that has less than 256; an answer
/// takes 35 on the wire. A line of 127 bytes carries 93.
fn limits(chunk: usize, baud: u32) -> (f64, f64) {
    let packet = chunk + if chunk < 256 { 25 } else { 26 } + 4;
    let wire = 4 * packet.div_ceil(3) + 3 * packet.div_ceil(93);
    let rate = |bytes: usize| chunk as f64 / 1024.0 / (bytes as f64 * 10.0 / f64::from(baud));
    (rate(wire + 35), rate(wire))
}

fn upload(client: Client, process: Result<Duration, String>, stub: Stub) -> Upload {
    let process = process.unwrap_or_else(|why| panic!("{}: {why}", client.name()));
    if stub.seen.dropped > 0 {
        eprintln!("{}: no buffer for {} requests", client.name(), stub.seen.dropped);
    }
    Upload { seen: stub.seen, process }
}

/// The upload in the middle.
fn middle(mut uploads: Vec<Upload>) -> Upload {
    uploads.sort_by(|a, b| a.time().total_cmp(&b.time()));
    uploads.swap_remove(uploads.len() / 2)
}

fn times(client: Client, times: f64) -> String {
    match client {
        Client::Updraft => String::new(),
        _ => format!("{times:.1} × as fast"),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        ..0.1 => format!("{:.1} ms", 1000.0 * seconds),
        _ => format!("{seconds:.2} s"),
    }
}

impl Image {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("updraft-bench-smp-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let build: Vec<u8> = (0..BUILD as u32).map(|at| (at.wrapping_mul(at) >> 9) as u8).collect();
        let (raw, file) = (folder.join("build.bin"), folder.join("image.bin"));
        std::fs::write(&raw, build).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(["image", "sign", "-v", "1.1.0", "--header-size", "0x200", "--pad-header"]);
        command.args(["--slot-size", "0x100000", "--align", "8", "--json"]);
        let output = command.args([&raw, &file]).output().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let digits = said["hash"].as_str().unwrap();
        let hash = (0..digits.len()).step_by(2);
        let hash = hash.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        let len = std::fs::metadata(&file).unwrap().len() as usize;
        Self { folder, file, len, hash }
    }

    fn stub(&self, buffers: Buffers) -> Stub {
        Stub::new(buffers, ("1.1.0".to_owned(), self.hash.clone()))
    }

    /// KiB per second, without the chunk whose arrival starts the clock.
    fn rate(&self, upload: &Upload) -> f64 {
        (self.len - upload.seen.first) as f64 / 1024.0 / upload.time()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let folder: &Path = &self.folder;
        let _ = std::fs::remove_dir_all(folder);
    }
}
