//! `updraft image decrypt`.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use serde_json::json;
use updraft_image::Header;
use updraft_sign::hex::{self, Segment};
use updraft_sign::inspect;

use super::encryption;
use crate::files::{self, Mode};
use crate::input::{is_hex, read};
use crate::output::{GOOD, Output, styled};
use crate::report::Hint;

/// Options of `updraft image decrypt`.
#[derive(clap::Args)]
#[command(after_help = "The output is the image as a bootloader writes it to the primary slot: the
body in plaintext, header, TLVs and padding as they are, flagged as encrypted still. It is written
only if it is the image that was hashed when it was signed.

Examples:
  updraft image decrypt -k device-key.pem app.encrypted.bin app.plain.bin")]
pub struct Args {
    /// The encrypted image: binary or Intel HEX.
    input: PathBuf,
    /// The file to write; Intel HEX only if the input is.
    output: PathBuf,
    /// The device's private key, PEM, or the wrapping key, base64.
    #[arg(short, long)]
    key: PathBuf,
}

/// Runs it.
pub fn run(args: &Args, out: &Output) -> anyhow::Result<()> {
    let (file, address) = read(&args.input)?;
    let refused = || format!("{} cannot be decrypted", args.input.display());
    let plain = encryption::decrypt(&file, &args.key).with_context(refused)?;
    let hash = inspect(&plain, &[]).ok().and_then(|seen| seen.hash).filter(|hash| hash.matches);
    let Some(hash) = hash else {
        return Err(anyhow!("what comes out is not what was hashed when it was signed"))
            .hint("the file was damaged on its way, or its body is in plaintext already (--clear)")
            .with_context(refused);
    };
    let header = Header::parse(&plain)?;
    let file = match (is_hex(&args.output), address) {
        (false, _) => plain,
        (true, Some(address)) => hex::emit(&[Segment { address, bytes: plain }]).into_bytes(),
        (true, None) => {
            return Err(anyhow!("Intel HEX has addresses, and the binary input none"))
                .usage("write a binary file");
        }
    };
    files::write(&args.output, &file, Mode::Result)?;
    let version = header.version.to_string();
    let result = json!({ "file": args.output, "version": version, "hash": hash.computed });
    out.result(&result, |to| {
        let name = args.output.display();
        writeln!(to, "{} {name}: version {version}", styled(GOOD, "decrypted"))?;
        writeln!(to, "  hash {}", hash.computed)
    })
}
