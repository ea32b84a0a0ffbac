//! The security counter that a device keeps outside the slots.

mod in_flash;

use updraft_flash::FlashMap;
use updraft_image::{Decision, Validated};

use crate::BootError;
use crate::outcome::Step;

pub use in_flash::FlashCounters;

/// Where a device remembers, per image, the highest security counter that it has run for good.
///
/// The store is monotonic: it ignores a value below the one it holds. It may live in the flash
/// that the bootloader works on, which it is therefore handed, or anywhere else.
pub trait SecurityCounters {
    /// Whether there is any counter to be kept; where there is none, nothing that would is linked.
    const KEEPS: bool = true;

    /// The counter of image number `image`; `None` where the board keeps none, and images then
    /// need none either. `Err` if the store cannot be read: the boot fails.
    fn read<M: FlashMap>(&mut self, flash: &mut M, image: u8) -> Result<Option<u32>, CounterFault>;

    /// Raises the counter of image number `image` to `value`.
    fn raise<M: FlashMap>(
        &mut self,
        flash: &mut M,
        image: u8,
        value: u32,
    ) -> Result<(), CounterFault>;

    /// Whether image number `image` may still be updated: a store that can be raised only a
    /// limited number of times says no when it is used up, and the update is refused.
    fn can_be_raised<M: FlashMap>(&mut self, _flash: &mut M, _image: u8) -> bool {
        true
    }

    /// Keeps the counter of image number `image` from being raised until the next reset, right
    /// before something is started that might: what runs next may be under test, or mean ill. `Err`
    /// if the store does not lock: the boot fails.
    fn lock<M: FlashMap>(&mut self, _flash: &mut M, _image: u8) -> Result<(), CounterFault> {
        Ok(())
    }
}

impl<C: SecurityCounters> SecurityCounters for &mut C {
    const KEEPS: bool = C::KEEPS;

    fn read<M: FlashMap>(&mut self, flash: &mut M, image: u8) -> Result<Option<u32>, CounterFault> {
        (**self).read(flash, image)
    }

    fn raise<M: FlashMap>(
        &mut self,
        flash: &mut M,
        image: u8,
        value: u32,
    ) -> Result<(), CounterFault> {
        (**self).raise(flash, image, value)
    }

    fn can_be_raised<M: FlashMap>(&mut self, flash: &mut M, image: u8) -> bool {
        (**self).can_be_raised(flash, image)
    }

    fn lock<M: FlashMap>(&mut self, flash: &mut M, image: u8) -> Result<(), CounterFault> {
        (**self).lock(flash, image)
    }
}

/// Compares once more what an image has with what the store holds, read anew: of all that was
/// decided before, nothing is needed.
pub(crate) fn still_recent<C: SecurityCounters, M: FlashMap>(
    counters: &mut C,
    flash: &mut M,
    image: u8,
    validated: &Validated,
) -> Step<(), M> {
    let Some(minimum) = counters.read(flash, image)? else { return Ok(()) };
    let found = validated.security_counter.ok_or(BootError::Tampered)?;
    match Decision::at_least(found, minimum).still() {
        true => Ok(()),
        false => Err(BootError::Tampered),
    }
}

/// The counter store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterFault;

/// The store of a board without security counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCounters;

impl SecurityCounters for NoCounters {
    const KEEPS: bool = false;

    fn read<M: FlashMap>(&mut self, _: &mut M, _: u8) -> Result<Option<u32>, CounterFault> {
        Ok(None)
    }

    fn raise<M: FlashMap>(&mut self, _: &mut M, _: u8, _: u32) -> Result<(), CounterFault> {
        Ok(())
    }
}
