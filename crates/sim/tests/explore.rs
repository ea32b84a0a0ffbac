//! The explorer: it finds nothing wrong with the bootloader, and what is wrong with others.

use updraft_board::{Board, built_in};
use updraft_sim::device::Keys;
use updraft_sim::explore::{Explorer, Options, Outcome, Path, Report, Story, StoryError, stories};

fn image(board: &Board, major: u8, size: usize) -> Vec<u8> {
    updraft_sim::matrix::image(board, major, size as u32).unwrap()
}

/// A built-in board that takes these images, which carry no ids.
fn board(name: &str) -> Board {
    let text = Board::load(name).unwrap().to_toml();
    Board::parse(&text.replace("require_ids = true", "require_ids = false"), name).unwrap()
}

fn told(board: &Board, sizes: [usize; 2]) -> Vec<Story> {
    let [old, new] = sizes;
    stories(board, &image(board, 1, old), &image(board, 2, new), &Keys::unsigned()).unwrap()
}

fn explored(story: &Story, options: &Options) -> Report {
    Explorer::new(story, options.clone()).unwrap().run(&|_, _| ())
}

/// Sectors that every test run has time for, in bytes.
const LARGEST: u32 = 128 * 1024;

#[test]
fn every_board_survives_every_cut_of_every_story() {
    for name in built_in() {
        let board = board(name);
        let mode = board.mode();
        // Each boot copies what one sector holds, a row at a time.
        let largest = board.areas().iter().filter(|area| area.role.is_slot());
        let largest =
            largest.flat_map(|area| board.sectors(area)).map(|run| run.size).max().unwrap_or(0);
        if largest > LARGEST && std::env::var_os("UPDRAFT_LONG").is_none() {
            println!("{name}: left to the long run, its sectors have {largest} bytes");
            continue;
        }
        let sector = board.sectors(board.slot(0, updraft_board::Role::Primary).unwrap())[0].size;
        let sizes = [2 * sector as usize + 700, sector as usize + 900];
        let Ok(stories) = stories(
            &board,
            &image(&board, 1, sizes[0]),
            &image(&board, 2, sizes[1]),
            &Keys::unsigned(),
        ) else {
            println!("{name}: {mode} is not played");
            continue;
        };
        let (mut cuts, mut states) = (0, 0);
        for story in stories {
            let report = explored(&story, &Options::torn());
            assert_eq!(report.failure, None, "{name}, {}", story.name());
            assert!(report.cuts >= report.operations * 6, "{report:?}");
            // An image that failed its test where it lies is only passed by.
            let passed_by = board.has_trials();
            assert!(report.operations > 0 || passed_by, "{report:?}");
            assert!(report.worst.time_us >= report.uncut.time_us);
            cuts += report.cuts;
            states += report.states;
        }
        println!("{name}: {cuts} cuts, {states} states");
    }
}

#[test]
fn pairs_of_cuts_are_survived_too() {
    let board = board("virtual-small");
    let options = Options { depth: 2, ..Options::torn() };
    for story in told(&board, [1400, 900]) {
        let report = explored(&story, &options);
        assert_eq!(report.failure, None, "{}", story.name());
        println!("{}: {} pairs of cuts, {} states", story.name(), report.cuts, report.states);
    }
}

#[test]
fn the_outcomes_of_a_test_are_told_apart() {
    let board = board("virtual-small");
    let stories = told(&board, [1400, 900]);
    let report = |name: &str| {
        let story = stories.iter().find(|story| story.name() == name).unwrap();
        let report = explored(story, &Options::torn());
        report.outcomes.iter().map(|(outcome, _)| *outcome).collect::<Vec<_>>()
    };
    // A torn end of the swap counts as its end, so it is reverted at once.
    assert_eq!(report("test-used"), [Outcome::Old, Outcome::Trial]);
    assert_eq!(report("permanent-used"), [Outcome::New]);
    assert_eq!(report("revert-used"), [Outcome::Old]);
    assert_eq!(report("confirm-used"), [Outcome::Old, Outcome::New]);
    assert!(report("request-permanent-used").contains(&Outcome::New));
}

/// The original's weaknesses, which imitating it brings back.
#[test]
fn what_is_weak_in_the_original_is_found_and_can_be_walked_again() {
    for (name, story, depth) in [
        // A torn magic while the revert is prepared (upstream issue 1966).
        ("virtual-small", "revert-used", 2),
        // A torn `copy_done` is neither set nor unset, and the test is never reverted.
        ("virtual-small", "test-used", 1),
    ] {
        let board = board(name).imitating().unwrap();
        let stories = told(&board, [1400, 900]);
        let story = stories.iter().find(|told| told.name() == story).unwrap();
        let options = Options { depth, ..Options::torn() };
        let explorer = Explorer::new(story, options.clone()).unwrap();
        let report = explorer.run(&|_, _| ());
        let failure = report.failure.unwrap_or_else(|| panic!("{}: nothing", story.name()));
        println!("{}: {}", failure.path, failure.why);
        assert!(failure.path.cuts.len() as u32 <= depth);
        // Others find the same from what is written down.
        let path: Path = failure.path.to_string().parse().unwrap();
        let mut steps = 0;
        let walked = explorer.walk(&path.cuts, |_| steps += 1);
        assert!(steps > 0);
        match walked {
            Err(why) => assert_eq!(why, failure.why),
            Ok(end) => {
                assert!(failure.why.starts_with(&end.outcome.to_string()), "{end:?}");
                assert_eq!(end.verdict, Err(failure.why));
            }
        }
    }
}

#[test]
fn images_that_would_not_run_are_refused_before_anything_is_explored() {
    let board = board("virtual-small");
    let [old, new] = [image(&board, 1, 1400), image(&board, 2, 900)];
    let tell = |old: &[u8], new: &[u8]| stories(&board, old, new, &Keys::unsigned());
    assert_eq!(tell(&old, &old).unwrap_err(), StoryError::SameImage);
    let mut damaged = new.clone();
    damaged[600] ^= 1;
    for (old, new, which) in [(&damaged, &new, "old"), (&old, &damaged, "new")] {
        match tell(old, new) {
            Err(StoryError::Image { which: told, .. }) => assert_eq!(told, which),
            other => panic!("{other:?}"),
        }
    }
    let too_large = image(&board, 2, 40_000);
    assert!(matches!(tell(&old, &too_large), Err(StoryError::Image { which: "new", .. })));
}
