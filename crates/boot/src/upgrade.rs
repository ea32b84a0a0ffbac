//! The upgrade of one image: what is to be done with its slots, and doing it.

use updraft_flash::FlashMap;
use updraft_image::{Magic, Refusal, SwapType, UpgradeMode, Validated, Verifier, Version};

use crate::course::Course;
use crate::outcome::Step;
use crate::slots::{Slot, Slots, may_pass};
use crate::{
    BootError, Configured, Downgrade, Event, Hooks, Installed, Job, Overwrite, Platform, Progress,
    Secrets, SecurityCounters, Strategy,
};

/// What this boot is going to do with the slots of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Nothing,
    /// Nothing more: a swap that had been interrupted has been finished.
    Resumed(SwapType),
    /// Bring the image of the secondary slot in, which has been validated.
    Upgrade {
        swap: SwapType,
        progress: Progress,
    },
    /// The same without having been asked, as there is nothing to run.
    Bootstrap,
    /// End a recorded swap whose image turned out bad.
    GiveUp,
}

impl Plan {
    /// Whether the image of the secondary slot will run.
    pub(crate) fn upgrades(&self) -> bool {
        matches!(self, Self::Upgrade { .. } | Self::Bootstrap)
    }

    /// Whether this tells that an earlier boot had come as far as this image.
    pub(crate) fn continues_earlier_ones(&self) -> bool {
        match self {
            Self::Resumed(_) | Self::GiveUp => true,
            Self::Upgrade { swap, .. } => *swap != SwapType::Revert,
            Self::Nothing | Self::Bootstrap => false,
        }
    }

    /// Leaves an image that was to be reverted as it is. The original does not tell a bootstrap
    /// from a revert.
    pub(crate) fn forget_revert(&mut self, strict: bool) {
        match self {
            Self::Upgrade { swap: SwapType::Revert, .. } => *self = Self::Nothing,
            Self::Bootstrap if !strict => *self = Self::Nothing,
            _ => {}
        }
    }

    /// Leaves the images where they are. The original leaves a record standing.
    pub(crate) fn cancel(&mut self, strict: bool) {
        *self = match *self {
            Self::Resumed(swap) => Self::Resumed(swap),
            Self::Upgrade { progress: Progress::Recorded(_), .. } if strict => Self::GiveUp,
            _ => Self::Nothing,
        };
    }
}

