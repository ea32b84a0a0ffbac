//! `updraft device run --qemu`: what a user does with an emulated board, by its lines of standard input and
//! its serial line.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Chip, MICROBIT, MICROBIT_FACTORY, MPS2, MPS2_NETWORKED, free_port};
use crate::story::HOST;

/// How long anything may take on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(60);
const RUNS: &str = "app: self-test passed";

/// The command, at work.
struct Desk {
    child: Child,
    lines: Receiver<String>,
    told: String,
}

impl Desk {
    /// Starts the bench's board on the flash file `mine.bin`, with these options too.
    fn start(bench: &Bench, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(["device", "run", "--qemu", "--board", bench.chip.board]);
        command.args(["--flash", "mine.bin", "--serial", "line"]).args(options);
        command.current_dir(bench.path("")).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (tell, lines) = channel();
        follow(child.stdout.take().unwrap(), tell.clone());
        follow(child.stderr.take().unwrap(), tell);
        Self { child, lines, told: String::new() }
    }

    fn type_in(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for a line with this text, behind the last one that was waited for.
    fn wait(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no `{text}`:\n{}", self.told));
            self.told = format!("{}{line}\n", self.told);
            if line.contains(text) {
                return;
            }
        }
    }

    /// Stops it as a user does; it has to end well.
    fn quit(mut self) {
        self.type_in("quit");
        assert!(self.child.wait().unwrap().success(), "{}", self.told);
    }

    /// Ctrl-C.
    fn interrupt(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "{}", self.told);
    }
}

fn follow(output: impl Read + Send + 'static, tell: Sender<String>) {
    thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).all(|line| tell.send(line).is_ok())
    });
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn smp(bench: &Bench, args: &[&str]) -> String {
    bench.updraft(&[&["smp", "--serial", "line"], args].concat()).ok()
}

/// An update with the power cut before, during and after the swap, and the flash that stays.
fn a_user_updates_a_board(chip: Chip) {
    let Some(bench) = Bench::new(chip, "launch") else { return };
    let [old, new] = ["1.0.0", "2.0.0"].map(|version| bench.image_with_tail(version, HOST, 8192));
    let load = format!("primary={}", old.path.display());
    let mut desk = Desk::start(&bench, &["--load", &load]);
    desk.wait("updraft smp --serial line image list");
    desk.wait("boot: starting 1.0.0");
    desk.wait(RUNS);
    let path = new.path.to_str().unwrap();
    smp(&bench, &["image", "upload", path]);
    smp(&bench, &["image", "test", path]);
    desk.type_in("cut");
    desk.wait("power cut now");
    desk.type_in("reset");
    desk.wait("the power is off");

    desk.type_in("on");
    desk.type_in("cut 300");
    desk.wait("power cut before a store to flash");
    desk.type_in("on");
    desk.wait("boot: starting 2.0.0");
    desk.wait(RUNS);
    smp(&bench, &["image", "confirm"]);
    desk.type_in("slots");
    desk.wait("trailer");
    desk.wait("2.0.0");
    desk.wait("1.0.0");
    desk.interrupt();

    let mut desk = Desk::start(&bench, &[]);
    desk.wait("boot: starting 2.0.0");
    desk.wait(RUNS);
    assert!(!desk.told.contains("reverted"), "{}", desk.told);
    let busy =
        bench.updraft(&["device", "run", "--qemu", "--board", chip.board, "--flash", "mine.bin"]);
    assert!(busy.refused().contains("flash of a device that is running"));
    desk.quit();
}

#[test]
fn a_user_updates_a_board_whose_flash_is_in_a_file() {
    a_user_updates_a_board(MPS2);
}

#[test]
fn a_user_updates_a_board_whose_flash_is_in_the_emulator() {
    a_user_updates_a_board(MICROBIT);
}

#[test]
fn the_button_is_held_from_standard_input() {
    let Some(bench) = Bench::new(MICROBIT_FACTORY, "launch-button") else { return };
    let [factory, old] = ["0.9.0", "1.0.0"].map(|version| bench.image(version, HOST));
    let loads = [("factory", &factory), ("primary", &old)]
        .map(|(area, image)| format!("{area}={}", image.path.display()));
    let mut desk = Desk::start(&bench, &["--load", &loads[0], "--load", &loads[1]]);
    desk.wait("`hold`, `reset`: back to the factory image");
    desk.wait("boot: starting 1.0.0");
    desk.wait(RUNS);
    desk.type_in("hold");
    desk.type_in("reset");
    desk.wait("Rollback initiated at startup");
    desk.wait("boot: starting 0.9.0");
    desk.type_in("release");
    desk.quit();
}

#[test]
fn a_board_on_a_network_answers_at_a_port_of_this_computer() {
    let Some(bench) = Bench::new(MPS2_NETWORKED, "launch-network") else { return };
    let image = bench.image("1.0.0", HOST);
    let (load, at) = (format!("primary={}", image.path.display()), free_port());
    let at = format!("127.0.0.1:{at}");
    let mut desk = Desk::start(&bench, &["--load", &load, "--network", "--udp", &at]);
    desk.wait(&format!("SMP on {at}"));
    desk.wait(RUNS);
    let listed = bench.updraft(&["smp", "--udp", &at, "image", "list"]).ok();
    assert!(listed.contains("1.0.0"), "{listed}");
    desk.quit();
}

/// What is missing is told in a line, and what brings it.
#[test]
fn whoever_lacks_something_is_told_what() {
    let folder = std::env::temp_dir().join(format!("updraft-launch-{}", std::process::id()));
    let programs = folder.join("microbit");
    std::fs::create_dir_all(&programs).unwrap();
    let run = |board: &str, firmware: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(["device", "run", "--qemu", "--board", board, "--firmware", firmware]);
        // There is nothing here that could be QEMU.
        command.current_dir(&folder).env("PATH", &folder).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run("virtual-nor-4k", ".");
    assert!(said.contains("no machine for virtual-nor-4k, but for mps2-an386, microbit"), "{said}");
    let said = run("microbit", ".");
    assert!(said.contains("no firmware for microbit"), "{said}");
    assert!(said.contains("cargo xtask firmware microbit"), "{said}");
    std::fs::write(programs.join("bootloader.bin"), [0; 64]).unwrap();
    let said = run("microbit", ".");
    assert!(said.contains("qemu-system-arm is not there"), "{said}");
    assert!(said.contains("apt-get install qemu-system-arm"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}
