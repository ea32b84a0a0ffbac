//! Every group beside images, asked by our client over UDP and the serial line: what the device
//! answers, what it keeps, and what it refuses.

use serde_json::{Value, json};

use crate::support::{Bench, Device, HOST, SELF, firmware};

/// A device that runs a confirmed application.
fn running(bench: &Bench, more: &[&str]) -> Device {
    let image = bench.image("1.0.0", SELF);
    let device = bench.device().with(more).load("primary", &image).start();
    device.wait("app: self-test passed");
    device
}

fn json(device: &Device, line: &str) -> Value {
    device.smp(&format!("--json {line}")).json()
}

#[test]
fn the_operating_system_tells_tasks_pools_and_the_time() {
    let bench = Bench::new("groups-os");
    let device = running(&bench, &[]);
    let tasks = json(&device, "os taskstat");
    assert_eq!(tasks["tasks"][0]["name"], "smp");
    assert!(device.smp("os tasks").ok().contains("idle"));
    let pools = json(&device, "os mpstat");
    assert_eq!(
        (&pools["pools"][0]["block_size"], &pools["pools"][0]["blocks"]),
        (&2048.into(), &8.into())
    );
    assert!(device.smp("os pools").ok().contains("smp_buffers"));
    assert!(device.smp("os console-echo off").ok().contains("off"));

    device.smp("os datetime").complains(&["never set; set it first (group 0, rc 4)"]);
    device.smp("os datetime 2026-12-31T23:59:59.500").ok();
    let shown = device.smp("os datetime").ok();
    assert!(shown.starts_with("2026-12-31T23:59:59") || shown.starts_with("2027-01-01"), "{shown}");
    device.smp("os datetime now").ok();
    let wrong = device.smp("os datetime tomorrow").fails(2);
    assert!(wrong.contains("`tomorrow` is no date and time"), "{wrong}");
    // The clock goes on over a reset.
    device.smp("os reset").ok();
    device.starts("1.0.0");
    device.smp("os datetime").ok();
}

#[test]
fn statistics_count_boots_requests_and_uploads() {
    let bench = Bench::new("groups-stat");
    let device = running(&bench, &[]);
    assert_eq!(json(&device, "stat list"), json!({ "groups": ["device", "smp", "image"] }));
    let new = bench.image("1.1.0", HOST);
    device.smp(&format!("image upload {}", new.file)).ok();
    let all = json(&device, "stat show");
    assert_eq!(all["image"]["uploads"], 1);
    assert_eq!(all["image"]["complete"], 1);
    assert_eq!(all["image"]["bytes"], new.bytes.len());
    assert_eq!(all["device"]["boots"], 1);
    assert!(all["device"]["flash_operations"].as_u64() > Some(10));
    assert!(all["smp"]["bytes_in"].as_u64() > Some(new.bytes.len() as u64));
    device.smp("os reset").ok();
    device.starts("1.0.0");
    assert_eq!(json(&device, "stat show device")["device"]["boots"], 2);
    device.smp("stat show none").complains(&["no statistics of this name", "(group 2, rc 3)"]);
}

#[test]
fn settings_that_are_saved_outlive_the_process() {
    let bench = Bench::new("groups-settings");
    let device = running(&bench, &[]);
    device.smp("settings write net/name pump-7").ok();
    device.smp("settings write net/key --hex 00ff10").ok();
    assert_eq!(device.smp("settings read net/name").ok(), "pump-7\n");
    assert_eq!(device.smp("settings read net/key").ok(), "hex 00ff10\n");
    let read = json(&device, "settings read net/name --max-size 4");
    assert_eq!((&read["text"], &read["hex"]), (&json!("pump"), &json!("70756d70")));
    assert_eq!(json(&device, "settings read net/name --max-size 1000")["max_size"], 256);
    device.smp("settings commit").ok();
    device.smp("settings save ne").complains(&["begin like this (group 3, rc 5)"]);
    device.smp("settings save net/").ok();
    device.smp("settings write other/x 1").ok();
    device.smp("settings delete net/key").ok();
    device.smp("settings read net/key").complains(&["no such setting (group 3, rc 3)"]);
    device.smp("settings load").ok();
    assert_eq!(device.smp("settings read net/key").ok(), "hex 00ff10\n");
    device.smp("settings read other/x").complains(&["(group 3, rc 3)"]);
    device.smp(&format!("settings read {}", "x".repeat(65))).complains(&["(group 3, rc 2)"]);
    device.kill();

    let device = bench.device().start();
    device.wait("app: self-test passed");
    assert_eq!(device.smp("settings read net/name").ok(), "pump-7\n");
    device.smp("basic erase-storage").ok();
    device.smp("settings read net/name").complains(&["(group 3, rc 3)"]);
    device.kill();
    let device = bench.device().start();
    device.wait("app: self-test passed");
    device.smp("settings read net/name").complains(&["(group 3, rc 3)"]);
}

