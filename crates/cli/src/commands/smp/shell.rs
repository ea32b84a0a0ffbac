//! `updraft smp shell`: the shell of a device.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::anyhow;
use serde_json::json;

use super::Talk;
use crate::output::{Output, tame};
use crate::report::Hint;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft smp --udp 192.0.2.7 shell kernel uptime
  updraft smp --serial /dev/ttyACM0 shell
  printf 'version\\nimage list\\n' | updraft smp --udp 192.0.2.7 shell")]
pub struct Command {
    /// The command line. Without one, lines are read from standard input until it ends.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

pub fn run(session: &mut Talk, command: Command, out: &Output) -> anyhow::Result<()> {
    if command.words.is_empty() {
        return interactive(session, out);
    }
    let words: Vec<&str> = command.words.iter().map(String::as_str).collect();
    let result = session.shell(&words)?;
    let text = whole_lines(&tame(&result.output));
    if result.ret == 0 {
        return out.result(&result, |w| write!(w, "{text}"));
    }
    if !text.is_empty() {
        out.line(text.trim_end())?;
    }
    let ret = result.ret;
    Err(anyhow!("the command ended with {ret}"))
        .fact("output", result.output.into())
        .fact("ret", ret.into())
        .hint("shell help, on devices that have it, lists the commands")
}

/// A text that ends with its last line.
fn whole_lines(text: &str) -> String {
    let text = text.trim_matches('\n');
    if text.is_empty() { String::new() } else { format!("{text}\n") }
}

/// Line after line, until there are no more. A line that fails does not end it; without anybody at
/// a terminal to see that, it fails in the end.
fn interactive(session: &mut Talk, out: &Output) -> anyhow::Result<()> {
    let prompts = io::stdin().is_terminal() && !out.json();
    let mut lines = io::stdin().lock().lines();
    let (mut all, mut failed) = (0, 0);
    loop {
        if prompts {
            let mut stderr = io::stderr();
            // A prompt that nobody sees changes nothing.
            let _ = write!(stderr, "device> ").and_then(|()| stderr.flush());
        }
        let Some(line) = lines.next().transpose()? else { break };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if prompts && matches!(line, "exit" | "quit") {
            break;
        }
        all += 1;
        let complaint = match session.shell(&[line]) {
            Ok(result) => {
                out.event(&result, whole_lines(&tame(&result.output)).trim_end())?;
                (result.ret != 0).then(|| format!("the command ended with {}", result.ret))
            }
            Err(error) => {
                let complaint = format!("{error:#}");
                if out.json() {
                    out.event(&json!({ "error": complaint }), "")?;
                }
                Some(complaint)
            }
        };
        if let Some(complaint) = complaint {
            failed += 1;
            // Not a remark: it is told however quiet it is to be.
            let _ = writeln!(io::stderr(), "{line}: {complaint}");
        }
    }
    match failed {
        0 => Ok(()),
        _ if prompts => Ok(()),
        _ => Err(anyhow!("{failed} of {all} lines failed"))
            .hint("their own lines say why; shell help, on devices that have it, lists commands"),
    }
}
