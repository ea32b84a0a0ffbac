//! Devices with two updatable images: an application and a radio, which are updated together, tried
//! together, and kept or given up together.

use serde_json::Value;

use crate::support::{Bench, Device, HOST, Image, SELF, Space, firmware, tool};

struct Pair {
    bench: Bench,
    device: Device,
    /// What runs at first: application and radio.
    old: [Image; 2],
}

impl Pair {
    fn new(name: &str) -> Self {
        Self::within(name, None)
    }

    fn within(name: &str, space: Option<std::sync::Arc<Space>>) -> Self {
        let bench = Bench::with_board(name, "virtual-two-images");
        let old = [bench.image("1.0.0", SELF), radio(&bench, "2.0.0")];
        let setup = bench.device().load("app-primary", &old[0]).load("radio-primary", &old[1]);
        let device = match space {
            Some(space) => setup.within(space).start(),
            None => setup.start(),
        };
        device.wait("app: self-test passed");
        Self { bench, device, old }
    }

    /// Whether the device runs these two, both confirmed or both on trial.
    fn runs(&self, [app, radio]: [&Image; 2], on_trial: bool) -> bool {
        let [one, two] = [0, 1].map(|image| self.bench.slots().of(image));
        let kept = |slots: &crate::support::Slots| slots.confirmed() != on_trial;
        one.run(app) && two.run(radio) && kept(&one) && kept(&two)
    }

    fn list(&self) -> Value {
        self.device.smp("--json image list").json()["images"].clone()
    }
}

/// Firmware of the second core.
fn radio(bench: &Bench, version: &str) -> Image {
    bench.signed(version, &firmware(Vec::new(), 20_000, version), "--image 1 -k key.pem")
}

/// An application that needs a radio.
fn needing(bench: &Bench, version: &str, radio: &str, app: &str) -> Image {
    let text = format!("updraft-app 1\nname = blinky\n{app}\0");
    let body = firmware(text.into_bytes(), 24_000, version);
    bench.signed(version, &body, &format!("-k key.pem -d (1,{radio})"))
}

#[test]
fn both_images_are_listed_and_numbered() {
    let pair = Pair::new("two-listed");
    let images = pair.list();
    let found: Vec<_> = images
        .as_array()
        .unwrap()
        .iter()
        .map(|image| (image["image"].as_u64(), image["version"].as_str(), image["active"] == true))
        .collect();
    let expected = [(Some(0), Some("1.0.0"), true), (Some(1), Some("2.0.0"), true)];
    assert_eq!(found, expected);
    let slots = pair.device.smp("image slots").ok();
    assert!(slots.contains("image 1 slot 1: 64 KiB"), "{slots}");
}

#[test]
fn both_images_are_upgraded_tried_and_confirmed_with_one_command() {
    let pair = Pair::new("two-upgrade");
    let (app, radio) = (pair.bench.image("1.1.0", HOST), radio(&pair.bench, "2.1.0"));
    let said = pair.device.smp(&format!("upgrade {} 1={}", app.file, radio.file)).ok();
    assert!(said.contains("for good"), "{said}");
    assert!(pair.runs([&app, &radio], false), "{:?}", pair.bench.slots());
    let said = pair.device.smp(&format!("upgrade {} 1={}", app.file, radio.file)).ok();
    assert!(said.contains("nothing to do"), "{said}");
    pair.device.smp("os reset").ok();
    pair.device.starts("1.1.0");
    assert!(pair.runs([&app, &radio], false), "{:?}", pair.bench.slots());
}

#[test]
fn both_images_go_back_unless_they_are_confirmed() {
    let pair = Pair::new("two-revert");
    let (app, radio) = (pair.bench.image("1.1.0", HOST), radio(&pair.bench, "2.1.0"));
    let line = format!("upgrade {} 1={} --no-confirm", app.file, radio.file);
    pair.device.smp(&line).ok();
    assert!(pair.runs([&app, &radio], true), "{:?}", pair.bench.slots());
    pair.device.smp("os reset").ok();
    pair.device.starts("1.0.0");
    assert!(pair.runs([&pair.old[0], &pair.old[1]], false), "{:?}", pair.bench.slots());

    // Once more, by hand: each with its own request.
    pair.device.smp(&format!("image test {}", radio.file)).ok();
    pair.device.smp(&format!("image test {}", app.file)).ok();
    pair.device.smp("os reset").ok();
    pair.device.starts("1.1.0");
    assert!(pair.runs([&app, &radio], true), "{:?}", pair.bench.slots());
    pair.device.smp(&format!("image confirm {}", radio.file)).ok();
    pair.device.smp("image confirm").ok();
    assert!(pair.runs([&app, &radio], false), "{:?}", pair.bench.slots());
}

