//! What a bootloader takes on a chip: flash, variables and stack of a probe without a board
//! (`xtask/size-probe`), in many configurations, against budgets.

mod boards;
pub mod stack;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::elf::{self, Footprint};
use crate::firmware::Toolchain;
use crate::process::run as run_command;
use crate::steps::Outcome;
use crate::workspace;

/// Cortex-M0 and Cortex-M4.
const TARGETS: [&str; 2] = ["thumbv6m-none-eabi", "thumbv7em-none-eabi"];

const KIB: u32 = 1024;
/// Budgets for every bootloader, in bytes.
const STACK: u32 = 8 * KIB;
const RAM: u32 = 4 * KIB;

/// What is built: the features of the probe, and how much it may take.
struct Configuration {
    features: &'static str,
    budget: Option<u32>,
    ram: u32,
    stack: u32,
}

const fn free(features: &'static str) -> Configuration {
    Configuration { features, budget: None, ram: RAM, stack: STACK }
}

const fn within(features: &'static str, kib: u32) -> Configuration {
    Configuration { budget: Some(kib * KIB), ..free(features) }
}

const CONFIGURATIONS: &[Configuration] = &[
    free("swap-move"),
    free("swap-move,ecdsa-p256"),
    free("swap-move,ed25519"),
    free("overwrite-only,ed25519"),
    free("swap-offset,ed25519"),
    free("swap-scratch,ed25519"),
    free("swap-status,ed25519"),
    free("direct-xip,ed25519"),
    free("direct-xip-revert,ed25519"),
    free("ram-load,ed25519"),
    free("single-slot,ed25519"),
    free("firmware-loader,ed25519"),
    within("swap-move,ecdsa-p256,console", 28),
    within("swap-move,ed25519,console", 28),
    free("swap-move,ed25519,counters"),
    free("swap-move,ed25519,rollback"),
    free("swap-move,ed25519,enc-x25519"),
    free("swap-move,ecdsa-p256,enc-p256"),
    free("swap-move,ed25519,recovery"),
    within("swap-move,ecdsa-p256,console,rollback", 32),
    free("swap-move,rsa"),
    // Boards that verify by it are linked with as much stack: `firmware/build`.
    Configuration { stack: 16 * KIB, ..free("swap-move,ecdsa-p384") },
    free("swap-move,ed25519,two-images"),
    free("swap-move,ed25519,measured"),
    free("swap-move,ed25519,enc-kw"),
    Configuration { stack: 16 * KIB, ..free("swap-move,rsa,enc-rsa") },
    // The decoder of 28 ½ KiB is among its variables.
    Configuration { ram: 29 * KIB, ..free("overwrite-compressed,ed25519") },
    free("single-slot-ram-load,ed25519"),
];

/// The update agent, in each dialect: without a budget, as its buffers are the application's to choose.
const AGENTS: [(&str, &str); 3] = [
    ("Infineon AnyCloud, over MQTT and HTTP", "agent-infineon,ecdsa-p256"),
    ("AWS IoT, streams and HTTP", "agent-aws,ecdsa-p256"),
    ("hawkBit's DDI", "agent-ddi,ecdsa-p256"),
];

/// One configuration on one processor.
struct Weighed {
    footprint: Footprint,
    stack: u32,
}

/// `cargo xtask size [--all] [agents] [NAME...]`: everything, the update agents, or the configurations of these features, or those
/// that have a budget for flash.
pub fn run(args: &[String]) -> Result<()> {
    TARGETS.into_iter().try_for_each(|target| Toolchain::choose(target).map(drop))?;
    match args {
        [all] if all == "--all" => write_page(),
        [agents] if agents == "agents" => {
            print!("{AGENTS_INTRODUCTION}{}", weigh_agents()?);
            Ok(())
        }
        [] => {
            let mut exceeded = weigh_all(has_budget)?.exceeded;
            exceeded.extend(boards::weigh()?.exceeded);
            within_budgets(exceeded)
        }
        named => {
            let named = |of: &Configuration| named.iter().any(|name| name == of.features);
            within_budgets(weigh_all(named)?.exceeded)
        }
    }
}

