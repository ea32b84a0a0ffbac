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
        for constant in ["AREAS", "DEVICES", "HEADER_SIZE", "RAM", "RULES", "SLOTS", "TRAILERS"] {
            assert!(source.contains(&format!("\npub const {constant}: ")), "{name}: {constant}");
        }
        assert_eq!(source.matches("AreaEntry { id").count(), board.areas().len(), "{name}");
    }
}

#[test]
fn how_long_a_button_is_held_for_the_factory_image_is_known_in_rust() {
    for (name, held) in [
        ("cy8cproto-062-4343w-rollback", "Some(5000)"),
        ("mps2-an386-factory", "Some(0)"),
        ("microbit-factory", "Some(6000)"),
        ("microbit", "None"),
    ] {
        let source = Board::load(name).unwrap().rust().unwrap();
        let line = format!("pub const ROLLBACK_HOLD_MS: Option<u32> = {held};");
        assert!(source.contains(&line), "{name}: {source}");
    }
}

/// Drivers go by them, so that no board's chips are named in two places.
#[test]
fn the_chips_that_a_device_may_be_are_known_in_rust() {
    for (name, ids) in [
        ("pinetime", "[\n    &[],\n    &[[0x0b, 0x40, 0x16], [0x68, 0x40, 0x16]],\n]"),
        ("cy8cproto-062-4343w", "[\n    &[],\n    &[[0x01, 0x02, 0x20]],\n]"),
        ("microbit", "[\n    &[],\n]"),
    ] {
        let source = Board::load(name).unwrap().rust().unwrap();
        assert!(source.contains(&format!("; {}] = {ids};", ids.matches('&').count())), "{name}");
        assert!(source.contains("pub const JEDEC: [&[[u8; 3]]; "), "{name}: {source}");
    }
}

#[test]
fn every_flash_map_is_drawn_with_all_its_areas_side_by_side() {
    for name in built_in() {
        let board = Board::load(name).unwrap();
        let svg = board.picture();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{name}");
        for tag in ["text", "title", "g"] {
            let (opened, closed) = (format!("<{tag}"), format!("</{tag}>"));
            let opened = svg.matches(&format!("{opened} ")).count()
                + svg.matches(&format!("{opened}>")).count();
            assert_eq!(opened, svg.matches(&closed).count(), "{name}: {tag}");
        }
        for area in board.areas() {
            assert!(svg.contains(&format!("<title>{}: ", area.name)), "{name}: {}", area.name);
        }
        // Every bar begins at the margin, and each part where the one before it ends.
        let mut end = None;
        for rect in svg.split("<rect x=\"").skip(1) {
            let number = |after: &str| -> f64 {
                let text = after.split('"').next().unwrap();
                text.parse().unwrap_or_else(|_| panic!("{name}: {text}"))
            };
            let (x, width) = (number(rect), number(rect.split("width=\"").nth(1).unwrap()));
            assert!(x == 16.0 || end.is_some_and(|end: f64| (end - x).abs() < 0.2), "{name}: {x}");
            end = Some(x + width);
        }
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

#[test]
fn each_processor_gets_its_own_memory() {
    let board = Board::load("cy8cproto-062-4343w").unwrap();
    let scripts =
        [Program::Bootloader, Program::Application(0)].map(|it| board.memory_x(it).unwrap());
    for (script, ram) in scripts.iter().zip([
        "RAM   : ORIGIN = 0x08000000, LENGTH = 0x20000",
        "RAM   : ORIGIN = 0x08020000, LENGTH = 0xdf800",
    ]) {
        assert!(script.contains(ram), "{script}");
        // The bootloader looks for the boot mode in its own, whoever has left it.
        assert!(script.contains("_retained = 0x0801fff0;"), "{script}");
    }
    // Each image of the PSoC 64 runs on a processor of its own.
    let board = Board::load("cy8ckit-064s0s2-4343w").unwrap();
    let [small, large] = [0, 1].map(|image| board.memory_x(Program::Application(image)).unwrap());
    assert!(small.contains("ORIGIN = 0x08000000") && small.contains("ORIGIN = 0x10000400"));
    assert!(large.contains("ORIGIN = 0x08030000") && large.contains("ORIGIN = 0x10050400"));
}

#[test]
fn memory_that_only_the_application_may_use_is_left_alone_by_the_bootloader() {
    let board = Board::load("emcraft-sf2").unwrap();
    let scripts =
        [Program::Bootloader, Program::Application(0)].map(|it| board.memory_x(it).unwrap());
    for (script, ram) in scripts.iter().zip([
        "RAM   : ORIGIN = 0x20000000, LENGTH = 0x10000",
        // 64 MiB without the first, which images are loaded to.
        "RAM   : ORIGIN = 0xa0100000, LENGTH = 0x3f00000",
    ]) {
        assert!(script.contains(ram), "{script}");
        assert!(script.contains("_retained = 0x2000fff0;"), "{script}");
    }
    let rust = board.rust().unwrap();
    assert!(rust.contains("pub const TRIALS: bool = true;"), "{rust}");
    assert!(rust.contains("Some((0xa0000000, 0x100000))"), "{rust}");
}
