//! imgtool, in a Python process that is started once.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::workspace::Outcome;

/// The running process.
pub struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it in the current folder; `None` if foreign tools are left out of this run.
    pub fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let python: PathBuf = match std::env::var_os("UPDRAFT_IMGTOOL") {
            Some(imgtool) => Path::new(&imgtool).with_file_name("python"),
            None => root.join(".tools/venv/bin/python"),
        };
        if !python.exists() {
            assert!(
                std::env::var_os("UPDRAFT_CORE").is_some_and(|value| value == "1"),
                "imgtool's Python is missing at {}: run `cargo xtask setup`",
                python.display()
            );
            println!("left out: imgtool is missing, and UPDRAFT_CORE=1 asks for no foreign tools");
            return None;
        }
        let driver = root.join("crates/imgtool/tests/conformance/driver.py");
        let mut command = Command::new(python);
        let mut child = command
            .arg(driver.canonicalize().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, to, from })
    }

    /// Runs a command line.
    pub fn run(&mut self, args: &[String], passphrases: &[&str]) -> Outcome {
        writeln!(self.to, "{}", json!({ "args": args, "passphrases": passphrases })).unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let reply: Value = serde_json::from_str(&line).unwrap();
        let digits = reply["out"].as_str().unwrap();
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        Outcome {
            code: reply["code"].as_u64().unwrap() as u8,
            out: (0..digits.len()).step_by(2).map(byte).collect(),
            err: reply["err"].as_str().unwrap().to_owned(),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
