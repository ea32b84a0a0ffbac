//! Group 1, images: state, upload, erase, slot information; and the update policy.
//!
//! ```text
//! request ─▶ ImageGroup ─ policy (what may be done when) ─▶ Slots (facts and primitives)
//! ```
//! Source: Zephyr documentation, "Application/software Image Management Group".

mod policy;
mod slots;
mod upload;

pub use policy::{ConfirmOthers, Kind, NextBoot, Policy};
pub use slots::{Incoming, Refused, SlotImage, Slots, Trial};

use policy::Change;
use updraft_image::Flags;
use upload::Session;

use super::{Answer, Failure, Group, Request, Reset};
use crate::{ImageError, Op, Rc, image};

/// The image group over the slots of a device. Holds the one upload session.
#[derive(Debug)]
pub struct ImageGroup<S> {
    slots: S,
    policy: Policy,
    session: Session,
}

impl<S: Slots> ImageGroup<S> {
    /// The group with the usual policy.
    pub fn new(slots: S) -> Self {
        Self::with_policy(slots, Policy::default())
    }

    /// The group with a policy of the owner's choice.
    pub fn with_policy(slots: S, policy: Policy) -> Self {
        Self { slots, policy, session: Session::Idle }
    }

    /// The slots.
    pub fn slots(&mut self) -> &mut S {
        &mut self.slots
    }

    /// Gives the slots back.
    pub fn into_slots(self) -> S {
        self.slots
    }

    /// Bytes received and expected, while an upload is going on.
    pub fn upload(&self) -> Option<(u32, u32)> {
        self.session.progress()
    }

    fn state_read(&mut self, answer: &mut Answer<'_>) -> Result<(), Failure> {
        let images = self.slots.images();
        answer.begin_list("images")?;
        for slot in 0..images.saturating_mul(2) {
            let Ok(Some(info)) = self.slots.image_info(slot) else { continue };
            let next = NextBoot::of(&mut self.slots, slot / 2, &self.policy).map_err(refusal)?;
            let listed = policy::listed(slot, self.slots.active_slot(slot / 2), next);
            answer.begin_item()?;
            if images > 1 {
                answer.u32("image", (slot / 2).into())?;
            }
            answer.u32("slot", (slot % 2).into())?;
            answer.version("version", &info.version)?;
            answer.bytes("hash", info.hash.as_bytes())?;
            answer.bool("bootable", !info.flags.contains(Flags::NON_BOOTABLE))?;
            answer.bool("pending", listed.pending)?;
            answer.bool("confirmed", listed.confirmed)?;
            answer.bool("active", listed.active)?;
            answer.bool("permanent", listed.permanent)?;
            answer.end()?;
        }
        answer.end()?;
        answer.u32("splitStatus", 0)
    }

