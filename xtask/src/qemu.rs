//! Boards in an emulator: to be talked to, or as a test.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::firmware::{self, Board, Programs};
use crate::process::{cargo, program, run as run_command, succeeds};
use crate::runner::Runner;
use crate::workspace;

/// The boards that there is a machine for, and how it is started.
const MACHINES: [(&str, Start); 1] = [("mps2-an386", Start::FlashInFile)];

#[derive(Clone, Copy)]
enum Start {
    /// The flash is a file: its first bytes are the primary slot.
    FlashInFile,
}

/// Bytes of the file that stands for flash.
const FILE_SIZE: usize = 16 << 20;

/// `cargo xtask qemu [--test] [NAME...]`.
pub fn run(args: &[String]) -> Result<()> {
    let names: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    if args.iter().any(|arg| arg == "--test") {
        return test();
    }
    let known = MACHINES.map(|(name, _)| name).join(", ");
    let [name] = &names[..] else { bail!("which board? There are machines for {known}") };
    let machine = MACHINES.iter().find(|(board, _)| name.starts_with(board));
    let (machine, start) =
        machine.with_context(|| format!("no machine for {name}, but for {known}"))?;
    if !is_there() {
        bail!("qemu-system-arm is not there; Debian has it in the package of that name");
    }
    let board = firmware::board(name)?;
    let programs = firmware::build(&board, false)?;
    let key = workspace::root().join(format!("firmware/keys/sample-{}.pem", board.signature));
    let first = sign(name, &programs.application.path, &key)?;
    let flash = firmware::folder(name).join("flash.bin");
    match start {
        Start::FlashInFile => in_file(&board, machine, &programs, (&first, &flash)),
    }
}

/// Whether there is an emulator.
pub fn is_there() -> bool {
    succeeds(&mut program("qemu-system-arm", ["--version"]))
}

/// The tests that need an emulator and the programs of its boards.
fn test() -> Result<()> {
    if !is_there() {
        bail!("qemu-system-arm is not there; Debian has it in the package of that name");
    }
    firmware::build_all()?;
    for tests in [&["--test", "chips"][..], &["--test", "devices", "mcuboot::"]] {
        let mut command =
            Runner::choose().command(&[&["--package", "updraft-cli"], tests].concat());
        run_command(with_programs(&mut command))?;
    }
    Ok(())
}

/// `cargo xtask record`: the tests that play the recordings write them.
pub fn record(_: &[String]) -> Result<()> {
    if !is_there() {
        bail!("qemu-system-arm is not there; Debian has it in the package of that name");
    }
    for name in ["microbit", "microbit-factory"] {
        firmware::build(&firmware::board(name)?, false)?;
    }
    let mut command = cargo(["test", "--quiet", "--package", "updraft-cli", "--test", "chips"]);
    command.args(["--", "recordings::"]).env("UPDRAFT_RECORD", "1");
    run_command(with_programs(&mut command))
}

/// Tells tests where the programs of boards are.
pub fn with_programs(command: &mut std::process::Command) -> &mut std::process::Command {
    command.env("UPDRAFT_FIRMWARE", workspace::target().join("firmware"))
}

/// Signs an application as the first version.
fn sign(board: &str, application: &Path, key: &Path) -> Result<PathBuf> {
    let image = firmware::folder(board).join("app-1.0.0.bin");
    let mut command = cargo(["run", "--quiet", "--package", "updraft-cli", "--"]);
    command.args(["image", "sign", "--quiet", "--board"]);
    command.arg(workspace::root().join("boards").join(format!("{board}.toml")));
    command.arg("--key").arg(key).args(["--version", "1.0.0"]).arg(application).arg(&image);
    run_command(&mut command)?;
    Ok(image)
}

fn in_file(
    board: &Board,
    machine: &str,
    programs: &Programs,
    (image, flash): (&Path, &Path),
) -> Result<()> {
    let name = &board.name;
    let mut bytes = fs::read(image)?;
    bytes.resize(FILE_SIZE, 0xff);
    if flash.exists() {
        println!("flash: {} as it was left; delete it to begin anew", flash.display());
    } else {
        fs::write(flash, bytes)?;
    }
    println!(
        "QEMU names the console below; on that line\n  updraft smp --serial LINE image list\n  updraft smp \
         --serial LINE upgrade NEW_IMAGE\nan image to upload: updraft image sign --board {name} --key \
         firmware/keys/sample-{}.pem --version 2.0.0 {}\nCtrl-C takes the power away; started \
         again, it goes on from {}\n",
        board.signature,
        programs.application.path.display(),
        flash.display()
    );
    let mut command = program("qemu-system-arm", ["-nodefaults", "-display", "none"]);
    command.args(["-machine", &format!("{machine},memory-backend=flash")]);
    let file = flash.display();
    command.arg("-object").arg(format!(
        "memory-backend-file,id=flash,size={FILE_SIZE},share=on,prealloc=on,mem-path={file}"
    ));
    let bootloader = programs.bootloader.as_ref().context("an emulated board has a bootloader")?;
    command.arg("-kernel").arg(&bootloader.path);
    let log = firmware::folder(name).join("uart.log");
    command.args(["-chardev", &format!("pty,id=uart,logfile={}", log.display())]);
    command.args(["-serial", "chardev:uart"]);
    run_command(&mut command)
}
