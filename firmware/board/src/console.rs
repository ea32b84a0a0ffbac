//! Lines of text on the console.

use updraft_image::{Describe, Text};

use crate::Board;

/// Says a line: who speaks, and what. Nothing is said of what has no words.
#[inline(always)]
pub fn say<B: Board>(board: &mut B, who: &str, what: &impl Describe) {
    let mut begun = false;
    what.describe(&mut Text::new(&mut |text| {
        if !begun {
            begun = true;
            send(board, who);
        }
        send(board, text);
    }));
    if begun {
        send(board, "\r\n");
    }
}

#[inline(never)]
fn send<B: Board>(board: &mut B, text: &str) {
    for byte in text.bytes() {
        board.send(byte);
    }
}
