//! Group 63, Zephyr's basic commands: the storage erased.
//!
//! Source: Zephyr documentation, "Zephyr Management Group".

use super::{Answer, Failure, Group, Request, Reset};
use crate::{Op, Rc, basic};

/// Storage that can be erased: settings, and files if they are kept there.
pub trait Storage {
    /// Erases it. What uses the storage has to be unmounted before, or be of no use after.
    fn erase(&mut self) -> Result<(), Failure>;
}

/// The basic group over the storage of a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct BasicGroup<S>(pub S);

impl<S: Storage> Group for BasicGroup<S> {
    const ID: u16 = crate::group::BASIC;
    const NAME: Option<&'static str> = Some("zephyr basic mgmt");

    fn commands(&self) -> u32 {
        1
    }

    fn handle(
        &mut self,
        request: &Request<'_>,
        _: &mut Answer<'_>,
    ) -> Result<Option<Reset>, Failure> {
        match request.command() {
            (basic::ERASE_STORAGE, Op::Write) => self.0.erase()?,
            _ => return Err(Rc::NOT_SUPPORTED.into()),
        }
        Ok(None)
    }
}
