//! Where a server keeps what it knows: releases and tokens.

mod sqlite;

use std::collections::BTreeSet;

use crate::model::{ArtifactId, Image, Release, ReleaseName};
use crate::token::{TokenHash, TokenRecord};

pub use sqlite::Sqlite;

/// What became of a release that was to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is kept.
    New,
    /// It was kept already, with the same content; this is the one that is there.
    Same(Release),
    /// Its name is that of a release with other content; nothing was changed.
    Taken(Release),
}

/// A database. What a call that changes something returned `Ok` for outlives a power cut.
///
/// Calls wait for the disk: a server makes them on threads that may wait.
pub trait Store: Send + Sync {
    /// Keeps a release, unless its name is taken. What is known of the images of one that is there
    /// already becomes what `release` says.
    fn add_release(&self, release: &Release) -> Result<Added, StoreError>;

    /// The release of that name.
    fn release(&self, name: &ReleaseName) -> Result<Option<Release>, StoreError>;

    /// At most `limit` releases in the order of their names, from the first behind `after` on.
    fn releases(
        &self,
        after: Option<&ReleaseName>,
        limit: usize,
    ) -> Result<Vec<Release>, StoreError>;

    /// Forgets a release, and returns what it was.
    fn remove_release(&self, name: &ReleaseName) -> Result<Option<Release>, StoreError>;

    /// The files of all releases.
    fn artifacts(&self) -> Result<BTreeSet<ArtifactId>, StoreError>;

    /// What is known of the images that are this file, once for each release that has it.
    fn images_of(&self, id: &ArtifactId) -> Result<Vec<Image>, StoreError>;

    /// Keeps a token, unless its name is taken: `false` then.
    fn add_token(&self, token: &TokenRecord) -> Result<bool, StoreError>;

    /// The token with this hash.
    fn token(&self, hash: &TokenHash) -> Result<Option<TokenRecord>, StoreError>;

    /// All tokens in the order of their names.
    fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError>;

    /// Forgets the token of that name: `false` if there is none.
    fn revoke_token(&self, name: &str) -> Result<bool, StoreError>;
}

/// Why a database did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk is full.
    #[error("there is no room for the database on the disk")]
    Full,
    /// The database was made by a later version of the program.
    #[error("the database is of version {found}, and this program knows up to {known}")]
    Later {
        /// Its version.
        found: i64,
        /// The latest that is known.
        known: i64,
    },
    /// A row is not what was written.
    #[error("the database holds something that was never written: {0}")]
    Damaged(String),
    /// Whatever else the database says.
    #[error("the database failed")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Full => "make room on the disk that holds the server's data, and try again",
            Self::Later { .. } => "run the version of the program that made it, or a later one",
            Self::Damaged(_) => "is the disk at fault? go back to a copy of the data folder",
            Self::Database(_) => {
                "check that the data folder is there, on a local disk, and who may write in it"
            }
        }
    }
}
