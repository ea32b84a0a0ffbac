//! Bare messages, one behind the other; the header's length says where one ends.
//!
//! Nothing marks a beginning, so that a byte too much or too few shifts everything that follows.
//! What helps is a pause: a message that is not continued in time is dropped. Source: MCUboot,
//! `BOOT_SERIAL_RAW_PROTOCOL`, and Zephyr, `MCUMGR_TRANSPORT_RAW_UART`.

use core::time::Duration;

use super::{Framing, Received, TooLong};
use crate::{Header, Op};

/// A receiver of bare messages.
#[derive(Clone, Debug)]
pub struct Raw<const N: usize> {
    buffer: [u8; N],
    len: usize,
    /// The buffer holds a message that has been handed out.
    done: bool,
    last: Duration,
    patience: Duration,
}

impl<const N: usize> Default for Raw<N> {
    fn default() -> Self {
        Self::new(Self::PATIENCE)
    }
}

impl<const N: usize> Raw<N> {
    /// The pause after which the servers of the field drop half a message.
    pub const PATIENCE: Duration = Duration::from_secs(3);

    /// A receiver that drops half a message when nothing came for `patience`.
    pub const fn new(patience: Duration) -> Self {
        Self { buffer: [0; N], len: 0, done: false, last: Duration::ZERO, patience }
    }

    /// Bytes of the message that is coming in, as far as its header is there.
    fn expected(&self) -> Option<usize> {
        let (header, _) = Header::parse(self.buffer.get(..self.len)?).ok()?;
        Header::SIZE.checked_add(header.length.into())
    }
}

impl<const N: usize> Framing for Raw<N> {
    fn receive(&mut self, byte: u8, now: Duration) -> Option<Received<'_>> {
        if self.done || now.saturating_sub(self.last) >= self.patience {
            (self.len, self.done) = (0, false);
        }
        self.last = now;
        // No message begins with such a byte; the next one may.
        if self.len == 0 && matches!(Op::from_bits(byte), Op::Undefined(_)) {
            return None;
        }
        *self.buffer.get_mut(self.len)? = byte;
        self.len += 1;
        match self.expected() {
            Some(expected) if expected > N => {
                self.len = 0;
                None
            }
            Some(expected) if expected == self.len => {
                self.done = true;
                self.buffer.get(..expected).map(Received::Message)
            }
            _ => None,
        }
    }

    fn send(message: &[u8], mut write: impl FnMut(&[u8])) -> Result<(), TooLong> {
        write(message);
        Ok(())
    }
}
