//! Sends back whatever comes.

use core::cell::RefCell;

use firmware_board::Board;

use super::ethernet::Ethernet;
use super::ground::Ground;
use super::line::Line;
use super::stack::Gone;

/// Until the other side has gone.
pub(super) fn echo<B: Board, E: Ethernet, const N: usize, const LINES: usize>(
    ground: &RefCell<Ground<'_, '_, B, E, N, LINES>>,
    line: &mut dyn Line,
) -> Gone {
    let mut buffer = [0; 1024];
    let mut owed = 0..0;
    loop {
        ground.borrow_mut().turn();
        if owed.is_empty() {
            match line.receive(&mut buffer) {
                Ok(0) => {
                    ground.borrow_mut().board.idle();
                    continue;
                }
                Ok(len) => owed = 0..len,
                Err(gone) => return gone,
            }
        }
        match line.send(buffer.get(owed.clone()).unwrap_or_default()) {
            Ok(sent) => owed.start += sent,
            Err(gone) => return gone,
        }
    }
}
