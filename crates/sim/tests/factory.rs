//! A virtual device with a factory image, as its owner knows it: a button and a console.

use std::time::Duration;

use updraft_board::{Board, Role};
use updraft_flash::{Error, Fault, FlashError, FlashMap};
use updraft_image::{Digest, HashKind, Header, TlvKind, TlvType, TlvWriter, Version};
use updraft_sim::device::{Device, Keys, Status, flash_in_memory, program};
use updraft_sim::flash::Torn;

const NOW: Duration = Duration::ZERO;

fn image(major: u8) -> Vec<u8> {
    let version = Version::new(major, 0, 0, 0);
    let header = Header { hdr_size: 512, img_size: 9000, version, ..Header::default() };
    let mut image = header.emit().to_vec();
    image.resize(512 + 9000, major);
    let digest = Digest::of(HashKind::Sha256, &image);
    let mut buf = [0; 64];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut buf).unwrap();
    tlvs.push(TlvType::SHA256, digest.as_bytes()).unwrap();
    image.extend(tlvs.finish());
    image
}

/// A device that runs 2.0.0 and left the factory with 1.0.0.
fn device() -> Device {
    device_of(Board::load("virtual-nor-4k").unwrap())
}

/// The same, whose button has to be held for a while.
fn device_holding(ms: u32) -> Device {
    let text = Board::load("virtual-nor-4k").unwrap().to_toml();
    let held = format!("rollback_hold_ms = {ms}\n");
    let text = text.replacen("rollback_hold_ms = 0\n", &held, 1);
    assert!(text.contains(&held));
    device_of(Board::parse(&text, "held.toml").unwrap())
}

fn device_of(board: Board) -> Device {
    let mut flash = flash_in_memory(&board);
    for (role, major) in [(Role::Factory, 1), (Role::Primary, 2)] {
        program(&mut flash, board.slot(0, role).unwrap().id, &image(major)).unwrap();
    }
    let mut device = Device::new(board, flash, Keys::unsigned()).unwrap();
    device.power_on(NOW);
    assert_eq!(device.running(), Some(Version::new(2, 0, 0, 0)));
    device
}

#[test]
fn a_button_that_is_held_at_a_reset_brings_the_factory_image_back() {
    let mut device = device();
    device.hold_button(true, NOW);
    device.reset(NOW);
    device.hold_button(false, NOW);
    assert_eq!(device.running(), Some(Version::new(1, 0, 0, 0)));
    let console = device.console();
    assert!(
        console.iter().any(|line| line == "boot: Rollback initiated at startup"),
        "{console:?}"
    );
    device.reset(NOW);
    assert_eq!(device.running(), Some(Version::new(1, 0, 0, 0)), "and it stays");
}

/// The factory image, if it is, and the application otherwise.
fn boots_the_factory_image(device: &Device) -> bool {
    let running = device.running().expect("something runs");
    assert!([1, 2].contains(&running.major));
    running.major == 1
}

#[test]
fn a_button_has_to_be_held_for_as_long_as_the_board_says() {
    let (at, hold) = (Duration::from_secs(7), Duration::from_millis(1500));
    let just_before = at + hold - Duration::from_millis(1);
    let begun = |held: bool| {
        let mut device = device_holding(1500);
        device.hold_button(held, at);
        device.reset(at);
        device
    };
    let mut device = begun(true);
    assert_eq!((device.status(), device.deadline()), (Status::Holding, Some(at + hold)));
    device.poll(just_before);
    assert_eq!(device.status(), Status::Holding);
    device.poll(at + hold);
    assert!(boots_the_factory_image(&device));

    let mut device = begun(true);
    device.hold_button(false, just_before);
    assert!(!boots_the_factory_image(&device), "let go too early");

    let mut device = begun(false);
    assert!(!boots_the_factory_image(&device), "nobody waits");
    device.hold_button(true, at);
    device.poll(at + 2 * hold);
    assert!(!boots_the_factory_image(&device), "not pressed at the reset");
}

#[test]
fn a_power_cut_while_the_button_is_held_changes_nothing() {
    let mut device = device_holding(1500);
    device.hold_button(true, NOW);
    device.reset(NOW);
    assert_eq!(device.status(), Status::Holding);
    device.power_off();
    device.hold_button(false, NOW);
    device.power_on(NOW);
    assert!(!boots_the_factory_image(&device));
}

#[test]
fn a_button_that_was_held_counts_on_the_prompt_when_it_is_let_go() {
    let mut device = device_holding(1500);
    let primary = device.board().slot(0, Role::Primary).unwrap().id;
    device.flash().load(primary, 700, &[0; 8]).unwrap();
    device.hold_button(true, NOW);
    device.reset(NOW);
    device.poll(Duration::from_secs(3));
    assert_eq!(device.status(), Status::Recovering);
    device.hold_button(false, Duration::from_secs(3));
    assert!(boots_the_factory_image(&device));
}

#[test]
fn with_nothing_to_boot_a_press_brings_the_factory_image_back() {
    let mut device = device();
    let primary = device.board().slot(0, Role::Primary).unwrap().id;
    device.flash().load(primary, 700, &[0; 8]).unwrap();
    device.reset(NOW);
    assert_eq!(device.status(), Status::Recovering);
    let prompt = "boot: Press and release user button to initiate Rollback";
    assert!(device.console().iter().any(|line| line == prompt));
    device.press_button(Duration::from_millis(100), NOW);
    assert_eq!(device.running(), Some(Version::new(1, 0, 0, 0)));
}

#[test]
fn a_rollback_that_loses_power_goes_on_by_itself() {
    let mut device = device();
    device.hold_button(true, NOW);
    device.cut_at(9, Torn::Half);
    device.reset(NOW);
    device.hold_button(false, NOW);
    assert_eq!(device.status(), Status::Off);
    device.power_on(NOW);
    assert_eq!(device.running(), Some(Version::new(1, 0, 0, 0)));
    let console = device.console();
    assert!(console.iter().any(|line| line.contains("Resuming")), "{console:?}");
}

#[test]
fn nobody_changes_the_factory_image() {
    let mut device = device();
    let factory = device.board().slot(0, Role::Factory).unwrap().id;
    let refused = |result: Result<(), Error<_>>| result.unwrap_err().fault();
    assert_eq!(refused(device.flash().write(factory, 0, &[0; 8])), Fault::ReadOnly);
    let sector = device.flash().sector_at(factory, 0).unwrap().size;
    assert_eq!(refused(device.flash().erase(factory, 0, sector)), Fault::ReadOnly);
    assert!(device.flash().bytes(factory).starts_with(&image(1)));
}
