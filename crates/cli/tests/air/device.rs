//! Virtual devices on the network: `updraft device run --ota`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::support::{LONG, Lab, foreign};

/// A device that somebody plays: its console, and what they type.
pub struct Played {
    process: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    told: Vec<String>,
}

impl Played {
    pub fn start(lab: &Lab, line: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(line.split_whitespace()).current_dir(lab.path(""));
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines();
            lines.map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        Self { process, input, lines, told: Vec::new() }
    }

    pub fn says(&mut self, wanted: &[&str]) {
        self.says_within(LONG, wanted);
    }

    /// The same of what takes no time: from one line to the next no more than that.
    fn says_within(&mut self, patience: Duration, wanted: &[&str]) {
        for text in wanted {
            loop {
                let line = self.lines.recv_timeout(patience);
                let line = line.unwrap_or_else(|_| panic!("no `{text}`: {:#?}", self.told));
                self.told.push(line.clone());
                if line.contains(text) {
                    break;
                }
            }
        }
    }

    fn types(&mut self, text: &str) {
        writeln!(self.input, "{text}").unwrap();
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An image of an application that does as `about` says.
pub fn image(lab: &Lab, version: &str, about: &str, len: usize) {
    let mut body = format!("updraft-app 1\nself-test-ms = 20\n{about}\n\0").into_bytes();
    body.extend((0..len).map(|i| (i * 7 + i / 4096) as u8 | 1));
    std::fs::write(lab.path("body.bin"), body).unwrap();
    let sign = "image sign --board virtual-nor-4k --key key.pem --version";
    lab.ok(&format!("{sign} {version} body.bin {version}.bin"));
}

fn run(lab: &Lab, port: u16, more: &str) -> String {
    let scheme = if port == lab.tls { "mqtts" } else { "mqtt" };
    format!(
        "device run --flash dev.flash --key key.pem --udp 127.0.0.1:0 --ota \
         {scheme}://127.0.0.1:{port} --ota-board KIT {more}"
    )
}

#[test]
fn an_application_that_says_so_fetches_its_update_and_the_agent_confirms_it() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("device-updates", 1000);
    let _broker = lab.broker();
    for port in [lab.tls, lab.plain] {
        let _ = std::fs::remove_file(lab.path("dev.flash"));
        let _ = std::fs::remove_file(lab.path("dev.flash.ota"));
        image(&lab, "1.0.0", "does = update\nask = 0", 1000);
        // As images for emulated boards say it.
        image(&lab, "1.1.0", "ask = button\nserver = 10.0.2.2:1883\nconfirm = host", 60_000);
        let mut publisher = lab.publish(port, "--board-name KIT -f 1.1.0.bin");
        let mut device = Played::start(&lab, &run(&lab, port, "--load primary=1.0.0.bin"));
        device.says(&[
            "app: app 1.0.0+0 started",
            "app: update: job received",
            "app: update: fetching",
            "app: update: 8 of 15 blocks",
            "app: update: verifying",
            "app: update: ready to activate",
            "app: update: asked for, at the next start",
            "app: resets",
            "(reset by its update agent)",
            "boot: new image installed (test)",
            "boot: starting 1.1.0",
            "app: self-test passed, image confirmed",
        ]);
        publisher.wait("succeeded");
        // It stays, and asks at the button.
        device.types("reset");
        device.says(&["boot: starting 1.1.0", "app: self-test passed"]);
        device.types("button");
        let at_once = Duration::from_secs(10);
        device.says_within(at_once, &["app: button pressed, asks for an update"]);
        publisher.wait("nothing-newer");
    }
}

#[test]
fn an_update_that_fails_its_test_goes_back_and_a_power_cut_loses_no_block() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("device-reverts", 1000);
    let _broker = lab.broker();
    image(&lab, "1.0.0", "does = update\nask = button", 1000);
    image(&lab, "1.1.0", "does = update\nself-test = fail", 100_000);
    let _publisher = lab.publish(lab.plain, "--board-name KIT -f 1.1.0.bin");
    let mut device = Played::start(&lab, &run(&lab, lab.plain, "--load primary=1.0.0.bin"));
    device.says(&["app: self-test passed"]);
    // In the middle of the blocks, of which each is written in one operation.
    device.types("cut 12");
    device.types("button");
    device.says(&["power lost"]);
    device.types("on");
    device.says(&["boot: starting 1.0.0", "app: self-test passed"]);
    // What was held is not fetched again. An update may fail twice.
    for taken_up in ["app: update: goes on with ", "app: update: fetching"] {
        device.types("button");
        device.says(&[
            "app: update: job received",
            taken_up,
            "app: resets",
            "boot: new image installed (test)",
            "app: self-test failed",
            "app: update: failed: the new image failed its test",
            "boot: image under test not confirmed: reverted",
            "boot: starting 1.0.0",
            "app: self-test passed",
        ]);
    }
    device.types("button");
    device.says(&["app: update: refused: the same update has failed before"]);
}

#[test]
fn an_update_waits_as_the_image_says_and_the_console_names_what_for() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("device-waits", 1000);
    let _broker = lab.broker();
    image(&lab, "1.0.0", "does = update\nask = 0\nwait = user:3", 1000);
    image(&lab, "1.1.0", "does = update\nask = button", 20_000);
    let mut publisher = lab.publish(lab.plain, "--board-name KIT -f 1.1.0.bin");
    let mut device = Played::start(&lab, &run(&lab, lab.plain, "--load primary=1.0.0.bin"));
    device.says(&["app: update: job received", "app: update: has to wait: user"]);
    let waits = Instant::now();
    device.says(&["app: update: goes on", "app: update: fetching"]);
    assert!(waits.elapsed() > Duration::from_secs(1), "{:?}", waits.elapsed());
    device.says(&["boot: starting 1.1.0", "app: self-test passed, image confirmed"]);
    publisher.wait("succeeded");
}

#[test]
fn an_application_that_does_not_say_so_is_left_alone() {
    if !foreign("mosquitto") {
        return;
    }
    let lab = Lab::new("device-alone", 1000);
    let _broker = lab.broker();
    image(&lab, "1.0.0", "confirm = self", 1000);
    let mut device = Played::start(&lab, &run(&lab, lab.plain, "--load primary=1.0.0.bin"));
    device.says(&["app: self-test passed"]);
    device.types("button");
    device.says(&["app: button held for 100 ms"]);
    assert!(device.told.iter().all(|line| !line.contains("update")), "{:?}", device.told);
}
