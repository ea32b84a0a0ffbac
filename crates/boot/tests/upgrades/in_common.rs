//! Sectors that the old and the new image have in common stay as they are, where a record tells
//! that they have been dealt with.

use crate::board::{Board, Firmware, Layout, PRIMARY, SECONDARY, SWAP_SCRATCH, Shape};
use crate::power_cuts::{Story, has_room, swapping_shapes};
use updraft_boot::{AnyStrategy, SwapMove, SwapOffset};
use updraft_flash::FlashMap;
use updraft_image::SwapType;
use updraft_sim::flash::{AreaOp, OpKind, Torn};

/// Erases of a permanent upgrade from version 1 to version 2.
fn erases(shape: Shape, images: [Firmware; 2]) -> u64 {
    let mut board = Board::new(shape);
    let [old, new] = images;
    board.program(&old.plain);
    board.upload(&new.uploaded).unwrap();
    assert!(board.request(SwapType::Permanent).unwrap());
    board.flash.reset_counts();
    assert_eq!(board.boot().unwrap().header.version.major, 2);
    assert!(board.flash.bytes(PRIMARY).starts_with(&new.plain));
    assert!(board.flash.bytes(SECONDARY).starts_with(&old.uploaded));
    board.flash.counts().erases
}

/// Of 100 sectors with a KiB each, 80 are alike but for the first, with the header, and the last,
/// with the hash.
#[test]
fn what_images_have_in_common_is_not_rewritten() {
    let modes = [
        (AnyStrategy::SwapMove(SwapMove), Layout::Even, 1),
        (AnyStrategy::SwapOffset(SwapOffset), Layout::Even, 1),
        (SWAP_SCRATCH, Layout::Scratch(1), 2),
        (SWAP_SCRATCH, Layout::Scratch(10), 2),
    ];
    for (strategy, layout, saved) in modes {
        let shape = Shape {
            strategy,
            sector: 1024,
            sectors: [110, 110],
            write_size: 8,
            max_align: 8,
            max_sectors: 110,
            erased: 0xff,
            layout,
        };
        let size = 100 * 1024;
        let unlike = erases(shape, [1, 2].map(|major| Firmware::plain(major, size)));
        let alike = erases(shape, [1, 2].map(|major| Firmware::resembling(major, size)));
        println!("{shape:?}: {alike} erases instead of {unlike}");
        assert_eq!(unlike - alike, 78 * saved, "{shape:?}");
    }
}

/// A cut may have left cells that read right only this time. So the step that it may have stopped
/// is done again, even where there seems to be nothing to do.
#[test]
fn a_step_that_was_cut_is_done_again_though_it_reads_as_done() {
    let mut cuts = 0;
    for shape in swapping_shapes() {
        let parts = [[60, 30], [100, 95]];
        for (swap, parts) in [SwapType::Test, SwapType::Revert].into_iter().zip(parts) {
            let story = Story::resembling(shape, swap, parts, false);
            let status = story.start.trailers()[0].layout().status();
            let is_record = |op: &AreaOp| op.area == PRIMARY && op.offset >= status;
            let boot = |mut board: Board| {
                board.flash.supply().record(true);
                board.boot().unwrap();
                board.flash.take_log()
            };
            let log = boot(story.start.clone());
            for (n, pair) in log.windows(2).enumerate() {
                let [copied, record] = pair else { continue };
                let ends_step = [copied, record].iter().all(|op| op.kind != OpKind::Erase);
                if !ends_step || !is_record(record) || is_record(copied) {
                    continue;
                }
                let mut board = story.start.clone();
                let sector = board.flash.sector_at(copied.area, copied.offset).unwrap().offset;
                board.flash.supply().cut_at(n as u64 + 1, Torn::Skip);
                assert!(board.boot().is_err());
                board.flash.supply().power_on();
                let again = boot(board);
                let mut step =
                    again.iter().take_while(|op| op.kind == OpKind::Erase || !is_record(op));
                let target = (copied.area, sector);
                let erased =
                    |op: &AreaOp| op.kind == OpKind::Erase && (op.area, op.offset) == target;
                assert!(step.any(erased), "{shape:?}, {swap:?}, cut before operation {}", n + 1);
                cuts += 1;
            }
        }
    }
    println!("{cuts} cuts between a copy and its record");
    assert!(cuts > 500);
}

#[test]
fn images_with_much_in_common_survive_every_cut() {
    let mut cuts = 0;
    for (at, shape) in swapping_shapes().enumerate() {
        let swaps = [SwapType::Test, SwapType::Permanent, SwapType::Revert];
        let parts = [[70, 45], [33, 100], [60, 60]];
        let (swap, parts) = (swaps[at % 3], parts[at % 3]);
        cuts += Story::resembling(shape, swap, parts, false).sweep();
        if has_room(&shape) {
            cuts += Story::resembling(shape, swap, parts, true).sweep();
        }
    }
    println!("images with much in common: {cuts} cuts");
}
