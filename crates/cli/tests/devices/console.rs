//! `updraft device`, as people and programs use it.

use serde_json::Value;

use crate::support::{Bench, HOST, SELF};

#[test]
fn the_reset_pin_resets() {
    let bench = Bench::new("pin");
    let mut device = bench.device_with(&bench.image("1.0.0", SELF));
    device.type_line("reset");
    device.wait("boot: virtual-nor-4k (reset by pin)");
    device.starts("1.0.0");
}

#[test]
fn the_button_is_seen_by_the_application_and_at_a_reset_by_the_bootloader() {
    let bench = Bench::new("button");
    let mut device = bench.device_with(&bench.image("1.0.0", SELF));
    device.type_line("button");
    device.wait("app: button held for 100 ms");
    device.type_line("button 2500");
    device.wait("app: button held for 2500 ms");
    device.type_line("hold");
    device.type_line("reset");
    device.wait("(reset by pin, button held)");
    device.type_line("release");
    device.type_line("reset");
    device.wait("(reset by pin)");
}

#[test]
fn the_power_is_cut_at_once_or_in_a_flash_operation_to_come() {
    let bench = Bench::new("cut");
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", HOST));
    let mut device = bench.device_with(&old);
    device.type_line("cut");
    device.wait("power cut now");
    device.smp("--timeout 0.1 --retries 1 os echo hello").complains(&["no answer from the device"]);
    device.type_line("reset");
    device.type_line("on");
    device.wait("(power on)");
    assert!(!device.printed().contains("reset by pin"), "there was no power for that");

    device.smp(&format!("image upload {}", new.file)).ok();
    device.smp(&format!("image test {}", new.file)).ok();
    device.type_line("cut 20");
    device.wait("power cut in flash operation 20");
    device.smp("os reset").ok();
    device.wait("power lost");
    assert_eq!(bench.slots().primary(), "magic, test", "the swap was under way");
    device.type_line("on");
    device.starts("1.1.0");
    assert!(bench.slots().run(&new) && bench.slots().on_trial() && bench.slots().hold(&old));
}

#[test]
fn slots_are_drawn_and_what_is_no_command_is_answered_with_all_of_them() {
    let bench = Bench::new("typed");
    let mut device = bench.device_with(&bench.image("1.0.0", SELF));
    device.type_line("slots");
    device.wait("│1.0.0+0");
    device.wait("primary      1.0.0+0");
    device.wait("secondary    empty");
    device.type_line("dance");
    for command in ["reset", "button", "hold", "cut", "on", "slots", "quit"] {
        device.wait(&format!("  {command} "));
    }
    device.type_line("cut it");
    device.wait("`it` is no number");
    device.type_line("quit");
    assert_eq!(device.ended().code(), Some(0));
}

#[test]
fn a_device_goes_on_when_its_input_ends() {
    let bench = Bench::new("input");
    let mut device = bench.device_with(&bench.image("1.0.0", SELF));
    device.hang_up();
    assert_eq!(device.smp("os echo hello").ok(), "hello\n");
    device.smp("os reset").ok();
    device.wait("reset by request");
    assert_eq!(device.smp("os echo again").ok(), "again\n");
}

