//! The application's end of the serial line.

use std::time::Duration;

use updraft_board::{Board, RecoveryTransport};
use updraft_smp::framing::{Console, Framing, Raw, Received};

use super::app::BUFFERS;

const SIZE: usize = BUFFERS.size as usize;

/// The line with the framing that the board's bootloader uses on it too; console lines if that
/// knows none.
#[derive(Debug)]
pub(super) enum Line {
    Console(Box<Console<SIZE>>),
    Raw(Box<Raw<SIZE>>),
}

impl Line {
    pub(super) fn of(board: &Board) -> Self {
        match board.recovery().map(|recovery| recovery.transport).unwrap_or_default() {
            RecoveryTransport::Console => Self::Console(Box::default()),
            RecoveryTransport::Raw => Self::Raw(Box::default()),
        }
    }

    /// Whether text may stand beside messages.
    pub(super) fn carries_text(&self) -> bool {
        matches!(self, Self::Console(_))
    }

    /// The messages that `bytes` complete. What else is typed goes nowhere.
    pub(super) fn receive(&mut self, bytes: &[u8], now: Duration) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        for byte in bytes {
            let received = match self {
                Self::Console(framing) => framing.receive(*byte, now),
                Self::Raw(framing) => framing.receive(*byte, now),
            };
            if let Some(Received::Message(message)) = received {
                messages.push(message.to_vec());
            }
        }
        messages
    }

    /// Puts a message on the line.
    pub(super) fn send(&self, message: &[u8], write: impl FnMut(&[u8])) {
        // Messages are far shorter than what a frame holds.
        let _ = match self {
            Self::Console(_) => Console::<SIZE>::send(message, write),
            Self::Raw(_) => Raw::<SIZE>::send(message, write),
        };
    }
}
