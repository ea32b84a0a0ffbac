//! The real programs of boards, with everything that the probe leaves out: drivers, start-up code,
//! vector table, console, serial recovery where the board has it.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use super::{KIB, RAM, STACK, Table};
use crate::elf::{self, Footprint};
use crate::firmware::{self, Program};

/// Bytes of flash that bootloaders may take, by what the name of a board begins with; the longest one
/// counts. 28 KiB are the aim for swap and verification; what is above has more to do: scratch and offset
/// on small sectors, a factory image, serial recovery, RSA, the console in RAM of the PineTime. Where a
/// partition is the limit (RAK3172: 32 KiB; PSoC 62: 96 KiB; InfiniTime: 28 KiB) it is the budget at most.
const FLASH: [(&str, u32); 17] = [
    ("microbit", 28 * KIB),
    ("microbit-offset", 30 * KIB),
    ("microbit-scratch", 33 * KIB),
    ("microbit-factory", 34 * KIB),
    ("microbit-recovery", 54 * KIB),
    ("mps2-an386", 56 * KIB),
    ("emcraft-sf2", 64 * KIB),
    ("pinetime", 30 * KIB),
    ("pinetime-infinitime", 28 * KIB),
    ("pinetime-internal", 34 * KIB),
    ("pinetime-nor", 35 * KIB),
    ("rak3172", 32 * KIB),
    ("rak4631", 28 * KIB),
    ("rak11720", 28 * KIB),
    // Their partition is 96 KiB; what is there without a status area stays far below.
    ("cy8cproto-062-4343w", 96 * KIB),
    ("cy8ckit-062s2-43012", 96 * KIB),
    ("cy8ckit-064s0s2-4343w", 0),
];

/// Bytes of stack that programs of a board are linked with.
fn stack(board: &str) -> u32 {
    // In the mode with a status area there is more, as `firmware/build` has it.
    if board.ends_with("-smif-swap") { 12 * KIB } else { STACK }
}

/// The budget of a board's bootloader.
fn budget(board: &str) -> Option<u32> {
    let fits = |of: &&(&str, u32)| {
        board.strip_prefix(of.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    FLASH.iter().filter(fits).max_by_key(|of| of.0.len()).map(|of| of.1).filter(|most| *most > 0)
}

pub const INTRODUCTION: &str = "\
## Programs of boards

The same of what `cargo xtask firmware` builds, with drivers, start-up code and vector table, and \
with serial recovery where the board has it. Applications with Bluetooth have Nordic's libraries in \
them, and the budget is the room in their slot; their stack is that of Rust's code, to which 4096 bytes are \
added for the libraries and their interrupts.

| board | flash budget | bootloader: flash | RAM | stack | application: flash | RAM | stack |
|---|--:|--:|--:|--:|--:|--:|--:|
";

/// Builds the programs of every board and weighs them.
pub fn weigh() -> Result<Table> {
    let Table { mut rows, mut exceeded } = Table::default();
    for board in firmware::boards()? {
        let programs = firmware::build(&board, false)?;
        let name = &board.name;
        let budget = budget(name);
        if budget.is_none() && programs.bootloader.is_some() {
            exceeded.push(format!("{name} has no budget in xtask/src/size/boards.rs"));
        }
        let mut cells = vec![budget.map_or("–".to_owned(), |budget| budget.to_string())];
        for (what, program, limits) in [
            ("bootloader", programs.bootloader.as_ref(), [budget, Some(RAM), Some(stack(name))]),
            ("application", Some(&programs.application), [None, None, Some(stack(name))]),
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
        if board.is_plain() {
            match firmware::build_bluetooth(&board, false) {
                // Whoever builds all programs is told.
                Err(error) if error.is::<firmware::NoLibclang>() => println!("{name}: {error}"),
                built => {
                    let Some([program, _]) = built? else { continue };
                    let (row, faults) = weigh_bluetooth(name, &program)?;
                    rows += &row;
                    exceeded.extend(faults);
                }
            }
        }
    }
    Ok(Table { rows, exceeded })
}

/// Bytes of stack beside what Rust's code takes, for Nordic's library: what is called, and its interrupts on
/// top, of which one may come upon another. They are not told by their maker, and reading the machine code for
/// them is what its licence forbids: for the stack of its older SoftDevices it asks for 1.5 KiB.
const LIBRARY: u32 = 4 * KIB;

/// The row of an application with Bluetooth, and what it exceeds: the room that its slot leaves for it, and
/// the stack that it is linked with.
fn weigh_bluetooth(name: &str, program: &Program) -> Result<(String, Vec<String>)> {
    let Program { footprint: Footprint { flash, ram }, stack, path } = program;
    println!("{name}: Bluetooth: flash {flash}, RAM {ram}, stack {stack}");
    let linked = fs::read(path).with_context(|| format!("no {}", path.display()))?;
    let symbol = |name| elf::symbol(&linked, name).with_context(|| format!("no {name} was linked"));
    let (room, linked_stack) = (symbol("_flash_room")?, symbol("_stack_size")?);
    let mut faults = Vec::new();
    for (of, size, limit) in [("flash", *flash, room), ("stack", stack + LIBRARY, linked_stack)] {
        if size > limit {
            faults.push(format!("{name}, Bluetooth: {of} {size} of {limit}"));
        }
    }
    Ok((
        format!("| {name}, Bluetooth | {room} | – | – | – | {flash} | {ram} | {stack} |\n"),
        faults,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bootloader_has_a_budget_and_variants_may_have_their_own() {
        assert_eq!(budget("microbit"), Some(28 * KIB));
        assert_eq!(budget("microbit-zephyr"), Some(28 * KIB));
        assert_eq!(budget("microbit-scratch"), Some(33 * KIB));
        assert_eq!(budget("microbits"), None);
        for name in firmware::names().unwrap() {
            if firmware::has_programs(&name).unwrap() && !name.starts_with("cy8ckit-064") {
                assert!(budget(&name).is_some(), "{name}");
            }
        }
    }
}
