//! Files with images: binary, or Intel HEX if they are called so.

use std::error::Error as _;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use updraft_sign::files::{self, Mode, WriteError};
use updraft_sign::hex;

use crate::Failure;
use crate::key_file::unreadable;

/// Whether a file is Intel HEX.
pub fn is_hex(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("hex"))
}

/// The bytes, and where they lie if the file says so. A file that is not there is a usage error,
/// with `missing` as its message.
pub fn read(path: &Path, missing: &str) -> Result<(Vec<u8>, Option<u32>), Failure> {
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::usage(missing),
        _ => unreadable(path, &error),
    })?;
    if !is_hex(path) {
        return Ok((bytes, None));
    }
    let text = String::from_utf8_lossy(&bytes);
    let segment = hex::parse(&text).map_err(|error| {
        let hint = "is it whole, and of the linker's or objcopy's making?";
        Failure::error(format!("{}: {error}", path.display()), hint)
    })?;
    Ok((segment.bytes, Some(segment.address)))
}

/// Writes a result: whole, or what was there stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    files::write(path, bytes, Mode::Result).map_err(unwritten)
}

/// What is told of a file that was not written.
pub fn unwritten(error: WriteError) -> Failure {
    let source = error.source().map(|source| format!(" ({source})")).unwrap_or_default();
    Failure::error(format!("{error}{source}"), error.remedy())
}
