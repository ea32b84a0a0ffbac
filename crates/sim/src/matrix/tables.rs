//! The matrix as tables for people.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use updraft_board::FlashKind;
use updraft_image::UpgradeMode;

use super::cell::{Cell, Fill, Secrecy, Unplayed};
use super::sweep::{Promise, Sweep};
use super::{KINDS, SHAPES};
use crate::Loader;
use crate::explore::Survivors;
use crate::flash::Torn;

/// What many cells came to, by mode and kind.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    rows: BTreeMap<(usize, usize), Row>,
    stories: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Default)]
struct Row {
    cells: u64,
    refused: u64,
    unplayable: u64,
    stories: u64,
    cuts: u64,
    states: u64,
    unstable: Survivors,
    failures: u64,
}

impl Row {
    fn add(&mut self, sweep: &Sweep) {
        self.stories += sweep.stories.len() as u64;
        self.cuts += sweep.cuts;
        self.states += sweep.states;
        self.unstable.cuts += sweep.unstable.cuts;
        self.unstable.survived += sweep.unstable.survived;
        self.failures += sweep.failures.len() as u64;
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, mode: &str, kind: &str) -> fmt::Result {
        let Self { cells, refused, unplayable, stories, cuts, states, unstable, failures } = self;
        let played = cells - refused - unplayable;
        let Survivors { cuts: torn, survived } = unstable;
        let share = match torn {
            0 => "–".to_owned(),
            torn => format!("{survived} of {torn}"),
        };
        writeln!(
            f,
            "| {mode} | {kind} | {played} | {refused} | {stories} | {cuts} | {states} | \
             {failures} | {share} |"
        )
    }
}

impl Totals {
    /// Adds what a cell came to.
    pub fn add(&mut self, cell: &Cell, outcome: &Result<Sweep, Unplayed>) {
        let mode = UpgradeMode::ALL.iter().position(|mode| *mode == cell.mode).unwrap_or_default();
        let kind = KINDS.iter().position(|kind| *kind == cell.kind).unwrap_or_default();
        let row = self.rows.entry((mode, kind)).or_default();
        row.cells += 1;
        match outcome {
            Ok(sweep) => {
                row.add(sweep);
                for story in &sweep.stories {
                    *self.stories.entry(story.clone()).or_default() += 1;
                }
            }
            Err(Unplayed::Refused(_)) => row.refused += 1,
            Err(Unplayed::Unplayable(_)) => row.unplayable += 1,
        }
    }

    fn sum(&self) -> Row {
        self.rows.values().fold(Row::default(), |mut sum, row| {
            sum.cells += row.cells;
            sum.refused += row.refused;
            sum.unplayable += row.unplayable;
            sum.stories += row.stories;
            sum.cuts += row.cuts;
            sum.states += row.states;
            sum.unstable.cuts += row.unstable.cuts;
            sum.unstable.survived += row.unstable.survived;
            sum.failures += row.failures;
            sum
        })
    }

    /// Devices that did not survive.
    pub fn failures(&self) -> u64 {
        self.sum().failures
    }

    /// Power cuts.
    pub fn cuts(&self) -> u64 {
        self.sum().cuts
    }

    /// All of it in one line.
    pub fn line(&self) -> String {
        let Row { cells, refused, unplayable, stories, cuts, states, failures, .. } = self.sum();
        let played = cells - refused - unplayable;
        let unplayable = match unplayable {
            0 => String::new(),
            count => format!(", {count} that nothing here can play"),
        };
        format!(
            "{played} boards played, {refused} refused{unplayable}; {stories} stories, {cuts} \
             cuts, {states} states, {failures} failures"
        )
    }
}

/// A table of Markdown, and how often each story was told.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| mode | kind | boards | refused | stories | cuts | states | failures | unstable \
             cells survived |\n|---|---|--:|--:|--:|--:|--:|--:|--:|"
        )?;
        for ((mode, kind), row) in &self.rows {
            row.write(f, UpgradeMode::ALL[*mode].name(), KINDS[*kind].name())?;
        }
        self.sum().write(f, "**all**", "")?;
        let stories: Vec<_> =
            self.stories.iter().map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(f, "\nStories: {}.", stories.join(", "))
    }
}

