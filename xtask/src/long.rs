//! The long proofs: too slow for every change, run on demand, each with a page of evidence.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::evidence::{self, Evidence};
use crate::firmware::{self, variants};
use crate::fuzz::{self, Driver};
use crate::mutants;
use crate::process::{cargo, line, printed, run as run_command, succeeds};
use crate::qemu;
use crate::reports;
use crate::runner::{self, Runner};
use crate::seed;
use crate::steps::{Outcome, Steps};
use crate::timings;
use crate::workspace;

/// A proof.
struct Proof {
    name: &'static str,
    about: &'static str,
    work: Work,
}

/// How a proof is made.
enum Work {
    /// Tests of these packages, optimised, with `UPDRAFT_LONG` set, so that they take the whole of
    /// their matrices, and so many cases of every random test.
    Tests { packages: &'static [&'static str], cases: u32 },
    /// Tests of emulated boards, whose programs are built first, with `UPDRAFT_LONG` set.
    Chips { tests: &'static [&'static str] },
    /// Tests of the boards that boots are weighed on, and of their variants, which are built first: what
    /// they print as a table is the page's.
    BootCost,
    /// An example that prints the page's tables, optimised. One that goes on where it was
    /// interrupted is given a record for that.
    Tables { package: &'static str, example: &'static str, goes_on: bool },
    /// A bench that prints the page's tables.
    Bench { package: &'static str, bench: &'static str },
    /// The benches of a package that are timed by criterion.
    Timings { package: &'static str },
    /// All planted faults.
    Mutants,
    /// Every fuzz target for so many seconds, by libFuzzer.
    Fuzz { seconds: u64 },
}

const PROOFS: &[Proof] = &[
    Proof {
        name: "power-cuts",
        about: "Every upgrade mode through every single cut, every torn operation and pairs of \
                cuts, in the whole matrix of geometries and device kinds.",
        work: Work::Tests { packages: &["updraft-boot", "updraft-sim", "updraft-dfu"], cases: 512 },
    },
    Proof {
        name: "chips",
        about: "Swaps of real programs on emulated processors: the power fails before every erase and behind \
                it, and before words of the image, the scratch area and the trailers are written; every chip \
                has to start the new image, with the old one beside it. And flash fails at every \
                change before the first sector is on its way: what is whole runs, and the swap ends once flash \
                does not fail.",
        work: Work::Chips { tests: &["cuts::", "fails_in_early"] },
    },
    Proof {
        name: "explorer",
        about: "Every upgrade mode on every kind of flash in every geometry that its board file \
                accepts: the power fails at every operation, in every way that the operation can \
                end, and every device has to come to what its trailers promise.",
        work: Work::Tables { package: "updraft-sim", example: "matrix", goes_on: true },
    },
    Proof {
        name: "hostile",
        about: "Devices with any bytes in slots, trailers, scratch and status areas: every boot ends \
                within a bounded number of flash operations, what is started is intact, and after \
                a few boots nothing is written any more.",
        work: Work::Tables { package: "updraft-sim", example: "hostile", goes_on: false },
    },
    Proof {
        name: "formats",
        about: "Images, trailers, keys and board files over generated inputs, and every golden \
                file.",
        work: Work::Tests {
            packages: &["updraft-image", "updraft-flash", "updraft-sign", "updraft-board"],
            cases: 20_000,
        },
    },
    Proof {
        name: "smp",
        about: "The SMP server and client over lossy links, and against foreign peers.",
        work: Work::Tests { packages: &["updraft-smp", "updraft-cli"], cases: 5_000 },
    },
    Proof {
        name: "smp-speed",
        about: "Uploads of 512 KiB by our client and by others, in turns, to the same server that \
                takes no time of its own: over UDP with travel time, and over serial lines at the \
                pace of their wire. A rate counts image bytes from the first chunk's arrival to the \
                last answer's departure.",
        work: Work::Bench { package: "updraft-cli", bench: "smp" },
    },
    Proof {
        name: "boot-speed",
        about: "The boot of a 512 KiB image on this computer, phase by phase, and how many states of \
                flash the explorer boots and judges in a second, on one core.",
        work: Work::Timings { package: "updraft-sim" },
    },
    Proof {
        name: "air",
        about: "The update agent in every flow of every dialect: killed at every block, the power cut at every \
                flash write from the first block through the boot to the confirmation, those of its record \
                included, servers and brokers that do anything; and what it stands on: MQTT, sockets, TLS, \
                certificates, leases, the publisher.",
        work: Work::Tests {
            packages: &[
                "updraft-ota",
                "updraft-mqtt",
                "updraft-online",
                "updraft-publisher",
                "updraft-certs",
                "updraft-tls",
                "updraft-x509",
                "updraft-dhcp",
            ],
            cases: 5_000,
        },
    },
    Proof {
        name: "boot-cost",
        about: "Instructions from the reset to the application's first one, counted by QEMU, when there is \
                nothing to do but to verify: for every kind of signature on an emulated Cortex-M4, and on \
                a Cortex-M0 for those that fit; and of MCUboot in C, as Zephyr 4.4 builds it for the same \
                Cortex-M0, on the same image. Images are programs of so many KiB behind a header. A figure \
                is the same in every run of the same build. Instructions are no cycles: flash that is \
                slower than the processor makes them cost more.",
        work: Work::BootCost,
    },
    Proof {
        name: "ota",
        about: "Updates over the air: a thousand agents in one process ask at once, a publisher answers \
                them through mosquitto, plain and by mutual TLS, the broker is killed half-way, and the \
                SHA-256 of every flash is that of the image. Beside it, mosquitto's own programs bring the \
                same bytes to as many subscribers; and what each flow puts on the wire.",
        work: Work::Bench { package: "updraft-cli", bench: "ota" },
    },
    Proof {
        name: "glitch",
        about: "A bootloader on an emulated Cortex-M4 that is given tampered images, and a processor \
                that skips one instruction. With an altered body: every instruction of the verification and \
                the decision outside hash and curve arithmetic, each time that the boot comes by it, and every \
                other one up to 8 times. In the other scenes: those of the verification and the decision up \
                to 8 times, and 300 steps of the rest. (Of more times: the first, the last, and some between \
                them.) A skip that starts the image is a hole. A bootloader built to take its decisions once \
                has to be broken by the same skips.",
        work: Work::Chips { tests: &["glitch::"] },
    },
    Proof {
        name: "mutants",
        about: "Every planted fault has to be noticed by the tests that it names.",
        work: Work::Mutants,
    },
    Proof {
        name: "fuzz",
        about: "Every parser of outside bytes under libFuzzer.",
        work: Work::Fuzz { seconds: 300 },
    },
];

