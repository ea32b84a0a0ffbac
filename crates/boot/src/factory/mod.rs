//! Rolling a device back to the image that it left the factory with.
//!
//! The factory image lies in an area of its own that nobody writes after the factory, and is linked
//! to run from the primary slot. On demand it is copied there:
//!
//! | step | where | |
//! |---|---|---|
//! | 1 | factory area | verify the whole image in place; nothing is touched if it would not run |
//! | 2 | secondary | erase the trailer sectors, downwards: a request would undo the rollback |
//! | 3 | secondary | write the record: from here on a power cut is resumed by itself |
//! | 4 | primary | erase the trailer sectors, downwards, then the others, upwards |
//! | 5 | primary | copy the image; verify it |
//! | 6 | secondary | erase the trailer sectors, and the record with them |
//!
//! The record is 16 bytes in the place of the trailer's magic that are not the magic, so that
//! other software sees a damaged request and no more. It is looked for before anything else: what
//! a torn erase leaves of the primary trailer, which may hold the status of a swap that is over, is
//! never taken for one that is under way. A cut up to step 3 leaves the old image running. Doing it
//! again changes nothing but the flash's wear.
//!
//! Unlike the bootloader that the idea comes from (Infineon's `anycloud-mcuboot-rollback`
//! example), nothing is erased before the factory image has proved itself, and nobody has to press
//! the button again after a power cut.

mod button;
mod console;

use core::fmt;

use updraft_flash::{AreaId, FlashMap, SlotPair, readable};
use updraft_image::text::{self, Hex};
use updraft_image::{
    Describe, Header, HeaderError, Refusal, Rules, SwapType, Text, UpgradeMode, Validated,
    Verifier, align_down, align_up,
};

pub use button::{Button, Decision, Hold, Press, decide};
pub use console::Line;

use crate::copy::PIECE;
use crate::{
    Boot, BootError, Config, CounterFault, Event, Hooks, Platform, Secrets, SecurityCounters, Slot,
    Slots, Status,
};

/// The record of a rollback that has begun.
const RECORD: [u8; 16] = *b"Updraft rollback";
/// The widest write that the record is padded to.
const WIDEST: usize = 512;

/// How a board rolls back.
#[derive(Clone, Copy, Debug)]
pub struct Rollback {
    /// The image that is rolled back, with its slots.
    pub slots: SlotPair,
    /// Where the factory image lies.
    pub factory: AreaId,
    /// The bootloader's configuration, and its upgrade mode.
    pub config: Config,
    /// The upgrade mode, which decides where the trailer lies.
    pub mode: UpgradeMode,
    /// The addresses that the primary slot is mapped to, first and last; the factory image's reset
    /// vector has to point there. `None` where images have no vector table.
    pub runs_at: Option<(u32, u32)>,
}

/// Why there was no rollback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RollbackError<E> {
    /// The flash map lacks an area, or a slot holds no trailer.
    NoArea(AreaId),
    /// The factory image is not acceptable. Nothing was touched.
    Factory(Refusal<E>),
    /// The factory image was made to run from somewhere else. Nothing was touched.
    ElsewhereLinked {
        /// Its reset vector.
        vector: u32,
    },
    /// The factory image reaches into the sectors of the primary slot's trailer, or past its end.
    /// Nothing was touched.
    TooLarge {
        /// Its size, TLVs included.
        size: u32,
        /// The most that there is room for.
        max: u32,
    },
    /// The copy in the primary slot is not what was verified; it is tried again at the next boot.
    Copy(Refusal<E>),
    /// The security counter store failed.
    Counter,
    /// The board does not let the factory image start, which is in the primary slot now.
    NotReady,
    /// The flash failed; a rollback that has begun goes on at the next boot.
    Flash(E),
}

impl<E> RollbackError<E> {
    /// What the original says about a factory image that it refuses.
    fn line(&self) -> Line {
        match self {
            Self::Factory(Refusal::Read(_)) => Line::MagicUnreadable,
            Self::Factory(Refusal::Header(HeaderError::Magic { found })) => {
                Line::InvalidMagic(*found)
            }
            _ => Line::ValidationFailed,
        }
    }
}

impl<E: Describe> Describe for RollbackError<E> {
    fn describe(&self, to: &mut Text<'_>) {
        match self {
            Self::NoArea(area) => to.fill("area {} cannot be rolled back to or from", &[area]),
            Self::Factory(refusal) => to.fill("the factory image: {}", &[refusal]),
            Self::ElsewhereLinked { vector } => to.fill(
                "the factory image starts at {}, outside the primary slot",
                &[&Hex(*vector, 8)],
            ),
            Self::TooLarge { size, max } => {
                to.fill("the factory image takes {} bytes, there is room for {}", &[size, max]);
            }
            Self::Copy(refusal) => to.fill("the copy of the factory image: {}", &[refusal]),
            Self::Counter => to.say("the security counter store failed"),
            Self::NotReady => to.say("the factory image is in place, and cannot be started"),
            Self::Flash(error) => error.describe(to),
        }
    }
}

