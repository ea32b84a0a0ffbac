//! Every reason why a board file is refused, with the arithmetic that it shows.

mod areas;
mod basics;
mod boot;
mod devices;
mod image;
mod kinds;
mod logical_sectors;
mod slots;
mod text;

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
