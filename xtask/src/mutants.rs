//! Planted faults: each entry of `xtask/mutants.toml` breaks one thing in a copy of the workspace
//! and names the tests that have to notice. A fault that no test notices is a hole in the tests.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process::{cargo, line, output, program};
use crate::runner::Runner;
use crate::steps::Outcome;
use crate::workspace;

/// Tests of a faulty program may never end; ending them is noticing the fault.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a test runner may take to end its tests.
const GRACE: Duration = Duration::from_secs(12);
/// A run that has no time for all faults plants at least this many.
const AT_LEAST: usize = 6;

#[derive(Deserialize)]
struct List {
    mutant: Vec<Mutant>,
}

/// One fault.
#[derive(Deserialize)]
struct Mutant {
    /// What is wrong, as a sentence name: `forgets_to_erase_the_trailer`.
    name: String,
    /// The file, from the root of the repository.
    file: PathBuf,
    /// Text that occurs in it exactly once.
    find: String,
    /// What stands there instead.
    replace: String,
    /// Arguments of `cargo test` or of nextest, that select the tests. Where they name no package, these are of the
    /// whole workspace with all features, as everything is tested: so little is built anew.
    test: String,
    /// Boards whose programs have the fault in them: the tests run on these.
    #[serde(default)]
    boards: Vec<String>,
}

/// `cargo xtask mutants [NAME...]`.
pub fn run(names: &[String]) -> Result<()> {
    let mut list = list()?;
    if !names.is_empty() {
        list.retain(|mutant| names.contains(&mutant.name));
    }
    match plant(&list, list.len(), None)? {
        Outcome::Passed(figure) => println!("{figure}"),
        Outcome::LeftOut(why) | Outcome::Failed(why) => bail!("{why}"),
    }
    Ok(())
}

/// Plants every fault.
pub fn all() -> Result<Outcome> {
    let list = list()?;
    plant(&list, list.len(), None)
}

/// Plants as many faults as the time allows, beginning at one that the commit picks, so that
/// every one gets its turn.
pub fn rotate(time: Duration) -> Result<Outcome> {
    let mut list = list()?;
    let commit = output(&mut program("git", ["rev-parse", "HEAD"])).unwrap_or_default();
    let start = usize::from_str_radix(commit.get(..4).unwrap_or("0"), 16).unwrap_or(0);
    let total = list.len();
    list.rotate_left(start % total.max(1));
    plant(&list, total, Some(time))
}

fn list() -> Result<Vec<Mutant>> {
    let path = workspace::root().join("xtask/mutants.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let list: List = toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
    Ok(list.mutant)
}

fn plant(list: &[Mutant], total: usize, time: Option<Duration>) -> Result<Outcome> {
    if list.is_empty() {
        bail!("no fault to plant");
    }
    let copy = Copy::make()?;
    let start = Instant::now();
    let mut planted = 0;
    let mut problems = Vec::new();
    let mut sound = Sound { copy: &copy, known: HashMap::new() };
    if time.is_none() {
        // All at once: between two faults everything would have to be built again.
        for mutant in list {
            sound.check(mutant)?;
        }
    }
    for mutant in list {
        if planted >= AT_LEAST && time.is_some_and(|time| start.elapsed() > time) {
            break;
        }
        planted += 1;
        let noticed = match sound.check(mutant)? {
            true => copy.with_fault(mutant)?,
            false => Noticed::Anyway,
        };
        println!("{:<8} {}", noticed.word(), mutant.name);
        if !noticed.counts() {
            problems.push(format!("{} ({})", mutant.name, noticed.word()));
        }
    }
    let caught = planted - problems.len();
    let figure = format!("{caught} / {planted} planted faults caught, {total} in all");
    if problems.is_empty() {
        return Ok(Outcome::Passed(figure));
    }
    Ok(Outcome::Failed(format!("{figure}; not caught: {}", problems.join(", "))))
}

/// Tests that pass without a fault: else failing would say nothing about one.
struct Sound<'l> {
    copy: &'l Copy,
    known: HashMap<&'l str, bool>,
}

impl<'l> Sound<'l> {
    fn check(&mut self, mutant: &'l Mutant) -> Result<bool> {
        let test = mutant.test.as_str();
        if let Some(&passes) = self.known.get(test) {
            return Ok(passes);
        }
        let passes = self.copy.test(mutant)? == Noticed::No;
        if !passes {
            println!("UNSOUND  {test}: fails without any fault, or is no test");
        }
        self.known.insert(test, passes);
        Ok(passes)
    }
}

/// What the tests made of a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Noticed {
    /// A test failed.
    Failed,
    /// The tests did not end.
    Hung,
    /// All tests passed.
    No,
    /// The faulty program does not compile, or there is no such test: none had a say.
    Broken,
    /// The tests fail without the fault, too: they do not tell.
    Anyway,
}

impl Noticed {
    fn word(self) -> &'static str {
        match self {
            Self::Failed => "caught",
            Self::Hung => "hung",
            Self::No => "MISSED",
            Self::Broken => "BROKEN",
            Self::Anyway => "UNSOUND",
        }
    }

    fn counts(self) -> bool {
        matches!(self, Self::Failed | Self::Hung)
    }
}

