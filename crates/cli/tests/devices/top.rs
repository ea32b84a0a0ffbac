//! The dashboard, on a terminal of 120 × 40 characters that a test reads.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;
use updraft_pty::Pty;

use crate::support::{Bench, Device, Fate, Relay, SELF, Way};

/// A dashboard on a terminal.
pub struct Screen {
    pty: Pty,
    keyboard: File,
    child: Child,
    written: String,
}

impl Screen {
    fn of(device: &Device, options: &str) -> Self {
        Self::at(device, &device.address, options)
    }

    /// Of the device behind another address.
    fn at(device: &Device, address: &str, options: &str) -> Self {
        let line = format!("smp --udp {address} top {options}");
        let args: Vec<_> = line.trim().split(' ').collect();
        Self::new(device.client_command(env!("CARGO_BIN_EXE_updraft"), &args))
    }

    pub fn new(mut command: Command) -> Self {
        let pty = Pty::open().unwrap();
        let keyboard = File::options().read(true).write(true).open(pty.path()).unwrap();
        let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&keyboard, size).unwrap();
        let child = command
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
    pub fn shows(&mut self, texts: &[&str]) {
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

    pub fn press(&mut self, key: &str) {
        self.pty.send(key.as_bytes());
    }

    /// Waits for its end: it succeeded, and the terminal is as it was.
    pub fn ends(mut self) {
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

/// A link that takes its time.
fn slow(device: &Device) -> Relay {
    Relay::to(&device.address, |way, _| {
        if way == Way::ToDevice {
            std::thread::sleep(Duration::from_millis(10));
        }
        Fate::Passes
    })
}

#[test]
fn an_upload_is_shown_while_it_runs_and_everything_else_goes_on() {
    let bench = Bench::new("top-upload");
    let device = running(&bench);
    let (new, link) = (bench.image_of(200_000, "1.1.0", SELF), slow(&device));
    let options = format!("--every 0.1 --upload {} --count 3", new.file);
    let mut screen = Screen::at(&device, &link.address, &options);
    screen.shows(&["Upload", "left"]);
    // The device's own count of it, asked for meanwhile.
    screen.shows(&["offset", "/s"]);
    screen.shows(&["1.1.0"]);
    screen.ends();
    assert!(bench.slots().hold(&new));
}

#[test]
fn an_upload_can_be_left_and_taken_up_again() {
    let bench = Bench::new("top-left");
    let device = running(&bench);
    let (new, link) = (bench.image_of(200_000, "1.1.0", SELF), slow(&device));
    let mut screen = Screen::at(&device, &link.address, &format!("--upload {}", new.file));
    screen.shows(&["Upload", "left"]);
    screen.press("q");
    screen.ends();
    assert!(!bench.slots().hold(&new));
    let said = device.smp(&format!("--json image upload {}", new.file)).json();
    assert!(said["resumed_at"].as_u64() > Some(0), "{said}");
}

#[test]
fn programs_see_an_upload_too() {
    let bench = Bench::new("top-json-upload");
    let device = running(&bench);
    let (new, link) = (bench.image_of(200_000, "1.1.0", SELF), slow(&device));
    let line = format!("--json smp --udp {} top --every 0.2 --count 2 --upload", link.address);
    let said = bench.updraft(&format!("{line} {}", new.file)).ok();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let done: Vec<u64> = lines.iter().filter_map(|line| line["upload"]["done"].as_u64()).collect();
    assert!(done.len() > 1 && done.is_sorted(), "{done:?}");
    assert!(lines.iter().any(|line| line["uploaded"]["verified"] == true));
    assert!(bench.slots().hold(&new));
}

#[test]
fn programs_get_a_line_for_every_look() {
    let bench = Bench::new("top-json");
    let device = running(&bench);
    let lines = device.smp("--json top --every 0.05 --count 3").ok();
    let looks: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
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
