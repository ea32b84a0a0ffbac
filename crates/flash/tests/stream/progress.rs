//! Progress across resets.

use proptest::prelude::*;
use updraft_flash::{Kind, ProgressError, ProgressStore, Stream, StreamError, StreamTag};
use updraft_sim::flash::{DeviceSpec, SimFlash};

use crate::common::{AREA, BLOCK, SECTOR, SIZE, Settings, data, flash, stream, with};

const KEY: &str = "dfu/progress";
const TAG: StreamTag = [0xa5; 32];

/// A stream into which `len` bytes have been written, and its progress stored.
fn interrupted(flash: &mut SimFlash, len: usize) -> Settings {
    let mut settings = Settings::default();
    let mut stream = stream(flash);
    stream.write(flash, &data(len)).unwrap();
    stream.save_progress(flash, &mut settings, KEY, &TAG).unwrap();
    settings
}

fn resumed(flash: &mut SimFlash, settings: &mut Settings, tag: &StreamTag) -> Stream<BLOCK> {
    let mut stream = stream(flash);
    let written = stream.load_progress(flash, settings, KEY, tag).unwrap();
    assert_eq!(written, stream.written());
    stream
}

#[test]
fn nothing_saved_changes_nothing() {
    let mut flash = flash(4);
    let stream = resumed(&mut flash, &mut Settings::default(), &TAG);
    assert_eq!((stream.written(), stream.erased()), (0, 0));
}

#[test]
fn progress_of_nothing_changes_nothing() {
    let mut flash = flash(4);
    let mut settings = interrupted(&mut flash, 0);
    let stream = resumed(&mut flash, &mut settings, &TAG);
    assert_eq!((stream.written(), stream.erased()), (0, 0));
}

#[test]
fn progress_brings_back_what_is_written_and_what_is_erased() {
    let mut flash = flash(4);
    let mut settings = interrupted(&mut flash, 2 * SECTOR as usize);
    let stream = resumed(&mut flash, &mut settings, &TAG);
    assert_eq!((stream.written(), stream.erased()), (2 * SECTOR, 2 * SECTOR));
}

#[test]
fn within_a_sector_the_rest_of_it_counts_as_erased() {
    let mut flash = flash(4);
    let len = SECTOR as usize + 3 * BLOCK;
    let mut settings = interrupted(&mut flash, len);
    let mut stream = resumed(&mut flash, &mut settings, &TAG);
    assert_eq!((stream.written(), stream.erased()), (len as u32, 2 * SECTOR));
    flash.reset_counts();
    stream.write(&mut flash, &data(SIZE as usize)[len..]).unwrap();
    assert_eq!(flash.counts().erases, 2, "the sectors that follow");
    assert_eq!(flash.bytes(AREA), data(SIZE as usize));
}

#[test]
fn buffered_bytes_are_not_saved() {
    let mut flash = flash(4);
    let mut settings = interrupted(&mut flash, BLOCK + 100);
    assert_eq!(resumed(&mut flash, &mut settings, &TAG).written(), BLOCK as u32);
}

#[test]
fn progress_behind_what_is_written_already_is_ignored() {
    let mut flash = flash(4);
    let mut settings = interrupted(&mut flash, BLOCK);
    let mut stream = stream(&flash);
    stream.write(&mut flash, &data(2 * BLOCK)).unwrap();
    assert_eq!(stream.load_progress(&mut flash, &mut settings, KEY, &TAG), Ok(2 * BLOCK as u32));
}

#[test]
fn cleared_progress_changes_nothing() {
    let mut flash = flash(4);
    let mut settings = interrupted(&mut flash, SECTOR as usize);
    settings.clear(KEY).unwrap();
    settings.clear(KEY).unwrap();
    let stream = resumed(&mut flash, &mut settings, &TAG);
    assert_eq!((stream.written(), stream.erased()), (0, 0));
}

#[test]
fn only_the_exact_key_counts() {
    let mut flash = flash(4);
    let mut settings = interrupted(&mut flash, SECTOR as usize);
    let mut stream = stream(&flash);
    let written = stream.load_progress(&mut flash, &mut settings, "dfu/progress/2", &TAG);
    assert_eq!(written, Ok(0));
}

#[test]
fn progress_of_another_file_is_ignored() {
    let mut flash = flash(4);
    let mut settings = interrupted(&mut flash, SECTOR as usize);
    assert_eq!(resumed(&mut flash, &mut settings, &[1; 32]).written(), 0);
}

#[test]
fn progress_into_another_range_is_ignored() {
    let mut flash = flash(4);
    let mut settings = interrupted(&mut flash, SECTOR as usize);
    let mut stream = Stream::<BLOCK>::new(&flash, AREA, SECTOR, 3 * SECTOR).unwrap();
    assert_eq!(stream.load_progress(&mut flash, &mut settings, KEY, &TAG), Ok(0));
    let mut shorter = self::stream(&flash).limited_to(SECTOR - 4);
    assert_eq!(shorter.load_progress(&mut flash, &mut settings, KEY, &TAG), Ok(0));
}

