//! Which upgrade mode is safe on which kind of flash: the table of the crate's documentation, cell
//! by cell, and the arithmetic of each refusal.

use updraft_board::{Board, LoadError};
use updraft_image::UpgradeMode;

use Cell::{Rows, Safe};

/// The flash of a board, without its sectors.
const NOR: &str = "kind = 'nor'\nwrite_size = 4";
const LIMITED: &str = "kind = 'nor-limited'\nword = 4\nword_writes = 2\nwrite_size = 4";
const ECC: &str = "kind = 'ecc-words'\nwrite_size = 8";
const ROWS: &str = "kind = 'self-erasing-rows'\nerased = 0\nwrite_size = 512";

/// A board on one device, with every area that a mode may ask for.
fn text(mode: &str, flash: &str, boot: &str, image: &str) -> String {
    let sector = if flash.contains("self-erasing") {
        let write = flash.rsplit("write_size = ").next().unwrap();
        write.lines().next().unwrap().parse().unwrap()
    } else {
        1024
    };
    let count = (1 << 20) / sector;
    let mut areas = String::new();
    for (name, offset, size) in [
        ("primary", 0, 64 << 10),
        ("secondary", 64 << 10, 64 << 10),
        ("scratch", 128 << 10, 4 << 10),
        ("status", 132 << 10, 32 << 10),
    ] {
        areas += &format!(
            "[[area]]\nname = '{name}'\nrole = '{name}'\nflash = 'f'\n\
             offset = {offset}\nsize = {size}\n"
        );
    }
    format!(
        "name = 'test'\ndescription = ''\n\
         [[core]]\nname = 'app'\narch = 'x'\ntarget = 'x'\nmhz = 1\n\
         [[ram]]\nbase = 0x2000_0000\nsize = '64K'\n\
         [[flash]]\nname = 'f'\nbase = 0\n{flash}\n\
         sectors = [{{ size = {sector}, count = {count} }}]\n{areas}\
         [boot]\nmode = '{mode}'\nmax_sectors = 128\n\
         ram_load = {{ base = 0x2000_0000, size = '64K' }}\n{boot}\n[image]\n{image}\n"
    )
}

fn load(mode: &str, flash: &str, boot: &str, image: &str) -> Result<Board, Vec<String>> {
    match Board::parse(&text(mode, flash, boot, image), "test.toml") {
        Ok(board) => Ok(board),
        Err(LoadError::Refused { problems, .. }) => {
            Err(problems.into_iter().map(|it| format!("{}: {}", it.key, it.message)).collect())
        }
        Err(error) => panic!("{error}"),
    }
}

fn refusals(mode: &str, flash: &str, boot: &str, image: &str) -> Vec<String> {
    match load(mode, flash, boot, image) {
        Ok(_) => panic!("{mode} loads on {flash:?} with {boot:?} and {image:?}"),
        Err(refusals) => refusals,
    }
}

/// A cell of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Safe,
    /// Refused: rows are wider than trailer fields are apart.
    Rows,
}

#[test]
fn every_mode_on_every_kind_loads_or_is_refused_as_the_table_says() {
    use UpgradeMode::*;
    let kinds = [("nor", NOR), ("nor-limited", LIMITED), ("ecc-words", ECC), ("rows", ROWS)];
    let table = [
        (SingleSlot, [Safe, Safe, Safe, Safe]),
        (SingleSlotRamLoad, [Safe, Safe, Safe, Safe]),
        (FirmwareLoader, [Safe, Safe, Safe, Safe]),
        (DirectXip, [Safe, Safe, Safe, Safe]),
        (RamLoad, [Safe, Safe, Safe, Safe]),
        (OverwriteOnly, [Safe, Safe, Safe, Safe]),
        (StatusPartition, [Safe, Safe, Safe, Safe]),
        (DirectXipRevert, [Safe, Safe, Safe, Rows]),
        (SwapScratch, [Safe, Safe, Safe, Rows]),
        (SwapMove, [Safe, Safe, Safe, Rows]),
        (SwapOffset, [Safe, Safe, Safe, Rows]),
    ];
    assert!(UpgradeMode::ALL.iter().all(|mode| table.iter().any(|(known, _)| known == mode)));
    for (mode, cells) in table {
        for ((kind, flash), cell) in kinds.into_iter().zip(cells) {
            match (load(mode.name(), flash, "", ""), cell) {
                (Ok(board), Safe) => assert!(board.capacity(0).max_image > 0),
                (Err(problems), Rows) => {
                    let message = format!("boot.mode: {mode} writes trailer fields one by one");
                    assert!(problems.iter().all(|problem| problem.starts_with(&message)));
                }
                (found, _) => panic!("{mode} on {kind}: {found:?}, not {cell:?}"),
            }
        }
    }
}

mod rows {
    use super::*;

