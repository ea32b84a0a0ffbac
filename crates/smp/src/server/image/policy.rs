//! Which slot boots next, which slots may be touched, and what a test or confirm request leads to.
//! Pure decisions over the facts of [`Slots`].
//!
//! Source: the behaviour of Zephyr's image management group, measured, and its DFU documentation.

use updraft_image::{SwapType, UpgradeMode, Version};

use super::{Slots, Trial};
use crate::ImageError;

/// What may be confirmed for images that the running code does not belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConfirmOthers {
    /// Nothing.
    No,
    /// The update in the secondary slot.
    #[default]
    Secondary,
    /// Also the image that runs from the primary slot.
    Any,
}

/// What the owner of a device may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether a pending update may be erased or overwritten.
    pub erase_pending: bool,
    /// What may be confirmed for images other than the running one.
    pub confirm_others: ConfirmOthers,
    /// Whether versions that differ only in the build number are different.
    pub compare_build: bool,
}

impl Default for Policy {
    fn default() -> Self {
        let confirm_others = ConfirmOthers::default();
        Self { erase_pending: true, confirm_others, compare_build: false }
    }
}

impl Policy {
    /// Whether `new` is newer than `old`.
    pub(super) fn is_newer(&self, new: &Version, old: &Version) -> bool {
        match self.compare_build {
            true => new > old,
            false => new.cmp_ignoring_build(old).is_gt(),
        }
    }
}

/// In what sense a slot boots next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For good.
    Normal,
    /// On trial.
    Test,
    /// Because the running image was not confirmed.
    Revert,
}

/// What the next boot of an image will run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextBoot {
    /// The slot; `None` if the trailers make no sense.
    pub slot: Option<u8>,
    /// In what sense.
    pub kind: Kind,
}

/// The flags that a slot is listed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub pending: bool,
    pub confirmed: bool,
    pub active: bool,
    pub permanent: bool,
}

/// What a state write leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is so already.
    Nothing,
    /// Confirm the image running from the slot.
    Confirm(u8),
    /// Ask for the image in the slot to be booted.
    Request { slot: u8, permanent: bool },
}

/// The slot that counts as the current one of `image`: the running one, else the primary.
pub(super) fn current_slot<S: Slots>(slots: &S, image: u8) -> u8 {
    slots.active_slot(image).unwrap_or(image.saturating_mul(2))
}

impl NextBoot {
    /// Reads what the bootloader will do with `image`.
    pub fn of<S: Slots>(slots: &mut S, image: u8, policy: &Policy) -> Result<Self, S::Error> {
        let current = current_slot(slots, image);
        let other = current ^ 1;
        let normal = |slot| Self { slot: Some(slot), kind: Kind::Normal };
        if slots.slot_size(other).is_none() {
            return Ok(normal(current));
        }
        if slots.has_trials() {
            let (running, waiting) = (slots.trial(current)?, slots.trial(other)?);
            return Ok(match (running, waiting) {
                (Trial::Revert, _) => Self { slot: Some(other), kind: Kind::Revert },
                (_, Trial::Forever) if other_is_newer(slots, current, policy)? => normal(other),
                (_, Trial::Once) if other_is_newer(slots, current, policy)? => {
                    Self { slot: Some(other), kind: Kind::Test }
                }
                (Trial::Once, _) => Self { slot: Some(current), kind: Kind::Test },
                _ => normal(current),
            });
        }
        Ok(match slots.mode() {
            UpgradeMode::DirectXip | UpgradeMode::RamLoad => {
                match other_is_newer(slots, current, policy)? {
                    true => normal(other),
                    false => normal(current),
                }
            }
            UpgradeMode::SingleSlot
            | UpgradeMode::SingleSlotRamLoad
            | UpgradeMode::FirmwareLoader => normal(current),
            _ => match slots.swap_type(image)? {
                SwapType::None => normal(current),
                SwapType::Permanent => normal(other),
                SwapType::Test => Self { slot: Some(other), kind: Kind::Test },
                SwapType::Revert => Self { slot: Some(other), kind: Kind::Revert },
                SwapType::Fail => Self { slot: None, kind: Kind::Normal },
            },
        })
    }