/// `cargo xtask long [--seed N] [NAME...]`.
pub fn run(args: &[String]) -> Result<()> {
    let seed = seed::choose(args)?;
    let mut asked: Vec<&str> = args.iter().map(String::as_str).collect();
    if let Some(at) = asked.iter().position(|arg| *arg == "--seed") {
        asked.drain(at..(at + 2).min(asked.len()));
    }
    if let Some(unknown) = asked.iter().find(|name| PROOFS.iter().all(|proof| proof.name != **name))
    {
        let names: Vec<_> = PROOFS.iter().map(|proof| proof.name).collect();
        bail!("no proof `{unknown}`; there are: {}", names.join(", "));
    }
    crate::setup::ensure()?;
    println!("seed {seed}");
    let mut steps = Steps::default();
    for proof in PROOFS {
        if asked.is_empty() || asked.contains(&proof.name) {
            steps.step(proof.name, || prove(proof, seed));
        }
    }
    steps.print();
    steps.verdict()
}

/// Which tests of chips, as `cargo xtask test` has built them. Chips take the time that they take: an
/// optimised client would not hurry them.
fn chips(tests: &str) -> [&str; 5] {
    ["--workspace", "--all-features", "--test", "chips", tests]
}

/// Rows of tables that tests have printed, without the names of the tests; a header begins a table.
fn table(rows: &[String]) -> String {
    let mut table = String::new();
    for (at, row) in rows.iter().enumerate() {
        let own = |row: &String| row.split_once(": | ").map(|(_, rest)| format!("| {rest}\n"));
        let is_rule = |row: &String| row.contains(": | --");
        if at > 0 && rows.get(at + 1).is_some_and(is_rule) {
            table.push('\n');
        }
        table.extend(own(row));
    }
    table
}