#[test]
fn files_go_to_the_folder_and_come_back() {
    let bench = Bench::new("groups-files");
    let device = running(&bench, &["--files", "files"]);
    let bytes = firmware(Vec::new(), 70_000, "1.0.0");
    bench.file("data.bin", &bytes);
    let put = json(&device, "fs put data.bin /files/data.bin");
    assert_eq!((&put["bytes"], &put["verified"]), (&70_000.into(), &"sha256".into()));
    assert_eq!(std::fs::read(bench.path("files/data.bin")).unwrap(), bytes);
    let again = device.smp("fs put data.bin /files/data.bin").ok();
    assert!(again.contains("there already, sha256 verified"), "{again}");

    device.smp("fs get /files/data.bin back.bin").ok();
    assert_eq!(std::fs::read(bench.path("back.bin")).unwrap(), bytes);
    std::fs::create_dir(bench.path("into")).unwrap();
    for folder in ["into", "."] {
        device.smp(&format!("fs get /files/data.bin {folder}")).ok();
        assert_eq!(std::fs::read(bench.path(folder).join("data.bin")).unwrap(), bytes);
    }
    assert_eq!(device.smp("fs status /files/data.bin").ok(), "70000 bytes\n");
    let hash = json(&device, "fs hash /files/data.bin --type sha256 --offset 5 --length 10");
    assert_eq!((&hash["off"], &hash["len"]), (&5.into(), &10.into()));
    assert_eq!(hash["output"].as_str().map(str::len), Some(64));
    assert_eq!(json(&device, "fs types")["types"][0]["name"], "crc32");
    device.smp("fs close").ok();
    device.smp("fs hash /files/data.bin --type md5").complains(&["(group 8, rc 13)"]);
    device.smp("fs get /files/none").complains(&["no such file (group 8, rc 3)"]);
    device.smp("fs status /elsewhere").complains(&["(group 8, rc 14)"]);
    device.smp("fs status /files").complains(&["that is a folder", "(group 8, rc 4)"]);
    assert!(!bench.path("none").exists(), "nothing is left of what did not come");
}

#[test]
fn a_transfer_that_was_broken_off_goes_on() {
    let bench = Bench::new("groups-resume");
    let device = running(&bench, &["--files", "files"]);
    let bytes = firmware(Vec::new(), 50_000, "1.0.0");
    bench.file("data.bin", &bytes);
    std::fs::write(bench.path("files/data.bin"), &bytes[..20_000]).unwrap();
    assert_eq!(json(&device, "fs put data.bin /files/data.bin")["resumed_at"], 20_000);
    assert_eq!(std::fs::read(bench.path("files/data.bin")).unwrap(), bytes);

    bench.file("back.bin.part", &bytes[..30_000]);
    assert_eq!(json(&device, "fs get /files/data.bin back.bin")["resumed_at"], 30_000);
    assert_eq!(std::fs::read(bench.path("back.bin")).unwrap(), bytes);
    bench.file("back.bin.part", &[7; 30_000]);
    assert_eq!(json(&device, "fs get /files/data.bin back.bin")["resumed_at"], 0);
    assert_eq!(std::fs::read(bench.path("back.bin")).unwrap(), bytes);
    assert!(!bench.path("back.bin.part").exists());
}

#[test]
fn nothing_outside_the_folder_can_be_reached() {
    let bench = Bench::new("groups-outside");
    let device = running(&bench, &["--files", "files"]);
    bench.file("secret", b"secret");
    std::os::unix::fs::symlink(bench.path(""), bench.path("files/out")).unwrap();
    std::os::unix::fs::symlink(bench.path("nothing"), bench.path("files/dangling")).unwrap();
    let dangling = "/files/dangling";
    for name in ["/files/../secret", "/files/out/secret", "/secret", "files/secret", dangling] {
        assert_eq!(device.smp(&format!("fs get {name} got")).code, Some(1), "{name}");
        assert_eq!(device.smp(&format!("fs put key.pem {name}")).code, Some(1), "{name}");
    }
    assert_eq!(std::fs::read(bench.path("secret")).unwrap(), b"secret");
    assert!(!bench.path("got").exists() && !bench.path("nothing").exists());
}

