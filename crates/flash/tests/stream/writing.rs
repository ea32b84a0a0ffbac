//! Blocks: what is written when, and what is counted.

use proptest::prelude::*;
use updraft_flash::{FlashMap, Stream, StreamError};
use updraft_sim::flash::DeviceSpec;

use crate::common::{AREA, BLOCK, SECTOR, SIZE, data, flash, stream, with};

#[test]
fn a_range_that_passes_the_end_of_the_area_is_refused() {
    let flash = flash(4);
    for (start, capacity) in
        [(0, SIZE + 4), (SECTOR, SIZE), (0, u32::MAX), (SIZE, SECTOR), (u32::MAX, 2)]
    {
        let refused = Stream::<BLOCK>::new(&flash, AREA, start, capacity).err();
        assert!(
            matches!(refused, Some(StreamError::Full { written: 0, .. })),
            "{start} {capacity}"
        );
    }
    assert_eq!(stream(&flash).capacity(), SIZE);
}

#[test]
fn a_range_of_nothing_is_refused() {
    let refused = Stream::<BLOCK>::new(&flash(4), AREA, SECTOR, 0).err();
    assert_eq!(refused, Some(StreamError::Full { written: 0, capacity: SIZE - SECTOR }));
}

#[test]
fn an_area_that_is_not_there_is_refused() {
    let nowhere = updraft_flash::AreaId(9);
    let refused = Stream::<BLOCK>::new(&flash(4), nowhere, 0, SIZE).err();
    assert_eq!(refused, Some(StreamError::NoArea));
}

#[test]
fn a_start_off_the_write_size_is_refused() {
    let refused = Stream::<BLOCK>::new(&flash(8), AREA, 7, SECTOR).err();
    assert_eq!(refused, Some(StreamError::Misaligned { start: 7 }));
}

#[test]
fn a_block_goes_out_when_its_last_byte_comes_and_not_before() {
    let mut flash = flash(4);
    let mut stream = stream(&flash);
    stream.write(&mut flash, &data(BLOCK)[..BLOCK - 1]).unwrap();
    assert_eq!(flash.bytes(AREA)[..BLOCK], [0xff; BLOCK]);
    stream.write(&mut flash, &data(BLOCK)[BLOCK - 1..]).unwrap();
    assert_eq!(flash.bytes(AREA)[..BLOCK], data(BLOCK));
}

#[test]
fn data_may_cross_from_one_block_to_the_next() {
    let mut flash = flash(4);
    let mut stream = stream(&flash);
    let all = data(BLOCK * 5 / 2);
    stream.write(&mut flash, &all[..BLOCK + 128]).unwrap();
    assert_eq!(flash.bytes(AREA)[..BLOCK], all[..BLOCK]);
    stream.write(&mut flash, &all[BLOCK + 128..2 * BLOCK]).unwrap();
    assert_eq!(flash.bytes(AREA)[..2 * BLOCK], all[..2 * BLOCK]);
    stream.write(&mut flash, &all[2 * BLOCK..]).unwrap();
    stream.flush(&mut flash).unwrap();
    assert_eq!(flash.bytes(AREA)[..all.len()], all);
}

#[test]
fn the_last_block_is_padded_to_the_write_size_with_the_erased_value() {
    let mut spec = DeviceSpec::nor(5, SECTOR, 8);
    spec.erased = 0;
    for (erased, mut flash) in [(0xff, flash(8)), (0, with(spec))] {
        let mut stream = stream(&flash);
        stream.write(&mut flash, &[0x5a]).unwrap();
        flash.supply().record(true);
        stream.flush(&mut flash).unwrap();
        assert_eq!(flash.take_log().last().unwrap().len, 8);
        assert_eq!(flash.bytes(AREA)[..8], [[0x5a].as_slice(), &[erased; 7]].concat());
        assert_eq!(stream.written(), 1, "padding does not count");
        assert_eq!(stream.write(&mut flash, &[1]), Err(StreamError::Finished));
    }
}

#[test]
fn a_flush_on_the_write_size_ends_nothing() {
    let mut flash = flash(8);
    let mut stream = stream(&flash);
    let all = data(600);
    stream.write(&mut flash, &all[..16]).unwrap();
    stream.flush(&mut flash).unwrap();
    stream.write(&mut flash, &all[16..]).unwrap();
    stream.flush(&mut flash).unwrap();
    assert_eq!(flash.bytes(AREA)[..600], all);
}

#[test]
fn a_flush_without_anything_buffered_does_not_touch_the_flash() {
    let mut flash = flash(4);
    let mut stream = stream(&flash);
    flash.reset_counts();
    stream.write(&mut flash, &[]).unwrap();
    stream.flush(&mut flash).unwrap();
    assert_eq!((flash.counts().writes, flash.counts().erases), (0, 0));
}

#[test]
fn data_may_span_sectors() {
    let mut flash = flash(4);
    let mut stream = stream(&flash);
    let all = data(SIZE as usize);
    let three = 3 * SECTOR as usize;
    stream.write(&mut flash, &all[..three + 128]).unwrap();
    assert_eq!(flash.bytes(AREA)[..three], all[..three]);
    stream.write(&mut flash, &all[three + 128..]).unwrap();
    assert_eq!(flash.bytes(AREA), all);
}

