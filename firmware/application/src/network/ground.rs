//! What goes on all the time, also while a connection is waited for: the network, SMP, the light, the
//! watchdog.

use core::cell::RefCell;
use core::time::Duration;

use firmware_board::{Board, Keys, milliseconds, say};
use firmware_cortex_m::{Chip, Line};
use updraft_dfu::{Dfu, DfuSlots};
use updraft_flash::{AreaId, AreaInfo, FlashMap, Sector};
use updraft_image::Describe;
use updraft_smp::framing::{Console, Framing, Received};
use updraft_smp::server::{Access, ImageGroup, LinkSecurity, OsGroup, Server};

use super::ethernet::Ethernet;
use super::stack::Stack;
use crate::os::Platform;
use crate::{BLOCK, Memory, RESET_DELAY, WHO};

/// Flash that the agent and SMP both work on, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared<'f, M>(pub &'f RefCell<M>);

impl<M: FlashMap> FlashMap for Shared<'_, M> {
    type Error = M::Error;

    fn info(&self, id: AreaId) -> Option<AreaInfo> {
        self.0.borrow().info(id)
    }

    fn sector_at(&self, id: AreaId, offset: u32) -> Option<Sector> {
        self.0.borrow().sector_at(id, offset)
    }

    fn read(&mut self, id: AreaId, offset: u32, buf: &mut [u8]) -> Result<(), M::Error> {
        self.0.borrow_mut().read(id, offset, buf)
    }

    fn write(&mut self, id: AreaId, offset: u32, data: &[u8]) -> Result<(), M::Error> {
        self.0.borrow_mut().write(id, offset, data)
    }

    fn erase(&mut self, id: AreaId, offset: u32, len: u32) -> Result<(), M::Error> {
        self.0.borrow_mut().erase(id, offset, len)
    }
}

type Slots<'f, 'k, B> = DfuSlots<Shared<'f, <B as Board>::Map>, Keys<'k, B>, Dfu, (), BLOCK>;

pub(super) struct Ground<'f, 'k, B: Board, E, const N: usize, const LINES: usize> {
    pub board: B,
    pub stack: Stack<'f, E>,
    pub blink_ms: u32,
    pub groups: (OsGroup<Platform>, ImageGroup<Slots<'f, 'k, B>>),
    /// What may be asked for over UDP.
    pub access: Access<'static>,
    pub memory: &'static mut Memory<N, LINES>,
    pub reset: Option<(Duration, u32)>,
}

impl<B: Board, E: Ethernet, const N: usize, const LINES: usize> Ground<'_, '_, B, E, N, LINES> {
    /// Does what there is to do, and says what time it is.
    pub fn turn(&mut self) -> Duration {
        let now = self.board.now();
        self.board.chip().feed_watchdog();
        self.board.led((milliseconds(now) / self.blink_ms).is_multiple_of(2));
        if let Some((_, boot_mode)) = self.reset.filter(|(at, _)| *at <= now) {
            self.board.reset(boot_mode);
        }
        self.stack.poll(now);
        self.listen(now);
        self.serve(now);
        now
    }

    /// SMP over the board's lines.
    fn listen(&mut self, now: Duration) {
        let Self { board, groups, memory, .. } = self;
        for (line, framing) in memory.framings.iter_mut().enumerate() {
            while let Some(byte) = board.chip().line().receive_on(line) {
                let Some(Received::Message(message)) = framing.receive(byte, now) else { continue };
                let server = Server::default();
                let asked = server.handle(message, groups, &mut memory.answer, |answer| {
                    let to = board.chip().line();
                    // An answer is far shorter than what a frame holds.
                    let _ = Console::<N>::send(answer, |bytes| {
                        bytes.iter().for_each(|byte| to.send_on(line, *byte));
                    });
                });
                if let Some(asked) = asked {
                    let at = now.saturating_add(RESET_DELAY);
                    self.reset = self.reset.or(Some((at, asked.boot_mode)));
                }
            }
        }
    }

    /// SMP over UDP.
    fn serve(&mut self, now: Duration) {
        let Self { stack, groups, access, memory, .. } = self;
        let mut groups = access.guard(LinkSecurity::default(), groups);
        let mut request = [0; N];
        while let Some((len, from)) = stack.request(&mut request) {
            let message = request.get(..len).unwrap_or_default();
            let asked =
                Server::default().handle(message, &mut groups, &mut memory.answer, |answer| {
                    stack.answer(answer, from);
                });
            if asked.is_some() {
                // Serial recovery is of no use to who is not there.
                self.reset = self.reset.or(Some((now.saturating_add(RESET_DELAY), 0)));
            }
        }
    }

    pub fn say(&mut self, what: &impl Describe) {
        say(&mut self.board, WHO, what);
    }
}
