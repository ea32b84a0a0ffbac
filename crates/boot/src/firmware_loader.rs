//! A small loader image beside the application: it fetches updates, the bootloader only chooses
//! which of the two to start. Source: Zephyr's firmware loader mode of MCUboot.

use updraft_flash::FlashMap;
use updraft_image::Verifier;

use crate::outcome::Step;
use crate::{
    Boot, BootError, Config, Event, Hooks, Platform, SecurityCounters, SingleSlot, Status, Validate,
};

/// A bootloader with an application in the primary slot and a loader in the secondary one.
#[derive(Clone, Copy, Debug)]
pub struct FirmwareLoader {
    slots: SingleSlot,
    config: Config,
    fall_back: bool,
}

impl FirmwareLoader {
    /// With `fall_back`, the loader is started when the application cannot be; without, only on
    /// demand.
    pub const fn new(config: Config, validate: Validate, fall_back: bool) -> Self {
        Self { slots: SingleSlot::new(config, validate), config, fall_back }
    }

    /// Checks and returns the application, or the loader if `wanted`: a pin, the boot mode in
    /// retained memory or the reset cause asked for it.
    ///
    /// A loader that is wanted but cannot be started leaves the application to be started.
    pub fn boot<M, V, C, H>(
        &self,
        platform: &mut Platform<M, V, C, H>,
        wanted: bool,
    ) -> Result<Boot, BootError<M::Error>>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        platform.hooks.status(Status::Startup);
        let outcome = self.course(platform, wanted);
        platform.hooks.status(Status::of(&outcome));
        outcome
    }

    fn course<M, V, C, H>(&self, platform: &mut Platform<M, V, C, H>, wanted: bool) -> Step<Boot, M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let pair = self.config.images.slots().first().copied();
        let pair = pair.ok_or(BootError::NoImage)?;
        if wanted {
            match self.slots.start(platform, pair.image, pair.secondary) {
                Ok(boot) => return Ok(boot),
                Err(error) => platform.hooks.event(pair.image, Event::LoaderFailed(error)),
            }
        }
        match self.slots.start(platform, pair.image, pair.primary) {
            Err(error) if self.fall_back && !wanted => {
                platform.hooks.event(pair.image, Event::ApplicationFailed(error));
                self.slots.start(platform, pair.image, pair.secondary)
            }
            outcome => outcome,
        }
    }
}
