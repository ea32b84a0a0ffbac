//! The security counter that a device keeps outside the slots.

/// Where a device remembers, per image, the highest security counter that it has run for good.
///
/// The store is monotonic: it ignores a value below the one it holds.
pub trait SecurityCounters {
    /// The counter of image number `image`; `None` where the board keeps none, and images then
    /// need none either. `Err` if the store cannot be read: the boot fails.
    fn read(&mut self, image: u8) -> Result<Option<u32>, CounterFault>;

    /// Raises the counter of image number `image` to `value`.
    fn raise(&mut self, image: u8, value: u32) -> Result<(), CounterFault>;
}

impl<C: SecurityCounters> SecurityCounters for &mut C {
    fn read(&mut self, image: u8) -> Result<Option<u32>, CounterFault> {
        (**self).read(image)
    }

    fn raise(&mut self, image: u8, value: u32) -> Result<(), CounterFault> {
        (**self).raise(image, value)
    }
}

/// The counter store failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterFault;

/// The store of a board without security counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCounters;

impl SecurityCounters for NoCounters {
    fn read(&mut self, _: u8) -> Result<Option<u32>, CounterFault> {
        Ok(None)
    }

    fn raise(&mut self, _: u8, _: u32) -> Result<(), CounterFault> {
        Ok(())
    }
}
