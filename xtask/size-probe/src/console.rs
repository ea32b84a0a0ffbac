//! What happens, as text.
#![cfg(feature = "console")]

use core::hint::black_box;

use updraft_boot::{Event, Hooks};
use updraft_image::{Describe, Text};

pub struct Console;

/// Says a line.
fn line(what: &dyn Describe) {
    Text::new(&mut |text| {
        for byte in text.bytes() {
            // What a board would put into the port's register.
            black_box(byte);
        }
    })
    .fill("boot: {}\r\n", &[what]);
}

impl<E: Describe> Hooks<E> for Console {
    fn event(&mut self, _: u8, event: Event<E>) {
        line(&event);
    }

    fn line(&mut self, text: updraft_boot::factory::Line) {
        line(&text);
    }
}
