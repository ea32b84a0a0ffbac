//! What is published, from files that are looked at again at each request: changing one of them is
//! publishing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;
use updraft_publisher::{Job, JobError, Jobs};

use super::target::header_of;

/// A job without a file of its own: what options say.
#[derive(Clone, Debug)]
pub struct Described {
    /// The board, as devices call it.
    pub board: String,
    /// The version; `None` for that of the image.
    pub version: Option<String>,
}

/// Where job and image lie.
#[derive(Debug)]
pub struct Files {
    /// The job document; `None`: made of what is described.
    document: Option<PathBuf>,
    described: Described,
    /// The image; without one, jobs have to name another server.
    image: Option<PathBuf>,
    kept: Option<(Stamp, Arc<Job>)>,
}

/// What tells a changed file from one that is not.
type Stamp = Vec<(SystemTime, u64)>;

#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{} cannot be read: {why}", path.display())]
    Unreadable { path: PathBuf, why: io::Error },
    #[error(
        "{} is no MCUboot image, so that its version has to be given: --version", .0.display()
    )]
    NoVersion(PathBuf),
}

fn missing(error: FileError) -> JobError {
    JobError::Missing(Box::new(error))
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> JobError {
    move |why| missing(FileError::Unreadable { path: path.to_owned(), why })
}

impl Files {
    pub fn new(document: Option<PathBuf>, described: Described, image: Option<PathBuf>) -> Self {
        Self { document, described, image, kept: None }
    }

    fn stamp(&self) -> Result<Stamp, JobError> {
        let files = self.document.iter().chain(&self.image);
        let stamp = |path: &PathBuf| {
            let about = fs::metadata(path).map_err(unreadable(path))?;
            Ok((about.modified().map_err(unreadable(path))?, about.len()))
        };
        files.map(stamp).collect()
    }

    fn read(&self) -> Result<Job, JobError> {
        let image: Arc<[u8]> = match &self.image {
            Some(path) => fs::read(path).map_err(unreadable(path))?.into(),
            None => Arc::new([]),
        };
        let document = match &self.document {
            Some(path) => fs::read(path).map_err(unreadable(path))?,
            None => self.made(&image)?,
        };
        Job::new(&document, image)
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
        let path = self.image.clone().unwrap_or_default();
        let header = header_of(image).ok_or_else(|| missing(FileError::NoVersion(path)))?;
        Ok(updraft_ota::Version::from(header.version).to_string())
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
