//! The agent's platform over `updraft-dfu`: the slots that take updates, and the boot flags.

mod image;
mod slot;
mod slots;

use updraft_dfu::DfuError;
use updraft_image::Digest;

pub use slot::Slot;
pub use slots::Slots;

use crate::Gate;
use crate::platform::Answer;

/// What is neither flash nor boot flags.
pub trait System {
    /// Why a record could not be kept.
    type Error: Copy + core::fmt::Debug;

    /// Resets the device. On a chip this does not return.
    fn reset(&mut self);

    /// Puts the record that was kept last into `record`, as far as it goes; says how long it is.
    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, Self::Error>;

    /// Keeps `record` where a reset does not reach it, in place of the last one.
    fn save(&mut self, record: &[u8]) -> Result<(), Self::Error>;

    /// Whether an update may go on.
    fn gate(&mut self, gate: Gate) -> Answer {
        let _ = gate;
        Answer::Go
    }

    /// Whether `signature` is that of `certificate` over the image's SHA-256, see
    /// [`Platform::is_signed`](crate::Platform::is_signed).
    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        let _ = (digest, signature, certificate);
        false
    }

    /// Whether a job must bring a signature of its own.
    fn demands_job_signature(&self) -> bool {
        false
    }
}

impl<S: System> System for &mut S {
    type Error = S::Error;

    fn reset(&mut self) {
        (**self).reset();
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        (**self).load(record)
    }

    fn save(&mut self, record: &[u8]) -> Result<(), Self::Error> {
        (**self).save(record)
    }

    fn gate(&mut self, gate: Gate) -> Answer {
        (**self).gate(gate)
    }

    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        (**self).is_signed(digest, signature, certificate)
    }

    fn demands_job_signature(&self) -> bool {
        (**self).demands_job_signature()
    }
}

/// Why something failed: by the slot, or by the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault<E, S> {
    /// The slot.
    Dfu(DfuError<E>),
    /// The system.
    System(S),
}
