//! The serial line of a recovery: bytes in, bytes out.

use core::time::Duration;

use updraft_flash::FlashMap;
use updraft_image::Verifier;
use updraft_smp::framing::{Framing, Received};
use updraft_smp::server::Reset;

use crate::{Hooks, Recovery};

/// What bytes led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Requests that were answered.
    pub requests: u32,
    /// A reset to carry out once the answer has left, a quarter of a second later by custom.
    /// Nothing behind it was looked at.
    pub reset: Option<Reset>,
}

/// A serial line with the framing `F`, whose buffer is to be as large as
/// [`Config::buffer`](crate::Config::buffer) says. Answers have at most `OUT` bytes: about 150 for
/// each slot that is listed.
#[derive(Clone, Debug)]
pub struct Port<F, const OUT: usize> {
    framing: F,
    answer: [u8; OUT],
}

impl<F: Framing, const OUT: usize> Port<F, OUT> {
    /// A line on which nothing has come yet.
    pub const fn new(framing: F) -> Self {
        Self { framing, answer: [0; OUT] }
    }

    /// Takes `bytes` that arrived at `now`; `send` gets the answers in pieces, ready for the line.
    /// Text on the line is dropped.
    pub fn receive<M: FlashMap, V: Verifier, H: Hooks, const HEAD: usize>(
        &mut self,
        recovery: &mut Recovery<M, V, H, HEAD>,
        bytes: &[u8],
        now: Duration,
        mut send: impl FnMut(&[u8]),
    ) -> Heard {
        let mut heard = Heard::default();
        for byte in bytes {
            let Some(Received::Message(message)) = self.framing.receive(*byte, now) else {
                continue;
            };
            let Some(reply) = recovery.handle(message, &mut self.answer) else { continue };
            heard.requests = heard.requests.saturating_add(1);
            if let Some(answer) = self.answer.get(..reply.len).filter(|answer| !answer.is_empty()) {
                // An answer too long for a frame is as lost as one that does not fit the buffer.
                let _ = F::send(answer, &mut send);
            }
            if reply.reset.is_some() {
                heard.reset = reply.reset;
                break;
            }
        }
        heard
    }
}
