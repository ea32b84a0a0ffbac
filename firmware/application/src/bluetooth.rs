//! The application with a radio: SMP over Bluetooth LE, besides the console's line.
//!
//! ```text
//! the board's radio ─ HCI ─ updraft-ble ─ requests ─┐
//!                             console's line ───────┴─ groups ─ the other slot
//! ```
//! Both are looked after in turns, by one loop: nothing is woken, as nothing sleeps longer than until
//! the board's next tick or the radio's next interrupt.
//!
//! A peer has to be bonded with, which anybody in reach can do, and images have to be signed by a key
//! that the board trusts, as over any other line. A self-test does not pass without the radio: where it
//! is the only way in, the image that cannot use it is the last one.

mod bonds;

use core::cell::RefCell;
use core::pin::pin;
use core::task::{Context, Waker};

use firmware_board::{Board, say};
use updraft_ble::trouble_host::Controller;
use updraft_ble::{Answers, Peripheral, Reply};
use updraft_flash::AreaId;
use updraft_image::{Describe, PublicKey, Text};
use updraft_smp::server::{Access, LinkSecurity, Server};

use crate::description::SelfTest;
use crate::{Application, WHO};
use bonds::Kept;

/// The memory of the application: SMP messages of at most `N` bytes.
#[derive(Debug)]
pub struct Memory<const N: usize, const LINES: usize> {
    lines: crate::Memory<N, LINES>,
    answer: [u8; N],
}

impl<const N: usize, const LINES: usize> Memory<N, LINES> {
    /// Nothing has come yet.
    pub const fn new() -> Self {
        Self { lines: crate::Memory::new(), answer: [0; N] }
    }
}

impl<const N: usize, const LINES: usize> Default for Memory<N, LINES> {
    fn default() -> Self {
        Self::new()
    }
}

/// A radio that is on.
#[derive(Debug)]
pub struct Radio<C, P> {
    /// Its controller.
    pub controller: C,
    /// A random static address.
    pub address: [u8; 6],
    /// What it has to do outside its interrupts.
    pub process: P,
}

/// What the image carries besides its program, and what the board has.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// What the application does.
    pub description: &'a [u8],
    /// Whom it trusts.
    pub keys: &'a [PublicKey<'a>],
    /// The area for what outlives resets.
    pub storage: Option<AreaId>,
}

/// Runs the application; ends by a reset. The radio is turned on after the board was opened.
pub fn run<B: Board, C: Controller, P: FnMut(), const N: usize, const LINES: usize>(
    setup: Setup<'_>,
    radio: impl FnOnce() -> Option<Radio<C, P>>,
    memory: &'static mut Memory<N, LINES>,
) -> ! {
    let Memory { lines, answer } = memory;
    let application = Application::<B, N, LINES>::open(setup.description, setup.keys, lines);
    let application = RefCell::new(application);
    let name = B::FACTS.name.get(..Peripheral::NAME_MAX).unwrap_or(B::FACTS.name);
    let radio = radio().zip(Peripheral::new(name).ok());
    let started = radio.is_some();
    if let Some((Radio { controller, address, mut process }, shown)) = radio {
        let shown = shown.with_random_address(address);
        let mut bonds = Kept::new(&application, setup.storage);
        let mut answers = Over { application: &application, answer };
        let mut serving = pin!(shown.serve::<_, N>(
            controller,
            &mut answers,
            &mut bonds,
            core::future::pending()
        ));
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let busy = application.borrow_mut().turn();
            process();
            if serving.as_mut().poll(&mut context).is_ready() {
                break;
            }
            if !busy {
                application.borrow_mut().board.idle();
            }
        }
    }
    let mut application = application.into_inner();
    say(&mut application.board, WHO, &NoRadio);
    if application.test_at.is_some() {
        application.description.outcome = SelfTest::Fail;
    }
    if started {
        // It has worked, and does so again behind a reset; without it, nobody could reach the device.
        let now = application.board.now();
        application.reset_after(now, Some(0));
    }
    loop {
        if !application.turn() {
            application.board.idle();
        }
    }
}

/// Requests that come over the air.
struct Over<'r, 'a, B: Board, const N: usize, const LINES: usize> {
    application: &'r RefCell<Application<'a, B, N, LINES>>,
    answer: &'static mut [u8; N],
}

impl<B: Board, const N: usize, const LINES: usize> Answers for Over<'_, '_, B, N, LINES> {
    async fn answer(&mut self, packet: &[u8], link: LinkSecurity, reply: &Reply<'_, '_, '_>) {
        let mut packet = Server::default().packet(packet);
        loop {
            // Not while the answer is on its way: the loop takes its turns.
            let step = {
                let mut application = self.application.borrow_mut();
                let mut groups = Access::BLUETOOTH.guard(link, &mut application.groups);
                packet.answer_next(&mut groups, self.answer)
            };
            let Some(step) = step else { return };
            let message = self.answer.get(..step.len).unwrap_or_default();
            if !message.is_empty() {
                reply.send(message).await;
            }
            let mut application = self.application.borrow_mut();
            let now = application.board.now();
            // Serial recovery is of no use to who is not there.
            application.reset_after(now, step.reset.map(|_| 0));
        }
    }
}

/// A program that is this application: of the package `$package`, on `$board`, over the module `$radio`
/// that has `open` and `process`.
#[macro_export]
macro_rules! bluetooth_program {
    ($package:ident, $board:ty, $radio:ident) => {
        type Memory = $crate::bluetooth::Memory<{ $crate::BUFFER }, { $crate::lines::<$board>() }>;
        static MEMORY: $crate::cortex_m::Single<Memory> =
            $crate::cortex_m::Single::new(Memory::new());

        $crate::cortex_m::description!(
            DESCRIPTION,
            include_bytes!(concat!(env!("OUT_DIR"), "/description.bin"))
        );

        fn serve() -> ! {
            // The text may be another one than when this was compiled.
            let description = core::hint::black_box(&DESCRIPTION);
            let (keys, storage) = (&$package::KEYS, $package::board::STORAGE);
            let setup = $crate::bluetooth::Setup { description, keys, storage };
            let open = || {
                let $radio::Radio { controller, address } = $radio::open().ok()?;
                let process = $radio::process;
                Some($crate::bluetooth::Radio { controller, address, process })
            };
            $crate::bluetooth::run::<$board, _, _, _, _>(setup, open, MEMORY.take())
        }

        $crate::cortex_m::program!(serve);
    };
}

struct NoRadio;

impl Describe for NoRadio {
    fn describe(&self, to: &mut Text<'_>) {
        to.say("Bluetooth does not work: its controller failed");
    }
}
