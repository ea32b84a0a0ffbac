//! The original's demonstration of its factory-rollback bootloader, on the emulated board with a
//! network: an empty device, its factory app, an update, and the way back.

use std::time::Duration;

use updraft_board::Role;

use crate::bench::{Bench, Chance, Image, MPS2_FACTORY, Powered};
use crate::factory::PROMPT;
use crate::publisher::Server;

/// A rollback, from the button to the factory app.
const ROLLBACK: [&str; 8] = [
    "Valid image magic found",
    "Erasing primary slot. Please wait for a while...",
    "Transferring 'factory app' to 'primary slot'",
    "factory app copied to primary slot successfully",
    "factory app validated successfully",
    "boot: starting 1.0.0",
    "app: factory 1.0.0+0 started, LED every 1000 ms",
    "app: self-test passed",
];

const ASKS: &str = "app: button pressed, asks for an update";

/// From there to the new application.
const UPDATE: [&str; 8] = [
    "app: update: job received",
    "app: update: fetching",
    "app: update: verifying",
    "app: update: asked for, at the next start",
    "app: resets",
    "boot: starting 1.1.0",
    "app: blinky 1.1.0+0 started, LED every 250 ms",
    "app: self-test passed, image confirmed",
];

fn says(chip: &Powered<'_>, lines: &[&str]) {
    lines.iter().for_each(|line| chip.wait(line));
}

/// A finger.
fn press(chip: &Powered<'_>) {
    chip.press(true);
    std::thread::sleep(Duration::from_millis(300));
    chip.press(false);
}

/// The same as long as it takes: an application that shakes hands does not look at its button.
fn ask(chip: &Powered<'_>) {
    chip.press(true);
    chip.wait(ASKS);
    chip.press(false);
}

fn blinks(chip: &Powered<'_>, ms: u64) {
    let [found, least] = [chip.half_period(), Duration::from_millis(ms * 4 / 5)];
    let most = Duration::from_millis(ms * 6 / 5);
    assert!((least..=most).contains(&found), "the light changes every {found:?}, and not {ms} ms");
}

/// Fetches what is published, and runs it.
fn update(chip: &Powered<'_>, bench: &Bench, new: &Image) {
    ask(chip);
    says(chip, &UPDATE);
    blinks(chip, 250);
    assert!(bench.holds(Role::Primary, new));
}

fn the_story(tls: bool, name: &str) {
    let Some(bench) = Bench::new(MPS2_FACTORY, name) else { return };
    bench.lab(Some("mosquitto_client"));
    let server = Server::start(&bench, "1.0.0", &bench.image("0.0.1", ""));
    let (port, tls) = match tls {
        true => (server.tls, "tls = mosquitto_server\n"),
        false => (server.plain, ""),
    };
    let says_where = format!("self-test-ms = 50\nask = button\nserver = 10.0.2.2:{port}\n{tls}");
    let factory = bench.image("1.0.0", &format!("name = factory\nblink-ms = 1000\n{says_where}"));
    let blinky = bench.image("1.1.0", &format!("blink-ms = 250\n{says_where}"));
    Server::edit(&bench, "1.0.0", &blinky);

    // There is nothing on the device but its factory app, which runs once the button is pressed.
    bench.put(Role::Factory, 0, &factory.bytes);
    let chip = bench.start();
    says(&chip, &["No Upgrade available !", "No valid image found in primary slot !", PROMPT]);
    press(&chip);
    says(&chip, &["Detected user button event", "Initiating the Rollback..."]);
    says(&chip, &ROLLBACK);
    blinks(&chip, 1000);

    // The job is of the version that runs: nothing happens. Then somebody edits it.
    ask(&chip);
    // Shaking hands takes its time.
    std::thread::sleep(Duration::from_secs(if tls.is_empty() { 2 } else { 8 }));
    assert!(!chip.printed().contains("job received"), "{}", chip.printed());
    Server::edit(&bench, "1.1.0", &blinky);
    update(&chip, &bench, &blinky);
    chip.cut();

    // Held from the reset on, the button brings the factory app back, whatever cuts the power.
    let mut chance = Chance::new();
    let chip = bench.start_paused();
    chip.press(true);
    let primary = (0x2100_0000, 0x4_0000);
    let run = || chip.machine().run_to_store(&[primary], Duration::from_secs(20)).unwrap();
    let stores = chance.below(3000);
    assert!((0..=stores).all(|_| run()));
    says(&chip, &["Detected user button event", "Rollback initiated at startup"]);
    println!("the power is cut after {stores} stores of the rollback");
    chip.cut();
    let chip = bench.start();
    chip.wait("Resuming an interrupted Rollback...");
    says(&chip, &ROLLBACK[4..]);
    blinks(&chip, 1000);
    assert!(bench.holds(Role::Primary, &factory) && bench.holds(Role::Factory, &factory));

    // And from there the update comes again.
    update(&chip, &bench, &blinky);
    assert!(bench.holds(Role::Factory, &factory));
}

#[test]
fn an_empty_device_gets_its_factory_app_an_update_and_back_again() {
    the_story(false, "story-plain");
}

#[test]
fn an_empty_device_gets_its_factory_app_an_update_and_back_again_over_tls() {
    the_story(true, "story-tls");
}
