//! Every reason why a board file is refused, with the arithmetic that it shows.

use updraft_board::{Board, LoadError, Problem};

/// The file with `changes` (from, to) made to it.
fn text(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(BOARD.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from:?} is not in the file exactly once");
        text.replace(from, to)
    })
}

/// What is wrong with the changed board, as `key: message`. Every problem has to stand in the
/// line of its key, or in that of the table around it if the file does not have the key.
fn refusals(changes: &[(&str, &str)]) -> Vec<String> {
    let text = text(changes);
    let problems = match Board::parse(&text, "test.toml") {
        Err(LoadError::Refused { problems, .. }) => problems,
        other => panic!("{other:?}"),
    };
    for problem in &problems {
        let line = text.lines().nth(problem.line.checked_sub(1).expect("no line")).unwrap();
        let leaf = problem.key.rsplit('.').next().unwrap();
        let leaf = leaf.split('[').next().unwrap();
        assert!(line.starts_with(leaf) || line.starts_with('['), "{problem}: {line}");
    }
    let rest = |problem: Problem| format!("{}: {}", problem.key, problem.message);
    problems.into_iter().map(rest).collect()
}

/// The only problem of the changed board, as `key: message`.
fn refusal(changes: &[(&str, &str)]) -> String {
    let refusals = refusals(changes);
    let [only] = &refusals[..] else { panic!("{refusals:#?}") };
    only.clone()
}

/// The changed board.
fn load(changes: &[(&str, &str)]) -> Board {
    Board::parse(&text(changes), "test.toml").unwrap_or_else(|error| panic!("{error}"))
}

const BOARD: &str = r#"name = "test"
description = "A board to change"
vendor = "vendor.example"
class = "test"

[[core]]
name = "app"
arch = "cortex-m4f"
target = "thumbv7em-none-eabihf"
mhz = 64
vector_align = 0x100

[[ram]]
base = 0x20000000
size = "64K"

[[flash]]
name = "internal"
base = 0x08000000
write_size = 8
sectors = [{ size = "4K", count = 128 }]

[[flash]]
name = "external"
write_size = 1
sectors = [{ size = "4K", count = 128 }]

[[area]]
name = "loader"
role = "bootloader"
flash = "internal"
offset = 0
size = "48K"

[[area]]
name = "first"
role = "primary"
flash = "internal"
offset = "48K"
size = "128K"

[[area]]
name = "second"
role = "secondary"
flash = "external"
offset = 0x0
size = 0x20000

[[area]]
name = "exchange"
role = "scratch"
flash = "internal"
offset = "176K"
size = "8K"

[boot]
mode = "swap-move"
max_sectors = 64

[image]
header_size = 0x200
"#;

#[test]
fn the_unchanged_board_loads() {
    let board = load(&[]);
    assert_eq!(board.capacity(0).max_image, 30 * 4096);
}

mod text {
    use super::*;

    #[test]
    fn syntax_errors_give_their_line() {
        let error = Board::parse("name = \"a\"\ncore = [", "a.toml").unwrap_err().to_string();
        assert!(error.starts_with("a.toml:2: "), "{error}");
        let error = Board::parse("name = 1", "a.toml").unwrap_err().to_string();
        assert!(error.starts_with("a.toml:1: name: invalid type: integer `1`"), "{error}");
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let problem = refusal(&[("offset = \"48K\"", "ofset = \"48K\"")]);
        assert!(problem.starts_with("area[1].ofset: unknown field `ofset`"), "{problem}");
    }

    #[test]
    fn missing_keys_are_named() {
        let problem = refusal(&[("size = \"48K\"\n", "")]);
        assert!(problem.contains("missing field `size`"), "{problem}");
        assert!(problem.starts_with("area[0]"), "{problem}");
    }

    #[test]
    fn sizes_that_are_none_are_refused() {
        let problem = refusal(&[("size = \"48K\"", "size = \"48Q\"")]);
        assert_eq!(
            problem,
            "area[0].size: invalid value: string \"48Q\", expected a size below 4 GiB: 4096, \
             0x1000, \"4K\" or \"0x1000\""
        );
        let problem = refusal(&[("size = \"48K\"", "size = 0x1_0000_0000")]);
        assert!(problem.starts_with("area[0].size: invalid value: integer"), "{problem}");
    }

