//! Updates over the air: the agent on the emulated board, mosquitto, a publisher.

use std::time::Duration;

use updraft_board::Role;

use crate::bench::{Bench, Chance, Chip, Image, MPS2_NETWORKED, Powered, SF2_NETWORKED};
use crate::publisher::Server;

/// An application that asks the server soon.
fn asking(server: &Server, tls: bool) -> String {
    let (port, tls) = match tls {
        true => (server.tls, "tls = mosquitto_server\n"),
        false => (server.plain, ""),
    };
    format!("self-test-ms = 50\nask = 1\nserver = 10.0.2.2:{port}\n{tls}")
}

/// A chip that runs 1.0.0, and a server that has 1.1.0 for it, which does as `app` says.
fn outdated<'b>(bench: &'b Bench, tls: bool, app: &str) -> (Powered<'b>, Server, Image) {
    bench.lab(Some("mosquitto_client"));
    // The server is there before the images that tell where it is.
    let server = Server::start(bench, "0.0.1", &bench.image("0.0.1", ""));
    let says = asking(&server, tls);
    let new = bench.image("1.1.0", &format!("{says}{app}"));
    Server::edit(bench, "1.1.0", &new);
    bench.provision(&bench.image("1.0.0", &says));
    (bench.start(), server, new)
}

fn says(chip: &Powered<'_>, lines: &[&str]) {
    lines.iter().for_each(|line| chip.wait(line));
}

fn an_update_is_fetched_installed_and_confirmed(chip: Chip, tls: bool, name: &str) {
    let Some(bench) = Bench::new(chip, name) else { return };
    let (chip, _server, new) = outdated(&bench, tls, "blink-ms = 250\n");
    says(
        &chip,
        &[
            "app: blinky 1.0.0+0 started, LED every 1000 ms",
            "app: update: job received",
            "app: update: fetching",
            "app: update: 8 of ",
            "app: update: 24 of ",
            "app: update: 40 of ",
            "app: update: verifying",
            "app: update: ready to activate",
            "app: update: asked for, at the next start",
            "app: resets",
            "boot: starting 1.1.0",
            "app: blinky 1.1.0+0 started, LED every 250 ms",
            "app: self-test passed, image confirmed",
        ],
    );
    chip.cut();
    let chip = bench.start();
    says(&chip, &["boot: starting 1.1.0", "app: self-test passed"]);
    chip.cut();
    assert!(bench.holds(bench.updated(), &new));
}

#[test]
fn an_update_comes_over_mqtt() {
    an_update_is_fetched_installed_and_confirmed(MPS2_NETWORKED, false, "plain");
}

#[test]
fn an_update_comes_over_mqtt_and_mutual_tls() {
    an_update_is_fetched_installed_and_confirmed(MPS2_NETWORKED, true, "encrypted");
}

#[test]
fn an_update_comes_over_mutual_tls_to_a_chip_whose_images_run_from_ram() {
    an_update_is_fetched_installed_and_confirmed(SF2_NETWORKED, true, "encrypted");
}

#[test]
fn an_update_that_fails_its_test_goes_back() {
    let Some(bench) = Bench::new(MPS2_NETWORKED, "goes-back") else { return };
    let (chip, _server, _) = outdated(&bench, false, "self-test = fail\n");
    says(
        &chip,
        &[
            "boot: starting 1.1.0",
            "app: self-test failed",
            "app: update: failed: the new image failed its test",
            "boot: image under test not confirmed: reverted",
            "boot: starting 1.0.0",
            "app: self-test passed",
            "app: update: refused: the same update has failed before",
        ],
    );
}

#[test]
fn a_download_goes_on_where_a_power_cut_has_left_it() {
    let Some(bench) = Bench::new(MPS2_NETWORKED, "cuts") else { return };
    let mut chance = Chance::new();
    let (chip, _server, new) = outdated(&bench, false, "");
    chip.wait("app: update: 8 of ");
    chip.cut();
    let chip = bench.start();
    says(&chip, &["app: update: job received", "app: update: goes on with "]);
    chip.cut();
    for _ in 0..3 {
        let chip = bench.start();
        chip.wait("boot: starting ");
        std::thread::sleep(Duration::from_millis(1000 + chance.below(400)));
        chip.cut();
    }
    let chip = bench.start();
    says(&chip, &["boot: starting 1.1.0", "app: self-test passed"]);
    chip.cut();
    assert!(bench.holds(Role::Primary, &new));
}
