//! Every mode on every kind of flash in every geometry: a part of it in each run.

use std::path::Path;
use std::time::SystemTime;

use updraft_board::FlashKind;
use updraft_image::UpgradeMode;
use updraft_sim::explore::{Cut, Explorer, Options};
use updraft_sim::flash::{OpKind, Torn};
use updraft_sim::matrix::{
    Cell, Depth, Fill, SHAPES, Secrecy, Shape, Totals, Unplayed, cells, flash_operations,
    modes_and_kinds, small_cells,
};

/// A fresh seed, or the one to replay.
fn seed() -> u64 {
    let fresh = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos()) ^ now.as_secs() << 20
    };
    let given = std::env::var("UPDRAFT_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(fresh)
}

/// Puts cells into an order that the seed decides.
fn shuffled(mut cells: Vec<Cell>, seed: u64) -> Vec<Cell> {
    let mut state = seed;
    for index in (1..cells.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        cells.swap(index, (mixed >> 16) as usize % (index + 1));
    }
    cells
}

/// Explores cells in the order of a seed until so many cuts have been made.
fn explore(cells: Vec<Cell>, depth: Depth, cuts: u64) {
    let seed = seed();
    let mut totals = Totals::default();
    for cell in shuffled(cells, seed) {
        let outcome = cell.sweep(depth);
        if let Some(failure) = outcome.iter().find_map(|sweep| sweep.failures.first()) {
            let (path, why) = (&failure.path, &failure.why);
            panic!("seed {seed}: {cell}: {path}: {why}\n{}", cell.board_file());
        }
        totals.add(&cell, &outcome);
        if totals.cuts() > cuts {
            break;
        }
    }
    println!("seed {seed}: {}", totals.line());
}

#[test]
fn another_part_of_the_matrix_survives_every_cut_in_each_run() {
    explore(cells(), Depth::Single, 100_000);
}

#[test]
fn another_part_of_the_matrix_survives_every_pair_of_cuts_in_each_run() {
    // Pairs of cuts in swaps through scratch are millions on one board: the long run has them.
    let many = [UpgradeMode::SwapScratch, UpgradeMode::StatusPartition];
    let at_once = "exchanged at once";
    let cells = small_cells()
        .into_iter()
        .filter(|cell| !many.contains(&cell.mode) && !cell.shape.name.ends_with(at_once));
    explore(cells.collect(), Depth::Pairs, 150_000);
}

/// The header of an image that was being replaced may be a word that cannot be read: no reason to
/// give up, as the update is still there.
#[test]
fn a_header_that_a_cut_has_made_unreadable_is_written_again() {
    for mode in [UpgradeMode::OverwriteOnly, UpgradeMode::SwapMove] {
        let kind = FlashKind::EccWords;
        let (fill, secrecy) = (Fill::Shrinking, Secrecy::Plain);
        let cell = Cell { mode, kind, shape: &SHAPES[0], fill, secrecy };
        let sweep = cell.sweep(Depth::Single).unwrap();
        assert_eq!(sweep.failures, []);
        assert!(sweep.stories.iter().any(|story| story == "bootstrap"));
    }
}

/// The wrapped content key is under no hash, so the copy of an image may look whole before it is.
#[test]
fn a_torn_bootstrap_leaves_no_image_that_cannot_be_encrypted_again() {
    for (mode, fill, secrecy) in [
        (UpgradeMode::OverwriteOnly, Fill::Full, Secrecy::KeysKeptWrapped),
        (UpgradeMode::SwapScratch, Fill::Full, Secrecy::KeysKeptWrapped),
        (UpgradeMode::SwapMove, Fill::Shrinking, Secrecy::Encrypted),
        (UpgradeMode::SwapOffset, Fill::Shrinking, Secrecy::Encrypted),
        (UpgradeMode::SwapScratch, Fill::Shrinking, Secrecy::Encrypted),
    ] {
        let cell = Cell { mode, kind: FlashKind::EccWords, shape: &SHAPES[3], fill, secrecy };
        assert_eq!(cell.sweep(Depth::Single).unwrap().failures, []);
    }
}

