//! Writing results into files: whole or not at all, and never over a private key.
//!
//! ```text
//! Staged::new ─▶ .NAME.PID.tmp beside the target ─▶ write… ─▶ appear: it has its name
//!                                     └── dropped before that: removed, what was there stays
//! ```
//! Secrets are on the disk before they have their name, as nobody can make them again. Results are
//! left to the operating system, as compilers and imgtool do: after a power cut they are made again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Who may read a file, and whether it may replace another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A result: it replaces an older one, whose permissions it takes, but no private key.
    Result,
    /// A secret: nobody else may read it, not even for a moment.
    Secret {
        /// Whether it replaces what is there.
        replace: bool,
    },
}

/// Why files were not written. Nothing has been replaced then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The operating system refuses.
    #[error("{} cannot be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// A result would replace a private key.
    #[error("{} holds a private key", .0.display())]
    HoldsKey(PathBuf),
    /// A secret is there, and is not to be replaced.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// An output is one of the inputs.
    #[error("{} is read, and would be replaced", .0.display())]
    IsInput(PathBuf),
    /// Two outputs are one file.
    #[error("two outputs would be {}", .0.display())]
    Twice(PathBuf),
}

impl WriteError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that its folder is there and who may write in it",
            Self::HoldsKey(_) => {
                "choose another file for the output: what only that key signs is lost with it"
            }
            Self::Exists(_) => "choose another name, or remove it if no device trusts that key",
            Self::IsInput(_) => "choose another file for the output",
            Self::Twice(_) => "choose a file for each",
        }
    }
}

/// Writes `bytes` to `path`. When anything fails, what was there is still there.
pub fn write(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), WriteError> {
    filled(path, bytes, mode)?.appear()
}

/// Writes results that belong together, each to its path: all of them appear, or none. Two of them
/// cannot be one file.
pub fn write_all(files: &[(&Path, &[u8])]) -> Result<(), WriteError> {
    let results: Vec<_> = files.iter().map(|(path, bytes)| (*path, *bytes, Mode::Result)).collect();
    write_all_as(&results)
}

/// The same of secrets and results together.
pub fn write_all_as(files: &[(&Path, &[u8], Mode)]) -> Result<(), WriteError> {
    let paths: Vec<&Path> = files.iter().map(|(path, ..)| *path).collect();
    apart(&paths, &[])?;
    // Whatever can fail does so while nothing has been replaced.
    let stays = |(path, _, mode): &&(&Path, &[u8], Mode)| {
        *mode == Mode::Secret { replace: false } && path.symlink_metadata().is_ok()
    };
    if let Some((path, ..)) = files.iter().find(stays) {
        return Err(WriteError::Exists(path.to_path_buf()));
    }
    let staged = files.iter().map(|(path, bytes, mode)| filled(path, bytes, *mode));
    let staged = staged.collect::<Result<Vec<_>, _>>()?;
    staged.into_iter().try_for_each(Staged::appear)
}

/// Refuses outputs that are one file, and outputs that are one of the inputs: the first would be
/// lost under the second. Pipes and devices are not lost.
pub fn apart(outputs: &[&Path], inputs: &[&Path]) -> Result<(), WriteError> {
    let is_file = |path: &Path| fs::metadata(path).map_or(true, |there| there.is_file());
    let same =
        |one: &Path, other: &Path| is_file(one) && is_file(other) && place(one) == place(other);
    for (index, output) in outputs.iter().enumerate() {
        if let Some(input) = inputs.iter().find(|input| same(input, output)) {
            return Err(WriteError::IsInput(input.to_path_buf()));
        }
        if outputs[..index].iter().any(|other| same(other, output)) {
            return Err(WriteError::Twice(output.to_path_buf()));
        }
    }
    Ok(())
}

/// A file on its way to its name, which is written to. What has not got there is removed.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    mode: Mode,
    to: To,
    /// Whether there is nothing to remove any more.
    named: bool,
}

#[derive(Debug)]
enum To {
    /// A pipe or a device, which is not replaced: what is written to it waits.
    Open { file: File, waiting: Vec<u8> },
    /// The bytes lie beside what they are to replace.
    Beside { file: File, temporary: PathBuf, target: PathBuf },
}

