//! The real programs of boards, with everything that the probe leaves out: drivers, start-up code,
//! vector table, console, serial recovery where the board has it.

use std::fmt::Write as _;

use anyhow::Result;

use super::{KIB, RAM, STACK, Table};
use crate::elf::Footprint;
use crate::firmware::{self, Program};

/// Bytes of flash that bootloaders may take. Every other one may fill its area, which its linker
/// sees to.
const FLASH: [(&str, u32); 4] = [
    ("microbit", 28 * KIB),
    ("microbit-offset", 30 * KIB),
    ("microbit-scratch", 33 * KIB),
    ("microbit-factory", 33 * KIB),
];

pub const INTRODUCTION: &str = "\
## Programs of boards

The same of what `cargo xtask firmware` builds, with drivers, start-up code and vector table, and \
with serial recovery where the board has it.

| board | flash budget | bootloader: flash | RAM | stack | application: flash | RAM | stack |
|---|--:|--:|--:|--:|--:|--:|--:|
";

/// Builds the programs of every board and weighs them.
pub fn weigh() -> Result<Table> {
    let Table { mut rows, mut exceeded } = Table::default();
    for board in firmware::boards()? {
        let programs = firmware::build(&board, false)?;
        let name = &board.name;
        let budget = FLASH.into_iter().find_map(|(of, budget)| (of == name).then_some(budget));
        let mut cells = vec![budget.map_or("–".to_owned(), |budget| budget.to_string())];
        for (what, program, limits) in [
            ("bootloader", programs.bootloader.as_ref(), [budget, Some(RAM), Some(STACK)]),
            ("application", Some(&programs.application), [None, None, Some(STACK)]),
        ] {
            let Some(program) = program else {
                cells.extend(["–"; 3].map(str::to_owned));
                continue;
            };
            let Program { footprint: Footprint { flash, ram }, stack, .. } = *program;
            println!("{name}: {what}: flash {flash}, RAM {ram}, stack {stack}");
            let sizes = [("flash", flash), ("RAM", ram), ("stack", stack)];
            for ((of, size), limit) in sizes.into_iter().zip(limits) {
                if let Some(limit) = limit.filter(|limit| size > *limit) {
                    exceeded.push(format!("{what} of {name}: {of} {size} of {limit}"));
                }
                cells.push(size.to_string());
            }
        }
        let _ = writeln!(rows, "| {name} | {} |", cells.join(" | "));
        if let Some(Program { footprint: Footprint { flash, ram }, stack, .. }) = programs.networked
        {
            println!("{name}: on a network: flash {flash}, RAM {ram}, stack {stack}");
            let empty = "– | – | – | –";
            let _ =
                writeln!(rows, "| {name}, on a network | {empty} | {flash} | {ram} | {stack} |");
        }
    }
    Ok(Table { rows, exceeded })
}
