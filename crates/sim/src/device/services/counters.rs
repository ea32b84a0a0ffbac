//! What the device counts, since it was started.

use updraft_smp::server::{Failure, Statistics};

/// The counters.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::device) struct Counters {
    /// How often the bootloader ran.
    pub boots: u64,
    /// Flash operations.
    pub flash_operations: u64,
    /// Requests that were answered.
    pub requests: u64,
    /// Of them, those that were refused.
    pub refused: u64,
    /// Bytes of packets that came.
    pub bytes_in: u64,
    /// Bytes of answers.
    pub bytes_out: u64,
    /// Uploads begun.
    pub uploads: u64,
    /// Uploads that came to their end.
    pub uploads_complete: u64,
    /// Bytes of images taken.
    pub upload_bytes: u64,
    /// Bytes received and expected of the upload under way; zeros if there is none.
    pub upload: (u32, u32),
}

impl Counters {
    fn table(&self) -> [(&'static str, &'static [&'static str], Vec<u64>); 3] {
        [
            ("device", &["boots", "flash_operations"], vec![self.boots, self.flash_operations]),
            (
                "smp",
                &["requests", "refused", "bytes_in", "bytes_out"],
                vec![self.requests, self.refused, self.bytes_in, self.bytes_out],
            ),
            (
                "image",
                &["uploads", "complete", "bytes", "offset", "length"],
                vec![
                    self.uploads,
                    self.uploads_complete,
                    self.upload_bytes,
                    self.upload.0.into(),
                    self.upload.1.into(),
                ],
            ),
        ]
    }

    /// Takes note of what an upload request did: bytes received and expected before and after it.
    pub fn uploaded(&mut self, before: Option<(u32, u32)>, after: Option<(u32, u32)>) {
        self.upload = after.unwrap_or_default();
        match (before, after) {
            (Some((from, _)), Some((to, _))) if to >= from => {
                self.upload_bytes += u64::from(to - from);
            }
            (_, Some((to, _))) => {
                self.uploads += 1;
                self.upload_bytes += u64::from(to);
            }
            (Some((from, len)), None) => {
                self.uploads_complete += 1;
                self.upload_bytes += u64::from(len.saturating_sub(from));
            }
            (None, None) => {}
        }
    }
}

impl Statistics for Counters {
    fn groups(&mut self, mut each: impl FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
        self.table().iter().try_for_each(|(name, _, _)| each(name))
    }

    fn counters(
        &mut self,
        group: &str,
        mut each: impl FnMut(&str, u64) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        let table = self.table();
        let Some((_, names, values)) = table.iter().find(|(name, _, _)| *name == group) else {
            return Ok(false);
        };
        names.iter().zip(values).try_for_each(|(name, value)| each(name, *value))?;
        Ok(true)
    }
}
