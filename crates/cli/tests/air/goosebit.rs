//! hawkBit's protocol with goosebit, a server that others wrote.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Lab, Process, answers, foreign, free_port};

/// A server with `image` for every device.
pub fn goosebit(lab: &Lab, image: &str, version: &str) -> (Process, u16) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = here.join("../../.tools/venv/bin/python");
    assert!(python.exists(), ".tools/venv is not there: `cargo xtask setup` brings it");
    let port = free_port();
    let mut command = Command::new(python);
    command.arg(here.join("tests/air/serve_goosebit.py")).arg(port.to_string());
    command.args([image, version, "."]).current_dir(lab.path(""));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let server = Process(child);
    answers(port);
    (server, port)
}

/// What the server has of a device: the version that it runs, how the update went, what it said.
pub fn device(lab: &Lab, name: &str) -> String {
    let script = format!(
        "import sqlite3; print(sqlite3.connect('goosebit.sqlite3').execute(
         \"select sw_version, last_state, last_log from device where id='{name}'\").fetchall())"
    );
    let mut command = Command::new("python3");
    let output = command.args(["-c", &script]).current_dir(lab.path("")).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn goosebit_updates_a_device_and_hears_how_it_went() {
    if !foreign("goosebit") {
        return;
    }
    let lab = Lab::new("goosebit", 60_000);
    let (_server, port) = goosebit(&lab, "1.1.0.bin", "1.1.0");
    let fetch = |name: &str, file: &str| {
        let server = format!("http://127.0.0.1:{port} --ddi DEFAULT/{name} --timeout 60");
        format!("fetch {server} --key key.pem --out {file}")
    };
    assert_eq!(lab.ok(&fetch("good", "got.bin")), "installed 1.1.0\n");
    assert!(lab.holds("got.bin", "1.1.0"));
    let known = device(&lab, "good");
    // 5: finished.
    assert!(known.contains("('1.1.0', 5,") && known.contains("accepted"), "{known}");

    // Whoever trusts another key refuses the image, and the server hears of that, too.
    lab.ok("key new --type ed25519 stranger.pem");
    let line = fetch("wary", "wary.bin").replace("key.pem", "stranger.pem");
    let said = lab.fails(&line);
    assert!(said.contains("the bootloader would refuse the image"), "{said}");
    assert!(!lab.path("wary.bin").exists());
    // 4: error.
    let known = device(&lab, "wary");
    assert!(known.contains(", 4,"), "{known}");
}
