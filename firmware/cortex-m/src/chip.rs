//! What programs ask of a chip, whatever board it is on; and a chip put together from its parts.

use core::time::Duration;

/// A serial line, with the console on it.
pub trait Line {
    /// How many lines there are, this one included. Applications serve SMP on all of them.
    const LINES: usize = 1;

    /// The next byte that has come.
    fn receive(&mut self) -> Option<u8>;

    /// Sends a byte, and waits until there is room for it.
    fn send(&mut self, byte: u8);

    /// Waits until everything has left.
    fn drain(&mut self) {}

    /// Waits until something may have come, or for a few milliseconds.
    fn idle(&mut self);

    /// The next byte that has come over line `number`; 0 is the console's.
    fn receive_on(&mut self, number: usize) -> Option<u8> {
        if number == 0 { self.receive() } else { None }
    }

    /// Sends a byte over line `number`. One that nobody listens on may drop it.
    fn send_on(&mut self, number: usize, byte: u8) {
        if number == 0 {
            self.send(byte);
        }
    }
}

/// A clock that runs from the reset on.
pub trait Clock {
    /// Time since then. To be asked at least once a minute.
    fn now(&mut self) -> Duration;
}

/// A watchdog.
pub trait Watchdog {
    /// Starts it: from now on it resets the chip if it is not fed for so long.
    fn start(&mut self, timeout: Duration);

    /// Feeds it.
    fn feed(&mut self);
}

/// No watchdog.
#[derive(Clone, Copy, Debug)]
pub struct NoWatchdog;

impl Watchdog for NoWatchdog {
    fn start(&mut self, _: Duration) {}

    fn feed(&mut self) {}
}

/// What programs ask of a chip.
pub trait Chip {
    /// Its serial line.
    type Line: Line;

    /// Its serial line.
    fn line(&mut self) -> &mut Self::Line;

    /// Time since the reset. To be asked at least once a minute.
    fn now(&mut self) -> Duration;

    /// Starts the watchdog. A chip that has none does nothing.
    fn start_watchdog(&mut self, timeout: Duration);

    /// Feeds the watchdog.
    fn feed_watchdog(&mut self);

    /// The boot mode that was left before the reset, 0 if none was. It counts once.
    fn take_boot_mode(&mut self) -> u32 {
        crate::take_boot_mode()
    }

    /// Resets the chip and leaves `boot_mode` for the bootloader.
    fn reset(&mut self, boot_mode: u32) -> ! {
        crate::reset(boot_mode)
    }

    /// Starts the program with its vector table at this address, which whoever asks has verified.
    fn start(&mut self, vectors: u32) -> ! {
        // SAFETY: there is one, by the sentence above.
        unsafe { crate::jump(vectors) }
    }
}

/// A chip: its line, its clock, its watchdog.
#[derive(Debug)]
pub struct Parts<L, C, W = NoWatchdog> {
    /// Its serial line.
    pub line: L,
    /// Its clock.
    pub clock: C,
    /// Its watchdog.
    pub watchdog: W,
}

impl<L: Line, C: Clock, W: Watchdog> Chip for Parts<L, C, W> {
    type Line = L;

    fn line(&mut self) -> &mut L {
        &mut self.line
    }

    fn now(&mut self) -> Duration {
        self.clock.now()
    }

    fn start_watchdog(&mut self, timeout: Duration) {
        self.watchdog.start(timeout);
    }

    fn feed_watchdog(&mut self) {
        self.watchdog.feed();
    }
}

/// Time by a counter that wraps around.
#[derive(Debug)]
pub struct Counted<const HZ: u32> {
    last: u32,
    seconds: u32,
    /// Ticks that make up no second yet.
    ticks: u32,
}

impl<const HZ: u32> Counted<HZ> {
    const NANOSECONDS: u32 = 1_000_000_000 / HZ;

    /// From now on, where the counter is at `value`.
    pub const fn from(value: u32) -> Self {
        Self { last: value, seconds: 0, ticks: 0 }
    }

    /// The time at which the counter, which counts up, is at `value`.
    pub fn at(&mut self, value: u32) -> Duration {
        self.ticks += value.wrapping_sub(self.last);
        self.last = value;
        while self.ticks >= HZ {
            self.ticks -= HZ;
            self.seconds += 1;
        }
        Duration::new(self.seconds.into(), self.ticks * Self::NANOSECONDS)
    }
}
