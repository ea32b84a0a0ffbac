//! Where the bytes of a device are: in memory, and in a file if it is to outlive the process.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// The bytes of a device. Every change reaches the file, if there is one, before it returns, so
/// that a process that is killed loses nothing.
#[derive(Debug)]
pub(crate) struct Contents {
    bytes: Vec<u8>,
    file: Option<(File, u64)>,
}

/// A copy is a snapshot in memory; it does not share the file.
impl Clone for Contents {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), file: None }
    }
}

impl Contents {
    pub(crate) fn in_memory(bytes: Vec<u8>) -> Self {
        Self { bytes, file: None }
    }

    /// `bytes`, which are what stands in `file` from `start` on.
    pub(crate) fn in_file(bytes: Vec<u8>, file: File, start: u64) -> Self {
        Self { bytes, file: Some((file, start)) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Changes `len` bytes from `address` on. The caller has checked the bounds.
    pub(crate) fn change(
        &mut self,
        address: usize,
        len: usize,
        change: impl FnOnce(&mut [u8]),
    ) -> io::Result<()> {
        let cells = &mut self.bytes[address..address + len];
        change(cells);
        if let Some((file, start)) = &mut self.file {
            file.seek(SeekFrom::Start(*start + address as u64))?;
            file.write_all(cells)?;
        }
        Ok(())
    }
}