    #[test]
    fn unknown_modes_and_kinds_list_the_known_ones() {
        assert_eq!(
            refusal(&[("swap-move", "swap-mov")]),
            "boot.mode: \"swap-mov\" is no upgrade mode; known: single-slot, swap-scratch, \
             overwrite-only, swap-move, direct-xip, direct-xip-revert, ram-load, firmware-loader, \
             single-slot-ram-load, swap-offset, status-partition"
        );
        let problem = refusal(&[("base = 0x08000000", "base = 0x08000000\nkind = \"nand\"")]);
        assert!(problem.starts_with("flash[0].kind: \"nand\" is no flash kind"), "{problem}");
    }

    #[test]
    fn errors_begin_with_the_file_name() {
        let text = BOARD.replace("name = \"test\"", "name = \"Test\"");
        assert_eq!(
            Board::parse(&text, "boards/test.toml").unwrap_err().to_string(),
            "boards/test.toml:1: name: \"Test\" is no board name: use a-z, 0-9, \"-\" and \"_\""
        );
    }
}

mod basics {
    use super::*;

    #[test]
    fn a_class_needs_a_vendor() {
        assert_eq!(
            refusal(&[("vendor = \"vendor.example\"\n", "")]),
            "class: the class `test` is a name, and names count within a vendor: none was given"
        );
        assert_eq!(
            refusal(&[("vendor.example", "a\\u001b[2Jb")]),
            "vendor: `a\\u{1b}[2Jb` is neither a UUID nor a name of printable characters"
        );
    }

    #[test]
    fn ram_past_the_address_space() {
        assert_eq!(
            refusal(&[("base = 0x20000000", "base = 0xffff_ffff")]),
            "ram[0]: 0xffffffff + 0x10000 bytes is no region below 4 GiB"
        );
    }

    #[test]
    fn vector_alignment_that_no_chip_has() {
        assert_eq!(
            refusal(&[("vector_align = 0x100", "vector_align = 100")]),
            "core[0].vector_align: 0x64 is no power of two from 4 on"
        );
    }
}

mod devices {
    use super::*;

    #[test]
    fn erased_values_other_than_all_ones_or_zeros() {
        assert_eq!(
            refusal(&[("base = 0x08000000", "base = 0x08000000\nerased = 0xf0")]),
            "flash[0].erased: flash erases to 0xff or 0x00, not 0xf0"
        );
    }

    #[test]
    fn write_sizes_that_are_no_power_of_two() {
        assert_eq!(
            refusal(&[(
                "write_size = 8\nsectors = [{ size = \"4K\"",
                "write_size = 12\nsectors = [{ size = \"12K\""
            )]),
            "flash[0].write_size: 12 is no power of two"
        );
    }

    #[test]
    fn sectors_that_no_whole_writes_fill() {
        assert_eq!(
            refusal(&[("8\nsectors = [{ size = \"4K\"", "8\nsectors = [{ size = 4100")]),
            "flash[0].sectors[0]: a sector of 4100 bytes is no multiple of the 8-byte write \
             size: 4 over"
        );
        assert_eq!(
            refusal(&[("8\nsectors = [{ size = \"4K\"", "8\nsectors = [{ size = 0")]),
            "flash[0].sectors[0]: 128 sectors of 0 bytes are nothing"
        );
    }

    #[test]
    fn devices_past_the_address_space() {
        assert_eq!(
            refusal(&[("base = 0x08000000", "base = 0xffff_0000")]),
            "flash[0].sectors: flash \"internal\" of 0x80000 bytes ends at 0x100070000, past \
             4 GiB"
        );
    }

    #[test]
    fn jedec_ids_that_are_none() {
        assert_eq!(
            refusal(&[("write_size = 1\n", "write_size = 1\njedec = [\"ef40\"]\n")]),
            "flash[1].jedec: \"ef40\" is no JEDEC id of six hex digits"
        );
    }

