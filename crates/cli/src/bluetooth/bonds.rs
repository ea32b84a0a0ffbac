//! Bonds in a file, and the address that they are with: a line of hexadecimal digits each.

use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use updraft_ble::trouble_host::BondInformation;
use updraft_ble::{BOND_SIZE, Bonds, bond_from_bytes, bond_to_bytes};

use crate::files::{self, Mode};
use crate::report::Hint;
use crate::smp::unhex;

/// As many as the stack takes; the oldest goes first.
const MOST: usize = 10;

/// The bonds in a file, or in memory, and one's own address. Bonds are secret keys.
#[derive(Clone, Debug)]
pub struct BondFile {
    path: Option<PathBuf>,
    address: [u8; 6],
    bonds: Vec<BondInformation>,
}

impl BondFile {
    /// A new address, and no bonds.
    pub fn in_memory() -> Self {
        let [mut address @ .., _, _] = RandomState::new().hash_one(0).to_le_bytes();
        // Both bits say that the address is random and stays.
        address[5] |= 0xc0;
        Self { path: None, address, bonds: Vec::new() }
    }

    /// The bonds in the file at `path`, which need not be there yet.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
        };
        let path = Some(path.to_owned());
        if text.is_empty() {
            return Ok(Self { path, ..Self::in_memory() });
        }
        let (address, bonds) = parse(&text)
            .with_context(|| format!("{} holds something else than bonds", show(&path)))
            .hint("delete it, and pair anew")?;
        Ok(Self { path, address, bonds })
    }

    /// One's own address, lowest byte first.
    pub fn address(&self) -> [u8; 6] {
        self.address
    }

    /// The file.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn save(&self) -> anyhow::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let line = |bytes: &[u8]| {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n"
        };
        let bonds = self.bonds.iter().map(|bond| line(&bond_to_bytes(bond)));
        let text: String = [line(&self.address)].into_iter().chain(bonds).collect();
        files::write(path, text.as_bytes(), Mode::Secret { replace: true })
    }
}

fn parse(text: &str) -> Option<([u8; 6], Vec<BondInformation>)> {
    let mut lines = text.lines();
    let address = unhex(lines.next()?).ok()?.try_into().ok()?;
    let bond = |line: &str| {
        let bytes: [u8; BOND_SIZE] = unhex(line).ok()?.try_into().ok()?;
        bond_from_bytes(&bytes)
    };
    Some((address, lines.map(bond).collect::<Option<_>>()?))
}

fn show(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
}

impl Bonds for BondFile {
    fn load(&mut self, each: &mut dyn FnMut(BondInformation)) {
        self.bonds.iter().cloned().for_each(each);
    }

    fn keep(&mut self, bond: &BondInformation) {
        self.bonds.retain(|kept| !kept.identity.match_identity(&bond.identity));
        self.bonds.push(bond.clone());
        let surplus = self.bonds.len().saturating_sub(MOST);
        self.bonds.drain(..surplus);
        if let Err(error) = self.save() {
            eprintln!("the bond could not be kept: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bonds_and_address_outlive_the_process() {
        let name = format!("updraft-bonds-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut bytes = [0; BOND_SIZE];
        bytes[..10].copy_from_slice(&[1, 1, 2, 3, 4, 5, 6, 0xc7, 8, 9]);
        bytes[BOND_SIZE - 2..].copy_from_slice(&[0xa5, 0x5a]);
        let bond = bond_from_bytes(&bytes).unwrap();
        let mut file = BondFile::load(&path).unwrap();
        assert_eq!(file.address()[5] & 0xc0, 0xc0);
        file.keep(&bond);
        file.keep(&bond);
        let again = BondFile::load(&path).unwrap();
        assert_eq!((again.address(), again.bonds), (file.address(), vec![bond]));
        std::fs::write(&path, "nothing").unwrap();
        assert!(BondFile::load(&path).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
