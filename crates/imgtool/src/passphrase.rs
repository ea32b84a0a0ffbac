//! Passphrases of private keys: from a file, from the environment, or from whoever sits at the
//! terminal.

use std::path::Path;
use std::sync::OnceLock;

use zeroize::Zeroizing;

use crate::Console;

/// The environment variable with the passphrase of every key that needs one.
pub const VARIABLE: &str = "UPDRAFT_KEY_PASSPHRASE";

static FROM_FILE: OnceLock<Zeroizing<String>> = OnceLock::new();

/// Takes the passphrase of every key that needs one from the first line of a file, from now on.
pub fn read_from(path: &Path) -> std::io::Result<()> {
    let text = Zeroizing::new(std::fs::read_to_string(path)?);
    let line = text.lines().next().unwrap_or_default();
    // Only the first file that is given counts.
    FROM_FILE.get_or_init(|| Zeroizing::new(line.to_owned()));
    Ok(())
}

/// The passphrase of the key that is to be opened; `None` if there is none to be had.
pub fn for_opening(console: &mut dyn Console) -> Option<Zeroizing<String>> {
    given().or_else(|| console.ask_passphrase("Enter key passphrase: "))
}

/// The passphrase of a new key, asked for until it was typed twice the same way.
pub fn for_a_new_key(console: &mut dyn Console) -> Option<Zeroizing<String>> {
    if let Some(passphrase) = given() {
        return Some(passphrase);
    }
    loop {
        let first = console.ask_passphrase("Enter key passphrase: ")?;
        if first == console.ask_passphrase("Reenter passphrase: ")? {
            return Some(first);
        }
        console.err("Passwords do not match, try again");
    }
}

fn given() -> Option<Zeroizing<String>> {
    let from_environment = || std::env::var(VARIABLE).ok().map(Zeroizing::new);
    FROM_FILE.get().cloned().or_else(from_environment)
}
