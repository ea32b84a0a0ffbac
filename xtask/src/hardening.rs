//! Looks into the machine code for what an optimiser might have taken out: the second test of every
//! security decision.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::chip::{as_weighed, compile};
use crate::firmware::Toolchain;
use crate::process::run;

/// Where to look, and how often what has to occur there.
///
/// Package, part of the function's symbol, what a line of it has to contain, how many lines. A
/// decision loads both of its words; whoever acts on one runs both of its tests.
const EXPECTED: [(&str, &str, &str, usize); 6] = [
    ("updraft-image", "Decision6is_yes17h", "ldr", 2),
    ("updraft-image", "Decision5still17h", "ldr", 2),
    ("updraft-image", "Validated6stands17h", "Decision6is_yes", 1),
    ("updraft-image", "Validated6stands17h", "Decision5still", 1),
    ("updraft-boot", "Boot10is_cleared17h", "Validated6stands", 2),
    ("updraft-boot", "Boot10is_cleared17h", "Validated6is_for", 2),
];

/// Checks the code that `target` gets; returns how many places were looked at.
pub fn check(target: &str, toolchain: &Toolchain) -> Result<usize> {
    for package in ["updraft-image", "updraft-boot"] {
        let mut command = compile(toolchain, "rustc", target);
        as_weighed(&mut command);
        command.args(["--package", package, "--", "--emit=asm"]);
        run(&mut command)?;
        let built = toolchain.workspace_target().join(target).join("chip/deps");
        let code = assembly(&built, package)?;
        for (_, function, wanted, times) in EXPECTED.iter().filter(|(of, ..)| *of == package) {
            let body = body(&code, function)
                .with_context(|| format!("{target}: no function {function} in {package}"))?;
            let found = body.lines().filter(|line| wanted.split('|').any(|w| line.contains(w)));
            let found = found.filter(|line| line.starts_with('\t')).count();
            if found < *times {
                bail!(
                    "{target}: {function} should have {wanted} {times} times and has it {found} \
                     times: the optimiser has removed a test\n{body}"
                );
            }
        }
    }
    Ok(EXPECTED.len())
}

/// The newest assembly of `package`.
fn assembly(folder: &Path, package: &str) -> Result<String> {
    let prefix = format!("{}-", package.replace('-', "_"));
    let is_ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(&prefix) && name.ends_with(".s")
    };
    let mut files: Vec<_> = fs::read_dir(folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_ours(path))
        .collect();
    files.sort_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok());
    let newest = files.last().with_context(|| format!("no assembly of {package}"))?;
    Ok(fs::read_to_string(newest)?)
}

/// The lines of the function whose symbol contains `name`.
fn body<'c>(code: &'c str, name: &str) -> Option<&'c str> {
    let start = code.match_indices(name).map(|(at, _)| at).find(|at| {
        let line = code[*at..].lines().next().unwrap_or_default();
        line.ends_with(':') && code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
    })?;
    let end = code[start..].find(".fnend")?;
    Some(&code[start..start + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_its_label_and_not_by_a_call() {
        let code = "\tbl\t_ZN1a4test17h0E\n_ZN1a4test17h0E:\n\tcmp\tr0, #1\n\t.fnend\n\tcmp\n";
        let body = body(code, "4test").unwrap();
        assert_eq!(body.matches("cmp").count(), 1);
    }
}