#[test]
fn the_shell_runs_commands_and_lines() {
    let bench = Bench::new("groups-shell");
    let mut device = running(&bench, &[]);
    assert!(device.smp("shell help").ok().contains("kernel uptime"));
    assert!(device.smp("shell version").ok().ends_with(" 1.0.0+0\n"));
    assert!(device.smp("shell image list").ok().contains("slot 0: 1.0.0+0"));
    assert!(device.smp("shell kernel uptime").ok().starts_with("Uptime: "));
    let said = device.smp("shell nope");
    assert!(said.out.contains("nope: command not found"), "{said:?}");
    said.complains(&["the command ended with -8"]);
    let said = device.smp("--json shell nope");
    let one: Value = serde_json::from_str(&said.out).expect("one document");
    assert_eq!((said.code, &one["ret"]), (Some(1), &json!(-8)));
    assert!(one["output"].as_str().unwrap().contains("not found"), "{one}");
    device.smp(&format!("shell {}", "x".repeat(300))).complains(&["(group 9, rc 2)"]);
    device.smp("shell kernel reboot").ok();
    device.wait("reset by the shell");
    device.starts("1.0.0");
    device.hang_up();
}

#[test]
fn lines_that_fail_make_the_shell_fail_in_the_end() {
    let bench = Bench::new("groups-lines");
    let device = running(&bench, &[]);
    let said = device.smp_with_input("shell", "version\n\nkernel uptime\n");
    assert!(said.ok().contains("Uptime: "));
    let said = device.smp_with_input("--quiet shell", "nope\nversion\n");
    assert!(said.out.contains(" 1.0.0+0\n"), "the second line was run: {said:?}");
    assert!(!said.out.contains("\n\n"), "{said:?}");
    said.complains(&["nope: the command ended with -8", "1 of 2 lines failed"]);
    device.kill();
    let said = bench.device_with(&bench.image("1.0.0", SELF));
    let line = "--timeout 0.1 --json shell";
    let away = format!("smp --udp 127.0.0.1:9 {line}");
    let said = said.run_with_input(&away, "version\n");
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{said:?}");
}

#[test]
fn the_groups_are_enumerated() {
    let bench = Bench::new("groups-enum");
    let device = running(&bench, &[]);
    assert_eq!(json(&device, "enum count")["count"], 11);
    let list = json(&device, "enum list");
    assert_eq!(list["groups"], json!([10, 0, 1, 2, 3, 4, 5, 7, 8, 9, 63]));
    assert_eq!(json(&device, "enum single 10"), json!({ "group": 63, "end": true }));
    let details = json(&device, "enum details 8 1 99");
    let names: Vec<_> = details["groups"].as_array().unwrap().iter().map(|g| &g["name"]).collect();
    assert_eq!(names, ["img mgmt", "fs mgmt"]);
    device.smp("enum single 11").complains(&["fewer groups", "(group 10, rc 4)"]);
}

#[test]
fn the_log_holds_what_the_console_printed() {
    let bench = Bench::new("groups-log");
    let device = running(&bench, &[]);
    assert_eq!(json(&device, "log list")["logs"], json!(["console"]));
    let shown = device.smp("log show").ok();
    assert!(shown.contains("self-test passed"), "{shown}");
    device.smp("log append console hello --level 2").ok();
    let last = json(&device, "log show console --last");
    let entry = &last["entries"][0];
    assert_eq!((&entry["message"], &entry["level"]), (&"hello".into(), &2.into()));
    assert_eq!(json(&device, "log levels")["WARN"], 2);
    assert_eq!(json(&device, "log modules")["app"], 1);
    device.smp("log clear").ok();
    assert_eq!(json(&device, "log show"), json!({ "entries": [] }));
    device.smp("log show none").complains(&["no such entry (rc 5)"]);
}

