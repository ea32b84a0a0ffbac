//! Emcraft's SmartFusion2 module (M2S010), as QEMU emulates it (`boards/emcraft-sf2.toml`).
//!
//! ```text
//! eNVM (bootloader) ── copies and verifies ──▶ DDR (the image, read-only from then on)
//!   SPI flash: two slots ┘
//! ```
//! Sources: Microsemi, "UG0331 SmartFusion2 Microcontroller Subsystem"; what QEMU's machine of that
//! name does.
#![no_std]

#[cfg(feature = "network")]
mod ethernet;
mod flash;
mod memory;
mod peripherals;
mod spi;

use firmware_board::{Board, Facts};
use firmware_cortex_m::{Chip, Parts};
use updraft_flash::Fault;

#[cfg(feature = "network")]
pub use ethernet::Emac;
use flash::Flash;
use peripherals::{Clock, Led, Uart, Watchdog};

firmware_board::board_file!();

/// The board.
#[derive(Debug)]
pub struct Sf2 {
    chip: Parts<Uart, Clock, Watchdog>,
    led: Led,
}

impl Board for Sf2 {
    const FACTS: Facts = FACTS;

    type Chip = Parts<Uart, Clock, Watchdog>;
    type Map = Map<Flash>;

    fn open() -> Self {
        peripherals::enable();
        let (line, clock) = (Uart::open(), Clock::start());
        Self { chip: Parts { line, clock, watchdog: Watchdog }, led: Led::open() }
    }

    fn chip(&mut self) -> &mut Self::Chip {
        &mut self.chip
    }

    fn flash(&mut self) -> Result<Self::Map, Fault> {
        firmware_board::flash(&FACTS, flash::all())
    }

    fn load_region(&mut self) -> Option<&'static mut [u8]> {
        memory::take()
    }

    fn led(&mut self, on: bool) {
        self.led.set(on);
    }

    fn remark(&mut self) -> Option<&'static str> {
        flash::remark()
    }

    fn start(&mut self, vectors: u32) -> ! {
        memory::make_executable();
        self.chip.start(vectors)
    }

    #[cfg(feature = "network")]
    fn idle(&mut self) {
        Emac::forget();
        self.chip.line.idle_unless(Emac::has_frame);
    }
}
