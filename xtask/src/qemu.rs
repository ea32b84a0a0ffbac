//! Boards in an emulator: to be talked to, or as a test.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, bail};

use crate::firmware::{self, Board};
use crate::process::{cargo, program, run as run_command, run_quietly, succeeds};
use crate::runner::Runner;
use crate::steps::Outcome;
use crate::workspace;

/// What an application prints once it runs.
const RUNS: &str = "app: self-test passed";
/// The version that a board begins with.
const FIRST: &str = "1.0.0";
/// How long a board may take until then, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// `cargo xtask qemu [--network] NAME`, `cargo xtask qemu --test`.
pub fn run(args: &[String]) -> Result<()> {
    if args.iter().any(|arg| arg == "--test") {
        return test();
    }
    let network = args.iter().any(|arg| arg == "--network");
    let names: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let known = families()?.join(", ");
    let [name] = &names[..] else {
        bail!("which board? QEMU has machines for {known} and their variants");
    };
    if !is_emulated(name)? {
        bail!("QEMU has no machine for {name}, but for {known} and their variants");
    }
    is_there()?;
    let board = firmware::board(name)?;
    let flash = firmware::folder(name).join(if network { "networked-flash" } else { "flash" });
    let (mut command, update) = command(built_anew, &board, network, &flash.with_extension("bin"))?;
    let line = firmware::folder(name).join("line");
    command.arg("--serial").arg(&line);
    println!(
        "updraft smp --serial {line} upgrade {update}\n  updates it; another version: updraft image sign \
         --board {name} {key} --version 3.0.0 {program} FILE\n{flash}.bin is its flash; delete it to begin anew\n",
        line = line.display(),
        update = update.display(),
        key = sample_key(&board).join(" "),
        program = application(&board, network)?.display(),
        flash = flash.display(),
    );
    replace_with(&mut command)
}

/// Lets this process become the other one, which the terminal's signals then go to.
#[cfg(unix)]
fn replace_with(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("cannot start `updraft`")
}

#[cfg(not(unix))]
fn replace_with(command: &mut Command) -> Result<()> {
    run_command(command)
}

/// The families of boards that QEMU has machines for, as the launcher's table has them.
fn families() -> Result<Vec<String>> {
    let table = workspace::root().join("crates/qemu/src/models.rs");
    let text = fs::read_to_string(&table).with_context(|| format!("no {}", table.display()))?;
    let name = |line: &str| {
        let name = line.strip_prefix("    board: \"")?.strip_suffix("\",")?;
        Some(name.to_owned())
    };
    Ok(text.lines().filter_map(name).collect())
}

