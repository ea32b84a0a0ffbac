//! The upload: one at a time, in chunks that each name their offset.
//!
//! ```text
//!          first chunk acceptable               off = len
//! Idle ───────────────────────────▶ Open ─────────────────────▶ Ended, well or not
//!  ▲                                │  ▲                           │
//!  └────────── flash fails ─────────┘  └────── a new first chunk ──┘
//! ```
//! A chunk at another offset than the wanted one is dropped and answered with success and the
//! wanted offset.

use updraft_flash::{FlashMap, TrailerAccess, TrailerFormat};
use updraft_image::{
    Flag, Flags, HashKind, Hasher, Header, HeaderError, Magic, Source, SwapType, UpgradeMode,
    Verifier, validate,
};
use updraft_smp::Rc;
use updraft_smp::server::{Failure, Request};

use crate::config::{Slot, Which};
use crate::images::{copies, refused};
use crate::writer::{Record, SlotWriter};
use crate::{Hooks, Recovery};

#[derive(Clone, Debug)]
pub(crate) enum Session<const HEAD: usize> {
    Idle,
    Open(Upload<HEAD>),
    /// Every byte was taken. Remembered so that a client that lost the last answer gets it.
    Ended {
        len: u32,
        outcome: Result<(), Failure>,
    },
}