    #[test]
    fn names_given_twice() {
        assert_eq!(
            refusal(&[
                ("name = \"external\"", "name = \"internal\""),
                ("\"external\"\noffset", "\"internal\"\noffset")
            ]),
            "flash[1].name: a second flash device \"internal\""
        );
    }
}

mod areas {
    use super::*;

    #[test]
    fn areas_that_overlap() {
        assert_eq!(
            refusal(&[("offset = \"48K\"", "offset = \"44K\"")]),
            "area[1].offset: \"first\" (0xb000 to 0x2b000) and \"loader\" (0x0 to 0xc000) \
             overlap by 0x1000 bytes on flash \"internal\""
        );
    }

    #[test]
    fn areas_past_the_end_of_their_device() {
        assert_eq!(
            refusal(&[("size = \"8K\"", "size = \"512K\"")]),
            "area[3].size: \"exchange\" ends at 0xac000 (0x2c000 + 0x80000), 0x2c000 bytes \
             past the end of flash \"internal\" at 0x80000"
        );
    }

    #[test]
    fn areas_that_share_a_sector() {
        assert_eq!(
            refusal(&[
                ("size = \"48K\"", "size = 0xbe00"),
                ("offset = \"48K\"", "offset = 0xbf00")
            ]),
            "area[1].offset: \"first\" begins at 0xbf00, inside the 4096-byte sector from 0xb000 \
             to 0xc000 that \"loader\" has a part of: erasing the one would erase the other; move \
             \"first\" to 0xc000, or end \"loader\" at 0xb000"
        );
    }

    #[test]
    fn areas_of_no_whole_writes() {
        assert_eq!(
            refusal(&[("size = \"48K\"", "size = 0xbe04")]),
            "area[0].size: \"loader\" ends at 0xbe04, 0x4 bytes into what is written at once: \
             flash \"internal\" writes 8"
        );
    }

    /// Its part of the first sector is a sector of another size.
    #[test]
    fn moved_slots_that_begin_inside_a_sector() {
        let offset =
            [("size = \"48K\"", "size = \"44K\""), ("offset = \"48K\"", "offset = 0xb200")];
        assert_eq!(
            refusal(&offset),
            "area[2].size: swap-move needs sectors of one size in \"first\" and \"second\": 1 × \
             3584 + 31 × 4096 + 1 × 512 against 32 × 4096; \"first\" begins 0x200 bytes into a \
             sector: move it to 0xc000"
        );
    }

    #[test]
    fn empty_areas() {
        assert_eq!(
            refusal(&[("size = \"8K\"", "size = 0")]),
            "area[3].size: \"exchange\" is empty"
        );
    }

    #[test]
    fn areas_on_a_device_that_is_not_there() {
        assert_eq!(
            refusal(&[("flash = \"external\"", "flash = \"extern\"")]),
            "area[2].flash: there is no flash \"extern\"; there are: internal, external"
        );
    }

    #[test]
    fn names_and_roles_given_twice() {
        assert_eq!(
            refusal(&[("name = \"second\"", "name = \"first\"")]),
            "area[2].name: a second area \"first\""
        );
        assert_eq!(
            refusal(&[("role = \"scratch\"", "role = \"primary\"")]),
            "area[3].role: \"exchange\" is a second primary area beside \"first\""
        );
    }

    #[test]
    fn image_numbers_where_they_make_no_sense() {
        assert_eq!(
            refusal(&[("role = \"scratch\"", "role = \"scratch\"\nimage = 1")]),
            "area[3].image: a scratch area belongs to no image"
        );
        assert_eq!(
            refusal(&[("role = \"scratch\"", "role = \"primary\"\nimage = 7")]),
            "area[3].image: image 7 is above 6"
        );
    }
}

mod boot {
    use super::*;

    #[test]
    fn alignments_that_the_trailer_has_no_form_for() {
        assert_eq!(
            refusal(&[("max_sectors = 64", "max_align = 24")]),
            "boot.max_align: 24 is none of 8, 16, 32"
        );
    }