impl<E: Describe> fmt::Display for RollbackError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}

impl<E: fmt::Debug + Describe> core::error::Error for RollbackError<E> {}

impl<E> From<CounterFault> for RollbackError<E> {
    fn from(CounterFault: CounterFault) -> Self {
        Self::Counter
    }
}

impl<E> From<RollbackError<E>> for BootError<E> {
    fn from(error: RollbackError<E>) -> Self {
        match error {
            RollbackError::NoArea(area) => Self::NoSlot { area },
            RollbackError::Factory(refusal) | RollbackError::Copy(refusal) => {
                Self::Refused(refusal)
            }
            RollbackError::TooLarge { size, max } => Self::Refused(Refusal::TooLarge { size, max }),
            RollbackError::ElsewhereLinked { .. } => Self::NoImage,
            RollbackError::Counter => Self::Counter,
            RollbackError::NotReady => Self::NoImage,
            RollbackError::Flash(error) => Self::Flash(error),
        }
    }
}

/// What a boot with a factory image behind it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course<E> {
    /// Start the application.
    Start(Boot),
    /// Start the factory image.
    StartFactory(Boot),
    /// There is nothing to start. Wait for the button to be released, and then
    /// [`Rollback::roll_back`].
    Prompt(BootError<E>),
}

type Outcome<T, M> = Result<T, RollbackError<<M as FlashMap>::Error>>;

impl Rollback {
    fn slots<M: FlashMap>(&self, flash: &M) -> Outcome<Slots, M> {
        Slots::new(flash, &self.config, &self.slots, self.mode).map_err(|error| match error {
            BootError::NoSlot { area } => RollbackError::NoArea(area),
            _ => RollbackError::NoArea(self.slots.primary),
        })
    }

    /// Where the record goes, how wide its write is, and where in that it lies.
    fn record<M: FlashMap>(&self, flash: &M) -> Outcome<(u32, usize, usize), M> {
        let area = self.slots.secondary;
        let info = flash.info(area).ok_or(RollbackError::NoArea(area))?;
        let at = info.size.checked_sub(RECORD.len() as u32).ok_or(RollbackError::NoArea(area))?;
        let cell = align_down(at, info.write_size.max(1));
        let width = (info.size - cell) as usize;
        let width = Some(width).filter(|width| *width <= WIDEST);
        Ok((cell, width.ok_or(RollbackError::NoArea(area))?, (at - cell) as usize))
    }

    /// Whether a rollback was begun and did not end.
    pub fn is_in_progress<M: FlashMap>(&self, flash: &mut M) -> Outcome<bool, M> {
        let (cell, _, within) = self.record(flash)?;
        let mut bytes = [0; RECORD.len()];
        let at = cell.saturating_add(within as u32);
        let read = flash.read(self.slots.secondary, at, &mut bytes);
        Ok(readable(read).map_err(RollbackError::Flash)? && bytes == RECORD)
    }