    fn state_write(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<(), Failure> {
        if !policy::has_requests(&self.slots) {
            return Err(Rc::NOT_SUPPORTED.into());
        }
        let (mut hash, mut confirm) = (None, None);
        request.fields(|key, value| match key {
            "hash" => value.bytes_or_null(&mut hash),
            "confirm" => value.bool(&mut confirm),
            _ => Ok(()),
        })?;
        let confirm = confirm.unwrap_or(false);
        let slot = match hash.filter(|hash| !hash.is_empty()) {
            None if confirm => self
                .slots
                .active_slot(self.slots.running_image())
                .ok_or(ImageError::ActiveSlotNotKnown)?,
            None => return Err(ImageError::InvalidHash.into()),
            Some(hash) if hash.len() != self.slots.hash_len() => {
                return Err(ImageError::InvalidHash.into());
            }
            Some(hash) => self.slot_with(hash).ok_or(ImageError::HashNotFound)?,
        };
        let next = NextBoot::of(&mut self.slots, slot / 2, &self.policy).map_err(refusal)?;
        match policy::change(&self.slots, slot, confirm, next, &self.policy)? {
            Change::Nothing => {}
            Change::Confirm(slot) => self.slots.confirm(slot).map_err(refusal)?,
            Change::Request { slot, permanent } => {
                self.slots.request_boot(slot, permanent).map_err(refusal)?;
            }
        }
        self.state_read(answer)
    }

    /// The first slot that holds an image with this hash.
    fn slot_with(&mut self, hash: &[u8]) -> Option<u8> {
        (0..self.slots.images().saturating_mul(2)).find(|slot| {
            let info = self.slots.image_info(*slot).ok().flatten();
            info.is_some_and(|info| info.hash.as_bytes() == hash)
        })
    }

    fn erase(&mut self, request: &Request<'_>) -> Result<(), Failure> {
        let mut slot = None;
        request.fields(|key, value| match key {
            "slot" => value.u32(&mut slot),
            _ => Ok(()),
        })?;
        let default = policy::current_slot(&self.slots, self.slots.running_image()) ^ 1;
        let slot = slot.map_or(Some(default), |slot| u8::try_from(slot).ok());
        let slot = slot
            .filter(|slot| slot / 2 < self.slots.images() && self.slots.slot_size(*slot).is_some())
            .ok_or(ImageError::FlashOpenFailed)?;
        // A slot whose image cannot even be listed serves no revert. The running slot is another
        // matter: it is never erased, whatever its header reads like.
        let listed = matches!(self.slots.image_info(slot), Ok(Some(_)));
        let active = self.slots.active_slot(slot / 2) == Some(slot);
        if active
            || (listed && policy::in_use(&mut self.slots, slot, &self.policy).map_err(refusal)?)
        {
            return Err(ImageError::NoFreeSlot.into());
        }
        self.session = Session::Idle;
        self.slots.erase_slot(slot).map_err(refusal)
    }

    fn slot_info(&self, answer: &mut Answer<'_>) -> Result<(), Failure> {
        answer.begin_list("images")?;
        for image in 0..self.slots.images() {
            let primary = image.saturating_mul(2);
            let mut max_image_size = None::<u32>;
            answer.begin_item()?;
            answer.u32("image", image.into())?;
            answer.begin_list("slots")?;
            for slot in [primary, primary | 1] {
                let Some(size) = self.slots.slot_size(slot) else { continue };
                answer.begin_item()?;
                answer.u32("slot", (slot % 2).into())?;
                answer.u32("size", size)?;
                if self.slots.active_slot(image) != Some(slot) {
                    answer.u32("upload_image_id", image.into())?;
                    let limit = self.slots.max_image_size(slot).filter(|limit| *limit < size);
                    max_image_size = [max_image_size, limit].into_iter().flatten().min();
                }
                answer.end()?;
            }
            answer.end()?;
            if let Some(limit) = max_image_size {
                answer.u32("max_image_size", limit)?;
            }
            answer.end()?;
        }
        answer.end()
    }
}

impl<S: Slots> Group for ImageGroup<S> {
    const ID: u16 = crate::group::IMAGE;
    const NAME: Option<&'static str> = Some("img mgmt");

    fn commands(&self) -> u32 {
        u32::from(image::SLOT_INFO) + 1
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        match request.command() {
            (image::STATE, Op::Read) => self.state_read(answer)?,
            (image::STATE, Op::Write) => self.state_write(request, answer)?,
            (image::UPLOAD, Op::Write) => self.upload_chunk(request, answer)?,
            (image::ERASE, Op::Write) => self.erase(request)?,
            (image::SLOT_INFO, Op::Read) => self.slot_info(answer)?,
            _ => return Err(Rc::NOT_SUPPORTED.into()),
        }
        Ok(None)
    }
}

/// What the client is told of an error of the slots.
fn refusal(error: impl Into<Refused>) -> Failure {
    let Refused { error, reason } = error.into();
    Failure::from(error).because(reason)
}
