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
