//! `updraft smp monitor`: the console's text and the logs' entries, as they come.

use serde_json::Value;

use crate::support::{Bench, Device, SELF, Said};

/// Runs a monitor while `act` does something to the device.
fn monitor(device: &mut Device, line: &str, act: impl FnOnce(&mut Device)) -> Said {
    let args: Vec<&str> = line.split(' ').collect();
    let mut command = device.client_command(env!("CARGO_BIN_EXE_updraft"), &args);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    // It has to be there first: what is printed before is nobody's.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    act(device);
    Said::new(line, child.wait_with_output().unwrap())
}

#[cfg(unix)]
#[test]
fn the_text_of_a_console_is_shown_as_it_comes() {
    let bench = Bench::new("monitor-console");
    let image = bench.image("1.0.0", SELF);
    let mut device = bench.device().serial().load("primary", &image).start();
    let port = device.serial_line();
    device.starts("1.0.0");
    let line = format!("smp --serial {port} monitor --for 3");
    let said = monitor(&mut device, &line, |device| device.type_line("reset")).ok();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.contains(&"boot: virtual-nor-4k (reset by pin)"), "{said}");
    assert!(lines.contains(&"app: self-test passed"), "{said}");

    // Beside text, the log: what carries the entries is not shown.
    let line = format!("--json smp --serial {port} monitor --for 3 --log console --every 0.3");
    let said = monitor(&mut device, &line, |device| device.type_line("button")).ok();
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let held = "button held for 100 ms";
    assert!(lines.iter().any(|line| line["line"] == format!("app: {held}")), "{said}");
    assert!(lines.iter().any(|line| line["message"] == held && line["log"] == "console"), "{said}");
}

#[test]
fn logs_are_followed_over_any_link() {
    let bench = Bench::new("monitor-log");
    let mut device = bench.device_with(&bench.image("1.0.0", SELF));
    let place = format!("--udp {}", device.address);
    let line = format!("smp {place} monitor --for 3 --every 0.3");
    let said = monitor(&mut device, &line, |device| {
        device.smp("log append console hello").ok();
    });
    let said = said.ok();
    assert_eq!(said.lines().count(), 1, "only what is new: {said}");
    assert!(said.contains("hello"), "{said}");

    let line = format!("smp {place} monitor --for 3 --every 0.3 --all --log");
    let said = monitor(&mut device, &line, |device| {
        device.smp("log append console again").ok();
    });
    let said = said.ok();
    assert!(said.contains("self-test passed") && said.contains("hello"), "{said}");
    assert_eq!(said.matches("again").count(), 1, "{said}");
    device.smp("monitor --for 1 --log none").complains(&["no such entry", "by their console"]);
}

#[test]
fn a_device_that_is_away_is_waited_for() {
    let bench = Bench::new("monitor-away");
    let mut device = bench.device_with(&bench.image("1.0.0", SELF));
    let place = format!("--udp {} --timeout 0.1 --retries 0", device.address);
    let line = format!("smp {place} monitor --for 4 --every 0.2");
    let said = monitor(&mut device, &line, |device| {
        device.type_line("cut");
        std::thread::sleep(std::time::Duration::from_millis(800));
        device.type_line("on");
        device.starts("1.0.0");
    });
    assert!(said.err.contains("does not answer; waiting for it"), "{said:?}");
    assert!(said.out.contains("(power on)"), "{said:?}");
}
