//! What is published, from files that are looked at again at each request: changing one of them is
//! publishing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;
use updraft_publisher::{Job, JobError, Jobs};

use super::archives::{ArchiveError, Contents, Part, build};

/// A job without a file of its own: what options say.
#[derive(Clone, Debug)]
pub struct Described {
    /// The board, as devices call it.
    pub board: String,
    /// The version; `None` for that of the image.
    pub version: Option<String>,
}

/// What devices are sent.
#[derive(Clone, Debug)]
pub enum Source {
    /// Nothing: jobs have to name another server.
    Nowhere,
    /// A file as it is: an image, or an archive.
    File(PathBuf),
    /// An archive of these files. It is kept in a file too, if one is named, for a server of files.
    Archive { parts: Vec<Part>, keep: Option<PathBuf> },
}

impl Source {
    fn paths(&self) -> Vec<&PathBuf> {
        match self {
            Self::Nowhere => Vec::new(),
            Self::File(path) => vec![path],
            Self::Archive { parts, .. } => parts.iter().map(|part| &part.path).collect(),
        }
    }
}

/// Where job and image lie.
#[derive(Debug)]
pub struct Files {
    /// The job document; `None`: made of what is described.
    document: Option<PathBuf>,
    described: Described,
    source: Source,
    kept: Option<(Stamp, Arc<Job>)>,
}

/// What tells a changed file from one that is not.
type Stamp = Vec<(SystemTime, u64)>;

#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{} cannot be read: {why}", path.display())]
    Unreadable { path: PathBuf, why: io::Error },
    #[error(
        "{} is neither a MCUboot image nor an archive, so that its version has to be given: --version",
        .0.display()
    )]
    NoVersion(PathBuf),
    #[error("{} cannot be written: {why}", path.display())]
    Unwritable { path: PathBuf, why: io::Error },
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

fn missing(error: FileError) -> JobError {
    JobError::Missing(Box::new(error))
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> JobError {
    move |why| missing(FileError::Unreadable { path: path.to_owned(), why })
}

impl Files {
    pub fn new(document: Option<PathBuf>, described: Described, source: Source) -> Self {
        Self { document, described, source, kept: None }
    }

    fn stamp(&self) -> Result<Stamp, JobError> {
        let files = self.document.iter().chain(self.source.paths());
        let stamp = |path: &PathBuf| {
            let about = fs::metadata(path).map_err(unreadable(path))?;
            Ok((about.modified().map_err(unreadable(path))?, about.len()))
        };
        files.map(stamp).collect()
    }

    fn read(&self) -> Result<Job, JobError> {
        let image: Arc<[u8]> = match &self.source {
            Source::Nowhere => Arc::new([]),
            Source::File(path) => fs::read(path).map_err(unreadable(path))?.into(),
            Source::Archive { parts, keep } => self.built(parts, keep.as_deref())?.into(),
        };
        let document = match &self.document {
            Some(path) => fs::read(path).map_err(unreadable(path))?,
            None => self.made(&image)?,
        };
        Job::new(&document, image)
    }

    fn built(&self, parts: &[Part], keep: Option<&Path>) -> Result<Vec<u8>, JobError> {
        let read = |part: &Part| {
            let data = fs::read(&part.path).map_err(unreadable(&part.path))?;
            Ok((part.clone(), data))
        };
        let parts = parts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let built = build(self.described.version.as_deref(), &parts);
        let (_, archive) = built.map_err(|why| missing(why.into()))?;
        if let Some(path) = keep {
            let unwritable = |why| missing(FileError::Unwritable { path: path.to_owned(), why });
            // Whoever is being sent the old one by a server of files goes on with that.
            let mut new = path.to_owned().into_os_string();
            new.push(".new");
            let written = fs::write(&new, &archive).and_then(|()| fs::rename(&new, path));
            written.map_err(unwritable)?;
        }
        Ok(archive)
    }

    /// A document of what is described. Without a server in it, devices stay with the one they asked.
    fn made(&self, image: &[u8]) -> Result<Vec<u8>, JobError> {
        let Described { board, version } = &self.described;
        let version = match version {
            Some(version) => version.clone(),
            None => self.version_of(image)?,
        };
        let document = json!({
            "Message": "Update Available", "Board": board, "Version": version,
            "Connection": "MQTT", "Broker": "", "Port": "",
        });
        Ok(document.to_string().into_bytes())
    }

    fn version_of(&self, image: &[u8]) -> Result<String, JobError> {
        let path = || self.source.paths().first().copied().cloned().unwrap_or_default();
        let version = Contents::of(image).version();
        Ok(version.ok_or_else(|| missing(FileError::NoVersion(path())))?.to_string())
    }
}

impl Jobs for Files {
    fn current(&mut self) -> Result<Arc<Job>, JobError> {
        let stamp = self.stamp()?;
        if let Some((kept, job)) = &self.kept
            && *kept == stamp
        {
            return Ok(Arc::clone(job));
        }
        let job = Arc::new(self.read()?);
        self.kept = Some((stamp, Arc::clone(&job)));
        Ok(job)
    }
}
