//! A conversation with one device.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde::Serialize;
use updraft_smp::client::{
    Answer, AnswerError, BufferTooSmall, Exchange, Limits, Params, Patience, Poll, Requests,
};

use super::Link;
use crate::report::{Hint, find};

/// Least and longest wait for commands that write or erase flash before they answer. They may be
/// repeated safely.
const WRITING: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

/// A slot of the image list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageState {
    /// Number of the image.
    pub image: u32,
    /// 0 primary, 1 secondary.
    pub slot: u32,
    /// Version as the device spells it.
    pub version: String,
    /// Image hash in hexadecimal.
    pub hash: Option<String>,
    /// May be booted.
    pub bootable: bool,
    /// Boots next.
    pub pending: bool,
    /// Will not be reverted.
    pub confirmed: bool,
    /// Runs now.
    pub active: bool,
    /// Boots next, for good.
    pub permanent: bool,
}

/// A slot of the slot information.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotFact {
    /// Number of the image.
    pub image: u32,
    /// 0 primary, 1 secondary.
    pub slot: u32,
    /// Size in bytes.
    pub size: Option<u32>,
    /// The image number to upload to it with.
    pub upload_image_id: Option<u32>,
    /// The largest image that the device takes, if it says so.
    pub max_image_size: Option<u32>,
}

/// What the bootloader says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bootloader {
    /// Its name.
    pub name: Option<String>,
    /// Number of its upgrade mode.
    pub mode: Option<i32>,
    /// Whether it refuses older versions.
    pub no_downgrade: bool,
}

/// A session over a link.
#[derive(Debug)]
pub struct Session<L> {
    pub(super) link: L,
    pub(super) requests: Requests,
    pub(super) patience: Patience,
    pub(super) clock: Instant,
    /// Whether the device has answered anything yet.
    answered: bool,
}

/// The device does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    sends: u32,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer from the device ({} requests sent)", self.sends)
    }
}

impl std::error::Error for Silence {}