/// A copy of the workspace with its own build folder.
struct Copy {
    tree: PathBuf,
    runner: Runner,
}

impl Copy {
    /// Brings the copy up to date; files that did not change keep their time stamps, so that
    /// cargo builds only what did.
    fn make() -> Result<Self> {
        let tree = workspace::target().join("mutants/tree");
        sync(workspace::root(), &tree).context("cannot copy the workspace")?;
        // Some faults are noticed by foreign tools alone.
        let tools = tree.join(".tools");
        if !tools.exists() {
            link(&workspace::root().join(".tools"), &tools).context("cannot link the tools")?;
        }
        Ok(Self { tree, runner: Runner::choose() })
    }

    fn with_fault(&self, mutant: &Mutant) -> Result<Noticed> {
        let path = self.tree.join(&mutant.file);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{}: cannot read {}", mutant.name, mutant.file.display()))?;
        let found = text.matches(&mutant.find).count();
        if found != 1 {
            bail!(
                "{}: its text occurs {found} times in {}, not once; bring xtask/mutants.toml up \
                 to date",
                mutant.name,
                mutant.file.display()
            );
        }
        fs::write(&path, text.replacen(&mutant.find, &mutant.replace, 1))?;
        let noticed = self.test(mutant);
        fs::write(&path, text)?;
        noticed
    }

    fn test(&self, Mutant { test: selection, boards, .. }: &Mutant) -> Result<Noticed> {
        if !boards.is_empty() {
            let this = std::env::current_exe().context("cannot find this program")?;
            let mut build = program(this, ["firmware"]);
            self.at_home(build.args(boards)).env(workspace::ELSEWHERE, &self.tree);
            // What the compiler writes of the programs on the way is read where it is by default.
            build.env_remove(BUILD_DIR);
            if !build.status().with_context(|| line(&build))?.success() {
                return Ok(Noticed::Broken);
            }
        }
        let whole = selection.starts_with("--test").then_some(["--workspace", "--all-features"]);
        let selection = whole.iter().flatten().copied().chain(selection.split_whitespace());
        let selection: Vec<_> = selection.collect();
        let mut compile = cargo(["test", "--quiet", "--no-run"]);
        self.at_home(compile.args(&selection));
        if !compile.status().with_context(|| line(&compile))?.success() {
            return Ok(Noticed::Broken);
        }
        let mut tests = self.runner.first_failure(&selection);
        self.at_home(&mut tests);
        wait(&mut tests)
    }

    /// Has a command work on the copy, in silence.
    fn at_home<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .current_dir(&self.tree)
            // Other programs than the workspace's own, of the same dependencies.
            .env("CARGO_TARGET_DIR", target())
            .env(BUILD_DIR, workspace::target())
            .env("UPDRAFT_FIRMWARE", target().join("firmware"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
    }
}

/// Where programs of the copy end up.
fn target() -> PathBuf {
    workspace::target().join("mutants/target")
}

/// Says where cargo keeps what it builds on the way.
const BUILD_DIR: &str = "CARGO_BUILD_BUILD_DIR";

/// Runs tests to their end, or for as long as patience lasts.
fn wait(command: &mut Command) -> Result<Noticed> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut child = command.spawn().with_context(|| line(command))?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(match status.code() {
                Some(0) => Noticed::No,
                // nextest's word for tests that failed, and cargo's.
                Some(100 | 101) => Noticed::Failed,
                _ => Noticed::Broken,
            });
        }
        if start.elapsed() > PATIENCE {
            // The test programs hang on if only their runner is ended: nextest ends them when it is
            // asked to, cargo's are in its group.
            let group = format!("-{}", child.id());
            let _ = program("kill", ["-TERM", "--", &group]).status();
            std::thread::sleep(GRACE);
            let _ = program("kill", ["-KILL", "--", &group]).status();
            child.kill()?;
            child.wait()?;
            return Ok(Noticed::Hung);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(unix)]
fn link(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

#[cfg(not(unix))]
fn link(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes one folder like another, without what is built or fetched.
fn sync(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut kept = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_str(), Some("target" | ".git" | ".tools" | "corpus" | "artifacts")) {
            continue;
        }
        let (source, copy) = (entry.path(), to.join(&name));
        kept.push(name);
        if entry.file_type()?.is_dir() {
            sync(&source, &copy)?;
        } else if fs::read(&source)? != fs::read(&copy).unwrap_or_default() || !copy.exists() {
            fs::copy(&source, &copy)?;
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if kept.contains(&entry.file_name()) || entry.file_type()?.is_symlink() {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fault that cannot be planted any more would only be told of when its turn comes.
    #[test]
    fn every_fault_has_a_name_of_its_own_and_a_place_to_be_planted_in() {
        let list = list().unwrap();
        let mut names = std::collections::HashSet::new();
        for mutant in &list {
            assert!(names.insert(&mutant.name), "two faults are called {}", mutant.name);
            let path = workspace::root().join(&mutant.file);
            let text = fs::read_to_string(&path).unwrap();
            let found = text.matches(&mutant.find).count();
            assert_eq!(found, 1, "{}: in {}", mutant.name, mutant.file.display());
            assert_ne!(mutant.find, mutant.replace, "{}", mutant.name);
        }
    }
}
