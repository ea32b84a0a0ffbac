//! The upload: one session for the whole device, in RAM.
//!
//! ```text
//!        first chunk passes all checks           off = len
//! Idle ───────────────────────────────▶ Open ───────────────▶ Ended
//!  ▲                                    │  ▲                    │
//!  └── overrun, write error, erase ─────┘  └── a new first chunk┘
//! ```
//! A chunk at another offset than the wanted one is dropped and answered with success and the
//! wanted offset: that is how clients learn of losses, duplicates and resumed sessions. A reset ends
//! the session; if the slots know how far the same file had come, the next one begins there.

use updraft_image::Header;

use super::{ImageGroup, Incoming, Slots, policy};
use crate::ImageError;
use crate::server::{Answer, Failure, Request};

/// Longest tag that a client may give a session: a SHA-256.
const TAG_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// Nothing to resume.
    Idle,
    /// Chunks are coming in.
    Open(Open),
    /// The last chunk was taken. Remembered so that a client that lost the last answers and
    /// repeats its chunks is led to the end again, instead of being sent back to the start.
    Ended { off: u32, len: u32, digest: u32, matched: Option<bool> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    slot: u8,
    len: u32,
    off: u32,
    tag: [u8; TAG_MAX],
    tag_len: usize,
}

impl Session {
    pub(super) fn progress(&self) -> Option<(u32, u32)> {
        match self {
            Self::Open(open) => Some((open.off, open.len)),
            Self::Idle | Self::Ended { .. } => None,
        }
    }
}

impl Open {
    fn tag(&self) -> &[u8] {
        self.tag.get(..self.tag_len).unwrap_or_default()
    }

    /// The whole SHA-256 of the file, if the tag is one.
    fn sha256(&self) -> Option<&[u8; 32]> {
        self.tag().first_chunk()
    }
}

/// The keys of an upload request.
#[derive(Default)]
struct Chunk<'p> {
    image: Option<u32>,
    off: Option<u32>,
    len: Option<u32>,
    sha: Option<&'p [u8]>,
    data: Option<&'p [u8]>,
    upgrade: Option<bool>,
}

/// What the client is told: the next offset wanted and, at the end, whether the hash fits.
struct Progress {
    off: u32,
    matched: Option<bool>,
}

impl Progress {
    fn at(off: u32) -> Self {
        Self { off, matched: None }
    }
}

