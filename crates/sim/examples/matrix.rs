//! The whole matrix of modes, kinds and geometries through every power cut. Prints a table of
//! Markdown; what it is at goes to standard error. `cargo xtask long explorer` runs it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use updraft_sim::explore::Failure;
use updraft_sim::matrix::{Cell, Depth, Totals, Unplayed, cells, small_cells};

fn main() -> ExitCode {
    let mut failed = false;
    let mut explore = |title: &str, depth, cells: &[Cell]| {
        let began = Instant::now();
        let mut totals = Totals::default();
        let mut failures = Vec::new();
        let mut unplayed = BTreeMap::<String, u32>::new();
        for (number, cell) in cells.iter().enumerate() {
            let outcome = cell.sweep(depth);
            if let Ok(sweep) = &outcome {
                eprintln!(
                    "{title} {number}/{}, {:.0} s, {} cuts, {} states: {cell}",
                    cells.len(),
                    began.elapsed().as_secs_f64(),
                    sweep.cuts,
                    sweep.states
                );
                failures.extend(sweep.failures.iter().map(|failure| tell(cell, failure)));
            } else if let Err(Unplayed::Unplayable(why)) = &outcome {
                *unplayed.entry(why.to_string()).or_default() += 1;
            }
            totals.add(cell, &outcome);
        }
        failed |= totals.failures() > 0;
        println!("## {title}\n\n{totals}");
        unplayed.iter().for_each(|(why, count)| println!("Not played: {count} boards: {why}.\n"));
        failures.iter().for_each(|failure| println!("- {failure}"));
    };
    // Names of modes, if it is to be these only.
    let modes: Vec<_> = std::env::args().skip(1).collect();
    let asked = |cells: Vec<Cell>| -> Vec<_> {
        let is_asked =
            |cell: &Cell| modes.is_empty() || modes.iter().any(|it| *it == cell.mode.name());
        cells.into_iter().filter(is_asked).collect()
    };
    explore("Every single cut", Depth::Single, &asked(cells()));
    explore("Every pair of cuts, on small geometries", Depth::Pairs, &asked(small_cells()));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Tells how to get to a failure; the board goes to standard error, to be walked there.
fn tell(cell: &Cell, failure: &Failure) -> String {
    let told = format!("**{cell}**: {}: {}", failure.path, failure.why);
    eprintln!("{told}\n{}", cell.board_file());
    told
}
