//! The programs of boards: `firmware/`, built for each board's processor.

mod radio;
mod toolchain;
pub mod variants;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::elf;
use crate::process::run as run_command;
use crate::steps::Outcome;
use crate::{size, workspace};

pub use radio::{Libclang, NoLibclang};
pub use toolchain::{DEBIAN, NoToolchain, Toolchain};

/// The feature of packages whose board has a network, and of programs that use it.
const NETWORK: &str = "network";
/// The same of a radio; and the name of the program.
const BLUETOOTH: &str = "bluetooth";

/// A board that has programs.
#[derive(Clone, Debug)]
pub struct Board {
    /// Its name, which is that of its file.
    pub name: String,
    /// The file.
    file: PathBuf,
    /// The package with its drivers: several board files may share one.
    package: String,
    /// What bootloader and application are compiled for: the first processor, and the last.
    targets: [String; 2],
    /// How images for it are signed.
    pub signature: String,
    /// Whether there is an application that uses its network.
    pub networked: bool,
    /// Whether there is one that uses its radio.
    pub bluetooth: bool,
    /// Whether it has room for a factory image.
    pub factory: bool,
    /// Whether images that run from RAM have to be confirmed.
    pub trials: bool,
}

/// The programs of a board.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Linked, for emulators and debuggers. None where the board has one of its own.
    pub bootloader: Option<Program>,
    /// What is to be signed: the bytes behind the header.
    pub application: Program,
    /// The same, of the application that fetches its updates over the network, where there is one.
    pub networked: Option<Program>,
}

/// A program, and what it takes on the chip.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of flash, and of RAM besides the stack.
    pub footprint: elf::Footprint,
    /// Bytes of stack, by its assembly.
    pub stack: u32,
}

/// `cargo xtask firmware [--release] [NAME...]`.
pub fn run(args: &[String]) -> Result<()> {
    let release = args.iter().any(|arg| arg == "--release");
    let names = args.iter().filter(|arg| !arg.starts_with('-'));
    let (variants, names): (Vec<_>, Vec<_>) = names.partition(|name| variants::is_one(name));
    for name in &variants {
        println!("{}", variants::build_named(name)?.display());
    }
    let named = !names.is_empty();
    let boards = match &names[..] {
        [] if variants.is_empty() => boards()?,
        names => names.iter().map(|name| board(name)).collect::<Result<_>>()?,
    };
    for board in boards {
        let programs = build(&board, release)?;
        println!("{}", board.name);
        if board.name == DISTURBED && !release {
            build_unhardened(&board)?;
        }
        let Programs { bootloader, application, networked } = programs;
        let bluetooth = match named || board.is_plain() {
            true => build_bluetooth(&board, release),
            false => Ok(None),
        };
        let bluetooth = bluetooth.or_else(|error| match error.is::<NoLibclang>() {
            true => {
                println!("  {error}");
                Ok(None)
            }
            false => Err(error),
        })?;
        let all = bootloader.into_iter().chain([application]).chain(networked);
        let all = all.chain(bluetooth.map(|[_, bytes]| bytes));
        for Program { path, footprint, stack } in all {
            let elf::Footprint { flash, ram } = footprint;
            println!("  {}: flash {flash}, RAM {ram}, stack {stack}", path.display());
        }
    }
    Ok(())
}

/// A step of `cargo xtask test`: the programs of every board are built.
pub fn build_all() -> Result<Outcome> {
    let boards = boards()?;
    let mut sizes = Vec::new();
    let mut without = None;
    for board in &boards {
        let programs = match build(board, false) {
            Err(error) if error.is::<NoToolchain>() => {
                return Ok(Outcome::LeftOut(format!("{error:#}")));
            }
            built => built?,
        };
        let boot = programs.bootloader.map_or(0, |boot| boot.footprint.flash);
        sizes.push(format!("{} {boot} + {}", board.name, programs.application.footprint.flash));
        if board.name == DISTURBED {
            build_unhardened(board)?;
        }
        // Variants differ in what their board file says, and not in code.
        if board.is_plain() {
            match build_bluetooth(board, false) {
                Err(error) if error.is::<NoLibclang>() => without = Some(error),
                built => drop(built?),
            }
            lint(board)?;
        }
    }
    variants::build(variants::TESTED)?;
    if let Some(error) = without {
        return Ok(Outcome::LeftOut(format!("{error:#}")));
    }
    Ok(Outcome::Passed(format!("bytes of bootloader + application: {}", sizes.join(", "))))
}

