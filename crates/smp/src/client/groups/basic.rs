//! Requests of group 63, Zephyr's basic commands.

use crate::client::request::{BufferTooSmall, Requests};
use crate::{Op, basic, group};

impl Requests {
    /// Erases the device's storage: settings, and files where they are kept there.
    pub fn erase_storage<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.build(buffer, Op::Write, (group::BASIC, basic::ERASE_STORAGE), |c| c.map(0)?.ok())
    }
}
