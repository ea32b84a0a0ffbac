//! Images for boards that nobody built.

use updraft_board::Board;
use updraft_image::encryption::AesKeyWrap;
use updraft_image::{
    BodyCipher, ContentKey, Digest, Flags, HashKind, Header, TlvKind, TlvType, TlvWriter,
    UpgradeMode, Version,
};

use crate::PrivateKey;
use crate::device::Keys;

/// The key that devices of these boards unwrap content keys with.
const WRAPPING: [u8; 16] = [0x4b; 16];

/// What devices of `board` are built with: nothing that checks signatures, and a private key if
/// its images are encrypted with content keys that a symmetric key has wrapped.
pub fn keys(board: &Board) -> Keys {
    let format = board.boot().encryption.and_then(|encryption| encryption.format());
    let key = format.and_then(|format| PrivateKey::new(format, WRAPPING.to_vec()).ok());
    key.map_or_else(Keys::unsigned, |key| Keys::unsigned().with_private_key(key))
}

/// An unsigned image of `size` bytes, TLVs included, in version `major`.0.0, whose body is
/// different for every version and in every sector, and nowhere looks erased. On a board that runs
/// images from RAM it asks to be loaded to the start of the region; on one whose images are
/// encrypted it is, with a content key of its own, for [`keys`]. `None` if it cannot be that small.
pub fn image(board: &Board, major: u8, size: u32) -> Option<Vec<u8>> {
    image_of(board, major, size, |_| true)
}

/// The same, whose body is as that of every other version where `differs` does not say that it
/// differs, by offset in the image.
pub(super) fn image_of(
    board: &Board,
    major: u8,
    size: u32,
    differs: impl Fn(u32) -> bool,
) -> Option<Vec<u8>> {
    let secret = match board.boot().encryption {
        Some(encryption) => {
            let content = ContentKey::from_slice(&[0xc0 ^ major; 16])?;
            let wrapped = AesKeyWrap::from_slice(&WRAPPING)?.seal(&content)?;
            Some((content, wrapped, encryption.key_length().flag()))
        }
        None => None,
    };
    let enc_tlv = secret.as_ref().map_or(0, |(_, wrapped, _)| 4 + wrapped.as_bytes().len() as u32);
    let tlvs_size = 4 + 4 + 32 + enc_tlv;
    let hdr_size = board.image_defaults().header_size;
    let in_ram = matches!(board.mode(), UpgradeMode::RamLoad | UpgradeMode::SingleSlotRamLoad);
    let region = board.boot().ram_load.as_ref().filter(|_| in_ram);
    let loaded = region.map_or(Flags::default(), |_| Flags::RAM_LOAD);
    let encrypted = secret.as_ref().map_or(Flags::default(), |(_, _, flag)| *flag);
    let header = Header {
        hdr_size: u16::try_from(hdr_size).ok()?,
        img_size: size.checked_sub(hdr_size + tlvs_size).filter(|size| *size > 0)?,
        version: Version::new(major, 0, 0, 0),
        flags: Flags(loaded.0 | encrypted.0),
        load_addr: region.map_or(0, |ram| ram.base),
        ..Header::default()
    };
    let mut image = header.emit().to_vec();
    let body = |at: u32| {
        let version = if differs(at) { u32::from(major) } else { 0 };
        // Without a period: a bootloader tells sectors that are equal.
        let mixed = at.wrapping_mul(0x9e37_79b1).wrapping_add(version.wrapping_mul(0x85eb_ca6b));
        1 + (mixed >> 16) as u8 % 0xfd
    };
    image.extend((image.len() as u32..size - tlvs_size).map(body));
    let digest = Digest::of(HashKind::Sha256, &image);
    let mut buf = [0; 128];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut buf)?;
    tlvs.push(TlvType::SHA256, digest.as_bytes())?;
    if let Some((content, wrapped, _)) = &secret {
        tlvs.push(TlvType::ENCKW, wrapped.as_bytes())?;
        BodyCipher::new(content, &header).ok()?.apply(0, &mut image);
    }
    image.extend(tlvs.finish());
    Some(image)
}
