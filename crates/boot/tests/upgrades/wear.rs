//! What an upgrade costs in erases and bytes, against what was measured with the C boot loader.

use crate::board::{Board, Layout, SWAP_SCRATCH, Shape, image};
use updraft_boot::{AnyStrategy, Overwrite, SwapMove, SwapOffset};
use updraft_image::SwapType;
use updraft_sim::flash::Counts;

/// Erases, write calls, bytes written, most erases of one sector.
type Cost = [u64; 4];

/// 4 KiB sectors, 8-byte writes, permanent upgrade, measured with the C boot loader.
const MEASURED: [(AnyStrategy, Layout, u32, Cost); 12] = [
    (AnyStrategy::Overwrite(Overwrite::Slot), Layout::Even, 256, [98, 384, 393_216, 1]),
    (AnyStrategy::Overwrite(Overwrite::Slot), Layout::Even, 512, [162, 640, 655_360, 1]),
    (AnyStrategy::Overwrite(Overwrite::Image), Layout::Even, 256, [66, 252, 256_912, 1]),
    (AnyStrategy::Overwrite(Overwrite::Image), Layout::Even, 512, [131, 508, 519_056, 1]),
    (AnyStrategy::SwapMove(SwapMove), Layout::Even, 256, [194, 965, 788_016, 2]),
    (AnyStrategy::SwapMove(SwapMove), Layout::Even, 512, [388, 1925, 1_575_984, 2]),
    (AnyStrategy::SwapOffset(SwapOffset), Layout::Even, 256, [130, 646, 525_368, 1]),
    (AnyStrategy::SwapOffset(SwapOffset), Layout::Even, 512, [260, 1286, 1_050_680, 1]),
    (SWAP_SCRATCH, Layout::Scratch(1), 256, [195, 969, 788_056, 65]),
    (SWAP_SCRATCH, Layout::Scratch(1), 512, [389, 1929, 1_576_024, 129]),
    (SWAP_SCRATCH, Layout::Scratch(16), 256, [210, 789, 786_616, 5]),
    (SWAP_SCRATCH, Layout::Scratch(16), 512, [404, 1569, 1_573_144, 9]),
];

/// Sizes of the old and the new image, in bytes; sectors of a slot; sectors with records.
fn sizes(kib: u32) -> ([u32; 2], u32, u32) {
    match kib {
        256 => ([260_000, 256_890], 96, 128),
        _ => ([522_000, 519_035], 160, 256),
    }
}

#[test]
fn no_upgrade_costs_more_than_with_the_c_boot_loader() {
    for (strategy, layout, kib, measured) in MEASURED {
        let ([old, new], count, max_sectors) = sizes(kib);
        let mut board = Board::new(Shape {
            strategy,
            sector: 4096,
            sectors: [count, count],
            write_size: 8,
            max_align: 8,
            max_sectors,
            erased: 0xff,
            layout,
        });
        assert!(old.max(new) <= board.max_image_size());
        board.program(&image(1, old));
        board.upload(&image(2, new)).unwrap();
        assert!(board.request(SwapType::Permanent).unwrap());
        board.flash.reset_counts();
        assert_eq!(board.boot().unwrap().header.version.major, 2);
        let counts = board.flash.counts();
        let most = board.flash.devices()[0].wear().iter().max().copied().unwrap_or(0);
        let ours = [counts.erases, counts.writes, counts.bytes_written, most.into()];
        let mode = board.loader().mode();
        println!("{mode}, {kib} KiB: {ours:?}; C: {measured:?}");
        assert!(ours.iter().zip(measured).all(|(ours, theirs)| *ours <= theirs));
        assert!(board.confirm().unwrap());
        board.flash.reset_counts();
        board.boot().unwrap();
        assert_eq!(board.flash.counts(), Counts::default(), "a boot with nothing to do");
    }
}

/// What is exchanged first goes through the first sector of the scratch area, and each chunk goes on
/// where the one before it ended.
#[test]
fn a_scratch_area_of_several_sectors_wears_evenly() {
    for sectors in [2, 4, 7] {
        let mut board = Board::new(Shape {
            strategy: SWAP_SCRATCH,
            sector: 512,
            sectors: [64, 64],
            write_size: 8,
            max_align: 8,
            max_sectors: 64,
            erased: 0xff,
            layout: Layout::Scratch(sectors),
        });
        board.program(&image(1, 25_000));
        board.flash.reset_counts();
        for major in 2..12 {
            board.upload(&image(major, 25_000)).unwrap();
            assert!(board.request(SwapType::Permanent).unwrap());
            assert_eq!(board.boot().unwrap().header.version.major, major);
        }
        let scratch = board.flash.devices()[0].wear().iter().skip(128).take(sectors as usize);
        let wear: Vec<_> = scratch.copied().collect();
        println!("{sectors} sectors: {wear:?}");
        let [least, most] = [wear.iter().min(), wear.iter().max()].map(|wear| *wear.unwrap());
        assert!(least > 0 && most <= 2 * least, "{wear:?}");
    }
}
