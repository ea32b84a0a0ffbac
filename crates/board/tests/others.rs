//! What is exported is judged by the programs that it is for: a C compiler, GNU make, the
//! devicetree's compiler, a linker for ARM.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use updraft_board::{Board, Program, Role, built_in};

fn boards() -> impl Iterator<Item = Board> {
    built_in().map(|name| Board::load(name).unwrap_or_else(|error| panic!("{error}")))
}

/// A folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether to go on without a program: only where foreign ones are not asked for.
fn is_left_out(program: &str) -> bool {
    if Command::new(program).arg("--version").output().is_ok() {
        return false;
    }
    assert!(
        std::env::var_os("UPDRAFT_CORE").is_some_and(|value| value == "1"),
        "{program} is not there: `cargo xtask setup` brings it"
    );
    println!("left out: {program} is missing, and UPDRAFT_CORE=1 asks for no foreign tools");
    true
}

/// What it printed, if it was content and had nothing to say on the side.
fn content(output: &Output, what: &str) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{what}: {said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_c_compiler_finds_every_area_where_it_is() {
    if is_left_out("cc") {
        return;
    }
    let folder = folder("header");
    let mut count = 0;
    for board in boards() {
        let name = board.name().replace('-', "_");
        fs::write(folder.join(format!("{name}.h")), board.c_header().unwrap()).unwrap();
        let mut checks = String::new();
        let mut is = |text: &str, value: u32| {
            checks += &format!("_Static_assert(({text}) == {value:#x}u, \"{text}\");\n");
            count += 1;
        };
        for area in board.areas() {
            let area_name = area.name.replace('-', "_").to_uppercase();
            is(&format!("AREA_{area_name}_OFFSET"), area.offset);
            is(&format!("AREA_{area_name}_SIZE"), area.size);
            is(&format!("AREA_{area_name}_DEVICE"), area.device as u32);
            if let Some(address) = area.address {
                is(&format!("AREA_{area_name}_ADDRESS"), address);
            }
        }
        is("IMAGE_HEADER_SIZE", board.image_defaults().header_size);
        is("IMAGE_0_LARGEST", board.capacity(0).max_image);
        is("MCUBOOT_MAX_IMG_SECTORS", board.boot().max_sectors);
        for (index, ram) in board.ram().iter().enumerate() {
            is(&format!("RAM_{index}_BASE"), ram.base);
            is(&format!("RAM_{index}_SIZE"), ram.size);
        }
        let file = folder.join(format!("{name}.c"));
        // Twice, as programs include headers.
        let source = format!("#include \"{name}.h\"\n#include \"{name}.h\"\n{checks}int x;\n");
        fs::write(&file, source).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-fsyntax-only"]).arg(&file);
        content(&cc.output().unwrap(), board.name());
    }
    println!("{count} constants of {} boards", built_in().len());
}

#[test]
fn make_hands_every_variable_on_and_a_c_compiler_takes_the_switches() {
    if is_left_out("make") || is_left_out("cc") {
        return;
    }
    let folder = folder("make");
    for board in boards() {
        let fragment = folder.join("board.mk");
        fs::write(&fragment, board.make_variables().unwrap()).unwrap();
        let print = "include board.mk\nprint:\n\t@echo $(MCUBOOT_SLOT_SIZE) $(CY_BOOT_PRIMARY_1_START) \
                     $(CY_BOOT_PRIMARY_1_SIZE) $(MCUBOOT_HEADER_SIZE) $(MCUBOOT_MAX_IMG_SECTORS) \
                     $(BOOTLOADER_APP_RAM_SIZE)\nflags:\n\t@echo $(addprefix -D,$(MCUBOOT_DEFINES))\n";
        fs::write(folder.join("Makefile"), print).unwrap();
        let make = |target: &str| {
            let mut make = Command::new("make");
            // What a make around this test has set is nothing to it.
            make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
            make.args(["-s", "--warn-undefined-variables", "--no-print-directory", target]);
            content(&make.current_dir(&folder).output().unwrap(), board.name())
        };
        let primary = board.area(Role::Primary).unwrap();
        let expected = [
            format!("{:#x}", primary.size),
            format!("{:#x}", primary.address.unwrap_or(primary.offset)),
            format!("{:#x}", primary.size),
            format!("{:#x}", board.image_defaults().header_size),
            board.boot().max_sectors.to_string(),
        ];
        let found = make("print");
        let words: Vec<_> = found.split_whitespace().collect();
        assert_eq!(words[..5], expected, "{}", board.name());
        let core = board.cores().first().map(|core| core.name.clone());
        let its = board.ram().iter().filter(|ram| ram.core.is_none() || ram.core == core);
        let ram = u32::from_str_radix(words[5].trim_start_matches("0x"), 16).unwrap();
        assert!(its.map(|ram| ram.size).any(|size| ram <= size), "{}: {ram}", board.name());

        let flags = make("flags");
        let file = folder.join("flags.c");
        let scheme = match board.boot().signature.name() {
            "none" => "!defined MCUBOOT_SIGN_EC256 && !defined MCUBOOT_SIGN_ED25519",
            "rsa-2048" => "MCUBOOT_SIGN_RSA && MCUBOOT_SIGN_RSA_LEN == 2048",
            "rsa-3072" => "MCUBOOT_SIGN_RSA && MCUBOOT_SIGN_RSA_LEN == 3072",
            "ecdsa-p256" => "MCUBOOT_SIGN_EC256",
            "ecdsa-p384" => "MCUBOOT_SIGN_EC384",
            _ => "MCUBOOT_SIGN_ED25519",
        };
        let source = format!(
            "#if !({scheme}) || MCUBOOT_MAX_IMG_SECTORS != {} || MCUBOOT_IMAGE_NUMBER != {}\n\
             #error not this board\n#endif\nint x;\n",
            board.boot().max_sectors,
            board.images()
        );
        fs::write(&file, source).unwrap();
        let mut cc = Command::new("cc");
        cc.args(flags.split_whitespace()).arg("-fsyntax-only").arg(&file);
        content(&cc.output().unwrap(), board.name());
    }
}

#[test]
fn the_devicetrees_compiler_takes_every_overlay_and_gives_the_same_map_back() {
    if is_left_out("dtc") {
        return;
    }
    let folder = folder("devicetree");
    for board in boards() {
        let overlay = board.devicetree(&[]).unwrap();
        // What the chip's own file has.
        let mut tree = "/dts-v1/;\n/ {\n#address-cells = <1>;\n#size-cells = <1>;\n".to_owned();
        for (index, device) in board.flash().iter().enumerate() {
            let label = if index == 0 { "flash0" } else { &device.name };
            let base = device.base.unwrap_or(0xf000_0000);
            tree += &format!(
                "{label}: flash@{base:x} {{\ncompatible = \"soc-nv-flash\";\nreg = <{base:#x} \
                 {:#x}>;\n}};\n",
                device.size()
            );
        }
        tree += "sram0: memory@20000000 {\nreg = <0x20000000 0x1000>;\n};\n";
        let file = folder.join("board.dts");
        fs::write(&file, format!("{tree}}};\n{overlay}")).unwrap();
        let mut dtc = Command::new("dtc");
        dtc.args(["-I", "dts", "-O", "dts"]).arg(&file);
        let compiled = content(&dtc.output().unwrap(), board.name());
        assert!(compiled.contains("zephyr,sram = "), "{}\n{compiled}", board.name());
        let nodes: Vec<_> = board
            .flash()
            .iter()
            .filter(|device| device.base.is_none())
            .map(|device| (device.name.clone(), device.name.clone()))
            .collect();
        let imported = board.import(updraft_board::Foreign::Devicetree(&nodes), &compiled).unwrap();
        let mut found: Vec<_> = imported
            .areas
            .iter()
            .map(|area| (area.flash.clone(), area.offset, area.size, area.role.name()))
            .collect();
        let mut expected: Vec<_> = board
            .areas()
            .iter()
            .map(|area| (board.device(area).name.clone(), area.offset, area.size, area.role.name()))
            .collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{}\n{compiled}", board.name());
    }
}

/// A linker for ARM: the one that comes with the compiler, which firmware is linked by, or a
/// distribution's.
fn linker() -> Option<PathBuf> {
    let known =
        with_compiler().into_iter().chain(["ld.lld", "arm-none-eabi-ld"].map(PathBuf::from));
    let works = |linker: &PathBuf| start(linker).arg("--version").output().is_ok();
    known.into_iter().find(works)
}

fn start(linker: &Path) -> Command {
    let mut command = Command::new(linker);
    // The compiler's own is several linkers in one.
    command.args(linker.ends_with("rust-lld").then_some(["-flavor", "gnu"]).into_iter().flatten());
    command
}

fn with_compiler() -> Option<PathBuf> {
    let rustc = |args: &[&str]| {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        String::from_utf8(Command::new(rustc).args(args).output().ok()?.stdout).ok()
    };
    let said = rustc(&["-vV"])?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "))?;
    let root = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
    Some(root.join("lib/rustlib").join(host).join("bin/rust-lld"))
}

#[test]
fn a_linker_puts_every_program_where_its_board_has_room() {
    let Some(linker) = linker() else {
        assert!(
            std::env::var_os("UPDRAFT_CORE").is_some_and(|value| value == "1"),
            "there is no linker for ARM: rustup's toolchains bring one, Debian's package `lld` too"
        );
        println!("left out: no linker for ARM");
        return;
    };
    let folder = folder("linker");
    let sections = "SECTIONS\n{\n  .text : { KEEP(*(.text)) _code = .; } > FLASH\n  .bss : { _ram = .; \
                    . = . + 16; } > RAM\n}\nASSERT(_code - ORIGIN(FLASH) <= LENGTH(FLASH), \"room\")\n";
    // A file without anything: the script alone is judged.
    let empty = folder.join("empty.ld");
    fs::write(&empty, "_nothing = 0;\n").unwrap();
    let mut programs = 0;
    for board in boards() {
        for program in [Program::Bootloader, Program::Application(0)] {
            let Ok(script) = board.memory_x(program) else { continue };
            let file = folder.join("memory.x");
            fs::write(&file, format!("{script}\n{sections}")).unwrap();
            let map = folder.join("map");
            let mut link = start(&linker);
            link.args(["-m", "armelf", "--nmagic", "-e", "0", "-T"]).arg(&file);
            link.arg("-Map").arg(&map).arg("-o").arg(folder.join("program")).arg(&empty);
            let output = link.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{} {program:?}: {said}\n{script}", board.name());
            let map = fs::read_to_string(&map).unwrap();
            if let Program::Application(_) = program {
                let header = board.image_defaults().header_size;
                let line = format!("_header_size = {header:#x}");
                assert!(map.contains(&line), "{}: no `{line}` in\n{map}", board.name());
            }
            programs += 1;
        }
    }
    println!("{programs} programs of {} boards", built_in().len());
}
