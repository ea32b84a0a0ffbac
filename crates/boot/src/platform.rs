//! What a board gives its bootloader to work with.

use updraft_flash::FlashMap;
use updraft_image::{Header, Rules, Validated, Verifier};

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

/// What the course of a boot tells the board.
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
