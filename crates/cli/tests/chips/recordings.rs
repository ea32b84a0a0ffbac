//! Recordings of emulated boards in `docs/recordings`: what a user types and what the board prints.
//! Every run plays them anew and compares; with `UPDRAFT_RECORD` set (`cargo xtask record`) the pages are
//! written. Hashes, rates and times may differ from one build or run to the next.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use updraft_board::Role;

use crate::bench::{Bench, MICROBIT, MICROBIT_FACTORY, Powered};
use crate::story::HOST;

/// Bytes that are each version's own.
const TAIL: usize = 24 * 1024;
const ERASE: (u32, u32) = (0x4001_e508, 4);

/// A page in the making.
struct Recording {
    name: &'static str,
    text: String,
    /// Bytes of the console of this life that are on the page.
    shown: usize,
}

impl Recording {
    fn of(name: &'static str, about: &str) -> Self {
        Self { name, text: format!("{about}\n"), shown: 0 }
    }

    /// What happens to the board.
    fn note(&mut self, what: &str) {
        let _ = write!(self.text, "\n── {what}\n\n");
    }

    /// The power is on.
    fn on(&mut self, what: &str) {
        self.shown = 0;
        self.note(what);
    }

    /// What the board prints up to this text.
    fn console(&mut self, chip: &Powered<'_>, until: &str) {
        chip.wait(until);
        // To the end of its line, which may come later.
        chip.wait("\n");
        let printed = chip.printed();
        let from = printed.get(self.shown..).unwrap_or_default();
        let end = from.find(until).map_or(from.len(), |at| at + until.len());
        let end = from[end..].find('\n').map_or(end, |at| end + at);
        for line in from[..end].lines().map(str::trim).filter(|line| is_text(line)) {
            let _ = writeln!(self.text, "    board │ {line}");
        }
        self.shown += end;
    }

    /// A command of the user's, and what it says.
    fn command(&mut self, chip: &Powered<'_>, args: &[&str], shown: &[&str]) {
        let said = chip.smp(args).ok();
        let _ = writeln!(self.text, "$ updraft smp --serial /dev/ttyACM0 {}", shown.join(" "));
        for line in said.lines().filter(|line| !line.trim().is_empty()) {
            let _ = writeln!(self.text, "{line}");
        }
        // The messages are on the line as well.
        self.shown = chip.printed().len();
    }

    /// Writes the page, or holds it against the one that is there.
    fn finish(self) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/recordings");
        let path = PathBuf::from(folder).join(self.name).with_extension("txt");
        if std::env::var_os("UPDRAFT_RECORD").is_some() {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(&path, &self.text).unwrap();
            return;
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        let same = steady(&there) == steady(&self.text);
        assert!(same, "{} differs; `cargo xtask record` writes it\n{}", path.display(), self.text);
    }
}

/// A line of text, and no message that travels beside it.
fn is_text(line: &str) -> bool {
    !line.is_empty() && line.chars().all(|c| !c.is_control())
}

/// The page without what may differ: every run of digits, and hashes.
fn steady(page: &str) -> String {
    let words = page.split_inclusive(|c: char| c.is_whitespace());
    let words = words.map(|word| {
        let bare = word.trim().trim_matches(|c: char| !c.is_alphanumeric());
        let is_hash = bare.len() >= 8 && bare.chars().all(|c| c.is_ascii_hexdigit());
        let is_measured = bare.starts_with(|c: char| c.is_ascii_digit())
            && bare.matches('.').count() < 2
            && !bare.contains(':');
        if is_hash || is_measured { "#\n".to_owned() } else { word.to_owned() }
    });
    words.collect()
}

#[test]
fn an_update_over_the_line_with_a_power_cut() {
    let Some(bench) = Bench::new(MICROBIT, "recorded-update") else { return };
    let mut page = Recording::of(
        "update-with-power-cut",
        "An update of a BBC micro:bit, emulated by QEMU, over its serial line; the power fails while\n\
         the bootloader swaps. Made by `cargo xtask record`.",
    );
    let [old, new] = ["1.0.0", "2.0.0"].map(|version| bench.image_with_tail(version, HOST, TAIL));
    bench.provision(&old);
    let path = new.path.to_str().unwrap();

    page.on("power on");
    let chip = bench.start();
    page.console(&chip, "app: self-test passed");
    page.note("an update");
    page.command(&chip, &["image", "upload", path], &["image", "upload", "app-2.0.0.bin"]);
    page.command(&chip, &["image", "test", path], &["image", "test", "app-2.0.0.bin"]);
    chip.cut();

    page.on(
        "the board is switched off and on; the power fails again before the 20th erase of the swap",
    );
    let chip = bench.start_paused();
    for _ in 0..20 {
        assert!(chip.machine().run_to_store(&[ERASE], Duration::from_secs(60)).unwrap());
    }
    page.console(&chip, "boot: ");
    chip.cut();

    page.on("power on");
    let chip = bench.start();
    page.console(&chip, "app: self-test passed");
    page.note("it runs, and is confirmed");
    page.command(&chip, &["image", "confirm"], &["image", "confirm"]);
    page.command(&chip, &["image", "list"], &["image", "list"]);
    chip.cut();
    assert!(bench.holds(Role::Primary, &new) && bench.holds(Role::Secondary, &old));
    page.finish();
}

#[test]
fn a_factory_rollback() {
    let Some(bench) = Bench::new(MICROBIT_FACTORY, "recorded-rollback") else { return };
    let mut page = Recording::of(
        "factory-rollback",
        "A BBC micro:bit, emulated by QEMU, goes back to its factory image: button A is held from the reset\n\
         on. The lines of the original bootloader are said as it says them. Made by `cargo xtask record`.",
    );
    let factory = bench.image("0.9.0", HOST);
    let old = bench.image("1.0.0", HOST);
    bench.put(Role::Factory, 0, &factory.bytes);
    bench.provision(&old);

    page.on("power on");
    let chip = bench.start();
    page.console(&chip, "app: self-test passed");
    chip.cut();

    page.on("button A is held, power off and on");
    let chip = bench.start_paused();
    chip.press(true);
    chip.machine().resume().unwrap();
    page.console(&chip, "app: self-test passed");
    chip.press(false);
    page.note("what is there now");
    page.command(&chip, &["image", "list"], &["image", "list"]);
    chip.cut();
    assert!(bench.holds(Role::Primary, &factory) && bench.holds(Role::Factory, &factory));
    page.finish();
}
