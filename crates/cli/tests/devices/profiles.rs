//! Devices by name, one at a time and several at once.

use crate::support::{Bench, HOST, SELF};

#[test]
fn a_device_is_reached_by_its_name() {
    let bench = Bench::new("profile");
    let device = bench.device_with(&bench.image("1.0.0", SELF));
    let add = format!("smp --udp {} --timeout 2 profile add bench-1", device.address);
    assert!(bench.updraft(&add).ok().contains("bench-1 is udp"));
    assert_eq!(bench.updraft("smp --profile bench-1 os echo hello").ok(), "hello\n");
    assert_eq!(bench.updraft("smp -p bench-1 --retries 1 os echo hello").ok(), "hello\n");
    let listed = bench.updraft("smp --json profile list").json();
    assert_eq!(listed["devices"]["bench-1"]["udp"], *device.address);
    assert_eq!(listed["devices"]["bench-1"]["timeout"], 2.0);

    let said = bench.updraft("smp --profile bench-2 os echo hello").fails(1);
    assert!(said.contains("no device is called bench-2") && said.contains("there are: bench-1"));
    bench.updraft("smp profile remove bench-1").ok();
    let said = bench.updraft("smp --profile bench-1 os echo hello").fails(1);
    assert!(said.contains("profile add NAME"), "{said}");
}

#[test]
fn a_file_that_is_no_list_of_devices_is_told_so() {
    let bench = Bench::new("profile-file");
    for (text, part) in [
        ("[kit]\nudp = 7\n", "devices.toml lists no devices"),
        ("[kit]\nspeed = 7\n", "unknown field"),
        ("[kit]\nbaud = 9600\n", "kit has to have udp, serial or ble"),
        ("[kit]\nudp = \"a\"\nserial = \"b\"\n", "kit has to have udp, serial or ble"),
    ] {
        bench.file("devices.toml", text.as_bytes());
        let said = bench.updraft("smp --profile kit os echo hello").fails(1);
        assert!(said.contains(part), "no `{part}` in\n{said}");
        assert_eq!(std::fs::read_to_string(bench.path("devices.toml")).unwrap(), text);
    }
    assert!(bench.updraft("smp os echo hello").fails(2).contains("no device is named"));
    bench.updraft("smp --udp 127.0.0.1 --baud 9600 os echo hello").fails(2);
}

#[test]
fn what_people_wrote_beside_the_devices_stays() {
    let bench = Bench::new("profile-remarks");
    let text = "# the bench\n[kit]\n# new cable\nserial = \"/dev/ttyACM0\"\nbaud = 9600\n\n\
                # in the cellar\n[pump]\nudp = \"192.0.2.7\" # leased\n";
    bench.file("devices.toml", text.as_bytes());
    bench.updraft("smp --udp 192.0.2.8 profile add other").ok();
    bench.updraft("smp --serial /dev/ttyACM1 --framing raw profile add kit").ok();
    let kept = std::fs::read_to_string(bench.path("devices.toml")).unwrap();
    for remark in ["# the bench", "# new cable", "# in the cellar", "# leased"] {
        assert!(kept.contains(remark), "{kept}");
    }
    let listed = bench.updraft("smp --json profile list").json();
    let kit = serde_json::json!({ "serial": "/dev/ttyACM1", "framing": "raw" });
    assert_eq!(listed["devices"]["kit"], kit);
    assert_eq!(listed["devices"].as_object().unwrap().len(), 3);
    bench.updraft("smp profile remove other").ok();
    bench.updraft("smp profile remove kit").ok();
    let kept = std::fs::read_to_string(bench.path("devices.toml")).unwrap();
    assert!(kept.contains("# in the cellar\n[pump]\nudp = \"192.0.2.7\" # leased\n"), "{kept}");
}

#[test]
fn nothing_is_kept_that_no_command_would_take() {
    let bench = Bench::new("profile-timeout");
    for timeout in ["-1", "0", "nan", "1e9"] {
        let add = format!("smp --udp 192.0.2.7 --timeout {timeout} profile add kit");
        let said = bench.updraft(&add).fails(2);
        assert!(said.contains("--timeout takes seconds above 0"), "{said}");
    }
    assert!(!bench.path("devices.toml").exists());
    bench.file("devices.toml", b"[kit]\nudp = \"192.0.2.7\"\ntimeout = -1.0\n");
    let said = bench.updraft("smp --profile kit os echo hello").fails(1);
    assert!(said.contains("-1 seconds is no time-out") && said.contains("file of names"), "{said}");
}

#[test]
fn several_devices_are_upgraded_at_once_and_each_tells_for_itself() {
    let benches = ["a", "b", "c"].map(|name| Bench::new(&format!("several-{name}")));
    let lead = &benches[0];
    let new = lead.image("1.1.0", HOST);
    // All trust the key of the first.
    let key = std::fs::read(lead.path("key.pem")).unwrap();
    let public = std::fs::read(lead.path("key.pub.pem")).unwrap();
    let devices = benches.each_ref().map(|bench| {
        bench.file("key.pem", &key);
        bench.file("key.pub.pem", &public);
        bench.device_with(&bench.image("1.0.0", SELF))
    });
    for (device, name) in devices.iter().zip(["rack-a", "rack-b", "other"]) {
        lead.updraft(&format!("smp --udp {} profile add {name}", device.address)).ok();
    }
    let said = lead.updraft(&format!("smp --all-matching rack-* upgrade {}", new.file)).ok();
    assert!(said.contains("rack-a done") && said.contains("rack-b done"), "{said}");
    assert!(said.contains("done for 2 devices") && !said.contains("other"), "{said}");
    let runs: Vec<_> = benches.iter().map(|bench| bench.slots().run(&new)).collect();
    assert_eq!(runs, [true, true, false]);

    let [_, second, _] = devices;
    second.kill();
    let line = format!("--json smp --all-matching=* --timeout 0.2 upgrade {}", new.file);
    let said = lead.updraft(&line);
    assert_eq!(said.code, Some(1), "{}", said.out);
    let said: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said["error"], "it failed for 1 of 3 devices: rack-b");
    let ended: Vec<_> = said["devices"].as_array().unwrap().iter().map(|d| &d["ok"]).collect();
    assert_eq!(ended, [true, true, false], "by name: other, rack-a, rack-b");
    assert!(said["devices"][2]["result"]["error"].as_str().unwrap().contains("no answer"));
    assert!(benches[2].slots().run(&new) && benches[2].slots().confirmed());
    let said = lead.updraft("smp --all-matching shelf-* os echo hello").fails(2);
    assert!(said.contains("no device's name fits"), "{said}");
}
