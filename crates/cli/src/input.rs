//! Files with firmware or images in them: binary, Intel HEX, ELF.

use std::path::Path;

use anyhow::Context;
use updraft_sign::elf;
use updraft_sign::hex::{self, Segment};

/// The bytes of a file, and their address if it is Intel HEX or ELF.
pub fn read(path: &Path) -> anyhow::Result<(Vec<u8>, Option<u32>)> {
    let read = std::fs::read(path);
    let bytes = read.with_context(|| format!("{} cannot be read", path.display()))?;
    if elf::is_elf(&bytes) {
        let Segment { address, bytes } =
            elf::parse(&bytes).with_context(|| format!("{} cannot be used", path.display()))?;
        return Ok((bytes, Some(address)));
    }
    if !is_hex(path) {
        return Ok((bytes, None));
    }
    let Segment { address, bytes } = hex::parse(&String::from_utf8_lossy(&bytes))
        .with_context(|| format!("{} cannot be used", path.display()))?;
    Ok((bytes, Some(address)))
}

/// Whether the name says that the file is Intel HEX.
pub fn is_hex(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("hex"))
}
