//! Files with images: binary, or Intel HEX if they are called so.

use std::io::ErrorKind;
use std::path::Path;

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
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
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

/// Writes a result.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| {
        let cause = format!("{} cannot be written ({error})", path.display());
        Failure::error(cause, "check that its folder is there and who may write in it")
    })
}
