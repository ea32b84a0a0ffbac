//! Writing an image into a slot: what Zephyr's tests of `flash_img` and `stream_flash` ask of it.

use crate::common::{SECONDARY, SLOT, dfu, flash, with_offset};
use updraft_dfu::SlotWriter;
use updraft_flash::StreamError;
use updraft_image::{SwapType, magic_bytes};

#[test]
fn small_pieces_are_collected_and_padded_at_the_end() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    let mut writer = SlotWriter::<512>::new(&mut flash, dfu.secondary_trailer(), 0).unwrap();
    let pieces: Vec<u8> = (0..1500u32).map(|k| k as u8).collect();
    for piece in pieces.chunks(5) {
        writer.write(&mut flash, piece).unwrap();
    }
    assert_eq!(writer.written(), 1024, "two whole blocks of 512");
    assert_eq!(writer.finish(&mut flash), Ok(1500));
    assert_eq!(flash.bytes(SECONDARY)[..1500], pieces);
    assert_eq!(flash.bytes(SECONDARY)[1500..1504], [0xff; 4]);
}

#[test]
fn an_old_request_is_gone_before_the_first_byte_is_written() {
    let mut flash = flash(8, 0xff);
    flash.load(SECONDARY, 0, &[0x55; SLOT as usize]).unwrap();
    let dfu = dfu(&flash);
    SlotWriter::<512>::new(&mut flash, dfu.secondary_trailer(), 0).unwrap();
    assert_eq!(flash.bytes(SECONDARY)[SLOT as usize - 3120..], [0xff; 3120]);
}

#[test]
fn sectors_are_erased_only_when_the_data_gets_there() {
    let mut flash = flash(8, 0xff);
    flash.load(SECONDARY, 0, &[0x55; SLOT as usize]).unwrap();
    let dfu = dfu(&flash);
    let mut writer = SlotWriter::<512>::new(&mut flash, dfu.secondary_trailer(), 0).unwrap();
    writer.write(&mut flash, &[0xaa; 4096]).unwrap();
    assert_eq!(flash.bytes(SECONDARY)[..4096], [0xaa; 4096]);
    assert_eq!(flash.bytes(SECONDARY)[4096..8192], [0x55; 4096], "the next sector is untouched");
}

#[test]
fn what_does_not_fit_is_refused_whole() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    let mut writer = SlotWriter::<512>::new(&mut flash, dfu.secondary_trailer(), 0).unwrap();
    writer.write(&mut flash, &[0; 1000]).unwrap();
    let refused = writer.write(&mut flash, &vec![0; SLOT as usize]);
    let capacity = SLOT - 40;
    assert_eq!(refused, Err(StreamError::Full { written: 1000, capacity }));
    writer.write(&mut flash, &vec![0; capacity as usize - 1000]).unwrap();
}

/// An upload as long as the slot, with a request at its end: nobody asked, and nothing was
/// verified.
#[test]
fn an_upload_cannot_ask_for_itself() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    let mut forged = vec![0xff; SLOT as usize];
    let end = forged.len();
    forged[end - 16..].copy_from_slice(&magic_bytes(8));
    forged[end - 24] = 1;
    let mut writer = SlotWriter::<512>::new(&mut flash, dfu.secondary_trailer(), 0).unwrap();
    assert!(writer.write(&mut flash, &forged).is_err());
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::None));
}

#[test]
fn blocks_that_the_device_cannot_write_are_refused() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    let refused = SlotWriter::<12>::new(&mut flash, dfu.secondary_trailer(), 0).err();
    assert_eq!(refused, Some(StreamError::BlockSize { block: 12, write_size: 8 }));
}

#[test]
fn what_lies_before_an_update_is_cleared_after_the_request_and_before_the_image() {
    let mut flash = flash(8, 0xff);
    flash.load(SECONDARY, 0, &[0x55; SLOT as usize]).unwrap();
    let dfu = with_offset(&flash);
    let start = dfu.update_start(&flash);
    assert_eq!(start, 4096);
    flash.supply().record(true);
    let mut writer = SlotWriter::<512>::new(&mut flash, dfu.secondary_trailer(), start).unwrap();
    let erased: Vec<_> = flash.take_log().iter().map(|op| op.offset).collect();
    assert_eq!(erased, [SLOT - 4096, 0]);
    writer.write(&mut flash, &[0xaa; 4096]).unwrap();
    assert_eq!(flash.bytes(SECONDARY)[..4096], [0xff; 4096]);
    assert_eq!(flash.bytes(SECONDARY)[4096..8192], [0xaa; 4096]);
    let refused = writer.write(&mut flash, &[0; SLOT as usize]);
    let capacity = SLOT - start - 40;
    assert_eq!(refused, Err(StreamError::Full { written: 4096, capacity }));
    // Nothing is erased twice.
    flash.take_log();
    SlotWriter::<512>::new(&mut flash, dfu.secondary_trailer(), start).unwrap();
    assert_eq!(flash.take_log().len(), 1, "the trailer");
}
