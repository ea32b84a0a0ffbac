//! Flash maps of other people's files. The files in `foreign` are written after the shapes that
//! Zephyr's boards and Infineon's examples have: macros, labels, parts of other files and all.

use proptest::prelude::*;
use updraft_board::schema::AreaRow;
use updraft_board::{Board, Foreign, ImportError, Imported, built_in};

const PINETIME: &str = include_str!("foreign/pinetime.dts");
const RAK3172: &str = include_str!("foreign/rak3172.dts");
const RAK4631: &str = include_str!("foreign/rak4631.overlay");
const RAK4631_OLD: &str = include_str!("foreign/rak4631-older.dts");
const PSOC6: &str = include_str!("foreign/psoc6-build.dts");
const ROLLBACK: &str = include_str!("foreign/rollback.mk");
const OTA: &str = include_str!("foreign/ota.mk");

fn board(name: &str) -> Board {
    Board::load(name).unwrap_or_else(|error| panic!("{error}"))
}

fn devicetree(board: &Board, text: &str) -> Result<Imported, ImportError> {
    board.import(Foreign::Devicetree(&[]), text)
}

/// What decides over an area, its name aside.
fn places(board: &Board) -> Vec<(String, u8, usize, u32, u32)> {
    let row = |area: &updraft_board::Area| {
        (area.role.name().to_owned(), area.image, area.device, area.offset, area.size)
    };
    let mut places: Vec<_> = board.areas().iter().map(row).collect();
    places.sort();
    places
}

/// Areas as one line each.
fn lines(imported: &Imported) -> Vec<String> {
    let line = |area: &AreaRow| {
        let (AreaRow { name, flash, offset, size, .. }, role) = (area, area.role.name());
        format!("{role} {name}: {flash} {offset:x}, {size:x}")
    };
    imported.areas.iter().map(line).collect()
}

#[test]
fn the_flash_map_of_every_board_comes_back_from_zephyrs_devicetree() {
    for name in built_in() {
        let board = board(name);
        let overlay = board.devicetree(&[]).unwrap();
        let areas = devicetree(&board, &overlay).unwrap();
        let again = board.with_imported(areas).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(places(&again), places(&board), "{name}\n{overlay}");
    }
}

#[test]
fn the_slots_of_every_mapped_board_come_back_from_make_variables_in_any_order() {
    let mut boards = 0;
    for name in built_in() {
        let board = board(name);
        if board.flash().iter().any(|device| device.base.is_none()) {
            continue;
        }
        let text = board.make_variables().unwrap();
        let backwards: Vec<_> = text.lines().rev().collect();
        for text in [text.clone(), backwards.join("\n")] {
            let imported = board.import(Foreign::Make, &text).unwrap();
            let header = board.image_defaults().header_size;
            assert_eq!(imported.header_size, Some(header), "{name}\n{text}");
            assert_eq!(imported.max_sectors, Some(board.boot().max_sectors), "{name}\n{text}");
            let again =
                board.with_imported(imported).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(places(&again), places(&board), "{name}\n{text}");
        }
        boards += 1;
    }
    println!("{boards} of {} boards, the others have flash that is not mapped", built_in().len());
}

#[test]
fn zephyrs_pinetime_is_the_board_file_of_the_same_layout() {
    let board = board("pinetime");
    let again = board.with_imported(devicetree(&board, PINETIME).unwrap()).unwrap();
    assert_eq!(places(&again), places(&board));
}

#[test]
fn sizes_in_macros_and_partitions_on_one_line_are_understood() {
    let board = board("rak3172");
    let again = board.with_imported(devicetree(&board, RAK3172).unwrap()).unwrap();
    assert_eq!(places(&again), places(&board));
}

#[test]
fn an_overlay_changes_and_deletes_what_stood_before() {
    let board = board("rak4631-rak");
    let again = board.with_imported(devicetree(&board, RAK4631).unwrap()).unwrap();
    assert_eq!(places(&again), places(&board));
}

