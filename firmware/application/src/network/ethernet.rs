//! Frames in and out, as the stack wants them.

use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// Bytes of the longest frame, without its checksum.
pub const LONGEST_FRAME: usize = 1514;

/// An Ethernet chip.
pub trait Ethernet {
    /// Its address.
    fn address(&self) -> [u8; 6];

    /// Puts the next frame that has come into `frame`, without its checksum; says how long it is.
    fn receive(&mut self, frame: &mut [u8; LONGEST_FRAME]) -> Option<usize>;

    /// Whether there is room for a frame that is to be sent.
    fn has_room(&mut self) -> bool;

    /// Sends a frame; there was room for it.
    fn send(&mut self, frame: &[u8]);
}

/// The chip, and a frame in each direction.
#[derive(Debug)]
pub(super) struct Frames<E> {
    chip: E,
    received: [u8; LONGEST_FRAME],
    sent: [u8; LONGEST_FRAME],
}

impl<E: Ethernet> Frames<E> {
    pub fn new(chip: E) -> Self {
        Self { chip, received: [0; LONGEST_FRAME], sent: [0; LONGEST_FRAME] }
    }

    pub fn address(&self) -> [u8; 6] {
        self.chip.address()
    }
}

pub(super) struct Received<'f>(&'f [u8]);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

pub(super) struct Sender<'f, E>(&'f mut E, &'f mut [u8; LONGEST_FRAME]);

impl<E: Ethernet> phy::TxToken for Sender<'_, E> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let Self(chip, frame) = self;
        let frame = frame.get_mut(..len).unwrap_or_default();
        let result = f(frame);
        chip.send(frame);
        result
    }
}

impl<E: Ethernet> phy::Device for Frames<E> {
    type RxToken<'f>
        = Received<'f>
    where
        E: 'f;
    type TxToken<'f>
        = Sender<'f, E>
    where
        E: 'f;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Sender<'_, E>)> {
        // An answer may have to be sent.
        if !self.chip.has_room() {
            return None;
        }
        let len = self.chip.receive(&mut self.received)?;
        let frame = self.received.get_mut(..len)?;
        // One that the stack must not see is answered by nothing, as the next poll takes the next one.
        let len = if updraft_dhcp::tame(frame) { len } else { 0 };
        let frame = self.received.get(..len)?;
        Some((Received(frame), Sender(&mut self.chip, &mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sender<'_, E>> {
        self.chip.has_room().then_some(Sender(&mut self.chip, &mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = LONGEST_FRAME;
        capabilities
    }
}
