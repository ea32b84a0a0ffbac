//! What becomes of an image under test: its own self-test, the watchdog and the host decide.

use crate::support::{Bench, Device, HOST, Image, SELF, firmware};

/// A device that runs 1.0.0 and has just started 1.1.0, which behaves as the lines of `app` say.
fn trial(bench: &Bench, app: &str) -> (Device, Image, Image) {
    let (old, new) = (bench.image("1.0.0", SELF), bench.image("1.1.0", app));
    let device = bench.device_with(&old);
    device.try_out(&new);
    (device, old, new)
}

#[test]
fn an_image_that_passes_its_self_test_confirms_itself() {
    let bench = Bench::new("passes");
    let (device, _, new) = trial(&bench, "self-test = pass\nself-test-ms = 50\nconfirm = self\n");
    device.wait("app: self-test passed, image confirmed");
    assert!(bench.slots().run(&new) && bench.slots().confirmed());
    device.smp("os reset").ok();
    device.starts("1.1.0");
}

#[test]
fn an_image_whose_self_test_fails_is_reverted() {
    let bench = Bench::new("fails");
    let (device, old, new) = trial(&bench, "self-test = fail\nself-test-ms = 50\n");
    device.wait("app: self-test failed");
    device.wait("reset after a failed self-test");
    device.starts("1.0.0");
    assert!(bench.slots().run(&old) && bench.slots().confirmed() && bench.slots().hold(&new));
}

#[test]
fn an_image_that_crashes_is_reverted() {
    let bench = Bench::new("crashes");
    let (device, old, _) = trial(&bench, "self-test = crash\nself-test-ms = 0\n");
    device.wait("app: hard fault");
    device.starts("1.0.0");
    assert!(bench.slots().run(&old) && bench.slots().confirmed());
}

#[test]
fn an_image_that_hangs_answers_nothing_and_is_reverted_by_the_watchdog() {
    let bench = Bench::with_line("hangs", "timeout_ms = 7000", "timeout_ms = 1200");
    let (device, old, _) = trial(&bench, "self-test = hang\nself-test-ms = 0\n");
    device
        .smp("--timeout 0.2 --retries 1 os echo hello")
        .complains(&["no answer from the device (2 requests sent)", "try: check address"]);
    assert!(bench.slots().on_trial());
    device.wait("reset by the watchdog");
    device.starts("1.0.0");
    assert!(bench.slots().run(&old) && bench.slots().confirmed());
    assert_eq!(device.smp("os echo hello").ok(), "hello\n");
}

#[test]
fn an_image_that_waits_for_the_host_is_reverted_without_it() {
    let bench = Bench::new("waits");
    let (device, old, new) = trial(&bench, HOST);
    device.wait("waiting to be confirmed");
    assert!(bench.slots().on_trial());
    // As long as the trial lasts, nothing may be put in the place of the image to go back to.
    let another = bench.image("1.2.0", HOST);
    device
        .smp(&format!("image upload {}", another.file))
        .complains(&["the device runs 1.1.0 on trial", "try: confirm it"]);
    device.smp("image erase").complains(&["the slot is in use", "rc 9"]);
    assert!(bench.slots().run(&new) && bench.slots().hold(&old));
    device.smp("os reset").ok();
    device.starts("1.0.0");
    assert!(bench.slots().run(&old) && bench.slots().confirmed());
}

#[test]
fn a_confirmed_image_stays_even_if_its_self_test_fails() {
    let bench = Bench::new("stays");
    let image = bench.image("1.0.0", "self-test = fail\nself-test-ms = 0\n");
    let device = bench.device().load("primary", &image).start();
    device.wait("image stays: it is confirmed");
    assert_eq!(device.smp("os echo hello").ok(), "hello\n");
}

#[test]
fn a_body_without_a_description_just_runs() {
    let bench = Bench::new("plain");
    let body = firmware(vec![0; 256], 20_000, "2.0.0");
    let old = bench.image("1.0.0", SELF);
    let plain = bench.signed("2.0.0", &body, "-k key.pem");
    let device = bench.device_with(&old);
    device.try_out(&plain);
    device.wait("app: self-test passed, waiting to be confirmed");
    device.smp("image confirm").ok();
    assert!(bench.slots().run(&plain) && bench.slots().confirmed());
}

#[test]
fn a_description_that_cannot_be_followed_is_named_and_the_image_just_runs() {
    let bench = Bench::new("broken");
    let image = bench.image("1.0.0", "self-test = maybe\n");
    let device = bench.device().load("primary", &image).start();
    device.wait("`self-test = maybe` in the application's description: expected pass, fail");
    device.starts("1.0.0");
    device.wait("app: self-test passed");
}
