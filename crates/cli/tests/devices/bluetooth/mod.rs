//! Bluetooth LE, on virtual controllers that share the air in one process (bumble, from PyPI): our
//! central and our peripheral against each other, and each against stacks that are not ours.
//!
//! These controllers encrypt in name only. They ask both hosts for the key, though, and give the link up
//! unless it is the same, which is how a real one ends for whoever has another.

mod faults;
mod foreign;
mod ours;
#[cfg(unix)]
mod uart;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::support::{Bench, Device, Image, SELF, Said, Setup, tool};

/// What the virtual device is called.
const NAME: &str = "updraft";

/// A Python program of this folder, ended when it is dropped.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that runs a script of this folder with bumble. `None`: left out.
fn script(name: &str) -> Option<Command> {
    let mut command = Command::new(tool("venv/bin/python")?);
    command.arg(format!("{}/tests/devices/bluetooth/{name}", env!("CARGO_MANIFEST_DIR")));
    Some(command)
}

/// A bench with two radios in reach of each other.
struct Air {
    bench: Bench,
    program: Program,
    ports: Vec<String>,
}

impl Air {
    fn new(name: &str) -> Option<Self> {
        let mut command = script("air.py")?;
        command.arg("2");
        let mut program = Program::start(command);
        let ports: Vec<String> = program.line().split(' ').map(str::to_owned).collect();
        assert_eq!(ports.len(), 2, "the air has not come up");
        Some(Self { bench: Bench::new(name), program, ports })
    }

    /// A device on the first radio, with its flash in `dev.flash`.
    fn device(&self, options: &[&str]) -> Setup<'_> {
        let controller = format!("hci-tcp:127.0.0.1:{}", self.ports[0]);
        self.bench.device().with(&["--ble", &controller]).with(options)
    }

    /// One that runs 1.0.0.
    fn running(&self, options: &[&str]) -> (Device, Image) {
        let image = self.bench.image("1.0.0", SELF);
        let device = self.device(options).load("primary", &image).start();
        device.wait("app: self-test passed");
        (device, image)
    }

    /// Our client on the second radio.
    fn updraft(&self, line: &str) -> Said {
        self.bench.updraft(&self.line(line))
    }

    fn line(&self, line: &str) -> String {
        let port = &self.ports[1];
        format!("smp --ble {NAME} --controller hci-tcp:127.0.0.1:{port} {line}")
    }

    /// Our client, running on.
    fn start(&self, line: &str) -> Running {
        let line = self.line(line);
        let mut command = self.command(&line);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: command.spawn().unwrap(), line }
    }

    /// A command that is to be run here.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        command.args(line.split(' ')).current_dir(self.bench.path("."));
        command.env("UPDRAFT_DEVICES", self.bench.path("devices.toml"));
        command
    }

    /// A foreign program on the second radio, against the virtual device.
    fn python(&self, name: &str, line: &str) -> Said {
        let mut command = script(name).unwrap();
        command.args([&self.ports[1], NAME]).args(line.split(' '));
        command.current_dir(self.bench.path("."));
        Said::new(&format!("{name} {line}"), command.output().unwrap())
    }
}

/// A client that is at work.
struct Running {
    child: Child,
    line: String,
}

impl Running {
    fn ended(self) -> Said {
        Said::new(&self.line, self.child.wait_with_output().unwrap())
    }
}
