//! States that no undisturbed upgrade passes through, and what the bootloader makes of them.

use updraft_boot::{
    AnyStrategy, BootError, Downgrade, Event, Overwrite, Platform, SwapMove, SwapOffset,
};
use updraft_flash::{Fault, FlashError, TrailerFormat};
use updraft_image::{
    Flag, HashOnly, Header, Magic, Refusal, SwapInfo, SwapType, TlvType, TrailerLayout,
    UpgradeMode, Version,
};
use updraft_sim::flash::Torn;

use crate::board::{
    Board, Counter, Layout, PRIMARY, Part, Report, SCRATCH, SECONDARY, SWAP_SCRATCH, Shape, Silent,
    image, image_with,
};

const SWAP: Shape = Shape {
    strategy: AnyStrategy::SwapMove(SwapMove),
    sector: 1024,
    sectors: [8, 8],
    write_size: 8,
    max_align: 8,
    max_sectors: 8,
    erased: 0xff,
    layout: Layout::Even,
};

const OFFSET: Shape =
    Shape { strategy: AnyStrategy::SwapOffset(SwapOffset), sectors: [8, 9], ..SWAP };

const SCRATCHED: Shape = Shape { strategy: SWAP_SCRATCH, layout: Layout::Scratch(1), ..SWAP };

const OVERWRITE: Shape = Shape { strategy: AnyStrategy::Overwrite(Overwrite::Image), ..SWAP };

/// A device with version 1 running and version 2 uploaded and asked for.
fn asked(mut board: Board, swap_type: SwapType) -> Board {
    board.program(&image(1, 2500));
    board.upload(&image(2, 3000)).unwrap();
    assert!(board.request(swap_type).unwrap());
    board
}

/// The same, interrupted after `operations` of the boot that swaps.
fn interrupted(board: Board, operations: u64) -> Board {
    let mut board = asked(board, SwapType::Permanent);
    board.flash.supply().cut_at(operations, Torn::Skip);
    assert!(board.boot().is_err());
    board.flash.supply().power_on();
    board
}

/// Overwrites status record number `index` in the primary slot, whatever stands there.
fn set_record(board: &mut Board, index: u32, byte: u8) {
    let status = board.trailers()[0].layout().status();
    board.flash.load(PRIMARY, status + index * SWAP.write_size, &[byte]).unwrap();
}

fn version(board: &mut Board) -> u8 {
    board.boot().unwrap().header.version.major
}

fn operations(board: &Board) -> u64 {
    board.flash.supply().operations()
}

#[test]
fn a_missing_status_record_is_reported_and_only_tolerated_if_the_result_is_validated() {
    for (shape, cut, gap) in [
        // Three sectors: the moves begin at operation 6 and have records 0 to 2; the swaps begin
        // at operation 15 and have records 8 to 13.
        (SWAP, 13, 0),
        (SWAP, 25, 1),
        (SWAP, 25, 9),
        // The steps begin at operation 7 and have records 0 to 5.
        (OFFSET, 13, 0),
        (OFFSET, 22, 2),
        // The steps begin at operation 11 and have records 0 to 8.
        (SCRATCHED, 17, 0),
        (SCRATCHED, 29, 3),
    ] {
        let mut board = interrupted(Board::new(shape), cut);
        set_record(&mut board, gap, shape.erased);
        let (boot, events) = board.boot_reporting();
        assert_eq!(boot.unwrap().header.version.major, 2);
        assert_eq!(events, [Event::StatusGap, Event::Resumed(SwapType::Permanent)]);

        let unvalidated = Board::configured(shape, |config| config.validate_primary = false);
        let mut board = interrupted(unvalidated, cut);
        set_record(&mut board, gap, shape.erased);
        assert_eq!(board.boot().unwrap_err(), BootError::BadStatus);
    }
}

/// A record whose first byte is erased and another one is not cannot be written any more: whoever
/// takes it for missing comes to it at every boot, and no further.
#[test]
fn a_status_record_that_cannot_be_written_does_not_stop_every_boot() {
    for shape in [SWAP, OFFSET] {
        for operations in 8..24 {
            let mut board = interrupted(Board::new(shape), operations);
            let status = board.trailers()[0].layout().status();
            for index in 0..24 {
                let at = status + index * shape.write_size;
                let record = board.flash.bytes(PRIMARY)[at as usize];
                if record == shape.erased {
                    board.flash.load(PRIMARY, at + 3, &[0]).unwrap();
                    break;
                }
            }
            assert_comes_to_rest(&mut board);
        }
    }
}

