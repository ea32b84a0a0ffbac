//! What a board gives its bootloader to work with.

use updraft_flash::{AreaId, FlashMap};
use updraft_image::{Header, Rules, SwapType, Validated, Verifier};

use crate::outcome::Step;
use crate::{Boot, BootError, Event, NoCounters, SecurityCounters, counter, factory};

/// The parts that a boot needs besides its configuration. Each may be the thing itself or a
/// mutable reference to it.
///
/// ```
/// # use updraft_boot::{Event, Platform};
/// # fn console<M: updraft_flash::FlashMap>(map: &mut M) {
/// let mut platform = Platform::new(map, updraft_image::HashOnly)
///     .with_hooks(|image: u8, event: Event<_>| { /* print it */ });
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Platform<M, V, C = NoCounters, H = NoHooks> {
    /// The flash.
    pub flash: M,
    /// Checks signatures.
    pub verifier: V,
    /// Remembers security counters.
    pub counters: C,
    /// What the board wants to be told.
    pub hooks: H,
}

impl<M: FlashMap, V: Verifier> Platform<M, V> {
    /// A board without security counters that wants to hear nothing.
    pub fn new(flash: M, verifier: V) -> Self {
        Self { flash, verifier, counters: NoCounters, hooks: NoHooks }
    }
}

impl<M, V, C, H> Platform<M, V, C, H> {
    /// With a store of security counters.
    pub fn with_counters<D: SecurityCounters>(self, counters: D) -> Platform<M, V, D, H> {
        let Self { flash, verifier, hooks, .. } = self;
        Platform { flash, verifier, counters, hooks }
    }

    /// With somebody who is told what happens.
    pub fn with_hooks<I>(self, hooks: I) -> Platform<M, V, C, I>
    where
        M: FlashMap,
        I: Hooks<M::Error>,
    {
        let Self { flash, verifier, counters, .. } = self;
        Platform { flash, verifier, counters, hooks }
    }
}

impl<M, V, C, H> Platform<M, V, C, H>
where
    M: FlashMap,
    C: SecurityCounters,
    H: Hooks<M::Error>,
{
    /// What is left to do before an image is started that this boot has settled for. `rules` are the
    /// board's own.
    pub(crate) fn hand_over(
        &mut self,
        boot: &Boot,
        to_be_validated: bool,
        rules: &Rules,
    ) -> Step<(), M> {
        self.close_counter(boot)?;
        self.hooks.ready(&mut self.flash, boot)?;
        boot.cleared(to_be_validated, rules)
    }

    /// Compares the security counter once more, and locks it: nothing raises it from here on.
    pub(crate) fn close_counter(&mut self, boot: &Boot) -> Step<(), M> {
        if !C::KEEPS {
            return Ok(());
        }
        let Self { flash, counters, .. } = self;
        if let Some(validated) = &boot.validated {
            counter::still_recent(counters, flash, boot.image, validated)?;
        }
        Ok(counters.lock(flash, boot.image)?)
    }
}

/// How far a boot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The bootloader runs.
    Startup,
    /// Slots are about to be changed.
    Upgrading,
    /// There is an image to start.
    BootableImageFound,
    /// There is none.
    NoBootableImage,
    /// The boot failed for another reason.
    BootFailed,
    /// The device is in serial recovery. Told by whoever goes there.
    SerialRecovery,
}

impl Status {
    /// What a boot ended in.
    pub(crate) fn of<E>(outcome: &Result<Boot, BootError<E>>) -> Self {
        match outcome {
            Ok(_) => Self::BootableImageFound,
            Err(BootError::NoImage | BootError::Refused(_)) => Self::NoBootableImage,
            Err(_) => Self::BootFailed,
        }
    }
}

/// What the course of a boot tells the board, and asks it. What is not implemented is not linked.
/// `docs/mcuboot-differences.md` says what stands for which of MCUboot's hooks.
///
/// A closure of an image number and an event is one.
pub trait Hooks<E> {
    /// Something happened to image number `image` that is worth a line on the console.
    fn event(&mut self, image: u8, event: Event<E>);

    /// Something that a light or a host may want to be told.
    fn status(&mut self, _status: Status) {}

    /// Whether the bootloader may go on with an image that it has found acceptable. A board may be
    /// stricter than the bootloader, never more lenient.
    fn accepts(&mut self, _image: u8, _header: &Header, _validated: &Validated) -> bool {
        true
    }

    /// An image was brought to `slot`, the primary one of image number `image`: as a whole, and not yet
    /// marked as done. The place to hand it on to a processor that keeps a copy of its own. An error
    /// ends the boot, and the next one comes here again, as after a power cut in between: the image
    /// may be the same as the last time. `swap` is what [`Boot::swap`] is going to tell.
    #[inline(always)]
    fn installed<M: FlashMap<Error = E>>(
        &mut self,
        _flash: &mut M,
        _image: u8,
        _slot: AreaId,
        _swap: SwapType,
    ) -> Result<(), BootError<E>> {
        Ok(())
    }

    /// Whether an image in a slot of equal rank is only to run if no other can, whatever its version.
    /// It is left in its slot.
    #[inline(always)]
    fn last_resort(&mut self, _image: u8, _slot: AreaId, _header: &Header) -> bool {
        false
    }

    /// Image number `boot.image` is about to be started, or to be used by the one that is: the
    /// place to measure it. An error keeps the device from booting. An image that runs from RAM is
    /// read from there where `flash` is asked for its slot: as it was validated, and decrypted.
    fn ready<M: FlashMap<Error = E>>(
        &mut self,
        _flash: &mut M,
        _boot: &Boot,
    ) -> Result<(), BootError<E>> {
        Ok(())
    }

    /// A rollback to the factory image has come to a step that has a line of its own.
    fn line(&mut self, _line: factory::Line) {}
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl<E> Hooks<E> for NoHooks {
    fn event(&mut self, _: u8, _: Event<E>) {}
}

impl<E, F: FnMut(u8, Event<E>)> Hooks<E> for F {
    fn event(&mut self, image: u8, event: Event<E>) {
        self(image, event);
    }
}