impl Staged {
    /// A file that is to be called `path`.
    pub fn new(path: &Path, mode: Mode) -> Result<Self, WriteError> {
        if mode == Mode::Result && holds_private_key(path) {
            return Err(WriteError::HoldsKey(path.to_owned()));
        }
        let to = To::new(path, mode);
        let to = to.map_err(|source| WriteError::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), mode, to, named: false })
    }

    /// Gives it its name.
    pub fn appear(mut self) -> Result<(), WriteError> {
        let secret = matches!(self.mode, Mode::Secret { .. });
        let done = match (&mut self.to, self.mode) {
            (To::Open { file, waiting }, _) => file.write_all(waiting),
            (To::Beside { file, temporary, target }, mode) => {
                let synced = if secret { file.sync_all() } else { Ok(()) };
                synced.and_then(|()| match mode {
                    Mode::Secret { replace: false } => fs::hard_link(temporary, target),
                    _ => {
                        fs::rename(temporary, target)?;
                        self.named = true;
                        Ok(())
                    }
                })
            }
        };
        done.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => WriteError::Exists(self.path.clone()),
            _ => WriteError::Io { path: self.path.clone(), source },
        })
    }

    /// The error of a write to it.
    pub fn error(&self, source: io::Error) -> WriteError {
        WriteError::Io { path: self.path.clone(), source }
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            To::Open { waiting, .. } => waiting.write(bytes),
            To::Beside { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let To::Beside { temporary, .. } = &self.to
            && !self.named
        {
            // An error was told already; or it has its own name besides by now.
            let _ = fs::remove_file(temporary);
        }
    }
}

impl To {
    fn new(path: &Path, mode: Mode) -> io::Result<Self> {
        let there = fs::metadata(path).ok();
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            let file = OpenOptions::new().write(true).open(path)?;
            return Ok(Self::Open { file, waiting: Vec::new() });
        }
        let target = place(path);
        let temporary = beside(&target);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if let Mode::Secret { .. } = mode {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        let to = Self::Beside { file: options.open(&temporary)?, temporary, target };
        match (&to, there, mode) {
            (Self::Beside { file, temporary, .. }, Some(there), Mode::Result) => {
                let taken = file.set_permissions(there.permissions());
                if taken.is_err() {
                    // The first error is the one to tell.
                    let _ = fs::remove_file(temporary);
                }
                taken.map(|()| to)
            }
            _ => Ok(to),
        }
    }
}

fn filled(path: &Path, bytes: &[u8], mode: Mode) -> Result<Staged, WriteError> {
    let mut staged = Staged::new(path, mode)?;
    match staged.write_all(bytes) {
        Ok(()) => Ok(staged),
        Err(source) => Err(staged.error(source)),
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
        let refused = write(&key, b"result", Mode::Result).unwrap_err();
        assert!(matches!(refused, WriteError::HoldsKey(_)), "{refused}");
        let refused = write(&key, pem, Mode::Secret { replace: false }).unwrap_err();
        assert!(matches!(refused, WriteError::Exists(_)), "{refused}");
        assert_eq!(fs::read(&key).unwrap(), pem);
        write(&key, b"-----BEGIN PRIVATE KEY----- new", Mode::Secret { replace: true }).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "nothing is left beside them");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let folder = folder("failures");
        let result = folder.join("missing").join("a");
        let refused = write(&result, b"one", Mode::Result).unwrap_err();
        assert!(matches!(refused, WriteError::Io { path, .. } if path == result));
        let result = folder.join("a");
        write(&result, b"one", Mode::Result).unwrap();
        // The name beside it is taken, so that the new file cannot be made.
        fs::create_dir(beside(&place(&result))).unwrap();
        write(&result, b"two", Mode::Result).unwrap_err();
        assert_eq!(fs::read(&result).unwrap(), b"one");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_is_given_up_leaves_nothing() {
        let folder = folder("given-up");
        let result = folder.join("a");
        let mut staged = Staged::new(&result, Mode::Result).unwrap();
        staged.write_all(b"half").unwrap();
        assert!(!result.exists());
        drop(staged);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
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
        let refused = write_all(&[(&a, b"one"), (&dotted, b"two")]).unwrap_err();
        assert!(matches!(refused, WriteError::Twice(_)), "{refused}");
        assert!(!a.exists());
        fs::write(&a, b"one").unwrap();
        apart(&[&b], &[&a]).unwrap();
        let refused = apart(&[&b, &dotted], &[&a]).unwrap_err();
        assert!(matches!(refused, WriteError::IsInput(_)), "{refused}");
        #[cfg(unix)]
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
        let staged = filled(&link, b"two", Mode::Result).unwrap();
        assert_eq!(fs::read_dir(&there).unwrap().count(), 2);
        staged.appear().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"two");
        assert!(link.is_symlink());
        fs::remove_dir_all(&here).unwrap();
        fs::remove_dir_all(&there).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_result_may_be_read_by_whom_the_older_one_was_and_a_secret_by_nobody() {
        use std::os::unix::fs::PermissionsExt;

        let folder = folder("permissions");
        let file = folder.join("a");
        let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        write(&file, b"one", Mode::Result).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
        write(&file, b"two", Mode::Result).unwrap();
        assert_eq!(mode(), 0o664);
        write(&file, b"key", Mode::Secret { replace: true }).unwrap();
        assert_eq!(mode(), 0o600);
        fs::remove_dir_all(&folder).unwrap();
    }
}
