//! One slot, no upgrade: somebody else writes the image, the bootloader checks and starts it.

use core::hint::black_box;

use updraft_flash::{AreaId, FlashMap, TrailerFormat};
use updraft_image::{Flag, Magic, MaxSize, Refusal, SwapType, TornFlags, UpgradeMode, Verifier};

use crate::outcome::Step;
use crate::slots::Slot;
use crate::{Boot, BootError, Config, Event, Hooks, Platform, SecurityCounters, Status};

/// When the image in a slot is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Validate {
    /// At every boot.
    #[default]
    Always,
    /// Until it was found good once, which the slot's trailer records. Whoever can write the flash
    /// can write that record.
    Once,
    /// Never; only the header is looked at.
    Never,
}

/// A bootloader for one slot per image.
#[derive(Clone, Copy, Debug)]
pub struct SingleSlot {
    config: Config,
    validate: Validate,
}

impl SingleSlot {
    /// A bootloader that verifies as often as `validate` says
    /// ([`Config::validate_primary`] is not looked at).
    pub const fn new(config: Config, validate: Validate) -> Self {
        Self { config, validate }
    }

    /// The largest image with its TLVs that the slot takes, in bytes.
    pub fn max_image_size<M: FlashMap>(&self, map: &M, area: AreaId) -> Step<u32, M> {
        let slot = self.slot(map, area)?;
        Ok(MaxSize::below_trailer(UpgradeMode::SingleSlot, slot.trailer.layout()))
    }

    fn slot<M: FlashMap>(&self, map: &M, area: AreaId) -> Step<Slot, M> {
        let Config { max_align, max_sectors, keys, .. } = self.config;
        let format = TrailerFormat { mode: UpgradeMode::SingleSlot, max_align, max_sectors, keys };
        Slot::alone(map, &format, area)
    }

    /// Checks the images in the primary slots and returns the first one.
    pub fn boot<M, V, C, H>(
        &self,
        platform: &mut Platform<M, V, C, H>,
    ) -> Result<Boot, BootError<M::Error>>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        platform.hooks.status(Status::Startup);
        let outcome = self.course_of_all(platform);
        platform.hooks.status(Status::of(&outcome));
        outcome
    }

    /// The same for image number `image` alone: the others are not looked at.
    pub fn boot_image<M, V, C, H>(
        &self,
        platform: &mut Platform<M, V, C, H>,
        image: u8,
    ) -> Result<Boot, BootError<M::Error>>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let pair = self.config.images.slots().iter().find(|pair| pair.image == image);
        let area = pair.ok_or(BootError::NoSuchImage { image })?.primary;
        platform.hooks.status(Status::Startup);
        let outcome = self.start(platform, image, area);
        platform.hooks.status(Status::of(&outcome));
        outcome
    }

    fn course_of_all<M, V, C, H>(&self, platform: &mut Platform<M, V, C, H>) -> Step<Boot, M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let mut first = None;
        // How many images were dealt with; a loop that was left early shows.
        let mut passed = 0;
        for (at, pair) in self.config.images.slots().iter().enumerate() {
            let slot = self.slot(&platform.flash, pair.primary)?;
            let head = slot.head(&mut platform.flash).map_err(BootError::Flash)?;
            if at > 0 && self.config.strict() && head.is_erased() {
                platform.hooks.event(pair.image, Event::NotProvisioned);
                passed += 1;
                continue;
            }
            let boot = self.start(platform, pair.image, pair.primary)?;
            first.get_or_insert(boot);
            passed += 1;
        }
        if black_box(passed) != self.config.images.slots().len() {
            return Err(BootError::Tampered);
        }
        first.ok_or(BootError::NoImage)
    }

    /// Checks the image in `area`, which runs as image number `image`.
    pub(crate) fn start<M, V, C, H>(
        &self,
        platform: &mut Platform<M, V, C, H>,
        image: u8,
        area: AreaId,
    ) -> Step<Boot, M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let slot = self.slot(&platform.flash, area)?;
        let security_counter = platform.counters.read(&mut platform.flash, image)?;
        let Platform { flash, verifier, hooks, .. } = &mut *platform;
        let head = slot.head(flash).map_err(BootError::Flash)?;
        if head.is_empty() {
            return Err(BootError::NoImage);
        }
        let mut rules = self.config.rules_of(security_counter, false);
        if rules.max_size == 0 {
            rules.max_size = MaxSize::below_trailer(UpgradeMode::SingleSlot, slot.trailer.layout());
        }
        let (header, validated) = if self.is_trusted(flash, &slot)? {
            (head.header().map_err(|error| BootError::Refused(Refusal::Header(error)))?, None)
        } else {
            let (header, validated) =
                slot.validate(flash, verifier, &rules).map_err(BootError::Refused)?;
            if !hooks.accepts(image, &header, &validated) {
                return Err(BootError::Refused(Refusal::Vetoed));
            }
            (header, Some(validated))
        };
        // Where the validation was jumped over, there is nothing to remember.
        if self.validate == Validate::Once && validated.is_some_and(|found| found.stands()) {
            remember(flash, &slot)?;
        }
        if let Some(counter) = validated.and_then(|validated| validated.security_counter) {
            platform.counters.raise(&mut platform.flash, image, counter)?;
        }
        let swap = SwapType::None;
        let boot = Boot { image, area, offset: 0, load_address: None, header, validated, swap };
        let to_be_validated = !self.is_trusted(&mut platform.flash, &slot)?;
        platform.hand_over(&boot, to_be_validated, &self.config.rules)?;
        Ok(boot)
    }

    /// Whether the image is started without being looked at. Asked when it is to be validated, and
    /// again when it is to be started.
    #[inline(never)]
    fn is_trusted<M: FlashMap>(&self, flash: &mut M, slot: &Slot) -> Step<bool, M> {
        match self.validate {
            Validate::Always => Ok(false),
            Validate::Once => is_known(flash, slot),
            Validate::Never => Ok(true),
        }
    }
}

/// Whether the image was found good before.
fn is_known<M: FlashMap>(flash: &mut M, slot: &Slot) -> Step<bool, M> {
    let state = slot.trailer.read(flash).map_err(BootError::Flash)?;
    // A torn record is none: the image is only validated once more.
    let state = state.decide_torn_flags(TornFlags::CountAsUnset);
    Ok(state.magic == Magic::Good && state.image_ok == Flag::Set)
}

/// Records that the image was found good: `image_ok` last, as it is what counts. Where the trailer
/// cannot be written any more, the image is validated at every boot.
fn remember<M: FlashMap>(flash: &mut M, slot: &Slot) -> Step<(), M> {
    let state = slot.trailer.read(flash).map_err(BootError::Flash)?;
    let written = match (state.magic, state.image_ok) {
        (Magic::Unset, Flag::Unset) => {
            slot.trailer.write_magic(flash).and_then(|()| slot.trailer.write_image_ok(flash))
        }
        (Magic::Good, Flag::Unset) => slot.trailer.write_image_ok(flash),
        _ => Ok(()),
    };
    written.map_err(BootError::Flash)
}