impl<L: Link> Session<L> {
    /// A session whose requests wait as long as `patience` says.
    pub fn new(link: L, patience: Patience) -> Self {
        // Sequence numbers of a session before may still be answered.
        let sequence = (std::process::id() & 0xff) as u8;
        let requests = Requests::starting_at(sequence);
        Self { link, requests, patience, clock: Instant::now(), answered: false }
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// The patience with commands that write.
    pub(super) fn writing(&self) -> Patience {
        let [least, longest] = WRITING;
        let timeout = self.patience.timeout.max(least);
        Patience { timeout, longest: longest.max(timeout), ..self.patience }
    }

    /// One request: built by `build`, its answer read by `read`.
    pub(super) fn ask<T>(
        &mut self,
        patience: Patience,
        build: impl FnOnce(&mut Requests, &mut [u8]) -> Result<usize, BufferTooSmall>,
        read: impl FnOnce(&Answer<'_>) -> Result<T, AnswerError>,
    ) -> anyhow::Result<T> {
        let mut buffer = [0; Limits::UDP_FRAME];
        let len = build(&mut self.requests, &mut buffer)?;
        let message = buffer.get(..len).unwrap_or_default();
        let new = || Exchange::new(message, patience).context("the request is no message");
        let (mut exchange, mut refusals) = (new()?, 0);
        loop {
            match exchange.poll(self.now()) {
                Poll::Send(message) => self.link.send(message)?,
                Poll::Wait(until) => {
                    let timeout = until.saturating_sub(self.now());
                    if let Some(packet) = self.link.receive(timeout)?
                        && let Some(answer) = exchange.handle(packet)
                    {
                        self.answered = true;
                        let busy = answer.check().is_err_and(|error| error.is_busy());
                        if busy && refusals < patience.retries {
                            refusals += 1;
                            std::thread::sleep(patience.wait(refusals));
                            exchange = new()?;
                            continue;
                        }
                        return Ok(read(&answer)?);
                    }
                }
                Poll::GaveUp { sends } => {
                    return Err(Silence { sends }).hint(
                        "check address and port, and that the device is running and not still swapping",
                    );
                }
                Poll::Answered => return Err(anyhow!("the answer was lost")),
            }
        }
    }

    /// What the device prints beside its answers, as far as it comes within `timeout`; `None` on
    /// links that carry nothing else.
    pub fn text(&mut self, timeout: Duration) -> anyhow::Result<Option<Vec<u8>>> {
        // Late answers are nobody's any more.
        self.link.receive(timeout)?;
        Ok(self.link.take_text())
    }

    /// Takes the link up anew. A device that is away still will be missed at the next request.
    pub fn reopen(&mut self) {
        let _ = self.link.reopen();
    }

    /// Has the device say `text` again.
    pub fn echo(&mut self, text: &str) -> anyhow::Result<String> {
        self.ask(
            self.patience,
            |requests, buffer| requests.echo(buffer, text).map(<[u8]>::len),
            |answer| answer.echo().map(str::to_owned),
        )
    }

    /// The device's buffers; `None` if it has no such command.
    pub fn params(&mut self) -> anyhow::Result<Option<Params>> {
        self.optional(
            |requests, buffer| requests.params(buffer).map(<[u8]>::len),
            |answer| answer.params(),
        )
    }

    /// System information by format letters.
    pub fn info(&mut self, format: &str) -> anyhow::Result<String> {
        self.ask(
            self.patience,
            |requests, buffer| requests.info(buffer, format).map(<[u8]>::len),
            |answer| answer.info().map(str::to_owned),
        )
    }

    /// The device's board, if it tells.
    pub fn platform(&mut self) -> anyhow::Result<Option<String>> {
        match self.info("i") {
            Ok(board) => Ok(Some(board)),
            Err(error) if find::<AnswerError>(&error).is_some() => Ok(None),
            Err(error) if find::<Silence>(&error).is_some() && self.answered => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the bootloader says of itself; `None` if the device has no such command.
    pub fn bootloader(&mut self) -> anyhow::Result<Option<Bootloader>> {
        let ask = |session: &mut Self, query: Option<&str>| {
            session.optional(
                |requests, buffer| requests.bootloader_info(buffer, query).map(<[u8]>::len),
                |answer| {
                    answer.bootloader().map(|reply| Bootloader {
                        name: reply.name.map(str::to_owned),
                        mode: reply.mode,
                        no_downgrade: reply.no_downgrade,
                    })
                },
            )
        };
        let Some(named) = ask(self, None)? else { return Ok(None) };
        let mode = ask(self, Some("mode"))?.unwrap_or_default();
        Ok(Some(Bootloader { name: named.name, ..mode }))
    }

    /// A request that devices may lack: a refusal is `None`, and so is silence from a device that
    /// has answered others.
    fn optional<T>(
        &mut self,
        build: impl FnOnce(&mut Requests, &mut [u8]) -> Result<usize, BufferTooSmall>,
        read: impl FnOnce(&Answer<'_>) -> Result<T, AnswerError>,
    ) -> anyhow::Result<Option<T>> {
        // Some devices do not even refuse what they lack.
        let patience = match self.answered {
            true => Patience { retries: self.patience.retries.min(1), ..self.patience },
            false => self.patience,
        };
        let answer = self.ask(patience, build, |answer| match read(answer) {
            Err(AnswerError::Refused(_)) => Ok(None),
            other => other.map(Some),
        });
        match answer {
            Err(error) if self.answered && find::<Silence>(&error).is_some() => Ok(None),
            other => other,
        }
    }

    /// Resets the device. With `force` a device that is busy is asked again to do it anyway.
    ///
    /// The request is never repeated blindly: if only its answer was lost, the device runs a new
    /// image on trial by now, and a second reset would revert it. Where no answer comes, the image
    /// list tells whether there was a reset.
    pub fn reset(&mut self, force: bool, boot_mode: Option<u8>) -> anyhow::Result<()> {
        let before = self.images().ok();
        // A device without the image group has nothing to revert.
        let once = match before {
            Some(_) => Patience { retries: 0, ..self.patience },
            None => self.patience,
        };
        let mut left = self.patience.retries;
        let first = loop {
            let outcome = self.ask(
                once,
                |requests, buffer| requests.reset(buffer, force, boot_mode).map(<[u8]>::len),
                |answer| answer.check(),
            );
            let silent = outcome.as_ref().is_err_and(|error| find::<Silence>(error).is_some());
            let (true, Some(before)) = (silent, &before) else { break outcome };
            match self.images() {
                Ok(now) if now != *before => break Ok(()),
                Ok(_) if left > 0 => left -= 1,
                Ok(_) => break outcome,
                Err(_) => {
                    break outcome.hint(
                        "it may be resetting, and swapping: wait and ask with `image list`; a \
                         second reset would revert an image on trial",
                    );
                }
            }
        };
        match first {
            Err(error) if is_busy(&error) && force => self.ask(
                once,
                |requests, buffer| requests.reset_insisting(buffer, boot_mode).map(<[u8]>::len),
                |answer| answer.check(),
            ),
            other => other,
        }
    }

    /// The images in the device's slots.
    pub fn images(&mut self) -> anyhow::Result<Vec<ImageState>> {
        self.images_within(self.patience)
    }

    /// The same with a patience of one's own.
    pub fn images_within(&mut self, patience: Patience) -> anyhow::Result<Vec<ImageState>> {
        self.ask(
            patience,
            |requests, buffer| requests.image_list(buffer).map(<[u8]>::len),
            read_images,
        )
    }

    /// Has the image with `hash` boot once, on trial.
    pub fn test(&mut self, hash: &[u8]) -> anyhow::Result<Vec<ImageState>> {
        self.ask(
            self.writing(),
            |requests, buffer| requests.test(buffer, hash).map(<[u8]>::len),
            read_images,
        )
    }

    /// Confirms the running image, or has the image with `hash` boot for good.
    pub fn confirm(&mut self, hash: Option<&[u8]>) -> anyhow::Result<Vec<ImageState>> {
        self.ask(
            self.writing(),
            |requests, buffer| requests.confirm(buffer, hash).map(<[u8]>::len),
            read_images,
        )
    }

    /// Erases a slot, or the one that does not run.
    pub fn erase(&mut self, slot: Option<u8>) -> anyhow::Result<()> {
        self.ask(
            self.writing(),
            |requests, buffer| requests.erase(buffer, slot).map(<[u8]>::len),
            |answer| answer.check(),
        )
    }

    /// Sizes of the slots; `None` if the device has no such command.
    pub fn slots(&mut self) -> anyhow::Result<Option<Vec<SlotFact>>> {
        self.optional(
            |requests, buffer| requests.slot_info(buffer).map(<[u8]>::len),
            |answer| {
                let mut slots = Vec::new();
                let max_image_size = answer.slots(|slot| {
                    slots.push(SlotFact {
                        image: slot.image,
                        slot: slot.slot,
                        size: slot.size,
                        upload_image_id: slot.upload_image_id,
                        max_image_size: None,
                    });
                })?;
                for slot in &mut slots {
                    slot.max_image_size = slot.upload_image_id.and(max_image_size);
                }
                Ok(slots)
            },
        )
    }
}

fn read_images(answer: &Answer<'_>) -> Result<Vec<ImageState>, AnswerError> {
    let mut images = Vec::new();
    answer.images(|entry| {
        images.push(ImageState {
            image: entry.image,
            slot: entry.slot,
            version: entry.version.to_owned(),
            hash: entry.hash.map(hex),
            bootable: entry.bootable,
            pending: entry.pending,
            confirmed: entry.confirmed,
            active: entry.active,
            permanent: entry.permanent,
        });
    })?;
    Ok(images)
}

/// Whether the device only asks for another try later.
pub fn is_busy(error: &anyhow::Error) -> bool {
    find::<AnswerError>(error).is_some_and(AnswerError::is_busy)
}

/// Whether the device did not answer, or its link is gone.
pub fn is_away(error: &anyhow::Error) -> bool {
    find::<Silence>(error).is_some() || find::<std::io::Error>(error).is_some()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
