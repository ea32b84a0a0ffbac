//! Reports: what passing tests print, such as how many golden files ran and which were left out.
//! nextest keeps it in a JUnit file (`.config/nextest.toml`), from which it is read here.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::runner::Runner;
use crate::workspace;

/// Forgets the last run, so that a run that comes to nothing reports nothing.
pub fn forget(profile: &str) -> Result<()> {
    let path = junit(profile);
    if path.exists() {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

fn junit(profile: &str) -> PathBuf {
    workspace::root().join("target/nextest").join(profile).join("junit.xml")
}

/// The lines that the tests of the last run printed, each behind the name of its test program.
pub fn of_last_run(runner: Runner, profile: &str) -> Vec<String> {
    if runner == Runner::Cargo {
        return vec!["what tests report is collected by cargo-nextest only".to_owned()];
    }
    // A run that did not get as far as running tests leaves no file.
    read(&fs::read_to_string(junit(profile)).unwrap_or_default())
}

fn read(junit: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for case in junit.split("<testcase ").skip(1) {
        let (name, program) = (attribute(case, "name"), attribute(case, "classname"));
        let program = program.strip_prefix("updraft-").unwrap_or(&program);
        for element in ["system-out", "system-err"] {
            let Some((_, rest)) = case.split_once(&format!("<{element}>")) else { continue };
            let Some((text, _)) = rest.split_once(&format!("</{element}>")) else { continue };
            let text = unescape(text);
            for line in text.lines().filter_map(|line| said(line, &name)) {
                let line = format!("{program}: {line}");
                // Several tests of a program may go over the same vectors.
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
    }
    lines
}

/// The part of a line that the test itself printed.
fn said<'l>(line: &'l str, test: &str) -> Option<&'l str> {
    // Where tests run one by one, libtest begins the line before the test prints.
    let line = match line.strip_prefix("test ").and_then(|line| line.strip_prefix(test)) {
        Some(line) => line.strip_prefix(" ... ").unwrap_or(line),
        None => line,
    };
    let harness = line.starts_with("running ") || line.starts_with("test result:") || line == "ok";
    let harness = harness || is_of_backtrace(line);
    (!harness && !line.trim().is_empty()).then_some(line)
}

/// Whether a panic prints it, which a test may expect: `stack backtrace:`, `  12: name`, `  at file`.
fn is_of_backtrace(line: &str) -> bool {
    let inner = line.trim_start();
    let numbered = inner.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    line == "stack backtrace:"
        || line.starts_with("note: ") && line.contains("backtrace")
        || inner.len() < line.len() && (numbered || inner.starts_with("at "))
}

fn attribute(element: &str, name: &str) -> String {
    let value =
        element.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split_once('"'));
    unescape(value.map_or("", |(value, _)| value))
}

fn unescape(text: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    named.iter().fold(text.to_owned(), |text, (entity, char)| text.replace(entity, char))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JUNIT: &str = r#"<testsuite name="updraft-smp::smp">
        <testcase name="recorded::answers" classname="updraft-smp::smp" time="0.053">
            <system-out>
running 1 test
exchanges: 253 of 452, &quot;raw&quot; left out
test recorded::answers ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 118 filtered out
</system-out>
            <system-err>seed 7
stack backtrace:
   0: core::panicking::panic_fmt
             at src/panicking.rs:80:14
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
seeds from 7 on</system-err>
        </testcase>
        <testcase name="b" classname="xtask"><system-out>
running 1 test
test b ... one of two
ok
</system-out><system-err></system-err></testcase></testsuite>"#;

    #[test]
    fn reads_what_tests_print_and_nothing_of_their_harness() {
        let expected = [
            "smp::smp: exchanges: 253 of 452, \"raw\" left out",
            "smp::smp: seed 7",
            "smp::smp: seeds from 7 on",
            "xtask: one of two",
        ];
        assert_eq!(read(JUNIT), expected);
    }
}