#[test]
fn older_labels_of_partitions_are_understood() {
    let board = board("rak4631");
    let imported = devicetree(&board, RAK4631_OLD).unwrap();
    assert_eq!(
        lines(&imported),
        [
            "bootloader bootloader: internal 0, c000",
            "primary primary: internal c000, 67000",
            "secondary secondary: internal 73000, 67000",
            "scratch scratch: internal da000, 1e000",
            "storage storage: internal f8000, 8000",
        ]
    );
    for (new, old) in [("slot0", "image_0_primary"), ("slot1", "image_0_secondary")] {
        let older = board.devicetree(&[]).unwrap();
        let older = older.replace(&format!("{new}_partition"), &format!("{old}_partition"));
        let again = board.with_imported(devicetree(&board, &older).unwrap()).unwrap();
        assert_eq!(places(&again), places(&board), "{old}");
    }
}

#[test]
fn a_builds_own_tree_names_flash_by_address_and_partitions_by_title() {
    let imported = devicetree(&board("cy8cproto-062-4343w-rollback-external"), PSOC6).unwrap();
    assert_eq!(
        lines(&imported),
        [
            "bootloader bootloader: internal 0, 18000",
            "primary primary: internal 18000, 1e0000",
            // A partition that is divided again counts from its own start.
            "reserved factory-a: external 0, 100000",
            "reserved factory-b: external 100000, 100000",
            "secondary secondary: external 200000, 1e0000",
            "storage storage: external 400000, 100000",
            "reserved spare: external 500000, 3b00000",
        ]
    );
}

#[test]
fn a_node_that_could_be_any_flash_has_to_be_named() {
    let board = board("pinetime");
    let unnamed = PINETIME.replace("jedec-id = [0b 40 16];", "");
    let error = devicetree(&board, &unnamed).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 45: which flash of pinetime is `xt25fb32`? There are internal, nor: \
         `--node xt25fb32=DEVICE` says so"
    );
    let named = |node: &str, device: &str| {
        let nodes = [(node.to_owned(), device.to_owned())];
        board.import(Foreign::Devicetree(&nodes), &unnamed)
    };
    let again = board.with_imported(named("xt25fb32", "nor").unwrap()).unwrap();
    assert_eq!(places(&again), places(&board));
    let error = named("xt25fb32", "norr").unwrap_err();
    assert_eq!(error.what, "pinetime has no device norr; there are internal, nor");
}

#[test]
fn what_only_the_preprocessor_knows_is_refused_with_advice() {
    let board = board("rak4631");
    for (text, why) in [
        (
            "#include <nordic/nrf52840_partition.dtsi>\n/ { };\n",
            "line 1: there are no partitions in it; it takes some from \
             nordic/nrf52840_partition.dtsi: give that file, or the build's zephyr/zephyr.dts, which \
             has everything",
        ),
        (
            "/ { };\n#ifdef CONFIG_X\n#endif\n",
            "line 2: `#ifdef` is for the C preprocessor: give the build's zephyr/zephyr.dts, which \
             it has been through",
        ),
        (
            "&flash0 { partitions {\nslot0_partition: partition@0 { reg = <0 SLOT_SIZE>; }; }; };",
            "line 2: `reg`: `SLOT_SIZE` is not known here: the build's zephyr/zephyr.dts has its \
             value instead",
        ),
        (
            "&flash0 { partitions {\nslot0_partition: partition@0 { reg = <0>; }; }; };",
            "line 2: `reg` of a partition is to hold an offset and a size",
        ),
        ("&flash0 {\npartitions {\n", "line 3: `}` is missing"),
        ("/ { x = <1>\n}", "line 1: no `;` behind x"),
        ("\n\n};", "line 3: `}` closes nothing"),
    ] {
        assert_eq!(devicetree(&board, text).unwrap_err().to_string(), why, "{text}");
    }
    let named = "#define SLOT_SIZE DT_SIZE_K(4)\n&flash0 { partitions { slot0_partition: \
                 partition@0 { reg = <0 SLOT_SIZE>; }; }; };";
    assert_eq!(lines(&devicetree(&board, named).unwrap()), ["primary primary: internal 0, 1000"]);
}

