//! What a programmer is told. Nothing here ever erases a whole chip: only the sectors that parts
//! lie in.

use std::fmt;

use anyhow::anyhow;
use clap::ValueEnum;
use updraft_board::{Board, Programmer};

use super::Part;
use crate::report::Hint;

/// A program that talks to a debug probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// OpenOCD.
    Openocd,
    /// probe-rs.
    ProbeRs,
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Command(pub Vec<String>);

/// As one types it into a shell.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
        for (index, word) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match !word.is_empty() && word.chars().all(plain) {
                true => f.write_str(word)?,
                false => write!(f, "'{}'", word.replace('\'', "'\\''"))?,
            }
        }
        Ok(())
    }
}

/// A file, and where it goes if it does not say so itself.
pub type Placed = (String, Option<u32>);

/// The commands that program `files`.
pub fn commands(
    tool: Tool,
    board: &Board,
    programmer: &Programmer,
    files: &[Placed],
) -> anyhow::Result<Vec<Command>> {
    match tool {
        Tool::Openocd => openocd(board, programmer, files).map(|command| vec![command]),
        Tool::ProbeRs => probe_rs(board, programmer, files),
    }
}

fn openocd(board: &Board, with: &Programmer, files: &[Placed]) -> anyhow::Result<Command> {
    if with.openocd.is_empty() {
        return Err(anyhow!("{} does not say how OpenOCD is configured", board.name())).usage(
            "--config interface/cmsis-dap.cfg --config target/CHIP.cfg, or `openocd` under \
                    [programmer] in the board file",
        );
    }
    let mut words = vec!["openocd".to_owned()];
    for file in &with.openocd {
        words.extend(["-f".into(), file.clone()]);
    }
    let mut run = |command: String| words.extend(["-c".into(), command]);
    run("init".into());
    run("reset init".into());
    for (file, address) in files {
        // Braces keep Tcl from reading anything into a name, but for these.
        if file.contains(['{', '}', '\\']) || file.chars().any(char::is_control) {
            return Err(anyhow!("OpenOCD would misread the name {file:?}"))
                .usage("rename the file: no braces, backslashes and control characters");
        }
        let place = address.map_or(String::new(), |address| format!(" {address:#x} bin"));
        run(format!("flash write_image erase {{{file}}}{place}"));
        run(format!("verify_image {{{file}}}{place}"));
    }
    run("reset run".into());
    run("shutdown".into());
    Ok(Command(words))
}

fn probe_rs(board: &Board, with: &Programmer, files: &[Placed]) -> anyhow::Result<Vec<Command>> {
    let chip = with
        .chip
        .as_ref()
        .ok_or_else(|| anyhow!("{} does not say what probe-rs calls its chip", board.name()))
        .usage("--chip NAME, or `chip` under [programmer] in the board file")?;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut all = Vec::new();
    for (file, address) in files {
        let mut command = words(&["probe-rs", "download", "--chip", chip, "--verify"]);
        match address {
            Some(address) => {
                let address = format!("{address:#x}");
                command.extend(words(&["--binary-format", "bin", "--base-address", &address]));
            }
            None => command.extend(words(&["--binary-format", "hex"])),
        }
        // Not to be taken for an option.
        let option = file.starts_with('-');
        command.push(if option { format!("./{file}") } else { file.clone() });
        all.push(Command(command));
    }
    all.push(Command(words(&["probe-rs", "reset", "--chip", chip])));
    Ok(all)
}

impl Part {
    /// What a programmer is given: the file itself where it is what goes into the flash, with the
    /// address; otherwise nothing, and the part has to be written out first.
    pub fn as_it_is(&self) -> Option<Placed> {
        let first = self.pieces.first()?;
        let address = self.address?.checked_add(first.address)?;
        let name = self.file.to_str().filter(|_| self.whole)?;
        Some((name.to_owned(), Some(address)))
    }
}
