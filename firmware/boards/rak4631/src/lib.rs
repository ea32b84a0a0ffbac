//! RAK4631 (`boards/rak4631.toml`, `boards/rak4631-rak.toml`). Its console is the line called UART1 on
//! the base board.
//!
//! Compiled; nobody has run it.
#![no_std]

use firmware_board::{Board, Facts, flash};
use firmware_cortex_m::Line;
use firmware_nrf5::{Identity, Nordic, Nvmc, Pin, Uart, chip};
use updraft_flash::Fault;

pub use firmware_nrf5::WithUsb;

firmware_board::board_file!();

/// UART1 of the module: P0.16 sends, P0.15 receives.
const SEND: u32 = 16;
const RECEIVE: u32 = 15;
/// The numbers that pid.codes keeps for trying things out. A product needs its own.
const USB: Identity =
    Identity { ids: [0x1209, 0x0001], manufacturer: "Updraft", product: board::NAME };

/// The lines of a program.
pub trait Lines: Line {
    /// The UART, and what there is besides.
    fn with(uart: Uart) -> Self;
}

impl Lines for Uart {
    fn with(uart: Uart) -> Self {
        uart
    }
}

impl Lines for WithUsb {
    fn with(uart: Uart) -> Self {
        Self::new(uart, USB)
    }
}

/// The board. A bootloader without USB is half as large; the application has both lines.
#[derive(Debug)]
pub struct Rak4631<L = Uart> {
    chip: Nordic<L>,
    /// Green.
    led: Pin,
}

impl<L: Lines> Board for Rak4631<L> {
    const FACTS: Facts = FACTS;

    type Chip = Nordic<L>;
    type Map = Map<Nvmc>;

    fn open() -> Self {
        let line = L::with(Uart::open(SEND, RECEIVE));
        Self { chip: chip(line), led: Pin::new(1, 3).output() }
    }

    fn chip(&mut self) -> &mut Nordic<L> {
        &mut self.chip
    }

    fn flash(&mut self) -> Result<Self::Map, Fault> {
        flash(&FACTS, [Nvmc(&DEVICES[0])])
    }

    fn led(&mut self, on: bool) {
        self.led.set(on);
    }
}