/// The same for a flag.
#[test]
fn a_flag_that_cannot_be_written_does_not_stop_every_boot() {
    for shape in [SWAP, OFFSET] {
        for operations in 8..24 {
            let mut board = interrupted(Board::new(shape), operations);
            let layout = *board.trailers()[0].layout();
            for flag in [layout.image_ok(), layout.copy_done()] {
                board.flash.load(PRIMARY, flag + 5, &[0]).unwrap();
            }
            assert_comes_to_rest(&mut board);
        }
    }
}

/// Whether there is an image to start or not, after a few boots nothing is written any more, nor
/// tried to be.
fn assert_comes_to_rest(board: &mut Board) {
    for _ in 0..4 {
        let before = operations(board);
        let booted = board.boot();
        if operations(board) == before && !matches!(booted, Err(BootError::Flash(_))) {
            return;
        }
    }
    panic!("every boot writes");
}

#[test]
fn a_status_that_points_past_the_images_is_not_followed() {
    for (shape, cut, record) in
        [(SWAP, 12, 5), (SWAP, 20, 8 + 7), (OFFSET, 16, 6), (SCRATCHED, 26, 9)]
    {
        let mut board = interrupted(Board::new(shape), cut);
        set_record(&mut board, record, 1);
        let before = operations(&board);
        assert_eq!(board.boot().unwrap_err(), BootError::BadStatus);
        assert_eq!(operations(&board), before);
    }
}

#[test]
fn a_status_of_more_than_the_slots_hold_is_not_followed() {
    for (shape, cut) in [(SWAP, 20), (OFFSET, 16), (SCRATCHED, 26)] {
        for size in [Board::new(shape).max_image_size() + 1, u32::MAX] {
            let mut board = interrupted(Board::new(shape), cut);
            let at = board.trailers()[0].layout().swap_size();
            board.flash.load(PRIMARY, at, &size.to_le_bytes()).unwrap();
            let before = operations(&board);
            assert_eq!(board.boot().unwrap_err(), BootError::BadStatus);
            assert_eq!(operations(&board), before);
        }
    }
}

#[test]
fn without_room_to_swap_the_old_image_runs_and_the_request_is_cleared() {
    for (shape, size, needed) in [(SWAP, 6500, 7), (OFFSET, 7500, 8), (SCRATCHED, 7960, 8)] {
        // The bound on sizes is lifted, so that only the strategy itself is in the way.
        let board = Board::configured(shape, |config| config.rules.max_size = 8192);
        let mut board = asked(board, SwapType::Permanent);
        board.upload(&image(2, size)).unwrap();
        assert!(board.request(SwapType::Permanent).unwrap());
        let (boot, events) = board.boot_reporting();
        assert_eq!(boot.unwrap().header.version.major, 1);
        assert_eq!(events, [Event::NoSpace { needed, available: needed - 1 }]);
        // It would not fit any better at the next boot.
        let before = operations(&board);
        let (boot, events) = board.boot_reporting();
        assert_eq!((boot.unwrap().header.version.major, events), (1, vec![]));
        assert_eq!(operations(&board), before);
        board.upload(&image(3, 3000)).unwrap();
        assert!(board.request(SwapType::Test).unwrap());
        assert_eq!(version(&mut board), 3);
    }
}

#[test]
fn a_recorded_swap_whose_image_is_damaged_is_given_up_once() {
    for (shape, cut) in [(SWAP, 6), (OFFSET, 7)] {
        // Cut before the first sector moves, after the request was cleared.
        let mut board = interrupted(Board::new(shape), cut);
        let start = board.update_start();
        board.flash.load(SECONDARY, start + 1000, &[0; 8]).unwrap();
        let (boot, events) = board.boot_reporting();
        let boot = boot.unwrap();
        assert_eq!((boot.header.version.major, boot.swap), (1, SwapType::Fail));
        assert!(
            matches!(events[..], [Event::SecondaryRefused(Refusal::Hash { .. })]),
            "{events:?}"
        );
        let before = operations(&board);
        assert_eq!(version(&mut board), 1);
        assert_eq!(operations(&board), before, "nothing is left to do");
        board.upload(&image(3, 3000)).unwrap();
        assert!(board.request(SwapType::Test).unwrap());
        assert_eq!(version(&mut board), 3);
        assert_eq!(version(&mut board), 1, "the test is reverted");
    }
}

