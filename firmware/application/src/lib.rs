//! An application for any board: blinks, tests itself, and can be updated over SMP on the console's
//! line, and on every other one that the chip has.
//!
//! What it does is in its description, a text in the image, which a virtual device would read as
//! well: so one build serves every flavour.
//!
//! ```text
//!              self-test passes                    reset asked for, answer sent
//! testing ───────────────────────▶ serving ───────────────────────▶ resets
//!    │ fails, crashes: resets
//!    └ hangs: the watchdog resets
//! ```
#![no_std]

#[cfg(feature = "bluetooth")]
pub mod bluetooth;
mod description;
#[cfg(feature = "network")]
pub mod network;
mod os;

use core::time::Duration;

use firmware_board::{Board, Facts, Keys, milliseconds, say};
use firmware_cortex_m::{Chip, Line};
use updraft_dfu::{Config, Dfu, DfuError, DfuSlots, SlotTable};
use updraft_flash::{Fault, FlashMap, Which};
use updraft_image::{Describe, PublicKey, Text, Version};
use updraft_smp::framing::{Console, Framing, Received};
use updraft_smp::server::{ImageGroup, OsGroup, Server};

pub use description::Description;
#[doc(hidden)]
pub use firmware_cortex_m as cortex_m;

use description::SelfTest;
use os::Platform;

/// Who speaks on the console.
const WHO: &str = "app: ";
/// From the answer to a request for a reset to the reset.
const RESET_DELAY: Duration = Duration::from_millis(250);
/// Bytes that are written to flash at once.
const BLOCK: usize = 256;
/// Bytes of the largest message.
pub const BUFFER: usize = 1024;

/// The memory of the SMP server: messages of at most `N` bytes, over so many lines.
#[derive(Debug)]
pub struct Memory<const N: usize, const LINES: usize> {
    framings: [Console<N>; LINES],
    answer: [u8; N],
}

impl<const N: usize, const LINES: usize> Memory<N, LINES> {
    /// Nothing has come yet.
    pub const fn new() -> Self {
        Self { framings: [const { Console::new() }; LINES], answer: [0; N] }
    }
}

impl<const N: usize, const LINES: usize> Default for Memory<N, LINES> {
    fn default() -> Self {
        Self::new()
    }
}

type Slots<'k, B> = DfuSlots<<B as Board>::Map, Keys<'k, B>, Dfu, (), BLOCK>;

/// How many lines a board has.
pub const fn lines<B: Board>() -> usize {
    <<B as Board>::Chip as Chip>::Line::LINES
}

/// Makes a program of it: the application of the board `$board`, a type in the package `$package`.
#[macro_export]
macro_rules! program {
    ($package:ident, $board:ty) => {
        type Memory = $crate::Memory<{ $crate::BUFFER }, { $crate::lines::<$board>() }>;
        static MEMORY: $crate::cortex_m::Single<Memory> =
            $crate::cortex_m::Single::new(Memory::new());

        $crate::cortex_m::description!(
            DESCRIPTION,
            include_bytes!(concat!(env!("OUT_DIR"), "/description.bin"))
        );

        fn run() -> ! {
            // The text may be another one than when this was compiled.
            let description = core::hint::black_box(&DESCRIPTION);
            $crate::run::<$board, _, _>(description, &$package::KEYS, MEMORY.take())
        }

        $crate::cortex_m::program!(run);
    };
}

