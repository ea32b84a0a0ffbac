//! The course of a boot: decide, bring the new images in place, check what is to run.

use core::hint::black_box;

use updraft_flash::FlashMap;
use updraft_image::{Flags, Rules, SwapType, TrailerState, UpgradeMode, Verifier};

use crate::course::Course;
use crate::outcome::Step;
use crate::upgrade::Plan;
use crate::{
    Boot, BootError, Config, Configured, Event, Hooks, MAX_IMAGES, NoHooks, Platform, Progress,
    SecurityCounters, Slots, Status, Strategy, dependencies,
};

/// A bootloader that keeps a slot to run from and a slot for updates per image.
///
/// Its generics: the upgrade mode, and where the configuration is.
#[derive(Clone, Copy, Debug)]
pub struct Bootloader<S, F = Config> {
    config: F,
    strategy: S,
}

impl<S: Strategy> Bootloader<S> {
    /// A bootloader that upgrades by `strategy`.
    pub const fn new(config: Config, strategy: S) -> Self {
        Self { config, strategy }
    }
}

impl<S: Strategy, F: Configured> Bootloader<S, F> {
    /// The same for a board that is known while compiling: what it does not do is not linked.
    pub const fn fixed(config: F, strategy: S) -> Self {
        Self { config, strategy }
    }

    /// What the board fixes.
    #[inline(always)]
    pub fn config(&self) -> &Config {
        self.config.config()
    }

    /// The upgrade mode.
    pub fn mode(&self) -> UpgradeMode {
        self.strategy.mode()
    }

    pub(crate) fn strategy(&self) -> &S {
        &self.strategy
    }

    /// The slots of image number `image`.
    fn slots<M: FlashMap>(&self, map: &M, image: u8) -> Result<Slots, BootError<M::Error>> {
        let pair = self.config().images.slots().iter().find(|pair| pair.image == image);
        let pair = pair.ok_or(BootError::NoSuchImage { image })?;
        Slots::new(map, self.config(), pair, self.strategy.mode())
    }

    /// The largest image number `image` with its TLVs that this bootloader boots, in bytes.
    pub fn max_image_size<M: FlashMap>(
        &self,
        map: &M,
        image: u8,
    ) -> Result<u32, BootError<M::Error>> {
        let slots = self.slots(map, image)?;
        Ok(self.rules(map, &slots, None).max_size)
    }

    /// What the next [`Bootloader::boot`] would do with image number `image`, told from its
    /// trailers alone. No image is looked at and nothing is written.
    pub fn pending<M: FlashMap>(
        &self,
        map: &mut M,
        image: u8,
    ) -> Result<SwapType, BootError<M::Error>> {
        let slots = self.slots(map, image)?;
        match self.strategy.progress(map, &slots)? {
            Progress::None => self.decide(map, &slots),
            Progress::Recorded(swap) | Progress::Interrupted { swap, .. } => Ok(swap),
        }
    }