#[test]
fn infineons_rollback_example_is_stacked_from_sizes() {
    for (external, name) in
        [("0", "cy8cproto-062-4343w-rollback"), ("1", "cy8cproto-062-4343w-rollback-external")]
    {
        let board = board(name);
        let text = ROLLBACK.replace("USE_EXT_FLASH?=0", &format!("USE_EXT_FLASH?={external}"));
        let imported = board.import(Foreign::Make, &text).unwrap();
        assert_eq!(imported.header_size, Some(0x400), "{name}");
        // A shell computes it there: the board keeps its own.
        assert_eq!(imported.max_sectors, None, "{name}");
        let again = board.with_imported(imported).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(places(&again), places(&board), "{name}");
    }
}

#[test]
fn definitions_for_the_compiler_are_variables_as_well() {
    let board = board("cy8cproto-062-4343w");
    let imported = board.import(Foreign::Make, OTA).unwrap();
    assert_eq!((imported.header_size, imported.max_sectors), (Some(0x400), Some(1904)));
    let again = board.with_imported(imported).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(places(&again), places(&board));
}

#[test]
fn an_offset_into_the_chips_own_flash_is_as_good_as_an_address() {
    let board = board("cy8cproto-062-4343w");
    let text = |base: &str| {
        format!(
            "CY_BOOT_PRIMARY_1_SIZE=0xEE000\nCY_BOOT_PRIMARY_1_START={base}18000\n\
             CY_BOOT_SECONDARY_1_START={base}106000\nCY_BOOT_SECONDARY_1_SIZE=0xEE000\n"
        )
    };
    let [by_offset, by_address] = [text("0x"), text("0x10")].map(|text| {
        let text = text.replace("0x1018000", "0x10018000");
        board.import(Foreign::Make, &text).unwrap()
    });
    assert_eq!(lines(&by_offset), lines(&by_address));
}

#[test]
fn what_is_wrong_with_variables_is_told_with_its_line() {
    let board = board("cy8cproto-062-4343w");
    for (text, why) in [
        (
            // As the example of the kit has it.
            "CY_BOOT_SECONDARY_1_START=0x18000000\nCY_BOOT_SECONDARY_1_SIZE=0x01c00=00\n",
            "line 2: `0x01c00=00` is no number",
        ),
        ("\nCY_BOOT_PRIMARY_1_START=0x10018000\n", "line 2: CY_BOOT_PRIMARY_1_SIZE is missing"),
        (
            "CY_BOOT_PRIMARY_1_SIZE=$(shell expr 1)\n",
            "line 1: CY_BOOT_PRIMARY_1_SIZE: `$(shell …)` is only known to make",
        ),
        (
            "A=$(B)\nB=$(A)\nMCUBOOT_SLOT_SIZE=$(A)\n",
            "line 3: MCUBOOT_SLOT_SIZE: it refers to itself",
        ),
        ("ifeq ($(A),1)\nMCUBOOT_SLOT_SIZE=1\n", "line 2: `endif` is missing"),
        ("endif\n", "line 1: `endif` without a condition"),
        (
            "CY_BOOT_PRIMARY_1_START=0x90000000\nCY_BOOT_PRIMARY_1_SIZE=512\n",
            "line 1: 0x90000000 is on no device of the board",
        ),
        (
            "X=1\n",
            "line 1: none of the variables is an area's: CY_BOOT_PRIMARY_1_SIZE, \
             MCUBOOT_SLOT_SIZE …",
        ),
    ] {
        let error = board.import(Foreign::Make, text).unwrap_err();
        assert_eq!(error.to_string(), why, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is left out of or put into a file, it is taken or refused.
    #[test]
    fn no_file_makes_the_reader_panic(
        which in 0usize..7,
        at in any::<prop::sample::Index>(),
        cut in 0usize..40,
        put in "[<>{}\\[\\]();:=&/*#$\"@\\\\ \n0-9a-zé-]{0,12}",
    ) {
        let text = [PINETIME, RAK3172, RAK4631, RAK4631_OLD, PSOC6, ROLLBACK, OTA][which];
        let mut chars: Vec<char> = text.chars().collect();
        let from = at.index(chars.len());
        let to = (from + cut).min(chars.len());
        chars.splice(from..to, put.chars());
        let text: String = chars.into_iter().collect();
        let board = board("cy8cproto-062-4343w-rollback");
        for form in [Foreign::Devicetree(&[]), Foreign::Make] {
            if let Ok(imported) = board.import(form, &text) {
                let _ = board.with_imported(imported);
            }
        }
    }
}
