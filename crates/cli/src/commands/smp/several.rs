//! One command for several devices at the same time: each has a process of its own, so that none
//! waits for another, and none can take another down.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use crate::output::{GOOD, HEADING, Output, styled};
use crate::report::Hint;
use crate::smp::Profiles;

/// The option that this module carries out.
const OPTION: &str = "--all-matching";

/// How many processes run at the same time.
const AT_ONCE: usize = 32;

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
    let program = std::env::current_exe().context("this program cannot be found")?;
    let (json, next) = (out.json(), AtomicUsize::new(0));
    let (sender, said) = mpsc::channel();
    let work = |sender: Sender<(usize, Said)>| {
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(name) = names.get(index)
        {
            let mut command = Command::new(&program);
            command.args(arguments(std::env::args_os().skip(1), name));
            // Nobody listens once this process is about to end.
            let tell = |line: &str| {
                let _ = (!json).then(|| sender.send((index, Said::Line(line.to_owned()))));
            };
            let (whole, ok) = play(command, tell).unwrap_or_else(|error| {
                tell(&format!("there is no process for it: {error}"));
                (String::new(), false)
            });
            let _ = sender.send((index, Said::Ended { whole, ok }));
        }
    };
    thread::scope(|scope| {
        for _ in 0..names.len().min(AT_ONCE) {
            let sender = sender.clone();
            scope.spawn(|| work(sender));
        }
        drop(sender);
        results(&names, said, out)
    })
}

/// Runs a process to its end: what it wrote to standard output, and whether it succeeded. `tell`
/// hears every line of its, as it comes.
fn play(mut command: Command, tell: impl Fn(&str) + Sync) -> io::Result<(String, bool)> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let read = |stream: Option<Box<dyn Read + Send>>| {
        let mut whole = String::new();
        let lines = stream.map(|stream| BufReader::new(stream).lines());
        for line in lines.into_iter().flatten().map_while(Result::ok) {
            tell(&line);
            whole += &line;
            whole.push('\n');
        }
        whole
    };
    let output = child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
    let errors = child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
    // Both at the same time: a process stops when what it has written to either is not read.
    let whole = thread::scope(|scope| {
        scope.spawn(|| read(errors));
        read(output)
    });
    Ok((whole, child.wait()?.success()))
}

/// Shows what the processes say, and what came of them.
fn results(names: &[&str], said: Receiver<(usize, Said)>, out: &Output) -> anyhow::Result<()> {
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
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

    use std::process::Command;
    use std::sync::Mutex;

    use super::{arguments, play};

    #[test]
    #[cfg(unix)]
    fn a_process_may_write_to_both_streams_as_much_as_it_likes() {
        let mut command = Command::new("sh");
        command.args(["-c", "yes error | head -n 50000 >&2; echo done; exit 3"]);
        let lines = Mutex::new(0);
        let (output, ok) = play(command, |_| *lines.lock().unwrap() += 1).unwrap();
        assert_eq!((output.as_str(), ok), ("done\n", false));
        assert_eq!(lines.into_inner().unwrap(), 50_001);
    }

    #[test]
    fn the_pattern_is_replaced_by_a_name() {
        for line in ["smp --all-matching b* upgrade a", "smp --all-matching=b* upgrade a"] {
            let args = line.split(' ').map(OsString::from);
            assert_eq!(arguments(args, "b1"), ["smp", "--profile", "b1", "upgrade", "a"]);
        }
    }
}
