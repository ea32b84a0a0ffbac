//! Our client against Zephyr 4.4.0 over serial lines: consoles with buffers and lines of every
//! size, messages one behind the other, and a shell on the same line.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::{Bench, Said, firmware, zephyr};

/// Those that would leave their flash in a file.
const WITH_FLASH: [&str; 3] = ["serial", "serial_bigrx", "serial_fs"];

/// A server as a process; it prints where its line is.
struct Server {
    child: Child,
    port: String,
    framing: &'static str,
}

impl Server {
    fn start(variant: &str, framing: &'static str) -> Option<Self> {
        let program = zephyr(&format!("native_sim_{variant}.exe"))?;
        let mut command = Command::new(program);
        if WITH_FLASH.contains(&variant) {
            command.arg("-flash_in_ram");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("connected to pseudotty: ")?;
            Some(port.trim().to_owned())
        });
        let port = port.unwrap_or_else(|| panic!("{variant}: the Zephyr server ended"));
        // Somebody has to take what it prints.
        std::thread::spawn(move || lines.count());
        Some(Self { child, port, framing })
    }

    fn smp(&self, line: &str) -> Said {
        let line = format!("smp --serial {} --framing {} {line}", self.port, self.framing);
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        Said::new(&line, command.args(line.split(' ')).env("COLUMNS", "80").output().unwrap())
    }

    /// Has it say so many letters again.
    fn echoes(&self, len: usize) {
        let text = "x".repeat(len);
        assert_eq!(self.smp(&format!("os echo {text}")).ok().trim_end(), text);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn buffers_of_every_size_are_filled_to_the_byte() {
    // Variant, size of its buffers, bytes of text that fill one in an echo: framing takes 4,
    // header and map 13 or 14. A request has to fit a datagram as well.
    let variants = [
        ("serial_buf96", 96, 79),
        ("serial_buf256", 256, 239),
        ("serial_buf400", 400, 382),
        ("serial_buf512", 512, 494),
        ("serial_buf1024", 1024, 1006),
        ("serial_buf2048", 2048, 1400),
        ("serial_line512", 2048, 1400),
        ("serial_bigrx", 384, 366),
    ];
    for (variant, size, longest) in variants {
        let Some(server) = Server::start(variant, "console") else { return };
        let params = server.smp("--json os params").json();
        assert_eq!((&params["buf_size"], &params["buf_count"]), (&size.into(), &4.into()));
        [1, 40, longest / 2, longest].into_iter().for_each(|len| server.echoes(len));
        assert!(server.smp("stat list").ok().contains("smp_svr_stats"));
    }
    println!("Zephyr 4.4.0 console: {0} of {0} sizes of buffers and lines", variants.len());
}

#[test]
fn a_console_that_does_not_tell_its_buffers_is_spoken_to_in_short_messages() {
    let Some(server) = Server::start("serial_noparams", "console") else { return };
    assert_eq!(server.smp("os params").ok(), "the device does not tell\n");
    server.echoes(100);
    assert_eq!(server.smp("--json enum list").json()["groups"], serde_json::json!([10, 0, 2]));
}

#[test]
fn messages_without_a_console_are_spoken_to_zephyr() {
    let Some(server) = Server::start("serial_raw", "raw") else { return };
    assert_eq!(server.smp("--json os params").json()["buf_size"], 384);
    [1, 200, 360].into_iter().for_each(|len| server.echoes(len));
    assert_eq!(server.smp("--json enum count").json()["count"], 5);
    server.smp("os reset").ok();
}

#[test]
fn a_shell_on_the_line_is_no_obstacle() {
    let Some(server) = Server::start("shell", "console") else { return };
    // What somebody typed stands before the first message.
    std::fs::write(&server.port, "kernel uptime\r\n").unwrap();
    [1, 100, 366].into_iter().for_each(|len| server.echoes(len));
    assert_eq!(server.smp("--json enum list").json()["groups"], serde_json::json!([10, 0, 2]));
}

/// As Zephyr is built by default, it takes two lines ahead. Nothing slows a pseudo-terminal down.
#[test]
fn a_device_that_takes_two_lines_ahead_gets_longer_messages_at_the_pace_of_a_wire() {
    let Some(server) = Server::start("serial", "console") else { return };
    server.echoes(160);
    server.echoes(366);
    let bench = Bench::new("zephyr-serial-paced");
    let bytes = firmware(Vec::new(), 2000, "1.0.0");
    bench.file("data", &bytes);
    let there = bench.path("data").display().to_string();
    server.smp(&format!("fs put {there} /lfs1/data")).ok();
    let there = server.smp("--json fs hash /lfs1/data --type sha256").json();
    assert_eq!(there["len"], 2000, "{there}");
}

#[test]
fn files_are_carried_over_zephyrs_console() {
    let Some(server) = Server::start("serial_fs", "console") else { return };
    let bench = Bench::new("zephyr-serial-files");
    let bytes = firmware(Vec::new(), 6000, "1.0.0");
    bench.file("data", &bytes);
    let (there, back) = (bench.path("data").display().to_string(), bench.path("back"));
    let put = server.smp(&format!("--json fs put {there} /lfs1/data")).json();
    assert_eq!(put["verified"], "sha256", "{put}");
    let got = server.smp(&format!("--json fs get /lfs1/data {}", back.display())).json();
    assert_eq!(got["verified"], "sha256", "{got}");
    assert_eq!(std::fs::read(back).unwrap(), bytes);
}