    #[test]
    fn no_sectors_or_more_than_a_swap_can_count() {
        for (sectors, shown) in [("0", "0"), ("0x10000", "65536")] {
            assert_eq!(
                refusal(&[("max_sectors = 64", &format!("max_sectors = {sectors}"))]),
                format!("boot.max_sectors: {shown} is not in 1..=65535")
            );
        }
    }

    #[test]
    fn signatures_that_do_not_go_with_the_hash() {
        assert_eq!(
            refusal(&[("max_sectors = 64", "signature = \"ecdsa-p256\"\nhash = \"sha512\"")]),
            "boot.hash: ecdsa-p256 signs hashes of sha256, not sha512"
        );
        assert_eq!(
            refusal(&[("max_sectors = 64", "signature = \"none\"\npure = true")]),
            "boot.pure: without a signature nothing covers the image itself"
        );
        assert_eq!(
            refusal(&[("max_sectors = 64", "signature = \"ecdsa-p256\"\npure = true")]),
            "boot.pure: ecdsa-p256 cannot sign the image itself"
        );
        assert_eq!(
            refusal(&[("max_sectors = 64", "signature = \"ed25519\"\nhash = \"sha384\"")]),
            "boot.hash: ed25519 signs hashes of sha256 or sha512, not sha384"
        );
        assert_eq!(
            refusal(&[("max_sectors = 64", "pure = true\nhash = \"sha256\"")]),
            "boot.hash: ed25519 signs the image itself, with sha512, not sha256"
        );
    }

    #[test]
    fn encrypted_images_that_nothing_would_decrypt() {
        let encrypted = "max_sectors = 64\nencryption = { wrap = \"ecies-p256\" }";
        load(&[("max_sectors = 64", encrypted)]);
        let mapped =
            ("[[flash]]\nname = \"external\"", "[[flash]]\nbase = 0x90000000\nname = \"external\"");
        for (mode, place) in [
            ("direct-xip", "where they were uploaded"),
            ("direct-xip-revert", "where they were uploaded"),
            ("single-slot", "where they were programmed"),
            ("firmware-loader", "where they were programmed"),
        ] {
            assert_eq!(
                refusal(&[("swap-move", mode), ("max_sectors = 64", encrypted), mapped]),
                format!(
                    "boot.encryption: {mode} runs images {place}: nothing decrypts them on the way"
                )
            );
        }
    }

    #[test]
    fn compressed_images_without_a_place_to_decompress_them_to() {
        let compressed = "max_sectors = 64\ncompression = true";
        let expected = "boot.compression: swap-move keeps images as they are: only overwrite-only \
                        decompresses";
        assert_eq!(refusal(&[("max_sectors = 64", compressed)]), expected);
    }

    #[test]
    fn ram_load_without_a_region_in_ram() {
        assert_eq!(
            refusal(&[("swap-move", "ram-load")]),
            "boot.ram_load: ram-load needs `ram_load = { base, size }`"
        );
        assert_eq!(
            refusal(&[(
                "mode = \"swap-move\"",
                "mode = \"ram-load\"\nram_load = { base = 0x20008000, size = \"64K\" }"
            )]),
            "boot.ram_load: 0x20008000 to 0x20018000 lies in no [[ram]] region"
        );
    }
}

mod slots {
    use super::*;

    #[test]
    fn writes_wider_than_the_trailer_fields_are_apart() {
        assert_eq!(
            refusal(&[("write_size = 1\n", "write_size = 16\n")]),
            "boot.max_align: \"second\" is written 16 bytes at a time, more than the 8 that \
             trailer fields are apart"
        );
    }

    #[test]
    fn more_sectors_than_the_swap_status_has_records_for() {
        let problems = refusals(&[("max_sectors = 64", "max_sectors = 31")]);
        assert_eq!(
            problems[0],
            "boot.max_sectors: \"first\" has 32 sectors (32 × 4096), 1 more than the 31 that \
             the swap status has records for"
        );
        assert_eq!(problems.len(), 2, "one for each slot");
    }

    #[test]
    fn slots_too_small_for_their_trailer() {
        let problems = refusals(&[("max_sectors = 64", "max_sectors = 6000")]);
        assert_eq!(
            problems[0],
            "area[1].size: the trailer of \"first\" takes 6000 sectors × 3 records × 8 bytes \
             + 48 = 144048 bytes, the area has 131072"
        );
    }