/// A step of `cargo xtask test`: the bootloaders that have a budget for flash are within it.
pub fn check() -> Result<Outcome> {
    if let Some(none) = TARGETS.into_iter().find_map(|target| Toolchain::choose(target).err()) {
        return Ok(Outcome::LeftOut(none.to_string()));
    }
    let of_probe = weigh_all(has_budget)?;
    let mut exceeded = of_probe.exceeded;
    let of_boards = boards::weigh()?;
    exceeded.extend(of_boards.exceeded);
    within_budgets(exceeded)?;
    let page = fs::read_to_string(path()).context("no docs/size.md")?;
    let mut outdated = outdated(&page, &of_probe.rows, OFF);
    outdated.extend(self::outdated(&page, &of_boards.rows, STACK_OFF));
    if !outdated.is_empty() {
        bail!(
            "docs/size.md is out of date, `cargo xtask size --all` writes it:\n  {}",
            outdated.join("\n  ")
        );
    }
    let count = CONFIGURATIONS.iter().filter(|of| has_budget(of)).count();
    let boards = of_boards.rows.lines().count();
    Ok(Outcome::Passed(format!(
        "{count} bootloaders × {}, and those of {boards} boards, within their budgets, and as docs/size.md has \
         them",
        TARGETS.len()
    )))
}

fn path() -> PathBuf {
    workspace::root().join("docs/size.md")
}

/// By how much a figure on the page may be off, in percent: compilers differ a little, and not every
/// change of a few bytes is worth a new page.
const OFF: u32 = 3;
/// The same for the stack of applications, which comes last: where functions may call each other in a
/// circle, as through the pointers of USB, TLS and Bluetooth, the path that is found depends on the order of
/// their names, which have hashes of the sources' folder in them.
const STACK_OFF: u32 = 25;

/// Rows of what was weighed that the page does not have, or has with other figures: the last one may be off
/// by so many percent.
fn outdated(page: &str, weighed: &str, last_off: u32) -> Vec<String> {
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let old: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).map(cells).collect();
    let same = |old: &String, new: &String, off: u32| match (old.parse(), new.parse()) {
        (Ok(old), Ok(new)) => {
            u64::from(u32::abs_diff(old, new)) * 100 <= u64::from(old.max(new)) * u64::from(off)
        }
        _ => old == new,
    };
    let mut faults = Vec::new();
    for row in weighed.lines() {
        let new = cells(row);
        let name = new.get(1).cloned().unwrap_or_default();
        match old.iter().find(|old| old.get(1) == Some(&name)) {
            None => faults.push(format!("{name}: no row")),
            Some(old) => {
                // A row ends with a line, behind which is nothing.
                let last = new.len().saturating_sub(2);
                let off = |at| if at == last { last_off } else { OFF };
                let mut cells = old.iter().zip(&new).enumerate();
                let all_same = cells.all(|(at, (old, new))| same(old, new, off(at)));
                if old.len() != new.len() || !all_same {
                    faults.push(format!("{name}: {} there, {} now", old.join("|"), new.join("|")));
                }
            }
        }
    }
    faults
}

fn has_budget(configuration: &Configuration) -> bool {
    configuration.budget.is_some()
}

/// Weighs everything, and writes docs/size.md.
fn write_page() -> Result<()> {
    let of_boards = boards::weigh()?;
    let Table { rows, mut exceeded } = weigh_all(|_| true)?;
    exceeded.extend(of_boards.exceeded);
    let page = format!(
        "{INTRODUCTION}{rows}\n{AGENTS_INTRODUCTION}{}\n{}{}{}",
        weigh_agents()?,
        boards::INTRODUCTION,
        of_boards.rows,
        verdict(&exceeded)
    );
    let path = path();
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    within_budgets(exceeded)
}

