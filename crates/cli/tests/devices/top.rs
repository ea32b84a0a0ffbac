//! The dashboard, on a terminal of 120 × 40 characters that a test reads.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use updraft_pty::Pty;

use crate::support::{Bench, Device, SELF};

/// A dashboard on a terminal.
struct Screen {
    pty: Pty,
    keyboard: File,
    child: Child,
    written: String,
}

impl Screen {
    fn of(device: &Device, options: &str) -> Self {
        let pty = Pty::open().unwrap();
        let keyboard = File::options().read(true).write(true).open(pty.path()).unwrap();
        let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&keyboard, size).unwrap();
        let line = format!("smp --udp {} top {options}", device.address);
        let args: Vec<_> = line.trim().split(' ').collect();
        let child = device
            .client_command(env!("CARGO_BIN_EXE_updraft"), &args)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(keyboard.try_clone().unwrap())
            .stdout(keyboard.try_clone().unwrap())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        Self { pty, keyboard, child, written: String::new() }
    }

    /// Waits until all of `texts` have been drawn. What is blank already is not drawn, so that most
    /// of them are words.
    fn shows(&mut self, texts: &[&str]) {
        let until = Instant::now() + Duration::from_secs(30);
        let mut buffer = [0; 4096];
        while !texts.iter().all(|text| self.written.contains(text)) {
            let missing = texts.iter().find(|text| !self.written.contains(**text));
            assert!(Instant::now() < until, "{missing:?} is not on the screen");
            self.pty.wait(Duration::from_millis(100)).unwrap();
            let bytes = self.pty.receive(&mut buffer).unwrap();
            self.written += &String::from_utf8_lossy(bytes);
        }
    }

    fn press(&mut self, key: &str) {
        self.pty.send(key.as_bytes());
    }

    /// Waits for its end: it succeeded, and the terminal is as it was.
    fn ends(mut self) {
        let until = Instant::now() + Duration::from_secs(30);
        let mut buffer = [0; 4096];
        let ended = loop {
            // What is not read stops it.
            while !self.pty.receive(&mut buffer).unwrap().is_empty() {}
            if let Some(ended) = self.child.try_wait().unwrap() {
                break ended;
            }
            assert!(Instant::now() < until, "it goes on");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(ended.success(), "{ended}");
        tcgetattr(&self.keyboard).unwrap();
        self.keyboard.flush().unwrap();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn running(bench: &Bench) -> Device {
    let image = bench.image("1.0.0", SELF);
    let device = bench.device().load("primary", &image).start();
    device.wait("app: self-test passed");
    device
}

#[test]
fn a_dashboard_shows_slots_uptime_statistics_and_the_log() {
    let bench = Bench::new("top");
    let device = running(&bench);
    let mut screen = Screen::of(&device, "--every 0.2");
    screen.shows(&[
        "Slots",
        "1.0.0",
        "confirmed",
        "requests",
        "started by MCUboot",
        "self-test",
        "passed",
        "Round trip",
        "quit",
    ]);
    screen.press("q");
    screen.ends();
}

#[test]
fn a_device_that_restarts_is_waited_for() {
    let bench = Bench::new("top-restart");
    let device = running(&bench);
    let mut screen = Screen::of(&device, "--every 0.1");
    screen.shows(&["Slots"]);
    device.smp("os reset").ok();
    device.starts("1.0.0");
    screen.shows(&["restarted"]);
    screen.press("\x03");
    screen.ends();
}

#[test]
fn an_upload_is_shown_while_it_runs() {
    let bench = Bench::new("top-upload");
    let device = running(&bench);
    let new = bench.image("1.1.0", SELF);
    let mut screen = Screen::of(&device, &format!("--every 0.1 --upload {} --count 5", new.file));
    screen.shows(&["Upload", "left", "1.1.0"]);
    screen.ends();
    assert!(bench.slots().hold(&new));
}

#[test]
fn programs_get_a_line_for_every_look() {
    let bench = Bench::new("top-json");
    let device = running(&bench);
    let lines = device.smp("--json top --every 0.05 --count 3").ok();
    let looks: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(looks.len(), 3);
    assert_eq!(looks[0]["images"][0]["version"], "1.0.0");
    assert!(looks[2]["uptime_ms"].as_u64() > looks[0]["uptime_ms"].as_u64());
    // What the log had got before is told once.
    assert!(!looks[0]["log"].as_array().unwrap().is_empty());
    assert_eq!(looks[1]["log"].as_array().unwrap().len(), 0);
    let refused = device.smp("top").fails(2);
    assert!(refused.contains("a dashboard needs a terminal"), "{refused}");
    let refused = device.smp("top --every 0").fails(2);
    assert!(refused.contains("seconds from 0.05"), "{refused}");
}
