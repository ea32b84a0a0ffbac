//! The device's files: in memory, or those of a folder on the host.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use updraft_smp::FileError;
use updraft_smp::server::{Failure, Files};

/// The folder that the device has its files in.
pub(super) const ROOT: &str = "/files";
/// Bytes of all files in memory.
const CAPACITY: usize = 1024 * 1024;

/// The disk.
#[derive(Debug)]
pub(super) enum Disk {
    Memory(BTreeMap<String, Vec<u8>>),
    Folder(PathBuf),
}

impl Default for Disk {
    fn default() -> Self {
        Self::Memory(BTreeMap::new())
    }
}

impl Disk {
    pub fn in_folder(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self::Folder(folder.canonicalize()?))
    }

    /// Forgets what is in memory. A folder on the host belongs to its owner.
    pub fn erase(&mut self) {
        if let Self::Memory(files) = self {
            files.clear();
        }
    }

    /// The file on the host. What a link leads out of the folder is not there.
    fn path(&self, name: &str) -> Result<PathBuf, Failure> {
        let Self::Folder(folder) = self else { return Err(FileError::Unknown.into()) };
        let path = folder.join(below(name)?);
        let known = path.ancestors().find_map(|path| path.canonicalize().ok());
        // Writing would follow a link to nothing and make what it names.
        let dangles = path.symlink_metadata().is_ok() && path.canonicalize().is_err();
        match known.is_some_and(|known| known.starts_with(folder)) && !dangles {
            true => Ok(path),
            false => Err(FileError::MountPointNotFound.into()),
        }
    }
}

/// The name below the root.
fn below(name: &str) -> Result<&str, FileError> {
    let rest = name.strip_prefix(ROOT);
    match rest {
        Some("" | "/") => Err(FileError::IsDirectory),
        Some(rest) => rest.strip_prefix('/').ok_or(FileError::MountPointNotFound),
        None if name == "/" => Err(FileError::IsDirectory),
        None => Err(FileError::MountPointNotFound),
    }
}

impl Files for Disk {
    fn size(&mut self, name: &str) -> Result<Option<u32>, Failure> {
        if let Self::Memory(files) = self {
            let size = |file: &Vec<u8>| u32::try_from(file.len()).unwrap_or(u32::MAX);
            return Ok(files.get(below(name)?).map(size));
        }
        match fs::metadata(self.path(name)?) {
            Ok(found) if found.is_dir() => Err(FileError::IsDirectory.into()),
            Ok(found) => {
                u32::try_from(found.len()).map(Some).map_err(|_| FileError::OpenFailed.into())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(_) => Err(FileError::OpenFailed.into()),
        }
    }

    fn read(&mut self, name: &str, off: u32, bytes: &mut [u8]) -> Result<(), Failure> {
        if let Self::Memory(files) = self {
            let file = files.get(below(name)?).and_then(|file| file.get(off as usize..));
            let piece = file.and_then(|file| file.get(..bytes.len()));
            bytes.copy_from_slice(piece.ok_or(FileError::ReadFailed)?);
            return Ok(());
        }
        let read = |mut file: File| {
            file.seek(SeekFrom::Start(off.into()))?;
            file.read_exact(bytes)
        };
        Ok(File::open(self.path(name)?).and_then(read).map_err(|_| FileError::ReadFailed)?)
    }

    fn write(&mut self, name: &str, off: u32, bytes: &[u8]) -> Result<(), Failure> {
        if let Self::Memory(files) = self {
            let name = below(name)?;
            let others: usize =
                files.iter().filter(|(key, _)| *key != name).map(|(_, file)| file.len()).sum();
            let end = (off as usize).saturating_add(bytes.len());
            if others.saturating_add(end) > CAPACITY {
                return Err(FileError::WriteFailed.into());
            }
            let file = files.entry(name.to_owned()).or_default();
            file.truncate(off as usize);
            file.extend_from_slice(bytes);
            return Ok(());
        }
        let path = self.path(name)?;
        if path.is_dir() {
            return Err(FileError::IsDirectory.into());
        }
        let opened = match off {
            0 => File::create(path),
            _ => OpenOptions::new().append(true).open(path),
        };
        let mut file = opened.map_err(|_| FileError::OpenFailed)?;
        Ok(file.write_all(bytes).map_err(|_| FileError::WriteFailed)?)
    }
}
