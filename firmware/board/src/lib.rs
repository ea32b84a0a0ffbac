//! What a board gives to the programs that run on it: facts from its file, and hardware.
//!
//! ```text
//! boards/NAME.toml ─ firmware-build ─▶ constants ─ facts! ─▶ Facts ┐
//!                                           drivers ───────────────┴─▶ Board ─▶ bootloader, application
//! ```
#![no_std]

mod console;
mod facts;
mod keys;
mod spi_nor;
mod violation;

use core::time::Duration;

use updraft_flash::{AreaEntry, Areas, Brief, Device};
use updraft_image::Describe;

pub use console::say;
pub use facts::{Facts, Watchdog, Ways};
pub use keys::Keys;
pub use spi_nor::{Spi, SpiNor};
pub use violation::Violation;

/// A board: its facts, and what its hardware can be asked to do.
pub trait Board {
    /// What its file says.
    const FACTS: Facts;

    /// Whether there is room for words on the console. SMP is spoken either way.
    const SPEAKS: bool = true;

    /// Driver of its flash devices.
    type Device: Device<Error: Describe>;
    /// All of them, in the order of the board file.
    type Devices: AsRef<[Self::Device]> + AsMut<[Self::Device]>;

    /// Its flash devices.
    fn flash(&mut self) -> Self::Devices;

    /// The next byte that has come over the console's line.
    fn receive(&mut self) -> Option<u8>;

    /// Sends a byte over the console's line, and waits until there is room for it.
    fn send(&mut self, byte: u8);

    /// Waits until everything has left the line.
    fn drain(&mut self) {}

    /// Time since the reset. To be asked at least once a minute.
    fn now(&mut self) -> Duration;

    /// Waits until something may have come over the line, or for a few milliseconds.
    fn idle(&mut self);

    /// Lights or darkens its first LED.
    fn led(&mut self, on: bool);

    /// Whether its first button is pressed.
    fn pressed(&mut self) -> bool {
        false
    }

    /// What whoever looks at the console should know of this very board, if anything.
    fn remark(&mut self) -> Option<&'static str> {
        None
    }

    /// Starts the watchdog, which resets the chip if it is not fed for so long. A board that has
    /// none does nothing.
    fn start_watchdog(&mut self, timeout: Duration) {
        let _ = timeout;
    }

    /// Feeds the watchdog.
    fn feed_watchdog(&mut self) {}

    /// The boot mode that was left before the reset, 0 if none was. It counts once.
    fn take_boot_mode(&mut self) -> u32;

    /// Resets the chip and leaves `boot_mode` for the bootloader.
    fn reset(&mut self, boot_mode: u32) -> !;

    /// Starts the program with its vector table at this address.
    fn start(&mut self, vectors: u32) -> !;
}

/// The flash map of a board.
pub type Flash<B> = Brief<Areas<<B as Board>::Device, <B as Board>::Devices, &'static [AreaEntry]>>;

/// The flash map of `board`.
pub fn flash<B: Board>(board: &mut B) -> Flash<B> {
    Brief::new(Areas::new(board.flash(), B::FACTS.areas))
}

/// A time in milliseconds, without the long division that [`Duration::as_millis`] takes.
pub fn milliseconds(time: Duration) -> u32 {
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    seconds.wrapping_mul(1000).wrapping_add(time.subsec_millis())
}
