//! `updraft image`: signs, verifies, decrypts and inspects images.

mod decrypt;
mod diff;
mod drawing;
mod dump;
pub(super) mod encryption;
mod inspect;
mod merge;
mod release;
mod sign;
mod verify;

use clap::Subcommand;

use crate::output::Output;

/// Options of `updraft image`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an image of a build: header, ids, hash, signature.
    Sign(Box<sign::Args>),
    /// Say what the bootloader says to an image, and why.
    Verify(verify::Args),
    /// Show everything in an image: header, TLVs, byte ranges, keys, trailer.
    Inspect(inspect::Args),
    /// Compare two images: header, TLVs, sectors, and what the update costs.
    Diff(diff::Args),
    /// Combine bootloader, application and factory image into one file for a programmer.
    Merge(merge::Args),
    /// Turn an encrypted image into the one that it was made of.
    Decrypt(decrypt::Args),
}

/// Runs it.
pub fn run(args: Args, out: &Output) -> anyhow::Result<()> {
    match args.command {
        Command::Sign(args) => sign::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Inspect(args) => inspect::run(&args, out),
        Command::Diff(args) => diff::run(&args, out),
        Command::Merge(args) => merge::run(&args, out),
        Command::Decrypt(args) => decrypt::run(&args, out),
    }
}

/// A number in decimal, or with 0x, 0o or 0b.
fn number(text: &str) -> Result<u32, String> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', b'o' | b'O', ..] => (&text[2..], 8),
        [b'0', b'b' | b'B', ..] => (&text[2..], 2),
        _ => (text, 10),
    };
    u32::from_str_radix(&digits.replace('_', ""), radix)
        .map_err(|_| "a number from 0 to 0xffffffff: decimal, 0x…, 0o… or 0b…".into())
}