impl<const HEAD: usize> Session<HEAD> {
    pub(crate) fn progress(&self) -> Option<(u32, u32)> {
        match self {
            Self::Open(upload) => Some((upload.writer.off(), upload.writer.len())),
            Self::Idle | Self::Ended { .. } => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Upload<const HEAD: usize> {
    slot: Slot,
    tag: Tag,
    writer: SlotWriter<HEAD>,
}

/// What a client calls its file: the SHA-256 of it, or the beginning of that. Empty if it gave
/// none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tag {
    bytes: [u8; 32],
    len: usize,
}

impl Tag {
    fn new(sha: &[u8]) -> Option<Self> {
        let mut tag = Self { bytes: [0; 32], len: sha.len() };
        tag.bytes.get_mut(..sha.len())?.copy_from_slice(sha);
        Some(tag)
    }

    fn sha256(&self) -> Option<&[u8; 32]> {
        (self.len == self.bytes.len()).then_some(&self.bytes)
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
}

/// A failure that the original does not know, with a text.
fn invalid(reason: &'static str) -> Failure {
    Failure::from(Rc::INVALID).because(Some(reason))
}

fn flash<E>(_: E) -> Failure {
    Failure::from(Rc::UNKNOWN).because(Some("flash"))
}

impl<M: FlashMap, V: Verifier, H: Hooks, const HEAD: usize> Recovery<M, V, H, HEAD> {
    /// Takes a chunk; what comes back is the next offset wanted.
    pub(crate) fn chunk(&mut self, request: &Request<'_>) -> Result<u32, Failure> {
        let mut chunk = Chunk::default();
        request.fields(|key, value| match key {
            "image" => value.u32(&mut chunk.image),
            "off" => value.u32(&mut chunk.off),
            "len" => value.u32(&mut chunk.len),
            "sha" => value.bytes(&mut chunk.sha),
            "data" => value.bytes(&mut chunk.data),
            _ => Ok(()),
        })?;
        let data = chunk.data.ok_or(Rc::INVALID)?;
        match chunk.off.ok_or(Rc::INVALID)? {
            0 => {
                let next = self.first_chunk(&chunk, data);
                // Whoever sends a first chunk is done with the upload before.
                if next.is_err() && matches!(self.session, Session::Open(_)) {
                    self.session = Session::Idle;
                }
                next
            }
            off => self.next_chunk(off, data),
        }
    }

    fn next_chunk(&mut self, off: u32, data: &[u8]) -> Result<u32, Failure> {
        match &self.session {
            Session::Idle => Ok(0),
            Session::Ended { len, outcome } => outcome.map(|()| *len),
            Session::Open(upload) if upload.writer.off() != off => Ok(upload.writer.off()),
            Session::Open(upload) if !upload.writer.fits(data) => Err(Rc::INVALID.into()),
            Session::Open(_) => self.take(data),
        }
    }

    fn first_chunk(&mut self, chunk: &Chunk<'_>, data: &[u8]) -> Result<u32, Failure> {
        let slot = self.target(chunk.image.unwrap_or(0)).ok_or(Rc::INVALID)?;
        let len = chunk.len.ok_or(Rc::INVALID)?;
        let start = self.start(&slot);
        let size = self.map.info(slot.area).ok_or(Rc::INVALID)?.size;
        if len > size.saturating_sub(start) {
            return Err(Rc::INVALID.into());
        }
        let trailer = self.config.trailer(&self.map, &slot).ok_or(Rc::UNKNOWN)?;
        let writer = SlotWriter::new(&self.map, trailer, start, len).ok_or(Rc::UNKNOWN)?;
        if !writer.fits(data) {
            return Err(Rc::INVALID.into());
        }
        let mut upload = Upload { slot, tag: Tag::default(), writer };
        if self.strict() {
            upload.tag = Tag::new(chunk.sha.unwrap_or_default()).ok_or(invalid("hash too long"))?;
            upload.writer.keep_head(data);
            if let Some(off) = self.spared(&mut upload, data)? {
                return Ok(off);
            }
        }

        // From here on the slot changes, so that an upload before is gone even if a step fails.
        self.session = Session::Idle;
        let record = upload.tag.sha256().map(|sha256| Record::of(len, sha256));
        if let Some(record) = record
            && data.len() >= HEAD
            && upload.writer.resume(&mut self.map, record)
        {
            let off = upload.writer.off();
            self.session = Session::Open(upload);
            return Ok(off);
        }
        upload.writer.drop_image(&mut self.map).map_err(flash)?;
        if self.strict() {
            self.drop_status_in_scratch(&slot).map_err(flash)?;
        }
        upload.writer.begin(&mut self.map, record).map_err(flash)?;
        self.session = Session::Open(upload);
        self.take(data)
    }

    /// The slot that a client means by `image`.
    fn target(&self, image: u32) -> Option<Slot> {
        let (image, which) = match H::OFFERS.direct_upload {
            false => (image, Which::Primary),
            true => {
                let slot = image.saturating_sub(1);
                let which = match slot % 2 {
                    0 => Which::Primary,
                    _ => Which::Secondary,
                };
                (slot / 2, which)
            }
        };
        self.config.slot(u8::try_from(image).ok()?, which)
    }

    /// Refuses what would not boot before anything is erased, and finds out whether something need
    /// not be sent again: the offset to go on from, if so.
    fn spared(&mut self, upload: &mut Upload<HEAD>, data: &[u8]) -> Result<Option<u32>, Failure> {
        let (slot, len) = (upload.slot, upload.writer.len());
        self.admit(&slot, len, data)?;
        if slot.which == Which::Secondary && self.swap_is_unfinished(&slot) {
            return Err(Failure::from(Rc::BAD_STATE).because(Some("swap unfinished")));
        }
        if let Session::Open(current) = &self.session
            && current.tag.len > 0
            && (current.slot, current.tag, current.writer.len()) == (slot, upload.tag, len)
            && current.writer.begins_with(data)
        {
            return Ok(Some(current.writer.off()));
        }
        if data.len() == len as usize {
            let header = Header::parse(data).map_err(|_| Rc::INVALID)?;
            let rules = self.config.rules_for(&slot);
            let mut source = upload.writer.source_with(&mut self.map, data);
            validate(&mut source, &header, &rules, &mut self.verifier)
                .map_err(|refusal| refused(&refusal))?;
        }
        if self.holds(upload) {
            let outcome = self.verdict(upload).and_then(|()| self.uploaded(upload));
            self.session = Session::Ended { len, outcome };
            return outcome.map(|()| Some(len));
        }
        Ok(None)
    }

    /// Checks what the first chunk tells of the image.
    fn admit(&self, slot: &Slot, len: u32, data: &[u8]) -> Result<(), Failure> {
        /// Bytes in front of the first TLV: without a TLV area an image is not complete.
        const TLV_INFO: u32 = 4;
        let header = Header::parse(data).map_err(|error| match error {
            HeaderError::Magic { .. } => invalid("magic mismatch"),
            _ => invalid("header malformed"),
        })?;
        if len > slot.max_size {
            return Err(invalid("image too large"));
        }
        // Nobody would decrypt or decompress them on their way to where they run.
        if header.flags.intersects(Flags::ENCRYPTED | Flags::COMPRESSED) {
            return Err(Failure::from(Rc::NOT_SUPPORTED).because(Some("encrypted or compressed")));
        }
        if header.check(len, self.config.rules.supported).is_err()
            || usize::from(header.hdr_size) < Header::SIZE
            || header.hashed_len().is_ok_and(|hashed| hashed.saturating_add(TLV_INFO) > len)
        {
            return Err(invalid("header malformed"));
        }
        if header.flags.contains(Flags::NON_BOOTABLE) {
            return Err(invalid("not bootable"));
        }
        Ok(())
    }

    /// Whether a power cut interrupted a swap of the image in `slot`, which goes on at the next
    /// boot and needs the secondary slot as it is.
    fn swap_is_unfinished(&mut self, slot: &Slot) -> bool {
        let Some(primary) = self.config.slot(slot.image, Which::Primary) else { return false };
        let Some(trailer) = self.config.trailer(&self.map, &primary) else { return false };
        let in_primary = trailer.read(&mut self.map).is_ok_and(|state| {
            let begun = state.swap_info.swap_type != SwapType::None;
            state.magic == Magic::Good && state.copy_done == Flag::Unset && begun
        });
        in_primary || self.status_in_scratch(slot).is_some()
    }

    /// Whether the slot holds the announced file already, and the bootloader leaves it there.
    fn holds(&mut self, upload: &Upload<HEAD>) -> bool {
        let Some(trailer) = self.config.trailer(&self.map, &upload.slot) else { return false };
        let start = self.start(&upload.slot);
        let mut head = [0; HEAD];
        let same_head = self.map.read(trailer.area(), start, &mut head).is_ok()
            && upload.writer.begins_with(&head);
        let stays = match self.dfu(upload.slot.image) {
            Some(dfu) => dfu.swap_type(&mut self.map).ok() == Some(SwapType::None),
            None => true,
        };
        same_head && stays && self.hashes_to_tag(upload).is_ok_and(|same| same == Some(true))
    }

    /// Whether the file hashes to what the client said; `None` if it said nothing.
    fn hashes_to_tag(&mut self, upload: &Upload<HEAD>) -> Result<Option<bool>, Failure> {
        let Some(sha256) = upload.tag.sha256() else { return Ok(None) };
        let mut source = upload.writer.source(&mut self.map);
        let mut hasher = Hasher::new(HashKind::Sha256);
        let mut piece = [0; 256];
        let mut at = 0;
        while at < source.size() {
            let len = (source.size() - at).min(piece.len() as u32);
            let piece = piece.get_mut(..len as usize).unwrap_or_default();
            source.read(at, piece).map_err(flash)?;
            hasher.update(piece);
            at += len;
        }
        Ok(Some(hasher.finish().as_bytes() == sha256))
    }

    /// Whether the file arrived as it was sent, and the bootloader would accept it.
    fn verdict(&mut self, upload: &Upload<HEAD>) -> Result<(), Failure> {
        if self.hashes_to_tag(upload)? == Some(false) {
            return Err(Failure::from(Rc::CORRUPT).because(Some("file damaged")));
        }
        let rules = self.config.rules_for(&upload.slot);
        let mut source = upload.writer.source(&mut self.map);
        let mut bytes = [0; Header::SIZE];
        source.read(0, &mut bytes).map_err(flash)?;
        let header = Header::parse(&bytes).map_err(|_| invalid("header malformed"))?;
        let valid = validate(&mut source, &header, &rules, &mut self.verifier);
        valid.map(|_| ()).map_err(|refusal| refused(&refusal))
    }

    /// Writes data that is known to fit; with the last of it, decides over the whole.
    fn take(&mut self, data: &[u8]) -> Result<u32, Failure> {
        let Session::Open(upload) = &mut self.session else { return Ok(0) };
        if let Err(error) = upload.writer.take(&mut self.map, data) {
            self.session = Session::Idle;
            return Err(flash(error));
        }
        if !upload.writer.is_complete() {
            return Ok(upload.writer.off());
        }
        let len = upload.writer.len();
        let outcome = self.conclude();
        self.session = Session::Ended { len, outcome };
        outcome.map(|()| len)
    }

    fn conclude(&mut self) -> Result<(), Failure> {
        let session = core::mem::replace(&mut self.session, Session::Idle);
        let Session::Open(mut upload) = session else { return Ok(()) };
        if self.strict() {
            let verdict = self.verdict(&upload);
            // What proved bad is not to be gone on with; what proved good needs its trailer blank.
            upload.writer.erase_record(&mut self.map).map_err(flash)?;
            verdict?;
            self.withdraw_request(&upload.slot).map_err(flash)?;
        }
        // Only now is there an image in the slot.
        upload.writer.finish(&mut self.map).map_err(flash)?;
        self.uploaded(&upload)
    }

    /// Tells the board of an image that is in its slot.
    #[inline(always)]
    fn uploaded(&mut self, upload: &Upload<HEAD>) -> Result<(), Failure> {
        let Slot { image, area, .. } = upload.slot;
        self.hooks.uploaded(&mut self.map, image, area, upload.writer.len())
    }

    /// An upload to the primary slot is what is wanted now, so that a request from before must not
    /// replace it at the next boot.
    fn withdraw_request(&mut self, slot: &Slot) -> Result<(), M::Error> {
        if slot.which == Which::Secondary || !copies(self.config.trailers.mode) {
            return Ok(());
        }
        let secondary = self.config.slot(slot.image, Which::Secondary);
        let trailer = secondary.and_then(|slot| self.config.trailer(&self.map, &slot));
        let Some(trailer) = trailer else { return Ok(()) };
        // A trailer that cannot be read is no request.
        match trailer.read(&mut self.map) {
            Ok(state) if state.magic != Magic::Unset => trailer.erase_fields(&mut self.map),
            _ => Ok(()),
        }
    }

    /// The end of the scratch area, if it holds the status of a swap of the image in `slot`.
    fn status_in_scratch(&mut self, slot: &Slot) -> Option<TrailerAccess> {
        let scratch = self.config.scratch?;
        let record = self.map.info(scratch)?.write_size;
        // The fields lie at the end, whatever room there is for records before them.
        let format = TrailerFormat { mode: UpgradeMode::SingleSlot, ..self.config.trailers };
        let trailer = format.trailer(&self.map, scratch, record).ok()?;
        let state = trailer.read(&mut self.map).ok()?;
        let holds = state.magic != Magic::Unset && state.swap_info.image == slot.image;
        holds.then_some(trailer)
    }

    /// The bootloader would go on with a swap, over the new image.
    fn drop_status_in_scratch(&mut self, slot: &Slot) -> Result<(), M::Error> {
        match self.status_in_scratch(slot).filter(|_| slot.which == Which::Primary) {
            Some(trailer) => trailer.erase_fields(&mut self.map),
            None => Ok(()),
        }
    }
}
