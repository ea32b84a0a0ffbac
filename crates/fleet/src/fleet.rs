//! What a server does, whoever asks: it admits releases, keeps and forgets them.
//!
//! ```text
//! submit: admit ─▶ files, each whole on the disk ─▶ release, in one transaction ─▶ acknowledged
//! remove: release, in one transaction ─▶ files that no release has any more
//! ```
//! Killed anywhere in between, it leaves files that no release has, never a release without its
//! files. Those are removed when it starts again.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::artifacts::{Artifact, Artifacts, Folder, sync};
use crate::model::{ArtifactId, Image, Policy, Reason, Refused, Release, ReleaseName, Submission};
use crate::store::{Added, Sqlite, Store, StoreError};
use crate::token::{Access, Token, TokenHash, TokenRecord};

/// A server without its network.
pub struct Fleet {
    policy: Policy,
    store: Box<dyn Store>,
    artifacts: Box<dyn Artifacts>,
    /// Held while releases or files change, so that no file is removed that is about to be used.
    changes: Mutex<()>,
    /// Keeps other servers from the folder as long as it is open.
    _lock: Option<File>,
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is a release now.
    New(Release),
    /// It was one already.
    Same(Release),
}

/// Why a submission is no release.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// It is not admitted.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Another release has its name.
    #[error("there is a release {} with other content", .0.name)]
    Taken(Box<Release>),
    /// Files cannot be kept or read.
    #[error("the files of releases cannot be used")]
    Artifacts(#[from] io::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a file is not given out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// It was admitted, and would not be any more.
    #[error("{0}")]
    Withheld(Reason),
    /// Files cannot be read.
    #[error("the files of releases cannot be used")]
    Artifacts(#[from] io::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder, or something in it.
    #[error("{} cannot be used", path.display())]
    Folder {
        /// What cannot be used.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are files of releases, and no database that knows of them, or an empty one.
    #[error("{} holds files of releases, and no {DATABASE} that knows of them", .0.display())]
    NoDatabase(PathBuf),
    /// Another server uses it.
    #[error("another server uses {}", .0.display())]
    InUse(PathBuf),
    /// The database.
    #[error("the database in {} cannot be used", path.display())]
    Store {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "give a folder of the server's own, in which it may write",
            Self::NoDatabase(_) => {
                "put the database back from a copy, or give another folder: without it the files \
                 would be removed"
            }
            Self::InUse(_) => "stop that server first, or give this one a folder of its own",
            Self::Store { source, .. } => source.hint(),
        }
    }
}

/// Releases that are looked at at a time.
const PAGE: usize = 100;

const DATABASE: &str = "fleet.sqlite";
const FILES: &str = "artifacts";
const LOCK: &str = "server.lock";

/// The database in the data folder `data`, which is made if it is not there: for commands beside a
/// server that runs.
pub fn open_store(data: &Path) -> Result<Sqlite, OpenError> {
    make(data)?;
    let path = data.to_owned();
    // An empty database would have every file removed.
    let empty = fs::metadata(data.join(DATABASE)).map_or(true, |file| file.len() == 0);
    if empty && Folder::holds_any(&data.join(FILES)) {
        return Err(OpenError::NoDatabase(path));
    }
    Sqlite::open(&data.join(DATABASE)).map_err(|source| OpenError::Store { path, source })
}

/// Whether `data` is the data folder of some server.
pub fn has_database(data: &Path) -> bool {
    data.join(DATABASE).exists()
}

/// Makes a folder that only its owner reads.
fn make(data: &Path) -> Result<(), OpenError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let unusable = |source| OpenError::Folder { path: data.to_owned(), source };
    builder.create(data).map_err(unusable)?;
    // A new folder outlives a power cut like what is in it.
    let parent = data.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync(parent.unwrap_or(Path::new("."))).map_err(unusable)
}

impl Fleet {
    /// A server over a store and files of the caller's choice.
    pub fn new(policy: Policy, store: Box<dyn Store>, artifacts: Box<dyn Artifacts>) -> Self {
        Self { policy, store, artifacts, changes: Mutex::new(()), _lock: None }
    }

    /// A server over the data folder `data`, which is made if it is not there. What an earlier one
    /// was killed in the middle of is tidied up.
    pub fn open(data: &Path, policy: Policy) -> Result<Self, OpenError> {
        make(data)?;
        // First of all: a server that runs does not have its database changed under it.
        let lock = lock(&data.join(LOCK), data)?;
        let store = open_store(data)?;
        let files = data.join(FILES);
        let unusable = |source| OpenError::Folder { path: files.clone(), source };
        let artifacts = Folder::open(&files).map_err(unusable)?;
        let used = store
            .artifacts()
            .map_err(|source| OpenError::Store { path: data.to_owned(), source })?;
        for id in artifacts.list().map_err(unusable)? {
            if !used.contains(&id) {
                artifacts.remove(&id).map_err(unusable)?;
            }
        }
        let (store, artifacts) = (Box::new(store), Box::new(artifacts));
        Ok(Self { _lock: Some(lock), ..Self::new(policy, store, artifacts) })
    }

