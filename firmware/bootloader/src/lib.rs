//! The bootloader of any board: wiring between the board, `updraft-boot` and `updraft-recovery`.
//!
//! ```text
//! reset ─▶ recovery wanted? ─▶ boot: finish, upgrade, verify ─▶ recovery wanted? ─▶ start
//!                │                     │ button held                 │                 ▲
//!                └──▶ serial recovery ◀┼─────────────────────────────┘                 │
//!                                      └──▶ rollback to the factory image, if any ─────┘
//! ```
#![no_std]

mod load;
mod recovery;
mod rollback;

use core::time::Duration;

use firmware_board::{Board, say};
use firmware_cortex_m::{Chip, Line as _};
use updraft_boot::{Boot, BootError};
use updraft_flash::Fault;
use updraft_image::{Describe, PublicKey, Text};
use updraft_recovery::{AfterBoot, AtReset, BeforeBoot, Entry};

#[doc(hidden)]
pub use firmware_cortex_m as cortex_m;
pub use recovery::{Line, line};

/// Who speaks on the console.
const WHO: &str = "boot: ";
/// How long a board that has nothing to start waits before it looks again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The keys that images are signed with.
#[derive(Clone, Copy, Debug)]
pub struct Trusted {
    /// Their public halves.
    pub keys: &'static [PublicKey<'static>],
    /// Whether everybody has the private ones.
    pub sample: bool,
}

/// Makes a program of it: the bootloader of the board `$board` in the package `$package`.
#[macro_export]
macro_rules! program {
    ($package:ident, $board:ident) => {
        static LINE: $crate::cortex_m::Single<$crate::Line> =
            $crate::cortex_m::Single::new($crate::line());

        fn boot() -> ! {
            let trusted = $crate::Trusted { keys: &$package::KEYS, sample: $package::SAMPLE };
            $crate::run::<$package::$board>(trusted, LINE.take())
        }

        $crate::cortex_m::program!(boot);
    };
}

/// Runs the bootloader of a board: ends by starting an image, or by a reset. `line` is the memory
/// of serial recovery.
pub fn run<B: Board>(trusted: Trusted, line: &'static mut Line) -> ! {
    let mut board = B::open();
    let boot_mode = board.chip().take_boot_mode();
    let reset = AtReset { pressed: board.pressed(), by_pin: false, boot_mode };
    let button = rollback::button(&mut board);
    let mut entry = Entry::at_reset(recovery::ways::<B>(), reset);
    let Trusted { keys, sample } = trusted;
    let signed = B::FACTS.signature.is_some();
    say(&mut board, WHO, &Greeting { board: B::FACTS.name, sample, signed });

    if let Some(remark) = board.remark() {
        say(&mut board, WHO, &remark);
    }
    let mut flash = match board.flash() {
        Ok(flash) => flash,
        Err(fault) => {
            say(&mut board, WHO, &Failed(&BootError::Flash(fault)));
            try_again(&mut board)
        }
    };
    if B::FACTS.recovery.any() && wanted_by_hand(&mut board, &mut entry) {
        recovery::run(&mut board, &mut flash, keys, line);
    }
    let mut booted = match B::FACTS.factory {
        Some(factory) => rollback::boot(&mut board, &mut flash, keys, factory, button),
        None => load::boot(&mut board, &mut flash, keys),
    };
    if let Err(error) = &booted {
        say(&mut board, WHO, &Failed(error));
    }
    if B::FACTS.recovery.any() {
        match entry.after_boot(booted.is_ok(), false, board.now()) {
            AfterBoot::Enter(_) => recovery::run(&mut board, &mut flash, keys, line),
            AfterBoot::Listen { until } => {
                recovery::listen(&mut board, &mut flash, keys, line, until);
            }
            AfterBoot::Start | AfterBoot::Stop => {}
        }
    }
    if let (Some(factory), Err(_)) = (B::FACTS.factory, &booted) {
        booted = Ok(rollback::prompt(&mut board, &mut flash, keys, factory, button));
    }
    if let Ok(boot) = booted {
        start(&mut board, &boot);
    }
    try_again(&mut board)
}

/// Resets after a while. What keeps the board from booting may pass, and nothing gets worse by trying
/// again.
fn try_again<B: Board>(board: &mut B) -> ! {
    say(board, WHO, &"nothing to start: put an image into the primary slot; trying again in 10 s");
    let until = board.now().saturating_add(PATIENCE);
    while board.now() < until {
        board.idle();
    }
    board.reset(0)
}

/// Whether the button or the reset pin asks for recovery.
fn wanted_by_hand<B: Board>(board: &mut B, entry: &mut Entry) -> bool {
    loop {
        let (pressed, now) = (board.pressed(), board.now());
        match entry.before_boot(pressed, now) {
            BeforeBoot::Enter(_) => return true,
            BeforeBoot::Boot => return false,
            BeforeBoot::Holding { .. } => board.idle(),
        }
    }
}

/// Starts an image, under the watchdog if the board wants that.
fn start<B: Board>(board: &mut B, boot: &Boot) {
    let vectors = match boot.load_address {
        Some(address) => address.checked_add(boot.header.hdr_size.into()),
        None => B::FACTS.address(boot.area, boot.entry()),
    };
    let Some(vectors) = vectors else { return };
    say(board, WHO, &Starting(boot));
    board.chip().line().drain();
    if let Some(watchdog) = B::FACTS.watchdog.filter(|watchdog| watchdog.by_bootloader) {
        board.chip().start_watchdog(watchdog.timeout);
    }
    if B::FACTS.equal_slots() {
        cortex_m::leave_origin(boot.area.0.into());
    }
    board.start(vectors)
}

/// The first line.
struct Greeting {
    board: &'static str,
    sample: bool,
    signed: bool,
}

impl Describe for Greeting {
    fn describe(&self, to: &mut Text<'_>) {
        to.fill(concat!("Updraft ", env!("CARGO_PKG_VERSION"), " on {}"), &[&self.board]);
        if self.sample {
            to.say(", trusts the sample key: not for sale");
        }
        if !self.signed {
            to.say(", takes images that nobody has signed");
        }
    }
}

/// What is started.
struct Starting<'b>(&'b Boot);

impl Describe for Starting<'_> {
    fn describe(&self, to: &mut Text<'_>) {
        to.fill("starting {}", &[&self.0.header.version]);
    }
}

/// Why nothing is.
struct Failed<'e>(&'e BootError<Fault>);

impl Describe for Failed<'_> {
    fn describe(&self, to: &mut Text<'_>) {
        self.0.describe(to);
    }
}
