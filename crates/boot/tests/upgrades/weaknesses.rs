//! Where the C boot loader goes wrong, one test for each: the imitation goes wrong alike, and by
//! default it does not happen. `docs/mcuboot-differences.md` lists them all.

use crate::board::{
    Board, Counter, Firmware, Layout, PRIMARY, SCRATCH, SECONDARY, SWAP_SCRATCH, Shape, image,
    image_with,
};
use updraft_boot::{
    AnyStrategy, EqualSlots, Event, InPlace, InRam, LoadRegion, Overwrite, Platform, SwapMove,
    SwapOffset,
};
use updraft_flash::{AreaId, FlashMap, TrailerFormat};
use updraft_image::{
    Digest, Flag, Flags, HashKind, HashOnly, Header, KeyLength, Magic, Strictness, SwapInfo,
    SwapType, TlvType, TrailerKeys, UpgradeMode,
};
use updraft_sim::flash::{AreaOp, OpKind, SimFlash, Torn};

const MOVE: Shape = Shape {
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
    Shape { strategy: AnyStrategy::SwapOffset(SwapOffset), sectors: [8, 9], ..MOVE };

const SWAPPING_THROUGH: Shape =
    Shape { strategy: SWAP_SCRATCH, sector: 4096, layout: Layout::Scratch(1), ..MOVE };

const OVERWRITE: Shape = Shape { strategy: AnyStrategy::Overwrite(Overwrite::Image), ..MOVE };

const BOTH: [Strictness; 2] = [Strictness::Strict, Strictness::Imitate];

/// A board whose bootloader is as strict as that.
fn board(shape: Shape, strictness: Strictness) -> Board {
    Board::configured(shape, |config| config.rules.strictness = strictness)
}

/// The same with version 1 running and version 2 uploaded and asked for.
fn asked(mut board: Board, swap_type: SwapType) -> Board {
    board.program(&image(1, 2500));
    board.upload(&image(2, 3000)).unwrap();
    assert!(board.request(swap_type).unwrap());
    board
}

/// The same with version 2 under test, its boot to revert it not begun.
fn under_test(shape: Shape, strictness: Strictness) -> Board {
    let mut board = asked(board(shape, strictness), SwapType::Test);
    assert_eq!(version(&mut board), 2);
    board
}

fn version(board: &mut Board) -> u8 {
    board.boot().map_or(0, |boot| boot.header.version.major)
}

fn operations(board: &mut Board) -> u64 {
    let before = board.flash.supply().operations();
    let _ = board.boot();
    let after = board.flash.supply().operations();
    after - before
}

/// Boots until the power fails within operation `n`.
fn cut(board: &mut Board, n: u64, torn: Torn) {
    board.flash.supply().cut_at(n, torn);
    assert!(board.boot().is_err());
    board.flash.supply().power_on();
}

/// Which operation of the next boot writes to `offset` of `slot`.
fn writes_to(board: &Board, area: AreaId, offset: u32) -> u64 {
    let mut recording = board.clone();
    recording.flash.supply().record(true);
    recording.boot().unwrap();
    let log = recording.flash.take_log();
    let at = log.iter().position(|op| {
        op.area == area && op.offset == offset && matches!(op.kind, OpKind::Write(_))
    });
    at.expect("a write there") as u64
}

/// A board whose swap through scratch exchanges the largest images, so that the top chunk shares a
/// sector with the primary trailer, and what its first boot does.
fn sharing(swap_type: SwapType, strictness: Strictness) -> (Board, [Vec<u8>; 2], Vec<AreaOp>) {
    let mut board = board(SWAPPING_THROUGH, strictness);
    let max = board.max_image_size();
    let [old, new] = [image(1, max - 37), image(2, max)];
    board.program(&old);
    board.upload(&new).unwrap();
    assert!(board.request(swap_type).unwrap());
    let mut recording = board.clone();
    recording.flash.supply().record(true);
    recording.boot().unwrap();
    (board, [old, new], recording.flash.take_log())
}

fn is_erase_of(area: AreaId) -> impl Fn(&AreaOp) -> bool {
    move |op| op.area == area && op.kind == OpKind::Erase
}

/// The erase of a scratch area of one sector leaves its magic behind, but not the image. The
/// original copies that to the primary slot once more; so it does if ours had begun.
#[test]
fn a_torn_scratch_area_behind_a_shared_chunk_is_not_copied_again() {
    for swap_type in [SwapType::Test, SwapType::Permanent] {
        let (start, [old, new], log) = sharing(swap_type, Strictness::Imitate);
        // The first chunk is whole when the scratch area is erased for the second time.
        let n = (0..log.len()).filter(|n| is_erase_of(SCRATCH)(&log[*n])).nth(1).unwrap();
        for torn in [Torn::Half, Torn::Bits(2), Torn::Bits(3), Torn::AllButOneBit(1)] {
            let mut torn_once = start.clone();
            cut(&mut torn_once, n as u64, torn);
            for strictness in BOTH {
                let mut board = board(SWAPPING_THROUGH, strictness);
                board.flash = torn_once.flash.clone();
                let kept = version(&mut board) == 2
                    && board.flash.holds(PRIMARY, 0, &new)
                    && board.flash.holds(SECONDARY, 0, &old);
                let expected = strictness == Strictness::Strict || torn != Torn::Half;
                assert!(kept || !expected, "{swap_type:?}, {torn:?}, {strictness:?}");
                assert!(!kept || expected, "{swap_type:?}: the imitation is safer than that");
            }
        }
    }
}

/// Before the scratch area behind a shared chunk is erased, the original goes back to the record
/// there, and erases the primary trailer for the second time: then nothing else tells of the swap.
#[test]
fn a_record_that_the_original_has_gone_back_to_counts() {
    let strict = |flash: &SimFlash| {
        let mut board = board(SWAPPING_THROUGH, Strictness::Strict);
        board.flash = flash.clone();
        board
    };
    for swap_type in [SwapType::Test, SwapType::Permanent] {
        let (start, [old, new], log) = sharing(swap_type, Strictness::Strict);
        // The first erase is before the chunk.
        let n = (0..log.len()).filter(|n| is_erase_of(SCRATCH)(&log[*n])).nth(1).unwrap();
        let mut ours = start.clone();
        cut(&mut ours, n as u64, Torn::Skip);
        let mut theirs = board(SWAPPING_THROUGH, Strictness::Imitate);
        theirs.flash = ours.flash.clone();
        let total = operations(&mut theirs.clone());
        for m in 0..total {
            for torn in [Torn::Skip, Torn::Half, Torn::AllButOneBit(m), Torn::Bits(m)] {
                let mut theirs = theirs.clone();
                cut(&mut theirs, m, torn);
                let mut ours = strict(&theirs.flash);
                // A torn end of a test counts as its end.
                let ended = m + 1 == total && swap_type == SwapType::Test;
                let kept = version(&mut ours) == 2
                    && ours.flash.holds(PRIMARY, 0, &new)
                    && ours.flash.holds(SECONDARY, 0, &old);
                // Erased data below a record that is whole still: nobody can see that.
                let unseen = (m, torn) == (0, Torn::Half);
                assert!(kept || ended || unseen, "{swap_type:?}, operation {m}, {torn:?}");
            }
        }
    }
}

/// A record of two steps done that is to stay and is not: image data, or what a torn erase has
/// left. The original copies the scratch area to the primary slot.
#[test]
fn a_scratch_record_that_contradicts_itself_is_none() {
    for strictness in BOTH {
        let (mut board, [old, new], _) = sharing(SwapType::Permanent, strictness);
        let (mode, max_align, keys) = (UpgradeMode::SwapScratch, 8, None);
        let format = TrailerFormat { mode, max_align, max_sectors: 1, keys };
        let trailer = format.trailer(&board.flash, SCRATCH, 8).unwrap();
        let status = trailer.layout().status();
        let info = SwapInfo { swap_type: SwapType::Permanent, image: 0 };
        trailer.write_swap_info(&mut board.flash, info).unwrap();
        trailer.write_swap_size(&mut board.flash, new.len() as u32).unwrap();
        for (step, value) in [(0, 1), (1, 2)] {
            let record = [value, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
            board.flash.write(SCRATCH, status + 8 * step, &record).unwrap();
        }
        trailer.write_magic(&mut board.flash).unwrap();
        let swapped = version(&mut board) == 2
            && board.flash.holds(PRIMARY, 0, &new)
            && board.flash.holds(SECONDARY, 0, &old);
        assert_eq!(swapped, strictness == Strictness::Strict);
    }
}

/// The scratch area is blank once the top chunk is in its place. The original erases it again.
#[test]
fn a_scratch_area_behind_a_shared_chunk_is_erased_twice_only_when_imitating() {
    for strictness in BOTH {
        let (.., log) = sharing(SwapType::Test, strictness);
        let erases: Vec<_> = log.iter().map(is_erase_of(SCRATCH)).collect();
        let twice = erases.windows(2).filter(|pair| **pair == [true, true]).count();
        assert_eq!(twice, usize::from(strictness == Strictness::Imitate));
    }
}

/// With the record of the swap, the original takes the status records of the first two steps from
/// the scratch area to wherever the image ends, and nobody reads them there.
#[test]
fn status_records_are_taken_to_the_primary_slot_only_when_imitating() {
    let record = |value| [value, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let records = [record(1), record(2)].concat();
    for strictness in BOTH {
        let (.., log) = sharing(SwapType::Test, strictness);
        let taken = log.iter().filter(|op| {
            op.area == PRIMARY && matches!(&op.kind, OpKind::Write(data) if *data == records)
        });
        assert_eq!(taken.count(), usize::from(strictness == Strictness::Imitate));
    }
}

/// The original takes a torn `copy_done` for neither set nor unset, and never reverts.
#[test]
fn a_test_whose_end_was_torn_is_reverted() {
    for (shape, strictness) in [MOVE, OFFSET].into_iter().flat_map(|s| BOTH.map(|b| (s, b))) {
        let start = asked(board(shape, strictness), SwapType::Test);
        let copy_done = start.trailers()[0].layout().copy_done();
        let last = writes_to(&start, PRIMARY, copy_done);
        let mut stuck = 0;
        for seed in 0..32 {
            let mut board = start.clone();
            cut(&mut board, last, Torn::Bits(seed));
            let boots = [version(&mut board), version(&mut board), version(&mut board)];
            assert!(boots[2] == 1 || strictness == Strictness::Imitate, "seed {seed}: {boots:?}");
            stuck += u32::from(boots == [2, 2, 2]);
        }
        assert_eq!(stuck > 0, strictness == Strictness::Imitate, "{shape:?}");
    }
}

/// Upstream issue 1966. A revert is asked for in the secondary trailer before the primary one is
/// erased. The original takes a torn magic there for a foreign one, leaves it, and goes on; a
/// second cut, and nobody knows of the revert any more.
#[test]
fn a_torn_request_for_a_revert_is_made_again() {
    for (shape, strictness) in [MOVE, OFFSET].into_iter().flat_map(|s| BOTH.map(|b| (s, b))) {
        let start = under_test(shape, strictness);
        let magic = start.trailers()[1].layout().magic_cell();
        let n = writes_to(&start, SECONDARY, magic);
        let mut lost = 0;
        for torn in [Torn::Half, Torn::AllButOneBit(1), Torn::Bits(2), Torn::Bits(3)] {
            let mut once = start.clone();
            cut(&mut once, n, torn);
            for m in 0..operations(&mut once.clone()) {
                let mut twice = once.clone();
                cut(&mut twice, m, Torn::Skip);
                version(&mut twice);
                lost += u32::from(version(&mut twice) != 1);
            }
        }
        assert_eq!(lost > 0, strictness == Strictness::Imitate, "{shape:?}: {lost} lost");
    }
}

/// The original clears and writes the secondary trailer again when it finds the record of a revert
/// whose first sector was not exchanged.
#[test]
fn a_recorded_revert_is_not_asked_for_again() {
    for (shape, strictness) in [MOVE, OFFSET].into_iter().flat_map(|s| BOTH.map(|b| (s, b))) {
        let mut board = under_test(shape, strictness);
        let first = board.trailers()[0].layout().status();
        let n = writes_to(&board, PRIMARY, first);
        cut(&mut board, n, Torn::Skip);
        board.flash.supply().record(true);
        assert_eq!(version(&mut board), 1);
        let log = board.flash.take_log();
        let magic = board.trailers()[1].layout().magic_cell();
        let again = log.iter().any(|op| op.area == SECONDARY && op.offset == magic);
        assert_eq!(again, strictness == Strictness::Imitate, "{shape:?}");
    }
}

/// While a swap by offset is resumed within its last pair of sectors, the original takes the
/// header of the new image for the old one's. If the old one is larger, its last sector is left
/// out, or encrypted as if it were not part of a body: there is nothing to revert to. The imitation
/// does not go that far.
#[test]
fn the_larger_old_image_survives_every_cut_of_a_swap_by_offset() {
    let plain: fn(u8, u32) -> Firmware = Firmware::plain;
    for (make, strictness) in
        [plain, Firmware::encrypted].into_iter().flat_map(|make| BOTH.map(|s| (make, s)))
    {
        let [old, new] = [make(1, 6 * 1024 + 300), make(2, 900)];
        let mut start = Board::configured(OFFSET, |config| {
            config.rules.strictness = strictness;
            config.rules.supported = Flags::ENCRYPTED_AES128;
            config.keys = Some(TrailerKeys::Plain(KeyLength::Aes128));
        });
        start.program(&old.plain);
        start.upload(&new.uploaded).unwrap();
        assert!(start.request(SwapType::Test).unwrap());
        for n in 0..operations(&mut start.clone()) - 1 {
            for torn in [Torn::Skip, Torn::Half, Torn::Bits(n)] {
                let mut board = start.clone();
                cut(&mut board, n, torn);
                assert_eq!(version(&mut board), 2, "cut {n} {torn:?}");
                assert!(board.flash.holds(SECONDARY, 0, &old.uploaded), "cut {n} {torn:?}");
                assert_eq!(version(&mut board), 1, "cut {n} {torn:?}");
            }
        }
    }
}

/// The original erases the header of the installed image, then the last sector. A cut in between
/// leaves a request that the next upload makes good.
#[test]
fn overwriting_leaves_no_request_for_the_next_upload() {
    for strictness in BOTH {
        let start = asked(board(OVERWRITE, strictness), SwapType::Permanent);
        let mut stale = 0;
        for n in 0..operations(&mut start.clone()) {
            let mut board = start.clone();
            cut(&mut board, n, Torn::Skip);
            assert_eq!(version(&mut board), 2, "cut {n}");
            // An upload that does not touch the trailer.
            let next = image(3, 3000);
            board.flash.erase(SECONDARY, 0, 3 * 1024).unwrap();
            board.flash.write(SECONDARY, 0, &next).unwrap();
            stale += u32::from(version(&mut board) == 3);
        }
        assert_eq!(stale > 0, strictness == Strictness::Imitate, "{stale} stale requests");
    }
}

/// The original copies one write more where the size is a multiple of the write size already, and
/// erases a sector twice that image and trailer share.
#[test]
fn overwriting_writes_the_image_and_erases_every_sector_once() {
    for strictness in BOTH {
        let mut board = board(OVERWRITE, strictness);
        let new = image(2, board.max_image_size() / 8 * 8);
        board.program(&image(1, 2500));
        board.upload(&new).unwrap();
        assert!(board.request(SwapType::Permanent).unwrap());
        board.flash.reset_counts();
        board.flash.supply().record(true);
        assert_eq!(version(&mut board), 2);
        let log = board.flash.take_log();
        let copied: u32 = log
            .iter()
            .filter(|op| op.area == PRIMARY && op.offset < new.len() as u32 + 8)
            .filter(|op| op.kind != OpKind::Erase)
            .map(|op| op.len)
            .sum();
        let wear = board.flash.devices()[0].wear();
        let most = wear[..8].iter().max().copied().unwrap_or(0);
        let more = strictness == Strictness::Imitate;
        assert_eq!(copied as usize, new.len() + if more { 8 } else { 0 });
        assert_eq!(most, if more { 2 } else { 1 });
    }
}

/// Where nothing is kept, there is nothing to revert to. The original then installs whatever is in
/// the secondary slot.
#[test]
fn overwriting_knows_no_revert() {
    for (strictness, expected) in BOTH.into_iter().zip([1, 2]) {
        let mut board = board(OVERWRITE, strictness);
        board.program(&image(1, 2500));
        board.upload(&image(2, 3000)).unwrap();
        let primary = board.trailers()[0];
        primary.write_copy_done(&mut board.flash).unwrap();
        primary.write_magic(&mut board.flash).unwrap();
        assert_eq!(version(&mut board), expected);
    }
}

/// By move and by offset the original does not swap with an empty slot, and nothing boots.
#[test]
fn a_request_is_carried_out_although_nothing_runs_yet() {
    for shape in [MOVE, OFFSET] {
        for (strictness, expected) in BOTH.into_iter().zip([2, 0]) {
            let mut board = board(shape, strictness);
            board.upload(&image(2, 3000)).unwrap();
            assert!(board.request(SwapType::Permanent).unwrap());
            assert_eq!(version(&mut board), expected, "{shape:?}");
        }
    }
}

/// The original writes `copy_done` at every boot as long as there is no room to swap, and keeps
/// the request for ever.
#[test]
fn an_update_without_room_does_not_keep_the_next_one_out() {
    for shape in [MOVE, OFFSET] {
        for strictness in BOTH {
            let mut board = Board::configured(shape, |config| {
                config.rules.strictness = strictness;
                // Only the strategy itself is in the way.
                config.rules.max_size = 8192;
            });
            board.program(&image(1, 2500));
            board.upload(&image(2, 7500)).unwrap();
            assert!(board.request(SwapType::Permanent).unwrap());
            let [first, others @ ..] = [(); 3].map(|()| operations(&mut board));
            match strictness {
                // `image_ok` is there after the first time.
                Strictness::Imitate => assert_eq!((first, others), (2, [1, 1]), "{shape:?}"),
                // The request is cleared, once.
                Strictness::Strict => {
                    assert!(first > 0 && others == [0, 0], "{shape:?}");
                    let loader = *board.loader();
                    assert_eq!(loader.pending(&mut board.flash, 0), Ok(SwapType::None));
                }
            }
            assert_eq!(version(&mut board), 1);
            board.upload(&image(3, 3000)).unwrap();
            assert!(board.request(SwapType::Permanent).unwrap());
            assert_eq!(version(&mut board), 3, "{shape:?}");
        }
    }
}

/// What a torn erase may leave of the record of a swap that is over: a magic, status, and no name.
#[test]
fn a_record_that_names_no_swap_is_not_resumed() {
    for shape in [MOVE, OFFSET] {
        let mut board = under_test(shape, Strictness::Strict);
        let [primary, _] = board.trailers();
        assert!(board.confirm().unwrap());
        let old = [shape.erased; 8];
        for field in [primary.layout().copy_done(), primary.layout().swap_info()] {
            board.flash.load(PRIMARY, field, &old).unwrap();
        }
        let before = board.flash.bytes(PRIMARY);
        let (booted, events) = board.boot_reporting();
        assert_eq!(booted.unwrap().header.version.major, 2);
        assert!(!events.iter().any(|event| matches!(event, Event::Resumed(_))), "{events:?}");
        assert_eq!(board.flash.bytes(PRIMARY), before, "{shape:?}");
    }
}

/// The image that was to be tested is all that there is. The original reverts it to itself.
#[test]
fn a_first_image_that_was_to_be_tested_is_confirmed() {
    for shape in [MOVE, OFFSET] {
        for strictness in BOTH {
            let mut board = Board::configured(shape, |config| {
                config.rules.strictness = strictness;
                config.bootstrap = true;
            });
            board.program(&image(1, 2500));
            board.flash.load(PRIMARY, 1000, &[0; 8]).unwrap();
            board.upload(&image(2, 3000)).unwrap();
            assert!(board.request(SwapType::Test).unwrap());
            assert_eq!(version(&mut board), 2, "{shape:?}");
            let again = board.boot().map(|boot| (boot.header.version.major, boot.swap));
            let settled = again == Ok((2, SwapType::None));
            assert_eq!(settled, strictness == Strictness::Strict, "{shape:?}: {again:?}");
        }
    }
}

/// The old image may not come back if its counter is below the stored one. Then the one under test
/// stays, in the original too.
#[test]
fn a_revert_below_the_stored_counter_is_refused() {
    for strictness in BOTH {
        let mut board = board(MOVE, strictness);
        let counted = |major, counter: u32| {
            image_with(major, 2076, &[(TlvType::SEC_CNT, counter.to_le_bytes().to_vec())])
        };
        board.program(&counted(1, 5));
        board.upload(&counted(2, 7)).unwrap();
        assert!(board.request(SwapType::Test).unwrap());
        let loader = *board.loader();
        let mut boot = |stored| {
            let mut counter = Counter(stored);
            let platform = Platform::new(&mut board.flash, HashOnly);
            let boot = loader.boot(&mut platform.with_counters(&mut counter));
            boot.map_or(0, |boot| boot.header.version.major)
        };
        assert_eq!(boot(5), 2, "tested");
        assert_eq!([boot(6), boot(6)], [2, 2], "{strictness:?}");
        let state = board.trailers()[0].read(&mut board.flash).unwrap();
        assert!(strictness == Strictness::Imitate || state.image_ok == Flag::Set);
    }
}

/// A device of equal slots: one area each, like [`Board`]'s.
fn equal(strictness: Strictness, images: [&[u8]; 2]) -> Board {
    let mut board = board(MOVE, strictness);
    board.flash.load(PRIMARY, 0, images[0]).unwrap();
    board.flash.load(SECONDARY, 0, images[1]).unwrap();
    board
}

/// The original erases both images if neither has a trailer, and nothing boots ever after.
#[test]
fn images_without_trailers_are_not_erased_from_equal_slots() {
    for (strictness, expected) in BOTH.into_iter().zip([2, 0]) {
        let images = [image(1, 2500), image(2, 3000)];
        let mut board = equal(strictness, [&images[0], &images[1]]);
        let config = *board.loader().config();
        for _ in 0..2 {
            let mut loader = EqualSlots::new(config, InPlace { revert: true });
            let boot = loader.boot(&mut Platform::new(&mut board.flash, HashOnly));
            assert_eq!(boot.map_or(0, |boot| boot.header.version.major), expected);
        }
        let kept = board.flash.holds(PRIMARY, 0, &images[0]);
        assert_eq!(kept, strictness == Strictness::Strict);
    }
}

/// The original marks an image as started before it knows whether it can be.
#[test]
fn an_image_is_validated_before_its_first_start_is_marked() {
    for strictness in BOTH {
        let mut damaged = image(2, 3000);
        damaged[1500] ^= 1;
        let mut board = equal(strictness, [&image(1, 2500), &damaged]);
        let mode = UpgradeMode::DirectXipRevert;
        let format = TrailerFormat { mode, max_align: 8, max_sectors: 8, keys: None };
        let [primary, secondary] =
            [PRIMARY, SECONDARY].map(|area| format.trailer(&board.flash, area, 8).unwrap());
        primary.write_magic(&mut board.flash).unwrap();
        primary.write_image_ok(&mut board.flash).unwrap();
        secondary.write_magic(&mut board.flash).unwrap();
        board.flash.supply().record(true);
        let config = *board.loader().config();
        let mut loader = EqualSlots::new(config, InPlace { revert: true });
        let boot = loader.boot(&mut Platform::new(&mut board.flash, HashOnly)).unwrap();
        assert_eq!(boot.header.version.major, 1);
        let at = secondary.layout().copy_done();
        let log = board.flash.take_log();
        let marked = log.iter().any(|op| op.area == SECONDARY && op.offset == at && op.len == 8);
        assert_eq!(marked, strictness == Strictness::Imitate);
        assert_eq!(secondary.read(&mut board.flash).unwrap().magic, Magic::Unset, "erased");
    }
}

/// The counter must not bar the way back before the image is confirmed. The original thinks of
/// that only where images run in place.
#[test]
fn a_counter_waits_for_the_confirmation_of_an_image_in_memory() {
    for (strictness, expected) in BOTH.into_iter().zip([5, 7]) {
        const RAM: u32 = 0x2000_0000;
        let mut loadable = image_with(2, 2076, &[(TlvType::SEC_CNT, 7u32.to_le_bytes().to_vec())]);
        let mut header =
            Header::parse(loadable.first_chunk::<{ Header::SIZE }>().unwrap()).unwrap();
        header.flags = Flags::RAM_LOAD;
        header.load_addr = RAM;
        loadable[..Header::SIZE].copy_from_slice(&header.emit());
        let covered = loadable.len() - 40;
        let digest = Digest::of(HashKind::Sha256, &loadable[..covered]);
        let end = loadable.len();
        loadable[end - 32..].copy_from_slice(digest.as_bytes());
        let mut board = equal(strictness, [&loadable, &[]]);
        let mode = UpgradeMode::RamLoad;
        let format = TrailerFormat { mode, max_align: 8, max_sectors: 8, keys: None };
        let primary = format.trailer(&board.flash, PRIMARY, 8).unwrap();
        primary.write_magic(&mut board.flash).unwrap();
        let config = *board.loader().config();
        let mut ram = vec![0; 4096];
        let mut counter = Counter(5);
        let region = LoadRegion { address: RAM, bytes: &mut ram };
        let platform = Platform::new(&mut board.flash, HashOnly);
        let boot = EqualSlots::new(config, InRam::new(region, true))
            .boot(&mut platform.with_counters(&mut counter));
        assert_eq!(boot.map(|boot| boot.header.version.major), Ok(2));
        assert_eq!(counter.0, expected);
    }
}
