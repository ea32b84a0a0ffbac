//! Slots of equal rank: the higher version runs, from wherever it is.
//!
//! ```text
//! for each image, until one stands:
//!   choose      the highest version among the slots still in question; a tie goes to the primary
//!   place       in place (direct-XIP), or copied to RAM (RAM-load)
//!   validate    there
//! then        does each image get what it needs? If not, that slot is out and the choice goes on
//! ```
//! With *revert*, an image has to be asked for by the magic in its trailer, is started once as a
//! test (`copy_done`), and is out of the question at the next boot unless it was confirmed
//! (`image_ok`). Source: MCUboot `docs/design.md`, "Equal slots (direct-xip)" and "RAM loading".

mod in_place;
mod in_ram;

use core::hint::black_box;

use updraft_flash::{FlashMap, SlotPair, TrailerFormat};
use updraft_image::{
    Flag, Flags, Magic, MaxSize, Refusal, Rules, SwapType, TornFlags, TrailerState, UpgradeMode,
    Verifier, Version,
};

pub use in_place::InPlace;
pub use in_ram::{InRam, LoadRegion};

use crate::outcome::Step;
use crate::placement::AsPlaced;
use crate::slots::{Slot, may_pass};
use crate::{
    Boot, BootError, Config, Configured, Event, Hooks, MAX_IMAGES, Placed, Placement, Platform,
    SecurityCounters, Status, dependencies,
};

/// A bootloader that runs the newest image from either of two slots of equal rank.
///
/// Its generics: where images run, and where the configuration is.
#[derive(Debug)]
pub struct EqualSlots<P, F = Config> {
    config: F,
    placement: P,
}

/// How good a slot's chances are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It holds nothing that could run.
    Out,
    /// It held something that could not be validated.
    Refused,
    /// Only if nothing else is left: it failed its test.
    Failed,
    /// Only if nothing better is left: nobody asked for it, or the board wants it so.
    Unasked,
    /// It may run.
    Candidate,
}

/// What has been found out about the slots of one image.
#[derive(Clone, Copy, Debug)]
struct Choice {
    standing: [Standing; 2],
    active: Option<(usize, Placed)>,
}

impl<P: Placement> EqualSlots<P> {
    /// A bootloader that runs images by way of `placement`.
    pub const fn new(config: Config, placement: P) -> Self {
        Self { config, placement }
    }
}

impl<P: Placement, F: Configured> EqualSlots<P, F> {
    /// The same for a board that is known while compiling: what it does not do is not linked.
    pub const fn fixed(config: F, placement: P) -> Self {
        Self { config, placement }
    }

    /// What the board fixes.
    #[inline(always)]
    pub fn config(&self) -> &Config {
        self.config.config()
    }

    /// The upgrade mode.
    pub fn mode(&self) -> UpgradeMode {
        self.placement.mode()
    }

    /// The largest image number `image` with its TLVs that this bootloader boots, in bytes.
    pub fn max_image_size<M: FlashMap>(
        &self,
        map: &M,
        image: u8,
    ) -> Result<u32, BootError<M::Error>> {
        let pair = self.config().images.slots().iter().find(|pair| pair.image == image);
        let pair = pair.ok_or(BootError::NoSuchImage { image })?;
        let mut max = u32::MAX;
        for at in 0..self.sides() {
            max = max.min(self.max_in(&self.slot(map, pair, at)?));
        }
        Ok(max)
    }

    /// How many slots each image has.
    fn sides(&self) -> usize {
        if self.placement.mode() == UpgradeMode::SingleSlotRamLoad { 1 } else { 2 }
    }

    fn slot<M: FlashMap>(&self, map: &M, pair: &SlotPair, at: usize) -> Step<Slot, M> {
        let Config { max_align, max_sectors, keys, .. } = *self.config();
        let format = TrailerFormat { mode: self.placement.mode(), max_align, max_sectors, keys };
        Slot::alone(map, &format, if at == 0 { pair.primary } else { pair.secondary })
    }

    fn max_in(&self, slot: &Slot) -> u32 {
        MaxSize::below_trailer(self.placement.mode(), slot.trailer.layout())
    }

