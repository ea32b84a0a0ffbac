//! PineTime (`boards/pinetime.toml` and its variants).
//!
//! The sealed watch has no serial line: the console is in RAM, for a debug probe. In InfiniTime's
//! layout applications begin at 0x8020, where a vector table cannot be used: as its own bootloader
//! does, ours keeps a copy of it at 0x7f00.
//!
//! Compiled; nobody has run it.
#![no_std]

mod flash;

use firmware_board::{Board, Facts};
use firmware_cortex_m::{Chip, Rtt, tick_every};
use firmware_nrf5::{Nordic, Nvmc, Pin, Pull, chip};
use updraft_flash::{Device, Fault};

use flash::Flash;

firmware_board::board_file!();

/// Clocks in 10 ms.
const TICK: u32 = 640_000;
/// What the vector table of this processor is aligned to, and its bytes.
const VECTOR_ALIGN: u32 = 0x100;
const VECTORS: usize = 4 * (16 + 39);
/// Where one that is not aligned is copied to, and the page that this is in.
const COPY: u32 = 0x7f00;
const COPY_PAGE: u32 = 0x7000;

/// The board.
#[derive(Debug)]
pub struct Pinetime {
    chip: Nordic<Rtt>,
    /// The backlight, at its lowest; low is on.
    light: Pin,
    button: Pin,
}

impl Board for Pinetime {
    const FACTS: Facts = FACTS;
    // InfiniTime's layout, whose images nobody signs, leaves 28 KiB.
    const SPEAKS: bool = FACTS.signature.is_some();

    type Chip = Nordic<Rtt>;
    type Map = Map<Flash>;

    fn open() -> Self {
        // The button is fed from a pin of its own.
        Pin::new(0, 15).output().set(true);
        let light = Pin::new(0, 14).output();
        light.set(true);
        tick_every(TICK);
        Self { chip: chip(Rtt::open()), light, button: Pin::new(0, 13).input(Pull::Down) }
    }

    fn chip(&mut self) -> &mut Nordic<Rtt> {
        &mut self.chip
    }

    fn flash(&mut self) -> Result<Self::Map, Fault> {
        firmware_board::flash(&FACTS, flash::all())
    }

    fn led(&mut self, on: bool) {
        self.light.set(!on);
    }

    fn pressed(&mut self) -> bool {
        self.button.is_high()
    }

    fn remark(&mut self) -> Option<&'static str> {
        flash::remark()
    }

    fn start(&mut self, vectors: u32) -> ! {
        let usable = match vectors.is_multiple_of(VECTOR_ALIGN) {
            true => vectors,
            false => copied(vectors),
        };
        self.chip.start(usable)
    }
}

/// Copies a vector table to where it can be used, unless that has been done; says where that is. A
/// power cut in between is mended at the next start, as every start compares.
fn copied(vectors: u32) -> u32 {
    let mut flash = Nvmc(&DEVICES[0]);
    let (mut table, mut copy) = ([0; VECTORS], [0; VECTORS]);
    let read = flash.read(vectors, &mut table).and_then(|()| flash.read(COPY, &mut copy));
    if read.is_ok() && table == copy {
        return COPY;
    }
    let page = DEVICES[0].sectors[0].size;
    match flash.erase(COPY_PAGE, page).and_then(|()| flash.write(COPY, &table)) {
        Ok(()) => COPY,
        // Nothing better is to be had than the table as it is.
        Err(_) => vectors,
    }
}
