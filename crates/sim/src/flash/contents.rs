//! Where the bytes of a device are: in memory, and in a file if it is to outlive the process.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use crate::flash::pages::Pages;

/// The bytes of a device. Every change reaches the file, if there is one, before it returns, so
/// that a process that is killed loses nothing.
#[derive(Debug)]
pub(crate) struct Contents {
    pages: Pages,
    file: Option<(File, u64)>,
}

/// A copy is a snapshot in memory; it does not share the file.
impl Clone for Contents {
    fn clone(&self) -> Self {
        Self { pages: self.pages.clone(), file: None }
    }
}

impl Contents {
    pub(crate) fn in_memory(pages: Pages) -> Self {
        Self { pages, file: None }
    }

    /// `pages`, which are what stands in `file` from `start` on.
    pub(crate) fn in_file(pages: Pages, file: File, start: u64) -> Self {
        Self { pages, file: Some((file, start)) }
    }

    pub(crate) fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Puts `data` at `address`. The caller has checked the bounds.
    pub(crate) fn write(&mut self, address: usize, data: &[u8]) -> io::Result<()> {
        self.pages.write(address, data);
        self.save(address, data.len())
    }

    /// Sets `len` bytes from `address` on to `byte`. The caller has checked the bounds.
    pub(crate) fn fill(&mut self, address: usize, len: usize, byte: u8) -> io::Result<()> {
        self.pages.fill(address, len, byte);
        self.save(address, len)
    }

    fn save(&mut self, address: usize, len: usize) -> io::Result<()> {
        if let Some((file, start)) = &mut self.file {
            file.seek(SeekFrom::Start(*start + address as u64))?;
            // In one go: a process may be killed between two writes.
            file.write_all(&self.pages.to_vec(address, len))?;
        }
        Ok(())
    }
}
