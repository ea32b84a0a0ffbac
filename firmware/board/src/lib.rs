//! What a board gives to the programs that run on it: facts from its file, and hardware.
//!
//! ```text
//! boards/NAME.toml ─ firmware-build ─▶ constants ─ facts! ─▶ Facts ┐
//!                                           drivers ───────────────┴─▶ Board ─▶ bootloader, application
//! ```
#![no_std]

mod console;
mod either;
mod facts;
mod flash;
mod keys;

use core::time::Duration;

use firmware_cortex_m::{Chip, Line};
use updraft_flash::{Fault, FlashMap};

pub use console::say;
pub use either::Either;
pub use facts::{Facts, Watchdog, Ways};
pub use flash::{Open, Plain, WithStatus, flash, remark};
pub use keys::Keys;
pub use updraft_flash::{Data, NorCommands, Spi, SpiNor, Violation, checked};

/// A board: its facts, its chip, and what else its hardware can be asked to do.
pub trait Board: Sized {
    /// What its file says.
    const FACTS: Facts;

    /// Whether there is room for words on the console. SMP is spoken either way.
    const SPEAKS: bool = true;

    /// Its chip.
    type Chip: Chip;
    /// Its flash map: [`Plain`], or [`WithStatus`] in the mode that has a status area. The `Map` of
    /// [`board_file!`] is the right one.
    type Map: FlashMap<Error = Fault>;

    /// The board after a reset.
    fn open() -> Self;

    /// Its chip.
    fn chip(&mut self) -> &mut Self::Chip;

    /// Its flash map. Fails where flash has to be settled first, and fails.
    fn flash(&mut self) -> Result<Self::Map, Fault>;

    /// Lights or darkens its first LED.
    fn led(&mut self, on: bool);

    /// Whether its first button is pressed.
    fn pressed(&mut self) -> bool {
        false
    }

    /// The memory that images are loaded to, in modes that do so; for the first who asks.
    fn load_region(&mut self) -> Option<&'static mut [u8]> {
        None
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

/// A time in milliseconds, without the long division that [`Duration::as_millis`] takes.
pub fn milliseconds(time: Duration) -> u32 {
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    seconds.wrapping_mul(1000).wrapping_add(time.subsec_millis())
}
