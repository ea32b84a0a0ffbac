//! The table in `docs/boards.md`: what has been run on which board, and what was only compiled.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::firmware;
use crate::workspace;

/// Where the table begins and ends on the page.
const BEGIN: &str = "<!-- cargo xtask tables makes this table -->\n";
const END: &str = "<!-- end of the table -->\n";

/// Boards whose programs run, by the tests of `crates/cli/tests/chips`; and what they have shown.
const RUN: [(&str, &str); 9] = [
    (
        "mps2-an386",
        "uploads by `updraft smp` and smpmgr; test, confirm, revert; watchdog; refused images; serial recovery; the emulator killed during uploads, swaps and whole upgrades; on a network: TCP, TLS 1.3 against OpenSSL both ways, impostors refused, SMP over UDP; updates over MQTT from mosquitto, plain and with mutual TLS, power cuts in the download",
    ),
    (
        "mps2-an386-factory",
        "updates and factory image on a second device, overwriting, P-256, as the PSoC 62 kits have it: the original's demonstration, plain and over TLS: an empty device, the factory app by the button, its light, an update over MQTT, the rollback with the power cut in it, the update again",
    ),
    (
        "mps2-an386-external",
        "the same without recovery and network; updates on a second device with larger sectors, P-256; the power cut before words of both devices and of the scratch area",
    ),
    (
        "microbit",
        "uploads by `updraft smp` and smpmgr; test, confirm, revert; refused images; the watchdog started, and its reset played from outside; not one access that the flash controller or a timer does not allow; the power cut before any erase or store of a swap",
    ),
    ("microbit-offset", "the same"),
    ("microbit-scratch", "the same"),
    (
        "microbit-recovery",
        "serial recovery by updraft and smpmgr: of an empty chip, by the button, by the application's wish, with the power cut while it is filled",
    ),
    (
        "microbit-factory",
        "button A held, or pressed on an empty chip, brings the factory image back, with the original's lines; a damaged one costs nothing; the power cut before any write of a rollback",
    ),
    (
        "microbit-zephyr",
        "Zephyr's own application under our bootloader, and ours under its MCUboot (in C): upload, test, confirm, revert, a damaged image refused",
    ),
];

/// What else is to be said of boards that nobody has run.
const COMPILED: [(&str, &str); 3] = [
    ("rak4631", "SMP over USB beside the UART"),
    ("rak4631-rak", "SMP over USB beside the UART"),
    ("cy8ckit-064s0s2-4343w", "the application: the bootloader is its maker's"),
];

fn page() -> PathBuf {
    workspace::root().join("docs/boards.md")
}

/// The page with a table that is up to date, and whether it was so before.
fn current() -> Result<(String, bool)> {
    let text = fs::read_to_string(page()).context("no docs/boards.md")?;
    let (before, rest) = text.split_once(BEGIN).context("docs/boards.md has lost its table")?;
    let (_, after) = rest.split_once(END).context("the table in docs/boards.md has no end")?;
    let new = format!("{before}{BEGIN}{}{END}{after}", table()?);
    let same = new == text;
    Ok((new, same))
}

/// Writes the table anew; says whether it was up to date.
pub fn write() -> Result<bool> {
    let (text, same) = current()?;
    fs::write(page(), text).context("cannot write docs/boards.md")?;
    Ok(same)
}

fn table() -> Result<String> {
    let mut rows = "| Board | Processor | State | What was seen |\n|---|---|---|---|\n".to_owned();
    for name in firmware::names()? {
        if name.starts_with("virtual-") {
            continue;
        }
        let cores = firmware::cores(&name)?;
        let find = |list: &[(&str, &'static str)]| {
            list.iter().find_map(|(of, what)| (*of == name).then_some((*what).to_owned()))
        };
        let (state, seen) = match find(&RUN) {
            Some(what) => ("run in QEMU, in CI", what),
            None if firmware::has_programs(&name)? => {
                let has = find(&COMPILED).map_or(String::new(), |what| format!("{what}; "));
                let seen = format!("{has}nobody has run it; its README says how to try");
                ("compiled in CI", seen)
            }
            None => ("described", "images are made for it, and virtual devices play it".to_owned()),
        };
        let _ = writeln!(rows, "| `{name}` | {} | {state} | {seen} |", cores.join(", "));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_boards_is_up_to_date() {
        let (_, same) = current().unwrap();
        assert!(same, "`cargo xtask tables` writes it");
    }

    #[test]
    fn what_runs_has_programs() {
        for (name, _) in RUN {
            assert!(firmware::has_programs(name).unwrap(), "{name}");
        }
    }
}
