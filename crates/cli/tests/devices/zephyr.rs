//! Our client against a server that is not ours: Zephyr 4.4.0 as a process, without image group.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crate::support::{Bench, SELF, Said, Space, firmware, zephyr};

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

#[test]
fn every_group_of_zephyr_is_spoken() {
    let Some(server) = Server::start() else { return };
    let bench = Bench::new("zephyr-groups");
    assert!(server.smp("os taskstat").ok().contains("mcumgr smp"));
    let list = server.smp("--json stat list").json();
    assert_eq!(list["groups"][2], "smp_svr_stats");
    let counters = server.smp("--json stat show smp_svr_stats").json();
    assert!(counters["smp_svr_stats"]["ticks"].is_u64(), "{counters}");
    // One of the groups is larger than the server's buffer; the others are shown.
    let said = server.smp("stat show");
    assert!(said.err.contains("does not fit") && said.ok().contains("ticks"));

    server.smp("settings commit").ok();
    server.smp("settings load").ok();
    server.smp("settings read nope/x").complains(&["(group 3, rc 5)"]);
    server.smp("settings write nope/x 1").complains(&["(group 3, rc 5)"]);
    server.smp("settings delete nope/x").complains(&["(group 3, rc 3)"]);
    server.smp("settings save").complains(&["(group 3, rc 8)"]);

    assert_eq!(server.smp("shell kernel version").ok(), "Zephyr version 4.4.0\n");
    server.smp("shell nope").complains(&["ended with -8"]);
    assert_eq!(server.smp("--json enum count").json()["count"], 7);
    let groups = server.smp("--json enum list").json();
    assert_eq!(groups["groups"], serde_json::json!([10, 8, 0, 3, 9, 2, 63]));
    assert!(server.smp("enum details").ok().contains("zephyr basic mgmt"));
    assert_eq!(server.smp("enum single 6").ok(), "63, the last\n");
    assert_eq!(server.smp("--json custom 0 6").json()["buf_count"], 2);
    for line in ["os mpstat", "os datetime", "log list", "crash div0", "run list"] {
        server.smp(line).complains(&["does not support this command (rc 8)", "try: "]);
    }

    // The server's disk has four blocks of 4 KiB, two of them for its own use.
    let bytes = firmware(Vec::new(), 3000, "1.0.0");
    let file = |name: &str, bytes: &[u8]| {
        bench.file(name, bytes);
        bench.path(name).display().to_string()
    };
    let (whole, half) = (file("whole", &bytes), file("half", &bytes[..1200]));
    server.smp(&format!("fs put {half} /lfs1/data")).ok();
    let put = server.smp(&format!("--json fs put {whole} /lfs1/data")).json();
    assert_eq!((&put["resumed_at"], &put["verified"]), (&1200.into(), &"sha256".into()));
    let again = server.smp(&format!("fs put {whole} /lfs1/data")).ok();
    assert!(again.contains("there already"), "{again}");
    let back = file("back.part", &bytes[..1234]).replace(".part", "");
    let got = server.smp(&format!("--json fs get /lfs1/data {back}")).json();
    assert_eq!((&got["resumed_at"], &got["verified"]), (&1234.into(), &"sha256".into()));
    assert_eq!(std::fs::read(&back).unwrap(), bytes);
    let hash = server.smp("--json fs hash /lfs1/data --offset 1 --length 9").json();
    assert_eq!((&hash["kind"], &hash["len"]), (&"crc32".into(), &9.into()));
    assert!(server.smp("fs types").ok().contains("sha256: 32 bytes"));
    server.smp("fs close").ok();
    server.smp("fs get /lfs1/none").complains(&["no such file (group 8, rc 3)"]);
    server.smp("basic erase-storage").ok();
    println!(
        "Zephyr 4.4.0: OS, statistics, settings, files, shell, enumeration, basic: 7 of 7 groups"
    );
}
