//! One image at a time: everything that has to be at hand, and the checks before it is started.

use updraft_flash::FlashMap;
#[cfg(feature = "compression")]
use updraft_image::Flags;
use updraft_image::{Flag, Header, Magic, Refusal, Rules, SwapType, Validated, Verifier};

use crate::outcome::Step;
use crate::slots::Slot;
use crate::{
    Boot, BootError, Bootloader, Configured, Event, Hooks, Platform, SecurityCounters, Slots,
    Strategy,
};

/// The boot of one image.
///
/// Its generics are those of the bootloader and of its platform.
pub(crate) struct Course<'p, S, F, M, V, C, H> {
    pub(crate) loader: &'p Bootloader<S, F>,
    pub(crate) platform: &'p mut Platform<M, V, C, H>,
    pub(crate) slots: Slots,
    pub(crate) rules: Rules,
    /// Whether what runs now may go on without what this boot was to bring in: no other image is
    /// exchanged with it, and it has what it depends on.
    pub(crate) alone: bool,
}

impl<S, F, M, V, C, H> Course<'_, S, F, M, V, C, H>
where
    S: Strategy,
    F: Configured,
    M: FlashMap,
    V: Verifier,
    C: SecurityCounters,
    H: Hooks<M::Error>,
{
    /// Tells the board. In line, so that a board that does the same with what it says links what
    /// this bootloader can tell, and no other event's words.
    #[inline(always)]
    pub(crate) fn tell(&mut self, event: Event<M::Error>) {
        self.platform.hooks.event(self.slots.image, event);
    }

    /// Whether no image was ever put into the primary slot. For the original that is fatal for
    /// every image of the device.
    pub(crate) fn is_unprovisioned(&mut self) -> Step<bool, M> {
        let head = self.slots.primary.head(&mut self.platform.flash).map_err(BootError::Flash)?;
        Ok(self.slots.strict() && head.is_erased())
    }

    pub(crate) fn validate(
        &mut self,
        slot: &Slot,
    ) -> Result<(Header, Validated), Refusal<M::Error>> {
        let Platform { flash, verifier, .. } = &mut *self.platform;
        let rules = &self.rules;
        #[cfg(feature = "compression")]
        let rules = &match self.slots.strict() {
            // What runs from a slot runs as it is.
            true => Rules { supported: rules.supported.without(Flags::COMPRESSED), ..*rules },
            false => *rules,
        };
        let found = slot.validate(flash, verifier, rules)?;
        self.ask(found)
    }

    /// Checks the image in the secondary slot.
    pub(crate) fn validate_update(&mut self) -> Result<(Header, Validated), Refusal<M::Error>> {
        let Platform { flash, verifier, .. } = &mut *self.platform;
        let strategy = self.loader.strategy();
        let found = strategy.validate_update(flash, &self.slots, &self.rules, verifier)?;
        self.ask(found)
    }

    /// Lets the board have a say.
    fn ask(
        &mut self,
        (header, validated): (Header, Validated),
    ) -> Result<(Header, Validated), Refusal<M::Error>> {
        let hooks = &mut self.platform.hooks;
        if !hooks.accepts(self.slots.image, &header, &validated) {
            return Err(Refusal::Vetoed);
        }
        Ok((header, validated))
    }

    /// Raises the stored security counter to that of the image in the primary slot.
    pub(crate) fn raise_counter(&mut self) -> Step<(), M> {
        if !C::KEEPS || self.rules.security_counter.is_none() {
            return Ok(());
        }
        let primary = self.slots.primary;
        let value = primary.security_counter(&mut self.platform.flash);
        let value = value.map_err(BootError::Refused)?;
        self.platform.counters.raise(&mut self.platform.flash, self.slots.image, value)?;
        Ok(())
    }

    /// Checks the image in the primary slot.
    pub(crate) fn start(&mut self, swap: SwapType) -> Step<Boot, M> {
        let primary = self.slots.primary;
        let head = primary.head(&mut self.platform.flash).map_err(BootError::Flash)?;
        let (header, validated) = if self.loader.config().validate_primary {
            if head.is_empty() {
                return Err(BootError::NoImage);
            }
            let (header, validated) = self.validate(&primary).map_err(BootError::Refused)?;
            (header, Some(validated))
        } else {
            (head.header().map_err(|error| BootError::Refused(Refusal::Header(error)))?, None)
        };
        let state = self.slots.primary_state(&mut self.platform.flash).map_err(BootError::Flash)?;
        // An image under test must not bar the way back by raising the counter, nor what goes on in place
        // of an upgrade the way of that.
        let for_good = state.magic != Magic::Good || state.image_ok == Flag::Set;
        if for_good && !(self.slots.strict() && swap == SwapType::Fail) {
            self.raise_counter()?;
        }
        let boot = Boot {
            image: self.slots.image,
            area: primary.area,
            offset: 0,
            load_address: None,
            header,
            validated,
            swap,
        };
        let config = self.loader.config();
        self.platform.hand_over(&boot, config.validate_primary, &config.rules)?;
        Ok(boot)
    }
}
