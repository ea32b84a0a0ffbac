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
    put_all(&[(path, bytes)], mode)
}

/// Writes results that belong together, each to its path: all of them appear, or none. Two of them
/// cannot be one file.
pub fn write_all(files: &[(&Path, &[u8])]) -> anyhow::Result<()> {
    let paths: Vec<&Path> = files.iter().map(|(path, _)| *path).collect();
    apart(&paths, &[])?;
    put_all(files, Mode::Result)
}

/// Refuses outputs that are one file, and outputs that are one of the inputs: the first would be
/// lost under the second. Pipes and devices are not lost.
pub fn apart(outputs: &[&Path], inputs: &[&Path]) -> anyhow::Result<()> {
    let is_file = |path: &Path| fs::metadata(path).map_or(true, |there| there.is_file());
    let same =
        |one: &Path, other: &Path| is_file(one) && is_file(other) && place(one) == place(other);
    for (index, output) in outputs.iter().enumerate() {
        if let Some(input) = inputs.iter().find(|input| same(input, output)) {
            return Err(anyhow!("{} is read, and would be replaced", input.display()))
                .usage("choose another file for the output");
        }
        if outputs[..index].iter().any(|other| same(other, output)) {
            return Err(anyhow!("two outputs would be {}", output.display()))
                .usage("choose a file for each");
        }
    }
    Ok(())
}

fn put_all(files: &[(&Path, &[u8])], mode: Mode) -> anyhow::Result<()> {
    for (path, _) in files {
        if mode == Mode::Result && holds_private_key(path) {
            return Err(anyhow!("{} holds a private key", path.display())).usage(
                "choose another file for the output: what only that key signs is lost with it",
            );
        }
    }
    // Whatever can fail does so while nothing has been replaced.
    let staged = files.iter().map(|(path, bytes)| {
        let staged = Staged::new(path, bytes, mode);
        staged.with_context(|| format!("{} cannot be written", path.display()))
    });
    for staged in staged.collect::<anyhow::Result<Vec<_>>>()? {
        let path = staged.path;
        match staged.appear(mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(anyhow!("{} exists already", path.display())).hint(
                    "choose another name; --force overwrites, and what only that key has signed \
                     can then never be updated again",
                );
            }
            written => written.with_context(|| format!("{} cannot be written", path.display()))?,
        }
    }
    Ok(())
}

/// A file on its way to its name. What has not got there is removed.
struct Staged<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    to: To,
}

enum To {
    /// A pipe or a device, which is written to and not replaced.
    Open(File),
    /// The bytes lie beside what they are to replace.
    Beside { temporary: PathBuf, target: PathBuf },
}

impl<'a> Staged<'a> {
    fn new(path: &'a Path, bytes: &'a [u8], mode: Mode) -> io::Result<Self> {
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let to = To::Open(OpenOptions::new().write(true).open(path)?);
            return Ok(Self { path, bytes, to });
        }
        let target = place(path);
        let to = To::Beside { temporary: beside(&target), target };
        let staged = Self { path, bytes, to };
        if let To::Beside { temporary, .. } = &staged.to {
            fill(temporary, bytes, mode)?;
        }
        Ok(staged)
    }

    fn appear(mut self, mode: Mode) -> io::Result<()> {
        match &mut self.to {
            To::Open(file) => file.write_all(self.bytes),
            To::Beside { temporary, target } => match mode {
                Mode::Secret { replace: false } => fs::hard_link(temporary, target),
                _ => fs::rename(temporary, target),
            },
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if let To::Beside { temporary, .. } = &self.to {
            // It has its name by now, or an error was told already.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// What a path stands for: where a link leads, as that is what is to change, and a name that does
/// not exist yet in its folder.
fn place(path: &Path) -> PathBuf {
    let folder = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
        Some(folder.join(path.file_name()?))
    };
    fs::canonicalize(path).ok().or_else(folder).unwrap_or_else(|| path.to_owned())
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
        fs::create_dir(beside(&place(&result))).unwrap();
        write(&result, b"two", Mode::Result).unwrap_err();
        assert_eq!(fs::read(&result).unwrap(), b"one");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn results_that_belong_together_appear_together() {
        let folder = folder("together");
        let (image, manifest) = (folder.join("image"), folder.join("missing").join("manifest"));
        write_all(&[(&image, b"one"), (&manifest, b"two")]).unwrap_err();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is there");
        let manifest = folder.join("manifest");
        write_all(&[(&image, b"one"), (&manifest, b"two")]).unwrap();
        assert_eq!(fs::read(&image).unwrap(), b"one");
        assert_eq!(fs::read(&manifest).unwrap(), b"two");
        // The second is a folder: the first stays as it was.
        fs::create_dir(folder.join("sub")).unwrap();
        write_all(&[(&image, b"new"), (&folder.join("sub"), b"two")]).unwrap_err();
        assert_eq!(fs::read(&image).unwrap(), b"one");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn files_are_told_apart_whatever_they_are_called() {
        let folder = folder("apart");
        let (a, b) = (folder.join("a"), folder.join("b"));
        let dotted = folder.join(".").join("a");
        write_all(&[(&a, b"one"), (&dotted, b"two")]).unwrap_err();
        assert!(!a.exists());
        fs::write(&a, b"one").unwrap();
        apart(&[&b], &[&a]).unwrap();
        apart(&[&b, &dotted], &[&a]).unwrap_err();
        apart(&[Path::new("/dev/null"), Path::new("/dev/null")], &[]).unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn where_a_link_leads_is_where_the_new_file_is_made() {
        let (here, there) = (folder("link-here"), folder("link-there"));
        let (link, target) = (here.join("link"), there.join("target"));
        fs::write(&target, b"one").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        // Only a file beside the target can be given the target's name on another filesystem.
        let staged = Staged::new(&link, b"two", Mode::Result).unwrap();
        assert_eq!(fs::read_dir(&there).unwrap().count(), 2);
        staged.appear(Mode::Result).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"two");
        assert!(link.is_symlink());
        fs::remove_dir_all(&here).unwrap();
        fs::remove_dir_all(&there).unwrap();
    }
}
