//! Lines of text on the console.

use firmware_cortex_m::{Chip, Line};
use updraft_image::{Describe, Text};

use crate::Board;

/// Says a line: who speaks, and what.
// In line, so that only what can happen at a place has words there; the compiler still knows what
// that is, as nothing is called before it is looked at.
#[inline(always)]
pub fn say<B: Board>(board: &mut B, who: &str, what: &impl Describe) {
    if !B::SPEAKS {
        return;
    }
    let mut who = Some(who);
    what.describe(&mut Text::new(&mut |text| {
        if let Some(who) = who.take() {
            send(board, who);
        }
        send(board, text);
    }));
    send(board, "\r\n");
}

#[inline(never)]
fn send<B: Board>(board: &mut B, text: &str) {
    for byte in text.bytes() {
        board.chip().line().send(byte);
    }
}
