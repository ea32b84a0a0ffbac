//! Generated boards: each is refused, or everything it says about itself holds together.

use proptest::prelude::*;
use updraft_board::{Board, LoadError, Role};
use updraft_image::UpgradeMode;

/// Checks every fact of a board against its geometry, and against the kinds of its flash.
fn holds_together(board: &Board) {
    for (index, area) in board.areas().iter().enumerate() {
        let device = board.device(area);
        assert!(area.end() <= device.size());
        let sectors = board.sectors(area);
        let total: u64 = sectors.iter().map(|r| u64::from(r.count) * u64::from(r.size)).sum();
        assert_eq!(total, u64::from(area.size), "an area is whole sectors");
        for other in &board.areas()[..index] {
            assert_ne!(area.id, other.id);
            let apart = area.end() <= other.offset || other.end() <= area.offset;
            assert!(area.device != other.device || apart, "areas overlap");
        }
    }
    for image in 0..board.images() {
        let primary = board.slot(image, Role::Primary).expect("every image has a primary slot");
        let trailer = board.trailer(primary).expect("every slot has a trailer");
        assert!(trailer.size() <= primary.size);
        assert!(trailer.status() <= trailer.swap_size());
        assert!(trailer.magic() + 16 == primary.size);
        let capacity = board.capacity(image);
        let device = board.device(primary);
        if device.kind().writes_replace() {
            assert!(capacity.max_image.is_multiple_of(device.write_size), "{}", capacity.working);
        }
        assert!(capacity.max_image < primary.size, "{}", capacity.working);
        assert!(capacity.max_image > board.image_defaults().header_size);
        if board.mode().swaps() {
            assert!(capacity.max_image <= trailer.status(), "{}", capacity.working);
        } else {
            assert!(capacity.max_image <= trailer.swap_info().max(trailer.status()));
        }
        if let Some(secondary) = board.slot(image, Role::Secondary) {
            let trailer = board.trailer(secondary).expect("every slot has a trailer");
            assert!(trailer.swap_info() < secondary.size);
        }
        if let Some(cost) = board.upgrade_cost(image, capacity.max_image) {
            assert!(cost.erases > 0 && cost.written >= u64::from(capacity.max_image));
        }
        let signing = board.signing(image).expect("every image can be signed");
        assert_eq!(signing.max_image, board.rules(image).max_size);
    }
    let again = Board::parse(&board.to_toml(), "again.toml").expect("a board can be read again");
    assert_eq!(again, *board);
}

/// Mostly what is sensible, now and then anything.
fn skewed(good: impl Strategy<Value = u32> + 'static) -> BoxedStrategy<u32> {
    prop_oneof![60 => good, 1 => any::<u32>(), 1 => Just(0)].boxed()
}

fn power(range: std::ops::Range<u32>) -> impl Strategy<Value = u32> {
    range.prop_map(|exponent| 1 << exponent)
}

fn seldom<T: Clone + std::fmt::Debug + 'static>(often: T, seldom: T) -> BoxedStrategy<T> {
    prop_oneof![12 => Just(often), 1 => Just(seldom)].boxed()
}

prop_compose! {
    /// A device whose sectors are mostly `sector` bytes.
    fn device(sector: u32)(
        write in skewed(power(0..5)),
        kind in prop::sample::select(vec![
            "nor", "nor", "nor", "nor-limited", "ecc-words", "self-erasing-rows",
        ]),
        word in power(0..4),
        word_writes in 0u32..4,
        base in seldom("base = 0\n", ""),
        erased in prop_oneof![20 => Just(0xff), 10 => Just(0), 1 => Just(0x55)],
        first in prop_oneof![8 => Just(None), 1 => power(8..16).prop_map(Some)],
        count in skewed(80u32..400),
    ) -> String {
        let other = first.map_or(String::new(), |size| format!("{{ size = {size}, count = 4 }}, "));
        let (write, more) = match kind {
            "self-erasing-rows" => (sector, String::new()),
            "nor-limited" => (write, format!("word = {word}\nword_writes = {word_writes}\n")),
            _ => (write, String::new()),
        };
        format!(
            "{base}kind = '{kind}'\n{more}write_size = {write}\nerased = {erased}\n\
             sectors = [{other}{{ size = {sector}, count = {count} }}]\n"
        )
    }
}

