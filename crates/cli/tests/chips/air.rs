//! Updates over the air: the agent on the emulated board, mosquitto, a publisher.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
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

#[test]
fn a_download_goes_on_after_seconds_without_a_server() {
    let Some(bench) = Bench::new(MPS2_NETWORKED, "no-server") else { return };
    let (chip, mut server, new) = outdated(&bench, false, "");
    chip.wait("app: update: 8 of ");
    server.gone_for(Duration::from_secs(3), &bench);
    says(&chip, &["app: update: verifying", "app: resets", "boot: starting 1.1.0"]);
    says(&chip, &["app: self-test passed, image confirmed"]);
    let printed = chip.printed();
    // Nothing that was held is counted twice.
    for held in ["8 of ", "16 of ", "24 of ", "32 of "] {
        let line = format!("app: update: {held}");
        assert_eq!(printed.matches(&line).count(), 1, "{line}: {printed}");
    }
    assert!(!printed.contains("begins anew"), "{printed}");
    chip.cut();
    assert!(bench.holds(Role::Primary, &new));
}

/// The packets of one session with a broker that acknowledges no message and hangs up after the first
/// one: their first bytes.
fn unheard(listener: &TcpListener) -> Vec<u8> {
    let (mut line, _) = listener.accept().unwrap();
    line.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut packets = Vec::new();
    while packets.last().is_none_or(|first| first >> 4 != PUBLISH) {
        let (first, body) = packet(&mut line);
        let answer = match first >> 4 {
            CONNECT => vec![0x20, 2, 0, 0],
            SUBSCRIBE => vec![0x90, 3, body[0], body[1], 1],
            _ => vec![],
        };
        std::io::Write::write_all(&mut line, &answer).unwrap();
        packets.push(first);
    }
    packets
}

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;

/// The first byte and the body of the next packet.
fn packet(line: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut byte = || {
        let mut byte = [0];
        line.read_exact(&mut byte).unwrap();
        byte[0]
    };
    let first = byte();
    let mut len = 0;
    for shift in [0, 7, 14, 21] {
        let digit = byte();
        len |= usize::from(digit & 0x7f) << shift;
        if digit & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; len];
    line.read_exact(&mut body).unwrap();
    (first, body)
}

#[test]
fn what_a_lost_server_has_not_heard_is_not_said_twice_to_the_next_one() {
    let Some(bench) = Bench::new(MPS2_NETWORKED, "unheard") else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let says = format!("self-test-ms = 50\nask = 1\nserver = 10.0.2.2:{port}\n");
    bench.provision(&bench.image("1.0.0", &says));
    let _chip = bench.start();
    for session in 0..3 {
        let kinds: Vec<u8> = unheard(&listener).iter().map(|first| first >> 4).collect();
        // It listens first. An old question would come before that, and be answered as well.
        assert_eq!(kinds, [CONNECT, SUBSCRIBE, PUBLISH], "session {session}");
    }
}

#[test]
fn an_update_waits_for_the_battery_and_the_console_names_it() {
    let Some(bench) = Bench::new(MPS2_NETWORKED, "waits") else { return };
    bench.lab(Some("mosquitto_client"));
    let server = Server::start(&bench, "0.0.1", &bench.image("0.0.1", ""));
    let asks = asking(&server, false);
    let new = bench.image("1.1.0", &asks);
    Server::edit(&bench, "1.1.0", &new);
    bench.provision(&bench.image("1.0.0", &format!("{asks}wait = battery:4\n")));
    let chip = bench.start();
    says(
        &chip,
        &[
            "app: update: job received",
            "app: update: has to wait: battery",
            "app: update: goes on",
            "app: update: fetching",
            "app: update: verifying",
            "boot: starting 1.1.0",
            "app: self-test passed, image confirmed",
        ],
    );
    chip.cut();
    assert!(bench.holds(Role::Primary, &new));
}
