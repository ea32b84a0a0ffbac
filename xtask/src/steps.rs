//! Named, timed steps and the table that closes a run.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a step ended.
pub enum Outcome {
    /// All of it was done; a figure worth repeating, or nothing.
    Passed(String),
    /// Not done, and why.
    LeftOut(String),
    /// Done, and found wanting.
    Failed(String),
}

impl Outcome {
    /// Passed, with nothing to add.
    pub fn passed() -> Self {
        Self::Passed(String::new())
    }
}

struct Row {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
}

/// The steps of a run, in the order in which they ran. A failed step does not stop the others.
#[derive(Default)]
pub struct Steps {
    rows: Vec<Row>,
}

impl Steps {
    /// Runs a step.
    pub fn step(&mut self, name: &'static str, work: impl FnOnce() -> Result<Outcome>) {
        println!("\n── {name} ──");
        let start = Instant::now();
        let outcome = work().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        match &outcome {
            Outcome::Failed(why) => println!("{name}: failed: {why}"),
            Outcome::LeftOut(why) => println!("{name}: left out: {why}"),
            Outcome::Passed(_) => {}
        }
        self.rows.push(Row { name, took: start.elapsed(), outcome });
    }

    /// Prints one line for each step.
    pub fn print(&self) {
        println!("\n── steps ──");
        for Row { name, took, outcome } in &self.rows {
            let (word, note) = match outcome {
                Outcome::Passed(figure) => ("ok", figure),
                Outcome::LeftOut(why) => ("left out", why),
                Outcome::Failed(why) => ("FAILED", why),
            };
            let note = note.lines().next().unwrap_or_default();
            println!("{name:<12}{:>7.1} s  {word:<9} {note}", took.as_secs_f64());
        }
        let total: Duration = self.rows.iter().map(|row| row.took).sum();
        println!("{:<12}{:>7.1} s", "total", total.as_secs_f64());
    }

    /// An error that names the failed steps, if any.
    pub fn verdict(&self) -> Result<()> {
        let failed: Vec<_> = self
            .rows
            .iter()
            .filter(|row| matches!(row.outcome, Outcome::Failed(_)))
            .map(|row| row.name)
            .collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}