    #[test]
    fn modes_without_the_areas_they_need() {
        assert_eq!(
            refusal(&[("role = \"secondary\"", "role = \"storage\"")]),
            "area: swap-move needs a secondary area for image 0, there is none"
        );
        assert_eq!(
            refusal(&[
                ("swap-move", "swap-scratch"),
                ("role = \"scratch\"", "role = \"reserved\"")
            ]),
            "area: swap-scratch needs a scratch area, there is none"
        );
    }

    #[test]
    fn images_that_leave_a_number_out() {
        let problems = refusals(&[("role = \"primary\"", "role = \"primary\"\nimage = 1")]);
        assert_eq!(
            problems,
            [
                "area: swap-move needs a primary area for image 0, there is none",
                "area: swap-move needs a secondary area for image 1, there is none"
            ]
        );
    }

    #[test]
    fn code_on_flash_that_is_not_mapped() {
        assert_eq!(
            refusal(&[("swap-move", "direct-xip")]),
            "area[2].flash: direct-xip runs code from \"second\", but flash \"external\" is \
             not mapped: it has no `base`"
        );
    }

    #[test]
    fn swap_move_over_sectors_of_different_size() {
        assert_eq!(
            refusal(&[(
                "1\nsectors = [{ size = \"4K\", count = 128 }]",
                "1\nsectors = [{ size = \"8K\", count = 64 }]"
            )]),
            "area[2].size: swap-move needs sectors of one size in \"first\" and \"second\": \
             32 × 4096 against 16 × 8192"
        );
    }

    #[test]
    fn swap_move_with_a_primary_two_sectors_larger() {
        assert_eq!(
            refusal(&[("size = 0x20000", "size = 0x1e000")]),
            "area[2].size: swap-move needs as many sectors in both slots, or one for the spare \
             sector more: primary = secondary (+ 1); \"first\" and \"second\" have 32 and 30"
        );
        load(&[("size = 0x20000", "size = 0x1f000")]);
    }

    #[test]
    fn swap_offset_with_a_larger_primary() {
        let problem =
            refusal(&[("swap-move", "swap-offset"), ("size = 0x20000", "size = 0x1f000")]);
        assert!(problem.contains("secondary = primary (+ 1)"), "{problem}");
        let larger = [("swap-move", "swap-offset"), ("size = 0x20000", "size = 0x21000")];
        load(&larger);
    }

    #[test]
    fn overwriting_a_slot_of_another_size() {
        for mode in ["overwrite-only", "swap-scratch"] {
            assert_eq!(
                refusal(&[("swap-move", mode), ("size = 0x20000", "size = 0x1f000")]),
                format!(
                    "area[2].size: {mode} needs slots of one size; \"first\" and \"second\" \
                     have 0x20000 and 0x1f000 bytes, 0x1000 apart"
                )
            );
        }
    }

    #[test]
    fn sectors_that_do_not_meet() {
        assert_eq!(
            refusal(&[
                ("swap-move", "overwrite-only"),
                (
                    "1\nsectors = [{ size = \"4K\", count = 128 }]",
                    "1\nsectors = [{ size = \"24K\", count = 1 }, { size = \"8K\", count = 13 }]"
                ),
                (
                    "8\nsectors = [{ size = \"4K\", count = 128 }]",
                    "8\nsectors = [{ size = \"16K\", count = 32 }]"
                ),
                ("\"176K\"\nsize = \"8K\"", "\"176K\"\nsize = \"16K\""),
            ]),
            "area[2].size: the sectors of \"first\" and \"second\" do not meet: at 0x0, 2 \
             sectors of the one and 2 of the other make up 0x8000 bytes, one of them has to be 1"
        );
    }

    #[test]
    fn scratch_smaller_than_a_chunk() {
        assert_eq!(
            refusal(&[
                ("swap-move", "swap-scratch"),
                (
                    "1\nsectors = [{ size = \"4K\", count = 128 }]",
                    "1\nsectors = [{ size = \"16K\", count = 32 }]"
                ),
            ]),
            "area[3].size: \"first\" and \"second\" are exchanged 0x4000 bytes at a time at \
             0x0, \"exchange\" has 0x2000: 0x2000 too few"
        );
    }