/// The request for a revert is in the primary trailer, so its record in the scratch area outlives
/// it; and goes when there is nothing to revert to.
#[test]
fn a_recorded_revert_whose_image_is_damaged_is_given_up_once() {
    let mut board = asked(Board::new(SCRATCHED), SwapType::Test);
    assert_eq!(version(&mut board), 2);
    // Cut after the primary trailer was erased.
    board.flash.supply().cut_at(5, Torn::Skip);
    assert!(board.boot().is_err());
    board.flash.supply().power_on();
    assert_eq!(board.trailers()[0].read(&mut board.flash).unwrap().magic, Magic::Unset);
    board.flash.load(SECONDARY, 1000, &[0; 8]).unwrap();
    let (boot, events) = board.boot_reporting();
    let boot = boot.unwrap();
    assert_eq!((boot.header.version.major, boot.swap), (2, SwapType::Fail));
    assert!(
        matches!(events[..], [Event::SecondaryRefused(_), Event::NothingToRevertTo]),
        "{events:?}"
    );
    assert!(board.flash.bytes(SCRATCH).iter().all(|byte| *byte == SCRATCHED.erased));
    let before = operations(&board);
    assert_eq!(version(&mut board), 2);
    assert_eq!(operations(&board), before, "nothing is left to do");
}

/// The same where the primary trailer has flags in it that no cut has left, and that could not be
/// set any more.
#[test]
fn a_recorded_revert_is_given_up_beside_flags_that_cannot_be_written() {
    for flag in [TrailerLayout::copy_done, TrailerLayout::image_ok] {
        let mut board = asked(Board::new(SCRATCHED), SwapType::Test);
        assert_eq!(version(&mut board), 2);
        // Cut after the primary trailer was erased.
        board.flash.supply().cut_at(5, Torn::Skip);
        assert!(board.boot().is_err());
        board.flash.supply().power_on();
        let offset = flag(board.trailers()[0].layout());
        board.flash.load(PRIMARY, offset, &[0x12]).unwrap();
        board.flash.load(SECONDARY, 1000, &[0; 8]).unwrap();
        assert_eq!(version(&mut board), 2);
        assert!(!board.has_scratch_record());
        assert_comes_to_rest(&mut board);
    }
}

/// What a cut may leave in the scratch area.
#[test]
fn a_record_in_the_scratch_area_asks_for_nothing() {
    for (swap_type, image_ok) in [(SwapType::Test, false), (SwapType::Permanent, true)] {
        let mut board = Board::new(SCRATCHED);
        board.program(&image(1, 2500));
        board.upload(&image(2, 3000)).unwrap();
        let format = TrailerFormat {
            mode: UpgradeMode::SwapScratch,
            max_align: 8,
            max_sectors: 1,
            keys: None,
        };
        let trailer = format.trailer(&board.flash, SCRATCH, 8).unwrap();
        trailer.write_swap_info(&mut board.flash, SwapInfo { swap_type, image: 0 }).unwrap();
        if image_ok {
            trailer.write_image_ok(&mut board.flash).unwrap();
        }
        trailer.write_swap_size(&mut board.flash, 3000).unwrap();
        trailer.write_magic(&mut board.flash).unwrap();
        let before = operations(&board);
        assert_eq!(version(&mut board), 1, "nobody asked for version 2");
        assert_eq!(operations(&board), before);
        assert!(board.request(SwapType::Test).unwrap());
        assert_eq!(version(&mut board), 2);
        assert_eq!(version(&mut board), 1, "it was a test");
    }
}

