//! Arm's MPS2 with the AN386 image, as QEMU emulates it (`boards/mps2-an386.toml`).
//!
//! Sources: Arm, "AN386" and "Cortex-M System Design Kit TRM" (UART, dual timer, watchdog).
#![no_std]

#[cfg(feature = "network")]
mod ethernet;
mod flash;
mod peripherals;

use firmware_board::{Board, Facts, flash};
use firmware_cortex_m::Parts;
use updraft_flash::Fault;

#[cfg(feature = "network")]
pub use ethernet::Lan9118;
use flash::Window;
use peripherals::{Button, Clock, Led, Uart, Watchdog};

firmware_board::board_file!();

/// The device of the board file that stands for a chip beside the processor.
const EXTERNAL: usize = 2;

/// The board.
#[derive(Debug)]
pub struct Mps2 {
    chip: Parts<Uart, Clock, Watchdog>,
    led: Led,
}

impl Board for Mps2 {
    const FACTS: Facts = FACTS;

    type Chip = Parts<Uart, Clock, Watchdog>;
    type Map = Map<Window>;

    fn open() -> Self {
        let (line, clock) = (Uart::open(), Clock::start());
        Self { chip: Parts { line, clock, watchdog: Watchdog }, led: Led }
    }

    fn chip(&mut self) -> &mut Self::Chip {
        &mut self.chip
    }

    fn flash(&mut self) -> Result<Self::Map, Fault> {
        flash(&FACTS, Window::all())
    }

    fn led(&mut self, on: bool) {
        self.led.set(on);
    }

    fn pressed(&mut self) -> bool {
        Button.is_pressed()
    }

    fn remark(&mut self) -> Option<&'static str> {
        let silent = !flash::answers(EXTERNAL);
        silent.then_some("no answer from the external flash: is it there, and connected?")
    }

    #[cfg(feature = "network")]
    fn idle(&mut self) {
        Lan9118::forget();
        self.chip.line.idle_unless(Lan9118::has_frame);
    }
}