    #[test]
    fn scratch_with_room_for_a_part_of_a_chunk() {
        assert_eq!(
            refusal(&[
                ("swap-move", "swap-scratch"),
                (
                    "1\nsectors = [{ size = \"4K\", count = 128 }]",
                    "1\nsectors = [{ size = \"8K\", count = 64 }]"
                ),
                ("\"176K\"\nsize = \"8K\"", "\"176K\"\nsize = \"12K\""),
            ]),
            "area[3].size: \"exchange\" has room for some of the 2 sectors of 0x2000 bytes in all \
             that \"first\" and \"second\" have at 0x0, next to what comes before: they can only \
             be exchanged together"
        );
    }

    #[test]
    fn scratch_with_much_narrower_writes_than_the_primary_slot() {
        assert_eq!(
            refusal(&[
                ("swap-move", "swap-scratch"),
                ("\"internal\"\noffset = \"176K\"", "\"external\"\noffset = \"176K\""),
            ]),
            "area[3].flash: status records would be 8 bytes apart as on \"first\", but \
             \"exchange\" has room for records of 1 bytes"
        );
    }

    #[test]
    fn scratch_with_wider_writes_than_the_primary_slot() {
        assert_eq!(
            refusal(&[
                ("swap-move", "swap-scratch"),
                ("write_size = 1\n", "write_size = 8\n"),
                (
                    "write_size = 8\nsectors = [{ size = \"4K\", count = 128 }]\n\n[[flash]]",
                    "write_size = 4\nsectors = [{ size = \"4K\", count = 128 }]\n\n[[flash]]"
                ),
                ("\"internal\"\noffset = \"176K\"", "\"external\"\noffset = \"176K\""),
            ]),
            "area[3].flash: status records would be 8 bytes apart as on \"exchange\", but \
             \"first\" has room for records of 4 bytes"
        );
    }
}

mod image {
    use super::*;

    #[test]
    fn headers_smaller_than_the_header() {
        let problems = refusals(&[("header_size = 0x200", "header_size = 16")]);
        assert_eq!(problems[0], "image.header_size: 16 bytes are 16 too few for the header of 32");
    }

    #[test]
    fn headers_that_put_the_vector_table_off_its_alignment() {
        assert_eq!(
            refusal(&[("header_size = 0x200", "header_size = 0x20")]),
            "image.header_size: the body of image 0 begins at 0x800c020 (0x800c000 + 0x20), \
             0x20 past a multiple of the 0x100 that its vector table needs"
        );
    }

    #[test]
    fn headers_that_no_word_follows() {
        let problems = refusals(&[("header_size = 0x200", "header_size = 0x201")]);
        assert_eq!(problems[0], "image.header_size: 513 is no multiple of 4: 1 over");
    }

    #[test]
    fn headers_too_large_for_their_field() {
        assert_eq!(
            refusal(&[("header_size = 0x200", "header_size = 0x10000")]),
            "image.header_size: 0x10000 does not fit the header's 16-bit field"
        );
    }

    #[test]
    fn headers_that_leave_nothing_of_the_slot() {
        let small = [("size = \"128K\"", "size = \"12K\""), ("size = 0x20000", "size = 0x2000")];
        let problem =
            refusal(&[small[0], small[1], ("header_size = 0x200", "header_size = 0x1000")]);
        assert_eq!(
            problem,
            "image.header_size: the header of 4096 bytes leaves nothing of image 0's largest \
             size, 4 KiB: min(3 − 1 − 1, 2 − 1) sectors × 4096 = 4096; 1 spare in the \
             primary slot, trailer of 1584 B in 1"
        );
    }

    #[test]
    fn confirmed_images_without_a_trailer() {
        assert_eq!(
            refusal(&[("header_size = 0x200", "confirm = true")]),
            "image.confirm: only padded images have a trailer to confirm: add `pad = true`"
        );
    }
}

mod kinds {
    use super::*;

    const WRITES: &str = "base = 0x08000000";

