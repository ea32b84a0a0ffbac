//! A small virtual device that takes unsigned images: bootloader, DFU library and SMP server over
//! a modelled flash.

use std::sync::OnceLock;
use std::time::Duration;

use updraft_board::{Board, Role};
use updraft_image::{BoardIds, Digest, HashKind, Header, TlvKind, TlvType, TlvWriter, Version};
use updraft_sim::device::{Device, Keys, flash_in_memory, program};

/// The board that it is.
pub fn board() -> &'static Board {
    static BOARD: OnceLock<Board> = OnceLock::new();
    BOARD.get_or_init(|| Board::load("virtual-small").expect("a board of this repository"))
}

/// An intact image for the board, without a signature.
pub fn image(version: Version, body: usize) -> Vec<u8> {
    let ids = tlvs(TlvKind::Protected, |tlvs| {
        let BoardIds { vendor, class, .. } = board().ids().unwrap_or_default();
        for (kind, id) in [(TlvType::UUID_VID, vendor), (TlvType::UUID_CID, class)] {
            if let Some(id) = id {
                tlvs.push(kind, &id).expect("there is room");
            }
        }
    });
    let header = Header {
        hdr_size: 0x100,
        img_size: body as u32,
        protect_tlv_size: ids.len() as u16,
        version,
        ..Header::default()
    };
    let mut image = header.emit().to_vec();
    image.resize(0x100, 0xff);
    image.extend((0..body).map(|at| (at * 7) as u8));
    image.extend(ids);
    let hash = Digest::of(HashKind::Sha256, &image);
    image.extend(tlvs(TlvKind::Unprotected, |tlvs| {
        tlvs.push(TlvType::SHA256, hash.as_bytes()).expect("there is room");
    }));
    image
}

/// A TLV area.
fn tlvs(kind: TlvKind, fill: impl FnOnce(&mut TlvWriter<'_>)) -> Vec<u8> {
    let mut area = [0; 64];
    let mut tlvs = TlvWriter::new(kind, &mut area).expect("there is room");
    fill(&mut tlvs);
    tlvs.finish().to_vec()
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
