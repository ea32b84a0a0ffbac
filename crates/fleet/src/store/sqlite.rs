//! The store in one file of SQLite.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, params};

use super::{Added, Store, StoreError};
use crate::model::{ArtifactId, Image, Release, ReleaseName, Signature};
use crate::token::{Access, TokenHash, TokenRecord};

/// What leads from each version of the database to the next. Never changed, only added to.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE releases (
        name TEXT PRIMARY KEY,
        version TEXT NOT NULL,
        board TEXT,
        created INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE images (
        release TEXT NOT NULL REFERENCES releases (name) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        size INTEGER NOT NULL,
        version TEXT NOT NULL,
        image_hash TEXT NOT NULL,
        security_counter INTEGER,
        key_hash TEXT,
        signed INTEGER NOT NULL,
        signed_by TEXT,
        sample_key TEXT,
        encrypted INTEGER NOT NULL,
        PRIMARY KEY (release, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX images_by_file ON images (sha256);
    CREATE TABLE tokens (
        name TEXT PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        access TEXT NOT NULL,
        created INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
"];

/// How long a call waits for another process, such as one that makes a token.
const PATIENCE: Duration = Duration::from_secs(5);

const IMAGE: &str = "number, sha256, size, version, image_hash, security_counter, key_hash, \
                     signed, signed_by, sample_key, encrypted";

/// The store in one file. Several processes may have it open.
#[derive(Debug)]
pub struct Sqlite(Mutex<Connection>);

impl Sqlite {
    /// Opens the file at `path`, makes it if it is not there, and brings it to this version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::prepare(Connection::open(path)?)
    }

    fn prepare(mut connection: Connection) -> Result<Self, StoreError> {
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A commit waits until the disk has it: what was acknowledged outlives a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        migrate(&mut connection)?;
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic has left was rolled back when it was dropped.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = MIGRATIONS.len() as i64;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    let missing = MIGRATIONS.get(done..).ok_or(StoreError::Later { found, known })?;
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    if !missing.is_empty() {
        transaction.pragma_update(None, "user_version", known)?;
    }
    Ok(transaction.commit()?)
}

impl Store for Sqlite {
    fn add_release(&self, release: &Release) -> Result<Added, StoreError> {
        let mut connection = self.connection();
        // Nobody may take the name between the look and the write.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(there) = find(&transaction, &release.name)? {
            if !there.has_content_of(release) {
                return Ok(Added::Taken(there));
            }
            if there.images == release.images {
                return Ok(Added::Same(there));
            }
            // Another policy has looked at it.
            transaction.execute("DELETE FROM images WHERE release = ?", [there.name.as_str()])?;
            for image in &release.images {
                insert(&transaction, &there.name, image)?;
            }
            transaction.commit()?;
            return Ok(Added::Same(Release { images: release.images.clone(), ..there }));
        }
        let Release { name, version, board, images, created } = release;
        transaction.execute(
            "INSERT INTO releases (name, version, board, created) VALUES (?, ?, ?, ?)",
            params![name.as_str(), version, board, stored(*created)?],
        )?;
        for image in images {
            insert(&transaction, name, image)?;
        }
        transaction.commit()?;
        Ok(Added::New)
    }

    fn release(&self, name: &ReleaseName) -> Result<Option<Release>, StoreError> {
        find(&self.connection(), name)
    }

    fn releases(
        &self,
        after: Option<&ReleaseName>,
        limit: usize,
    ) -> Result<Vec<Release>, StoreError> {
        let connection = self.connection();
        let mut query = connection
            .prepare_cached("SELECT name FROM releases WHERE name > ? ORDER BY name LIMIT ?")?;
        let after = after.map_or("", ReleaseName::as_str);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let names = query.query_map(params![after, limit], |row| parsed::<ReleaseName>(row, 0))?;
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let releases = names.iter().filter_map(|name| find(&connection, name).transpose());
        releases.collect()
    }

    fn remove_release(&self, name: &ReleaseName) -> Result<Option<Release>, StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let release = find(&transaction, name)?;
        transaction.execute("DELETE FROM releases WHERE name = ?", [name.as_str()])?;
        transaction.commit()?;
        Ok(release)
    }

    fn artifacts(&self) -> Result<BTreeSet<ArtifactId>, StoreError> {
        let connection = self.connection();
        let mut query = connection.prepare_cached("SELECT DISTINCT sha256 FROM images")?;
        let ids = query.query_map([], |row| parsed(row, 0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    fn images_of(&self, id: &ArtifactId) -> Result<Vec<Image>, StoreError> {
        let connection = self.connection();
        let query = format!("SELECT {IMAGE} FROM images WHERE sha256 = ?");
        let mut query = connection.prepare_cached(&query)?;
        let images = query.query_map([id.to_string()], image)?;
        Ok(images.collect::<Result<_, _>>()?)
    }

    fn add_token(&self, token: &TokenRecord) -> Result<bool, StoreError> {
        let TokenRecord { name, hash, access, created } = token;
        let added = self.connection().execute(
            "INSERT INTO tokens (name, hash, access, created) VALUES (?, ?, ?, ?)
             ON CONFLICT (name) DO NOTHING",
            params![name, hash.0, access.name(), stored(*created)?],
        )?;
        Ok(added == 1)
    }

    fn token(&self, hash: &TokenHash) -> Result<Option<TokenRecord>, StoreError> {
        let connection = self.connection();
        let mut query = connection
            .prepare_cached("SELECT name, hash, access, created FROM tokens WHERE hash = ?")?;
        Ok(query.query_row([hash.0], token).optional()?)
    }

    fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let connection = self.connection();
        let mut query = connection
            .prepare_cached("SELECT name, hash, access, created FROM tokens ORDER BY name")?;
        let tokens = query.query_map([], token)?;
        Ok(tokens.collect::<Result<_, _>>()?)
    }

    fn revoke_token(&self, name: &str) -> Result<bool, StoreError> {
        let removed = self.connection().execute("DELETE FROM tokens WHERE name = ?", [name])?;
        Ok(removed == 1)
    }
}

fn insert(connection: &Connection, release: &ReleaseName, image: &Image) -> Result<(), StoreError> {
    let (signed, by) = match &image.signature {
        Signature::None => (false, None),
        Signature::Unchecked => (true, None),
        Signature::Good(key) => (true, Some(key)),
    };
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO images (release, {IMAGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ))?;
    insert.execute(params![
        release.as_str(),
        image.number,
        image.sha256.to_string(),
        stored(image.size)?,
        image.version,
        image.image_hash,
        image.security_counter,
        image.key_hash,
        signed,
        by,
        image.sample_key,
        image.encrypted,
    ])?;
    Ok(())
}

fn find(connection: &Connection, name: &ReleaseName) -> Result<Option<Release>, StoreError> {
    let mut query = connection
        .prepare_cached("SELECT name, version, board, created FROM releases WHERE name = ?")?;
    let release = query.query_row([name.as_str()], |row| {
        Ok(Release {
            name: parsed(row, 0)?,
            version: row.get(1)?,
            board: row.get(2)?,
            images: Vec::new(),
            created: counted(row, 3)?,
        })
    });
    let Some(mut release) = release.optional()? else { return Ok(None) };
    let mut query = connection
        .prepare_cached(&format!("SELECT {IMAGE} FROM images WHERE release = ? ORDER BY number"))?;
    let images = query.query_map([name.as_str()], image)?;
    release.images = images.collect::<Result<_, _>>()?;
    Ok(Some(release))
}

/// A row of the columns `IMAGE`.
fn image(row: &Row<'_>) -> rusqlite::Result<Image> {
    Ok(Image {
        number: row.get(0)?,
        sha256: parsed(row, 1)?,
        size: counted(row, 2)?,
        version: row.get(3)?,
        image_hash: row.get(4)?,
        security_counter: row.get(5)?,
        key_hash: row.get(6)?,
        signature: match (row.get(7)?, row.get(8)?) {
            (_, Some(key)) => Signature::Good(key),
            (true, None) => Signature::Unchecked,
            (false, None) => Signature::None,
        },
        sample_key: row.get(9)?,
        encrypted: row.get(10)?,
    })
}

fn token(row: &Row<'_>) -> rusqlite::Result<TokenRecord> {
    Ok(TokenRecord {
        name: row.get(0)?,
        hash: TokenHash(row.get(1)?),
        access: parsed::<Access>(row, 2)?,
        created: counted(row, 3)?,
    })
}

/// A number as the database keeps it.
fn stored(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|error| StoreError::Database(error.into()))
}

fn counted(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| unreadable(column, Type::Integer, error))
}

fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| unreadable(column, Type::Text, error))
}

fn unreadable(
    column: usize,
    kind: Type,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, error.into())
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => match error {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::IntegralValueOutOfRange(..) => Self::Damaged(error.to_string()),
                _ => Self::Database(error.into()),
            },
        }
    }
}
