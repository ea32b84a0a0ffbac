//! A kit: a board with one of these chips, a light, a button, and a serial port through its programmer.

use core::marker::PhantomData;

use firmware_board::{Board, Facts};
use updraft_flash::{Fault, FlashMap};

use crate::{Chip, Pin, chip, start_large};

/// What kits differ in.
pub trait Wiring {
    /// What the board file says.
    const FACTS: Facts;
    /// Port and number of the light's pin; low is on.
    const LED: [u32; 2];
    /// Port and number of the button's, which pulls it down.
    const BUTTON: [u32; 2];

    /// The flash map.
    type Map: FlashMap<Error = Fault>;

    /// The flash map, on the board's devices.
    fn flash() -> Result<Self::Map, Fault>;

    /// What is odd about the board's devices.
    fn remark() -> Option<&'static str>;
}

/// A board that is wired like this.
#[derive(Debug)]
pub struct Kit<W> {
    chip: Chip,
    led: Pin,
    button: Pin,
    wiring: PhantomData<W>,
}

impl<W: Wiring> Board for Kit<W> {
    const FACTS: Facts = W::FACTS;

    type Chip = Chip;
    type Map = W::Map;

    fn open() -> Self {
        let ([led, button], chip) = ([W::LED, W::BUTTON], chip());
        let pin = |[port, number]: [u32; 2]| Pin::new(port, number);
        Self { chip, led: pin(led).output(), button: pin(button).input(), wiring: PhantomData }
    }

    fn chip(&mut self) -> &mut Chip {
        &mut self.chip
    }

    fn flash(&mut self) -> Result<W::Map, Fault> {
        W::flash()
    }

    fn remark(&mut self) -> Option<&'static str> {
        W::remark()
    }

    fn led(&mut self, on: bool) {
        self.led.set(!on);
    }

    fn pressed(&mut self) -> bool {
        !self.button.is_high()
    }

    /// On the other processor.
    fn start(&mut self, vectors: u32) -> ! {
        start_large(vectors)
    }
}