#[test]
fn the_device_crashes_and_tests_itself_when_told_to() {
    let bench = Bench::new("groups-crash");
    let device = running(&bench, &[]);
    assert_eq!(json(&device, "run list")["tests"], json!(["self-test"]));
    device.smp("run test self-test --token t7").ok();
    device.wait("app: self-test passed");
    device.smp("run test none").complains(&["(rc 5)"]);
    device.smp("crash div0").ok();
    device.wait("app: hard fault (div0)");
    device.starts("1.0.0");
    device.smp("crash wdog").ok();
    device.wait("reset by the watchdog");
    device.starts("1.0.0");
    let wrong = device.smp("crash other").fails(2);
    assert!(wrong.contains("jump0"), "{wrong}");
}

#[test]
fn any_command_goes_with_json() {
    let bench = Bench::new("groups-custom");
    let device = running(&bench, &[]);
    assert_eq!(json(&device, "custom 0 6"), json!({ "buf_size": 2048, "buf_count": 8 }));
    let write = r#"custom 3 0 {"name":"a","val":{"$hex":"0102"}} --write"#;
    assert_eq!(json(&device, write), json!({}));
    let read = r#"custom 3 0 {"name":"a"}"#;
    assert_eq!(json(&device, read), json!({ "val": { "$hex": "0102" } }));
    device.smp("custom 64 0").complains(&["does not support this command (rc 8)"]);
    let wrong = device.smp("custom 64 0 {").fails(2);
    assert!(wrong.contains("the payload is no JSON"), "{wrong}");
}

#[test]
fn a_link_that_may_only_read_refuses_every_change() {
    let bench = Bench::new("groups-read-only");
    let device = running(&bench, &["--allow-udp", "read-only", "--files", "files"]);
    let new = bench.image("1.1.0", HOST);
    let before = bench.area("secondary");
    for line in ["os echo hi", "os params", "image list", "stat show", "enum details", "log show"] {
        device.smp(line).ok();
    }
    let upload = format!("image upload {}", new.file);
    let refused = [
        upload.as_str(),
        "image confirm",
        "image erase",
        "os reset",
        "os datetime now",
        "settings write a 1",
        "settings delete a",
        "settings load",
        "settings save",
        "fs put key.pem /files/key",
        "shell help",
        "log clear",
        "crash div0",
        "run test",
        "basic erase-storage",
        "custom 64 0 --write",
    ];
    for line in refused {
        device.smp(line).complains(&["(rc 11)", "--allow-udp"]);
    }
    assert_eq!(bench.area("secondary"), before);
    assert!(!bench.path("files/key").exists());
    println!("{} commands refused with rc 11", refused.len());
}

#[test]
fn a_link_for_updates_takes_an_update_and_nothing_else() {
    let bench = Bench::new("groups-update-only");
    let device = running(&bench, &["--allow-udp", "update-only"]);
    for line in ["settings read a", "fs types", "shell version", "stat list", "os taskstat"] {
        device.smp(line).complains(&["(rc 11)"]);
    }
    let new = bench.image("1.1.0", HOST);
    device.try_out(&new);
    device.smp("image confirm").ok();
    assert!(bench.slots().run(&new) && bench.slots().confirmed());
}

#[test]
fn every_group_is_spoken_over_a_serial_line() {
    let bench = Bench::new("groups-serial");
    let image = bench.image("1.0.0", SELF);
    let files = ["--files", "files", "--allow-udp", "read-only"];
    let device = bench.device().with(&files).serial().load("primary", &image).start();
    let port = device.serial_line();
    device.starts("1.0.0");
    let smp = |line: &str| {
        let line = format!("smp --serial {port} {line}");
        device.client(env!("CARGO_BIN_EXE_updraft"), &line.split(' ').collect::<Vec<_>>())
    };
    for line in [
        "os taskstat",
        "os mpstat",
        "os datetime now",
        "stat show",
        "settings write a 1",
        "settings read a",
        "shell version",
        "enum details",
        "log show",
        "run list",
        "basic erase-storage",
    ] {
        smp(line).ok();
    }
    let bytes = firmware(Vec::new(), 9_000, "1.0.0");
    bench.file("data.bin", &bytes);
    smp("fs put data.bin /files/data.bin").ok();
    smp("fs get /files/data.bin back.bin").ok();
    assert_eq!(std::fs::read(bench.path("back.bin")).unwrap(), bytes);
}
