//! Files to and from a device.

use anyhow::Context;
use updraft_smp::client::{
    FileDownload, FileOptions, FileOutcome, FileProgress, FileStatus, FileTransferError,
    FileUpload, Limits, Link as Kind,
};

use super::upload::Outage;
use super::{Link, Session};
use crate::report::find;

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
        let small = Limits { frame: Limits::safe_frame(self.link.kind()), ..options.limits };
        match self.put_file_with(name, data, options, &mut progress) {
            // Larger than what the link puts together, whatever the device says that it buffers.
            Err(error) if is_cut_short(&error) && small.frame < options.limits.frame => {
                let sequence = self.requests.sequence;
                let options = FileOptions { limits: small, sequence, ..options };
                self.put_file_with(name, data, options, &mut progress)
            }
            other => other,
        }
    }

    fn put_file_with(
        &mut self,
        name: &str,
        data: &[u8],
        options: FileOptions,
        progress: &mut impl FnMut(FileProgress),
    ) -> anyhow::Result<FileOutcome> {
        let mut upload = FileUpload::new(name, data, options)?;
        let mut buffer = vec![0; options.limits.frame];
        let mut outage = Outage::default();
        loop {
            while let Some(len) = upload.poll_transmit(self.now(), &mut buffer) {
                self.carry(buffer.get(..len).unwrap_or_default(), &mut outage)?;
            }
            let Some(deadline) = upload.deadline() else { break };
            if self.hear(deadline, &mut outage, |packet, _| upload.handle(packet))?.is_some() {
                progress(upload.progress());
            }
        }
        self.requests.sequence = upload.sequence();
        outcome(upload.status(), outage)
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
        let mut outage = Outage::default();
        loop {
            while let Some(len) = download.poll_transmit(self.now(), &mut buffer) {
                self.carry(buffer.get(..len).unwrap_or_default(), &mut outage)?;
            }
            let Some(deadline) = download.deadline() else { break };
            let kept = self.hear(deadline, &mut outage, |packet, now| {
                let found = download.handle(packet, now);
                found.map(|found| piece(found.off, found.data, download.progress()))
            })?;
            kept.flatten().transpose()?;
        }
        self.requests.sequence = download.sequence();
        outcome(download.status(), outage)
    }
}

fn is_cut_short(error: &anyhow::Error) -> bool {
    matches!(find(error), Some(FileTransferError::Refused(refusal)) if refusal.is_cut_short())
}

fn outcome(status: FileStatus, outage: Outage) -> anyhow::Result<FileOutcome> {
    match status {
        FileStatus::Done(outcome) => Ok(outcome),
        FileStatus::Failed(error @ FileTransferError::NoAnswer { .. }) => {
            Err(outage.or(error.into()))
        }
        FileStatus::Failed(error) => Err(error.into()),
        FileStatus::Running => None.context("the transfer stopped without a result"),
    }
}