#[test]
fn slots_that_do_not_fit_together_are_left_alone() {
    let part = |write_size, runs| Part { runs, write_size };
    let no = (0, 0);
    for parts in [
        // Slots of two sizes; parts larger than the scratch area; sectors that do not meet.
        [part(8, [(8, 1024), no, no]), part(8, [(9, 1024), no, no]), part(8, [(1, 1024), no, no])],
        [part(8, [(8, 1024), no, no]), part(8, [(4, 2048), no, no]), part(8, [(1, 1024), no, no])],
        [
            part(8, [(1, 512), (7, 1024), (1, 512)]),
            part(8, [(8, 1024), no, no]),
            part(8, [(8, 1024), no, no]),
        ],
        // Chunks of three sectors, where every two are one of the other slot.
        [part(8, [(8, 1024), no, no]), part(8, [(4, 2048), no, no]), part(8, [(3, 1024), no, no])],
        // Records as far apart as in the primary slot have no room in the scratch area.
        [part(8, [(8, 1024), no, no]), part(8, [(8, 1024), no, no]), part(2, [(1, 1024), no, no])],
        [part(4, [(8, 1024), no, no]), part(8, [(8, 1024), no, no]), part(8, [(1, 1024), no, no])],
    ] {
        let shape = Shape { layout: Layout::Apart(parts), max_sectors: 9, ..SCRATCHED };
        let board = Board::configured(shape, |config| config.rules.max_size = 8192);
        let mut board = asked(board, SwapType::Permanent);
        let before = operations(&board);
        let (boot, events) = board.boot_reporting();
        assert_eq!(boot.unwrap().header.version.major, 1, "{shape:?}");
        assert_eq!(events, [Event::SlotsIncompatible], "{shape:?}");
        assert_eq!(operations(&board), before);
    }
}

/// What stands there may be what a revert would bring back, and must not be taken for the update.
#[test]
fn an_update_at_the_beginning_of_the_slot_is_refused_where_it_belongs_further_on() {
    for further_on in [false, true] {
        let mut board = asked(Board::new(OFFSET), SwapType::Permanent);
        if !further_on {
            board.flash.load(SECONDARY, OFFSET.sector, &[OFFSET.erased; 32]).unwrap();
        }
        board.flash.load(SECONDARY, 0, &image(3, 900)).unwrap();
        let (boot, events) = board.boot_reporting();
        assert_eq!(boot.unwrap().header.version.major, 1);
        assert_eq!(events, [Event::Misplaced { expected: OFFSET.sector }]);
        assert!(board.flash.bytes(SECONDARY).iter().all(|byte| *byte == OFFSET.erased));
    }
}

#[test]
fn an_image_that_nobody_asked_for_is_not_what_a_revert_brings_back() {
    let mut board = asked(Board::new(OFFSET), SwapType::Test);
    assert_eq!(version(&mut board), 2);
    board.upload(&image(3, 3000)).unwrap();
    let (boot, events) = board.boot_reporting();
    assert_eq!(boot.unwrap().header.version.major, 2);
    assert_eq!(events, [Event::NothingToRevertTo]);
    assert!(board.request(SwapType::Permanent).unwrap());
    assert_eq!(version(&mut board), 3, "it can still be asked for");
}

/// The original does not count the first sector of a revert by offset: going on behind it, it asks
/// for the revert in the secondary trailer again, and may be interrupted there.
#[test]
fn a_revert_that_the_original_asked_for_twice_is_finished_and_leaves_no_request() {
    let mut tested = asked(Board::new(OFFSET), SwapType::Test);
    assert_eq!(version(&mut tested), 2);
    let record = tested.trailers()[0].layout().status();
    for (asked_again, cut) in (0..=5).flat_map(|fields| (0..40).map(move |cut| (fields, cut))) {
        let mut board = tested.clone();
        board.flash.supply().cut_at(cut, Torn::Skip);
        let interrupted = board.boot().is_err();
        board.flash.supply().power_on();
        let written = |board: &Board, index: u32| {
            let at = record + index * OFFSET.write_size;
            !board.flash.holds(PRIMARY, at, &[OFFSET.erased])
        };
        if !interrupted || !written(&board, 0) || written(&board, 1) {
            continue;
        }
        let trailer = board.trailers()[1];
        let revert = SwapInfo { swap_type: SwapType::Revert, image: 0 };
        for field in 0..asked_again {
            let flash = &mut board.flash;
            let write = match field {
                0 => trailer.write_copy_done(flash),
                1 => trailer.write_swap_info(flash, revert),
                2 => trailer.write_swap_size(flash, 3000),
                3 => trailer.write_tlv_sizes(flash, [40, 40]),
                _ => trailer.write_magic(flash),
            };
            write.unwrap();
        }
        let place = format!("cut {cut}, {asked_again} fields");
        assert_eq!(version(&mut board), 1, "{place}");
        assert!(board.trailers()[1].is_erased(&mut board.flash).unwrap(), "{place}");
        assert_eq!(version(&mut board), 1, "{place}: once more");
    }
}

