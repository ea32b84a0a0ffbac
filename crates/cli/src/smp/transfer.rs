//! Files to and from a device.

use anyhow::Context;
use updraft_smp::client::{
    FileDownload, FileOptions, FileOutcome, FileProgress, FileStatus, FileUpload, Limits,
    Link as Kind,
};

use super::{Link, Session};

impl<L: Link> Session<L> {
    /// The options for a transfer over this link.
    fn file_options(&mut self, resume: bool) -> anyhow::Result<FileOptions> {
        let params = self.params()?;
        let limits = Limits::of(self.link.kind(), params);
        let mut options = FileOptions::new(limits);
        options.sequence = self.requests.sequence;
        options.patience = self.writing();
        options.resume = resume;
        // A datagram that is lost is lost soon.
        if matches!(self.link.kind(), Kind::Udp | Kind::Udp6) {
            options.patience.timeout = self.patience.timeout;
        }
        Ok(options)
    }

    /// Sends a file; `progress` is told after every packet how far it is.
    pub fn put_file(
        &mut self,
        name: &str,
        data: &[u8],
        resume: bool,
        mut progress: impl FnMut(FileProgress),
    ) -> anyhow::Result<FileOutcome> {
        let options = self.file_options(resume)?;
        let mut upload = FileUpload::new(name, data, options)?;
        let mut buffer = vec![0; options.limits.frame];
        loop {
            while let Some(len) = upload.poll_transmit(self.now(), &mut buffer) {
                self.link.send(buffer.get(..len).unwrap_or_default())?;
            }
            let Some(deadline) = upload.deadline() else { break };
            let timeout = deadline.saturating_sub(self.now());
            if let Some(packet) = self.link.receive(timeout)? {
                upload.handle(packet);
                progress(upload.progress());
            }
        }
        self.requests.sequence = upload.sequence();
        outcome(upload.status())
    }

    /// Fetches a file of which `have` is here already; `piece` is told every piece and where it
    /// belongs, and how far it is.
    pub fn get_file(
        &mut self,
        name: &str,
        have: &[u8],
        mut piece: impl FnMut(u32, &[u8], FileProgress) -> anyhow::Result<()>,
    ) -> anyhow::Result<FileOutcome> {
        let options = self.file_options(true)?;
        let mut download = FileDownload::new(name, have, options)?;
        let mut buffer = vec![0; options.limits.frame];
        loop {
            while let Some(len) = download.poll_transmit(self.now(), &mut buffer) {
                self.link.send(buffer.get(..len).unwrap_or_default())?;
            }
            let Some(deadline) = download.deadline() else { break };
            let timeout = deadline.saturating_sub(self.now());
            let clock = self.clock;
            if let Some(packet) = self.link.receive(timeout)?
                && let Some(found) = download.handle(packet, clock.elapsed())
            {
                piece(found.off, found.data, download.progress())?;
            }
        }
        self.requests.sequence = download.sequence();
        outcome(download.status())
    }
}

fn outcome(status: FileStatus) -> anyhow::Result<FileOutcome> {
    match status {
        FileStatus::Done(outcome) => Ok(outcome),
        FileStatus::Failed(error) => Err(error.into()),
        FileStatus::Running => None.context("the transfer stopped without a result"),
    }
}
