//! What happens, as text.
#![cfg(feature = "console")]

use core::fmt::{self, Write};
use core::hint::black_box;

use updraft_boot::{Event, Hooks};

pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // What a board would put into the port's register.
            black_box(byte);
        }
        Ok(())
    }
}

impl<E: fmt::Display> Hooks<E> for Console {
    fn event(&mut self, _: u8, event: Event<E>) {
        let _ = writeln!(self, "boot: {event}");
    }

    fn line(&mut self, line: updraft_boot::factory::Line) {
        let _ = writeln!(self, "boot: {line}");
    }
}