    /// Chooses an image for every number, validates them, and returns the first one.
    ///
    /// `&mut self`, as images may be placed in memory that the placement owns.
    pub fn boot<M, V, C, H>(
        &mut self,
        platform: &mut Platform<M, V, C, H>,
    ) -> Result<Boot, BootError<M::Error>>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let images = self.config().images;
        self.boot_these(platform, images.slots())
    }

    /// The same for image number `image` alone: the others are not looked at, but for what it needs of them:
    /// the highest version that may be in their slots.
    pub fn boot_image<M, V, C, H>(
        &mut self,
        platform: &mut Platform<M, V, C, H>,
        image: u8,
    ) -> Result<Boot, BootError<M::Error>>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let images = self.config().images;
        let at = images.slots().iter().position(|pair| pair.image == image);
        let only = at.and_then(|at| images.slots().get(at..=at));
        self.boot_these(platform, only.ok_or(BootError::NoSuchImage { image })?)
    }

    fn boot_these<M, V, C, H>(
        &mut self,
        platform: &mut Platform<M, V, C, H>,
        pairs: &[SlotPair],
    ) -> Result<Boot, BootError<M::Error>>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        platform.hooks.status(Status::Startup);
        let outcome = self.course_of(platform, pairs);
        platform.hooks.status(Status::of(&outcome));
        outcome
    }

    fn course_of<M, V, C, H>(
        &mut self,
        platform: &mut Platform<M, V, C, H>,
        pairs: &[SlotPair],
    ) -> Step<Boot, M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let mut choices = [Choice { standing: [Standing::Out; 2], active: None }; MAX_IMAGES];
        for (pair, choice) in pairs.iter().zip(&mut choices) {
            for at in 0..self.sides() {
                let standing = self.first_glance(platform, pair, at)?;
                choice.standing.get_mut(at).into_iter().for_each(|slot| *slot = standing);
            }
        }
        let images = self.config().images;
        let mut candidates = [None; MAX_IMAGES];
        if !F::ONE_IMAGE {
            let others = images.slots().iter().filter(|pair| !pairs.contains(pair));
            for (other, candidate) in others.zip(&mut candidates) {
                *candidate = Some((*other, self.candidate(platform, other)?));
            }
        }
        // Every round but the last one puts a slot out.
        loop {
            for (at, (pair, choice)) in pairs.iter().zip(&mut choices).enumerate() {
                if choice.active.is_some() {
                    continue;
                }
                self.choose(platform, pair, choice)?;
                let absent = choice.standing == [Standing::Out; 2];
                if choice.active.is_none() && at > 0 && absent && self.config().strict() {
                    platform.hooks.event(pair.image, Event::NotProvisioned);
                } else if choice.active.is_none() {
                    return Err(BootError::NoImage);
                }
            }
            if F::ONE_IMAGE || images.slots().len() == 1 {
                break;
            }
            let runs = |flash: &mut M, image| {
                let chosen = pairs.iter().zip(&choices).find(|(pair, _)| pair.image == image);
                let chosen = chosen.and_then(|(pair, choice)| Some((*pair, choice.active?.0)));
                let other = || {
                    let candidates = candidates.iter().flatten();
                    let other = candidates.copied().find(|(pair, _)| pair.image == image);
                    other.and_then(|(pair, at)| Some((pair, at?)))
                };
                match chosen.or_else(other) {
                    Some((pair, at)) => self.slot(flash, &pair, at).map(Some),
                    None => Ok(None),
                }
            };
            let Platform { flash, hooks, .. } = &mut *platform;
            let numbers = pairs.iter().map(|pair| pair.image);
            let known = images.slots().iter().map(|pair| pair.image);
            let unmet = dependencies::unmet(flash, hooks, numbers, known, runs)?;
            let Some(image) = unmet else { break };
            self.placement.discard(image);
            let chosen = pairs.iter().zip(&mut choices).find(|(pair, _)| pair.image == image);
            if let Some((_, choice)) = chosen
                && let Some((at, _)) = choice.active.take()
            {
                choice.standing.get_mut(at).into_iter().for_each(|slot| *slot = Standing::Out);
            }
        }
        let mut first = None;
        // How many images were dealt with; a loop that was left early shows.
        let mut passed = 0;
        for (pair, choice) in pairs.iter().zip(&choices) {
            if let Some((at, placed)) = choice.active {
                let boot = self.start(platform, pair, choice, at, placed)?;
                first.get_or_insert(boot);
            }
            passed += 1;
        }
        if black_box(passed) != pairs.len() {
            return Err(BootError::Tampered);
        }
        first.ok_or(BootError::NoImage)
    }

    /// The slot that an image would be tried from first.
    fn candidate<M, V, C, H>(
        &self,
        platform: &mut Platform<M, V, C, H>,
        pair: &SlotPair,
    ) -> Step<Option<usize>, M>
    where
        M: FlashMap,
        H: Hooks<M::Error>,
    {
        let mut choice = Choice { standing: [Standing::Out; 2], active: None };
        for at in 0..self.sides() {
            let standing = self.first_glance(platform, pair, at)?;
            choice.standing.get_mut(at).into_iter().for_each(|slot| *slot = standing);
        }
        let flash = &mut platform.flash;
        for wanted in [Standing::Candidate, Standing::Unasked, Standing::Failed] {
            if let Some((at, _)) = self.highest(flash, pair, &choice, wanted)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// What header and trailer alone tell about a slot.
    fn first_glance<M: FlashMap, V, C, H: Hooks<M::Error>>(
        &self,
        platform: &mut Platform<M, V, C, H>,
        pair: &SlotPair,
        at: usize,
    ) -> Step<Standing, M> {
        let slot = self.slot(&platform.flash, pair, at)?;
        let head = match slot.head(&mut platform.flash) {
            Ok(head) => head,
            Err(error) => {
                platform.hooks.event(pair.image, Event::SlotUnreadable(slot.area, error));
                return Ok(Standing::Out);
            }
        };
        let Ok(header) = head.header() else { return Ok(Standing::Out) };
        if header.check(slot.size, self.rules(&slot, None).supported).is_err() {
            return Ok(Standing::Out);
        }
        let mut standing = Standing::Candidate;
        if self.config().strict() && self.placement.reverts() {
            let state = slot.trailer.read(&mut platform.flash).unwrap_or(TrailerState::UNSET);
            standing = match state.magic {
                Magic::Good if may_start(&state, true) => Standing::Candidate,
                Magic::Good => Standing::Failed,
                Magic::Bad | Magic::Unset => Standing::Unasked,
            };
        }
        if standing == Standing::Candidate
            && platform.hooks.last_resort(pair.image, slot.area, &header)
        {
            standing = Standing::Unasked;
        }
        Ok(standing)
    }

    /// Chooses among the slots that are still in question.
    fn choose<M, V, C, H>(
        &mut self,
        platform: &mut Platform<M, V, C, H>,
        pair: &SlotPair,
        choice: &mut Choice,
    ) -> Step<(), M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        for wanted in [Standing::Candidate, Standing::Unasked, Standing::Failed] {
            while let Some((at, slot)) = self.highest(&mut platform.flash, pair, choice, wanted)? {
                let tried = self.try_slot(platform, pair, &slot)?;
                if let Ok(placed) = tried {
                    choice.active = Some((at, placed));
                    return Ok(());
                }
                let standing = tried.err().unwrap_or(Standing::Out);
                choice.standing.get_mut(at).into_iter().for_each(|slot| *slot = standing);
            }
        }
        Ok(())
    }

    /// The slot of that standing with the highest version.
    fn highest<M: FlashMap>(
        &self,
        flash: &mut M,
        pair: &SlotPair,
        choice: &Choice,
        wanted: Standing,
    ) -> Step<Option<(usize, Slot)>, M> {
        let mut best: Option<(usize, Slot, Version)> = None;
        for (at, _) in choice.standing.iter().enumerate().filter(|(_, is)| **is == wanted) {
            let slot = self.slot(flash, pair, at)?;
            let head = slot.head(flash).map_err(BootError::Flash)?;
            let Ok(header) = head.header() else { continue };
            let version = header.version;
            if best.is_none_or(|(_, _, best)| version.cmp_ignoring_build(&best).is_gt()) {
                best = Some((at, slot, version));
            }
        }
        Ok(best.map(|(at, slot, _)| (at, slot)))
    }

    /// Places and validates the image of `slot`. The inner error says what becomes of the slot.
    ///
    /// The original erases whatever it does not like at once; strictly that waits until another
    /// image has been found good.
    fn try_slot<M, V, C, H>(
        &mut self,
        platform: &mut Platform<M, V, C, H>,
        pair: &SlotPair,
        slot: &Slot,
    ) -> Step<Result<Placed, Standing>, M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let strict = self.config().strict();
        let minimum = platform.counters.read(&mut platform.flash, pair.image)?;
        let rules = self.rules(slot, minimum);
        let Platform { flash, verifier, counters, hooks } = platform;
        let head = slot.head(flash).map_err(BootError::Flash)?;
        if strict && head.is_empty() {
            return Ok(Err(Standing::Out));
        }
        if !self.placement.suits(flash, slot, &head) {
            hooks.event(pair.image, Event::WrongAddress(slot.area));
            return Ok(Err(Standing::Out));
        }
        if !strict && self.placement.reverts() && !select(flash, slot)? {
            hooks.event(pair.image, Event::Reverted);
            return Ok(Err(Standing::Out));
        }
        let tried = self.placement.place(flash, pair.image, slot, &rules, verifier);
        // The original notices that an image must not be booted only when it validates it.
        if head.is_empty() && !matches!(tried, Err(Refusal::NotLoadable { .. })) {
            self.placement.discard(pair.image);
            return Ok(Err(Standing::Out));
        }
        if strict
            && let Ok(Placed { validated, .. }) = &tried
            && C::KEEPS
            && validated.security_counter > minimum
            && !counters.can_be_raised(flash, pair.image)
        {
            self.placement.discard(pair.image);
            hooks.event(pair.image, Event::CounterExhausted);
            return Ok(Err(Standing::Out));
        }
        let refusal = match tried {
            Ok(placed) if hooks.accepts(pair.image, &placed.header, &placed.validated) => {
                return Ok(Ok(placed));
            }
            Ok(_) => Refusal::Vetoed,
            Err(refusal) => refusal,
        };
        self.placement.discard(pair.image);
        let lasting = !matches!(&refusal, Refusal::Read(error) if may_pass(error));
        hooks.event(pair.image, Event::SlotRefused(slot.area, refusal));
        if !strict {
            slot.erase_all(flash).map_err(BootError::Flash)?;
        }
        Ok(Err(if lasting { Standing::Refused } else { Standing::Out }))
    }

    fn rules(&self, slot: &Slot, security_counter: Option<u32>) -> Rules {
        let mut rules = self.config().rules_of(security_counter, false);
        if rules.max_size == 0 {
            rules.max_size = self.max_in(slot);
        }
        // Ciphertext cannot be executed.
        if !self.placement.decrypts() {
            rules.supported = rules.supported.without(Flags::ENCRYPTED);
        }
        rules
    }

    /// What is left to do once an image has been chosen.
    fn start<M, V, C, H>(
        &self,
        platform: &mut Platform<M, V, C, H>,
        pair: &SlotPair,
        choice: &Choice,
        at: usize,
        placed: Placed,
    ) -> Step<Boot, M>
    where
        M: FlashMap,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let slot = self.slot(&platform.flash, pair, at)?;
        let flash = &mut platform.flash;
        if self.config().strict() {
            for (other, _) in
                choice.standing.iter().enumerate().filter(|(_, is)| **is == Standing::Refused)
            {
                self.slot(flash, pair, other)?.erase_all(flash).map_err(BootError::Flash)?;
            }
        }
        let mut confirmed = true;
        if self.placement.reverts() {
            let state = slot.trailer.read(flash).map_err(BootError::Flash)?;
            let state = state.decide_torn_flags(TornFlags::CountAsSet);
            confirmed = state.image_ok == Flag::Set;
            let first = state.magic == Magic::Good && state.copy_done == Flag::Unset;
            if self.config().strict() && first {
                slot.trailer.write_copy_done(flash).map_err(BootError::Flash)?;
            } else if choice.standing.get(at) == Some(&Standing::Failed) {
                platform.hooks.event(pair.image, Event::NothingToRevertTo);
            }
        }
        // An image under test must not bar the way back by raising the counter. The original
        // thinks of that only for images that run in place.
        let waits = self.config().strict() || self.placement.mode() == UpgradeMode::DirectXipRevert;
        if let Some(counter) = placed.validated.security_counter
            && (confirmed || !waits)
        {
            platform.counters.raise(&mut platform.flash, pair.image, counter)?;
        }
        let boot = Boot {
            image: pair.image,
            area: slot.area,
            offset: 0,
            load_address: placed.load_address,
            header: placed.header,
            validated: Some(placed.validated),
            swap: SwapType::None,
        };
        platform.close_counter(&boot)?;
        let Platform { flash, hooks, .. } = &mut *platform;
        let copy = self.placement.copy(pair.image);
        hooks.ready(&mut AsPlaced { flash, area: slot.area, copy }, &boot)?;
        boot.cleared(true, &self.config().rules)?;
        Ok(boot)
    }
}

/// Whether an image with this trailer was asked for, and did not fail its test.
fn may_start(state: &TrailerState, strict: bool) -> bool {
    let state = if strict { state.decide_torn_flags(TornFlags::CountAsSet) } else { *state };
    let failed = state.copy_done == Flag::Set && state.image_ok != Flag::Set;
    state.magic == Magic::Good && !failed
}

/// The original's way: marks the image as being tested, or erases it if it may not start.
fn select<M: FlashMap>(flash: &mut M, slot: &Slot) -> Step<bool, M> {
    let state = slot.trailer.read(flash).map_err(BootError::Flash)?;
    let may = may_start(&state, false);
    if !may {
        slot.erase_all(flash).map_err(BootError::Flash)?;
    } else if state.copy_done != Flag::Set {
        // The image is started whether or not it could be marked.
        let _ = slot.trailer.write_copy_done(flash);
    }
    Ok(may)
}

/// The refusal of an image that was validated somewhere else than in flash.
fn refused<E>(refusal: Refusal<updraft_image::OutOfRange>) -> Refusal<E> {
    refusal.map_read(|out| Refusal::TooLarge {
        size: out.offset.saturating_add(out.len as u32),
        max: out.size as u32,
    })
}
