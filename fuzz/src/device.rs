//! A small virtual device that takes unsigned images: bootloader, DFU library and SMP server over
//! a modelled flash.

use std::sync::OnceLock;
use std::time::Duration;

use updraft_board::{Board, Role};
use updraft_image::{Digest, HashKind, Header, TlvKind, TlvType, TlvWriter, Version};
use updraft_sim::device::{Device, Keys, flash_in_memory, program};

/// The board that it is.
pub fn board() -> &'static Board {
    static BOARD: OnceLock<Board> = OnceLock::new();
    BOARD.get_or_init(|| Board::load("virtual-small").expect("a board of this repository"))
}

/// An intact image without a signature.
pub fn image(version: Version, body: usize) -> Vec<u8> {
    let header = Header { hdr_size: 0x100, img_size: body as u32, version, ..Header::default() };
    let mut image = header.emit().to_vec();
    image.resize(0x100, 0xff);
    image.extend((0..body).map(|at| (at * 7) as u8));
    let hash = Digest::of(HashKind::Sha256, &image);
    let mut area = [0; 64];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut area).expect("there is room");
    tlvs.push(TlvType::SHA256, hash.as_bytes()).expect("there is room");
    image.extend_from_slice(tlvs.finish());
    image
}

/// The device, off, with `image` in its primary slot and nothing in the other.
pub fn with(image: &[u8]) -> Device {
    let mut flash = flash_in_memory(board());
    let primary = board().slot(0, Role::Primary).expect("a primary slot").id;
    program(&mut flash, primary, image).expect("the image fits");
    Device::new(board().clone(), flash, Keys::unsigned()).expect("a board that can be played")
}

/// The device, running.
pub fn running(image: &[u8]) -> Device {
    let mut device = with(image);
    device.power_on(Duration::ZERO);
    device
}
