//! What the agent asks of the device.

use updraft_image::Digest;

use crate::{Gate, Reason, Version};

/// The running image, as the boot flags tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// It runs on trial: unless it is confirmed, the next boot goes back.
    Trial,
    /// It stays.
    Valid,
    /// Of an update of several images, only a part runs: a power cut came between two marks, or the
    /// bootloader has refused one. A reset goes back to what ran before.
    Torn,
}

/// What is made of the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The running image stays.
    Accepted,
    /// The running image is to be reverted: nothing has to be written where the bootloader does that
    /// by itself at the next reset.
    Rejected,
    /// What was downloaded is given up: the next boot must not try it.
    Aborted,
}

/// Whether an update may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may.
    Go,
    /// Later.
    NotNow,
    /// Not this one.
    Never,
}

/// What was done with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is in flash.
    Stored,
    /// Nothing was done: something else is there, such as what a power cut left of a write. These
    /// bytes, which the block is a part of, have to be erased first.
    InTheWay {
        /// Where they begin, in bytes of the image.
        start: u32,
        /// Where they end.
        end: u32,
    },
    /// Nothing was done: where it belongs is not known before what is at [`Platform::needs`].
    Ahead,
    /// Nothing was done: the file cannot be what it says it is.
    Refused(Reason),
}

/// What the beginning of a file tells. Nothing of it is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The version, if it says one.
    pub version: Option<Verified>,
    /// Images that the file has: bit 0 is the application's, of which [`Platform::running`] tells.
    pub images: u8,
}

impl Look {
    /// The image of the application, of an unknown version.
    pub const UNKNOWN: Self = Self { version: None, images: 1 };
}

/// What has been verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The image's version.
    pub version: Version,
    /// Whether the device's rules let it replace the running one whatever its version: only its
    /// security counter counts then.
    pub any_version: bool,
}

/// The device: flash, boot flags, settings, gates. Offsets are in bytes of the image that is
/// downloaded. Every call may take as long as a sector takes to erase, or a signature to check.
pub trait Platform {
    /// Why something failed.
    type Error: Copy + core::fmt::Debug;

    /// The version that runs.
    fn running(&mut self) -> Version;

    /// Bytes of the largest image.
    fn capacity(&mut self) -> u32;

    /// Gets the slot ready to be written: takes back a request to boot it. Nothing else is lost.
    fn open(&mut self) -> Result<(), Self::Error>;

    /// Erases what is not blank of one sector, that at `at`, and returns where the next one begins.
    fn erase_at(&mut self, at: u32) -> Result<u32, Self::Error>;

    /// Writes a block, or finds that it is there already. What it has stored can be read.
    fn write(&mut self, offset: u32, data: &[u8]) -> Result<Written, Self::Error>;

    /// Reads back what was written.
    fn read(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), Self::Error>;

    /// All blocks of an image of `size` bytes are written.
    fn close(&mut self, size: u32) -> Result<(), Self::Error>;

    /// Verifies the image as the bootloader will: hash, signature, board, counter. `Ok(None)` if it
    /// would be refused.
    fn verify(&mut self, size: u32) -> Result<Option<Verified>, Self::Error>;

    /// Looks at the beginning of a file of `size` bytes: what is no update is not fetched whole. From
    /// then on, the file is about the images that it has.
    ///
    /// # Errors
    /// If it cannot be installed.
    fn look(&mut self, first: &[u8], size: u32) -> Result<Look, Reason> {
        let _ = (first, size);
        Ok(Look::UNKNOWN)
    }

    /// The update is about these images, a bit each, though its file has not been looked at: after a
    /// reset, or because it is another one.
    fn concerns(&mut self, images: u8) {
        let _ = images;
    }

    /// Where in the file something is that has to be seen before what is behind it can be stored;
    /// `None` if there is nothing of that kind. 0 if the beginning has not been looked at: that is
    /// only demanded if it is not held.
    fn needs(&self) -> Option<u32> {
        None
    }

    /// Makes room for a file of `size` bytes: erases what is not blank of one sector, and returns
    /// where to go on, in steps of its own from 0 on. From `size` on there is no more to be done.
    fn clear(&mut self, at: u32, size: u32) -> Result<u32, Self::Error> {
        let _ = size;
        self.erase_at(at)
    }

