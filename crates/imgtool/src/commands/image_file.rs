//! Files with images: binary, or Intel HEX if they are called so.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
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
    put(path, bytes).map_err(|error| {
        let cause = format!("{} cannot be written ({error})", path.display());
        Failure::error(cause, "check that its folder is there and who may write in it")
    })
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let there = fs::metadata(path).ok();
    // A pipe or a device is written to, and not replaced.
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        return fs::write(path, bytes);
    }
    // What a link points to is what is to change.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = target.with_file_name(name);
    let written = fs::write(&beside, bytes).and_then(|()| {
        if let Some(there) = there {
            fs::set_permissions(&beside, there.permissions())?;
        }
        fs::rename(&beside, &target)
    });
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_replaces_what_was_there_or_leaves_it() {
        let folder = std::env::temp_dir().join(format!("imgtool-put-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let result = folder.join("image");
        put(&result, b"one").unwrap();
        put(&result, b"two").unwrap();
        assert_eq!(fs::read(&result).unwrap(), b"two");
        // The name beside it is taken, so that the new file cannot be made.
        let beside = folder.join(format!(".image.{}.tmp", std::process::id()));
        fs::create_dir(&beside).unwrap();
        put(&result, b"three").unwrap_err();
        assert_eq!(fs::read(&result).unwrap(), b"two");
        fs::remove_dir(&beside).unwrap();
        put(&folder.join("missing").join("image"), b"one").unwrap_err();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
        fs::remove_dir_all(&folder).unwrap();
    }
}
