//! Passphrases of private keys: from the environment, or from whoever sits at the terminal.

use zeroize::Zeroizing;

use crate::Console;

/// The environment variable with the passphrase of every key that needs one.
pub const VARIABLE: &str = "UPDRAFT_KEY_PASSPHRASE";

/// The passphrase of the key that is to be opened; `None` if there is none to be had.
pub fn for_opening(console: &mut dyn Console) -> Option<Zeroizing<String>> {
    from_environment().or_else(|| console.ask_passphrase("Enter key passphrase: "))
}

/// The passphrase of a new key, asked for until it was typed twice the same way.
pub fn for_a_new_key(console: &mut dyn Console) -> Option<Zeroizing<String>> {
    if let Some(passphrase) = from_environment() {
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

fn from_environment() -> Option<Zeroizing<String>> {
    std::env::var(VARIABLE).ok().map(Zeroizing::new)
}