    #[test]
    fn fields_that_share_a_row_are_counted() {
        let problems = refusals("swap-move", ROWS, "", "");
        assert_eq!(
            problems[0],
            "boot.mode: swap-move writes trailer fields one by one, 8 bytes apart, and relies on \
             those written before; \"primary\" lies on self-erasing rows of 512 bytes (flash \
             \"f\"), where writing one field replaces all 512 / 8 = 64 of its row, and a power cut \
             meanwhile takes them all: use overwrite-only or status-partition"
        );
        assert_eq!(problems.len(), 2, "{problems:#?}");
        assert_eq!(refusals("swap-scratch", ROWS, "", "").len(), 3, "the scratch area too");
    }

    #[test]
    fn rows_no_wider_than_a_field_are_as_good_as_words() {
        let narrow = ROWS.replace("512", "32");
        let many = "max_align = 32\nlogical_sector = 4096";
        load("swap-move", &narrow, many, "").unwrap();
        let problems = refusals("swap-move", &narrow, "max_align = 16\nlogical_sector = 4096", "");
        assert!(problems[0].contains("all 32 / 16 = 2 of its row"), "{problems:#?}");
    }

    #[test]
    fn images_end_before_the_rows_that_hold_trailer_fields() {
        let board = load("overwrite-only", ROWS, "", "").unwrap();
        let capacity = board.capacity(0);
        assert_eq!(capacity.max_image, 65536 - 512);
        assert_eq!(capacity.working, "slot 65536 − rows with trailer fields 512 = 65024");
    }

    #[test]
    fn signers_are_told_an_alignment_that_trailers_can_have() {
        let board = load("overwrite-only", ROWS, "", "").unwrap();
        let signing = board.signing(0).unwrap();
        assert_eq!((signing.align, signing.max_align, signing.erased), (8, 8, 0));
    }
}

mod words {
    use super::*;

    #[test]
    fn status_records_that_share_a_word_are_counted() {
        let bytes = LIMITED.replace("write_size = 4", "write_size = 1");
        assert_eq!(
            refusals("swap-move", &bytes, "", "")[0],
            "boot.mode: swap-move writes 4 status records into the 4-byte word at 0xfe50 of \
             \"primary\", each by itself: that makes 4 writes between two erases, and a word of \
             nor-limited flash \"f\" takes 2"
        );
        load("swap-move", &bytes.replace("word_writes = 2", "word_writes = 4"), "", "").unwrap();
        load("swap-move", &LIMITED.replace("write_size = 4", "write_size = 2"), "", "").unwrap();
        load("overwrite-only", &bytes, "", "").unwrap();
    }

    #[test]
    fn fields_that_share_a_word_are_counted() {
        let wide = LIMITED.replace("word = 4", "word = 16").replace("writes = 2", "writes = 1");
        assert_eq!(
            refusals("overwrite-only", &wide, "", "")[0],
            "boot.mode: overwrite-only writes swap_info and the image's end into the 16-byte word \
             at 0xffd0 of \"primary\", each by itself: that makes 2 writes between two erases, and \
             a word of nor-limited flash \"f\" takes 1"
        );
        load("overwrite-only", &wide, "max_align = 16", "").unwrap();
        let problems = refusals("swap-move", &wide.replace("word = 16", "word = 32"), "", "");
        assert!(problems[0].contains("8 status records"), "{}", problems[0]);
    }

    #[test]
    fn one_write_is_enough_where_nothing_shares_a_word() {
        let once = LIMITED.replace("writes = 2", "writes = 1");
        for mode in ["swap-move", "swap-offset", "swap-scratch", "direct-xip-revert"] {
            load(mode, &once, "", "").unwrap();
        }
    }

    #[test]
    fn padding_uses_up_the_words_that_a_trial_is_recorded_in() {
        let problems = refusals("direct-xip-revert", ECC, "", "pad = true");
        assert_eq!(
            problems[0],
            "boot.mode: direct-xip-revert writes the padding of the upload and copy_done into the \
             8-byte word at 0xffe0 of \"primary\", each by itself: that makes 2 writes between two \
             erases, and a word of ecc-words flash \"f\" takes 1"
        );
        load("direct-xip-revert", LIMITED, "", "pad = true").unwrap();
        load("direct-xip-revert", ECC, "", "").unwrap();
        // A swap clears the padded trailer before it writes to it.
        load("swap-move", ECC, "", "pad = true").unwrap();
    }