impl<S: Slots> ImageGroup<S> {
    pub(super) fn upload_chunk(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<(), Failure> {
        let mut chunk = Chunk::default();
        request.fields(|key, value| match key {
            "image" => value.u32(&mut chunk.image),
            "off" => value.u32(&mut chunk.off),
            "len" => value.u32(&mut chunk.len),
            "sha" => value.bytes(&mut chunk.sha),
            "data" => value.bytes(&mut chunk.data),
            "upgrade" => value.bool(&mut chunk.upgrade),
            _ => Ok(()),
        })?;
        let progress = match chunk.off {
            None => Err(told(ImageError::InvalidOffset)),
            Some(0) => self.first_chunk(&chunk),
            Some(off) => self.next_chunk(off, chunk.data.unwrap_or_default()),
        }?;
        answer.u32("off", progress.off)?;
        match progress.matched {
            Some(matched) => answer.bool("match", matched),
            None => Ok(()),
        }
    }

    /// The checks come in the order that clients see from the servers of the field.
    fn first_chunk(&mut self, chunk: &Chunk<'_>) -> Result<Progress, Failure> {
        let data = chunk.data.unwrap_or_default();
        if data.len() < Header::SIZE {
            return Err(told(ImageError::InvalidImageHeader));
        }
        let len = chunk.len.ok_or_else(|| told(ImageError::InvalidLength))?;
        let header = Header::parse(data).map_err(|_| told(ImageError::InvalidImageHeaderMagic))?;
        let sha = chunk.sha.unwrap_or_default();
        let mut open = Open { slot: 0, len, off: 0, tag: [0; TAG_MAX], tag_len: sha.len() };
        open.tag.get_mut(..sha.len()).ok_or(ImageError::InvalidHash)?.copy_from_slice(sha);

        if let Session::Open(current) = &self.session
            && !sha.is_empty()
            && (current.tag(), current.len) == (sha, len)
        {
            return Ok(Progress::at(current.off));
        }
        open.slot = self.free_slot(chunk.image)?;
        let sha256 = open.sha256().copied();
        let upload = Incoming { slot: open.slot, len, header, sha256 };
        let limit = [self.slots.slot_size(open.slot), self.slots.max_image_size(open.slot)];
        if limit.into_iter().flatten().any(|limit| len > limit) {
            return Err(told(ImageError::InvalidImageTooLarge));
        }
        if chunk.upgrade == Some(true) {
            self.check_newer(&upload)?;
        }
        if !fits(0, data, len) {
            return Err(told(ImageError::InvalidImageDataOverrun));
        }
        // Last, as the application may ask somebody.
        self.slots.admit(&upload).map_err(denied)?;

        // From here on the slot changes, so the session before is gone even if a step fails.
        let before = core::mem::replace(&mut self.session, Session::Idle);
        if let Some(sha256) = &sha256
            && self.already_holds(&upload, sha256)
        {
            if matches!(before, Session::Open(_)) {
                self.slots.abort_upload();
            }
            return Ok(Progress { off: len, matched: Some(true) });
        }
        match self.slots.begin_upload(&upload).map_err(denied)? {
            off if (1..len).contains(&off) => {
                self.session = Session::Open(Open { off, ..open });
                Ok(Progress::at(off))
            }
            _ => self.take(open, data),
        }
    }

    fn next_chunk(&mut self, off: u32, data: &[u8]) -> Result<Progress, Failure> {
        match self.session {
            Session::Open(open) if open.off != off => Ok(Progress::at(open.off)),
            Session::Open(open) if fits(off, data, open.len) => self.take(open, data),
            Session::Open(_) => {
                self.session = Session::Idle;
                self.slots.abort_upload();
                Err(told(ImageError::InvalidImageDataOverrun))
            }
            Session::Ended { off: last, len, digest, matched }
                if off == last && fnv(data) == digest && fits(off, data, len) =>
            {
                Ok(Progress { off: len, matched })
            }
            Session::Ended { off: last, .. } if off < last => Ok(Progress::at(last)),
            Session::Idle | Session::Ended { .. } => Ok(Progress::at(0)),
        }
    }

    /// Writes the data that is known to fit, and closes the session with the last of it.
    fn take(&mut self, open: Open, data: &[u8]) -> Result<Progress, Failure> {
        let end = u32::try_from(data.len()).map_or(u32::MAX, |n| open.off.saturating_add(n));
        self.session = Session::Idle;
        self.slots.write(open.off, data).map_err(denied)?;
        if end < open.len {
            self.session = Session::Open(Open { off: end, ..open });
            return Ok(Progress::at(end));
        }
        self.slots.finish_upload().map_err(denied)?;
        let matched = match open.sha256() {
            Some(sha256) => Some(self.slots.matches(open.slot, open.len, sha256).map_err(denied)?),
            None => None,
        };
        self.session = Session::Ended { off: open.off, len: open.len, digest: fnv(data), matched };
        Ok(Progress { off: open.len, matched })
    }

    /// The slot that an upload goes to. With a single image the number is ignored, since clients
    /// put all sorts of values there.
    fn free_slot(&mut self, image: Option<u32>) -> Result<u8, Failure> {
        let images = self.slots.images();
        let image = match image {
            Some(image) if images > 1 => u8::try_from(image).ok().filter(|image| *image < images),
            _ => Some(0),
        };
        let image = image.ok_or_else(|| told(ImageError::NoFreeSlot))?;
        let primary = image.saturating_mul(2);
        for slot in [primary, primary | 1] {
            let exists = self.slots.slot_size(slot).is_some();
            if exists && !policy::in_use(&mut self.slots, slot, &self.policy).map_err(denied)? {
                return Ok(slot);
            }
        }
        Err(told(ImageError::NoFreeSlot))
    }

    fn check_newer(&mut self, upload: &Incoming) -> Result<(), Failure> {
        let current = policy::current_slot(&self.slots, upload.slot / 2);
        let running = self.slots.image_info(current).ok().flatten();
        let running = running.ok_or_else(|| told(ImageError::VersionReadFailed))?;
        match self.policy.is_newer(&upload.header.version, &running.version) {
            true => Ok(()),
            false => Err(told(ImageError::CurrentVersionIsNewer)),
        }
    }

    /// Whether the slot holds the announced bytes already. Hashing a slot is slow, so a look at
    /// the header comes first. A slot that cannot be read simply does not hold them.
    fn already_holds(&mut self, upload: &Incoming, sha256: &[u8; 32]) -> bool {
        let listed = self.slots.image_info(upload.slot).ok().flatten();
        listed.is_some_and(|image| image.version == upload.header.version)
            && self.slots.matches(upload.slot, upload.len, sha256).unwrap_or(false)
    }
}

fn fits(off: u32, data: &[u8], len: u32) -> bool {
    u32::try_from(data.len()).ok().and_then(|n| off.checked_add(n)).is_some_and(|end| end <= len)
}

/// FNV-1a, to tell a repeated chunk from another one at the same place.
fn fnv(data: &[u8]) -> u32 {
    data.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// An upload error with its text for version 1 clients.
fn told(error: ImageError) -> Failure {
    Failure::from(error).because(reason(error))
}

/// An error of the slots during an upload; its own text comes first.
fn denied(error: impl Into<super::Refused>) -> Failure {
    let refused = error.into();
    Failure::from(refused.error).because(refused.reason).because(reason(refused.error))
}

fn reason(error: ImageError) -> Option<&'static str> {
    Some(match error {
        ImageError::InvalidOffset | ImageError::InvalidLength | ImageError::InvalidImageHeader => {
            "header malformed"
        }
        ImageError::InvalidImageHeaderMagic => "magic mismatch",
        ImageError::InvalidImageTooLarge => "img too large",
        ImageError::InvalidFlashAddress => "img addr mismatch",
        ImageError::InvalidImageDataOverrun => "data overrun",
        ImageError::CurrentVersionIsNewer => "downgrade",
        ImageError::NoFreeSlot => "no slot",
        ImageError::FlashOpenFailed => "fa open fail",
        ImageError::FlashEraseFailed => "fa erase fail",
        ImageError::FlashWriteFailed => "fa write fail",
        _ => return None,
    })
}
