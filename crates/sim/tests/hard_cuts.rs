//! What the hardest outcomes of a torn write come to on devices with plain trailers: words that
//! cannot be read, and cells that read differently from time to time.

use updraft_board::{Board, Role};
use updraft_sim::device::Keys;
use updraft_sim::explore::{Cut, Explorer, Options, Story, stories};
use updraft_sim::flash::Torn;

fn image(board: &Board, major: u8, size: usize) -> Vec<u8> {
    updraft_sim::matrix::image(board, major, size as u32).unwrap()
}

/// A built-in board that takes these images, which carry no ids.
fn board(name: &str) -> Board {
    let text = Board::load(name).unwrap().to_toml();
    Board::parse(&text.replace("require_ids = true", "require_ids = false"), name).unwrap()
}

fn told(name: &str) -> Vec<Story> {
    let board = board(name);
    let sector = board.sectors(board.slot(0, Role::Primary).unwrap())[0].size as usize;
    let images = [image(&board, 1, 2 * sector + 700), image(&board, 2, sector + 900)];
    stories(&board, &images[0], &images[1], &Keys::unsigned()).unwrap()
}

#[test]
fn words_that_cannot_be_read_are_survived_wherever_they_lie() {
    let (mut cuts, mut states) = (0, 0);
    for story in told("virtual-stm32wl") {
        let classes = (0..5).map(Torn::Unreadable).collect();
        let options = Options { classes, ..Options::clean_cuts() };
        let report = Explorer::new(&story, options).unwrap().run(&|_, _| ());
        assert_eq!(report.failure, None, "{}", story.name());
        cuts += report.cuts;
        states += report.states;
    }
    println!("unreadable words: {cuts} cuts, {states} states");
}

#[test]
fn and_so_they_are_where_the_recovery_is_cut_too() {
    for story in told("virtual-stm32wl") {
        if !["revert-used", "permanent-fresh"].contains(&story.name()) {
            continue;
        }
        let classes = vec![Torn::Unreadable(0), Torn::Half];
        let options = Options { depth: 2, classes, ..Options::clean_cuts() };
        let report = Explorer::new(&story, options).unwrap().run(&|_, _| ());
        assert_eq!(report.failure, None, "{}", story.name());
        println!("{}: {} pairs of cuts, {} states", story.name(), report.cuts, report.states);
    }
}

/// Image data and status records are written again or count either way. A flag is one byte without
/// a check: whether its cell can be relied on cannot be told.
#[test]
fn unstable_cells_are_survived_in_swaps_and_counted_in_flags() {
    const SEEDS: u64 = 8;
    for board in ["virtual-nor-4k", "virtual-nrf52", "virtual-offset"] {
        let (mut survived, mut total) = (0, 0);
        for story in told(board) {
            let classes = (0..SEEDS).map(Torn::Unstable).collect();
            let options = Options { classes, ..Options::clean_cuts() };
            let explorer = Explorer::new(&story, options).unwrap();
            if ["test", "permanent", "revert"].iter().any(|name| story.name().starts_with(name)) {
                let report = explorer.run(&|_, _| ());
                assert_eq!(report.failure, None, "{board}, {}", story.name());
                (survived, total) = (survived + report.cuts, total + report.cuts);
                continue;
            }
            let clean = Explorer::new(&story, Options::clean_cuts()).unwrap();
            for number in 0..clean.run(&|_, _| ()).operations {
                for seed in 0..SEEDS {
                    let cut = Cut { operation: number, torn: Torn::Unstable(seed) };
                    total += 1;
                    survived += u64::from(explorer.walk(&[cut], |_| ()).is_ok());
                }
            }
        }
        println!("{board}: {survived} of {total} cuts that leave unstable cells are survived");
        assert!(survived * 100 > total * 95, "{survived} of {total}");
    }
}