    /// Goes on with a rollback that a power cut interrupted; `None` if there is none. To be called
    /// before anything else is booted.
    pub fn resume<M, V, C, H>(
        &self,
        platform: &mut Platform<M, V, C, H>,
    ) -> Outcome<Option<Boot>, M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        if self.is_in_progress(&mut platform.flash)? {
            platform.hooks.status(Status::Startup);
            platform.hooks.line(Line::Resuming);
            return self.carry_out(platform, true, &mut false).map(Some);
        }
        Ok(None)
    }

    /// A whole boot: goes on with a rollback that was interrupted, or lets `loader` finish upgrades
    /// and check the image, and then does what the button says. `press` is asked once there is an
    /// image to start; it may wait until the button has been held for long enough.
    ///
    /// A rollback that is asked for and cannot be done leaves the image that is there to be
    /// started.
    pub fn boot<M, V, C, H>(
        &self,
        platform: &mut Platform<M, V, C, H>,
        loader: impl FnOnce(&mut Platform<M, V, C, H>) -> Result<Boot, BootError<M::Error>>,
        press: impl FnOnce() -> Press,
    ) -> Course<M::Error>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        platform.hooks.line(Line::Started);
        let image = self.slots.image;
        match self.resume(platform) {
            Ok(Some(boot)) => return Course::StartFactory(boot),
            Ok(None) => {}
            // An upgrade may still repair the device.
            Err(error) => platform.hooks.event(image, Event::RollbackFailed(error)),
        }
        let boot = match loader(platform) {
            Ok(boot) => boot,
            Err(error) => {
                platform.hooks.line(Line::NoUpgrade);
                platform.hooks.line(Line::NoValidImage);
                platform.hooks.line(Line::Prompt);
                return Course::Prompt(error);
            }
        };
        platform.hooks.line(Line::Validated);
        if decide(true, press()) != Decision::RollBack {
            platform.hooks.line(Line::Starting);
            return Course::Start(boot);
        }
        platform.hooks.line(Line::ButtonDetected);
        platform.hooks.line(Line::RollbackAtStartup);
        let mut touched = false;
        let begun = self.is_in_progress(&mut platform.flash);
        let error = match begun.and_then(|begun| self.carry_out(platform, begun, &mut touched)) {
            Ok(boot) => return Course::StartFactory(boot),
            Err(error) => error,
        };
        platform.hooks.line(Line::CannotRollBack);
        if touched {
            return Course::Prompt(error.into());
        }
        platform.hooks.event(image, Event::RollbackFailed(error));
        platform.hooks.line(Line::Starting);
        platform.hooks.status(Status::BootableImageFound);
        Course::Start(boot)
    }

    /// Rolls the device back. The image that is returned is the factory's, in the primary slot.
    pub fn roll_back<M, V, C, H>(&self, platform: &mut Platform<M, V, C, H>) -> Outcome<Boot, M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let begun = self.is_in_progress(&mut platform.flash)?;
        self.carry_out(platform, begun, &mut false)
    }

    /// Rolls back; one that has `begun` has its record. From `touched` on, the primary slot is not
    /// what it was.
    fn carry_out<M, V, C, H>(
        &self,
        platform: &mut Platform<M, V, C, H>,
        begun: bool,
        touched: &mut bool,
    ) -> Outcome<Boot, M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        platform.hooks.status(Status::Upgrading);
        let outcome = self.steps(platform, begun, touched);
        platform.hooks.status(match &outcome {
            Ok(_) => Status::BootableImageFound,
            Err(RollbackError::Flash(_) | RollbackError::Counter) => Status::BootFailed,
            Err(_) => Status::NoBootableImage,
        });
        outcome
    }

    fn steps<M, V, C, H>(
        &self,
        platform: &mut Platform<M, V, C, H>,
        begun: bool,
        touched: &mut bool,
    ) -> Outcome<Boot, M>
    where
        M: FlashMap,
        V: Verifier,
        C: SecurityCounters,
        H: Hooks<M::Error>,
    {
        let image = self.slots.image;
        let security_counter = platform.counters.read(&mut platform.flash, image)?;
        let rules = Rules { max_size: 0, ..self.config.rules_of(security_counter, false) };
        let Platform { flash, verifier, hooks, .. } = platform;
        let Slots { primary, secondary, .. } = self.slots(flash)?;
        // It may be encrypted, as an update may be.
        let factory = Slot { area: self.factory, ciphertext: true, ..primary };
        let status = primary.trailer.layout().status();
        let max = flash.sector_at(primary.area, status).map_or(0, |first| first.offset);

        hooks.line(Line::Checking);
        let checked = self.check(flash, verifier, &factory, &rules, max).and_then(|checked| {
            let (header, validated, secrets) = checked;
            match hooks.accepts(image, &header, &validated) {
                true => Ok((validated.size, secrets)),
                false => Err(RollbackError::Factory(Refusal::Vetoed)),
            }
        });
        let (size, secrets) = match checked {
            Ok(checked) => checked,
            Err(error) => {
                hooks.line(error.line());
                return Err(error);
            }
        };
        hooks.line(Line::ValidMagic);

        if !begun {
            self.begin(flash, &secondary)?;
        }
        hooks.line(Line::Erasing);
        *touched = true;
        if let Err(error) = make_room(flash, &primary, max) {
            hooks.line(Line::EraseFailed);
            return Err(RollbackError::Flash(error));
        }
        hooks.line(Line::Transferring);
        hooks.line(Line::Wait);
        let size = align_up(size, primary.write_size).unwrap_or(size).min(max);
        if let Err((line, error)) = transfer(flash, factory.area, primary.area, size, &secrets) {
            hooks.line(line);
            hooks.line(Line::TransferFailed);
            return Err(RollbackError::Flash(error));
        }
        hooks.line(Line::Copied);

        let (header, validated) = match primary.validate(flash, verifier, &rules) {
            Ok(checked) => checked,
            Err(refusal) => {
                hooks.line(Line::ValidationFailed);
                return Err(RollbackError::Copy(refusal));
            }
        };
        hooks.installed(flash, image, primary.area, SwapType::None).map_err(not_ready)?;
        secondary.trailer.erase(flash).map_err(RollbackError::Flash)?;
        hooks.line(Line::FactoryValidated);
        let boot = Boot {
            image,
            area: primary.area,
            offset: 0,
            load_address: None,
            header,
            validated: Some(validated),
            swap: SwapType::None,
        };
        let handed = platform.hand_over(&boot, true, &self.config.rules);
        handed.map(|()| boot).map_err(not_ready)
    }

    /// Whether the factory image may run, and has room: its size, and what it is encrypted with.
    fn check<M: FlashMap, V: Verifier>(
        &self,
        flash: &mut M,
        verifier: &mut V,
        factory: &Slot,
        rules: &Rules,
        max: u32,
    ) -> Outcome<(Header, Validated, Secrets), M> {
        let checked = factory.validate(flash, verifier, rules);
        let (header, validated) = checked.map_err(RollbackError::Factory)?;
        let Validated { size, .. } = validated;
        if size > max {
            return Err(RollbackError::TooLarge { size, max });
        }
        let secrets = Secrets::of_source(&mut factory.source(flash), &header, verifier);
        let secrets = secrets.map_err(RollbackError::Factory)?;
        self.check_vector(flash, &header, &secrets)?;
        Ok((header, validated, secrets))
    }

    /// Writes the record that a rollback has begun, in the place of whatever was asked there.
    fn begin<M: FlashMap>(&self, flash: &mut M, secondary: &Slot) -> Outcome<(), M> {
        let trailer = &secondary.trailer;
        if !trailer.is_erased(flash).map_err(RollbackError::Flash)? {
            trailer.erase(flash).map_err(RollbackError::Flash)?;
        }
        self.write_record(flash)
    }

    fn write_record<M: FlashMap>(&self, flash: &mut M) -> Outcome<(), M> {
        let (cell, width, within) = self.record(flash)?;
        let area = self.slots.secondary;
        let erased = flash.info(area).map_or(0xff, |info| info.erased);
        let mut bytes = [erased; WIDEST];
        let record = bytes.get_mut(within..).and_then(|rest| rest.first_chunk_mut());
        *record.ok_or(RollbackError::NoArea(area))? = RECORD;
        let bytes = bytes.get(..width).unwrap_or_default();
        flash.write(area, cell, bytes).map_err(RollbackError::Flash)
    }

    /// The second word of the body has to point into the primary slot.
    fn check_vector<M: FlashMap>(
        &self,
        flash: &mut M,
        header: &Header,
        secrets: &Secrets,
    ) -> Outcome<(), M> {
        let Some((first, last)) = self.runs_at else { return Ok(()) };
        let mut word = [0; 4];
        let at = u32::from(header.hdr_size).saturating_add(4);
        flash.read(self.factory, at, &mut word).map_err(RollbackError::Flash)?;
        secrets.incoming(at).apply(0, &mut word);
        let vector = u32::from_le_bytes(word);
        if (first..=last).contains(&vector) {
            return Ok(());
        }
        Err(RollbackError::ElsewhereLinked { vector })
    }
}

