//! A virtual device that goes into serial recovery and out of it again.

use std::time::Duration;

use updraft_board::{Board, Role};
use updraft_image::{Digest, HashKind, Header, TlvKind, TlvType, TlvWriter, Version};
use updraft_recovery::Reason;
use updraft_sim::device::{Device, Keys, Status, flash_in_memory, program};
use updraft_sim::flash::Torn;
use updraft_smp::client::{Answer, Requests};
use updraft_smp::framing::{Console, Framing, Raw, Received};

const START: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_millis(250);

/// Whole writes of any board.
const CHUNK: usize = 512;

fn version(major: u8) -> Version {
    Version::new(major, 0, 0, 0)
}

fn image(major: u8) -> Vec<u8> {
    let header =
        Header { hdr_size: 512, img_size: 9000, version: version(major), ..Header::default() };
    let mut image = header.emit().to_vec();
    image.resize(512 + 9000, major);
    let digest = Digest::of(HashKind::Sha256, &image);
    let mut buf = [0; 64];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut buf).unwrap();
    tlvs.push(TlvType::SHA256, digest.as_bytes()).unwrap();
    image.extend(tlvs.finish());
    image
}

/// virtual-offset with another table `[recovery]`, and images without ids.
fn board(table: &str) -> Board {
    let mut text = Board::load("virtual-offset").unwrap().to_toml();
    let begin = text.find("[recovery]\n").unwrap() + "[recovery]\n".len();
    let end = begin + text[begin..].find("\n[").unwrap();
    text.replace_range(begin..end, table);
    let text = text.replace("require_ids = true", "require_ids = false");
    Board::parse(&text, "test.toml").unwrap()
}

/// A device that was turned on with the image of version `major` in its primary slot.
fn device(table: &str, major: Option<u8>) -> Device {
    let board = board(table);
    let mut flash = flash_in_memory(&board);
    if let Some(major) = major {
        program(&mut flash, board.slot(0, Role::Primary).unwrap().id, &image(major)).unwrap();
    }
    let mut device = Device::new(board, flash, Keys::unsigned()).unwrap();
    device.power_on(START);
    device
}

/// Sends a message over the line; what comes back.
fn exchange<F: Framing>(
    device: &mut Device,
    mut ours: F,
    message: &[u8],
    now: Duration,
) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    F::send(message, |piece| line.extend_from_slice(piece)).unwrap();
    let mut back = Vec::new();
    device.serial(&line, now, |piece| back.extend_from_slice(piece));
    back.iter().find_map(|byte| match ours.receive(*byte, now) {
        Some(Received::Message(message)) => Some(message.to_vec()),
        _ => None,
    })
}

fn ask(device: &mut Device, message: &[u8], now: Duration) -> Option<Vec<u8>> {
    exchange(device, Console::<4096>::new(), message, now)
}

fn echo(device: &mut Device, now: Duration) -> bool {
    let mut buffer = [0; 64];
    let message = Requests::starting_at(1).echo(&mut buffer, "hi").unwrap().to_vec();
    ask(device, &message, now).is_some()
}

fn reset(device: &mut Device, boot_mode: Option<u8>, now: Duration) {
    let mut buffer = [0; 64];
    let message = Requests::starting_at(1).reset(&mut buffer, false, boot_mode).unwrap().to_vec();
    assert!(ask(device, &message, now).is_some(), "the answer leaves before the reset");
    device.poll(now + SOON);
}

