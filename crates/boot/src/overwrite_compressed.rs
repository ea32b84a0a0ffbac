//! Overwrite-only with images that may be compressed: they are decompressed into the primary slot.
//!
//! The slot that is being filled is what the decoder looks back at, so that it takes no memory but
//! its own and one piece. Everything else is [`Overwrite::Image`]: a power cut in between leaves
//! request and update whole, and the next boot begins again.
//!
//! | memory | the update is checked |
//! |---|---|
//! | decoder only | as it was uploaded; what it decompresses to once it is there |
//! | decoder and a ring as large as the dictionary | also what it decompresses to, before anything is erased |
//!
//! The original has the checks of the header and no decoder.

use core::cell::RefCell;

use updraft_flash::{AreaId, FlashMap};
use updraft_image::{
    CompressionError, Decoder, Decompressed, Flags, Header, Refusal, Rules, Source, UpgradeMode,
    Validated, Verifier, Window, align_up, validate, validate_compressed,
};

use crate::secrets::Through;
use crate::slots::Slot;
use crate::{
    BootError, Installed, Job, Overwrite, PIECE, Place, Progress, Secrets, Slots, Strategy,
};

/// The overwrite-only mode that takes compressed images, too.
#[derive(Debug)]
pub struct OverwriteCompressed<'m> {
    memory: RefCell<Memory<'m>>,
}

#[derive(Debug)]
struct Memory<'m> {
    decoder: &'m mut Decoder,
    ring: &'m mut [u8],
}

impl<'m> OverwriteCompressed<'m> {
    /// Decompresses with `decoder` ([`Decoder::RAM`] bytes). `ring` may be empty; with
    /// [`Decoder::RING`] bytes, images are checked in both forms before anything is erased.
    pub const fn new(decoder: &'m mut Decoder, ring: &'m mut [u8]) -> Self {
        Self { memory: RefCell::new(Memory { decoder, ring }) }
    }
}

/// An image as it will be once it has been copied.
struct Deciphered<'c, S> {
    source: S,
    through: Through<'c>,
}

impl<S: Source> Source for Deciphered<'_, S> {
    type Error = S::Error;

    fn size(&self) -> u32 {
        self.source.size()
    }

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), S::Error> {
        self.source.read(offset, buf)?;
        self.through.apply(offset, buf);
        Ok(())
    }
}

/// The slot that an image is read from, and the one that it is decompressed into.
struct Between<'w, M> {
    map: &'w mut M,
    from: Slot,
    through: Through<'w>,
    to: AreaId,
    /// Where the decompressed body begins.
    body: u32,
}

impl<M: FlashMap> Source for Between<'_, M> {
    type Error = M::Error;

    fn size(&self) -> u32 {
        self.from.size.saturating_sub(self.from.start)
    }

    fn read(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), M::Error> {
        self.map.read(self.from.area, self.from.start.saturating_add(offset), buf)?;
        self.through.apply(offset, buf);
        Ok(())
    }
}

impl<M: FlashMap> Window for Between<'_, M> {
    fn reach(&self) -> u32 {
        u32::MAX
    }

    fn look_back(&mut self, at: u32, buf: &mut [u8]) -> Result<(), M::Error> {
        self.map.read(self.to, self.body.saturating_add(at), buf)
    }

    /// It has been written already.
    fn keep(&mut self, _: u32, _: &[u8]) -> Result<(), M::Error> {
        Ok(())
    }
}

/// What is not the flash's fault is the image's.
fn refusal<E>(error: CompressionError<E>) -> Refusal<E> {
    error.of_image().map_or_else(Refusal::Read, Refusal::Compressed)
}

/// The same for what ends a boot.
fn failure<E>(error: CompressionError<E>) -> BootError<E> {
    let refused = |error| BootError::Refused(Refusal::Compressed(error));
    error.of_image().map_or_else(BootError::Flash, refused)
}

