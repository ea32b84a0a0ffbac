//! What was explored, line by line, and the tables so far.
//!
//! ```text
//! depth  cell  cuts  states  unstable cuts  survived of them  stories  [path  why]…      by tabs
//! ```

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use updraft_sim::explore::{Failure, Survivors};
use updraft_sim::matrix::{Cell, Depth, Sweep};

/// How often the tables are written.
const EVERY: Duration = Duration::from_secs(10);

/// A file that grows with every cell.
pub(crate) struct Record {
    known: HashMap<String, Sweep>,
    tables: PathBuf,
    file: Mutex<(File, Option<Instant>)>,
}

impl Record {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        // A line without an end is one that was being written.
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let known = whole.filter_map(parse).collect();
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        let tables = path.with_extension("md");
        Ok(Self { known, tables, file: Mutex::new((file, None)) })
    }

    /// How many cells an earlier run has explored.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// What is known about `cell`.
    pub(crate) fn known(&self, depth: Depth, cell: &Cell) -> Option<Sweep> {
        self.known.get(&key(depth, cell)).cloned()
    }

    /// Adds what `cell` came to, and writes the tables if they are old.
    pub(crate) fn add(
        &self,
        depth: Depth,
        cell: &Cell,
        sweep: &Sweep,
        tables: impl FnOnce() -> String,
    ) -> io::Result<()> {
        let mut file = self.file.lock().expect("nobody panics with it");
        let (file, written) = &mut *file;
        file.write_all(line(&key(depth, cell), sweep).as_bytes())?;
        if written.is_none_or(|at| at.elapsed() > EVERY) {
            *written = Some(Instant::now());
            fs::write(&self.tables, tables())?;
        }
        Ok(())
    }
}

fn key(depth: Depth, cell: &Cell) -> String {
    format!("{depth:?}\t{cell}")
}

fn line(key: &str, sweep: &Sweep) -> String {
    let Sweep { stories, cuts, states, unstable, failures } = sweep;
    let Survivors { cuts: torn, survived } = unstable;
    let stories = stories.join(",");
    let mut line = format!("{key}\t{cuts}\t{states}\t{torn}\t{survived}\t{stories}");
    for Failure { path, why } in failures {
        line += &format!("\t{path}\t{}", why.replace(['\t', '\n'], " "));
    }
    line + "\n"
}

fn parse(line: &str) -> Option<(String, Sweep)> {
    let mut fields = line.split('\t');
    let key = [fields.next()?, fields.next()?].join("\t");
    let mut number = || fields.next()?.parse().ok();
    let (cuts, states) = (number()?, number()?);
    let unstable = Survivors { cuts: number()?, survived: number()? };
    let stories = fields.next()?.split(',').filter(|name| !name.is_empty());
    let stories = stories.map(str::to_owned).collect();
    let mut failures = Vec::new();
    while let Some(path) = fields.next() {
        failures.push(Failure { path: path.parse().ok()?, why: fields.next()?.to_owned() });
    }
    Some((key, Sweep { stories, cuts, states, unstable, failures }))
}
