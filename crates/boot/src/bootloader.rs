//! The course of a boot: decide, bring the new image in place, check what is to run.

use updraft_flash::{Fault, FlashError, FlashMap};
use updraft_image::{
    Flag, Header, Magic, Refusal, Rules, SwapType, TlvArea, TlvType, TrailerState, UpgradeMode,
    Validated, Verifier, validate,
};

use crate::slots::Slot;
use crate::{
    Boot, BootError, Config, Downgrade, Event, Events, Installed, Job, Overwrite, Progress,
    SecurityCounters, Slots, Strategy,
};

/// A bootloader for one image in two slots.
#[derive(Clone, Copy, Debug)]
pub struct Bootloader<S> {
    config: Config,
    strategy: S,
}

impl<S: Strategy> Bootloader<S> {
    /// A bootloader that upgrades by `strategy`.
    pub const fn new(config: Config, strategy: S) -> Self {
        Self { config, strategy }
    }

    /// What the board fixes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The upgrade mode.
    pub fn mode(&self) -> UpgradeMode {
        self.strategy.mode()
    }

    /// The largest image with its TLVs that this bootloader boots, in bytes.
    pub fn max_image_size<M: FlashMap>(&self, map: &M) -> Result<u32, BootError<M::Error>> {
        let slots = Slots::new(map, &self.config, self.strategy.mode())?;
        Ok(self.rules(map, &slots, None).max_size)
    }

    /// What the next [`Bootloader::boot`] would do, told from the trailers alone. No image is
    /// looked at and nothing is written.
    pub fn pending<M: FlashMap>(&self, map: &mut M) -> Result<SwapType, BootError<M::Error>> {
        let slots = Slots::new(map, &self.config, self.strategy.mode())?;
        match self.strategy.progress(map, &slots)? {
            Progress::None => self.decide(map, &slots),
            Progress::Recorded(swap) | Progress::Interrupted { swap, .. } => Ok(swap),
        }
    }

    /// Finishes what an earlier boot began, carries out what the application asked for, and
    /// checks the image in the primary slot.
    ///
    /// After a power cut at any point, running it again leads to the same end. `events` tells what
    /// happened on the way, also where the boot fails.
    pub fn boot<M: FlashMap, V: Verifier, C: SecurityCounters>(
        &self,
        map: &mut M,
        verifier: &mut V,
        counters: &mut C,
        events: &mut Events<M::Error>,
    ) -> Result<Boot, BootError<M::Error>> {
        let slots = Slots::new(map, &self.config, self.strategy.mode())?;
        let minimum = counters.read(slots.image)?;
        let rules = self.rules(map, &slots, minimum);
        let mut run = Run { loader: self, slots, rules, map, verifier, counters, events };
        let swap = run.upgrade()?;
        run.start(swap)
    }

    fn rules<M: FlashMap>(&self, map: &M, slots: &Slots, security_counter: Option<u32>) -> Rules {
        let mut rules = Rules { security_counter, ..self.config.rules };
        if rules.max_size == 0 {
            rules.max_size = self.strategy.max_image_size(map, slots);
        }
        rules
    }

