//! The real programs of boards, with everything that the probe leaves out: drivers, start-up code,
//! vector table, console, serial recovery where the board has it.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use super::{KIB, RAM, STACK, Table};
use crate::elf::{self, Footprint};
use crate::firmware::{self, Program};

/// Bytes of flash that a bootloader is meant to take at most which verifies, swaps, reverts and tells about
/// it.
const AIM: u32 = 28 * KIB;

/// What the bootloader of a board may take.
struct Budget {
    /// What the names of the boards begin with; the longest one counts.
    boards: &'static str,
    /// Bytes of flash. Where a partition is the limit (RAK3172: 32 KiB; PSoC 62: 96 KiB; InfiniTime: 28 KiB)
    /// it is that at most.
    flash: u32,
    /// What it has to do that takes it beyond the aim.
    beyond: &'static str,
}

const fn within(boards: &'static str, flash: u32) -> Budget {
    Budget { boards, flash, beyond: "" }
}

const fn beyond(boards: &'static str, flash: u32, beyond: &'static str) -> Budget {
    Budget { boards, flash, beyond }
}

const BUDGETS: [Budget; 23] = [
    within("microbit", AIM),
    beyond("microbit-offset", 30 * KIB, "swap-offset"),
    beyond("microbit-scratch", 33 * KIB, "swap-scratch"),
    beyond("microbit-factory", 35 * KIB, "factory rollback"),
    beyond("microbit-recovery", 54 * KIB, "serial recovery"),
    beyond("mps2-an386", 56 * KIB, "serial recovery"),
    beyond("mps2-an386-external", 56 * KIB, "serial recovery, swap-scratch"),
    beyond("mps2-an386-factory", 29 * KIB, "factory rollback"),
    beyond("emcraft-sf2", 64 * KIB, "serial recovery, SPI NOR"),
    beyond("pinetime", 31 * KIB, "SPI NOR, console in RAM"),
    within("pinetime-infinitime", AIM),
    beyond("pinetime-internal", 34 * KIB, "swap-scratch, RSA-2048"),
    beyond("pinetime-nor", 35 * KIB, "swap-scratch, RSA-2048, SPI NOR"),
    within("rak3172", 32 * KIB),
    within("rak4631", AIM),
    within("rak11720", AIM),
    // Their partition is 96 KiB; what is there without a status area stays far below.
    within("cy8cproto-062-4343w", 96 * KIB),
    beyond("cy8cproto-062-4343w-rollback", 96 * KIB, "factory rollback"),
    beyond("cy8cproto-062-4343w-smif-swap", 96 * KIB, "status area"),
    within("cy8ckit-062s2-43012", 96 * KIB),
    beyond("cy8ckit-062s2-43012-rollback", 96 * KIB, "factory rollback"),
    beyond("cy8ckit-062s2-43012-smif-swap", 96 * KIB, "status area"),
    within("cy8ckit-064s0s2-4343w", 0),
];

/// Bytes of stack that programs of a board are linked with.
fn stack(board: &str) -> u32 {
    // In the mode with a status area there is more, as `firmware/build` has it.
    if board.ends_with("-smif-swap") { 12 * KIB } else { STACK }
}

/// The budget of a board's bootloader.
fn budget(board: &str) -> Option<&'static Budget> {
    let fits = |of: &&Budget| {
        board.strip_prefix(of.boards).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let longest = BUDGETS.iter().filter(fits).max_by_key(|of| of.boards.len());
    longest.filter(|budget| budget.flash > 0)
}

pub const INTRODUCTION: &str = "\
## Programs of boards

The same of what `cargo xtask firmware` builds, with drivers, start-up code and vector table, and \
with serial recovery where the board has it. Applications with Bluetooth have Nordic's libraries in \
them, and the budget is the room in their slot; their stack is that of Rust's code, to which 4096 bytes are \
added for the libraries and their interrupts.

A bootloader that verifies, swaps, reverts and tells about it is meant to fit into 28 KiB (28672 bytes) of \
flash. What takes a board beyond that is named beside its budget.

| board | flash budget | beyond 28 KiB for | bootloader: flash | RAM | stack | application: flash | RAM | stack |
|---|--:|---|--:|--:|--:|--:|--:|--:|
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
        let flash = budget.map(|budget| budget.flash);
        let mut cells = vec![flash.map_or("–".to_owned(), |flash| flash.to_string())];
        let larger = programs.bootloader.as_ref().is_some_and(|it| it.footprint.flash > AIM);
        cells.push(match budget {
            Some(Budget { beyond: "", .. }) if larger => {
                exceeded.push(format!("{name}: nothing says what it is beyond {AIM} bytes for"));
                "?".to_owned()
            }
            Some(budget) if larger => budget.beyond.to_owned(),
            _ => "–".to_owned(),
        });
        for (what, program, limits) in [
            ("bootloader", programs.bootloader.as_ref(), [flash, Some(RAM), Some(stack(name))]),
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
            let empty = "– | – | – | – | –";
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
        format!("| {name}, Bluetooth | {room} | – | – | – | – | {flash} | {ram} | {stack} |\n"),
        faults,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bootloader_has_a_budget_and_variants_may_have_their_own() {
        let flash = |board| budget(board).map(|budget| budget.flash);
        assert_eq!(flash("microbit"), Some(28 * KIB));
        assert_eq!(flash("microbit-zephyr"), Some(28 * KIB));
        assert_eq!(flash("microbit-scratch"), Some(33 * KIB));
        assert_eq!(flash("microbits"), None);
        for name in firmware::names().unwrap() {
            if firmware::has_programs(&name).unwrap() && !name.starts_with("cy8ckit-064") {
                assert!(budget(&name).is_some(), "{name}");
            }
        }
    }
}
