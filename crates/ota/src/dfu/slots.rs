//! A device with several images, updated together by an archive or the application's by itself.

use updraft_dfu::{Dfu, DfuError, Upgrade};
use updraft_flash::FlashMap;
use updraft_image::{Digest, Verifier};

use super::image::Image;
use super::{Fault, System};
use crate::archive::{self, HEAD, IMAGES, Piece, Place, RECORD, Reader};
use crate::platform::{Answer, ImageState, Look, Platform, Verdict, Verified, Written};
use crate::{Gate, Reason, Version};

/// What is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum File {
    /// Nobody has looked at it.
    Unknown,
    /// The application's image.
    Image,
    /// An archive.
    Archive,
}

/// The images of a device: the application's first, the secure part's second, and what the
/// bootloader numbers above those is not touched.
///
/// Images of an archive become pending together, and stay together. The secure part is marked before
/// the application, and confirmed before it: whatever a power cut leaves in between, the application
/// that runs is the old one, and its agent undoes or finishes it ([`ImageState::Torn`],
/// [`Platform::finish`]). Where the bootloader copies and does not swap there is no way back, and
/// the next attempt finishes it.
///
/// The application's image has to be newer than the one that runs; another one must not be older.
#[derive(Debug)]
pub struct Slots<'d, M, V, S> {
    images: &'d [Dfu],
    map: M,
    verifier: V,
    system: S,
    file: File,
    reader: Reader,
    /// Images that the update is about, a bit each.
    about: u8,
}

impl<'d, M, V, S> Slots<'d, M, V, S>
where
    M: FlashMap,
    M::Error: Copy + core::fmt::Debug,
    V: Verifier,
    S: System,
{
    /// `images` by their numbers. `verifier` has the keys that the bootloader has.
    pub fn new(images: &'d [Dfu], map: M, verifier: V, system: S) -> Self {
        let images = images.get(..IMAGES).unwrap_or(images);
        Self {
            images,
            map,
            verifier,
            system,
            file: File::Unknown,
            reader: Reader::new(0),
            about: 1,
        }
    }

    /// The flash.
    pub fn map(&mut self) -> &mut M {
        &mut self.map
    }

    /// What is neither flash nor boot flags.
    pub fn system(&mut self) -> &mut S {
        &mut self.system
    }

    /// Does something with every image that the update is about, the application's last.
    fn each<T>(
        &mut self,
        mut what: impl FnMut(u8, Image<'_, M>, &mut V) -> Result<T, DfuError<M::Error>>,
    ) -> Result<Option<T>, Fault<M::Error, S::Error>> {
        let mut last = None;
        for (number, dfu) in self.images.iter().enumerate().rev() {
            if self.about >> number & 1 == 1 {
                let image = Image { dfu, map: &mut self.map };
                let done = what(number as u8, image, &mut self.verifier);
                last = Some(done.map_err(Fault::Dfu)?);
            }
        }
        Ok(last)
    }

    fn image(&mut self, number: u8) -> Result<Image<'_, M>, Fault<M::Error, S::Error>> {
        let none = Fault::Dfu(DfuError::NoSlot { area: updraft_flash::AreaId(0) });
        let dfu = self.images.get(usize::from(number)).ok_or(none)?;
        Ok(Image { dfu, map: &mut self.map })
    }

    fn capacity_of(&self, number: u8) -> u32 {
        let dfu = self.images.get(usize::from(number));
        dfu.map_or(0, |dfu| dfu.max_image_size(&self.map))
    }

    fn archive(&self) -> Option<&Reader> {
        (self.file == File::Archive).then_some(&self.reader)
    }

    /// Bytes of an image in the file.
    fn size_of(&self, number: u8, file: u32) -> u32 {
        self.archive().map_or(file, |archive| archive.image(number).unwrap_or(0))
    }

    fn look_at_archive(&mut self, first: &[u8], size: u32) -> Result<Look, Reason> {
        (self.file, self.reader) = (File::Archive, Reader::new(size));
        let (mut at, mut rest) = (0, first);
        while !rest.is_empty() {
            let (piece, more) = self.reader.next(at, rest)?;
            if piece == Piece::Ahead {
                break;
            }
            at += (rest.len() - more.len()) as u32;
            rest = more;
        }
        // Blocks that do not hold the list are too small for archives.
        let version = self.reader.version().ok_or(Reason::Archive(archive::Malformed::Cut))?;
        for number in 0..IMAGES as u8 {
            let (size, max) = (self.size_of(number, size), self.capacity_of(number));
            if size > max {
                return Err(Reason::TooLarge { size, max });
            }
        }
        let version = Some(Verified { version, any_version: false });
        Ok(Look { version, images: self.reader.images() })
    }
}