    /// Whether `slot` boots next.
    fn is(&self, slot: u8) -> bool {
        self.slot == Some(slot)
    }
}

fn other_is_newer<S: Slots>(slots: &mut S, current: u8, policy: &Policy) -> Result<bool, S::Error> {
    let running = slots.image_info(current)?;
    let other = slots.image_info(current ^ 1)?;
    Ok(match (other, running) {
        (Some(other), Some(running)) => policy.is_newer(&other.version, &running.version),
        (Some(_), None) => true,
        (None, _) => false,
    })
}

/// The flags of `slot`, given what boots next and where its image runs.
pub(super) fn listed(slot: u8, active: Option<u8>, next: NextBoot) -> Listed {
    if active == Some(slot) {
        // Only what boots again by itself is confirmed: not an image that the next boot reverts,
        // nor one that is itself on trial.
        let on_trial = next.is(slot) && next.kind == Kind::Test;
        let confirmed = next.slot.is_some() && next.kind != Kind::Revert && !on_trial;
        return Listed { active: true, confirmed, ..Listed::default() };
    }
    match (next.is(slot), next.kind) {
        (false, _) => Listed::default(),
        (true, Kind::Normal) if active.is_none() => Listed::default(),
        (true, Kind::Normal) => Listed { pending: true, permanent: true, ..Listed::default() },
        (true, Kind::Test) => Listed { pending: true, ..Listed::default() },
        (true, Kind::Revert) => Listed { confirmed: true, ..Listed::default() },
    }
}

/// Whether `slot` must not be erased or overwritten. The running slot never may; nor the one that
/// the next boot goes back to.
pub(super) fn in_use<S: Slots>(slots: &mut S, slot: u8, policy: &Policy) -> Result<bool, S::Error> {
    let image = slot / 2;
    let active = slots.active_slot(image);
    if active == Some(slot) {
        return Ok(true);
    }
    if !has_requests(slots) {
        return Ok(false);
    }
    let next = NextBoot::of(slots, image, policy)?;
    let pending = match next.kind {
        Kind::Revert => return Ok(next.is(slot)),
        Kind::Test => next.is(slot),
        Kind::Normal => active.is_some() && next.is(slot),
    };
    Ok(pending && !policy.erase_pending)
}

/// Whether images are marked for boot. Without marks the state cannot be written.
pub(super) fn has_requests<S: Slots>(slots: &S) -> bool {
    use UpgradeMode::{DirectXip, RamLoad, SingleSlotRamLoad};
    slots.has_trials() || !matches!(slots.mode(), DirectXip | RamLoad | SingleSlotRamLoad)
}

/// What testing (`confirm` false) or confirming `slot` leads to.
pub(super) fn change<S: Slots>(
    slots: &S,
    slot: u8,
    confirm: bool,
    next: NextBoot,
    policy: &Policy,
) -> Result<Change, ImageError> {
    let image = slot / 2;
    let active = slots.active_slot(image);
    let runs = active == Some(slot);
    if confirm && image != slots.running_image() {
        let allowed = match policy.confirm_others {
            ConfirmOthers::No => false,
            ConfirmOthers::Secondary => !runs,
            ConfirmOthers::Any => true,
        };
        if !allowed {
            return Err(ImageError::ImageConfirmationDenied);
        }
    }
    if !confirm && runs {
        return Err(ImageError::ImageSettingTestToActiveDenied);
    }
    let other_is_next = next.slot.is_some() && next.slot != active && active.is_some();
    match (next.kind, confirm) {
        (Kind::Test, false) if next.is(slot) => return Ok(Change::Nothing),
        (Kind::Test, _) if other_is_next => return Err(ImageError::ImageAlreadyPending),
        (Kind::Normal, true) if next.is(slot) => {
            return Ok(Change::Nothing);
        }
        (Kind::Normal, _) if other_is_next && (runs || !confirm) => {
            return Err(ImageError::ImageAlreadyPending);
        }
        (Kind::Revert, true) if next.is(slot) => return Ok(Change::Nothing),
        (Kind::Revert, false) => return Err(ImageError::ImageAlreadyPending),
        _ => {}
    }
    Ok(match runs {
        true => Change::Confirm(slot),
        false => Change::Request { slot, permanent: confirm },
    })
}
