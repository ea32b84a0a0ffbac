//! `updraft smp scan`: devices are found where they are, and places without any are told as such.

use serde_json::Value;

use crate::support::{Bench, SELF, Space};

/// What was found, by the options that reach it.
fn at<'v>(said: &'v Value, options: &str) -> &'v Value {
    let places = said["places"].as_array().unwrap();
    let found = places.iter().find(|place| place["options"] == options);
    found.unwrap_or_else(|| panic!("no {options} in {said}"))
}

#[test]
fn devices_on_the_network_are_found_by_address() {
    let bench = Bench::new("scan-udp");
    let image = bench.image("1.0.0", SELF);
    let [four, six] =
        [("127.0.0.1:0", "a.flash"), ("[::1]:0", "b.flash")].map(|(address, flash)| {
            bench.device().on(address).flash(flash).load("primary", &image).start()
        });
    let line = format!("--json smp scan {} {} 127.0.0.1:9 --wait 0.6", four.address, six.address);
    let said = bench.updraft(&line).json();
    assert_eq!(said["places"].as_array().map(Vec::len), Some(2), "{said}");
    for device in [&four, &six] {
        let found = at(&said, &format!("--udp {}", device.address));
        assert_eq!(found["device"]["board"], "virtual-nor-4k");
        assert_eq!(found["device"]["name"], "blinky");
        assert_eq!(found["device"]["version"], "1.0.0");
    }
    let said = bench.updraft(&format!("smp scan {} --wait 0.5", four.address)).ok();
    assert!(said.contains("blinky, virtual-nor-4k, 1.0.0") && said.contains("1 device"), "{said}");
    let said = bench.updraft("smp scan 127.0.0.1:9 --wait 0.1").ok();
    assert_eq!(said, "no devices found\n");
}

/// On SMP's own port, which this device has in a network of its own.
#[test]
fn devices_nearby_and_in_a_network_are_found_without_their_address() {
    if std::env::var_os("UPDRAFT_CORE").is_some() {
        println!("left out: UPDRAFT_CORE is set, and this needs a network of its own");
        return;
    }
    let bench = Bench::new("scan-near");
    let image = bench.image("1.0.0", SELF);
    let device = bench.device().within(Space::own()).load("primary", &image).start();
    device.starts("1.0.0");
    for line in ["scan --via udp --wait 0.6", "scan 127.0.0.0/28 --wait 0.6"] {
        let line = format!("--json smp {line}");
        let line: Vec<&str> = line.split(' ').collect();
        let said = device.client(env!("CARGO_BIN_EXE_updraft"), &line).json();
        assert_eq!(at(&said, "--udp 127.0.0.1:1337")["device"]["name"], "blinky", "{said}");
    }
    bench.updraft("smp scan 10.0.0.0/8").fails(2);
    bench.updraft("smp scan --wait 0").fails(2);
}

#[cfg(unix)]
#[test]
fn devices_on_serial_ports_are_found_with_their_framing() {
    let image = |bench: &Bench| bench.image("1.0.0", SELF);
    let console = Bench::new("scan-console");
    let raw = Bench::with_line("scan-raw", "transport = \"console\"", "transport = \"raw\"");
    let [one, two] = [&console, &raw].map(|bench| {
        let device = bench.device().serial().load("primary", &image(bench)).start();
        device.starts("1.0.0");
        device
    });
    let silent = updraft_pty::Pty::open().unwrap();
    let [one, two] = [one, two].map(|device| (device.serial_line(), device));
    let line = format!(
        "--json smp scan {} {} {} /nowhere/tty --wait 0.6",
        one.0,
        two.0,
        silent.path().display()
    );
    let said = console.updraft(&line).json();
    assert_eq!(at(&said, &format!("--serial {}", one.0))["device"]["name"], "blinky");
    let found = at(&said, &format!("--serial {} --framing raw", two.0));
    assert_eq!(found["device"]["board"], "virtual-nor-4k");
    let found = at(&said, &format!("--serial {}", silent.path().display()));
    assert!(found["device"].is_null() && found["remark"] == "no answer at 115200 bits per second");
    let found = at(&said, "--serial /nowhere/tty");
    assert!(found["remark"].as_str().unwrap().contains("cannot be opened"), "{said}");
}