/// Runs the application; ends by a reset.
pub fn run<B: Board, const N: usize, const LINES: usize>(
    description: &[u8],
    keys: &[PublicKey<'_>],
    memory: &'static mut Memory<N, LINES>,
) -> ! {
    let mut application = Application::<B, N, LINES>::open(description, keys, memory);
    loop {
        if !application.turn() {
            application.board.idle();
        }
    }
}

/// The application, at work.
struct Application<'a, B: Board, const N: usize, const LINES: usize> {
    board: B,
    description: Description<'a>,
    groups: (OsGroup<Platform>, ImageGroup<Slots<'a, B>>),
    memory: &'static mut Memory<N, LINES>,
    /// When, unless it was.
    test_at: Option<Duration>,
    reset: Option<(Duration, u32)>,
}

impl<'a, B: Board, const N: usize, const LINES: usize> Application<'a, B, N, LINES> {
    /// Begins, with a line on the console.
    fn open(
        description: &'a [u8],
        keys: &'a [PublicKey<'a>],
        memory: &'static mut Memory<N, LINES>,
    ) -> Self {
        let mut board = B::open();
        let description = Description::of(description);
        let facts = &B::FACTS;
        let Ok(mut flash) = board.flash() else { board.reset(0) };
        let Some(dfu) = dfu(facts, &flash) else { board.reset(0) };
        let version = dfu.header(&mut flash, dfu.active_slot()).map(|header| header.version);
        let version = version.unwrap_or_default();
        say(&mut board, WHO, &Started { description, version });

        let slots = DfuSlots::new(flash, Keys::new(keys), SlotTable::new(dfu));
        let groups = (OsGroup(Platform::new(facts, N as u32)), ImageGroup::new(slots));
        let test_at = Some(board.now().saturating_add(description.self_test));
        Self { board, description, groups, memory, test_at, reset: None }
    }

    /// Does what there is to do; says whether there may be more of it.
    fn turn(&mut self) -> bool {
        let Self { board, description, groups, memory, .. } = self;
        let now = board.now();
        board.chip().feed_watchdog();
        board.led((milliseconds(now) / description.blink_ms).is_multiple_of(2));
        if let Some((_, boot_mode)) = self.reset.filter(|(at, _)| *at <= now) {
            board.reset(boot_mode);
        }
        if self.test_at.take_if(|at| *at <= now).is_some() {
            self_test(board, description, groups.1.slots());
        }
        let received = (0..LINES)
            .find_map(|line| board.chip().line().receive_on(line).map(|byte| (line, byte)));
        let Some((line, byte)) = received else { return false };
        let Some(framing) = memory.framings.get_mut(line) else { return true };
        let Some(Received::Message(message)) = framing.receive(byte, now) else { return true };
        let asked = Server::default().handle(message, groups, &mut memory.answer, |answer| {
            let to = board.chip().line();
            // An answer is far shorter than what a frame holds.
            let _ = Console::<N>::send(answer, |bytes| {
                bytes.iter().for_each(|byte| to.send_on(line, *byte));
            });
        });
        self.reset_after(now, asked.map(|asked| asked.boot_mode));
        true
    }

    /// Resets a moment after an answer, if that was asked for, and into this boot mode.
    fn reset_after(&mut self, now: Duration, boot_mode: Option<u32>) {
        if let Some(boot_mode) = boot_mode {
            self.reset = self.reset.or(Some((now.saturating_add(RESET_DELAY), boot_mode)));
        }
    }
}

/// The update state of the image that runs. Where slots are of equal rank, the bootloader has left word
/// of the one that it is from; an application that was started without one takes it for the primary.
fn dfu<M: FlashMap>(facts: &Facts, flash: &M) -> Option<Dfu> {
    let config = Config { slots: facts.slots, trailers: facts.trailers, rules: facts.rules };
    let dfu = Dfu::new(flash, config).ok()?;
    if !facts.equal_slots() {
        return Some(dfu);
    }
    let dfu = if facts.trials { dfu.with_trials() } else { dfu };
    let secondary = cortex_m::origin() == Some(facts.slots.secondary.0.into());
    Some(dfu.running_from(if secondary { Which::Secondary } else { Which::Primary }))
}

/// What the application makes of its self-test. One that is not confirmed yet and fails goes back by
/// a reset; one that is confirmed has nothing to go back to, and goes on as well as it can.
fn self_test<B: Board>(board: &mut B, description: &Description<'_>, slots: &mut Slots<'_, B>) {
    let Some((flash, dfu)) = slots.image(B::FACTS.slots.image) else { return };
    let confirmed = dfu.is_confirmed(flash).unwrap_or(false);
    match description.outcome {
        SelfTest::Pass if confirmed => say(board, WHO, &"self-test passed"),
        SelfTest::Pass if description.confirms => match dfu.confirm(flash) {
            Ok(()) => say(board, WHO, &"self-test passed, image confirmed"),
            Err(error) => say(board, WHO, &NotConfirmed(error)),
        },
        SelfTest::Pass => say(board, WHO, &"self-test passed, waiting to be confirmed"),
        SelfTest::Fail if confirmed => {
            say(board, WHO, &"self-test failed, image stays: it is confirmed");
        }
        SelfTest::Fail => {
            say(board, WHO, &"self-test failed");
            board.reset(0)
        }
        SelfTest::Hang => {
            say(board, WHO, &"hangs");
            loop {
                core::hint::spin_loop();
            }
        }
        // A panic resets, as a fault does.
        SelfTest::Crash => panic!(),
    }
}

/// The first line.
struct Started<'d> {
    description: Description<'d>,
    version: Version,
}

impl Describe for Started<'_> {
    fn describe(&self, to: &mut Text<'_>) {
        let Description { name, blink_ms, .. } = self.description;
        to.fill("{} {} started, LED every {} ms", &[&name, &self.version, &blink_ms]);
    }
}

struct NotConfirmed(DfuError<Fault>);

impl Describe for NotConfirmed {
    fn describe(&self, to: &mut Text<'_>) {
        match self.0 {
            DfuError::Flash(fault) => to.fill("image not confirmed: {}", &[&fault]),
            _ => to.say("image not confirmed: its trailer is damaged"),
        }
    }
}
