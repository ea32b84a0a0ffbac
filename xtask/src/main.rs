//! Every developer command of the project: `cargo xtask help`.

mod boards;
mod chip;
mod deps;
#[cfg(test)]
mod differences;
mod elf;
mod evidence;
mod firmware;
mod fuzz;
mod hardening;
mod long;
mod mutants;
mod process;
mod qemu;
mod reports;
mod runner;
mod seed;
mod settings;
mod setup;
mod size;
mod steps;
mod tables;
mod test;
mod timings;
mod workspace;

use std::process::ExitCode;

/// A command: its name, its options, what it does, and the procedure behind it.
struct Command {
    name: &'static str,
    options: &'static str,
    about: &'static str,
    run: fn(&[String]) -> anyhow::Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "setup",
        options: "[--check]",
        about: "install what the tests need from outside; --check only says what is missing",
        run: setup::run,
    },
    Command {
        name: "test",
        options: "[--core] [--seed N]",
        about: "everything that has to pass before a change lands; --core needs cargo alone",
        run: test::run,
    },
    Command {
        name: "long",
        options: "[--seed N] [NAME...]",
        about: "the long proofs; each writes docs/evidence/NAME.md",
        run: long::run,
    },
    Command {
        name: "mutants",
        options: "[NAME...]",
        about: "plant the faults of xtask/mutants.toml one by one; each has to fail its test",
        run: mutants::run,
    },
    Command {
        name: "fuzz-smoke",
        options: "[--seed N] [--seconds N]",
        about: "run every fuzz target for a moment",
        run: fuzz::run,
    },
    Command {
        name: "deps",
        options: "",
        about: "check the direction of dependencies between crates, and every licence",
        run: deps::run,
    },
    Command {
        name: "chip",
        options: "",
        about: "build the crates of the chip for Cortex-M",
        run: chip::run,
    },
    Command {
        name: "firmware",
        options: "[--release] [NAME...]",
        about: "build bootloader and application of boards; --release wants UPDRAFT_KEY",
        run: firmware::run,
    },
    Command {
        name: "qemu",
        options: "[--test] [--network] [NAME...]",
        about: "run a board's programs in an emulator, with its networked application if asked; --test \
                has all of them tell the whole story",
        run: qemu::run,
    },
    Command {
        name: "record",
        options: "",
        about: "record updates and rollbacks, on emulated boards and in the demo, into docs/recordings",
        run: qemu::record,
    },
    Command {
        name: "bench",
        options: "",
        about: "measure the explorer, and the boot of a large image by phase",
        run: bench,
    },
    Command {
        name: "size",
        options: "[--all] [agents] [NAME...]",
        about: "weigh bootloaders for Cortex-M against their budgets, or agents; --all writes docs/size.md",
        run: size::run,
    },
    Command {
        name: "tables",
        options: "",
        about: "write the pages of docs that are made from the code",
        run: tables::run,
    },
    Command { name: "help", options: "", about: "print this", run: help },
];

fn help(_: &[String]) -> anyhow::Result<()> {
    println!("cargo xtask COMMAND\n");
    for command in COMMANDS {
        println!("  {:<36}{}", format!("{} {}", command.name, command.options), command.about);
    }
    Ok(())
}

fn bench(_: &[String]) -> anyhow::Result<()> {
    let benches = ["bench", "--package", "updraft-sim", "--bench", "explorer", "--bench", "boot"];
    process::run(&mut process::cargo(benches))
}

/// Whether every argument is one that `options` announces: `[--flag]`, `[--option N]`, `[NAME...]`.
fn known<'a>(args: &'a [String], options: &str) -> Result<(), &'a str> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if options.contains(&format!("[{arg}]")) && arg.starts_with("--") {
            continue;
        }
        if options.contains(&format!("[{arg} N]")) {
            args.next().ok_or(arg.as_str())?;
        } else if arg.starts_with('-') || !options.contains("NAME...") {
            return Err(arg);
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("help", String::as_str);
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("error: no command `{name}`; `cargo xtask help` lists them");
        return ExitCode::from(2);
    };
    let args = args.get(1..).unwrap_or_default();
    if let Err(unknown) = known(args, command.options) {
        eprintln!("error: {name} does not know `{unknown}`");
        eprintln!("usage: cargo xtask {name} {}", command.options);
        return ExitCode::from(2);
    }
    match (command.run)(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_nobody_knows_is_refused() {
        let known = |line: &str, options| {
            let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            known(&args, options).is_ok()
        };
        assert!(known("--core --seed 7", "[--core] [--seed N]"));
        assert!(known("--seed 7 power-cuts", "[--seed N] [NAME...]"));
        for wrong in ["--cor", "core", "--seed", "--core=1", "--seed 7 more"] {
            assert!(!known(wrong, "[--core] [--seed N]"), "{wrong}");
        }
    }
}
