//! Pages of `docs` that are made from the code. Tests tell when one is out of date.

use std::fs;

use anyhow::{Context, Result};

use crate::process::{cargo, output};
use crate::workspace;

/// Pages that an example of `updraft-sim` prints, each by the name of its file.
const PAGES: [&str; 2] = ["docs/modes-and-flash-kinds.md", "docs/evidence/flash-operations.md"];

/// `cargo xtask tables`.
pub fn run(_: &[String]) -> Result<()> {
    for path in PAGES {
        let file = workspace::root().join(path);
        let name = file.file_stem().unwrap_or_default();
        let mut command =
            cargo(["run", "--quiet", "--package", "updraft-sim", "--example", "page", "--"]);
        let page = output(command.arg(name))?;
        let changed = fs::read_to_string(&file).is_ok_and(|found| found == page);
        fs::write(&file, &page).with_context(|| format!("cannot write {}", file.display()))?;
        println!("{path}: {}", if changed { "as it was" } else { "written" });
    }
    let same = crate::boards::write()?;
    println!("docs/boards.md: {}", if same { "as it was" } else { "written" });
    let (path, page) = (crate::settings::path(), crate::settings::page()?);
    let same = fs::read_to_string(&path).is_ok_and(|found| found == page);
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    println!("docs/settings.md: {}", if same { "as it was" } else { "written" });
    Ok(())
}
