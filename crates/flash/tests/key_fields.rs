//! Content keys in a trailer: where a bootloader in the field puts them, and what counts as none.

use updraft_flash::{AreaEntry, AreaId, FlashMap, TrailerAccess, TrailerFormat};
use updraft_image::{
    ContentKey, KeyLength, KeySlot, SavedKey, TlvType, TrailerKeys, UpgradeMode, WrapFormat,
    WrappedKey,
};
use updraft_sim::flash::{DeviceSpec, SimFlash};

const SLOT: AreaId = AreaId(1);
const SIZE: u32 = 40960;

fn flash(write_size: u32, erased: u8) -> SimFlash {
    let mut spec = DeviceSpec::nor(10, 4096, write_size);
    spec.erased = erased;
    SimFlash::new(vec![spec], vec![AreaEntry { id: SLOT, device: 0, offset: 0, size: SIZE }])
}

fn trailer(
    flash: &SimFlash,
    mode: UpgradeMode,
    max_align: u32,
    keys: Option<TrailerKeys>,
) -> TrailerAccess {
    let format = TrailerFormat { mode, max_align, max_sectors: 128, keys };
    format.trailer(flash, SLOT, 8).unwrap()
}

fn bytes(flash: &mut SimFlash, offset: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    flash.read(SLOT, offset, &mut bytes).unwrap();
    bytes
}

/// A content key of one byte all over, and its TLV of another.
fn saved(keys: TrailerKeys, byte: u8) -> SavedKey {
    let length = match keys {
        TrailerKeys::Plain(length) => length,
        TrailerKeys::Wrapped(format) => format.key(),
    };
    let format = WrapFormat::new(TlvType::ENCEC256, length).unwrap();
    let payload = vec![byte ^ 0x40; format.payload_len()];
    let wrapped = WrappedKey::from_slice(format.kind(), &payload).unwrap();
    let key = ContentKey::from_slice(&vec![byte; length.size()]).unwrap();
    keys.save(&wrapped, &key)
}

const AES128: TrailerKeys = TrailerKeys::Plain(KeyLength::Aes128);

fn tlvs() -> TrailerKeys {
    TrailerKeys::Wrapped(WrapFormat::new(TlvType::ENCEC256, KeyLength::Aes128).unwrap())
}

#[test]
fn keys_lie_where_the_c_boot_loader_writes_them() {
    // From recorded swaps in slots of 40960 bytes: key 0, key 1.
    for (mode, keys, expected) in [
        (UpgradeMode::SwapScratch, AES128, [40896, 40880]),
        (UpgradeMode::SwapMove, AES128, [40896, 40880]),
        (UpgradeMode::SwapOffset, AES128, [40888, 40872]),
        (UpgradeMode::SwapMove, tlvs(), [40792, 40672]),
    ] {
        let mut flash = flash(8, 0xff);
        let trailer = trailer(&flash, mode, 8, Some(keys));
        let slots = [KeySlot::Primary, KeySlot::Secondary];
        for ((slot, offset), byte) in slots.into_iter().zip(expected).zip([0x11, 0x22]) {
            let saved = saved(keys, byte);
            trailer.write_key(&mut flash, slot, Some(&saved)).unwrap();
            assert_eq!(bytes(&mut flash, offset, keys.size()), saved.as_bytes(), "{mode}");
        }
        for (slot, byte) in slots.into_iter().zip([0x11, 0x22]) {
            let read = trailer.read_key(&mut flash, slot).unwrap().unwrap();
            assert_eq!(read.as_bytes(), saved(keys, byte).as_bytes());
        }
    }
}

#[test]
fn an_image_without_a_key_leaves_none() {
    for erased in [0xff, 0] {
        for keys in [AES128, tlvs()] {
            let mut flash = flash(8, erased);
            let trailer = trailer(&flash, UpgradeMode::SwapMove, 8, Some(keys));
            let (old, new) = (KeySlot::Primary, KeySlot::Secondary);
            assert!(trailer.read_key(&mut flash, old).unwrap().is_none(), "erased");
            trailer.write_key(&mut flash, old, None).unwrap();
            trailer.write_key(&mut flash, new, Some(&saved(keys, 0x33))).unwrap();
            assert!(trailer.read_key(&mut flash, old).unwrap().is_none(), "written as absent");
            assert!(trailer.read_key(&mut flash, new).unwrap().is_some());
            // The original takes no other byte for a missing key.
            let offset = trailer.layout().key(old).unwrap();
            assert_eq!(bytes(&mut flash, offset, keys.size()), vec![0xff; keys.size()]);
        }
    }
}

#[test]
fn a_field_is_one_write_of_its_aligned_size() {
    let mut flash = flash(32, 0);
    let trailer = trailer(&flash, UpgradeMode::SwapMove, 32, Some(tlvs()));
    let saved = saved(tlvs(), 0x44);
    trailer.write_key(&mut flash, KeySlot::Secondary, Some(&saved)).unwrap();
    let offset = trailer.layout().key(KeySlot::Secondary).unwrap();
    let field = bytes(&mut flash, offset, 128);
    assert_eq!(&field[..113], saved.as_bytes());
    assert_eq!(field[113..], [0xff; 15], "filled up as the original does");
    assert_eq!(bytes(&mut flash, offset + 128, 128), [0; 128], "key 0 is untouched");
}

#[test]
fn a_trailer_without_key_fields_saves_nothing() {
    let mut flash = flash(8, 0xff);
    let trailer = trailer(&flash, UpgradeMode::SwapMove, 8, None);
    trailer.write_key(&mut flash, KeySlot::Primary, Some(&saved(AES128, 1))).unwrap();
    assert!(trailer.read_key(&mut flash, KeySlot::Primary).unwrap().is_none());
    assert_eq!(bytes(&mut flash, 0, SIZE as usize), vec![0xff; SIZE as usize]);
}