/// The page that says what each mode survives on each kind of flash, and what is refused and why.
/// `cargo xtask tables` writes it.
pub fn modes_and_kinds() -> String {
    let mut page = String::from(INTRODUCTION);
    let classes: [(&str, Torn); 7] = [
        ("nothing", Torn::Skip),
        ("half", Torn::Half),
        ("one bit", Torn::OneBit(0)),
        ("all but one bit", Torn::AllButOneBit(0)),
        ("some of the bits", Torn::Bits(0)),
        ("unstable cells", Torn::Unstable(0)),
        ("unreadable words", Torn::Unreadable(0)),
    ];
    let names: Vec<_> = classes.iter().map(|(name, _)| *name).collect();
    let _ = writeln!(page, "| mode | kind | geometries | {} |", names.join(" | "));
    let _ = writeln!(page, "|---|---|--:|{}", "---|".repeat(classes.len()));
    let mut refusals = String::new();
    for mode in UpgradeMode::ALL {
        let mut reasons = BTreeMap::<String, Reason>::new();
        for kind in KINDS {
            let (fill, secrecy) = (Fill::Shrinking, Secrecy::Plain);
            let cell = |shape| Cell { mode, kind, shape, fill, secrecy };
            let (mut board, mut played) = (None, 0);
            for shape in &SHAPES {
                match cell(shape).board() {
                    Ok(found) => {
                        played += u32::from(Loader::new(&found).is_ok());
                        board = Some(found);
                    }
                    Err(why) => {
                        let why = why.to_string();
                        let why = why.split("; ").next().unwrap_or_default();
                        let reason = reasons.entry(without_numbers(why)).or_insert_with(|| {
                            Reason { example: why.to_owned(), kinds: Vec::new() }
                        });
                        reason.kinds.push(kind);
                    }
                }
            }
            let physics = board.and_then(|board| Some(board.flash().first()?.kind()));
            let verdict = |torn| match physics {
                None => "refused",
                Some(_) if played == 0 => "not played",
                Some(_) if never_writes(mode) => "not written",
                Some(kind) => match Promise::of(mode, torn, kind) {
                    Promise::Survived => "survived",
                    Promise::Reported => "reported",
                    Promise::CannotOccur => "–",
                },
            };
            let verdicts: Vec<_> = classes.iter().map(|(_, torn)| verdict(*torn)).collect();
            let _ = writeln!(
                page,
                "| {mode} | {} | {played} of {} | {} |",
                kind.name(),
                SHAPES.len(),
                verdicts.join(" | ")
            );
        }
        for Reason { example, kinds } in reasons.values() {
            let counts = KINDS.iter().filter_map(|kind| {
                let count = kinds.iter().filter(|other| *other == kind).count();
                (count > 0).then(|| format!("{} {count}", kind.name()))
            });
            let counts: Vec<_> = counts.collect();
            let _ = writeln!(refusals, "| {mode} | {} | {example} |", counts.join(", "));
        }
    }
    let _ = write!(page, "{REFUSALS}{refusals}");
    page
}

/// Why boards of one mode are refused.
struct Reason {
    example: String,
    kinds: Vec<FlashKind>,
}

/// Refusals that differ in their arithmetic only are the same refusal.
fn without_numbers(text: &str) -> String {
    let word = |word: &str| {
        if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word }.to_owned()
    };
    let mut words: Vec<_> = text.split_whitespace().map(word).collect();
    // "4 × 1024 + 2 × 2048" is as many numbers as there are runs.
    words.retain(|word| !["×", "+", "#"].contains(&word.as_str()));
    words.join(" ")
}

/// Whether a bootloader of `mode` has nothing to write, ever.
fn never_writes(mode: UpgradeMode) -> bool {
    matches!(mode, UpgradeMode::SingleSlot | UpgradeMode::SingleSlotRamLoad)
}

const INTRODUCTION: &str = "\
# Modes and kinds of flash

What a device survives when the power fails within an operation, by what the operation leaves \
behind: nothing of itself, half, one bit, all but one bit, some of the bits, cells that read differently \
from time to time, words that cannot be read. Generated by `cargo xtask tables` from the board \
files of the matrix in `updraft_sim::matrix`.

- **survived**: gates. `cargo xtask test` shows it for another part of the matrix in every run, \
`cargo xtask long explorer` for all of it ([evidence](evidence/explorer.md)).
- **reported**: counted in the same evidence. MCUboot's trailers have one copy of each flag and no \
check, so nobody can tell an unstable cell from a good one.
- **refused**: no board file with this pair is accepted; the second table says why.
- **not written**: the bootloader of this mode writes nothing at all.
- **not played**: accepted, but nothing in this project can show it yet.
- **–**: operations on such flash do not end like that.

Geometries are those that the board file accepts and that can be played, of all in the matrix.

";

const REFUSALS: &str = "
## What is refused, and why

How many geometries on which kind, and the first refusal of its sort, with its arithmetic.

| mode | refused | why |
|---|---|---|
";