/// Has clippy look at the programs of a board, where the toolchain has one for its processors.
fn lint(board: &Board) -> Result<()> {
    for (target, name) in board.targets.iter().zip([BOOTLOADER, APPLICATION]) {
        let toolchain = Toolchain::choose(target)?;
        if board.has(name) && matches!(toolchain, Toolchain::Usual) {
            let mut command = compile(board, target, &toolchain, "clippy");
            run_command(command.args(["--bin", name, "--", "-D", "warnings"]))?;
            if board.networked && name == APPLICATION {
                let mut command = compile(board, target, &toolchain, "clippy");
                run_command(command.args(["--bin", "networked", "--", "-D", "warnings"]))?;
            }
            if let (true, Ok(libclang)) = (board.bluetooth && name == APPLICATION, Libclang::find())
            {
                let mut command = compile(board, target, &toolchain, "clippy");
                command.args(["--features", BLUETOOTH, "--bin", BLUETOOTH, "--", "-D", "warnings"]);
                run_command(libclang.tell(&mut command))?;
            }
        }
    }
    Ok(())
}

/// The board whose application is also built in its other flavour, as `upgrade.bin`. The two differ in
/// their description, which no board has a part in.
const FLAVOURED: &str = "mps2-an386";

/// The programs that a board may have.
const BOOTLOADER: &str = "bootloader";
const APPLICATION: &str = "application";

impl Board {
    /// Whether it is what its folder of programs is called like, and no variant of that.
    pub fn is_plain(&self) -> bool {
        self.name == self.package
    }

    /// Whether its programs are those of this folder.
    #[cfg(test)]
    pub fn is_of(&self, package: &str) -> bool {
        self.package == package
    }

    /// Whether it has this program.
    fn has(&self, name: &str) -> bool {
        let source = format!("firmware/boards/{}/src/bin/{name}.rs", self.package);
        workspace::root().join(source).exists()
    }
}

/// Every board that has programs.
pub fn boards() -> Result<Vec<Board>> {
    let mut boards = Vec::new();
    for name in names()? {
        if has_programs(&name)? {
            boards.push(board(&name)?);
        }
    }
    Ok(boards)
}

/// Every board that has a file.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in fs::read_dir(workspace::root().join("boards"))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".toml").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Whether a board has programs.
pub fn has_programs(name: &str) -> Result<bool> {
    Ok(package_of(name, &packages()?).is_some())
}

/// The processors of a board.
pub fn cores(name: &str) -> Result<Vec<String>> {
    let file = file(name)?;
    let cores = file.get("core").and_then(toml::Value::as_array).context("a board has cores")?;
    let arch = |core: &toml::Value| Some(core.get("arch")?.as_str()?.to_owned());
    Ok(cores.iter().filter_map(arch).collect())
}

/// The file of a board.
fn path(name: &str) -> PathBuf {
    workspace::root().join("boards").join(format!("{name}.toml"))
}

fn file(name: &str) -> Result<toml::Table> {
    let path = path(name);
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    text.parse().with_context(|| path.display().to_string())
}

/// The folders of programs, by name.
pub fn packages() -> Result<Vec<String>> {
    let folder = workspace::root().join("firmware/boards");
    let entries = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut packages: Vec<_> = names.collect();
    packages.sort();
    Ok(packages)
}