    /// Takes up what a power cut has left of accepting an update of several images: asks for those
    /// that the bootloader has taken back once more, and for good. `false` if there is none.
    fn finish(&mut self) -> Result<bool, Self::Error> {
        Ok(false)
    }

    /// A whole image was given up: where the bootloader boots what it finds without having been
    /// asked, spoils its beginning. Returns the bytes of it that are gone.
    fn discard(&mut self) -> Result<u32, Self::Error> {
        Ok(0)
    }

    /// Whether `signature` is that of the signer `certificate` over the image's SHA-256. The name
    /// comes from the job, and must only choose among certificates that the device has.
    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        let _ = (digest, signature, certificate);
        false
    }

    /// Whether a job must bring a signature of its own, besides the image's.
    fn demands_job_signature(&self) -> bool {
        false
    }

    /// Marks the slot, so that the next boot tries it.
    fn activate(&mut self) -> Result<(), Self::Error>;

    /// What the running image is.
    fn image_state(&mut self) -> Result<ImageState, Self::Error>;

    /// What is made of it.
    fn set_image_state(&mut self, verdict: Verdict) -> Result<(), Self::Error>;

    /// Resets the device. On a chip this does not return.
    fn reset(&mut self);

    /// Whether the update may go on.
    fn gate(&mut self, gate: Gate) -> Answer {
        let _ = gate;
        Answer::Go
    }

    /// Puts what was kept last into `record`, as far as it goes, and says how long it is.
    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, Self::Error>;

    /// Keeps `record` where a reset does not reach it, in place of the last one. One that a power
    /// cut tears is noticed.
    fn save(&mut self, record: &[u8]) -> Result<(), Self::Error>;
}

impl<P: Platform> Platform for &mut P {
    type Error = P::Error;

    fn running(&mut self) -> Version {
        (**self).running()
    }

    fn capacity(&mut self) -> u32 {
        (**self).capacity()
    }

    fn open(&mut self) -> Result<(), Self::Error> {
        (**self).open()
    }

    fn erase_at(&mut self, at: u32) -> Result<u32, Self::Error> {
        (**self).erase_at(at)
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Result<Written, Self::Error> {
        (**self).write(offset, data)
    }

    fn read(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), Self::Error> {
        (**self).read(offset, buffer)
    }

    fn close(&mut self, size: u32) -> Result<(), Self::Error> {
        (**self).close(size)
    }

    fn verify(&mut self, size: u32) -> Result<Option<Verified>, Self::Error> {
        (**self).verify(size)
    }

    fn look(&mut self, first: &[u8], size: u32) -> Result<Look, Reason> {
        (**self).look(first, size)
    }

    fn concerns(&mut self, images: u8) {
        (**self).concerns(images);
    }

    fn needs(&self) -> Option<u32> {
        (**self).needs()
    }

    fn clear(&mut self, at: u32, size: u32) -> Result<u32, Self::Error> {
        (**self).clear(at, size)
    }

    fn finish(&mut self) -> Result<bool, Self::Error> {
        (**self).finish()
    }

    fn discard(&mut self) -> Result<u32, Self::Error> {
        (**self).discard()
    }

    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        (**self).is_signed(digest, signature, certificate)
    }

    fn demands_job_signature(&self) -> bool {
        (**self).demands_job_signature()
    }

    fn activate(&mut self) -> Result<(), Self::Error> {
        (**self).activate()
    }

    fn image_state(&mut self) -> Result<ImageState, Self::Error> {
        (**self).image_state()
    }

    fn set_image_state(&mut self, verdict: Verdict) -> Result<(), Self::Error> {
        (**self).set_image_state(verdict)
    }

    fn reset(&mut self) {
        (**self).reset();
    }

    fn gate(&mut self, gate: Gate) -> Answer {
        (**self).gate(gate)
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        (**self).load(record)
    }

    fn save(&mut self, record: &[u8]) -> Result<(), Self::Error> {
        (**self).save(record)
    }
}