#[test]
fn a_damaged_record_is_ignored() {
    let mut flash = flash(4);
    let settings = interrupted(&mut flash, SECTOR as usize);
    let record = settings.0[KEY].clone();
    assert_eq!(record.len(), 52);
    for bit in 0..record.len() * 8 {
        let mut settings = settings.clone();
        settings.0.get_mut(KEY).unwrap()[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(resumed(&mut flash, &mut settings, &TAG).written(), 0, "bit {bit}");
    }
    for len in (0..52).chain([53, 60]) {
        let mut torn = record.clone();
        torn.resize(len, 0);
        let mut settings = Settings([(KEY.to_owned(), torn)].into());
        assert_eq!(resumed(&mut flash, &mut settings, &TAG).written(), 0, "{len} bytes");
    }
}

#[test]
fn progress_is_ignored_where_the_flash_holds_something_else_by_now() {
    let mut flash = flash(4);
    let mut settings = interrupted(&mut flash, 2 * SECTOR as usize);
    let mut other = stream(&flash);
    other.write(&mut flash, &[0x11; BLOCK]).unwrap();
    assert_eq!(resumed(&mut flash, &mut settings, &TAG).written(), 0);
}

/// The bytes behind the saved progress are programmed. Writing them again could not be done on
/// every kind; erasing them would take the ones before with them.
#[test]
fn what_was_written_after_the_last_save_is_erased_with_its_sector() {
    let mut flash = flash(4);
    let mut settings = Settings::default();
    let mut first = stream(&flash);
    let all = data(SIZE as usize);
    let saved = SECTOR as usize + BLOCK;
    first.write(&mut flash, &all[..saved]).unwrap();
    first.save_progress(&mut flash, &mut settings, KEY, &TAG).unwrap();
    first.write(&mut flash, &all[saved..saved + 3 * BLOCK]).unwrap();
    let mut stream = resumed(&mut flash, &mut settings, &TAG);
    assert_eq!((stream.written(), stream.erased()), (SECTOR, SECTOR));
    stream.write(&mut flash, &all[SECTOR as usize..]).unwrap();
    assert_eq!(flash.bytes(AREA), all);
}

/// Words that were written once may read as erased and still not be written again.
#[test]
fn words_that_are_written_once_are_erased_before_a_stream_goes_on() {
    let mut spec = DeviceSpec::nor(5, SECTOR, 8);
    spec.kind = Kind::EccWords;
    let mut flash = with(spec);
    let mut settings = Settings::default();
    let mut first = stream(&flash);
    let all = [data(SECTOR as usize + BLOCK), vec![0xff; BLOCK], data(BLOCK)].concat();
    let saved = SECTOR as usize + BLOCK;
    first.write(&mut flash, &all[..saved]).unwrap();
    first.save_progress(&mut flash, &mut settings, KEY, &TAG).unwrap();
    first.write(&mut flash, &all[saved..saved + BLOCK]).unwrap();
    let mut stream = resumed(&mut flash, &mut settings, &TAG);
    assert_eq!(stream.written(), SECTOR);
    stream.write(&mut flash, &all[SECTOR as usize..]).unwrap();
    assert_eq!(flash.bytes(AREA)[..all.len()], all);
}

#[test]
fn a_finished_stream_has_no_progress_to_save() {
    let mut flash = flash(8);
    let mut settings = Settings::default();
    let mut stream = stream(&flash);
    stream.write(&mut flash, &[1]).unwrap();
    stream.flush(&mut flash).unwrap();
    let refused = stream.save_progress(&mut flash, &mut settings, KEY, &TAG);
    assert_eq!(refused, Err(ProgressError::Stream(StreamError::Finished)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However often a stream is broken off and gone on with, wherever progress was saved: the
    /// flash ends up as if nothing had happened.
    #[test]
    fn any_number_of_resets_gives_the_same_flash(
        len in 1usize..SIZE as usize,
        kind in prop::sample::select(vec![Kind::Nor, Kind::EccWords]),
        runs in prop::collection::vec((0usize..6000, 0usize..3000), 0..6),
    ) {
        let mut spec = DeviceSpec::nor(5, SECTOR, 8);
        spec.kind = kind;
        let mut flash = with(spec);
        let mut settings = Settings::default();
        let all = data(len);
        for (saved, lost) in runs {
            let mut stream = resumed(&mut flash, &mut settings, &TAG);
            let rest = &all[stream.written() as usize..];
            let (now, later) = rest.split_at(saved.min(rest.len()));
            stream.write(&mut flash, now).unwrap();
            stream.save_progress(&mut flash, &mut settings, KEY, &TAG).unwrap();
            stream.write(&mut flash, &later[..lost.min(later.len())]).unwrap();
        }
        let mut stream = resumed(&mut flash, &mut settings, &TAG);
        let rest = &all[stream.written() as usize..];
        stream.write(&mut flash, rest).unwrap();
        stream.flush(&mut flash).unwrap();
        prop_assert_eq!(&flash.bytes(AREA)[..len], &all);
    }
}
