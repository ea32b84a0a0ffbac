//! Noise on the serial line: before messages, between them and inside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use updraft_board::Role;

use crate::bench::{Bench, Chance, Chip, Image, MICROBIT, MICROBIT_RECOVERY, MPS2, Powered, Said};
use crate::story::{HOST, running};

use super::garbage;

/// What a message begins with, and one that goes on.
const BEGINNING: &[u8] = b"\x06\x09";
const MORE: &[u8] = b"\x04\x14";

/// A burst of what a loose wire, a wrong rate or another program on the line may send.
fn burst(chance: &mut Chance) -> Vec<u8> {
    let len = 1 + chance.below(60) as usize;
    let bytes = garbage(chance, len);
    match chance.below(5) {
        0 => bytes,
        // Lines of text, and breaks.
        1 => b"hello?\r\n\r\nroot\n".to_vec(),
        2 => vec![0; len],
        // Messages that are none: no base64, no end, more of nothing.
        3 => [BEGINNING, &bytes, b"\n"].concat(),
        _ => [MORE, b"AAAAAAAA".repeat(len / 8 + 1).as_slice(), b"\n"].concat(),
    }
}

/// Does something while noise comes every few milliseconds.
fn under_noise<R>(chip: &Powered<'_>, every_ms: u64, work: impl FnOnce() -> R) -> R {
    let line = chip.machine().line(0);
    let over = AtomicBool::new(false);
    let mut chance = Chance::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                line.send(&burst(&mut chance)).unwrap();
                std::thread::sleep(Duration::from_millis(chance.below(2 * every_ms)));
            }
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        done
    })
}

/// An upload that noise has not stopped, or that says what went wrong; the next one goes through.
fn completes_or_says_why(
    chip: &Powered<'_>,
    every_ms: u64,
    upload: impl Fn() -> Option<Said>,
) -> Option<bool> {
    let said = under_noise(chip, every_ms, &upload)?;
    println!("under noise: {}", said.text.lines().last().unwrap_or_default());
    if said.ok {
        return Some(true);
    }
    assert!(!said.text.trim().is_empty(), "{} fails without a word", said.line);
    // A line that was cut off is over with the next one.
    chip.machine().line(0).send(b"\n").unwrap();
    upload()?.ok();
    Some(false)
}

fn ours(chip: &Powered<'_>, image: &Image) -> Said {
    let path = image.path.to_str().unwrap();
    chip.smp(&["--timeout", "0.5", "--retries", "20", "image", "upload", path])
}

/// A good deal of noise at once.
fn flood(chip: &Powered<'_>) {
    let mut chance = Chance::new();
    let mut noise: Vec<u8> = (0..60).flat_map(|_| burst(&mut chance)).collect();
    // A message without an end, longer than any buffer.
    noise.extend(BEGINNING);
    noise.extend(b"QUJD".repeat(1000));
    chip.machine().line(0).send(&noise).unwrap();
}

/// What the chip prints in a boot, as lines of text.
fn boots_in_plain_words(chip: &Powered<'_>, version: &str) {
    chip.smp(&["os", "reset"]).ok();
    let line = format!("boot: Updraft {} on {}, ", env!("CARGO_PKG_VERSION"), chip.board());
    chip.wait(&line);
    chip.wait("trusts the sample key: not for sale\r\n");
    chip.wait(&format!(
        "boot: starting {version}+0\r\napp: blinky {version}+0 started, LED every "
    ));
    chip.wait("app: self-test passed");
}

fn an_application_is_updated_through_noise(chip: Chip) {
    let Some(bench) = Bench::new(chip, "noise") else { return };
    let (chip, old) = running(&bench);
    let new = bench.image("2.0.0", HOST);
    let path = new.path.to_str().unwrap();
    flood(&chip);
    chip.smp(&["image", "list"]).ok();
    let _ = completes_or_says_why(&chip, 20, || Some(ours(&chip, &new)));
    chip.smp(&["image", "test", path]).ok();
    boots_in_plain_words(&chip, "2.0.0");
    // And by smpmgr, which sends a message once.
    let third = bench.image("3.0.0", HOST);
    let path = third.path.to_str().unwrap();
    chip.smp(&["image", "confirm"]).ok();
    let by_smpmgr = || chip.smpmgr(&["image", "upload", path]);
    if completes_or_says_why(&chip, 200, by_smpmgr).is_some() {
        chip.smp(&["image", "test", path]).ok();
        boots_in_plain_words(&chip, "3.0.0");
    }
    chip.cut();
    assert!(!bench.holds(Role::Primary, &old));
}

#[test]
fn a_large_chip_is_updated_through_noise() {
    an_application_is_updated_through_noise(MPS2);
}

#[test]
fn a_small_chip_is_updated_through_noise() {
    an_application_is_updated_through_noise(MICROBIT);
}

/// The bootloader reads the line by itself, with less memory.
fn serial_recovery_takes_an_image_through_noise(
    test: &str,
    every_ms: u64,
    upload: impl Fn(&Powered<'_>, &Image) -> Option<Said>,
) {
    let Some(bench) = Bench::new(MICROBIT_RECOVERY, test) else { return };
    let image = bench.image("1.0.0", HOST);
    let chip = bench.start();
    chip.wait("boot: serial recovery");
    flood(&chip);
    chip.machine().line(0).send(b"\n").unwrap();
    if completes_or_says_why(&chip, every_ms, || upload(&chip, &image)).is_none() {
        return;
    }
    boots_in_plain_words(&chip, "1.0.0");
    chip.cut();
    assert!(bench.holds(Role::Primary, &image));
}

#[test]
fn serial_recovery_takes_an_image_of_ours_through_noise() {
    serial_recovery_takes_an_image_through_noise("noise", 20, |chip, image| {
        Some(ours(chip, image))
    });
}

#[test]
fn serial_recovery_takes_an_image_of_smpmgr_through_noise() {
    serial_recovery_takes_an_image_through_noise("noise-smpmgr", 200, |chip, image| {
        chip.smpmgr(&["image", "upload", image.path.to_str().unwrap()])
    });
}

/// Noise alone is no reason to do anything: a chip that hears nothing else starts as ever.
#[test]
fn a_boot_under_noise_starts_what_it_always_does() {
    for chip in [MICROBIT, MICROBIT_RECOVERY, MPS2] {
        let Some(bench) = Bench::new(chip, "noisy-boot") else { return };
        let (chip, _) = running(&bench);
        under_noise(&chip, 5, || {
            chip.machine().reset().unwrap();
            chip.wait("boot: starting 1.0.0");
            chip.wait("app: self-test passed");
        });
        assert!(!chip.printed().contains("serial recovery"), "{}", chip.printed());
        chip.smp(&["image", "list"]).ok();
    }
}