#[test]
fn a_request_without_an_image_is_cleared_once() {
    for shape in [SWAP, OFFSET, SCRATCHED, OVERWRITE] {
        let mut board = Board::new(shape);
        board.program(&image(1, 2500));
        assert!(board.request(SwapType::Permanent).unwrap());
        let (boot, events) = board.boot_reporting();
        assert_eq!(boot.unwrap().header.version.major, 1);
        assert_eq!(events, [Event::SecondaryEmpty]);
        let secondary = board.trailers()[1].read(&mut board.flash).unwrap();
        assert_eq!(secondary.magic, Magic::Unset);
        let before = operations(&board);
        assert_eq!(version(&mut board), 1);
        assert_eq!(operations(&board), before);
    }
}

#[test]
fn a_test_that_cannot_be_reverted_stays_and_is_not_mistaken_for_a_later_upload() {
    for shape in [SWAP, OFFSET, SCRATCHED] {
        let mut board = asked(Board::new(shape), SwapType::Test);
        assert_eq!(version(&mut board), 2);
        board.flash.load(SECONDARY, 1000, &[0; 8]).unwrap();
        let (boot, events) = board.boot_reporting();
        assert_eq!(boot.unwrap().header.version.major, 2);
        assert!(events.contains(&Event::NothingToRevertTo), "{events:?}");
        board.upload(&image(3, 3000)).unwrap();
        assert_eq!(version(&mut board), 2, "nobody asked for version 3");
    }
}

#[test]
fn a_downgrade_is_refused_and_erased() {
    for shape in [SWAP, OFFSET, SCRATCHED, OVERWRITE] {
        let mut board = Board::configured(shape, |config| config.downgrade = Downgrade::Refused);
        board.program(&image(3, 2500));
        board.upload(&image(2, 3000)).unwrap();
        assert!(board.request(SwapType::Permanent).unwrap());
        let (boot, events) = board.boot_reporting();
        assert_eq!(boot.unwrap().header.version.major, 3);
        let [running, offered] = [3, 2].map(|major| Version::new(major, 0, 0, 0));
        assert_eq!(events, [Event::DowngradeRefused { running, offered }]);
        assert!(board.flash.bytes(SECONDARY).iter().all(|byte| *byte == shape.erased));
    }
}

#[test]
fn a_damaged_image_cannot_refuse_its_replacement() {
    for shape in [SWAP, OFFSET, SCRATCHED, OVERWRITE] {
        let mut board = Board::configured(shape, |config| config.downgrade = Downgrade::Refused);
        board.program(&image(3, 2500));
        board.flash.load(PRIMARY, 1000, &[0; 8]).unwrap();
        board.upload(&image(2, 3000)).unwrap();
        assert!(board.request(SwapType::Permanent).unwrap());
        assert_eq!(version(&mut board), 2);
    }
}

#[test]
fn a_revert_is_no_downgrade() {
    for shape in [SWAP, OFFSET, SCRATCHED] {
        let board = Board::configured(shape, |config| config.downgrade = Downgrade::Refused);
        let mut board = asked(board, SwapType::Test);
        assert_eq!(version(&mut board), 2);
        assert_eq!(version(&mut board), 1);
    }
}

#[test]
fn bootstrap_installs_the_first_image_and_survives_every_cut() {
    for shape in [SWAP, OFFSET, SCRATCHED, OVERWRITE] {
        let mut start = Board::configured(shape, |config| config.bootstrap = true);
        start.upload(&image(2, 3000)).unwrap();
        let mut uncut = start.clone();
        let (boot, events) = uncut.boot_reporting();
        assert_eq!(boot.unwrap().header.version.major, 2);
        assert_eq!(events, [Event::Bootstrapped]);
        let total = operations(&uncut) - operations(&start);
        for n in 0..total {
            for torn in [Torn::Skip, Torn::Half, Torn::AllButOneBit(n), Torn::Bits(n)] {
                let mut board = start.clone();
                board.flash.supply().cut_at(n, torn);
                assert!(board.boot().is_err());
                board.flash.supply().power_on();
                for _ in 0..3 {
                    assert_eq!(version(&mut board), 2, "{shape:?}, cut {n} {torn:?}");
                }
            }
        }
    }
}