impl Memory<'_> {
    /// The image in the secondary slot, ready to be decompressed into the primary one.
    fn open<'w, M: FlashMap>(
        &'w mut self,
        map: &'w mut M,
        slots: &Slots,
        header: &Header,
        through: Through<'w>,
        piece: &'w mut [u8],
    ) -> Result<Decompressed<'w, Between<'w, M>>, CompressionError<M::Error>> {
        let (from, to) = (slots.secondary, slots.primary.area);
        let body = header.hdr_size.into();
        Decompressed::open(Between { map, from, through, to, body }, header, self.decoder, piece)
    }

    /// Checks a compressed image in the secondary slot.
    fn validate<M: FlashMap, V: Verifier>(
        &mut self,
        map: &mut M,
        slots: &Slots,
        header: &Header,
        rules: &Rules,
        verifier: &mut V,
    ) -> Result<Validated, Refusal<M::Error>> {
        let secondary = &slots.secondary;
        let secrets = Secrets::of_source(&mut secondary.source(map), header, verifier)?;
        let through = secrets.incoming(0);
        let mut source = Deciphered { source: secondary.source(map), through };
        if !self.ring.is_empty() {
            let (decoder, ring) = (&mut *self.decoder, &mut *self.ring);
            match validate_compressed(&mut source, header, rules, verifier, decoder, ring) {
                // The ring is too small for this image.
                Err(Refusal::Read(CompressionError::Window { .. })) => {}
                validated => return validated.map_err(|error| error.map_read(refusal)),
            }
        }
        let validated = validate(&mut source, header, rules, verifier)?;
        let mut piece = [0];
        let image = self.open(map, slots, header, secrets.incoming(0), &mut piece);
        let size = image.map_err(refusal)?.size();
        if rules.max_size != 0 && size > rules.max_size {
            return Err(Refusal::TooLarge { size, max: rules.max_size });
        }
        Ok(validated)
    }

    /// Decompresses the image in the secondary slot into the primary one.
    ///
    /// | step | |
    /// |---|---|
    /// | 1 | erase the sectors of the image and of the primary trailer upwards |
    /// | 2 | write the image piece by piece |
    /// | 3 | write the primary magic |
    fn install<M: FlashMap>(
        &mut self,
        map: &mut M,
        slots: &Slots,
        header: &Header,
        secrets: &Secrets,
    ) -> Result<(), BootError<M::Error>> {
        let primary = &slots.primary;
        let mut piece = [0; PIECE];
        let image = self.open(map, slots, header, secrets.incoming(0), &mut piece);
        let size = image.map_err(failure)?.size();
        Overwrite::make_room(map, slots, size).map_err(BootError::Flash)?;
        let image = self.open(map, slots, header, secrets.incoming(0), &mut piece);
        let mut image = image.map_err(failure)?;
        while let Some(piece) = image.next_piece().map_err(failure)? {
            let mut padded = [primary.erased; PIECE];
            let whole = align_up(piece.bytes.len() as u32, primary.write_size);
            let padded = whole.and_then(|len| padded.get_mut(..len as usize)).unwrap_or_default();
            padded.iter_mut().zip(piece.bytes).for_each(|(to, from)| *to = *from);
            piece.window.map.write(primary.area, piece.offset, padded).map_err(BootError::Flash)?;
        }
        primary.trailer.write_magic(map).map_err(BootError::Flash)
    }
}

/// The header of the update, if it is compressed.
fn compressed<M: FlashMap>(map: &mut M, slots: &Slots) -> Result<Option<Header>, M::Error> {
    let header = slots.secondary.head(map)?.header().ok();
    Ok(header.filter(|header| header.flags.intersects(Flags::COMPRESSED)))
}

impl Strategy for OverwriteCompressed<'_> {
    const UNPACKS: bool = true;

    fn mode(&self) -> UpgradeMode {
        Overwrite::Image.mode()
    }

    fn compatible<M: FlashMap>(&self, map: &M, slots: &Slots) -> bool {
        Overwrite::Image.compatible(map, slots)
    }

    fn max_image_size<M: FlashMap>(&self, map: &M, slots: &Slots) -> u32 {
        Overwrite::Image.max_image_size(map, slots)
    }

    fn headers<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        progress: Progress,
    ) -> Result<[Place; 2], BootError<M::Error>> {
        Overwrite::Image.headers(map, slots, progress)
    }

    fn progress<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<Progress, BootError<M::Error>> {
        Overwrite::Image.progress(map, slots)
    }

    fn validate_update<M: FlashMap, V: Verifier>(
        &self,
        map: &mut M,
        slots: &Slots,
        rules: &Rules,
        verifier: &mut V,
    ) -> Result<(Header, Validated), Refusal<M::Error>> {
        let Some(header) = compressed(map, slots).map_err(Refusal::Read)? else {
            return slots.secondary.validate(map, verifier, rules);
        };
        let Ok(mut memory) = self.memory.try_borrow_mut() else {
            return Err(Refusal::Compressed(CompressionError::NoRoom));
        };
        let validated = memory.validate(map, slots, &header, rules, verifier)?;
        Ok((header, validated))
    }

    fn install<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
        secrets: &Secrets,
    ) -> Result<Installed, BootError<M::Error>> {
        let Some(header) = compressed(map, slots).map_err(BootError::Flash)? else {
            return Overwrite::Image.install(map, slots, job, secrets);
        };
        let Ok(mut memory) = self.memory.try_borrow_mut() else {
            return Err(failure(CompressionError::NoRoom));
        };
        memory.install(map, slots, &header, secrets)?;
        Ok(Installed::Done)
    }

    fn finish<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
        job: &Job,
    ) -> Result<(), BootError<M::Error>> {
        Overwrite::Image.finish(map, slots, job)
    }
}