fn within_budgets(exceeded: Vec<String>) -> Result<()> {
    match &exceeded[..] {
        [] => Ok(()),
        list => bail!("over budget:\n  {}", list.join("\n  ")),
    }
}

/// What was weighed: the rows of the page, and which are too large.
#[derive(Default)]
struct Table {
    rows: String,
    exceeded: Vec<String>,
}

fn weigh_all(wanted: impl Fn(&Configuration) -> bool) -> Result<Table> {
    let Table { mut rows, mut exceeded } = Table::default();
    for Configuration { features, budget, ram: most_ram, stack: most_stack } in
        CONFIGURATIONS.iter().filter(|c| wanted(c))
    {
        let mut cells = Vec::new();
        for target in TARGETS {
            let weighed = weigh("probe", features, target)?;
            let Weighed { footprint: Footprint { flash, ram }, stack } = weighed;
            println!("{target}: {features}: flash {flash}, RAM {ram}, stack {stack}");
            for (what, size, limit) in [
                ("flash", flash, *budget),
                ("RAM", ram, Some(*most_ram)),
                ("stack", stack, Some(*most_stack)),
            ] {
                if let Some(limit) = limit.filter(|limit| size > *limit) {
                    exceeded.push(format!("{features} on {target}: {what} {size} of {limit}"));
                }
            }
            cells.extend([flash, ram, stack].map(|size| size.to_string()));
        }
        let budget = budget.map_or("–".to_owned(), |budget| budget.to_string());
        let features = features.replace(',', ", ");
        let _ = writeln!(rows, "| {features} | {budget} | {} |", cells.join(" | "));
    }
    Ok(Table { rows, exceeded })
}

fn verdict(exceeded: &[String]) -> String {
    match exceeded {
        [] => "\nEverything is within its budget.\n".to_owned(),
        list => format!("\nOver budget:\n\n- {}\n", list.join("\n- ")),
    }
}

/// The rows of agents on both processors: flash, and stack with all memory of the agent on it.
fn weigh_agents() -> Result<String> {
    let mut rows = String::new();
    for (name, features) in AGENTS {
        let mut cells = Vec::new();
        for target in TARGETS {
            let Weighed { footprint: Footprint { flash, ram }, stack } =
                weigh("agent", features, target)?;
            println!("{target}: {features}: flash {flash}, RAM {ram}, stack {stack}");
            cells.extend([flash, ram + stack].map(|size| size.to_string()));
        }
        let _ = writeln!(rows, "| {name} | {} |", cells.join(" | "));
    }
    Ok(rows)
}

/// Builds a probe and weighs it.
fn weigh(program: &str, features: &str, target: &str) -> Result<Weighed> {
    let toolchain = Toolchain::choose(target)?;
    let folder = toolchain.target_dir(&workspace::target().join("size-probe"));
    let mut command = toolchain.cargo("rustc");
    command.args(["--quiet", "--release", "--target", target]);
    command.args(["--bin", program, "--features", features, "--", "--emit=asm,link"]);
    // Its own settings for the compiler are in its own folder.
    command.current_dir(workspace::root().join("xtask/size-probe"));
    command.env("CARGO_TARGET_DIR", &folder).env_remove("RUSTFLAGS");
    run_command(&mut command)?;
    let built = folder.join(target).join("release");
    let file = fs::read(built.join(program)).context("the probe was built, and is not there")?;
    let footprint = elf::footprint(&file).context("the probe is no 32-bit ELF file")?;
    let assembly = assembly(&built.join("deps"), &file)?;
    let stack = stack::depth(&assembly, "entry").context("the probe's assembly has no entry")?;
    Ok(Weighed { footprint, stack })
}

/// The assembly of `program`, among those of other configurations.
pub fn assembly(folder: &Path, program: &[u8]) -> Result<String> {
    let files =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for file in files.flatten().map(|entry| entry.path()) {
        if file.extension().is_none() && fs::read(&file).is_ok_and(|bytes| bytes == program) {
            // The same program may have been built without, too.
            if let Ok(assembly) = fs::read_to_string(file.with_extension("s")) {
                return Ok(assembly);
            }
        }
    }
    bail!("there is no assembly of the program in {}", folder.display())
}