    /// What it admits.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The files that releases name and that are not there: somebody has taken them away.
    pub fn lost(&self) -> Result<Vec<ArtifactId>, SubmitError> {
        let mut lost = Vec::new();
        for id in self.store.artifacts()? {
            if self.artifacts.open(&id)?.is_none() {
                lost.push(id);
            }
        }
        Ok(lost)
    }

    /// Makes a release of a submission, if it is admitted.
    pub fn submit(&self, submission: &Submission) -> Result<Submitted, SubmitError> {
        let release = self.policy.admit(submission, now())?;
        let _changing = self.changing();
        if let Some(there) = self.store.release(&release.name)?
            && !there.has_content_of(&release)
        {
            return Err(SubmitError::Taken(Box::new(there)));
        }
        // Files first: a release that is there has its files.
        let kept =
            self.keep(&release, submission).and_then(|()| Ok(self.store.add_release(&release)?));
        match kept {
            Ok(Added::New) => Ok(Submitted::New(release)),
            Ok(Added::Same(there)) => Ok(Submitted::Same(there)),
            Ok(Added::Taken(there)) => Err(SubmitError::Taken(Box::new(there))),
            Err(error) => {
                // The first error is the one to tell; the next start tidies up what this leaves.
                let _ = self.drop_unused(&release);
                Err(error)
            }
        }
    }

    fn keep(&self, release: &Release, submission: &Submission) -> Result<(), SubmitError> {
        for image in &release.images {
            let mut files = submission.images.iter();
            if let Some(file) = files.find(|file| file.number == image.number) {
                self.artifacts.put(&image.sha256, &file.bytes)?;
            }
        }
        Ok(())
    }

    /// Forgets a release, and the files that no other has.
    pub fn remove(&self, name: &ReleaseName) -> Result<Option<Release>, SubmitError> {
        let _changing = self.changing();
        let removed = self.store.remove_release(name)?;
        if let Some(release) = &removed {
            // It is gone; files that cannot be removed now are removed at the next start.
            let _ = self.drop_unused(release);
        }
        Ok(removed)
    }

    fn drop_unused(&self, release: &Release) -> Result<(), SubmitError> {
        for image in &release.images {
            if self.store.images_of(&image.sha256)?.is_empty() {
                self.artifacts.remove(&image.sha256)?;
            }
        }
        Ok(())
    }

    /// The release of that name.
    pub fn release(&self, name: &ReleaseName) -> Result<Option<Release>, StoreError> {
        self.store.release(name)
    }

    /// At most `limit` releases by name, from the first behind `after` on.
    pub fn releases(
        &self,
        after: Option<&ReleaseName>,
        limit: usize,
    ) -> Result<Vec<Release>, StoreError> {
        self.store.releases(after, limit)
    }

    /// The releases that would not be admitted any more, and why. Their files are withheld.
    pub fn withheld(&self) -> Result<Vec<(ReleaseName, Reason)>, StoreError> {
        let (mut withheld, mut after) = (Vec::new(), None::<ReleaseName>);
        loop {
            let page = self.store.releases(after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(withheld) };
            after = Some(last.name.clone());
            for release in page {
                let mut images = release.images.iter();
                if let Some(reason) = images.find_map(|it| self.policy.still_admits(it).err()) {
                    withheld.push((release.name, reason));
                }
            }
        }
    }

    /// A file of some release; `None` if no release has it.
    pub fn artifact(&self, id: &ArtifactId) -> Result<Option<Artifact>, ArtifactError> {
        let images = self.store.images_of(id)?;
        let Some(Image { size, .. }) = images.first() else { return Ok(None) };
        // One release that is good enough will do: the file is the same.
        let verdicts: Vec<_> = images.iter().map(|it| self.policy.still_admits(it)).collect();
        if verdicts.iter().all(Result::is_err)
            && let Some(Err(reason)) = verdicts.into_iter().next()
        {
            return Err(ArtifactError::Withheld(reason));
        }
        match self.artifacts.open(id)? {
            Some(artifact) if artifact.size == *size => Ok(Some(artifact)),
            Some(artifact) => {
                let found = artifact.size;
                let damaged = format!("{id} has {found} bytes and should have {size}");
                Err(io::Error::new(io::ErrorKind::InvalidData, damaged).into())
            }
            // Its last release may have been removed in between.
            None if self.store.images_of(id)?.is_empty() => Ok(None),
            None => Err(io::Error::from(io::ErrorKind::NotFound).into()),
        }
    }

    /// Whose token this is, and what it is good for; `None`: it is none.
    pub fn authenticate(&self, presented: &str) -> Result<Option<TokenRecord>, StoreError> {
        self.store.token(&TokenHash::of(presented))
    }

    /// Whether anybody has a token.
    pub fn has_tokens(&self) -> Result<bool, StoreError> {
        Ok(!self.store.tokens()?.is_empty())
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        // It guards nothing that a panic could leave half done: that is the next start's to tidy.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record of a token that is made now.
pub fn record(name: &str, token: &Token, access: Access) -> TokenRecord {
    TokenRecord { name: name.to_owned(), hash: token.hash(), access, created: now() }
}

/// Seconds since 1970. A clock that is set before that counts as 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Keeps other servers out. The system takes the lock back when the process ends, however it does.
fn lock(path: &Path, data: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Folder { path: path.to_owned(), source };
    let file = File::options().create(true).append(true).open(path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(data.to_owned())),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}