    fn kind(lines: &str) -> String {
        refusal(&[(WRITES, &format!("{WRITES}\n{lines}"))])
    }

    #[test]
    fn unknown_kinds_list_the_known_ones() {
        assert_eq!(
            kind("kind = \"nand\""),
            "flash[0].kind: \"nand\" is no flash kind; known: nor, nor-limited, ecc-words, \
             self-erasing-rows"
        );
    }

    #[test]
    fn a_limit_without_its_numbers() {
        let problem = kind("kind = \"nor-limited\"\nword = 4");
        assert_eq!(
            problem,
            "flash[0].kind: nor-limited flash \"internal\" needs `word_writes`: it takes \
             `word_writes` writes of `word` bytes between two erases"
        );
        assert!(kind("kind = \"nor-limited\"\nword_writes = 2").contains("needs `word`"));
    }

    #[test]
    fn a_limit_that_cannot_be() {
        let limited = |word, writes| {
            kind(&format!("kind = \"nor-limited\"\nword = {word}\nword_writes = {writes}"))
        };
        assert_eq!(limited(12, 2), "flash[0].word: 12 is no power of two");
        assert_eq!(limited(8192, 2), "flash[0].word: a sector of 4096 bytes is no whole words");
        assert_eq!(
            limited(8, 0),
            "flash[0].word_writes: a word that takes no write cannot be used"
        );
    }

    #[test]
    fn numbers_that_a_kind_does_not_have() {
        assert_eq!(
            kind("kind = \"ecc-words\"\nword_writes = 2"),
            "flash[0].word_writes: only nor-limited flash has `word_writes`, this is ecc-words"
        );
        assert_eq!(
            kind("word = 4"),
            "flash[0].word: only nor-limited flash has `word`, this is nor"
        );
    }

    #[test]
    fn rows_that_are_no_sectors() {
        let problem = kind("kind = \"self-erasing-rows\"");
        assert_eq!(
            problem,
            "flash[0].write_size: a self-erasing row is a sector: flash \"internal\" has sectors \
             of 4096 bytes, and 8 are written at once"
        );
    }
}

mod logical_sectors {
    use super::*;

    fn logical(size: &str) -> String {
        format!("max_sectors = 64\nlogical_sector = {size}")
    }

    #[test]
    fn slots_are_counted_in_them() {
        let board = load(&[("max_sectors = 64", &logical("\"8K\""))]);
        // 16 logical sectors of 8 KiB, one to move into and one for the trailer.
        assert_eq!(board.capacity(0).max_image, 14 * 8192);
        let problems = refusals(&[("max_sectors = 64", "max_sectors = 15\nlogical_sector = 8192")]);
        assert_eq!(
            problems[0],
            "boot.max_sectors: \"first\" has 16 sectors (16 × 8192), 1 more than the 15 that the \
             swap status has records for"
        );
    }

    #[test]
    fn sizes_that_are_none() {
        assert_eq!(
            refusal(&[("max_sectors = 64", &logical("12288"))]),
            "boot.logical_sector: 12288 is no power of two"
        );
    }

    #[test]
    fn boundaries_that_are_inside_a_sector() {
        let problems = refusals(&[("max_sectors = 64", &logical("2048"))]);
        assert_eq!(
            problems[0],
            "boot.logical_sector: \"first\" cannot be exchanged 2048 bytes at a time: 0x800 lies \
             inside the 4096-byte sector from 0x0 to 0x1000"
        );
    }

    #[test]
    fn slots_that_are_not_whole_ones() {
        let problems = refusals(&[
            ("size = \"128K\"", "size = \"124K\""),
            ("max_sectors = 64", &logical("8192")),
        ]);
        assert_eq!(
            problems[0],
            "boot.logical_sector: \"first\" of 0x1f000 bytes is not whole logical sectors of \
             8192: 4096 over"
        );
    }

    #[test]
    fn modes_that_exchange_nothing_have_none() {
        assert_eq!(
            refusal(&[("swap-move", "overwrite-only"), ("max_sectors = 64", &logical("8192"))]),
            "boot.logical_sector: overwrite-only exchanges nothing: leave it out"
        );
    }
}