/// The flash refuses what lies past the slot. That is no reason to wait for better weather.
#[test]
fn a_header_that_points_past_the_slot_does_not_keep_the_first_image_out() {
    for shape in [SWAP, OFFSET, SCRATCHED, OVERWRITE] {
        for behind in 0..=4 {
            let mut board = Board::configured(shape, |config| config.bootstrap = true);
            board.program(&image(1, 2500));
            let header = Header::parse(&image(1, 2500)).unwrap();
            let size = shape.slot_size() - behind - u32::from(header.hdr_size);
            board.flash.load(PRIMARY, 12, &size.to_le_bytes()).unwrap();
            board.upload(&image(2, 3000)).unwrap();
            assert_eq!(version(&mut board), 2, "{shape:?}, {behind}");
            assert_comes_to_rest(&mut board);
        }
    }
}

#[test]
fn without_bootstrap_an_upload_alone_is_not_installed() {
    for shape in [SWAP, OFFSET, SCRATCHED, OVERWRITE] {
        let mut board = Board::new(shape);
        board.upload(&image(2, 3000)).unwrap();
        assert_eq!(board.boot().unwrap_err(), BootError::NoImage);
    }
}

#[test]
fn a_secondary_slot_that_does_not_answer_is_left_alone() {
    let cases = [SWAP, OFFSET, SCRATCHED].into_iter().flat_map(|shape| [(shape, 0), (shape, 1000)]);
    for (shape, from) in cases {
        let mut board = asked(Board::new(shape), SwapType::Test);
        assert_eq!(version(&mut board), 2);
        let loader = *board.loader();
        let mut events = Vec::new();
        let hooks = |_: u8, event: Report| events.push(event);
        let map = Silent(&mut board.flash, from);
        let boot = loader.boot(&mut Platform::new(map, HashOnly).with_hooks(hooks)).unwrap();
        assert_eq!((boot.header.version.major, boot.swap), (2, SwapType::None));
        let [Event::SecondaryUnreadable(error)] = events[..] else { panic!("{events:?}") };
        assert_eq!(error.fault(), Fault::OutOfBounds);
        assert_eq!(version(&mut board), 1, "reverted as soon as it answers");
    }
}

#[test]
fn fields_closer_together_than_a_write_are_refused() {
    let board = Board::new(Shape { write_size: 16, ..SWAP });
    let (mut board, events) = (board.clone(), board.clone().boot_reporting().1);
    assert_eq!(board.boot().unwrap_err(), BootError::NoSlot { area: PRIMARY });
    assert_eq!(events, []);
}

/// An image with a security counter.
fn counted(major: u8, counter: u32) -> Vec<u8> {
    image_with(major, 2076, &[(TlvType::SEC_CNT, counter.to_le_bytes().to_vec())])
}

#[test]
fn the_security_counter_rises_only_when_there_is_no_way_back() {
    for (shape, request, at_once) in [
        (SWAP, SwapType::Test, false),
        (SWAP, SwapType::Permanent, true),
        (OFFSET, SwapType::Test, false),
        (OFFSET, SwapType::Permanent, true),
        (SCRATCHED, SwapType::Test, false),
        (SCRATCHED, SwapType::Permanent, true),
        (OVERWRITE, SwapType::Test, true),
    ] {
        let mut board = Board::new(shape);
        board.program(&counted(1, 5));
        board.upload(&counted(2, 7)).unwrap();
        assert!(board.request(request).unwrap());
        let mut counter = Counter(5);
        let loader = *board.loader();
        let boot = |board: &mut Board, counter: &mut Counter| {
            let platform = Platform::new(&mut board.flash, HashOnly);
            let boot = loader.boot(&mut platform.with_counters(counter));
            boot.map(|boot| boot.header.version.major)
        };
        assert_eq!(boot(&mut board, &mut counter), Ok(2));
        assert_eq!(counter.0, if at_once { 7 } else { 5 }, "{shape:?}, {request:?}");
        assert!(board.confirm().unwrap());
        let state = board.trailers()[0].read(&mut board.flash).unwrap();
        assert_eq!(state.image_ok, Flag::Set);
        assert_eq!(boot(&mut board, &mut counter), Ok(2));
        assert_eq!(counter.0, 7);
        board.upload(&counted(1, 5)).unwrap();
        assert!(board.request(SwapType::Permanent).unwrap());
        assert_eq!(boot(&mut board, &mut counter), Ok(2), "the counter does not go back");
    }
}
