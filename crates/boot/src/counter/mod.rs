//! The security counter that a device keeps outside the slots.

mod in_flash;

use updraft_flash::FlashMap;

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
