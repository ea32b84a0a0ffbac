//! What happens before a board's programs are compiled.
//!
//! | file in `OUT_DIR` | made from |
//! |---|---|
//! | `board.rs` | the board file: flash map, rules |
//! | `bootloader/memory.x`, `application/memory.x` | the board file |
//! | `key.rs` | the public key |
//! | `map.rs` | the board's upgrade mode: which flash map it works on |
//! | `description.bin` | what the application does |
//! | `identity.bin` | certificates and key of a networked application |
//!
//! | variable | |
//! |---|---|
//! | `UPDRAFT_BOARD` | a board's name or file; by default the one that is called like the package |
//! | `UPDRAFT_KEY` | file with the public key, PEM or DER; builds for development may do without, releases want one that is not published |
//! | `UPDRAFT_APP` | `boot` (default) or `upgrade` |
//! | `UPDRAFT_TLS_CA` | file with the certificate, PEM, of the authority that servers are believed by |
//! | `UPDRAFT_TLS_CRL` | file with that authority's list of revoked certificates, PEM |
//! | `UPDRAFT_TLS_CERT`, `UPDRAFT_TLS_KEY` | the device's own certificate and its key |

mod description;
mod identity;
mod key;
/// The signer's own list. Its crate would bring every cipher along into a build script.
#[path = "../../../crates/sign/src/known.rs"]
#[allow(dead_code, unreachable_pub)]
mod published;

use std::path::{Path, PathBuf};
use std::{env, fs};

use updraft_board::{Board, Program};
use updraft_image::{Scheme, UpgradeMode};

/// TLS's handshake goes deep.
const NETWORKED_STACK: &str = "_stack_size = 48K;\n";
/// Pairing does arithmetic on a curve, with the radio's stack beneath it; and its interrupts come on top.
const BLUETOOTH_STACK: &str = "_stack_size = 28K;\n";
/// So does the arithmetic of P-384, which is not our own.
const P384_STACK: &str = "_stack_size = 16K;\n";
/// A boot that keeps its progress in a status area goes to 8.2 KB (`docs/size.md`).
const STATUS_STACK: &str = "_stack_size = 12K;\n";

/// Makes everything for the package whose build script calls this.
///
/// # Panics
/// With the reason, if something cannot be made: cargo shows it.
pub fn make() {
    for variable in [
        "UPDRAFT_BOARD",
        "UPDRAFT_KEY",
        "UPDRAFT_APP",
        "UPDRAFT_TLS_CA",
        "UPDRAFT_TLS_CRL",
        "UPDRAFT_TLS_CERT",
        "UPDRAFT_TLS_KEY",
    ] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    refuse_unhardened_release();
    let name = variable("UPDRAFT_BOARD").unwrap_or_else(|| needed("CARGO_PKG_NAME"));
    let board = Board::load(&name).unwrap_or_else(|error| panic!("{error}"));
    let out = PathBuf::from(needed("OUT_DIR"));
    let rust = board.rust().unwrap_or_else(|error| panic!("{name}: {error}"));
    write(&out.join("board.rs"), rust.as_bytes());
    let key = key::source(&board).unwrap_or_else(|error| panic!("{error}"));
    write(&out.join("key.rs"), key.as_bytes());
    write(&out.join("map.rs"), map(&board).as_bytes());
    write(&out.join("description.bin"), &description::bytes());
    write(&out.join("identity.bin"), &identity::bytes());
    let application = Program::Application(board.images().saturating_sub(1));
    // Both check signatures.
    let stack = match board.boot().signature.scheme() {
        Some(Scheme::EcdsaP384) => P384_STACK,
        _ if board.mode() == UpgradeMode::StatusPartition => STATUS_STACK,
        _ => "",
    };
    let mut programs =
        vec![("bootloader", Program::Bootloader, stack), ("application", application, stack)];
    if env::var_os("CARGO_FEATURE_NETWORK").is_some() {
        programs.push(("networked", application, NETWORKED_STACK));
    }
    if env::var_os("CARGO_FEATURE_BLUETOOTH").is_some() {
        programs.push(("bluetooth", application, BLUETOOTH_STACK));
    }
    for (bin, program, stack) in programs {
        // A board with a bootloader of its own has no program of ours there.
        let source = format!("{}/src/bin/{bin}.rs", needed("CARGO_MANIFEST_DIR"));
        if !Path::new(&source).exists() {
            continue;
        }
        let script = board.memory_x(program).unwrap_or_else(|error| panic!("{name}: {error}"));
        let script = script + stack;
        let folder = out.join(bin);
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        write(&folder.join("memory.x"), script.as_bytes());
        println!("cargo::rustc-link-arg-bin={bin}=-L{}", folder.display());
        println!("cargo::rustc-link-arg-bin={bin}=-Tprogram.x");
    }
}

/// The type of the flash map, over the board's kind of device.
fn map(board: &Board) -> String {
    let map = match board.boot().mode {
        UpgradeMode::StatusPartition => "WithStatus",
        _ => "Plain",
    };
    format!(
        "/// The flash map that the board's mode works on.\n\
         pub type Map<D> = firmware_board::{map}<D, {{ board::DEVICES.len() }}>;\n"
    )
}

/// Decisions that are taken once are for tests that break them.
fn refuse_unhardened_release() {
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if release && env::var_os("CARGO_CFG_UPDRAFT_UNHARDENED").is_some() {
        panic!("a release takes its decisions twice: build it without `--cfg updraft_unhardened`");
    }
}

/// A variable of the environment, if it is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// One that cargo always sets.
fn needed(name: &str) -> String {
    variable(name).unwrap_or_else(|| panic!("{name} is not set: this belongs into a build script"))
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
