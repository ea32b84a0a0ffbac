//! The files of releases, addressed by their SHA-256.
//!
//! ```text
//! FOLDER/ab/abcdef…        a file: whole, or not there
//! FOLDER/incoming/NAME     on its way: removed when the server starts
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::ArtifactId;

/// Where files are kept.
pub trait Artifacts: Send + Sync {
    /// Keeps a file. After `Ok` it outlives a power cut; after an error it is not there, or whole.
    fn put(&self, id: &ArtifactId, bytes: &[u8]) -> io::Result<()>;

    /// A file that is kept; `None` if it is not.
    fn open(&self, id: &ArtifactId) -> io::Result<Option<Artifact>>;

    /// Forgets a file, if it is kept. Who has it open can read it to its end.
    fn remove(&self, id: &ArtifactId) -> io::Result<()>;

    /// Everything that is kept.
    fn list(&self) -> io::Result<Vec<ArtifactId>>;
}

/// What can be read from any offset.
pub trait Content: Read + Seek + Send {}

impl<T: Read + Seek + Send> Content for T {}

/// A file that is kept.
pub struct Artifact {
    /// Its bytes.
    pub size: u64,
    /// Reads it.
    pub content: Box<dyn Content>,
}

/// Files in a folder of one server.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    next: AtomicU64,
}

impl Folder {
    const INCOMING: &str = "incoming";

    /// Files in the folder `root`, which is made if it is not there. What an earlier server was
    /// killed in the middle of is removed.
    pub fn open(root: &Path) -> io::Result<Self> {
        let incoming = root.join(Self::INCOMING);
        fs::create_dir_all(&incoming)?;
        for entry in fs::read_dir(&incoming)? {
            fs::remove_file(entry?.path())?;
        }
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync(parent)?;
        }
        Ok(Self { root: root.to_owned(), next: AtomicU64::new(0) })
    }

    /// Whether a server has kept files in `root`, as far as it can be read.
    pub fn holds_any(root: &Path) -> bool {
        let entries = fs::read_dir(root).into_iter().flatten().flatten();
        let mut kept = entries.filter(|entry| entry.file_name() != Self::INCOMING);
        kept.any(|entry| fs::read_dir(entry.path()).is_ok_and(|mut files| files.next().is_some()))
    }

    fn path(&self, id: &ArtifactId) -> PathBuf {
        let name = id.to_string();
        self.root.join(&name[..2]).join(name)
    }

    /// Writes a file under another name, and gives it its own when it is on the disk.
    fn write(&self, id: &ArtifactId, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = self.root.join(Self::INCOMING).join(format!("{id}.{number}"));
        write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
            // The first error is the one to tell; what is left is removed at the next start.
            let _ = fs::remove_file(&temporary);
        })
    }

    /// Whether the file is there with its own bytes; one that the disk has changed is not.
    fn holds(&self, id: &ArtifactId) -> io::Result<bool> {
        match fs::read(self.path(id)) {
            Ok(bytes) => Ok(ArtifactId::of(&bytes) == *id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Artifacts for Folder {
    fn put(&self, id: &ArtifactId, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(id);
        let folder = path.parent().unwrap_or(&self.root);
        if !self.holds(id)? {
            fs::create_dir_all(folder)?;
            self.write(id, &path, bytes)?;
        }
        // The bytes were on the disk before they had their name, so that a name never stands for
        // half a file. Now the name, and that of its folder: a server that was killed may have left
        // a file whose name is not on the disk yet.
        sync(folder)?;
        sync(&self.root)
    }

    fn open(&self, id: &ArtifactId) -> io::Result<Option<Artifact>> {
        match File::open(self.path(id)) {
            Ok(file) => {
                let size = file.metadata()?.len();
                Ok(Some(Artifact { size, content: Box::new(file) }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, id: &ArtifactId) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn list(&self) -> io::Result<Vec<ArtifactId>> {
        let mut ids = Vec::new();
        for folder in fs::read_dir(&self.root)? {
            let folder = folder?;
            if folder.file_name() == Self::INCOMING || !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                // Files of others are none of ours.
                let id =
                    file?.file_name().to_str().and_then(|name| name.parse::<ArtifactId>().ok());
                ids.extend(id);
            }
        }
        Ok(ids)
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Brings the names in a folder to the disk.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    match cfg!(unix) {
        true => File::open(folder)?.sync_all(),
        false => Ok(()),
    }
}