#[test]
fn what_programs_read_is_an_object_a_line() {
    let bench = Bench::new("lines");
    let image = bench.image("1.0.0", SELF);
    let load = format!("primary={}", image.file);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_updraft"));
    command.args(["--json", "device", "run", "--udp", "127.0.0.1:0", "--key", "key.pem"]);
    command.args(["--flash", "dev.flash", "--load", &load]).current_dir(bench.path(""));
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"slots\nquit\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "listening");
    assert!(events[0]["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(events[1]["event"], "console");
    assert_eq!(events[1]["line"], "boot: virtual-nor-4k (power on)");
    let slots = events.iter().find(|event| event["event"] == "slots").unwrap();
    assert_eq!(slots["slots"][0]["hash"].as_str(), Some(&*image.hash));
}

#[test]
fn a_flash_file_is_shown_while_its_device_runs_but_runs_only_one() {
    let bench = Bench::new("taken");
    let image = bench.image("1.0.0", SELF);
    let device = bench.device_with(&image);
    assert!(bench.slots().run(&image));
    let text = bench.updraft("device show --flash dev.flash").ok();
    assert!(text.contains("primary") && text.contains(&image.hash[..16]), "{text}");
    bench
        .updraft("device run --flash dev.flash --key key.pem --udp 127.0.0.1:0")
        .complains(&["the flash of a device that is running", "try: stop that device"]);
    device.kill();
    bench.device().start().starts("1.0.0");
}

#[test]
fn two_devices_are_two_devices() {
    let bench = Bench::new("two");
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", SELF));
    let first = bench.device_with(&old);
    let second = bench.device().flash("other.flash").load("primary", &old).start();
    assert_ne!(first.address, second.address);
    second.try_out(&new);
    second.wait("image confirmed");
    let listed = first.smp("--json image list").json();
    assert_eq!(listed["images"].as_array().unwrap().len(), 1);
    assert!(bench.slots().run(&old));
    let listed = second.smp("--json image list").json();
    assert_eq!(listed["images"][0]["hash"].as_str(), Some(&*new.hash));
    bench
        .updraft(&format!("device run --key key.pem --udp {}", first.address))
        .complains(&["the UDP address cannot be used", "try: give another one with --udp"]);
}

#[test]
fn a_blank_device_says_what_it_needs_and_waits_for_it() {
    let bench = Bench::new("blank");
    let mut device = bench.device().start();
    device.wait("nothing to boot: the primary slot holds no image");
    device.wait("program a signed image into the primary slot");
    device.type_line("reset");
    device.wait("nothing to boot");
}

#[test]
fn private_and_public_keys_are_trusted_alike_and_several_at_once() {
    let bench = Bench::new("keys");
    bench.updraft("key new next.pem").ok();
    let first = bench.image("1.0.0", SELF);
    let body = bench.path("1.0.0.bin");
    let second = bench.signed("2.0.0", &std::fs::read(body).unwrap(), "-k next.pem");
    let device = bench.device().trusting(&["next.pem", "key.pub.pem"]).load("primary", &first);
    let device = device.start();
    device.starts("1.0.0");
    device.try_out(&second);
    device.wait("image confirmed");
    assert!(bench.slots().run(&second));
    device.kill();
    // The key of the first one has been retired.
    bench.device().trusting(&["next.pem"]).start().starts("2.0.0");
    bench.device().trusting(&["key.pem"]).start().wait("nothing to boot");
}

#[test]
fn wrong_usage_is_2_and_what_cannot_work_is_1() {
    let bench = Bench::new("codes");
    let image = bench.image("1.0.0", SELF);
    let run = "device run --udp 127.0.0.1:0";
    let usage = [
        ("device run --udp 127.0.0.1:0", "--unsigned to trust everybody"),
        ("device run --unsigned --key key.pem", "cannot be used with"),
        ("device run --key key.pem --load app.bin", "--load AREA=FILE"),
        ("device run --key key.pem --board virtual-nor", "did you mean"),
        ("device fly", "unrecognized subcommand"),
        ("smp os echo hello", "--udp"),
        ("smp --udp 127.0.0.1:x os echo hello", "--udp HOST"),
        ("smp --udp 127.0.0.1 --timeout 0 os echo hello", "--timeout takes seconds"),
    ];
    for (line, text) in usage {
        let said = bench.updraft(line).fails(2);
        assert!(said.contains(text), "{line}: {said}");
    }
    bench.file("short.flash", &[0xff; 100]);
    bench.file("empty.pem", b"");
    bench.file("large.bin", &[0; 300_000]);
    let failures = [
        (format!("{run} --key missing.pem"), "missing.pem cannot be read"),
        (format!("{run} --key empty.pem"), "no PEM file with a key in it"),
        (format!("{run} --key key.pem --flash short.flash"), "100 bytes long, but the devices"),
        (format!("{run} --key key.pem --load attic={}", image.file), "has no area attic"),
        (format!("{run} --key key.pem --load primary=missing"), "missing cannot be read"),
        (format!("{run} --key key.pem --load primary=large.bin"), "does not fit"),
        ("device run --key key.pem --udp 192.0.2.1:1".into(), "UDP address cannot be used"),
        ("device show --flash missing.flash".into(), "updraft device run --flash FILE makes one"),
        ("device show --flash short.flash".into(), "100 bytes long, but the devices"),
    ];
    for (line, text) in failures {
        bench.updraft(&line).complains(&[text]);
    }
    let said = bench.updraft("device show --flash missing.flash --json");
    assert_eq!(said.code, Some(1));
    let object: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(object["error"], "missing.flash is not there");
    assert!(!bench.path("missing.flash").exists());
}

#[test]
fn a_key_that_the_boards_bootloader_cannot_use_is_refused() {
    let bench = Bench::new("scheme");
    bench.updraft("key new p256.pem --type ecdsa-p256").ok();
    bench.updraft("device run --key p256.pem --udp 127.0.0.1:0").complains(&[
        "p256.pem",
        "virtual-nor-4k",
        "ed25519",
    ]);
}