/// The package of a board: called like it, or like what its name begins with.
fn package_of<'p>(name: &str, packages: &'p [String]) -> Option<&'p String> {
    let fits = |package: &&String| {
        name.strip_prefix(package.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    packages.iter().filter(fits).max_by_key(|package| package.len())
}

/// The board of that name.
pub fn board(name: &str) -> Result<Board> {
    let packages = packages()?;
    let Some(package) = package_of(name, &packages) else {
        let mut known = packages;
        known.sort();
        bail!("{name} has no programs; firmware/boards has {}", known.join(", "));
    };
    let file = file(name)?;
    let cores = file.get("core").and_then(toml::Value::as_array);
    let target = |core: Option<&toml::Value>| Some(core?.get("target")?.as_str()?.to_owned());
    let cores = cores.context("a board has cores")?;
    let targets = [cores.first(), cores.last()].map(target);
    let [Some(first), Some(last)] = targets else { bail!("{name} has a core without a target") };
    let areas = file.get("area").and_then(toml::Value::as_array);
    let is_factory = |area: &toml::Value| {
        area.get("role").and_then(toml::Value::as_str).is_some_and(|role| role == "factory")
    };
    let signature = file.get("boot").and_then(|boot| boot.get("signature")?.as_str());
    Ok(Board {
        name: name.to_owned(),
        file: path(name),
        package: package.clone(),
        targets: [first, last],
        signature: signature.unwrap_or("ed25519").to_owned(),
        networked: has_feature(package, NETWORK)?,
        bluetooth: has_feature(package, BLUETOOTH)?,
        factory: areas.is_some_and(|areas| areas.iter().any(is_factory)),
        trials: file.get("boot").and_then(|boot| boot.get("revert")?.as_bool()).unwrap_or(false),
    })
}

/// Whether the package has this feature, and with it an application that uses it.
fn has_feature(package: &str, feature: &str) -> Result<bool> {
    let path = workspace::root().join("firmware/boards").join(package).join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    let manifest: toml::Table = text.parse().with_context(|| path.display().to_string())?;
    Ok(manifest.get("features").is_some_and(|features| features.get(feature).is_some()))
}

/// Where the programs of a board are put.
pub fn folder(board: &str) -> PathBuf {
    workspace::target().join("firmware").join(board)
}

fn target_dir(toolchain: &Toolchain) -> PathBuf {
    toolchain.target_dir(&workspace::target().join("firmware/build"))
}

/// A command of cargo's that compiles the programs of a board.
fn compile(board: &Board, target: &str, toolchain: &Toolchain, subcommand: &str) -> Command {
    let mut command = toolchain.cargo(subcommand);
    command.args(["--quiet", "--package", &board.package, "--target", target]);
    command.args(["--no-default-features", "--features", &board.signature]);
    if board.networked && subcommand == "clippy" {
        command.args(["--features", NETWORK]);
    }
    // The settings for the compiler are in the folder's own configuration.
    command.current_dir(workspace::root().join("firmware")).env_remove("RUSTFLAGS");
    command.env("CARGO_TARGET_DIR", target_dir(toolchain));
    command.env("UPDRAFT_BOARD", &board.file);
    command
}

/// A bootloader that takes its decisions once, for tests that break it; beside the board's others.
pub fn build_unhardened(board: &Board) -> Result<()> {
    let [target, _] = &board.targets;
    let toolchain = Toolchain::choose(target)?;
    let mut command = compile(board, target, &toolchain, "rustc");
    command.args(["--bin", BOOTLOADER, "--config", UNHARDENED]);
    run_command(&mut command).with_context(|| format!("{BOOTLOADER} of {}", board.name))?;
    let built = target_dir(&toolchain).join(target).join("debug").join(BOOTLOADER);
    let file = fs::read(&built).with_context(|| format!("no {}", built.display()))?;
    let folder = folder(&board.name);
    fs::create_dir_all(&folder)?;
    replace(&folder.join("unhardened.elf"), &file)
}

/// Added to the settings for the compiler that `firmware` has.
const UNHARDENED: &str =
    "target.'cfg(target_os = \"none\")'.rustflags=[\"--cfg\", \"updraft_unhardened\"]";
/// The board whose boot is disturbed.
const DISTURBED: &str = "mps2-an386";

/// Builds the programs of a board. Without `release` it may trust the sample key.
pub fn build(board: &Board, release: bool) -> Result<Programs> {
    let program = |name: &str, target: &str, feature: Option<&str>| {
        build_program(board, release, (name, feature), target, None)
    };
    let [first, last] = &board.targets;
    let bootloader = match board.has(BOOTLOADER) {
        true => Some(program(BOOTLOADER, first, None)?),
        false => None,
    };
    let bootloader = bootloader.map(|[linked, _]| linked);
    let [_, application] = program(APPLICATION, last, None)?;
    let networked = match board.networked {
        true => program("networked", last, Some(NETWORK)).map(|[_, networked]| Some(networked))?,
        false => None,
    };
    if board.name == FLAVOURED {
        flavour(board, release)?;
    }
    Ok(Programs { bootloader, application, networked })
}

/// Builds the application with Bluetooth, where the board has one: linked, and as bytes. Variants of a board differ in what their
/// file says, and not in code, so that it is not always built for each of them.
pub fn build_bluetooth(board: &Board, release: bool) -> Result<Option<[Program; 2]>> {
    if !board.bluetooth {
        return Ok(None);
    }
    let libclang = Libclang::find()?;
    let target = board.targets.last().context("a board has a core")?;
    let name = (BLUETOOTH, Some(BLUETOOTH));
    build_program(board, release, name, target, Some(&libclang)).map(Some)
}

/// Builds a program, with a feature of its package's: linked, and as bytes.
fn build_program(
    board: &Board,
    release: bool,
    (name, feature): (&str, Option<&str>),
    target: &str,
    libclang: Option<&Libclang>,
) -> Result<[Program; 2]> {
    let folder = folder(&board.name);
    fs::create_dir_all(&folder)?;
    let toolchain = Toolchain::choose(target)?;
    let built = target_dir(&toolchain);
    let built = built.join(target).join(if release { "release" } else { "debug" });
    let mut command = compile(board, target, &toolchain, "rustc");
    if let Some(libclang) = libclang {
        libclang.tell(&mut command);
    }
    command.args(feature.iter().flat_map(|feature| ["--features", feature]));
    command.args(release.then_some("--release"));
    command.args(["--bin", name, "--", "--emit=asm,link"]);
    run_command(&mut command).with_context(|| format!("{name} of {}", board.name))?;
    let file = fs::read(built.join(name)).with_context(|| format!("no {name} was built"))?;
    let footprint = elf::footprint(&file).context("a linker makes ELF files")?;
    let (_, bytes) = elf::image(&file).context("a program has something to load")?;
    let assembly = size::assembly(&built.join("deps"), &file)?;
    let stack = size::stack::depth(&assembly, "main").context("a program has a `main`")?;
    let (elf, bin) = (folder.join(format!("{name}.elf")), folder.join(format!("{name}.bin")));
    replace(&elf, &file)?;
    replace(&bin, &bytes)?;
    Ok([elf, bin].map(|path| Program { path, footprint, stack }))
}

/// Builds the application in its other flavour: in a folder of its own, or each of the two would make
/// cargo forget the other.
fn flavour(board: &Board, release: bool) -> Result<()> {
    let target = board.targets.last().context("a board has a core")?;
    let toolchain = Toolchain::choose(target)?;
    let built = target_dir(&toolchain).join("upgrade");
    let mut command = compile(board, target, &toolchain, "build");
    command.env("CARGO_TARGET_DIR", &built).env("UPDRAFT_APP", "upgrade");
    command.args(release.then_some("--release")).args(["--bin", APPLICATION]);
    run_command(&mut command).with_context(|| format!("the upgrade of {}", board.name))?;
    let built = built.join(target).join(if release { "release" } else { "debug" });
    let file = fs::read(built.join(APPLICATION)).context("no application was built")?;
    let (_, bytes) = elf::image(&file).context("a program has something to load")?;
    replace(&folder(&board.name).join("upgrade.bin"), &bytes)
}

/// Writes a file unless it is the same already: whoever uses it sees by its time that it is new.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_of_a_board_has_the_package_of_the_board() {
        let packages = ["microbit", "mps2-an386"].map(str::to_owned);
        let package = |name| package_of(name, &packages).map(String::as_str);
        assert_eq!(package("microbit"), Some("microbit"));
        assert_eq!(package("microbit-offset"), Some("microbit"));
        assert_eq!(package("mps2-an386-external"), Some("mps2-an386"));
        assert_eq!(package("microbits"), None);
    }
}