/// Why the board does not go on.
fn not_ready<E>(error: BootError<E>) -> RollbackError<E> {
    match error {
        BootError::Flash(error) => RollbackError::Flash(error),
        BootError::Counter => RollbackError::Counter,
        _ => RollbackError::NotReady,
    }
}

/// Erases the trailer of the primary slot, and then the rest of it up to `max`.
fn make_room<M: FlashMap>(flash: &mut M, primary: &Slot, max: u32) -> Result<(), M::Error> {
    primary.trailer.erase(flash)?;
    primary.erase(flash, 0, max)
}

/// Copies the factory image; where that fails, with the original's words.
fn transfer<M: FlashMap>(
    flash: &mut M,
    from: AreaId,
    to: AreaId,
    size: u32,
    secrets: &Secrets,
) -> Result<(), (Line, M::Error)> {
    let mut buf = [0; PIECE];
    for at in (0..size).step_by(PIECE) {
        let Some(piece) = buf.get_mut(..(size - at).min(PIECE as u32) as usize) else { break };
        flash.read(from, at, piece).map_err(|error| (Line::ReadFailed(at), error))?;
        secrets.incoming(at).apply(0, piece);
        flash.write(to, at, piece).map_err(|error| (Line::WriteFailed(at), error))?;
    }
    Ok(())
}

const _: () = assert!(RECORD.len() == 16, "the record takes the place of the magic");

#[cfg(test)]
mod tests {
    use super::*;
    use updraft_image::Magic;

    #[test]
    fn the_record_is_no_trailer_magic() {
        for max_align in [8, 16, 32] {
            for erased in [0xff, 0x00] {
                assert_eq!(Magic::decode(&RECORD, max_align, erased), Magic::Bad);
            }
        }
    }
}
