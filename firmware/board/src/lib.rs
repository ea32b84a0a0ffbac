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

use firmware_cortex_m::{Chip, Line};
use updraft_flash::{AreaEntry, Areas, Brief, Device};
use updraft_image::Describe;

pub use console::say;
pub use facts::{Facts, Watchdog, Ways};
pub use keys::Keys;
pub use spi_nor::{Spi, SpiNor};
pub use violation::{Violation, checked};

/// A board: its facts, its chip, and what else its hardware can be asked to do.
pub trait Board: Sized {
    /// What its file says.
    const FACTS: Facts;

    /// Whether there is room for words on the console. SMP is spoken either way.
    const SPEAKS: bool = true;

    /// Its chip.
    type Chip: Chip;
    /// Driver of its flash devices.
    type Device: Device<Error: Describe>;
    /// All of them, in the order of the board file.
    type Devices: AsRef<[Self::Device]> + AsMut<[Self::Device]>;

    /// The board after a reset.
    fn open() -> Self;

    /// Its chip.
    fn chip(&mut self) -> &mut Self::Chip;

    /// Its flash devices.
    fn flash(&mut self) -> Self::Devices;

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

    /// Starts the program with its vector table at this address, which whoever asks has verified.
    fn start(&mut self, vectors: u32) -> ! {
        self.chip().start(vectors)
    }

    /// Time since the reset. To be asked at least once a minute.
    fn now(&mut self) -> Duration {
        self.chip().now()
    }

    /// Waits until something may have come over a line, or for a few milliseconds.
    fn idle(&mut self) {
        self.chip().line().idle();
    }

    /// Resets the chip and leaves `boot_mode` for the bootloader.
    fn reset(&mut self, boot_mode: u32) -> ! {
        self.chip().reset(boot_mode)
    }
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
