//! Our own client at the end of a serial line, beside the console's text.

use crate::support::{Bench, Device, HOST, SELF, Said};

fn smp(device: &Device, port: &str, line: &str) -> Said {
    let line = format!("smp --serial {port} {line}");
    device.client(env!("CARGO_BIN_EXE_updraft"), &line.split(' ').collect::<Vec<_>>())
}

#[test]
fn an_update_over_a_serial_line_is_tested_and_confirmed() {
    let bench = Bench::new("serial-update");
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
    let device = bench.device().serial().load("primary", &old).start();
    let port = device.serial_line();
    device.starts("1.0.0");
    smp(&device, &port, &format!("image upload {}", new.file)).ok();
    smp(&device, &port, &format!("image test {}", new.file)).ok();
    smp(&device, &port, "os reset").ok();
    device.starts("1.1.0");
    smp(&device, &port, "image confirm").ok();
    assert!(bench.slots().run(&new) && bench.slots().confirmed(), "{:?}", bench.slots());
}

#[test]
fn an_empty_device_is_filled_in_serial_recovery() {
    let bench = Bench::new("serial-recovery");
    let image = bench.image("1.0.0", SELF);
    let device = bench.device().serial().start();
    let port = device.serial_line();
    device.wait("boot: serial recovery: there is no image to start");
    smp(&device, &port, &format!("image upload {}", image.file)).ok();
    smp(&device, &port, "os reset").ok();
    device.starts("1.0.0");
    assert!(bench.slots().run(&image), "{:?}", bench.slots());
}

#[test]
fn one_command_fills_an_empty_device_and_sees_it_run() {
    let bench = Bench::new("serial-upgrade");
    let image = bench.image("1.0.0", SELF);
    let device = bench.device().serial().start();
    let port = device.serial_line();
    device.wait("boot: serial recovery: there is no image to start");
    let said = smp(&device, &port, &format!("upgrade {}", image.file)).ok();
    assert!(said.contains("waits in its bootloader, is to run 1.0.0"), "{said}");
    assert!(said.contains("done: the device runs 1.0.0 for good"), "{said}");
    assert!(bench.slots().run(&image), "{:?}", bench.slots());
}

#[test]
fn messages_behind_each_other_are_carried_without_a_console() {
    let transport = "transport = \"raw\"";
    let bench = Bench::with_line("serial-raw", "transport = \"console\"", transport);
    let image = bench.image("1.0.0", SELF);
    let device = bench.device().serial().load("primary", &image).start();
    let port = device.serial_line();
    device.starts("1.0.0");
    let said = smp(&device, &port, "--framing raw os echo hello").ok();
    assert!(said.contains("hello"), "{said}");
    smp(&device, &port, "--timeout 0.2 --retries 1 os echo hello").complains(&["no answer"]);
}

#[test]
fn a_port_that_is_not_there_is_told() {
    let bench = Bench::new("serial-none");
    bench
        .updraft("smp --serial /nowhere/tty os echo hello")
        .complains(&["/nowhere/tty cannot be opened", "is it the right port"]);
    let both = bench.updraft("smp --serial a --udp b os echo hello").fails(2);
    assert!(both.contains("cannot be used with"), "{both}");
}