#[test]
fn an_application_confirms_both_by_itself() {
    let pair = Pair::new("two-self");
    let (app, radio) = (pair.bench.image("1.1.0", SELF), radio(&pair.bench, "2.1.0"));
    let line = format!("upgrade {} 1={} --no-confirm", app.file, radio.file);
    pair.device.smp(&line).ok();
    pair.device.wait("app: self-test passed");
    assert!(pair.runs([&app, &radio], false), "{:?}", pair.bench.slots());
    let said = pair.device.smp(&format!("upgrade {} 1={}", app.file, radio.file)).ok();
    assert!(said.contains("nothing to do"), "{said}");
}

#[test]
fn both_images_are_installed_for_good() {
    let pair = Pair::new("two-permanent");
    let (app, radio) = (pair.bench.image("1.1.0", HOST), radio(&pair.bench, "2.1.0"));
    pair.device.smp(&format!("upgrade {} 1={} --permanent", app.file, radio.file)).ok();
    assert!(pair.runs([&app, &radio], false), "{:?}", pair.bench.slots());
}

/// The bootloader installs no application without the radio that it needs.
#[test]
fn an_application_waits_for_the_radio_that_it_needs() {
    let pair = Pair::new("two-needs");
    let (app, radio) = (needing(&pair.bench, "1.1.0", "2.1.0", HOST), radio(&pair.bench, "2.1.0"));
    pair.device
        .smp(&format!("upgrade {} --wait 5", app.file))
        .complains(&["the device answers", "needs another image"]);
    pair.device.wait("image 0: no upgrade: it needs image 1 in version 2.1.0");
    assert!(pair.runs([&pair.old[0], &pair.old[1]], false), "{:?}", pair.bench.slots());

    let said = pair.device.smp(&format!("upgrade {} 1={}", app.file, radio.file)).ok();
    assert!(said.contains("for good"), "{said}");
    assert!(pair.runs([&app, &radio], false), "{:?}", pair.bench.slots());
}

#[test]
fn the_radio_alone_is_upgraded() {
    let pair = Pair::new("two-radio");
    let radio = radio(&pair.bench, "2.1.0");
    pair.device.smp(&format!("upgrade 1={}", radio.file)).ok();
    assert!(pair.runs([&pair.old[0], &radio], false), "{:?}", pair.bench.slots());
}

#[test]
fn smpmgr_lists_both_images() {
    let Some(program) = tool("venv/bin/smpmgr") else { return };
    let pair = Pair::within("two-smpmgr", Some(Space::own()));
    let line = "--ip 127.0.0.1 image state-read";
    let program = program.display().to_string();
    let said = pair.device.client(&program, &line.split(' ').collect::<Vec<_>>()).ok();
    assert!(said.contains("1.0.0") && said.contains("2.0.0") && said.contains("image=1"), "{said}");
}

#[test]
fn mcumgrctl_lists_both_images_and_updates_the_second() {
    let Some(program) = tool("bin/mcumgrctl") else { return };
    let pair = Pair::new("two-mcumgrctl");
    let radio = radio(&pair.bench, "2.1.0");
    let program = program.display().to_string();
    let run = |line: &str| {
        let line = format!("--udp {} -q {line}", pair.device.address);
        pair.device.client(&program, &line.split(' ').collect::<Vec<_>>())
    };
    let listed = run("image get-state --json").json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    assert_eq!((&listed[1]["image"], &listed[1]["version"]), (&1.into(), &"2.0.0".into()));
    run(&format!("image upload --image-id 1 {}", radio.file)).ok();
    run(&format!("image set-state --hash {}", radio.hash)).ok();
    run("os system-reset").ok();
    pair.device.starts("1.0.0");
    assert!(pair.bench.slots().of(1).run(&radio), "{:?}", pair.bench.slots());
}
