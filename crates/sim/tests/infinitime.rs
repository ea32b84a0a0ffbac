//! What InfiniTime's application expects of the bootloader under it. It links no library of MCUboot's:
//! it writes bytes at addresses that it knows.
//!
//! Source: InfiniTime, `doc/ota.md`, and the bootloader's own README (flash map, request and validation).

use std::time::Duration;

use updraft_board::{Board, Role};
use updraft_flash::{AreaId, FlashMap};
use updraft_image::{Digest, HashKind, Header, TlvKind, TlvType, TlvWriter, Version};
use updraft_sim::device::{Device, Keys, flash_in_memory, program};

const NOW: Duration = Duration::ZERO;
/// Its images: a header of 32 bytes, and nobody's signature.
const HEADER: u16 = 32;
/// Where the secondary slot begins in the external flash, and how long it is.
const SECONDARY: u32 = 0x40000;
const SLOT: u32 = 0x74000;
/// In the external flash: what asks for an update, which is all that is written.
const REQUEST: u32 = 0xb3ff0;
const MAGIC: [u8; 16] = [
    0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80,
];
/// In the chip: the word that becomes 1 once the user has found the watch to work.
const VALID: u32 = 0x7bfe8;

fn image(major: u8, size: u32) -> Vec<u8> {
    let version = Version::new(major, 0, 0, 0);
    let header = Header { hdr_size: HEADER, img_size: size, version, ..Header::default() };
    let mut image = header.emit().to_vec();
    image.resize(usize::from(HEADER) + size as usize, major);
    let digest = Digest::of(HashKind::Sha256, &image);
    let mut buf = [0; 64];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut buf).unwrap();
    tlvs.push(TlvType::SHA256, digest.as_bytes()).unwrap();
    image.extend(tlvs.finish());
    image
}

/// A watch, and what its slots are called.
struct Watch {
    device: Device,
    primary: AreaId,
    secondary: AreaId,
}

impl Watch {
    /// It runs 1.0.0, and 2.0.0 has been transferred; the end of the slot is as it was before.
    fn new() -> Self {
        let board = Board::load("pinetime-infinitime").unwrap();
        let slot = |role| board.slot(0, role).unwrap();
        let (primary, secondary) = (slot(Role::Primary), slot(Role::Secondary));
        assert_eq!((primary.address, primary.size), (Some(0x8000), SLOT));
        assert_eq!((secondary.offset, secondary.size), (SECONDARY, SLOT));
        let (primary, secondary) = (primary.id, secondary.id);
        let mut flash = flash_in_memory(&board);
        program(&mut flash, primary, &image(1, 9000)).unwrap();
        program(&mut flash, secondary, &image(2, 21_000)).unwrap();
        let mut device = Device::new(board, flash, Keys::unsigned()).unwrap();
        device.power_on(NOW);
        let mut watch = Self { device, primary, secondary };
        assert_eq!(watch.running(), 1);
        watch
    }

    fn running(&mut self) -> u8 {
        self.device.running().unwrap().major
    }

    /// What the application does when it has received an image, before it resets.
    fn requests(&mut self) {
        self.device.flash().write(self.secondary, REQUEST - SECONDARY, &MAGIC).unwrap();
        self.device.reset(NOW);
    }

    /// What it does when its user validates it.
    fn validates(&mut self) {
        self.device.flash().write(self.primary, VALID - 0x8000, &1_u32.to_le_bytes()).unwrap();
        self.device.reset(NOW);
    }
}

#[test]
fn a_magic_number_at_the_end_of_the_slot_is_all_that_it_takes_for_a_trial() {
    let mut watch = Watch::new();
    watch.requests();
    assert_eq!(watch.running(), 2);
}

#[test]
fn a_firmware_that_nobody_validates_is_taken_back() {
    let mut watch = Watch::new();
    watch.requests();
    watch.device.reset(NOW);
    assert_eq!(watch.running(), 1);
    watch.device.reset(NOW);
    assert_eq!(watch.running(), 1, "and stays away");
}

#[test]
fn a_word_of_1_at_its_place_validates_a_firmware() {
    let mut watch = Watch::new();
    watch.requests();
    watch.validates();
    assert_eq!(watch.running(), 2);
    watch.device.reset(NOW);
    assert_eq!(watch.running(), 2);
}

#[test]
fn the_next_update_is_asked_for_in_the_same_way() {
    let mut watch = Watch::new();
    watch.requests();
    watch.validates();
    // The slot is erased as a whole before an image is received.
    let flash = watch.device.flash();
    flash.erase(watch.secondary, 0, SLOT).unwrap();
    flash.write(watch.secondary, 0, &padded(image(3, 15_000))).unwrap();
    watch.requests();
    watch.validates();
    assert_eq!(watch.running(), 3);
}

fn padded(mut image: Vec<u8>) -> Vec<u8> {
    image.resize(image.len().next_multiple_of(4), 0xff);
    image
}

/// InfiniTime's linker script leaves 432 bytes for the trailer, as its own bootloader counts a write of one
/// byte for a record. In the chip's flash a record is a word, which this one counts on.
#[test]
fn an_image_may_be_as_long_as_a_trailer_of_words_leaves() {
    let board = Board::load("pinetime-infinitime").unwrap();
    let trailer = board.trailer(board.slot(0, Role::Primary).unwrap()).unwrap();
    assert_eq!(trailer.size(), 3 * 128 * 4 + 4 * 8 + 16);
    let limit = board.capacity(0).max_image;
    assert!(limit <= SLOT - trailer.size(), "{limit}");
    assert_eq!(limit, 473_552);
}