/// Nor do two cuts, where the image reaches into the sector of the trailer: a request that the first
/// one has torn could not be made again.
#[test]
fn a_bootstrap_that_is_torn_twice_leaves_no_such_image_either() {
    let (mode, fill, secrecy) = (UpgradeMode::SwapScratch, Fill::Full, Secrecy::KeysKeptWrapped);
    let mut walks = 0;
    for cell in small_cells().into_iter().filter(|cell| {
        (cell.mode, cell.fill, cell.secrecy) == (mode, fill, secrecy)
            && [FlashKind::SelfErasingRows, FlashKind::Nor].contains(&cell.kind)
    }) {
        let Ok(board) = cell.board() else { continue };
        let stories = cell.stories(&board).unwrap();
        let Some(story) = stories.iter().find(|story| story.name() == "bootstrap") else {
            continue;
        };
        let explorer = Explorer::new(story, Options::pairs()).unwrap();
        let first = Cut { operation: 0, torn: Torn::AllButOneBit(1) };
        let mut operations = Vec::new();
        let uncut = explorer.walk(&[first], |visit| {
            if let (1, OpKind::Write(_)) = (visit.boot, &visit.op.kind) {
                operations.push(visit.number);
            }
        });
        assert_eq!(uncut.map(drop), Ok(()), "{cell}");
        for operation in operations {
            let second = Cut { operation, torn: Torn::AllButOneBit(operation) };
            let walked = explorer.walk(&[first, second], |_| ());
            assert_eq!(walked.map(drop), Ok(()), "{cell}: {operation}");
            walks += 1;
        }
    }
    assert!(walks > 100, "{walks}");
}

/// So may the record in the scratch area, while it is erased, and its mark when it is retired. Where all is
/// exchanged at once, no later step says that it is done with.
#[test]
fn a_scratch_record_that_a_cut_has_made_unreadable_is_done_with() {
    let (mode, kind) = (UpgradeMode::SwapScratch, FlashKind::EccWords);
    let secrecy = Secrecy::Plain;
    let at_once = SHAPES.iter().find(|shape| shape.name.ends_with("exchanged at once")).unwrap();
    for shape in [&SHAPES[0], at_once] {
        for fill in [Fill::Full, Fill::Shrinking] {
            let cell = Cell { mode, kind, shape, fill, secrecy };
            assert_eq!(cell.sweep(Depth::Single).map_or(vec![], |sweep| sweep.failures), []);
        }
    }
}

const END_OF_MAGIC: [u8; 4] = [0x2c, 0xb6, 0x79, 0x80];

/// A cut just behind the hand-over has the chunk copied again: its sector, which has the primary
/// trailer in it, is erased once more, and a cut in that may leave the magic and no size.
#[test]
fn a_primary_record_that_a_second_cut_has_made_unreadable_is_written_again() {
    let (mode, kind) = (UpgradeMode::SwapScratch, FlashKind::EccWords);
    let cell = |cell: &Cell| cell.mode == mode && cell.kind == kind;
    let mut walks = 0;
    for cell in small_cells().into_iter().filter(cell) {
        let Ok(board) = cell.board() else { continue };
        for story in cell.stories(&board).unwrap() {
            if !["test-fresh", "permanent-used"].contains(&story.name()) {
                continue;
            }
            let explorer = Explorer::new(&story, Options::pairs()).unwrap();
            let mut handed_over = Vec::new();
            let written = explorer.walk(&[], |visit| {
                if matches!(&visit.op.kind, OpKind::Write(bytes) if bytes.ends_with(&END_OF_MAGIC))
                {
                    handed_over.push(visit.number + 1);
                }
            });
            assert_eq!(written.map(drop), Ok(()), "{cell}");
            for (operation, seed) in
                handed_over.into_iter().flat_map(|at| (0..16).map(move |it| (at, it)))
            {
                let cut = Cut { operation, torn: Torn::Skip };
                let again = Cut { operation: 0, torn: Torn::Unreadable(seed) };
                let walked = explorer.walk(&[cut, again], |_| ());
                assert_eq!(
                    walked.map(drop),
                    Ok(()),
                    "{cell}: {}@{operation}, {seed}",
                    story.name()
                );
                walks += 1;
            }
        }
    }
    assert!(walks > 200, "{walks}");
}

/// Where erased bytes are 0x00, one bit says that the last swap is over; and its record has every
/// step.
#[test]
fn a_torn_erase_brings_no_swap_back_that_is_over() {
    let (mode, kind, secrecy) = (UpgradeMode::SwapScratch, FlashKind::NorLimited, Secrecy::Plain);
    for (name, fill) in [
        ("uneven sectors, the same in both slots, writes of 8", Fill::Shrinking),
        ("3 × 8 KiB, writes of 4, fields 32 apart, erased to 0x00", Fill::Full),
    ] {
        let shape = SHAPES.iter().find(|shape| shape.name == name).expect("it is there");
        let cell = Cell { mode, kind, shape, fill, secrecy };
        assert_eq!(cell.sweep(Depth::Single).unwrap().failures, []);
    }
    // A row that is written erases itself before that.
    let shape = SHAPES.iter().find(|shape| shape.name.starts_with("rows of 16 B")).unwrap();
    let (kind, fill) = (FlashKind::SelfErasingRows, Fill::Shrinking);
    let cell = Cell { mode, kind, shape, fill, secrecy };
    assert_eq!(cell.sweep(Depth::Single).unwrap().failures, []);
}

