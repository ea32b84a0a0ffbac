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
const RUN: [(&str, &str); 10] = [
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
        "emcraft-sf2",
        "images on SPI flash, copied to RAM, verified there and run: uploads by `updraft smp` and smpmgr; test, confirm, revert; refused images, of which nothing is left in RAM; serial recovery; the watchdog's start seen, and its reset played from outside; the emulator killed during uploads and whole upgrades, and between any two transfers of a boot and of a confirmation; a flash chip of an unknown kind, and none; on a network: TCP, TLS 1.3, SMP over UDP, an update over MQTT with mutual TLS",
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
        "button A held for six seconds, or pressed on an empty chip, brings the factory image back, with the original's lines; a damaged one costs nothing; the power cut before any write of a rollback",
    ),
    (
        "microbit-zephyr",
        "Zephyr's own application under our bootloader, and ours under its MCUboot (in C): upload, test, confirm, revert, a damaged image refused",
    ),
];

/// What there is of a board's parts: the bootloader, console and SMP on a serial line, USB, Bluetooth, a
/// network (Wi-Fi, Ethernet), flash beside the chip's own. By the folder of its programs.
const PARTS: [(&str, [&str; 6]); 10] = [
    ("microbit", [RAN, RAN, NONE, LEFT_OUT, NONE, NONE]),
    ("mps2-an386", [RAN, RAN, NONE, NONE, RAN, RAN]),
    ("emcraft-sf2", [RAN, RAN, NONE, NONE, RAN, RAN]),
    ("pinetime", [BUILT, BUILT, NONE, BUILT, NONE, BUILT]),
    ("rak4631", [BUILT, BUILT, BUILT, BUILT, NONE, NONE]),
    ("rak3172", [BUILT, BUILT, NONE, NONE, NONE, NONE]),
    ("rak11720", [BUILT, BUILT, NONE, IMPOSSIBLE, NONE, NONE]),
    ("cy8cproto-062-4343w", [BUILT, BUILT, NONE, IMPOSSIBLE, IMPOSSIBLE, BUILT]),
    ("cy8ckit-062s2-43012", [BUILT, BUILT, NONE, IMPOSSIBLE, IMPOSSIBLE, BUILT]),
    ("cy8ckit-064s0s2-4343w", [IMPOSSIBLE, BUILT, NONE, IMPOSSIBLE, IMPOSSIBLE, BUILT]),
];
const RAN: &str = "run";
const BUILT: &str = "compiled";
const IMPOSSIBLE: &str = "not possible";
const LEFT_OUT: &str = "left out";
const NONE: &str = "–";

/// What else is to be said of boards that nobody has run.
const COMPILED: [(&str, &str); 4] = [
    ("pinetime", "SMP over Bluetooth LE"),
    ("rak4631", "SMP over USB beside the UART, or over Bluetooth LE beside it"),
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
    rows.push_str(
        "\n| Programs | Bootloader | Serial line | USB | Bluetooth | Network | External flash |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for package in firmware::packages()? {
        let parts = PARTS.iter().find(|(of, _)| *of == package);
        let (_, parts) = parts
            .with_context(|| format!("PARTS in xtask/src/boards.rs has no row for {package}"))?;
        let _ = writeln!(
            rows,
            "| [`{package}`](../firmware/boards/{package}/README.md) | {} |",
            parts.join(" | ")
        );
    }
    rows.push_str(LEGEND);
    Ok(rows)
}

const LEGEND: &str = "
**run**: by emulated boards, in CI. **compiled**: in CI, and nobody has seen it run. **not possible**: there is \
no open driver, or the chip's own bootloader cannot be replaced; the README says what was looked for. **left \
out**: it could be done, and the README says what is in the way. –: the board has none, or none that is of use here.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_boards_is_up_to_date() {
        let (_, same) = current().unwrap();
        assert!(same, "`cargo xtask tables` writes it");
    }

    #[test]
    fn what_runs_has_programs_and_a_test_that_runs_them() {
        let mut tests = String::new();
        for folder in ["chips", "devices"] {
            let folder = workspace::root().join("crates/cli/tests").join(folder);
            for file in fs::read_dir(folder).unwrap().flatten() {
                tests += &fs::read_to_string(file.path()).unwrap_or_default();
            }
        }
        for (name, _) in RUN {
            assert!(firmware::has_programs(name).unwrap(), "{name}");
            assert!(tests.contains(&format!("\"{name}\"")), "no test starts {name}");
        }
    }

    #[test]
    fn every_folder_of_programs_says_what_was_run_how_it_is_flashed_and_what_differs() {
        for package in firmware::packages().unwrap() {
            let path = workspace::root().join("firmware/boards").join(&package).join("README.md");
            let text = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{package}: no README"));
            assert!(text.contains("**Run:**"), "{package}: nothing about what was run");
            let (_, parts) = PARTS.iter().find(|(of, _)| *of == package).unwrap();
            for wanted in ["probe-rs", "openocd"] {
                // What exists in an emulator alone is started there.
                let named = parts[0] == RAN || text.to_lowercase().contains(wanted);
                assert!(named, "{package}: not a word about {wanted}");
            }
            for (mark, heading) in [(IMPOSSIBLE, "not possible"), (LEFT_OUT, "not there")] {
                if parts.contains(&mark) {
                    assert!(text.to_lowercase().contains(heading), "{package}: why {mark}?");
                }
            }
            for board in firmware::boards().unwrap().iter().filter(|it| it.is_of(&package)) {
                let named = text.contains(&format!("`{}`", board.name));
                assert!(named, "{package}: not a word about {}", board.name);
            }
        }
    }
}