fn prove(proof: &Proof, seed: u64) -> Result<Outcome> {
    let start = Instant::now();
    let mut tables = String::new();
    let (command, figures) = match proof.work {
        Work::Tables { package, example, goes_on } => {
            let args = ["run", "--release", "--package", package, "--example", example];
            let mut command = cargo(args);
            let shown = line(&command);
            if goes_on {
                command.arg("--").arg("--record").arg(record(proof.name)?);
            }
            tables = printed(&mut command)?;
            (shown, Vec::new())
        }
        Work::Bench { package, bench } => {
            let mut command = cargo(["bench", "--quiet", "--package", package, "--bench", bench]);
            tables = printed(&mut command)?;
            (line(&command), Vec::new())
        }
        Work::Timings { package } => {
            let mut command = cargo(["bench", "--quiet", "--package", package]);
            tables = timings::table(&printed(&mut command)?);
            (line(&command), Vec::new())
        }
        Work::Tests { packages, cases } => tests(packages, cases, seed)?,
        Work::Chips { tests } => {
            if let Outcome::LeftOut(why) | Outcome::Failed(why) = firmware::build_all()? {
                bail!("{why}");
            }
            let (mut commands, mut all) = (Vec::new(), Vec::new());
            for tests in tests {
                let (command, figures) = run_tests(chips(tests).into(), seed, |command| {
                    qemu::with_programs(command);
                })?;
                commands.push(command);
                all.extend(figures);
            }
            (commands.join(" && "), all)
        }
        Work::BootCost => {
            for name in ["microbit", "microbit-zephyr"] {
                firmware::build(&firmware::board(name)?, false)?;
            }
            variants::build(variants::TESTED)?;
            variants::build(variants::FURTHER)?;
            let (command, figures) = run_tests(chips("cost::").into(), seed, |command| {
                qemu::with_programs(command);
            })?;
            let (rows, figures): (Vec<_>, Vec<_>) =
                figures.into_iter().partition(|line| line.contains(": | "));
            tables = table(&rows);
            (command, figures)
        }
        Work::Mutants => match mutants::all()? {
            Outcome::Passed(figure) => ("cargo xtask mutants".to_owned(), vec![figure]),
            other => return Ok(other),
        },
        Work::Fuzz { seconds } => {
            ensure_cargo_fuzz()?;
            match fuzz::smoke(Driver::LibFuzzer, seed, seconds)? {
                Outcome::Passed(figure) => (
                    format!("cargo xtask fuzz-smoke --seed {seed} --seconds {seconds}"),
                    vec![figure],
                ),
                other => return Ok(other),
            }
        }
    };
    let took = start.elapsed();
    let Proof { name, about, .. } = *proof;
    let (command, figures, tables) = (&command, &figures, &tables);
    Evidence { name, about, command, seed, took, figures, tables }.write()?;
    Ok(Outcome::Passed(format!("docs/evidence/{name}.md")))
}

/// The file in which a proof keeps what it has done at this commit. With changes on top of that, it
/// begins anew.
fn record(name: &str) -> Result<PathBuf> {
    let commit = evidence::commit()?;
    let folder = workspace::target().join("long");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{name}-{}.tsv", commit.replace(' ', "-")));
    if commit.contains(' ') {
        fs::write(&file, "")?;
    }
    println!("{}: what is done so far, and the tables beside it", file.display());
    Ok(file)
}

fn tests(packages: &[&str], cases: u32, seed: u64) -> Result<(String, Vec<String>)> {
    let mut selection: Vec<&str> =
        packages.iter().flat_map(|package| ["--package", package]).collect();
    selection.extend(["--release", "--all-features"]);
    run_tests(selection, seed, |command| {
        command.env("PROPTEST_CASES", cases.to_string());
    })
}

/// Runs tests over the whole of their matrices; the command and its figures.
fn run_tests(
    mut selection: Vec<&str>,
    seed: u64,
    more: impl FnOnce(&mut Command),
) -> Result<(String, Vec<String>)> {
    let runner = Runner::choose();
    if runner == Runner::Nextest {
        selection.extend(["--profile", "long"]);
    }
    let mut command = runner.command(&selection);
    seed::plant(&mut command, seed).env("UPDRAFT_LONG", "1");
    more(&mut command);
    reports::forget("long")?;
    let ran = runner::run(&mut command)?;
    if !ran.passed {
        bail!("`{}` failed; replay with --seed {seed}", line(&command));
    }
    let mut figures = reports::of_last_run(runner, "long");
    figures.extend(ran.closing.iter().map(|closing| closing.trim().to_owned()));
    Ok((line(&command), figures))
}

/// libFuzzer's driver takes minutes to build, which only a long run can spare.
fn ensure_cargo_fuzz() -> Result<()> {
    if succeeds(&mut cargo(["fuzz", "--version"])) {
        return Ok(());
    }
    run_command(
        cargo(["install", "cargo-fuzz", "--locked", "--quiet", "--target-dir"])
            .arg(workspace::target().join("tools")),
    )
    .context("`cargo install cargo-fuzz` fails")
}

#[cfg(test)]
mod tests {
    #[test]
    fn tables_that_tests_print_stand_by_themselves() {
        let rows = ["| a | b |", "| -- | --: |", "| 1 | 2 |", "| c |", "| --: |", "| 3 |"];
        let rows = rows.map(|row| format!("cli::chips: {row}"));
        let expected = "| a | b |\n| -- | --: |\n| 1 | 2 |\n\n| c |\n| --: |\n| 3 |\n";
        assert_eq!(super::table(&rows), expected);
    }
}
