//! What happens, as text.
#![cfg(feature = "console")]

use core::hint::black_box;

use updraft_boot::{Event, Hooks};
use updraft_image::{Describe, Text};

pub struct Console;

/// Says a line.
#[inline(always)]
fn line(what: &impl Describe) {
    let mut begun = false;
    what.describe(&mut Text::new(&mut |text| {
        if !begun {
            begun = true;
            say("boot: ");
        }
        say(text);
    }));
    say("\r\n");
}

fn say(text: &str) {
    for byte in text.bytes() {
        // What a board would put into the port's register.
        black_box(byte);
    }
}

impl<E: Describe> Hooks<E> for Console {
    #[inline(always)]
    fn event(&mut self, _: u8, event: Event<E>) {
        line(&event);
    }

    fn line(&mut self, text: updraft_boot::factory::Line) {
        line(&text);
    }
}
