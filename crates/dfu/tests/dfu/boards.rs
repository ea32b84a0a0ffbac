//! The bounds that the library works out by itself, beside those of every board file.

use updraft_board::Board;
use updraft_dfu::{Config, Dfu};
use updraft_image::{Rules, UpgradeMode};
use updraft_sim::device;

#[test]
fn the_largest_image_is_that_of_the_board_file() {
    let (mut same, mut bounded) = (0, 0);
    for name in updraft_board::built_in() {
        let board = Board::load(name).expect("a board of ours");
        let flash = device::flash_in_memory(&board);
        let Ok(dfu) = device::dfu(&board, &flash) else { continue };
        let rules = Rules { max_size: 0, ..dfu.config().rules };
        let unbound = Dfu::new(&flash, Config { rules, ..*dfu.config() }).expect("the same slots");
        let (found, wanted) = (unbound.max_image_size(&flash), board.capacity(0).max_image);
        match board.mode() {
            // What the other areas take is for the board to say.
            UpgradeMode::SwapScratch | UpgradeMode::StatusPartition | UpgradeMode::RamLoad => {
                assert!(found >= wanted, "{name}: {found} < {wanted}");
                bounded += 1;
            }
            _ => {
                assert_eq!(found, wanted, "{name}");
                same += 1;
            }
        }
        assert_eq!(dfu.max_image_size(&flash), wanted, "{name}");
    }
    println!("{same} boards agree, {bounded} have a lower bound of their own");
    assert!(same > 0 && bounded > 0);
}
