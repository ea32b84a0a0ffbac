//! Linker scripts and sources made from board files.

use updraft_board::{Board, ExportError, Program, built_in};

#[test]
fn an_application_is_linked_behind_its_header_and_a_bootloader_where_it_lies() {
    let board = Board::load("virtual-nor-4k").unwrap();
    let script = board.memory_x(Program::Application(0)).unwrap();
    // 63 sectors less the spare one and the trailer's, less the header.
    let room = board.capacity(0).max_image - 0x200;
    assert!(
        script.contains(&format!("FLASH : ORIGIN = 0x0000c200, LENGTH = {room:#x}")),
        "{script}"
    );
    assert!(script.contains("RAM   : ORIGIN = 0x20000000, LENGTH = 0x20000"), "{script}");
    assert!(script.contains("_secondary_start = 0x0004c000;"), "{script}");
    let script = board.memory_x(Program::Bootloader).unwrap();
    assert!(script.contains("FLASH : ORIGIN = 0x00000000, LENGTH = 0xc000"), "{script}");
}

#[test]
fn an_image_that_runs_from_ram_is_linked_there_and_takes_that_ram_from_nobody() {
    let board = Board::load("virtual-ram-load").unwrap();
    let application = board.memory_x(Program::Application(0)).unwrap();
    assert!(application.contains("FLASH : ORIGIN = 0x20010200"), "{application}");
    let bootloader = board.memory_x(Program::Bootloader).unwrap();
    for script in [application, bootloader] {
        // 256 KiB, of which 96 KiB from 64 KiB on are for images.
        assert!(script.contains("RAM   : ORIGIN = 0x20028000, LENGTH = 0x18000"), "{script}");
    }
}

#[test]
fn every_board_has_its_constants_in_rust() {
    for name in built_in() {
        let board = Board::load(name).unwrap();
        let source = board.rust().unwrap_or_else(|error| panic!("{name}: {error}"));
        for (open, close) in [('(', ')'), ('[', ']'), ('{', '}')] {
            assert_eq!(source.matches(open).count(), source.matches(close).count(), "{name}");
        }
        for constant in ["AREAS", "DEVICES", "RULES", "SLOTS", "TRAILERS"] {
            assert!(source.contains(&format!("\npub const {constant}: ")), "{name}: {constant}");
        }
        assert_eq!(source.matches("AreaEntry { id").count(), board.areas().len(), "{name}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let text = Board::load("virtual-nor-4k").unwrap().to_toml();
    let without_ram = text.replace("[[ram]]\nbase = 536870912\nsize = 131072\n", "");
    let board = Board::parse(&without_ram, "x.toml").unwrap();
    let error = board.memory_x(Program::Bootloader).unwrap_err();
    assert_eq!(error, ExportError::NoRam);
    assert_eq!(error.to_string(), "the board has no [[ram]]");
    let error = board.memory_x(Program::Application(1)).unwrap_err();
    assert_eq!(error.to_string(), "the board has no primary area for image 1");
}