    /// What the trailers ask for.
    fn decide<M: FlashMap>(
        &self,
        map: &mut M,
        slots: &Slots,
    ) -> Result<SwapType, BootError<M::Error>> {
        let primary = slots.primary_state(map).map_err(BootError::Flash)?;
        let secondary = slots.secondary_state(map);
        Ok(match TrailerState::swap_type(&primary, &secondary) {
            // Where nothing is kept there is nothing to revert to. The original installs whatever
            // is in the secondary slot.
            SwapType::Revert if slots.strict && !self.strategy.mode().swaps() => SwapType::None,
            swap => swap,
        })
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

/// One boot.
struct Run<'a, S, M: FlashMap, V, C> {
    loader: &'a Bootloader<S>,
    slots: Slots,
    rules: Rules,
    map: &'a mut M,
    verifier: &'a mut V,
    counters: &'a mut C,
    events: &'a mut Events<M::Error>,
}

impl<S, M, V, C> Run<'_, S, M, V, C>
where
    S: Strategy,
    M: FlashMap,
    V: Verifier,
    C: SecurityCounters,
{
    /// Everything that changes the slots. Returns what was done.
    fn upgrade(&mut self) -> Result<SwapType, BootError<M::Error>> {
        let Self { loader, slots, .. } = *self;
        if !loader.strategy.compatible(self.map, &slots) {
            self.events.push(Event::SlotsIncompatible);
            return Ok(SwapType::None);
        }
        let progress = loader.strategy.progress(self.map, &slots)?;
        if let Progress::Interrupted { swap, gap } = progress {
            return self.resume(swap, gap);
        }
        let primary = slots.primary.head(self.map).map_err(BootError::Flash)?;
        let swaps = loader.strategy.mode().swaps();
        let bootstrap = loader.config.bootstrap;
        if swaps && !slots.strict && primary.header().is_err() {
            // The original gives up on an upgrade by swap if there is no image to swap out.
            if !(bootstrap && primary.is_erased()) {
                return Ok(SwapType::None);
            }
        }
        let asked = match progress {
            Progress::Recorded(swap) => swap,
            _ => loader.decide(self.map, &slots)?,
        };
        let swap = match asked {
            SwapType::None => SwapType::None,
            swap => match (self.check_secondary(swap)?, progress) {
                (Check::Good, _) => swap,
                (Check::Bad, Progress::Recorded(_)) => SwapType::Fail,
                (Check::Bad | Check::Unreadable, _) => SwapType::None,
            },
        };
        match swap {
            SwapType::None if bootstrap => self.bootstrap(),
            SwapType::None => Ok(SwapType::None),
            SwapType::Fail => self.give_up(),
            SwapType::Test | SwapType::Permanent if swaps && self.is_downgrade()? => {
                Ok(SwapType::None)
            }
            SwapType::Test | SwapType::Permanent | SwapType::Revert => self.run(swap, progress),
        }
    }

    /// Finishes a swap that moved sectors already. Neither image can be checked before that.
    fn resume(&mut self, swap: SwapType, gap: bool) -> Result<SwapType, BootError<M::Error>> {
        let Self { loader, slots, .. } = *self;
        if gap {
            self.events.push(Event::StatusGap);
            // Only a validation at the end tells whether the last record can be believed.
            if !loader.config.validate_primary {
                return Err(BootError::BadStatus);
            }
        }
        let progress = Progress::Interrupted { swap, gap };
        let job = Job { swap, progress, primary_size: 0, secondary_size: 0 };
        loader.strategy.install(self.map, &slots, &job)?;
        loader.strategy.finish(self.map, &slots, &job)?;
        self.events.push(Event::Resumed(swap));
        Ok(swap)
    }

    /// Carries out a swap or copy whose image has been validated.
    fn run(&mut self, swap: SwapType, progress: Progress) -> Result<SwapType, BootError<M::Error>> {
        let Self { loader, slots, .. } = *self;
        let swaps = loader.strategy.mode().swaps();
        if swaps && loader.config.bootstrap && self.validate(&slots.primary).is_err() {
            return self.copy_first(swap);
        }
        let event = match swap {
            SwapType::Revert => Event::Reverted,
            swap => Event::Installed(swap),
        };
        self.install(swap, progress, event)
    }

    fn install(
        &mut self,
        swap: SwapType,
        progress: Progress,
        event: Event<M::Error>,
    ) -> Result<SwapType, BootError<M::Error>> {
        let Self { loader, slots, .. } = *self;
        let swaps = loader.strategy.mode().swaps();
        let primary_size = match slots.primary.image_size(self.map) {
            // What is not an image need not be kept whole.
            Err(_) if slots.strict || !swaps => 0,
            size => size.map_err(BootError::Refused)?,
        };
        let secondary_size = slots.secondary.image_size(self.map).map_err(BootError::Refused)?;
        let job = Job { swap, progress, primary_size, secondary_size };
        match loader.strategy.install(self.map, &slots, &job)? {
            Installed::NoSpace { needed, available } => {
                self.events.push(Event::NoSpace { needed, available });
                if !slots.strict {
                    loader.strategy.finish(self.map, &slots, &job)?;
                }
                return Ok(SwapType::None);
            }
            Installed::Done if swap == SwapType::Permanent || !swaps => self.raise_counter()?,
            Installed::Done => {}
        }
        loader.strategy.finish(self.map, &slots, &job)?;
        self.events.push(event);
        Ok(swap)
    }

    /// Installs the first image of a device: asked or unasked, when there is none to run.
    fn bootstrap(&mut self) -> Result<SwapType, BootError<M::Error>> {
        let Self { loader, slots, .. } = *self;
        if self.validate(&slots.primary).is_ok() {
            return Ok(SwapType::None);
        }
        let head = slots.secondary.head(self.map);
        if slots.strict && head.is_ok_and(|head| head.header().is_err()) {
            return Ok(SwapType::None);
        }
        if self.check_secondary(SwapType::None)? != Check::Good {
            return Ok(SwapType::None);
        }
        if loader.strategy.mode().swaps() {
            return self.copy_first(SwapType::Revert);
        }
        self.install(SwapType::Revert, Progress::None, Event::Bootstrapped)
    }

    /// The copy that a swap mode does when there is nothing to swap out. The image in the
    /// secondary slot stays; only the request goes.
    fn copy_first(&mut self, swap: SwapType) -> Result<SwapType, BootError<M::Error>> {
        let Self { slots, .. } = *self;
        let Slots { primary, secondary, strict, .. } = slots;
        let size = secondary.image_size(self.map).map_err(BootError::Refused)?;
        Overwrite::Image.copy_image(self.map, &slots, size).map_err(BootError::Flash)?;
        self.raise_counter()?;
        let map = &mut *self.map;
        let mut finish = || {
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
        self.events.push(Event::Bootstrapped);
        Ok(swap)
    }

    /// Ends a swap that was recorded but whose image turned out bad: what runs now stays.
    fn give_up(&mut self) -> Result<SwapType, BootError<M::Error>> {
        let trailer = &self.slots.primary.trailer;
        let mut give_up = || {
            if self.slots.primary_state(self.map)?.image_ok == Flag::Unset {
                trailer.write_image_ok(self.map)?;
            }
            // Without it the original finds the record, and clears the secondary trailer, at
            // every boot.
            if self.slots.strict { trailer.write_copy_done(self.map) } else { Ok(()) }
        };
        give_up().map_err(BootError::Flash)?;
        Ok(SwapType::Fail)
    }

    /// Whether the secondary slot holds an image that `swap` may bring in. What is not acceptable
    /// is erased, so that it is not looked at again at every boot.
    fn check_secondary(&mut self, swap: SwapType) -> Result<Check, BootError<M::Error>> {
        let Self { loader, slots, .. } = *self;
        let swaps = loader.strategy.mode().swaps();
        let head = match slots.secondary.head(self.map) {
            Ok(head) => head,
            Err(error) => {
                self.events.push(Event::SecondaryUnreadable(error));
                return Ok(Check::Unreadable);
            }
        };
        if head.is_empty() {
            self.events.push(match swap {
                SwapType::Revert => Event::NothingToRevertTo,
                _ => Event::SecondaryEmpty,
            });
            self.clear_request(swap, swaps)?;
            return Ok(Check::Bad);
        }
        if !swaps && !slots.strict && self.is_downgrade()? {
            return Ok(Check::Bad);
        }
        match self.validate(&slots.secondary) {
            Ok(_) if !swaps && slots.strict && self.is_downgrade()? => Ok(Check::Bad),
            Ok(_) => Ok(Check::Good),
            // A device that does not answer now may hold a good image still. Cells that cannot be
            // read are another matter: they stay so until they are erased.
            Err(Refusal::Read(error)) if slots.strict && error.fault() != Fault::Unreadable => {
                self.events.push(Event::SecondaryUnreadable(error));
                Ok(Check::Unreadable)
            }
            Err(refusal) => {
                slots.secondary.erase_all(self.map).map_err(BootError::Flash)?;
                self.events.push(Event::SecondaryRefused(refusal));
                if slots.strict && swap == SwapType::Revert {
                    self.events.push(Event::NothingToRevertTo);
                    self.stay()?;
                }
                Ok(Check::Bad)
            }
        }
    }

    /// Clears a request that has no image. In overwrite mode the original leaves it; then it
    /// would be obeyed as soon as there is an image, asked or not.
    fn clear_request(&mut self, swap: SwapType, swaps: bool) -> Result<(), BootError<M::Error>> {
        let Self { slots, .. } = *self;
        let mut clear = || {
            if !slots.strict {
                if swaps {
                    slots.secondary.trailer.erase(self.map)?;
                    if swap == SwapType::Revert {
                        slots.primary.trailer.erase(self.map)?;
                    }
                }
                return Ok(());
            }
            if !slots.secondary.trailer.is_erased(self.map)? {
                slots.secondary.trailer.erase(self.map)?;
            }
            Ok(())
        };
        clear().map_err(BootError::Flash)?;
        if slots.strict && swap == SwapType::Revert { self.stay() } else { Ok(()) }
    }

    /// Settles for the image under test, as there is nothing to revert to. If that were left for
    /// later, whatever is uploaded next would be taken for the image to revert to.
    ///
    /// One write does it; erasing the primary trailer, torn, might leave a record of a swap that
    /// is over.
    fn stay(&mut self) -> Result<(), BootError<M::Error>> {
        self.slots.primary.trailer.write_image_ok(self.map).map_err(BootError::Flash)
    }

    /// Whether the secondary slot's image is older than the running one and that matters. If so
    /// it is erased.
    fn is_downgrade(&mut self) -> Result<bool, BootError<M::Error>> {
        let Self { loader, slots, .. } = *self;
        if loader.config.downgrade == Downgrade::Allowed {
            return Ok(false);
        }
        let [primary, secondary] = [slots.primary, slots.secondary].map(|slot| {
            let head = slot.head(self.map);
            head.map(|head| head.header().ok().map(|header| header.version))
        });
        let (Some(running), Some(offered)) =
            (primary.map_err(BootError::Flash)?, secondary.map_err(BootError::Flash)?)
        else {
            return Ok(false);
        };
        if offered.cmp_ignoring_build(&running).is_ge() {
            return Ok(false);
        }
        // The version of an image that cannot run, or that a cut has half replaced, is no reason
        // to erase the one that could.
        if slots.strict && self.validate(&slots.primary).is_err() {
            return Ok(false);
        }
        slots.secondary.erase_all(self.map).map_err(BootError::Flash)?;
        self.events.push(Event::DowngradeRefused { running, offered });
        Ok(true)
    }

    fn validate(&mut self, slot: &Slot) -> Result<(Header, Validated), Refusal<M::Error>> {
        let header = slot.head(self.map).map_err(Refusal::Read)?;
        let header = header.header().map_err(Refusal::Header)?;
        let mut source = slot.source(self.map);
        let validated = validate(&mut source, &header, &self.rules, self.verifier)?;
        Ok((header, validated))
    }

    /// Raises the stored security counter to that of the image in the primary slot.
    fn raise_counter(&mut self) -> Result<(), BootError<M::Error>> {
        if self.rules.security_counter.is_none() {
            return Ok(());
        }
        let primary = self.slots.primary;
        let head = primary.head(self.map).map_err(BootError::Flash)?;
        let mut read = || -> Result<u32, Refusal<M::Error>> {
            let header = head.header().map_err(Refusal::Header)?;
            let mut source = primary.source(self.map);
            let mut protected = TlvArea::open(&mut source, &header)?.iter_protected();
            let entry = protected.find(&mut source, TlvType::SEC_CNT)?;
            let entry = entry.ok_or(Refusal::NoSecurityCounter)?;
            let mut bytes = [0; 4];
            let payload = entry.payload(&mut source, &mut bytes).map_err(Refusal::Read)?;
            match payload.map(TryInto::try_into) {
                Some(Ok(bytes)) => Ok(u32::from_le_bytes(bytes)),
                _ => Err(Refusal::TlvLength { entry }),
            }
        };
        let value = read().map_err(BootError::Refused)?;
        self.counters.raise(self.slots.image, value)?;
        Ok(())
    }

    /// Checks the image in the primary slot.
    fn start(mut self, swap: SwapType) -> Result<Boot, BootError<M::Error>> {
        let primary = self.slots.primary;
        let head = primary.head(self.map).map_err(BootError::Flash)?;
        let (header, validated) = if self.loader.config.validate_primary {
            if head.is_empty() {
                return Err(BootError::NoImage);
            }
            let (header, validated) = self.validate(&primary).map_err(BootError::Refused)?;
            (header, Some(validated))
        } else {
            (head.header().map_err(|error| BootError::Refused(Refusal::Header(error)))?, None)
        };
        let state = self.slots.primary_state(self.map).map_err(BootError::Flash)?;
        // An image under test must not bar the way back by raising the counter.
        if state.magic != Magic::Good || state.image_ok == Flag::Set {
            self.raise_counter()?;
        }
        Ok(Boot { image: self.slots.image, area: primary.area, offset: 0, header, validated, swap })
    }
}