    #[test]
    fn what_the_original_writes_again_and_again_is_refused() {
        for mode in ["swap-move", "swap-offset"] {
            for flash in [LIMITED, ECC] {
                let problems = refusals(mode, flash, "strict = false", "");
                let [only] = &problems[..] else { panic!("{problems:#?}") };
                let message = format!("boot.mode: with `strict = false`, {mode} imitates");
                assert!(only.starts_with(&message), "{only}");
            }
            load(mode, NOR, "strict = false", "").unwrap();
        }
        assert_eq!(
            refusals("swap-move", ECC, "strict = false", ""),
            ["boot.mode: with `strict = false`, swap-move imitates the original, which while two \
              images are too large to be exchanged writes copy_done again at every boot: any \
              number of writes between two erases of \"primary\", and a word of ecc-words flash \
              \"f\" takes 1"]
        );
        load("overwrite-only", ECC, "strict = false", "").unwrap();
    }

    #[test]
    fn a_bootstrap_that_copies_the_trailer_area_is_refused_where_words_take_one_write() {
        let imitating = "strict = false\nbootstrap = true";
        let problems = refusals("swap-scratch", ECC, imitating, "");
        assert!(problems[0].contains("2 writes between two erases"), "{problems:#?}");
        load("swap-scratch", LIMITED, imitating, "").unwrap();
        load("swap-scratch", ECC, "strict = false", "").unwrap();
        load("swap-scratch", ECC, "bootstrap = true", "").unwrap();
    }
}

mod status_areas {
    use super::*;

    /// The layout that Infineon ships for 1792 KiB slots: 3584 rows per slot, a scratch area, and
    /// a status area of 0x6c00 bytes, which is exactly full.
    #[test]
    fn the_vendor_s_status_area_is_exactly_large_enough() {
        let area = |name: &str, offset: &str, size: u32| {
            format!(
                "[[area]]\nname = '{name}'\nrole = '{name}'\nflash = 'f'\noffset = {offset}\n\
                 size = {size}\n"
            )
        };
        let text = |status: u32| {
            let areas = [
                area("primary", "0", 0x1c_0000),
                area("secondary", "0x20_0000", 0x1c_0000),
                area("scratch", "0x40_0000", 0x8_0000),
                area("status", "0x50_0000", status),
            ];
            format!(
                "name = 'x'\ndescription = ''\n\
                 [[core]]\nname = 'app'\narch = 'x'\ntarget = 'x'\nmhz = 1\n\
                 [[flash]]\nname = 'f'\nbase = 0\n{ROWS}\nsectors = [{{ size = 512, count = \
                 16384 }}]\n{}[boot]\nmode = 'status-partition'\nmax_sectors = 3584\n",
                areas.concat()
            )
        };
        Board::parse(&text(0x6c00), "x.toml").unwrap_or_else(|error| panic!("{error}"));
        let error = Board::parse(&text(0x6a00), "x.toml").unwrap_err().to_string();
        assert!(
            error.ends_with(
                "area[3].size: \"status\" has 53 rows of 512 bytes, its tables take 54: 3 of them \
                 × 2 copies × (8 for 3584 sector states + 1 for the trailer fields, 500 bytes of \
                 payload each)"
            ),
            "{error}"
        );
    }

    #[test]
    fn a_mode_without_its_area_is_refused() {
        for missing in ["status", "scratch"] {
            let text = text("status-partition", ROWS, "", "");
            let text = text.replace(&format!("role = '{missing}'"), "role = 'storage'");
            let error = Board::parse(&text, "x.toml").unwrap_err().to_string();
            let why = format!("status-partition needs a {missing} area, there is none");
            assert!(error.ends_with(&why), "{error}");
        }
    }

    #[test]
    fn keys_that_the_rows_have_no_room_for() {
        let flash = "kind = 'nor'\nwrite_size = 4\n";
        let keys = "encryption = { wrap = 'rsa-2048', save_wrapped = true }";
        let text = text("status-partition", flash, keys, "");
        let text = text.replace(
            "sectors = [{ size = 1024, count = 1024 }]",
            "sectors = [{ size = 1024, count = 132 }, { size = 256, count = 3568 }]",
        );
        let error = Board::parse(&text, "x.toml").unwrap_err().to_string();
        assert!(
            error.ends_with(
                "two keys take 512 bytes in \"status\", beside 23 of other fields, and rows of 256 \
                 bytes have room for 244"
            ),
            "{error}"
        );
    }

    #[test]
    fn images_stay_clear_of_the_sectors_with_trailer_fields() {
        let board = load("status-partition", ROWS, "", "").unwrap();
        let working = "slot 65536 − 512 in the trailer's sectors = 65024";
        assert_eq!(board.capacity(0).working, working);
    }

    #[test]
    fn rows_of_a_status_area_are_sectors_of_one_size() {
        let flash = "kind = 'nor'\nwrite_size = 4\n";
        let text = text("status-partition", flash, "", "");
        let text = text.replace(
            "sectors = [{ size = 1024, count = 1024 }]",
            "sectors = [{ size = 1024, count = 140 }, { size = 2048, count = 442 }]",
        );
        let error = Board::parse(&text, "x.toml").unwrap_err().to_string();
        assert!(error.contains("a row of \"status\" is one sector"), "{error}");
    }
}
