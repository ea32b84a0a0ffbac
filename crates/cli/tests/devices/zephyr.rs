//! Our client against a server that is not ours: Zephyr 4.4.0 as a process, without image group.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crate::support::{Bench, SELF, Said, Space, zephyr};

/// The server, in a network of its own: it listens everywhere.
struct Server {
    space: Arc<Space>,
    child: Child,
}

impl Server {
    fn start() -> Option<Self> {
        let program = zephyr("native_sim_udp.exe")?;
        let space = Space::own();
        let mut command: Command = space.command(&program.display().to_string());
        command.arg("-flash_in_ram").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready =
            lines.by_ref().map_while(Result::ok).any(|line| line.contains("smp_udp: Started"));
        assert!(
            ready,
            "the Zephyr server ended: `cargo xtask setup` brings what 32-bit programs need"
        );
        // Somebody has to take what it prints.
        std::thread::spawn(move || lines.count());
        Some(Self { space, child })
    }

    fn smp(&self, line: &str) -> Said {
        let line = format!("smp --udp 127.0.0.1 {line}");
        let mut command = self.space.command(env!("CARGO_BIN_EXE_updraft"));
        let command = command.args(line.split(' ')).env("COLUMNS", "80");
        Said::new(&line, command.output().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_operating_system_group_of_zephyr_is_spoken() {
    let Some(server) = Server::start() else { return };
    assert_eq!(server.smp("os echo hëllo").ok(), "hëllo\n");
    // Nearly a whole buffer; the answer has to fit as well.
    let long = "x".repeat(1200);
    assert_eq!(server.smp(&format!("os echo {long}")).ok().trim_end(), long);
    let params = server.smp("--json os params").json();
    assert_eq!((&params["buf_size"], &params["buf_count"]), (&2048.into(), &2.into()));

    let one = |letter: &str| server.smp(&format!("os info {letter}")).ok().trim_end().to_owned();
    assert_eq!(one("s"), "Zephyr");
    assert_eq!(one("v"), "4.4.0");
    assert_eq!(one("m"), "posix");
    assert_eq!(one("i"), "native_sim/native");
    assert_eq!(one("o"), "Zephyr");
    let all = one("a");
    let mut shown = 0;
    for letter in ["s", "n", "r", "v", "b", "m", "p", "i", "o"] {
        assert!(all.contains(&one(letter)), "{letter}: {} is not in {all}", one(letter));
        shown += 1;
    }
    server.smp("os info x").complains(&[
        "holds a letter the device does not know (group 0, rc 2)",
        "try: letters are",
    ]);
    assert_eq!(server.smp("os bootloader").ok(), "the device does not tell\n");
    println!("Zephyr 4.4.0: echo, params, {shown} of 9 information letters, bootloader");
}

#[test]
fn a_reset_ends_the_zephyr_process() {
    let Some(mut server) = Server::start() else { return };
    assert_eq!(server.smp("os reset").ok(), "the device resets\n");
    server.child.wait().unwrap();
    server
        .smp("--timeout 0.1 --retries 2 os echo hello")
        .complains(&["no answer from the device (3 requests sent)", "try: check address and port"]);
}

#[test]
fn what_a_server_lacks_is_named_with_its_code_and_a_way_on() {
    let Some(server) = Server::start() else { return };
    let bench = Bench::new("zephyr-lacks");
    let image = bench.image("1.1.0", SELF);
    let upload = format!("image upload {}", bench.path(&image.file).display());
    for line in ["image list", "image test 0123", "image confirm", "image erase", upload.as_str()] {
        server.smp(line).complains(&[
            "the device does not support this command (rc 8)",
            "try: updraft smp … os info",
            "CONFIG_MCUMGR_GRP_IMG",
        ]);
    }
    assert_eq!(server.smp("image slots").ok(), "the device does not tell\n");
    let said = server.smp("--json image list");
    assert_eq!(said.code, Some(1));
    let object: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(object["error"], "the device does not support this command (rc 8)");
    assert_eq!(object["hints"].as_array().map(Vec::len), Some(1));
}
