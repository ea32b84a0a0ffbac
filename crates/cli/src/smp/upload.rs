//! Uploads of images, over links that may go for a while.

use std::time::Duration;

use anyhow::anyhow;
use updraft_image::{Digest, HashKind};
use updraft_smp::client::{
    self, Limits, Outcome, Progress, Status, Upload, UploadError, UploadOptions,
};

use super::session::is_away;
use super::{Link, Session};

/// How often what a device says over a serial line is doubted in an upload.
const DAMAGE: u32 = 8;

/// How to upload a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uploading {
    /// Number of the image, for devices with several.
    pub image: Option<u32>,
    /// Have the device refuse it unless it is newer than what runs.
    pub upgrade: bool,
    /// Most requests under way; by default as many as the device has buffers for.
    pub window: Option<usize>,
}

/// A link that has failed under a transfer, which goes on when it is there again: the port of a
/// device on USB goes with its reset, and comes back.
#[derive(Debug, Default)]
pub(super) struct Outage(Option<anyhow::Error>);

impl Outage {
    /// How long to wait before the link is taken up anew.
    const PAUSE: Duration = Duration::from_millis(100);

    /// What the transfer that got `silence` has failed of.
    pub(super) fn or(self, silence: anyhow::Error) -> anyhow::Error {
        self.0.unwrap_or(silence)
    }
}

/// An upload under way.
#[derive(Debug)]
pub struct Sending<'f> {
    upload: Upload<'f>,
    buffer: Vec<u8>,
    outage: Outage,
}

impl Sending<'_> {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.upload.progress()
    }
}

impl<L: Link> Session<L> {
    /// Uploads a file; `progress` is told after every packet how far it is.
    pub fn upload(
        &mut self,
        file: &[u8],
        request: Uploading,
        mut progress: impl FnMut(Progress),
    ) -> anyhow::Result<Outcome> {
        let mut sending = self.begin_upload(file, request)?;
        loop {
            if let Some(outcome) = self.go_on(&mut sending, Duration::MAX)? {
                return Ok(outcome);
            }
            progress(sending.progress());
        }
    }

    /// Begins to upload a file.
    pub fn begin_upload<'f>(
        &mut self,
        file: &'f [u8],
        request: Uploading,
    ) -> anyhow::Result<Sending<'f>> {
        let params = self.params()?;
        let kind = self.link.kind();
        let mut limits = Limits::of(kind, params);
        if let Some(window) = request.window {
            limits.window = window.max(1);
        }
        let mut options = UploadOptions::new(limits);
        let digest = Digest::of(HashKind::Sha256, file);
        if let Ok(sha256) = digest.as_bytes().try_into() {
            options = options.with_sha256(sha256);
        }
        // Who asked for more patience than usual has a reason.
        for patience in [&mut options.first, &mut options.chunk] {
            patience.timeout = patience.timeout.max(self.patience.timeout);
            patience.longest = patience.longest.max(patience.timeout);
            patience.retries = patience.retries.max(self.patience.retries);
        }
        match kind {
            // A line's checksum misses one damaged message in 65536, and bare messages have none.
            client::Link::Console | client::Link::RawSerial => options.damage = DAMAGE,
            // On a line, short messages have no better chance than long ones.
            _ => options.safe_frame = Some(Limits::safe_frame(kind)),
        }
        options.sequence = self.requests.sequence;
        options.image = request.image;
        options.upgrade = request.upgrade;
        let upload = Upload::new(file, options)?;
        Ok(Sending { upload, buffer: vec![0; limits.frame], outage: Outage::default() })
    }

    /// Goes on with an upload until a packet has come, for `longest` at most. The outcome, once it is
    /// over.
    pub fn go_on(
        &mut self,
        sending: &mut Sending<'_>,
        longest: Duration,
    ) -> anyhow::Result<Option<Outcome>> {
        let Sending { upload, buffer, outage } = sending;
        let until = self.now().saturating_add(longest);
        while let Some(len) = upload.poll_transmit(self.now(), buffer) {
            self.carry(buffer.get(..len).unwrap_or_default(), outage)?;
        }
        if let Some(deadline) = upload.deadline() {
            let deadline = deadline.min(until);
            self.hear(deadline, outage, |packet, now| upload.handle(packet, now))?;
            return Ok(None);
        }
        self.requests.sequence = upload.sequence();
        match upload.status() {
            Status::Done(outcome) => Ok(Some(outcome)),
            Status::Failed(error @ UploadError::NoAnswer { .. }) => {
                Err(std::mem::take(outage).or(error.into()))
            }
            Status::Failed(error) => Err(error.into()),
            Status::Running => Err(anyhow!("the upload stopped without a result")),
        }
    }

    /// Waits until what was sent is answered, for `longest` at most, so that something else can be
    /// asked meanwhile.
    pub fn let_settle(
        &mut self,
        sending: &mut Sending<'_>,
        longest: Duration,
    ) -> anyhow::Result<()> {
        let Sending { upload, outage, .. } = sending;
        let until = self.now().saturating_add(longest);
        while upload.progress().acked < upload.progress().sent && self.now() < until {
            self.hear(until, outage, |packet, now| upload.handle(packet, now))?;
        }
        self.requests.sequence = upload.sequence();
        Ok(())
    }

    /// Sends a message of a transfer.
    pub(super) fn carry(&mut self, message: &[u8], outage: &mut Outage) -> anyhow::Result<()> {
        match self.link.send(message) {
            Ok(()) => Ok(()),
            Err(error) => self.bear(error, outage),
        }
    }

    /// Waits for a packet of a transfer until `deadline`, and has it looked at.
    pub(super) fn hear<R>(
        &mut self,
        deadline: Duration,
        outage: &mut Outage,
        look: impl FnOnce(&[u8], Duration) -> R,
    ) -> anyhow::Result<Option<R>> {
        let clock = self.clock;
        match self.link.receive(deadline.saturating_sub(clock.elapsed())) {
            Ok(Some(packet)) => {
                outage.0 = None;
                Ok(Some(look(packet, clock.elapsed())))
            }
            Ok(None) => Ok(None),
            Err(error) => self.bear(error, outage).map(|()| None),
        }
    }

    /// Takes up a link that is gone.
    fn bear(&mut self, error: anyhow::Error, outage: &mut Outage) -> anyhow::Result<()> {
        if !is_away(&error) {
            return Err(error);
        }
        std::thread::sleep(Outage::PAUSE);
        // Why it is not there tells more than what it failed of.
        outage.0 = Some(self.link.reopen().err().unwrap_or(error));
        Ok(())
    }
}
