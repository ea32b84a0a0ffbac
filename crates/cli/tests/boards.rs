//! `updraft boards`, as people and programs see it.

use std::process::{Command, Output};

use serde_json::Value;

fn updraft(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
    command.args(args).env("COLUMNS", "80").output().unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = updraft(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_board_is_listed_with_its_largest_image() {
    let text = stdout(&["boards"]);
    for name in updraft_board::built_in() {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is missing:\n{text}");
    }
    let line = text.lines().find(|line| line.starts_with("virtual-overwrite")).unwrap();
    assert!(line.contains("393176 B"), "a limit must not be rounded up: {line}");
}

#[test]
fn a_board_is_drawn_without_colours_when_piped() {
    let text = stdout(&["boards", "virtual-nor-4k"]);
    assert!(!text.contains('\x1b'));
    let drawing: Vec<_> = text.lines().skip(2).take(7).collect();
    assert_eq!(
        drawing,
        [
            "internal  1 MiB at 0x0, sectors 256 × 4 KiB, nor that writes 8 B and erases to 0xff",
            "┌──┬───────────────────┬───────────────────┬────────────────────┬───┬┈┈┈┈┈┈┈┈┈┈┐",
            "│A │B primary          │C secondary        │D factory           │E  │free      │",
            "│  │≤ 248 KiB          │≤ 248 KiB          │                    │   │          │",
            "│  │██████████████████▒│██████████████████▒│                    │   │          │",
            "└──┴───────────────────┴───────────────────┴────────────────────┴───┴┈┈┈┈┈┈┈┈┈┈┘",
            "0  c000                4c000               8c000                cc000     100000",
        ]
    );
    assert!(text.contains("248 KiB: min(64 − 1 − 1, 64 − 1) sectors × 4096 = 253952"), "{text}");
    assert!(text.contains("188 erases = 3 × 62 + 1 + 1"), "{text}");
}

#[test]
fn json_has_the_file_and_what_follows_from_it() {
    let json: Value = serde_json::from_str(&stdout(&["boards", "virtual-wide", "--json"])).unwrap();
    assert_eq!(json["board"]["boot"]["mode"], "swap-move");
    assert_eq!(json["areas"][1]["trailer"]["size"], 64 * 3 * 32 + 160);
    assert_eq!(json["areas"][1]["address"], 0x0800_c000);
    assert_eq!(json["images"][0]["largest"], 30 * 8192);
    let list: Value = serde_json::from_str(&stdout(&["boards", "--json"])).unwrap();
    assert_eq!(list.as_array().unwrap().len(), updraft_board::built_in().len());
}

#[test]
fn an_unknown_board_is_wrong_usage_and_answered_with_near_names() {
    let output = updraft(&["boards", "virtual-nor"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("did you mean virtual-nor-4k"), "{text}");
}

#[test]
fn a_board_file_that_cannot_work_is_refused_by_line_and_key() {
    let board = updraft_board::Board::load("virtual-nor-4k").unwrap().to_toml();
    let folder = env!("CARGO_TARGET_TMPDIR");
    let path = format!("{folder}/narrow.toml");
    std::fs::write(&path, board.replacen("max_sectors = 128", "max_sectors = 60", 1)).unwrap();
    let output = updraft(&["boards", &path]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains(
            "boot.max_sectors: \"primary\" has 64 sectors (64 × 4096), 4 more than the 60"
        ),
        "{text}"
    );
    assert!(text.contains("narrow.toml:"), "{text}");
}

#[test]
fn a_flash_map_goes_to_zephyr_and_comes_back() {
    let folder = std::env::temp_dir().join(format!("updraft-boards-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let overlay = folder.join("rak4631.overlay");
    let overlay = overlay.to_str().unwrap();
    stdout(&["boards", "export", "rak4631", "--format", "dts", "-o", overlay]);
    let file = stdout(&["boards", "import", overlay, "--board", "rak4631", "--format", "dts"]);
    let [again, board] = [file, updraft_board::Board::load("rak4631").unwrap().to_toml()];
    let [again, board] =
        [again, board].map(|text| updraft_board::Board::parse(&text, "x").unwrap());
    assert_eq!(again.area_table(), board.area_table());

    let import = ["boards", "import", overlay, "--board", "rak4631", "--format", "dts"];
    let refused = |text: &str, why: &str| {
        std::fs::write(overlay, text).unwrap();
        let output = updraft(&import);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{said}");
    };
    refused(
        "&flash0 { partitions {\n\tslot0_partition: partition@0 {\n\t\treg = <0>;\n}; }; };",
        "line 3: `reg` of a partition is to hold an offset and a size",
    );
    let elsewhere = std::fs::read_to_string(overlay).unwrap().replace("<0>", "<0x1000 0x1000>");
    let elsewhere = elsewhere.replace("flash0", "mram");
    refused(&elsewhere, "`--node mram=DEVICE` says so");
    let named = updraft(&[&import[..], &["--node", "mram=internal"]].concat());
    // It is understood, and does not suit: there is one slot alone.
    let said = String::from_utf8(named.stderr).unwrap();
    assert!(said.contains("its flash map does not suit the board"), "{said}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_linker_script_is_made_for_either_program() {
    let script = |program| {
        stdout(&["boards", "export", "rak11720", "--format", "memory.x", "--program", program])
    };
    assert!(script("bootloader").contains("ORIGIN = 0x0000c000"), "behind the secure loader");
    assert!(script("application").contains("ORIGIN = 0x00018200"));
}