/// Of the sectors at either end they have a part only, which goes with the whole.
#[test]
fn slots_that_begin_inside_a_sector_survive_every_cut() {
    let (fill, secrecy) = (Fill::Full, Secrecy::Plain);
    for (mode, kind, boards) in [
        (UpgradeMode::OverwriteOnly, FlashKind::EccWords, 3),
        (UpgradeMode::SwapScratch, FlashKind::Nor, 2),
        (UpgradeMode::DirectXipRevert, FlashKind::NorLimited, 3),
        (UpgradeMode::SwapMove, FlashKind::Nor, 0),
    ] {
        let inside = SHAPES.iter().filter(|shape| shape.offset != [0; 2]);
        let sweeps = inside.filter_map(|shape| {
            Cell { mode, kind, shape, fill, secrecy }.sweep(Depth::Single).ok()
        });
        let failures: Vec<_> = sweeps.map(|sweep| sweep.failures).collect();
        assert_eq!(failures, vec![vec![]; boards], "{mode}");
    }
}

/// Two sectors of the secondary slot do not fit into the scratch area, one and a half would.
#[test]
fn chunks_end_where_sectors_of_both_slots_do_beside_a_status_area() {
    static SHAPE: Shape = Shape {
        name: "16 × 256 B against 4 × 1 KiB, 1.5 KiB of scratch",
        slots: [&[(16, 256)], &[(4, 1024)]],
        spare: false,
        write_size: [8; 2],
        erased: [0xff; 2],
        max_align: 8,
        max_sectors: 16,
        logical: None,
        two_devices: false,
        offset: [0; 2],
        scratch: 1536,
        is_small: false,
    };
    let (mode, kind, secrecy) = (UpgradeMode::StatusPartition, FlashKind::Nor, Secrecy::Plain);
    let cell = Cell { mode, kind, shape: &SHAPE, fill: Fill::Full, secrecy };
    let sweep = cell.sweep(Depth::Single).unwrap_or_else(|why| panic!("{cell}: {why}"));
    assert_eq!(sweep.failures, []);
}

/// Cells that read differently from time to time, and words that cannot be read, included.
#[test]
fn swaps_with_a_status_area_survive_every_cut() {
    let mode = UpgradeMode::StatusPartition;
    let mut cuts = 0;
    for (kind, shape, fill, secrecy) in [
        (FlashKind::EccWords, 0, Fill::Shrinking, Secrecy::Encrypted),
        (FlashKind::SelfErasingRows, 28, Fill::Shrinking, Secrecy::Plain),
    ] {
        let cell = Cell { mode, kind, shape: &SHAPES[shape], fill, secrecy };
        let sweep = cell.sweep(Depth::Single).unwrap_or_else(|why| panic!("{cell}: {why}"));
        assert_eq!(sweep.failures, [], "{cell}");
        cuts += sweep.cuts;
    }
    println!("status-partition: {cuts} cuts");
}

/// What the page says is proved over boards that can be played, and there are such boards.
#[test]
fn what_board_files_accept_is_played() {
    let (mut played, mut refused, mut unplayable) = (0, 0, Vec::new());
    for cell in cells() {
        let Ok(board) = cell.board() else {
            refused += 1;
            continue;
        };
        match cell.stories(&board) {
            Err(Unplayed::Unplayable(why)) => unplayable.push(why.to_string()),
            _ => played += 1,
        }
    }
    unplayable.sort();
    unplayable.dedup();
    println!("boards: {played} played, {refused} refused; not played: {}", unplayable.join("; "));
    assert!(played > 1000, "{played}");
}

#[test]
fn the_pages_made_from_the_code_are_current() {
    for (path, page) in [
        ("docs/modes-and-flash-kinds.md", modes_and_kinds()),
        ("docs/evidence/flash-operations.md", flash_operations()),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        let found = std::fs::read_to_string(file).unwrap_or_default();
        assert!(found == page, "{path} is out of date: run `cargo xtask tables`");
    }
}
