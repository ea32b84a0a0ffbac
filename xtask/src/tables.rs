//! Pages of `docs` that are made from the code. Tests tell when one is out of date.

use std::fs;

use anyhow::{Context, Result};

use crate::process::{cargo, output};
use crate::workspace;

/// A page: where it belongs, and the program that prints it.
struct Page {
    path: &'static str,
    package: &'static str,
    example: &'static str,
}

const PAGES: &[Page] = &[Page {
    path: "docs/modes-and-flash-kinds.md",
    package: "updraft-sim",
    example: "modes_and_kinds",
}];

/// `cargo xtask tables`.
pub fn run(_: &[String]) -> Result<()> {
    for Page { path, package, example } in PAGES {
        let args = ["run", "--quiet", "--package", package, "--example", example];
        let page = output(&mut cargo(args))?;
        let file = workspace::root().join(path);
        let changed = fs::read_to_string(&file).is_ok_and(|found| found == page);
        fs::write(&file, &page).with_context(|| format!("cannot write {}", file.display()))?;
        println!("{path}: {}", if changed { "as it was" } else { "written" });
    }
    Ok(())
}