/// A chunk of an upload to `slot`, as CBOR written by hand: clients differ, the format does not.
fn chunk(slot: u8, file: &[u8], off: usize, len: usize) -> Vec<u8> {
    let data = &file[off..(off + len).min(file.len())];
    let mut body = vec![0xbf];
    body.extend([0x65, b'i', b'm', b'a', b'g', b'e', slot]);
    body.extend([0x63, b'l', b'e', b'n', 0x1a]);
    body.extend((file.len() as u32).to_be_bytes());
    body.extend([0x63, b'o', b'f', b'f', 0x1a]);
    body.extend((off as u32).to_be_bytes());
    body.extend([0x64, b'd', b'a', b't', b'a', 0x59]);
    body.extend((data.len() as u16).to_be_bytes());
    body.extend(data);
    body.push(0xff);
    let mut message = vec![0x0a, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend([0, 1, off as u8, 1]);
    message.extend(body);
    message
}

/// Uploads a file; `false` as soon as something is refused.
fn upload(device: &mut Device, slot: u8, file: &[u8], now: Duration) -> bool {
    (0..file.len()).step_by(CHUNK).all(|off| {
        let answer = ask(device, &chunk(slot, file, off, CHUNK), now).expect("it answers");
        Answer::parse(&answer).is_some_and(|answer| answer.check().is_ok())
    })
}

fn says(device: &mut Device, text: &str) {
    let console = device.console();
    assert!(console.iter().any(|line| line.contains(text)), "no {text:?} in {console:#?}");
}

#[test]
fn an_empty_device_takes_an_image_and_runs_it_after_a_reset() {
    let mut device = device("enter = [\"no-image\"]\n", None);
    assert_eq!(device.status(), Status::Recovering);
    assert_eq!(device.recovery(), Some(Reason::NoImage));
    assert_eq!(device.told(), Some(updraft_boot::Status::SerialRecovery));
    says(&mut device, "boot: serial recovery: there is no image to start");
    assert!(upload(&mut device, 0, &image(3), START));
    assert_eq!(device.status(), Status::Recovering, "until it is reset");
    reset(&mut device, None, START);
    assert_eq!((device.status(), device.running()), (Status::Running, Some(version(3))));
    assert_eq!(device.told(), Some(updraft_boot::Status::BootableImageFound));
}

#[test]
fn a_damaged_image_is_replaced() {
    let mut device = device("enter = [\"no-image\"]\n", Some(1));
    assert_eq!(device.running(), Some(version(1)));
    let primary = device.board().slot(0, Role::Primary).unwrap().id;
    device.flash().load(primary, 700, &[0; 8]).unwrap();
    device.reset(START);
    assert_eq!(device.recovery(), Some(Reason::NoImage));
    assert!(upload(&mut device, 0, &image(2), START));
    reset(&mut device, None, START);
    assert_eq!(device.running(), Some(version(2)));
}

#[test]
fn a_board_without_recovery_stops() {
    let board = Board::load("virtual-small").unwrap();
    let flash = flash_in_memory(&board);
    let mut device = Device::new(board, flash, Keys::unsigned()).unwrap();
    device.power_on(START);
    assert_eq!((device.status(), device.recovery()), (Status::Stopped, None));
    assert!(!echo(&mut device, START));
}

#[test]
fn a_button_at_a_reset_leads_into_recovery_and_a_reset_out_of_it() {
    let mut device = device("enter = [\"button\"]\n", Some(1));
    device.hold_button(true, START);
    device.reset(START);
    device.hold_button(false, START);
    assert_eq!(device.recovery(), Some(Reason::Button));
    assert!(echo(&mut device, START));
    reset(&mut device, None, START);
    assert_eq!(device.running(), Some(version(1)));
    device.reset(START);
    assert_eq!(device.running(), Some(version(1)), "nobody holds it");
}

#[test]
fn the_application_is_reset_into_recovery_once() {
    let mut device = device("enter = [\"boot-mode\"]\n", Some(1));
    reset(&mut device, Some(1), START);
    assert_eq!(device.recovery(), Some(Reason::BootMode));
    reset(&mut device, None, SOON);
    assert_eq!(device.running(), Some(version(1)));
    reset(&mut device, Some(1), SOON);
    assert_eq!(device.recovery(), Some(Reason::BootMode));
    device.reset(SOON);
    assert_eq!(device.running(), Some(version(1)), "retained memory was cleared");
}

#[test]
fn a_power_cut_takes_the_wish_for_recovery_with_it() {
    let mut device = device("enter = [\"boot-mode\"]\n", Some(1));
    reset(&mut device, Some(1), START);
    device.power_on(START);
    assert_eq!(device.running(), Some(version(1)));
}

#[test]
fn a_board_that_does_not_look_at_the_boot_mode_boots() {
    let mut device = device("enter = [\"no-image\"]\n", Some(1));
    reset(&mut device, Some(1), START);
    assert_eq!((device.status(), device.running()), (Status::Running, Some(version(1))));
}

#[test]
fn the_reset_pin_leads_into_recovery_and_the_power_does_not() {
    let mut device = device("enter = [\"pin-reset\"]\n", Some(1));
    assert_eq!(device.status(), Status::Running);
    device.reset(START);
    assert_eq!(device.recovery(), Some(Reason::PinReset));
    reset(&mut device, None, START);
    assert_eq!(device.status(), Status::Running);
}

#[test]
fn a_device_that_waits_starts_when_nobody_came() {
    let mut device = device("enter = [\"wait\"]\nwait_ms = 400\n", Some(1));
    assert_eq!((device.status(), device.recovery()), (Status::Recovering, None));
    let window = Duration::from_millis(400);
    assert_eq!(device.deadline(), Some(window));
    device.poll(Duration::from_millis(399));
    assert_eq!(device.status(), Status::Recovering);
    device.poll(window);
    assert_eq!(device.running(), Some(version(1)));
}

#[test]
fn a_device_that_waits_stays_when_somebody_came() {
    let mut device = device("enter = [\"wait\"]\nwait_ms = 400\n", Some(1));
    device.serial(b"hello?\r\n", START, |_| ());
    assert_eq!(device.recovery(), None, "text is no request");
    assert!(echo(&mut device, Duration::from_millis(300)), "and is answered");
    assert_eq!(device.recovery(), Some(Reason::Request));
    says(&mut device, "boot: serial recovery: a request came in time");
    device.poll(Duration::from_secs(100));
    assert_eq!(device.status(), Status::Recovering);
}

#[test]
fn a_client_of_a_board_with_direct_upload_chooses_the_slot() {
    let mut device = device("enter = [\"button\", \"boot-mode\"]\ndirect_upload = true\n", Some(1));
    reset(&mut device, Some(1), START);
    assert!(upload(&mut device, 2, &image(2), START));
    let (board, secondary) = (device.board().clone(), Role::Secondary);
    let secondary = board.slot(0, secondary).unwrap();
    let start = updraft_sim::device::update_start(&board, device.flash(), secondary) as usize;
    let held = device.flash().bytes(secondary.id)[start..start + image(2).len()].to_vec();
    assert!(held == image(2));
    reset(&mut device, None, SOON);
    assert_eq!(device.running(), Some(version(1)), "nobody asked for the update");
}

#[test]
fn a_raw_line_carries_messages_and_nothing_else() {
    let mut device = device("enter = [\"no-image\"]\ntransport = \"raw\"\n", None);
    assert!(!device.serial_carries_text());
    let mut buffer = [0; 64];
    let message = Requests::starting_at(1).echo(&mut buffer, "hi").unwrap().to_vec();
    let raw = |device: &mut Device, message: &[u8]| {
        exchange(device, Raw::<4096>::default(), message, START)
    };
    assert!(raw(&mut device, &message).is_some());
    let file = image(4);
    for off in (0..file.len()).step_by(CHUNK) {
        assert!(raw(&mut device, &chunk(0, &file, off, CHUNK)).is_some());
    }
    device.reset(START);
    assert_eq!(device.running(), Some(version(4)));
    assert!(raw(&mut device, &message).is_some(), "the application speaks the same");
}

#[test]
fn the_application_answers_on_the_same_line() {
    let mut device = device("enter = [\"no-image\"]\n", Some(1));
    assert!(device.serial_carries_text());
    assert!(echo(&mut device, START));
    assert_eq!(device.status(), Status::Running);
}

#[test]
fn a_power_cut_in_an_upload_leaves_a_device_that_still_takes_one() {
    let file = image(5);
    for operation in [0, 3, 9, 20] {
        let mut device = device("enter = [\"no-image\"]\n", None);
        device.cut_at(operation, Torn::Half);
        for off in (0..file.len()).step_by(CHUNK) {
            if ask(&mut device, &chunk(0, &file, off, CHUNK), START).is_none() {
                break;
            }
        }
        assert_eq!(device.status(), Status::Off, "{operation}");
        device.power_on(START);
        assert_eq!(device.recovery(), Some(Reason::NoImage), "{operation}");
        assert!(upload(&mut device, 0, &file, START), "{operation}");
        reset(&mut device, None, START);
        assert_eq!(device.running(), Some(version(5)), "{operation}");
    }
}

#[test]
fn nothing_is_answered_between_a_reset_request_and_the_reset() {
    let mut device = device("enter = [\"no-image\"]\n", None);
    let mut buffer = [0; 64];
    let message = Requests::starting_at(1).reset(&mut buffer, false, None).unwrap().to_vec();
    assert!(ask(&mut device, &message, START).is_some());
    assert!(!echo(&mut device, START));
    device.poll(SOON);
    assert!(echo(&mut device, SOON));
}