#[test]
fn written_and_buffered_bytes_are_counted_apart() {
    let mut flash = flash(4);
    let mut stream = stream(&flash);
    assert_eq!((stream.written(), stream.buffered()), (0, 0));
    stream.write(&mut flash, &[1; BLOCK - 128]).unwrap();
    assert_eq!((stream.written(), stream.buffered()), (0, BLOCK - 128));
    stream.write(&mut flash, &[1; 128]).unwrap();
    assert_eq!((stream.written(), stream.buffered()), (BLOCK as u32, 0));
    stream.write(&mut flash, &[1; BLOCK + 128]).unwrap();
    assert_eq!((stream.written(), stream.buffered()), (2 * BLOCK as u32, 128));
    // What is kept of the block is still there.
    stream.write(&mut flash, &[1; BLOCK - 128]).unwrap();
    assert_eq!((stream.written(), stream.buffered()), (3 * BLOCK as u32, 0));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_taken() {
    let mut flash = flash(4);
    let mut stream = stream(&flash).limited_to(1000);
    stream.write(&mut flash, &[1; 900]).unwrap();
    let full = Err(StreamError::Full { written: 900, capacity: 1000 });
    assert_eq!(stream.write(&mut flash, &[1; 101]), full);
    assert_eq!(stream.buffered(), 900 - BLOCK);
    stream.write(&mut flash, &[1; 100]).unwrap();
}

#[test]
fn every_block_is_shown_once_it_is_in_flash() {
    let mut flash = flash(4);
    let mut stream = stream(&flash).with_read_back();
    let all = data(BLOCK * 5 / 2);
    let mut shown = Vec::new();
    let mut take = |block: updraft_flash::Block<'_>| {
        shown.push((block.offset, block.bytes.to_vec()));
        Ok(())
    };
    stream.write_with(&mut flash, &all[..BLOCK + 128], &mut take).unwrap();
    stream.write_with(&mut flash, &all[BLOCK + 128..], &mut take).unwrap();
    stream.flush_with(&mut flash, &mut take).unwrap();
    let blocks = all.chunks(BLOCK).enumerate();
    let expected: Vec<_> = blocks.map(|(i, block)| ((i * BLOCK) as u32, block.to_vec())).collect();
    assert_eq!(shown, expected, "the last one without its padding");
}

/// What lies at the offset where a stream began anew: one byte less than a block, as a block.
#[test]
fn a_block_that_is_padded_is_shown_without_the_padding() {
    let mut flash = flash(8);
    let mut stream = Stream::<BLOCK>::new(&flash, AREA, SECTOR, SECTOR).unwrap();
    stream.write(&mut flash, &data(BLOCK - 1)).unwrap();
    let mut shown = None;
    stream
        .flush_with(&mut flash, |block| {
            shown = Some((block.offset, block.bytes.len()));
            Ok(())
        })
        .unwrap();
    assert_eq!(shown, Some((SECTOR, BLOCK - 1)));
    assert_eq!(flash.bytes(AREA)[SECTOR as usize..][..BLOCK - 1], data(BLOCK - 1));
}

/// Zephyr refuses such buffers; here sectors are erased one after the other.
#[test]
fn blocks_may_be_larger_than_a_sector() {
    let mut flash = with(DeviceSpec::nor(65, 256, 4));
    let mut stream = Stream::<1024>::new(&flash, AREA, 0, 64 * 256).unwrap();
    stream.write(&mut flash, &data(3000)).unwrap();
    stream.flush(&mut flash).unwrap();
    assert_eq!(flash.bytes(AREA)[..3000], data(3000));
    assert_eq!(flash.counts().erases, 12, "each sector once");
}

#[test]
fn blocks_that_the_device_cannot_write_are_refused() {
    let refused = Stream::<12>::new(&flash(8), AREA, 0, SIZE).err();
    assert_eq!(refused, Some(StreamError::BlockSize { block: 12, write_size: 8 }));
    let refused = Stream::<0>::new(&flash(8), AREA, 0, SIZE).err();
    assert_eq!(refused, Some(StreamError::BlockSize { block: 0, write_size: 8 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the bytes come, and whatever was there before: the same flash in the end, each
    /// sector that they touch erased once, no other one at all.
    #[test]
    fn any_chunking_gives_the_same_flash(
        len in 1usize..SIZE as usize,
        cuts in prop::collection::vec(0usize..SIZE as usize, 0..40),
        write_size in prop::sample::select(vec![1u32, 4, 8, 32]),
        dirty in any::<bool>(),
    ) {
        let all = data(len);
        let mut whole = flash(write_size);
        if dirty {
            whole.load(AREA, 0, &vec![0x33; SIZE as usize]).unwrap();
        }
        let mut pieces = whole.clone();
        let mut writer = stream(&whole);
        writer.write(&mut whole, &all).unwrap();
        writer.flush(&mut whole).unwrap();
        let mut at: Vec<_> = cuts.into_iter().map(|cut| cut % (len + 1)).collect();
        at.extend([0, len]);
        at.sort_unstable();
        let mut writer = stream(&pieces);
        for ends in at.windows(2) {
            writer.write(&mut pieces, &all[ends[0]..ends[1]]).unwrap();
        }
        writer.flush(&mut pieces).unwrap();
        prop_assert_eq!(pieces.bytes(AREA), whole.bytes(AREA));
        prop_assert_eq!(&pieces.bytes(AREA)[..len], &all);
        let touched = (len as u64).div_ceil(u64::from(SECTOR));
        prop_assert_eq!(pieces.counts().erases, touched);
        let info = pieces.info(AREA).unwrap();
        prop_assert_eq!(writer.written(), len as u32);
        prop_assert_eq!(info.size, SIZE);
    }
}
