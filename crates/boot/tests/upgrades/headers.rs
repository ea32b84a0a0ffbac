//! Where the images' headers are while a swap is under way: whoever has to know where an image
//! begins and ends asks the strategy.

use crate::board::{Board, Shape, image};
use crate::power_cuts::swapping_shapes;
use updraft_boot::{Progress, Slots, Strategy};
use updraft_flash::{FlashMap, SlotPair};
use updraft_image::{Header, SwapType};
use updraft_sim::flash::Torn;

/// Versions in the headers at the places that the strategy names, and how far the swap is.
fn versions(shape: Shape, board: &mut Board) -> (Progress, [u8; 2]) {
    let strategy = shape.strategy;
    let config = *board.loader().config();
    let pair: SlotPair = config.images.slots()[0];
    let slots = Slots::new(&board.flash, &config, &pair, strategy.mode()).unwrap();
    let progress = strategy.progress(&mut board.flash, &slots).unwrap();
    let places = strategy.headers(&mut board.flash, &slots, progress).unwrap();
    let versions = places.map(|place| {
        let mut bytes = [0; Header::SIZE];
        board.flash.read(place.area, place.offset, &mut bytes).unwrap();
        Header::parse(&bytes).map_or(0, |header| header.version.major)
    });
    (progress, versions)
}

/// A device that runs version 1 and is about to swap it for version 2, or back.
fn about_to_swap(shape: Shape, swap: SwapType) -> Board {
    let mut board = Board::new(shape);
    let max = board.max_image_size();
    board.program(&image(if swap == SwapType::Revert { 2 } else { 1 }, max / 3));
    board.upload(&image(if swap == SwapType::Revert { 1 } else { 2 }, max)).unwrap();
    if swap == SwapType::Revert {
        assert!(board.request(SwapType::Test).unwrap());
        board.boot().unwrap();
    } else {
        assert!(board.request(swap).unwrap());
    }
    board
}

#[test]
fn headers_are_found_wherever_the_power_fails() {
    let mut interrupted = 0;
    for shape in swapping_shapes() {
        for swap in [SwapType::Test, SwapType::Permanent, SwapType::Revert] {
            let start = about_to_swap(shape, swap);
            for torn in [Torn::Skip, Torn::Half] {
                for n in 0.. {
                    let mut board = start.clone();
                    board.flash.supply().cut_at(n, torn);
                    if board.boot().is_ok() {
                        break;
                    }
                    board.flash.supply().power_on();
                    let (progress, versions) = versions(shape, &mut board);
                    let kind = match progress {
                        Progress::None => continue,
                        Progress::Recorded(kind) => kind,
                        Progress::Interrupted { swap, .. } => swap,
                    };
                    let place = format!("{shape:?}, {swap:?}, cut {n} {torn:?}, {progress:?}");
                    assert_eq!((kind, versions), (swap, [1, 2]), "{place}");
                    interrupted += 1;
                }
            }
        }
    }
    println!("headers: found in {interrupted} interrupted swaps");
}