const INTRODUCTION: &str = "\
# Size on the chip

What a bootloader takes, in bytes: flash (code, constants), RAM (variables) and stack (the deepest \
path of calls, as the assembly has them). Everything that a board adds is left out: drivers, start-up \
code, vector table. `cargo xtask size --all` builds `xtask/size-probe` in each configuration and \
writes this page; `cargo xtask test` weighs those that have a budget for flash. Besides that, every \
bootloader may take 8192 bytes of stack and 4096 of RAM; with ECDSA P-384 or RSA-OAEP 16384 of stack, and \
with compressed images 29696 of RAM, which their decoder is in.

A board that is short of flash gets the same by doing what the probe does:

- `opt-level = \"z\"`, link-time optimisation in one unit, `panic = \"abort\"`, and the compact hashes \
and ciphers that `xtask/size-probe/.cargo/config.toml` asks for;
- the features of `updraft-image` that its images need and no others: SHA-384 and SHA-512 \
(`sha512`), encryption (`enc`), compression and the original's own verdicts (`imitate`) are not \
there unless asked for;
- `OneImage` around its configuration and `Bootloader::boot_image`, where there is one image;
- `updraft_flash::Brief` around its flash map: errors are one byte on the way, and whole in the end;
- a console by `updraft_image::Describe`, without `core::fmt`, and in line, so that only what can \
happen has words (`xtask/size-probe/src/console.rs`);
- a configuration that is a constant (`Bootloader::fixed`), and a key that is understood while \
compiling: what the board does not do, such as filling an empty slot unasked, is not linked;
- the compiler's routines for copying, filling and dividing as a small C library has them \
(`firmware/routines`), instead of the toolchain's, which take 2 KB more;
- the buffers of serial recovery in RAM, and the boot's frames off the stack before it starts.

| configuration | budget | v6m flash | RAM | stack | v7em flash | RAM | stack |
|---|--:|--:|--:|--:|--:|--:|--:|
";

const AGENTS_INTRODUCTION: &str = "\
## The update agent

`updraft-ota` with one dialect over a slot of 64 blocks of 4096 bytes (`dfu::Slot`), which verifies \
images by ECDSA P-256; sockets, TLS and MQTT are left out, as are flash driver and start-up code. RAM is the \
stack at its deepest, with all memory of the agent on it: its state, its record, and 7 to 9 KB of \
buffers for a block, a job and what is said.

| dialect | v6m flash | RAM | v7em flash | RAM |
|---|--:|--:|--:|--:|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_sizes_is_out_of_date_when_a_row_is_missing_or_off() {
        let page = "| board | flash |\n|---|--:|\n| a | 1000 | – |\n| b | 2000 | – |\n";
        assert_eq!(outdated(page, "| a | 1000 | – |\n| b | 2059 | – |\n", OFF), [""; 0]);
        assert_eq!(
            outdated(page, "| b | 2100 | – |\n", OFF),
            ["b: |b|2000|–| there, |b|2100|–| now"]
        );
        assert_eq!(
            outdated(page, "| a | 1000 | 5 |\n", OFF),
            ["a: |a|1000|–| there, |a|1000|5| now"]
        );
        assert_eq!(outdated(page, "| c | 1 | – |\n", OFF), ["c: no row"]);
    }

    #[test]
    fn the_stack_of_an_application_may_differ_from_folder_to_folder() {
        let page = "| a | 1000 | 1000 |\n";
        let count = |row, last_off| outdated(page, row, last_off).len();
        assert_eq!(count("| a | 1000 | 1200 |\n", STACK_OFF), 0);
        assert_eq!(count("| a | 1000 | 1200 |\n", OFF), 1);
        assert_eq!(count("| a | 1200 | 1000 |\n", STACK_OFF), 1);
        assert_eq!(count("| a | 1000 | 1500 |\n", STACK_OFF), 1);
    }
}
