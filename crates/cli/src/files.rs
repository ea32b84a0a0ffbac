//! Writing a result into a file: whole or not at all, and never over a private key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::report::Hint;

/// Who may read a file, and whether it may replace another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A result: everybody may read it; it replaces an older one.
    Result,
    /// A secret: nobody else may read it, not even for a moment.
    Secret {
        /// Whether it replaces what is there.
        replace: bool,
    },
}

/// Writes `bytes` to `path`. The file appears when the last byte is on its way to the disk; when
/// anything fails before that, what was there is still there.
///
/// A file with a private key in it is replaced only by a secret that may replace.
pub fn write(path: &Path, bytes: &[u8], mode: Mode) -> anyhow::Result<()> {
    if mode == Mode::Result && holds_private_key(path) {
        return Err(anyhow!("{} holds a private key", path.display()))
            .usage("choose another file for the output: what only that key signs is lost with it");
    }
    match put(path, bytes, mode) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(anyhow!("{} exists already", path.display())).hint(
                "choose another name; --force overwrites, and what only that key has signed can \
                 then never be updated again",
            )
        }
        written => written.with_context(|| format!("{} cannot be written", path.display())),
    }
}

fn put(path: &Path, bytes: &[u8], mode: Mode) -> io::Result<()> {
    // A pipe or a device is written to, and not replaced.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let beside = beside(path);
    let written = fill(&beside, bytes, mode).and_then(|()| match mode {
        Mode::Secret { replace: false } => {
            fs::hard_link(&beside, path).and_then(|()| fs::remove_file(&beside))
        }
        _ => {
            // What a link points to is what is to change.
            let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            fs::rename(&beside, target)
        }
    });
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn fill(path: &Path, bytes: &[u8], mode: Mode) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if let Mode::Secret { .. } = mode {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut file: File = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name in the same folder that nobody else uses.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn holds_private_key(path: &Path) -> bool {
    let Ok(there) = fs::metadata(path) else { return false };
    // Keys are small; images are not read for this.
    there.is_file()
        && there.len() < 64 * 1024
        && fs::read(path)
            .is_ok_and(|bytes| bytes.windows(16).any(|window| window == b"PRIVATE KEY-----"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("updraft-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_result_replaces_a_result_and_no_key() {
        let folder = folder("results");
        let (result, key) = (folder.join("a"), folder.join("key.pem"));
        write(&result, b"one", Mode::Result).unwrap();
        write(&result, b"two", Mode::Result).unwrap();
        assert_eq!(fs::read(&result).unwrap(), b"two");
        let pem = b"-----BEGIN PRIVATE KEY-----\n";
        write(&key, pem, Mode::Secret { replace: false }).unwrap();
        write(&key, b"result", Mode::Result).unwrap_err();
        write(&key, pem, Mode::Secret { replace: false }).unwrap_err();
        assert_eq!(fs::read(&key).unwrap(), pem);
        write(&key, b"-----BEGIN PRIVATE KEY----- new", Mode::Secret { replace: true }).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing is left beside them");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let folder = folder("failures");
        let result = folder.join("missing").join("a");
        write(&result, b"one", Mode::Result).unwrap_err();
        let result = folder.join("a");
        write(&result, b"one", Mode::Result).unwrap();
        // The name beside it is taken, so that the new file cannot be made.
        fs::create_dir(beside(&result)).unwrap();
        write(&result, b"two", Mode::Result).unwrap_err();
        assert_eq!(fs::read(&result).unwrap(), b"one");
        fs::remove_dir_all(&folder).unwrap();
    }
}
