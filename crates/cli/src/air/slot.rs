//! The slot of a virtual device that is played on another thread, as its update agent sees it.

use std::time::Duration;

use updraft_board::Board;
use updraft_flash::Error;
use updraft_image::Digest;
use updraft_ota::dfu::{self, Fault, System};
use updraft_ota::{
    Answer, Gate, ImageState, Look, Operation, Platform, Reason, Verdict, Verified, Version,
    Written,
};
use updraft_sim::device::{Keys, Wait, dfu as dfu_of_board};
use updraft_sim::flash::{SimError, SimFlash};

use super::{Notes, TargetError};
use crate::device::Remote;

/// Why the slot cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotError {
    /// The application that the agent is a part of runs no more.
    Gone,
    /// The flash, or what is in it.
    Slot(Fault<Error<SimError>, TargetError>),
    /// The agent's notes.
    Notes(TargetError),
}

/// A slot, for as long as one boot lasts: what an agent of an earlier one wants is not done.
#[derive(Debug)]
pub struct RemoteSlot<'n> {
    remote: Remote,
    boot: u64,
    running: Version,
    capacity: u32,
    notes: &'n mut Notes,
    /// A gate that is closed, and until when by the device's clock.
    closed: Option<(Gate, Duration)>,
}

type Bare<'f> = dfu::Slot<&'f mut SimFlash, Keys, Nothing>;

impl<'n> RemoteSlot<'n> {
    /// The slot of the device that `remote` reaches, in boot number `boot`; `None` if that is over,
    /// or if the board takes no updates.
    ///
    /// Updates wait as `wait` says.
    pub fn of(
        remote: &Remote,
        boot: u64,
        notes: &'n mut Notes,
        wait: Option<&Wait>,
    ) -> Option<Self> {
        notes.reset = false;
        let gate = wait.and_then(|wait| Gate::ALL.into_iter().find(|it| it.name() == wait.gate));
        let now = remote.with(|_, now| now).ok()?;
        let closed = gate.zip(wait.map(|wait| now.saturating_add(wait.time)));
        let (remote, running) = (remote.clone(), Version::default());
        let mut slot = Self { remote, boot, running, capacity: 0, notes, closed };
        let about = slot.on(|slot| Ok((slot.running(), slot.capacity())));
        (slot.running, slot.capacity) = about.ok()?;
        Some(slot)
    }

    /// Does something with the slot, on the device's own thread.
    fn on<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Bare<'_>) -> Result<T, Fault<Error<SimError>, TargetError>>
        + Send
        + 'static,
    ) -> Result<T, SlotError> {
        let boot = self.boot;
        let done = self.remote.with(move |device, _| {
            if device.boots() != boot {
                return None;
            }
            let board: Board = device.board().clone();
            device.updating(|flash, keys| {
                let dfu = dfu_of_board(&board, flash).map_err(Fault::Dfu)?;
                act(&mut dfu::Slot::new(dfu, flash, keys, Nothing))
            })
        });
        done.ok().flatten().ok_or(SlotError::Gone)?.map_err(SlotError::Slot)
    }
}

/// What is neither flash nor boot flags is done outside.
#[derive(Debug)]
struct Nothing;

impl System for Nothing {
    type Error = TargetError;

    fn reset(&mut self) {}

    fn load(&mut self, _: &mut [u8]) -> Result<Option<usize>, TargetError> {
        Ok(None)
    }

    fn save(&mut self, _: &[u8]) -> Result<(), TargetError> {
        Ok(())
    }
}

impl Platform for RemoteSlot<'_> {
    type Error = SlotError;

    fn running(&mut self) -> Version {
        self.running
    }

    fn capacity(&mut self) -> u32 {
        self.capacity
    }

    fn open(&mut self) -> Result<(), SlotError> {
        self.on(|slot| slot.open())
    }

    fn erase_at(&mut self, at: u32) -> Result<u32, SlotError> {
        self.on(move |slot| slot.erase_at(at))
    }

    fn write(&mut self, offset: u32, data: &[u8]) -> Result<Written, SlotError> {
        let data = data.to_vec();
        self.on(move |slot| slot.write(offset, &data))
    }

    fn read(&mut self, offset: u32, buffer: &mut [u8]) -> Result<(), SlotError> {
        let mut read = vec![0; buffer.len()];
        let read = self.on(move |slot| slot.read(offset, &mut read).map(|()| read))?;
        buffer.copy_from_slice(&read);
        Ok(())
    }

    fn close(&mut self, size: u32) -> Result<(), SlotError> {
        self.on(move |slot| slot.close(size))
    }

    fn verify(&mut self, size: u32) -> Result<Option<Verified>, SlotError> {
        self.on(move |slot| slot.verify(size))
    }

    fn look(&mut self, first: &[u8], size: u32) -> Result<Look, Reason> {
        let first = first.to_vec();
        let look = self.on(move |slot| Ok(slot.look(&first, size)));
        look.map_err(|_| Reason::Storage(Operation::Read))?
    }

    fn discard(&mut self) -> Result<u32, SlotError> {
        self.on(|slot| slot.discard())
    }

    fn is_signed(&mut self, digest: &Digest, signature: &[u8], certificate: &str) -> bool {
        self.notes.is_signed(digest, signature, certificate)
    }

    fn demands_job_signature(&self) -> bool {
        self.notes.demands_job_signature()
    }

    fn activate(&mut self) -> Result<(), SlotError> {
        self.on(|slot| slot.activate())
    }

    fn image_state(&mut self) -> Result<ImageState, SlotError> {
        self.on(|slot| slot.image_state())
    }

    fn set_image_state(&mut self, verdict: Verdict) -> Result<(), SlotError> {
        self.on(move |slot| slot.set_image_state(verdict))
    }

    fn reset(&mut self) {
        let boot = self.boot;
        // A device that has stopped is not reset any more.
        let _ = self.remote.with(move |device, now| {
            if device.boots() == boot {
                device.say("resets");
                device.restart_by_application("by its update agent", now);
            }
        });
    }

    fn gate(&mut self, gate: Gate) -> Answer {
        if let Some((_, until)) = self.closed.filter(|(closed, _)| *closed == gate)
            && self.remote.with(|_, now| now).is_ok_and(|now| now < until)
        {
            return Answer::NotNow;
        }
        self.on(move |slot| Ok(slot.gate(gate))).unwrap_or(Answer::NotNow)
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, SlotError> {
        self.notes.load(record).map_err(SlotError::Notes)
    }

    fn save(&mut self, record: &[u8]) -> Result<(), SlotError> {
        // A device without power keeps nothing.
        self.on(|_| Ok(()))?;
        self.notes.save(record).map_err(SlotError::Notes)
    }
}
