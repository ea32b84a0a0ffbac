//! One command for several devices at the same time: each has a process of its own, so that none
//! waits for another, and none can take another down.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use crate::output::{GOOD, HEADING, Output, styled};
use crate::report::Hint;
use crate::smp::Profiles;

/// The option that this module carries out.
const OPTION: &str = "--all-matching";

/// What a device's process says.
enum Said {
    Line(String),
    Ended { whole: String, ok: bool },
}

/// Runs the command of this process once for every device whose name fits `pattern`.
pub fn run(pattern: &str, out: &Output) -> anyhow::Result<()> {
    let profiles = Profiles::load()?;
    let names = profiles.matching(pattern);
    if names.is_empty() {
        return Err(anyhow!("no device's name fits {pattern:?}"))
            .usage("updraft smp profile list shows the names; profile add gives them");
    }
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let program = std::env::current_exe().context("this program cannot be found")?;
    let (sender, said) = mpsc::channel();
    for (index, name) in names.iter().enumerate() {
        let mut child = Command::new(&program)
            .args(arguments(std::env::args_os().skip(1), name))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} has no process"))?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let sender = sender.clone();
        let json = out.json();
        std::thread::spawn(move || {
            let tell = |line: &str| {
                // Nobody listens once this process is about to end.
                let _ = (!json).then(|| sender.send((index, Said::Line(line.to_owned()))));
            };
            let read = |stream: Option<&mut dyn std::io::Read>| {
                let lines = stream.map(|stream| BufReader::new(stream).lines());
                let mut whole = String::new();
                for line in lines.into_iter().flatten().map_while(Result::ok) {
                    tell(&line);
                    whole += &line;
                    whole.push('\n');
                }
                whole
            };
            let (mut output, mut errors) = (output, errors);
            let whole = read(output.as_mut().map(|stream| stream as _));
            read(errors.as_mut().map(|stream| stream as _));
            let ok = child.wait().is_ok_and(|status| status.success());
            let _ = sender.send((index, Said::Ended { whole, ok }));
        });
    }
    drop(sender);
    let mut results = vec![(String::new(), false); names.len()];
    for (index, said) in said {
        let name = names.get(index).copied().unwrap_or_default();
        match said {
            Said::Line(line) => {
                out.line(format!("{} {line}", styled(HEADING, format!("{name:<width$}"))))?
            }
            Said::Ended { whole, ok } => {
                if let Some(result) = results.get_mut(index) {
                    *result = (whole, ok);
                }
            }
        }
    }
    let failed: Vec<&str> =
        names.iter().zip(&results).filter(|(_, (_, ok))| !ok).map(|(name, _)| *name).collect();
    let devices: Vec<Value> = names
        .iter()
        .zip(&results)
        .map(|(name, (whole, ok))| {
            let result: Value = serde_json::from_str(whole).unwrap_or(Value::Null);
            json!({ "device": name, "ok": ok, "result": result })
        })
        .collect();
    if failed.is_empty() {
        return out.result(&json!({ "devices": devices }), |w| {
            writeln!(w, "{}", styled(GOOD, format!("done for {} devices", names.len())))
        });
    }
    let [failures, all] = [failed.len(), names.len()];
    Err(anyhow!("it failed for {failures} of {all} devices: {}", failed.join(", ")))
        .fact("devices", devices.into())
        .hint("their own lines say why; the same command again leaves alone what is done")
}

/// The arguments for one device.
fn arguments(args: impl Iterator<Item = OsString>, name: &str) -> Vec<OsString> {
    let mut own = Vec::new();
    let mut args = args.peekable();
    let mut replaced = false;
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy();
        if !replaced && text == OPTION {
            args.next();
        } else if replaced || !text.starts_with(&format!("{OPTION}=")) {
            own.push(arg);
            continue;
        }
        replaced = true;
        own.extend([OsString::from("--profile"), OsString::from(name)]);
    }
    own
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::arguments;

    #[test]
    fn the_pattern_is_replaced_by_a_name() {
        for line in ["smp --all-matching b* upgrade a", "smp --all-matching=b* upgrade a"] {
            let args = line.split(' ').map(OsString::from);
            assert_eq!(arguments(args, "b1"), ["smp", "--profile", "b1", "upgrade", "a"]);
        }
    }
}
