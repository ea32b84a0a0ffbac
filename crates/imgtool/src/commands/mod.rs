//! The subcommands.

mod dumpinfo;
mod image_file;
mod keys;
mod sign;
mod tlvs;
mod verify;

use crate::VERSION;
use crate::command_line::Command;

/// All of them.
pub const COMMANDS: &[Command] = &[
    keys::KEYGEN,
    keys::GETPUB,
    keys::GETPUBHASH,
    keys::GETPRIV,
    keys::KEYINFO,
    verify::VERIFY,
    sign::SIGN,
    VERSION_COMMAND,
    dumpinfo::DUMPINFO,
];

const VERSION_COMMAND: Command = Command {
    name: "version",
    about: "Print the version of imgtool that this stands in for.",
    options: &[],
    arguments: &[],
    run: |_, console| say(console, VERSION),
};

/// What `verify` finds of an image in memory.
pub fn verify(
    image: &[u8],
    key: Option<&crate::key_file::KeyFile>,
) -> Result<verify::Verdict, crate::Failure> {
    verify::verify(&mut image_file::Content::Memory(image.into()), key)
}

/// Prints a line.
fn say(console: &mut dyn crate::Console, line: &str) -> Result<(), crate::Failure> {
    print(console, format!("{line}\n").as_bytes())
}

/// Prints bytes. A reader that is gone wants no more.
fn print(console: &mut dyn crate::Console, bytes: &[u8]) -> Result<(), crate::Failure> {
    console.out(bytes).map_err(|_| crate::Failure::Said)
}