/// What the secondary slot holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Check {
    /// An image that may be brought in.
    Good,
    /// None, or one that had to be erased.
    Bad,
    /// That cannot be told now.
    Unreadable,
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
    /// Finishes an interrupted swap, and finds out what else there is to do.
    pub(crate) fn prepare(&mut self) -> Step<Plan, M> {
        let loader = self.loader;
        if !loader.strategy().compatible(&self.platform.flash, &self.slots) {
            self.tell(Event::SlotsIncompatible);
            return Ok(Plan::Nothing);
        }
        let progress = loader.strategy().progress(&mut self.platform.flash, &self.slots)?;
        if let Progress::Interrupted { swap, gap } = progress {
            return self.resume(swap, gap).map(Plan::Resumed);
        }
        let primary =
            self.slots.primary.head(&mut self.platform.flash).map_err(BootError::Flash)?;
        let mode = loader.strategy().mode();
        let bootstrap = loader.config().bootstrap;
        let needs_image = matches!(mode, UpgradeMode::SwapMove | UpgradeMode::SwapOffset);
        if needs_image && !self.slots.strict() && primary.header().is_err() {
            // The original gives up on an upgrade by such a swap if there is no image to swap out.
            if !(bootstrap && primary.is_erased()) {
                return Ok(Plan::Nothing);
            }
        }
        let asked = match progress {
            Progress::Recorded(swap) => swap,
            _ => loader.decide(&mut self.platform.flash, &self.slots)?,
        };
        self.find_update(asked);
        if asked != SwapType::None {
            let misplaced = progress == Progress::None && self.is_misplaced(asked)?;
            let check = if misplaced { Check::Bad } else { self.check_secondary(asked)? };
            match (check, progress) {
                (Check::Good, _) => return Ok(Plan::Upgrade { swap: asked, progress }),
                (Check::Bad, Progress::Recorded(_)) => return Ok(Plan::GiveUp),
                // A record that was left standing would be carried out with whatever is uploaded
                // next. The way back from a test is worth waiting for, and kept by the application.
                (Check::Unreadable, Progress::Recorded(swap)) if swap != SwapType::Revert => {
                    return Ok(Plan::GiveUp);
                }
                (Check::Bad | Check::Unreadable, _) => {}
            }
        }
        if bootstrap && self.can_bootstrap()? { Ok(Plan::Bootstrap) } else { Ok(Plan::Nothing) }
    }

    /// Carries out what [`Self::prepare`] planned. Returns what was done with the slots.
    pub(crate) fn perform(&mut self, plan: Plan) -> Step<SwapType, M> {
        let swaps = self.loader.strategy().mode().swaps();
        self.find_update(match plan {
            Plan::Upgrade { swap, .. } => swap,
            _ => SwapType::None,
        });
        match plan {
            Plan::Nothing => Ok(SwapType::None),
            Plan::Resumed(swap) => Ok(swap),
            Plan::GiveUp => self.give_up(),
            Plan::Bootstrap if swaps => self.copy_first(SwapType::Revert),
            Plan::Bootstrap => self.install(SwapType::Revert, Progress::None, true),
            Plan::Upgrade { swap, progress } => {
                if swaps && swap != SwapType::Revert && self.steps_back()? {
                    let recorded = matches!(progress, Progress::Recorded(_));
                    if recorded && self.slots.strict() {
                        self.give_up()?;
                    }
                    return Ok(SwapType::None);
                }
                self.run(swap, progress)
            }
        }
    }

    /// Learns where in the secondary slot the image begins that `swap` would bring in. The
    /// original also takes one that begins where that of another swap would.
    fn find_update(&mut self, swap: SwapType) {
        let strategy = self.loader.strategy();
        let start = |swap| strategy.update_start(&self.platform.flash, &self.slots, swap);
        let other = if swap == SwapType::Revert { SwapType::Test } else { SwapType::Revert };
        let [right, other] = [start(swap), start(other)];
        self.slots.secondary.start = right;
        if !self.slots.strict() && other != right {
            let mut holds_image = |start| {
                let head = Slot { start, ..self.slots.secondary }.head(&mut self.platform.flash);
                head.is_ok_and(|head| head.header().is_ok())
            };
            if !holds_image(right) && holds_image(other) {
                self.slots.secondary.start = other;
            }
        }
    }

    /// Whether the update was uploaded to the beginning of the slot, under a mode that looks for
    /// it further on. It is erased then, as what a revert brings back would be mistaken for it.
    fn is_misplaced(&mut self, swap: SwapType) -> Step<bool, M> {
        let secondary = self.slots.secondary;
        let expected = self.loader.strategy().update_start(&self.platform.flash, &self.slots, swap);
        let mut head = |start| Slot { start, ..secondary }.head(&mut self.platform.flash);
        if expected == 0 || !head(0).is_ok_and(|head| head.header().is_ok()) {
            return Ok(false);
        }
        // The original looks first whether there is something to boot.
        if !self.slots.strict() && head(secondary.start).is_ok_and(|head| head.is_empty()) {
            return Ok(false);
        }
        if self.discard()? {
            self.tell(Event::Misplaced { expected });
        }
        Ok(true)
    }

    /// Hands the image that was brought in to the board, before anything says that it is there.
    #[inline(always)]
    fn installed(&mut self, swap: SwapType) -> Step<(), M> {
        let Platform { flash, hooks, .. } = &mut *self.platform;
        hooks.installed(flash, self.slots.image, self.slots.primary.area, swap)
    }

    /// Finishes a swap that moved sectors already. Neither image can be checked before that.
    #[inline(never)]
    fn resume(&mut self, swap: SwapType, gap: bool) -> Step<SwapType, M> {
        let loader = self.loader;
        if gap {
            self.tell(Event::StatusGap);
            // Only a validation at the end tells whether the last record can be believed.
            if !loader.config().validate_primary {
                return Err(BootError::BadStatus);
            }
        }
        let progress = Progress::Interrupted { swap, gap };
        let job = Job { swap, progress, primary_size: 0, secondary_size: 0 };
        let Platform { flash, verifier, .. } = &mut *self.platform;
        let headers = loader.strategy().headers(flash, &self.slots, progress)?;
        let record = loader.strategy().recorded_in(flash, &self.slots)?;
        let secrets = Secrets::of_record(flash, verifier, &record, headers)?;
        match loader.strategy().install(flash, &self.slots, &job, &secrets) {
            // Elsewhere the request is gone by then.
            Err(BootError::Flash(error)) if self.uses_scratch() => {
                return self.put_off(swap, error);
            }
            installed => installed?,
        };
        self.installed(swap)?;
        loader.strategy().finish(&mut self.platform.flash, &self.slots, &job)?;
        self.tell(Event::Resumed(swap));
        Ok(swap)
    }

    fn uses_scratch(&self) -> bool {
        let mode = self.loader.strategy().mode();
        matches!(mode, UpgradeMode::SwapScratch | UpgradeMode::StatusPartition)
    }

    /// Carries out a swap or copy whose image has been validated.
    fn run(&mut self, swap: SwapType, progress: Progress) -> Step<SwapType, M> {
        let loader = self.loader;
        let swaps = loader.strategy().mode().swaps();
        if swaps && loader.config().bootstrap && self.primary_is_bad()? {
            return self.copy_first(swap);
        }
        self.install(swap, progress, false)
    }

    /// Brings the image in; `unasked` if it is the first one.
    // The secrets of the images are on the stack from here on, and not before.
    #[inline(never)]
    fn install(&mut self, swap: SwapType, progress: Progress, unasked: bool) -> Step<SwapType, M> {
        let loader = self.loader;
        let swaps = loader.strategy().mode().swaps();
        let primary_size = match self.slots.primary.image_size(&mut self.platform.flash) {
            // What is not an image need not be kept whole.
            Err(_) if self.slots.strict() || !swaps => 0,
            size => size.map_err(BootError::Refused)?,
        };
        let secondary_size = self
            .slots
            .secondary
            .image_size(&mut self.platform.flash)
            .map_err(BootError::Refused)?;
        let job = Job { swap, progress, primary_size, secondary_size };
        let Platform { flash, verifier, .. } = &mut *self.platform;
        let mut secrets = Secrets::default();
        let found = secrets.find(flash, verifier, &self.slots, swaps && primary_size > 0);
        match found {
            Ok(()) => {}
            Err(Refusal::Read(error)) if !self.slots.strict() || may_pass(&error) => {
                return Err(BootError::Flash(error));
            }
            Err(refusal) if !self.slots.strict() => return Err(BootError::Refused(refusal)),
            // What cannot leave need not be kept where there may be nothing to go back to.
            Err(_) if swaps && loader.config().bootstrap && swap == SwapType::Permanent => {
                return self.copy_first(swap);
            }
            Err(refusal) => {
                self.tell(Event::CannotEncrypt(refusal));
                return self.turn_down(swap, progress);
            }
        }
        let mut installed = match loader.strategy().install(flash, &self.slots, &job, &secrets) {
            Err(BootError::Flash(error)) if swaps => return self.put_off(swap, error),
            installed => installed?,
        };
        if let Installed::NoSpace { .. } = installed
            && self.slots.strict()
            && primary_size > 0
            && self.primary_is_bad()?
        {
            // What cannot run need not be kept.
            let job = Job { primary_size: 0, ..job };
            let flash = &mut self.platform.flash;
            installed = loader.strategy().install(flash, &self.slots, &job, &secrets)?;
        }
        if installed == Installed::Done {
            self.installed(swap)?;
        }
        match installed {
            Installed::NoSpace { needed, available } => {
                self.tell(Event::NoSpace { needed, available });
                // It would not fit at the next boot either.
                if self.slots.strict() {
                    return self.turn_down(swap, progress);
                }
                loader.strategy().finish(&mut self.platform.flash, &self.slots, &job)?;
                return Ok(SwapType::None);
            }
            Installed::Done if swap == SwapType::Permanent || !swaps => self.raise_counter()?,
            Installed::Done => {}
        }
        let finished = loader.strategy().finish(&mut self.platform.flash, &self.slots, &job);
        if swaps {
            finished?;
        } else {
            // The copy is whole, and made anew as long as the request stands.
            self.put_up_with(finished)?;
        }
        match swap {
            _ if unasked => self.tell(Event::Bootstrapped),
            SwapType::Revert => self.tell(Event::Reverted),
            swap => self.tell(Event::Installed(swap)),
        }
        Ok(swap)
    }

    /// Goes on with what runs now after flash refused what an exchange begins with: the secondary slot
    /// may be on a device that takes no change. The original starts nothing then. The way back from a
    /// test is not put off, as the image under test would go on running.
    ///
    /// If what runs is under test itself, it is what a test of the update would have gone back to, and
    /// is confirmed as it would have been by that.
    #[inline(never)]
    fn put_off(&mut self, swap: SwapType, error: M::Error) -> Step<SwapType, M> {
        let may_be = self.alone && self.slots.strict() && swap != SwapType::Revert;
        let strategy = self.loader.strategy();
        if may_be
            && let Ok(false) = self.primary_is_bad()
            && let Ok(true) = strategy.take_back(&mut self.platform.flash, &self.slots)
        {
            self.tell(Event::NotBegun(error));
            return Ok(SwapType::Fail);
        }
        Err(BootError::Flash(error))
    }

    /// Whether the primary slot holds nothing that may run. That it cannot be read right now is no
    /// reason to replace it.
    fn primary_is_bad(&mut self) -> Step<bool, M> {
        let primary = self.slots.primary;
        match self.validate(&primary) {
            Ok(_) => Ok(false),
            Err(Refusal::Read(error)) if may_pass(&error) && self.slots.strict() => {
                Err(BootError::Flash(error))
            }
            Err(_) => Ok(true),
        }
    }

    /// Whether there is nothing to run, and an image in the secondary slot that could.
    fn can_bootstrap(&mut self) -> Step<bool, M> {
        if !self.primary_is_bad()? {
            return Ok(false);
        }
        let head = self.slots.secondary.head(&mut self.platform.flash);
        if self.slots.strict() && head.is_ok_and(|head| head.header().is_err()) {
            return Ok(false);
        }
        Ok(self.check_secondary(SwapType::None)? == Check::Good)
    }

    /// The copy that a swap mode does when there is nothing to swap out. The image in the
    /// secondary slot stays; only the request goes.
    fn copy_first(&mut self, swap: SwapType) -> Step<SwapType, M> {
        let Slots { primary, secondary, .. } = self.slots;
        let strict = self.slots.strict();
        let size = secondary.image_size(&mut self.platform.flash).map_err(BootError::Refused)?;
        let flash = &mut self.platform.flash;
        let blank = primary.trailer.is_erased(flash).map_err(BootError::Flash)?;
        if strict && !blank {
            self.vouch_for_secondary(size).map_err(BootError::Flash)?;
        }
        let Platform { flash, verifier, .. } = &mut *self.platform;
        let mut secrets = Secrets::default();
        secrets.find(flash, verifier, &self.slots, false).map_err(BootError::Refused)?;
        // The original copies the whole slot under one mode, and clears it as after an overwrite.
        let whole = !strict && self.loader.strategy().mode() == UpgradeMode::SwapScratch;
        let copy = if whole { Overwrite::Slot } else { Overwrite::Image };
        copy.copy_image(flash, &self.slots, size, &secrets).map_err(BootError::Flash)?;
        self.installed(swap)?;
        self.raise_counter()?;
        let map = &mut self.platform.flash;
        let mut finish = || {
            if whole {
                secondary.erase(map, 0, 1)?;
            }
            if !strict {
                let last = map.sector_at(secondary.area, secondary.size.saturating_sub(1));
                let last = last.map_or(secondary.size, |sector| sector.offset);
                secondary.erase(map, last, secondary.size.saturating_sub(last))?;
            } else if !secondary.trailer.is_erased(map)? {
                secondary.trailer.erase_fields(map)?;
            }
            // There is nothing to go back to, so a test would only be reverted to itself.
            if strict || swap != SwapType::Test {
                primary.trailer.write_image_ok(map)?;
            }
            primary.trailer.write_copy_done(map)
        };
        finish().map_err(BootError::Flash)?;
        self.tell(Event::Bootstrapped);
        Ok(swap)
    }

    /// Asks for the image in the secondary slot, if nobody has. The primary trailer may hold the
    /// status of a swap that is over, and is about to be erased: what a cut leaves of it must not
    /// be taken for one that is under way, which nothing is as long as a request stands.
    ///
    /// What a cut has left of such a request stays if the image, of `size` bytes, reaches into its
    /// sectors: there is no other.
    fn vouch_for_secondary(&mut self, size: u32) -> Result<(), M::Error> {
        let flash = &mut self.platform.flash;
        let Slot { area, start, trailer, .. } = self.slots.secondary;
        if trailer.read(flash)?.magic == Magic::Good {
            return Ok(());
        }
        if !trailer.is_erased(flash)? {
            let first = flash.sector_at(area, trailer.layout().status());
            if first.is_none_or(|first| start.saturating_add(size) > first.offset) {
                return Ok(());
            }
            trailer.erase(flash)?;
        }
        trailer.write_image_ok(flash)?;
        trailer.write_magic(flash)
    }

    /// Ends a swap that was recorded but whose image turned out bad: what runs now stays.
    fn give_up(&mut self) -> Step<SwapType, M> {
        let map = &mut self.platform.flash;
        // The original only confirms what runs, finds the record again at every boot, and clears the
        // secondary trailer.
        let given_up = match self.slots.strict() {
            true => self.loader.strategy().forget(map, &self.slots),
            false => self.slots.confirm_primary(map).map_err(BootError::Flash),
        };
        self.put_up_with(given_up)?;
        Ok(SwapType::Fail)
    }

    /// Clears a request that cannot be carried out, now or later. The image stays where it is.
    fn turn_down(&mut self, swap: SwapType, progress: Progress) -> Step<SwapType, M> {
        let swaps = self.loader.strategy().mode().swaps();
        self.clear_request(swap, swaps)?;
        let recorded = matches!(progress, Progress::Recorded(_));
        if recorded { self.give_up() } else { Ok(SwapType::None) }
    }

    /// Whether the secondary slot holds an image that `swap` may bring in. What is not acceptable
    /// is erased, so that it is not looked at again at every boot.
    fn check_secondary(&mut self, swap: SwapType) -> Step<Check, M> {
        let loader = self.loader;
        let swaps = loader.strategy().mode().swaps();
        let head = match self.slots.secondary.head(&mut self.platform.flash) {
            Ok(head) => head,
            Err(error) => {
                self.tell(Event::SecondaryUnreadable(error));
                return Ok(Check::Unreadable);
            }
        };
        if head.is_empty() {
            match swap {
                SwapType::Revert => self.tell(Event::NothingToRevertTo),
                _ => self.tell(Event::SecondaryEmpty),
            }
            self.clear_request(swap, swaps)?;
            return Ok(Check::Bad);
        }
        if !swaps && !self.slots.strict() && self.is_downgrade()? {
            return Ok(Check::Bad);
        }
        match self.validate_update() {
            Ok(_) if !swaps && self.slots.strict() && self.steps_back()? => Ok(Check::Bad),
            Ok((_, validated)) if self.exhausts_counter(&validated)? => Ok(Check::Bad),
            Ok(_) => Ok(Check::Good),
            Err(Refusal::Read(error)) if self.slots.strict() && may_pass(&error) => {
                self.tell(Event::SecondaryUnreadable(error));
                Ok(Check::Unreadable)
            }
            Err(refusal) => {
                if self.discard()? {
                    self.tell(Event::SecondaryRefused(refusal));
                }
                if self.slots.strict() && swap == SwapType::Revert {
                    self.tell(Event::NothingToRevertTo);
                    self.stay()?;
                }
                Ok(Check::Bad)
            }
        }
    }

    /// Clears a request that has no image. In overwrite mode the original leaves it; then it
    /// would be obeyed as soon as there is an image, asked or not.
    fn clear_request(&mut self, swap: SwapType, swaps: bool) -> Step<(), M> {
        let mut clear = || {
            if !self.slots.strict() {
                if swaps {
                    self.slots.secondary.trailer.erase(&mut self.platform.flash)?;
                    let mode = self.loader.strategy().mode();
                    if swap == SwapType::Revert && mode == UpgradeMode::SwapMove {
                        self.slots.primary.trailer.erase(&mut self.platform.flash)?;
                    }
                }
                return Ok(());
            }
            if !self.slots.secondary.trailer.is_erased(&mut self.platform.flash)? {
                self.slots.secondary.trailer.erase(&mut self.platform.flash)?;
            }
            Ok(())
        };
        let cleared = clear().map_err(BootError::Flash);
        self.put_up_with(cleared)?;
        if self.slots.strict() && swap == SwapType::Revert { self.stay() } else { Ok(()) }
    }

    /// Erases the secondary slot, whose image is not acceptable. Returns whether it is erased.
    #[inline(never)]
    fn discard(&mut self) -> Step<bool, M> {
        let erased = self.slots.secondary.erase_all(&mut self.platform.flash);
        self.put_up_with(erased.map_err(BootError::Flash))
    }

    /// Goes on without what could not be cleared away: it is looked at again at the next boot. The
    /// original does not start the running image then, though it is as good as ever.
    #[inline(never)]
    fn put_up_with(&mut self, cleared: Step<(), M>) -> Step<bool, M> {
        match cleared {
            Err(BootError::Flash(error)) if self.slots.strict() => {
                self.tell(Event::NotCleared(error));
                Ok(false)
            }
            cleared => cleared.map(|()| true),
        }
    }

    /// Settles for the image under test, as there is nothing to revert to. If that were left for
    /// later, whatever is uploaded next would be taken for the image to revert to.
    ///
    /// One write does it; erasing the primary trailer, torn, might leave a record of a swap that
    /// is over.
    fn stay(&mut self) -> Step<(), M> {
        let stayed = self.slots.confirm_primary(&mut self.platform.flash);
        self.put_up_with(stayed.map_err(BootError::Flash)).map(|_| ())
    }

    /// Whether the secondary slot's image is older than the running one and that matters, asked twice:
    /// a processor that was disturbed once finds out at the other time.
    fn steps_back(&mut self) -> Step<bool, M> {
        Ok(self.is_downgrade()? || self.is_downgrade()?)
    }

    /// Whether the secondary slot's image is older than the running one and that matters. If so
    /// it is erased.
    #[inline(never)]
    fn is_downgrade(&mut self) -> Step<bool, M> {
        let loader = self.loader;
        match loader.config().downgrade {
            Downgrade::Allowed => Ok(false),
            Downgrade::Refused => {
                let Some((running, offered)) = self.lower_version()? else { return Ok(false) };
                let refused = self.refuse_downgrade()?;
                if refused == Some(true) {
                    self.tell(Event::DowngradeRefused { running, offered });
                }
                Ok(refused.is_some())
            }
            Downgrade::ByCounter => {
                let Some((running, offered)) = self.lower_counter()? else { return Ok(false) };
                let refused = self.refuse_downgrade()?;
                if refused == Some(true) {
                    self.tell(Event::CounterRefused { running, offered });
                }
                Ok(refused.is_some())
            }
        }
    }

    /// Erases an image that is older than the running one, and says whether it is erased. The version
    /// of an image that cannot run, or that a cut has half replaced, is no reason to erase the one that
    /// could: `None`.
    fn refuse_downgrade(&mut self) -> Step<Option<bool>, M> {
        if self.slots.strict() && self.primary_is_bad()? {
            return Ok(None);
        }
        self.discard().map(Some)
    }

    /// The version that runs and the one in the secondary slot, if that is lower.
    fn lower_version(&mut self) -> Step<Option<(Version, Version)>, M> {
        let flash = &mut self.platform.flash;
        let running = self.slots.primary.version(flash).map_err(BootError::Flash)?;
        let offered = self.slots.secondary.version(flash).map_err(BootError::Flash)?;
        let pair = running.zip(offered);
        Ok(pair.filter(|(running, offered)| offered.cmp_ignoring_build(running).is_lt()))
    }

    /// The security counters of both, if the other one's is lower. An image without a counter may
    /// be replaced by any, and replaces none that has one.
    fn lower_counter(&mut self) -> Step<Option<(u32, Option<u32>)>, M> {
        let flash = &mut self.platform.flash;
        let running = self.slots.primary.security_counter(flash);
        let offered = self.slots.secondary.security_counter(flash);
        match (running, offered) {
            (Err(Refusal::Read(error)), _) | (_, Err(Refusal::Read(error))) => {
                Err(BootError::Flash(error))
            }
            (Err(_), _) => Ok(None),
            (Ok(running), offered) => {
                let offered = offered.ok();
                let lower = offered.is_none_or(|offered| offered < running);
                Ok(lower.then_some((running, offered)))
            }
        }
    }

    /// Whether the counter store is used up, so that the image could never be confirmed in it. If
    /// so it is erased.
    fn exhausts_counter(&mut self, validated: &Validated) -> Step<bool, M> {
        let image = self.slots.image;
        let Some(counter) = validated.security_counter.filter(|_| C::KEEPS) else {
            return Ok(false);
        };
        if self.rules.security_counter.is_none_or(|stored| counter <= stored)
            || self.platform.counters.can_be_raised(&mut self.platform.flash, image)
        {
            return Ok(false);
        }
        if self.discard()? {
            self.tell(Event::CounterExhausted);
        }
        Ok(true)
    }
}