impl<M, V, S> Platform for Slots<'_, M, V, S>
where
    M: FlashMap,
    M::Error: Copy + core::fmt::Debug,
    V: Verifier,
    S: System,
{
    type Error = Fault<M::Error, S::Error>;

    fn running(&mut self) -> Version {
        self.image(0).map(|mut image| image.running()).unwrap_or_default()
    }

    /// For all images, and what an archive has besides.
    fn capacity(&mut self) -> u32 {
        // Records, what fills images up, and as many zeros at the end as `tar` writes.
        let frame = HEAD + IMAGES * 2 * RECORD + 20 * RECORD;
        let all = (0..IMAGES as u8).map(|number| self.capacity_of(number));
        all.fold(frame as u32, u32::saturating_add)
    }

    fn look(&mut self, first: &[u8], size: u32) -> Result<Look, Reason> {
        let look = match archive::is_one(first) {
            true => self.look_at_archive(first, size)?,
            false => {
                let max = self.capacity_of(0);
                if size > max {
                    return Err(Reason::TooLarge { size, max });
                }
                self.file = File::Image;
                super::slot::look(first)
            }
        };
        self.about = look.images;
        Ok(look)
    }

    fn concerns(&mut self, images: u8) {
        self.about = images;
        self.file = File::Unknown;
    }

    fn needs(&self) -> Option<u32> {
        match self.file {
            File::Unknown => Some(0),
            File::Image => None,
            File::Archive => self.reader.needs(),
        }
    }

    fn open(&mut self) -> Result<(), Self::Error> {
        self.each(|_, mut image, _| image.open()).map(|_| ())
    }

    /// Steps are bytes of the images, one behind the other.
    fn clear(&mut self, at: u32, size: u32) -> Result<u32, Self::Error> {
        if self.about != 1 && self.file == File::Unknown {
            return Ok(size);
        }
        let mut before = 0u32;
        for number in 0..IMAGES as u8 {
            let len = match self.file {
                File::Archive => self.size_of(number, size),
                _ if number == 0 => size.min(self.capacity_of(0)),
                _ => 0,
            };
            if let Some(offset) = at.checked_sub(before).filter(|offset| *offset < len) {
                let next = self.image(number)?.erase_at(offset).map_err(Fault::Dfu)?;
                return Ok(before.saturating_add(next.min(len)));
            }
            before = before.saturating_add(len);
        }
        Ok(size)
    }

    fn erase_at(&mut self, at: u32) -> Result<u32, Self::Error> {
        let (number, offset) = match self.archive().map(|archive| archive.place(at)) {
            None => (0, at),
            Some(Place::Image { image, offset, .. }) => (image, offset),
            Some(_) => return Ok(at.saturating_add(RECORD as u32)),
        };
        let next = self.image(number)?.erase_at(offset).map_err(Fault::Dfu)?;
        Ok(at.saturating_add(next.saturating_sub(offset)))
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Result<Written, Self::Error> {
        if self.file != File::Archive {
            return self.image(0)?.write(offset, data).map_err(Fault::Dfu);
        }
        let Self { reader, images, map, .. } = self;
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let (piece, more) = match reader.next(at, rest) {
                Ok(next) => next,
                Err(malformed) => return Ok(Written::Refused(Reason::Archive(malformed))),
            };
            match piece {
                Piece::Frame => {}
                Piece::Ahead => return Ok(Written::Ahead),
                Piece::Image { image, offset, data } => {
                    let Some(dfu) = images.get(usize::from(image)) else { break };
                    let size = reader.image(image).unwrap_or(0);
                    let mut image = Image { dfu, map: &mut *map };
                    let written = image.write(offset, data).map_err(Fault::Dfu)?;
                    if let Written::InTheWay { start, end } = written {
                        // Of the image in the file: the last sector goes on behind it.
                        let begin = at.saturating_sub(offset);
                        let end = end.min(size);
                        return Ok(Written::InTheWay {
                            start: begin.saturating_add(start),
                            end: begin.saturating_add(end),
                        });
                    }
                }
            }
            at = at.saturating_add((rest.len() - more.len()) as u32);
            rest = more;
        }
        Ok(Written::Stored)
    }

    fn read(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), Self::Error> {
        if self.file != File::Archive {
            return self.image(0)?.read(offset, buffer).map_err(Fault::Dfu);
        }
        let Self { reader, images, map, .. } = self;
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let place = reader.place(at);
            let len = match place {
                Place::Kept(kept) => kept.len(),
                Place::Image { len, .. } | Place::Zeros(len) => len as usize,
                Place::Ahead => 0,
            };
            let Some((room, more)) = rest.split_at_mut_checked(len.min(rest.len())) else { break };
            match place {
                Place::Kept(kept) => {
                    room.copy_from_slice(kept.get(..room.len()).unwrap_or_default());
                }
                Place::Image { image, offset, .. } => {
                    let Some(dfu) = images.get(usize::from(image)) else { break };
                    let mut image = Image { dfu, map: &mut *map };
                    image.read(offset, room).map_err(Fault::Dfu)?;
                }
                Place::Zeros(_) => room.fill(0),
                // Nobody asks for what was not written.
                Place::Ahead => break,
            }
            at = at.saturating_add(room.len() as u32);
            rest = more;
        }
        Ok(())
    }

    fn close(&mut self, _: u32) -> Result<(), Self::Error> {
        Ok(())
    }

    /// All of them, before any is marked.
    fn verify(&mut self, size: u32) -> Result<Option<Verified>, Self::Error> {
        if self.archive().is_some_and(|archive| archive.needs().is_some()) {
            return Ok(None);
        }
        let sizes: [u32; IMAGES] = core::array::from_fn(|number| self.size_of(number as u8, size));
        let mut all = true;
        let version = self.each(|number, mut image, verifier| {
            let size = sizes.get(usize::from(number)).copied().unwrap_or(0);
            let version = image.verify(size, verifier)?;
            all &= version.is_some_and(|version| number == 0 || version >= image.running());
            Ok(version)
        })?;
        let version = version.flatten().filter(|_| all);
        Ok(version.map(|version| Verified { version, any_version: false }))
    }

    fn discard(&mut self) -> Result<u32, Self::Error> {
        let Some(end) = self.archive().map(Reader::end) else {
            return self.image(0)?.discard().map_err(Fault::Dfu);
        };
        // The blocks of an archive are let go of all together.
        let mut spoilt = false;
        self.each(|_, mut image, _| {
            spoilt |= image.discard()? > 0;
            Ok(())
        })?;
        Ok(if spoilt { end } else { 0 })
    }

    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        self.system.is_signed(digest, signature, certificate)
    }

    fn demands_job_signature(&self) -> bool {
        self.system.demands_job_signature()
    }

    /// The application's last: until it is marked too, the next boot leaves it as it is.
    fn activate(&mut self) -> Result<(), Self::Error> {
        self.each(|_, image, verifier| match image.dfu.takes_requests() {
            true => image.dfu.request_upgrade(image.map, verifier, Upgrade::Test).map(|_| ()),
            false => Ok(()),
        })
        .map(|_| ())
    }

    fn image_state(&mut self) -> Result<ImageState, Self::Error> {
        let mut trials = 0;
        self.each(|number, mut image, _| {
            trials |= u8::from(!image.is_confirmed()?) << number;
            Ok(())
        })?;
        Ok(match trials {
            0 => ImageState::Valid,
            trials if trials == self.about => ImageState::Trial,
            _ => ImageState::Torn,
        })
    }

    fn set_image_state(&mut self, verdict: Verdict) -> Result<(), Self::Error> {
        match verdict {
            // All that are on trial, whatever the record says: if it is lost, none must be reverted
            // without the others. The application's last, so that it is never there alone.
            Verdict::Accepted => {
                for dfu in self.images.iter().rev() {
                    dfu.confirm(&mut self.map).map_err(Fault::Dfu)?;
                }
                Ok(())
            }
            // The bootloader reverts what is not confirmed.
            Verdict::Rejected => Ok(()),
            // The application's first, for the same reason.
            Verdict::Aborted => {
                for (number, dfu) in self.images.iter().enumerate() {
                    if self.about >> number & 1 == 1 {
                        let mut image = Image { dfu, map: &mut self.map };
                        image.take_back().map_err(Fault::Dfu)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn finish(&mut self) -> Result<bool, Self::Error> {
        let mut asked = false;
        self.each(|_, mut image, verifier| {
            let running = image.running();
            let found = image.verify(u32::MAX, verifier)?;
            if image.dfu.takes_requests() && found.is_some_and(|version| version > running) {
                image.dfu.request_upgrade(image.map, verifier, Upgrade::Permanent)?;
                asked = true;
            }
            Ok(())
        })?;
        Ok(asked)
    }

    fn reset(&mut self) {
        self.system.reset();
    }

    fn gate(&mut self, gate: Gate) -> Answer {
        // What the next boot may go back to is not written over.
        let kept = |(number, dfu): (usize, &Dfu), map: &mut M| {
            self.about >> number & 1 == 1
                && matches!(dfu.is_free(map), Err(DfuError::KeptForRevert))
        };
        let mut images = self.images.iter().enumerate();
        if gate == Gate::Space && images.any(|image| kept(image, &mut self.map)) {
            return Answer::NotNow;
        }
        self.system.gate(gate)
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        self.system.load(record).map_err(Fault::System)
    }

    fn save(&mut self, record: &[u8]) -> Result<(), Self::Error> {
        self.system.save(record).map_err(Fault::System)
    }
}
