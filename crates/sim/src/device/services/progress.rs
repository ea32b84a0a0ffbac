//! How far an upload has come, kept where a reset does not reach it: with a file, neither does the
//! end of the process.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use updraft_dfu::Hooks;

/// Bytes of an upload between two records.
const EVERY: u32 = 8 * 1024;

/// The record, which the device and its running application share.
#[derive(Clone, Debug, Default)]
pub(in crate::device) struct Progress(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    record: Option<Vec<u8>>,
    file: Option<PathBuf>,
}

impl Kept {
    /// A file that cannot be written is no reason to refuse an upload: it is not resumed then.
    fn put(&mut self, record: Option<Vec<u8>>) {
        if record == self.record {
            return;
        }
        if let Some(file) = &self.file {
            let _ = match &record {
                Some(record) => fs::write(file, record),
                None => fs::remove_file(file),
            };
        }
        self.record = record;
    }
}

impl Progress {
    pub fn in_file(file: &Path) -> io::Result<Self> {
        let record = match fs::read(file) {
            Ok(record) => Some(record),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self(Arc::new(Mutex::new(Kept { record, file: Some(file.to_owned()) }))))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Hooks for Progress {
    fn progress_every(&self) -> u32 {
        EVERY
    }

    fn keep_progress(&mut self, record: &[u8]) {
        self.with(|kept| kept.put(Some(record.to_vec())));
    }

    fn kept_progress(&mut self, record: &mut [u8]) -> Option<usize> {
        self.with(|kept| {
            let found = kept.record.as_ref()?;
            record.iter_mut().zip(found).for_each(|(to, from)| *to = *from);
            Some(found.len())
        })
    }

    fn forget_progress(&mut self) {
        self.with(|kept| kept.put(None));
    }
}