    /// Finishes what an earlier boot began, carries out what the application asked for, and
    /// checks the images in the primary slots. Returns the first one.
    ///
    /// After a power cut at any point, running it again leads to the same end. The platform's
    /// hooks are told what happens on the way, also where the boot fails.
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
        match self.config().images.slots() {
            [only] => self.boot_image(platform, only.image),
            _ => {
                platform.hooks.status(Status::Startup);
                let outcome = self.course_of_all(platform);
                platform.hooks.status(Status::of(&outcome));
                outcome
            }
        }
    }

    /// The same for image number `image` alone: the others are neither upgraded nor checked, and it is not
    /// upgraded to one that needs others than those that run. Where there is no other, this is all that a
    /// bootloader has to link.
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
        platform.hooks.status(Status::Startup);
        let outcome = self.course_of(platform, image);
        platform.hooks.status(Status::of(&outcome));
        outcome
    }

    fn course_of<M, V, C, H>(&self, platform: &mut Platform<M, V, C, H>, image: u8) -> Step<Boot, M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let slots = self.slots(&platform.flash, image)?;
        let minimum = platform.counters.read(&mut platform.flash, image)?;
        let rules = self.rules(&platform.flash, &slots, minimum);
        let mut course = Course { loader: self, slots, rules, platform, alone: true };
        let mut plan = course.prepare()?;
        let images = self.config().images.slots();
        if !F::ONE_IMAGE && images.len() > 1 && plan.upgrades() {
            // What the others run stays as it is.
            let will_run = |flash: &mut M, other| {
                let plan = if other == image { plan } else { Plan::Nothing };
                self.slots(flash, other)?.will_run(flash, &self.strategy, plan)
            };
            let known = images.iter().map(|pair| pair.image);
            let Platform { flash, hooks, .. } = &mut *course.platform;
            if dependencies::unmet(flash, hooks, [image], known, will_run)?.is_some() {
                plan.cancel(self.config().strict());
            }
        }
        if plan.upgrades() {
            course.platform.hooks.status(Status::Upgrading);
        }
        let swap = course.perform(plan)?;
        course.start(swap)
    }

    /// First all plans, as they depend on each other, then the upgrades, then what is to run.
    fn course_of_all<M, V, C, H>(&self, platform: &mut Platform<M, V, C, H>) -> Step<Boot, M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let pairs = self.config().images.slots();
        let strict = self.config().strict();
        let mut plans = [Plan::Nothing; MAX_IMAGES];
        let mut planned = 0;
        for (at, pair) in pairs.iter().enumerate() {
            let plan = self.course(platform, pair.image)?.prepare()?;
            planned += usize::from(plan != Plan::Nothing);
            if plan.continues_earlier_ones() {
                // The power failed between two images. The earlier ones are under test, and
                // would be reverted at this very boot.
                plans.iter_mut().take(at).for_each(|plan| plan.forget_revert(strict));
            }
            if let Some(slot) = plans.get_mut(at) {
                *slot = plan;
            }
        }
        let mut alone = false;
        if plans.iter().any(Plan::upgrades) {
            let runs = |flash: &mut M, image, plan| {
                self.slots(flash, image)?.will_run(flash, &self.strategy, plan)
            };
            let will_run = |flash: &mut M, image| {
                let planned = pairs.iter().zip(plans).find(|(pair, _)| pair.image == image);
                runs(flash, image, planned.map_or(Plan::Nothing, |(_, plan)| plan))
            };
            let Platform { flash, hooks, .. } = platform;
            let images = pairs.iter().map(|pair| pair.image);
            let known = images.clone();
            if dependencies::unmet(flash, hooks, images.clone(), known, will_run)?.is_some() {
                plans.iter_mut().for_each(|plan| plan.cancel(strict));
            } else if strict && planned == 1 {
                // An earlier boot may have exchanged the other images for this one's sake.
                let runs_now = |flash: &mut M, image| runs(flash, image, Plan::Nothing);
                let known = images.clone();
                let unmet = dependencies::unmet(flash, &mut NoHooks, images, known, runs_now)?;
                alone = unmet.is_none();
            }
        }
        if plans.iter().any(Plan::upgrades) {
            platform.hooks.status(Status::Upgrading);
        }
        let mut swaps = [SwapType::None; MAX_IMAGES];
        for ((pair, plan), swap) in pairs.iter().zip(plans).zip(&mut swaps) {
            let mut course = self.course(platform, pair.image)?;
            course.alone = alone;
            *swap = course.perform(plan)?;
        }
        let mut first = None;
        // How many images were dealt with; a loop that was left early shows.
        let mut passed = 0;
        for (at, (pair, swap)) in pairs.iter().zip(swaps).enumerate() {
            let mut course = self.course(platform, pair.image)?;
            if at > 0 && course.is_unprovisioned()? {
                platform.hooks.event(pair.image, Event::NotProvisioned);
                passed += 1;
                continue;
            }
            let boot = course.start(swap)?;
            first.get_or_insert(boot);
            passed += 1;
        }
        if black_box(passed) != pairs.len() {
            return Err(BootError::Tampered);
        }
        first.ok_or(BootError::NoImage)
    }

    /// Everything that has to be at hand to deal with image number `image`.
    pub(crate) fn course<'p, M, V, C, H>(
        &'p self,
        platform: &'p mut Platform<M, V, C, H>,
        image: u8,
    ) -> Step<Course<'p, S, F, M, V, C, H>, M>
    where
        M: FlashMap,
        C: SecurityCounters,
    {
        let slots = self.slots(&platform.flash, image)?;
        let minimum = platform.counters.read(&mut platform.flash, image)?;
        let rules = self.rules(&platform.flash, &slots, minimum);
        Ok(Course { loader: self, slots, rules, platform, alone: false })
    }

    fn rules<M: FlashMap>(&self, map: &M, slots: &Slots, security_counter: Option<u32>) -> Rules {
        let mut rules = self.config().rules_of(security_counter, S::UNPACKS);
        if rules.max_size == 0 {
            rules.max_size = self.strategy.max_image_size(map, slots);
        }
        // A swap whose keys are not kept could not be resumed.
        if self.config().keys.is_none() && self.strategy.mode().swaps() {
            rules.supported = rules.supported.without(Flags::ENCRYPTED);
        }
        rules
    }

    /// What the trailers ask for.
    pub(crate) fn decide<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<SwapType, BootError<M::Error>> {
        let primary = slots.primary_state(map).map_err(BootError::Flash)?;
        let secondary = slots.secondary_state(map);
        let mode = self.strategy.mode();
        Ok(match TrailerState::swap_type(mode, &primary, &secondary) {
            // Where nothing is kept there is nothing to revert to. The original installs whatever
            // is in the secondary slot.
            SwapType::Revert if slots.strict() && !mode.swaps() => SwapType::None,
            swap => swap,
        })
    }
}
