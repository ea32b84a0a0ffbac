//! Trailers and streams on self-erasing rows, where a write replaces what was there.

use updraft_flash::{
    AreaEntry, AreaId, FlashMap, Kind, SlotPair, Stream, TrailerAccess, TrailerFormat,
};
use updraft_image::{Flag, Magic, SwapInfo, SwapType, UpgradeMode};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const PRIMARY: AreaId = AreaId(1);
const SECONDARY: AreaId = AreaId(2);
const ROW: u32 = 512;

fn flash(row: u32) -> SimFlash {
    let spec = DeviceSpec::nor(32, row, row);
    let spec = DeviceSpec { kind: Kind::SelfErasingRows, erased: 0x00, ..spec };
    let area =
        |id, row_number| AreaEntry { id, device: 0, offset: row_number * row, size: 8 * row };
    SimFlash::new(vec![spec], vec![area(PRIMARY, 0), area(SECONDARY, 8)])
}

fn trailers(flash: &SimFlash) -> Result<[TrailerAccess; 2], AreaId> {
    let format = TrailerFormat {
        mode: UpgradeMode::OverwriteOnly,
        max_align: 8,
        max_sectors: 8,
        keys: None,
    };
    let pair = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };
    format.trailers(flash, &pair)
}

#[test]
fn a_trailer_is_laid_out_as_if_fields_were_written_by_themselves() {
    let [primary, secondary] = trailers(&flash(ROW)).unwrap();
    assert_eq!(primary.layout().image_ok(), 8 * ROW - 24);
    assert_eq!(primary.layout().size(), 8 * 3 * 8 + 48, "records as wide as a field");
    assert_eq!(primary.layout(), secondary.layout());
}

#[test]
fn a_field_is_put_into_its_row_and_the_rest_of_the_row_stays() {
    let mut flash = flash(ROW);
    let [_, secondary] = trailers(&flash).unwrap();
    flash.load(SECONDARY, 7 * ROW, &[0x11; 400]).unwrap();
    secondary.write_magic(&mut flash).unwrap();
    secondary.write_image_ok(&mut flash).unwrap();
    let info = SwapInfo { swap_type: SwapType::Permanent, image: 0 };
    secondary.write_swap_info(&mut flash, info).unwrap();
    let state = secondary.read(&mut flash).unwrap();
    assert_eq!((state.magic, state.image_ok), (Magic::Good, Flag::Set));
    assert_eq!((state.copy_done, state.swap_info.swap_type), (Flag::Unset, SwapType::Permanent));
    assert!(flash.holds(SECONDARY, 7 * ROW, &[0x11; 400]));
    assert!(flash.bytes(PRIMARY).iter().all(|byte| *byte == 0));
    assert_eq!(flash.devices()[0].wear()[15], 3, "each field costs its row an erase");
}

#[test]
fn a_field_across_two_rows_is_put_into_both() {
    let mut flash = flash(16);
    let layout = updraft_image::TrailerLayout::new(128, UpgradeMode::OverwriteOnly, 1, 8, 8);
    let trailer = TrailerAccess::new(SECONDARY, layout.unwrap());
    trailer.write_cell(&mut flash, 8, &[7; 24]).unwrap();
    assert!(flash.holds(SECONDARY, 0, &[[0; 8], [7; 8], [7; 8], [7; 8], [0; 8]].concat()));
}

#[test]
fn a_torn_field_may_take_the_other_fields_of_its_row_with_it() {
    let mut flash = flash(ROW);
    let [_, secondary] = trailers(&flash).unwrap();
    secondary.write_magic(&mut flash).unwrap();
    flash.supply().cut_at(0, Torn::Half);
    assert!(secondary.write_image_ok(&mut flash).is_err());
    flash.supply().power_on();
    assert_eq!(secondary.read(&mut flash).unwrap().magic, Magic::Unset);
}

#[test]
fn rows_longer_than_the_buffer_for_one_are_refused() {
    assert_eq!(trailers(&flash(1024)), Err(PRIMARY));
}

#[test]
fn a_stream_writes_rows_without_erasing_them_first() {
    let mut flash = flash(ROW);
    flash.load(SECONDARY, 0, &[0xff; 3 * ROW as usize]).unwrap();
    let mut stream = Stream::<512>::new(&flash, SECONDARY, 0, 8 * ROW).unwrap();
    stream.write(&mut flash, &[0x22; 700]).unwrap();
    stream.flush(&mut flash).unwrap();
    assert_eq!((flash.counts().erases, flash.counts().writes), (0, 2));
    assert!(flash.holds(SECONDARY, 0, &[0x22; 700]));
    assert!(flash.holds(SECONDARY, 700, &[0; 324]), "padded with the erased value");
    assert!(flash.holds(SECONDARY, 2 * ROW, &[0xff; ROW as usize]), "not reached");
    flash.read(SECONDARY, 0, &mut [0]).unwrap();
}