prop_compose! {
    /// Areas one behind the other on two devices, in units of `grain` bytes.
    fn areas(grain: u32)(
        rows in prop::collection::vec(
            (prop::sample::select(vec![Role::Bootloader, Role::Factory, Role::Storage]),
             0usize..2, 1u32..20, 0u32..2),
            0..3,
        ),
        slot in 3u32..40,
        scratch in seldom(Some(2u32), None),
        status in 8u32..40,
        spare in prop::sample::select(vec![(0, 0), (0, 0), (0, 0), (1, 0), (0, 1), (2, 0)]),
        external in 0usize..2,
        images in seldom(1u8, 2),
        tail in seldom(0u32, 100),
    ) -> String {
        let mut table = String::new();
        let mut free = [0u32; 2];
        let mut add = |role: Role, image: u8, device: usize, size: u32, gap: u32| {
            let index = table.matches("[[area]]").count();
            let image = match role.is_per_image() {
                true => format!("image = {image}\n"),
                false => String::new(),
            };
            table += &format!(
                "[[area]]\nname = 'a{index}'\nrole = '{}'\n{image}flash = 'f{device}'\n\
                 offset = {}\nsize = {}\n",
                role.name(), (free[device] + gap) * grain, size * grain + tail,
            );
            free[device] += gap + size;
        };
        for image in 0..images {
            add(Role::Primary, image, 0, slot + spare.0, 0);
            add(Role::Secondary, image, external, slot + spare.1, 0);
        }
        if let Some(scratch) = scratch {
            add(Role::Scratch, 0, 0, scratch, 0);
        }
        add(Role::Status, 0, 0, status, 0);
        for (role, device, size, gap) in rows {
            add(role, 0, device, size, gap);
        }
        table
    }
}

prop_compose! {
    fn board_text()(sector in power(9..15), factor in seldom(1, 2))(
        first in device(sector),
        second in device(sector),
        areas in areas(sector * factor),
        mode in prop::sample::select(UpgradeMode::ALL.to_vec()),
        max_sectors in skewed(40u32..200),
        max_align in prop::sample::select(vec![8, 16, 32, 32, 16, 4]),
        encryption in seldom("", "encryption = { wrap = 'ecies-p256' }\n"),
        logical in prop_oneof![8 => Just(None), 1 => power(9..16).prop_map(Some)],
        header in skewed(power(6..11)),
        vectors in power(2..8),
    ) -> String {
        let logical = logical.map_or(String::new(), |size| format!("logical_sector = {size}\n"));
        format!(
            "name = 'generated'\ndescription = ''\n\
             [[core]]\nname = 'app'\narch = 'x'\ntarget = 'x'\nmhz = 1\nvector_align = {vectors}\n\
             [[ram]]\nbase = 0x2000_0000\nsize = '64K'\n\
             [[flash]]\nname = 'f0'\n{first}[[flash]]\nname = 'f1'\n{second}{areas}\
             [boot]\nmode = '{mode}'\nmax_sectors = {max_sectors}\nmax_align = {max_align}\n\
             {logical}{encryption}ram_load = {{ base = 0x2000_0000, size = '64K' }}\n\
             [image]\nheader_size = {header}\n",
        )
    }
}

fn loads_or_is_refused(text: &str) -> Option<Board> {
    match Board::parse(text, "generated.toml") {
        Ok(board) => {
            holds_together(&board);
            Some(board)
        }
        Err(LoadError::Refused { problems, .. }) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!((1..=text.lines().count().max(1)).contains(&problem.line), "{problem}");
                assert!(!problem.message.is_empty());
            }
            None
        }
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn generated_boards_are_refused_or_hold_together(text in board_text()) {
        loads_or_is_refused(&text);
    }

    #[test]
    fn damaged_files_are_refused_or_hold_together(
        name in prop::sample::select(updraft_board::built_in().collect::<Vec<_>>()),
        at in any::<prop::sample::Index>(),
        len in 0usize..12,
        insert in "[0-9a-z=\"\\[\\]{}. \n#-]{0,6}",
    ) {
        let mut text = Board::load(name).unwrap().to_toml();
        let at = at.index(text.len());
        let end = (at + len).min(text.len());
        text.replace_range(at..end, &insert);
        loads_or_is_refused(&text);
    }
}

#[test]
fn a_file_that_ends_too_early_is_refused_at_its_last_line() {
    let text = "name = \"x\"\ndescription = \"\"\"y\n";
    loads_or_is_refused(text);
}

/// The generator is of no use if next to nothing it makes loads.
#[test]
fn enough_generated_boards_load() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let boards: Vec<Board> = (0..2000)
        .filter_map(|_| loads_or_is_refused(&board_text().new_tree(&mut runner).unwrap().current()))
        .collect();
    let modes =
        UpgradeMode::ALL.iter().filter(|mode| boards.iter().any(|b| b.mode() == **mode)).count();
    println!("{} of 2000 boards load, in {modes} modes", boards.len());
    assert!(boards.len() >= 100, "only {} of 2000 load", boards.len());
    assert_eq!(modes, UpgradeMode::ALL.len());
}
