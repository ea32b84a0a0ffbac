//! Files with firmware or images in them: binary, Intel HEX, ELF.

use std::path::Path;

use anyhow::{Context, anyhow};
use updraft_sign::elf;
use updraft_sign::hex::{self, Segment};

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Input {
    /// What lies together, in the order of addresses: never none. A binary begins at 0.
    pub segments: Vec<Segment>,
    /// Whether the file says where its bytes belong.
    pub placed: bool,
}

impl Input {
    /// Reads a file: ELF by its content, Intel HEX by its name, and everything else as it is.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let read = std::fs::read(path);
        let bytes = read.with_context(|| format!("{} cannot be read", path.display()))?;
        let unusable = || format!("{} cannot be used", path.display());
        let segments = match () {
            () if elf::is_elf(&bytes) => elf::segments(&bytes).with_context(unusable)?,
            () if is_hex(path) => {
                hex::segments(&String::from_utf8_lossy(&bytes)).with_context(unusable)?
            }
            () => {
                return Ok(Self { segments: vec![Segment { address: 0, bytes }], placed: false });
            }
        };
        Ok(Self { segments, placed: true })
    }

    /// The address of the first byte, if the file says it.
    pub fn address(&self) -> Option<u32> {
        self.segments.first().map(|segment| segment.address).filter(|_| self.placed)
    }

    /// All in one piece, with `fill` in the gaps.
    pub fn flat(&self, fill: u8) -> anyhow::Result<Vec<u8>> {
        let flat = hex::flatten(&self.segments, fill);
        Ok(flat.map_err(|len| anyhow!("its parts are {len} bytes apart"))?.bytes)
    }
}

/// The bytes of a file in one piece, with 0xff in the gaps, and their address if it says one.
pub fn read(path: &Path) -> anyhow::Result<(Vec<u8>, Option<u32>)> {
    let input = Input::open(path)?;
    let bytes = input.flat(0xff).with_context(|| format!("{} cannot be used", path.display()))?;
    Ok((bytes, input.address()))
}

/// Whether the name says that the file is Intel HEX.
pub fn is_hex(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("hex"))
}
