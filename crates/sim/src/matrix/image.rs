//! Images for boards that nobody built.

use updraft_board::Board;
use updraft_image::{
    Digest, Flags, HashKind, Header, TlvKind, TlvType, TlvWriter, UpgradeMode, Version,
};

/// An unsigned image of `size` bytes, TLVs included, in version `major`.0.0, whose body is
/// different for every version and nowhere looks erased. On a board that runs images from RAM it
/// asks to be loaded to the start of the region. `None` if it cannot be that small.
pub fn image(board: &Board, major: u8, size: u32) -> Option<Vec<u8>> {
    const TLVS: u32 = 4 + 4 + 32;
    let hdr_size = board.image_defaults().header_size;
    let in_ram = matches!(board.mode(), UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad);
    let region = board.boot().ram_load.as_ref().filter(|_| in_ram);
    let header = Header {
        hdr_size: u16::try_from(hdr_size).ok()?,
        img_size: size.checked_sub(hdr_size + TLVS).filter(|size| *size > 0)?,
        version: Version::new(major, 0, 0, 0),
        flags: region.map_or(Flags::default(), |_| Flags::RAM_LOAD),
        load_addr: region.map_or(0, |ram| ram.base),
        ..Header::default()
    };
    let mut image = header.emit().to_vec();
    let body = |at: u32| 1 + (at.wrapping_mul(31 + 2 * u32::from(major)) >> 3) as u8 % 0xfd;
    image.extend((image.len() as u32..size - TLVS).map(body));
    let digest = Digest::of(HashKind::Sha256, &image);
    let mut buf = [0; TLVS as usize];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut buf)?;
    tlvs.push(TlvType::SHA256, digest.as_bytes())?;
    image.extend(tlvs.finish());
    Some(image)
}