fn is_emulated(board: &str) -> Result<bool> {
    let fits = |family: &String| {
        let rest = board.strip_prefix(family.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    Ok(families()?.iter().any(fits))
}

/// What a developer types to start the board, its programs built, its images signed: 1.0.0 in the primary
/// slot of a new flash, 0.9.0 as the factory image of a board that has one. And 2.0.0, to update it with.
fn command(
    updraft: Updraft,
    board: &Board,
    network: bool,
    flash: &Path,
) -> Result<(Command, PathBuf)> {
    let name = &board.name;
    firmware::build(board, false)?;
    let program = application(board, network)?;
    let sign = |version: &str| sign(updraft, board, &program, version);
    let mut command = updraft(&["device", "run", "--qemu", "--board"]);
    command.arg(file(name)).arg("--flash").arg(flash);
    command.arg("--firmware").arg(workspace::target().join("firmware"));
    if !flash.exists() {
        let mut load = |area: &str, image: &Path| {
            command.args(["--load", &format!("{area}={}", image.display())]);
        };
        load("primary", &sign(FIRST)?);
        if board.factory {
            load("factory", &sign("0.9.0")?);
        }
    }
    command.args(network.then_some("--network"));
    Ok((command, sign("2.0.0")?))
}

/// The application that is started: the board's, or the one that uses its network.
fn application(board: &Board, network: bool) -> Result<PathBuf> {
    let folder = firmware::folder(&board.name);
    match network {
        true if !board.networked => bail!("{} has no application that uses a network", board.name),
        true => Ok(folder.join("networked.bin")),
        false => Ok(folder.join("application.bin")),
    }
}

/// How a command of ours is run.
type Updraft = fn(&[&str]) -> Command;

/// Built first.
fn built_anew(args: &[&str]) -> Command {
    let run = ["run", "--quiet", "--package", "updraft-cli", "--bin", "updraft", "--"];
    cargo([&run[..], args].concat())
}

/// As the tests before have built it.
fn as_tested(args: &[&str]) -> Command {
    program(workspace::target().join("debug/updraft"), args)
}

fn file(board: &str) -> PathBuf {
    workspace::root().join("boards").join(format!("{board}.toml"))
}

/// The options that name the key of a board's images; none where they are not signed.
fn sample_key(board: &Board) -> Vec<String> {
    let key = workspace::root().join(format!("firmware/keys/sample-{}.pem", board.signature));
    match board.signature.as_str() {
        "none" => Vec::new(),
        _ => vec!["--key".to_owned(), key.display().to_string()],
    }
}

/// Signs an application as this version.
fn sign(updraft: Updraft, board: &Board, application: &Path, version: &str) -> Result<PathBuf> {
    let stem = application.file_stem().unwrap_or_default().to_string_lossy();
    let image = firmware::folder(&board.name).join(format!("{stem}-{version}.bin"));
    let mut command = updraft(&["image", "sign", "--quiet", "--board"]);
    command.arg(file(&board.name)).args(sample_key(board));
    if board.trials {
        // A first image has nobody who would confirm it, and an update has.
        command.arg(if version == FIRST { "--confirm" } else { "--no-pad" });
    }
    command.args(["--version", version]).arg(application).arg(&image);
    run_quietly(&mut command)?;
    Ok(image)
}

/// A step of `cargo xtask test`, after the tests: what `cargo xtask qemu` starts runs, on every board that is
/// emulated, and on a network where there is one.
pub fn smoke() -> Result<Outcome> {
    is_there()?;
    let mut ran = Vec::new();
    for board in firmware::boards()? {
        if !is_emulated(&board.name)? {
            continue;
        }
        for network in [false, true] {
            if network && !board.networked {
                continue;
            }
            let flash = firmware::folder(&board.name).join("smoke.bin");
            let _ = fs::remove_file(&flash);
            let (mut command, _) = command(as_tested, &board, network, &flash)?;
            starts(&mut command).with_context(|| format!("{} in QEMU", board.name))?;
            fs::remove_file(&flash)?;
            ran.push(if network { "on a network" } else { &board.name }.to_owned());
        }
    }
    Ok(Outcome::Passed(ran.join(", ")))
}

/// Starts a board, waits until its application runs, and stops it.
fn starts(command: &mut Command) -> Result<()> {
    command.args(["--serial", "auto", "--udp", "127.0.0.1:0"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start `updraft`")?;
    let (tell, lines) = channel();
    let outputs: [Option<Box<dyn std::io::Read + Send>>; 2] = [
        child.stdout.take().map(|out| Box::new(out) as _),
        child.stderr.take().map(|out| Box::new(out) as _),
    ];
    for output in outputs.into_iter().flatten() {
        let tell = tell.clone();
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).all(|line| tell.send(line).is_ok())
        });
    }
    drop(tell);
    let told = wait_for(RUNS, &lines);
    if let Some(mut input) = child.stdin.take() {
        // It may have ended by itself.
        let _ = input.write_all(b"quit\n");
    }
    let status = child.wait()?;
    told?;
    if !status.success() {
        bail!("it ended with {status}");
    }
    Ok(())
}

/// Waits for a line with this text; fails with all that came instead.
fn wait_for(text: &str, lines: &Receiver<String>) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let mut told = Vec::new();
    while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
        if line.contains(text) {
            return Ok(());
        }
        told.push(line);
    }
    bail!("no `{text}`, but:\n{}", told.join("\n"))
}

/// Fails if there is no emulator.
fn is_there() -> Result<()> {
    if succeeds(&mut program("qemu-system-arm", ["--version"])) {
        return Ok(());
    }
    bail!("qemu-system-arm is not there; Debian has it in the package of that name")
}

/// The tests that need an emulator and the programs of its boards.
fn test() -> Result<()> {
    is_there()?;
    if let Outcome::LeftOut(why) | Outcome::Failed(why) = firmware::build_all()? {
        bail!("{why}");
    }
    for tests in [&["--test", "chips"][..], &["--test", "devices", "mcuboot::"]] {
        let mut command =
            Runner::choose().command(&[&["--package", "updraft-cli"], tests].concat());
        run_command(with_programs(&mut command))?;
    }
    if let Outcome::Passed(boards) = smoke()? {
        println!("started: {boards}");
    }
    Ok(())
}

/// `cargo xtask record`: the tests that play the recordings write them.
pub fn record(_: &[String]) -> Result<()> {
    is_there()?;
    for name in ["microbit", "microbit-factory"] {
        firmware::build(&firmware::board(name)?, false)?;
    }
    let mut command = cargo(["test", "--quiet", "--package", "updraft-cli", "--test", "chips"]);
    command.args(["--", "recordings::"]).env("UPDRAFT_RECORD", "1");
    run_command(with_programs(&mut command))?;
    let mut command = cargo(["test", "--quiet", "--package", "updraft-cli", "--test", "demo"]);
    command.args(["--", "recorded"]).env("UPDRAFT_RECORD", "1");
    run_command(&mut command)
}

/// Tells tests where the programs of boards are.
pub fn with_programs(command: &mut Command) -> &mut Command {
    command.env("UPDRAFT_FIRMWARE", workspace::target().join("firmware"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launchers_table_is_read() {
        assert!(is_emulated("microbit").unwrap() && is_emulated("mps2-an386-factory").unwrap());
        assert!(!is_emulated("microbits").unwrap() && !is_emulated("pinetime").unwrap());
    }
}
