//! The whole matrix of modes, kinds and geometries through every power cut. Prints a table of
//! Markdown; what it is at goes to standard error. `cargo xtask long explorer` runs it.
//!
//! ```text
//! matrix [--record FILE] [--story NAME] [MODE...] [KIND...]
//! ```
//! What is in the record is not explored again, and what is explored goes there at once, with the
//! tables so far beside it: a run that was interrupted goes on where it was.

mod record;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};
use record::Record;
use updraft_image::UpgradeMode;
use updraft_sim::explore::Failure;
use updraft_sim::matrix::{Cell, Depth, KINDS, Sweep, Totals, Unplayed, cells, small_cells};

type Outcome = Result<Sweep, Unplayed>;

const PAIRS: &str = "Every pair of cuts, on small geometries, with fewer seeds of each class";

/// Cells to be explored, and those that have been.
struct Part {
    title: &'static str,
    depth: Depth,
    cells: Vec<Cell>,
    outcomes: Mutex<Vec<Option<Outcome>>>,
}

impl Part {
    fn new(title: &'static str, depth: Depth, cells: Vec<Cell>) -> Self {
        let outcomes = Mutex::new(vec![None; cells.len()]);
        Self { title, depth, cells, outcomes }
    }

    /// The cells that take longest first, so that no thread is left alone with one.
    fn heaviest_first(mut self) -> Self {
        let weight = |mode| match mode {
            UpgradeMode::StatusPartition => 0,
            UpgradeMode::SwapScratch => 1,
            mode if mode.swaps() => 2,
            _ => 3,
        };
        self.cells.sort_by_key(|cell| weight(cell.mode));
        self
    }

    fn is_failed(&self) -> bool {
        let outcomes = self.outcomes.lock().expect("nobody panics with it");
        outcomes.iter().flatten().flatten().any(|sweep| !sweep.failures.is_empty())
    }

    /// The table so far.
    fn page(&self) -> String {
        let outcomes = self.outcomes.lock().expect("nobody panics with it");
        let mut totals = Totals::default();
        let mut failures = String::new();
        let mut unplayed = BTreeMap::<String, u32>::new();
        let mut done: Vec<_> = self.cells.iter().zip(outcomes.iter()).collect();
        done.sort_by_key(|(cell, _)| UpgradeMode::ALL.iter().position(|mode| *mode == cell.mode));
        for (cell, outcome) in done {
            let Some(outcome) = outcome else { continue };
            totals.add(cell, outcome);
            match outcome {
                Ok(sweep) => {
                    for failure in &sweep.failures {
                        failures += &format!("- {}\n", told(cell, failure));
                    }
                }
                Err(Unplayed::Unplayable(why)) => {
                    *unplayed.entry(why.to_string()).or_default() += 1;
                }
                Err(Unplayed::Refused(_)) => {}
            }
        }
        let left = outcomes.iter().filter(|outcome| outcome.is_none()).count();
        let left =
            if left > 0 { format!("\nNot explored yet: {left} cells.\n") } else { "".into() };
        let unplayed = unplayed
            .iter()
            .map(|(why, count)| format!("\nNot played: {count} boards: {why}.\n"))
            .collect::<String>();
        format!("## {}\n\n{totals}{unplayed}{left}\n{failures}", self.title)
    }
}

fn told(cell: &Cell, failure: &Failure) -> String {
    format!("**{cell}**: {}: {}", failure.path, failure.why)
}

fn main() -> ExitCode {
    let mut modes: Vec<_> = std::env::args().skip(1).collect();
    let mut option = |name: &str| {
        let at = modes.iter().position(|arg| arg == name)?;
        modes.remove(at);
        Some(if at < modes.len() { modes.remove(at) } else { String::new() })
    };
    let (file, stories) = (option("--record"), Vec::from_iter(option("--story")));
    let record = match file.map(PathBuf::from).map(Record::open).transpose() {
        Ok(record) => record,
        Err(error) => {
            eprintln!("error: the record cannot be opened: {error}");
            return ExitCode::from(2);
        }
    };
    let (kinds, modes): (Vec<_>, Vec<_>) =
        modes.into_iter().partition(|name| KINDS.iter().any(|kind| kind.name() == name));
    let asked = |mut cells: Vec<Cell>| {
        let among = |names: &[String], name: &str| names.is_empty() || names.contains(&name.into());
        cells.retain(|cell| among(&modes, cell.mode.name()) && among(&kinds, cell.kind.name()));
        cells
    };
    let parts = [
        Part::new("Every single cut", Depth::Single, asked(cells())),
        Part::new(PAIRS, Depth::Pairs, asked(small_cells())).heaviest_first(),
    ];
    explore(&parts, &stories, record.as_ref());
    parts.iter().for_each(|part| println!("{}", part.page()));
    if let Some(earlier) = record.map(|record| record.len()).filter(|cells| *cells > 0) {
        println!("Of this, {earlier} cells were explored before the run went on.");
    }
    if parts.iter().any(Part::is_failed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// One cell on each thread: what is small has no time to wait for others.
fn explore(parts: &[Part], stories: &[String], record: Option<&Record>) {
    let queue = parts.iter().flat_map(|part| (0..part.cells.len()).map(move |at| (part, at)));
    let queue: Vec<_> = queue.collect();
    let bar = ProgressBar::new(queue.len() as u64);
    let style = "{elapsed_precise} [{bar:30}] {pos}/{len} cells {msg}";
    bar.set_style(ProgressStyle::with_template(style).expect("a template").progress_chars("=> "));
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((part, at)) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
            let cell = &part.cells[*at];
            let known = record.and_then(|record| record.known(part.depth, cell));
            let is_known = known.is_some();
            let outcome = known.map_or_else(|| cell.sweep_on(1, part.depth, stories), Ok);
            if let Ok(sweep) = &outcome
                && !is_known
            {
                let Sweep { cuts, states, .. } = sweep;
                let said = format!("{}: {cell}: {cuts} cuts, {states} states", part.title);
                if bar.is_hidden() {
                    eprintln!("{said}")
                } else {
                    bar.set_message(said)
                }
                for failure in &sweep.failures {
                    bar.suspend(|| eprintln!("{}\n{}", told(cell, failure), cell.board_file()));
                }
            }
            part.outcomes.lock().expect("nobody panics with it")[*at] = Some(outcome.clone());
            if let (Some(record), Ok(sweep), false) = (record, &outcome, is_known) {
                let pages = || parts.iter().map(Part::page).collect::<Vec<_>>().join("\n");
                if let Err(error) = record.add(part.depth, cell, sweep, pages) {
                    bar.suspend(|| eprintln!("warning: not recorded: {error}"));
                }
            }
            bar.inc(1);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    bar.finish_and_clear();
}
