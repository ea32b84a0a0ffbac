//! Images that imgtool made, on a virtual device: what is signed with the device's key boots, and
//! nothing else does.

use std::path::Path;
use std::time::Duration;

use updraft_board::{Board, Role};
use updraft_sim::device::{Device, Keys, Status, flash_in_memory, program};

fn vector(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot");
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The embedded encoding of a golden public key: what is between the lines of its PEM.
fn keys(name: &str) -> Keys {
    let text = String::from_utf8(vector(&format!("keys/{name}.pub.pem"))).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    Keys::trusting(vec![base64(&body)]).unwrap()
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for digit in text.bytes().filter_map(|c| ALPHABET.iter().position(|a| *a == c)) {
        (bits, count) = (bits << 6 | digit as u32, count + 6);
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn boots(image: &str, keys: Keys) -> (bool, String) {
    let board = Board::load("virtual-nor-4k").unwrap();
    let primary = board.slot(0, Role::Primary).unwrap().id;
    let mut flash = flash_in_memory(&board);
    program(&mut flash, primary, &vector(image)).unwrap();
    let mut device = Device::new(board, flash, keys).unwrap();
    device.power_on(Duration::ZERO);
    (device.status() == Status::Running, device.console().join("\n"))
}

#[test]
fn images_signed_by_imgtool_boot_with_their_key() {
    for (image, key) in [
        ("img/ecdsa-p256.bin", "ecdsa-p256"),
        ("img/ecdsa-p256-padsig.bin", "ecdsa-p256"),
        ("img/ed25519.bin", "ed25519"),
        ("img/ed25519-small.bin", "ed25519"),
    ] {
        let (boots, console) = boots(image, keys(key));
        assert!(boots, "{image}: {console}");
    }
}

#[test]
fn images_signed_with_another_key_do_not_boot() {
    for (image, key) in [
        ("img/ecdsa-p256.bin", "ecdsa-p256-other"),
        ("img/ed25519.bin", "ed25519-other"),
        ("img/ed25519.bin", "ecdsa-p256"),
        ("img/unsigned.bin", "ed25519"),
    ] {
        let (boots, console) = boots(image, keys(key));
        assert!(!boots && console.contains("nothing to boot"), "{image}: {console}");
    }
}

#[test]
fn unsigned_images_boot_only_where_signatures_are_not_asked_for() {
    assert!(boots("img/unsigned.bin", Keys::unsigned()).0);
    assert!(!boots("bad/nokey-flip-body-mid.bin", Keys::unsigned()).0);
}
