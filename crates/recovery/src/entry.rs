//! Whether to go into recovery, or to start the application.
//!
//! ```text
//! reset ─▶ before_boot ─▶ the boot ─▶ after_boot
//!            button         swaps,      boot mode
//!            reset pin      verifies    no image to start
//!                                       a request, within a window
//! ```
//! The order is the original's. What is asked for by hand comes first, so that it helps when the
//! boot itself does not end; what the application asked for waits until a swap that a power cut
//! interrupted has been finished.
//!
//! Sources: MCUboot `boot/zephyr/main.c` and `io.c` (`BOOT_SERIAL_ENTRANCE_GPIO`,
//! `BOOT_SERIAL_PIN_RESET`, `BOOT_SERIAL_BOOT_MODE`, `BOOT_SERIAL_WAIT_FOR_DFU`,
//! `BOOT_SERIAL_NO_APPLICATION`), and Zephyr's retained boot mode (`retention/bootmode.h`).

use core::fmt;
use core::time::Duration;

use updraft_boot::factory::{Button, Hold, Press};

/// The boot mode that asks for recovery, as Zephyr's `BOOT_MODE_TYPE_BOOTLOADER`: what an
/// application leaves in retained memory when a client resets it with `boot_mode` 1.
pub const BOOT_MODE_RECOVERY: u32 = 1;

/// The ways into recovery that a board has. One without any never goes there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// The button, and how it has to be pressed.
    pub button: Option<Hold>,
    /// A reset by the reset pin, and by nothing else at the same time.
    pub pin_reset: bool,
    /// The boot mode in retained memory.
    pub boot_mode: bool,
    /// Nothing to start.
    pub no_image: bool,
    /// A request on the line within this time, counted from the reset, so that the time that the
    /// boot takes counts too.
    pub wait: Option<Duration>,
}

/// What is known at the reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtReset {
    /// Whether the button is pressed. A board on which only some resets may lead into recovery
    /// says no at all others.
    pub pressed: bool,
    /// Whether the reset pin was the one cause of the reset.
    pub by_pin: bool,
    /// The boot mode in retained memory; 0 where there is none, or what it holds is not intact. It
    /// has to be cleared as it is read: the wish of an application counts once.
    pub boot_mode: u32,
}

/// Why a device goes into recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The button.
    Button,
    /// The reset pin.
    PinReset,
    /// The application asked for it.
    BootMode,
    /// There is nothing to start.
    NoImage,
    /// Somebody asked for something within the window.
    Request,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Button => "the button is held",
            Self::PinReset => "reset by pin",
            Self::BootMode => "the application asked for it",
            Self::NoImage => "there is no image to start",
            Self::Request => "a request came in time",
        })
    }
}

/// What to do before the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeforeBoot {
    /// Go into recovery.
    Enter(Reason),
    /// The button is held, but not for long enough yet.
    Holding {
        /// When to look again at the latest, counted from the reset.
        until: Duration,
    },
    /// Boot.
    Boot,
}

/// What to do after the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterBoot {
    /// Go into recovery.
    Enter(Reason),
    /// Answer requests, and ask again once there was one or the time is over.
    Listen {
        /// When it is over, counted from the reset.
        until: Duration,
    },
    /// Start what the boot found.
    Start,
    /// There is nothing to start and no way on.
    Stop,
}

/// The decision, from the reset on.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    ways: Ways,
    button: Option<Button>,
    by_pin: bool,
    boot_mode: u32,
    listening: Option<Duration>,
}

impl Entry {
    /// However long the boot took, the line is listened to for this long.
    const LEAST_WAIT: Duration = Duration::from_millis(1);

    /// At the reset of a board with these ways into recovery.
    pub fn at_reset(ways: Ways, reset: AtReset) -> Self {
        let AtReset { pressed, by_pin, boot_mode } = reset;
        let button = ways.button.map(|hold| Button::at_reset(hold, pressed));
        Self { ways, button, by_pin, boot_mode, listening: None }
    }

    /// What to do before the boot, with what the button says `since_reset`. To be asked again as
    /// long as it is [`BeforeBoot::Holding`].
    pub fn before_boot(&mut self, pressed: bool, since_reset: Duration) -> BeforeBoot {
        if self.ways.pin_reset && self.by_pin {
            return BeforeBoot::Enter(Reason::PinReset);
        }
        match self.button.as_mut().map(|button| button.sample(pressed, since_reset)) {
            Some(Press::Yes) => BeforeBoot::Enter(Reason::Button),
            Some(Press::Holding { until }) => BeforeBoot::Holding { until },
            Some(Press::No) | None => BeforeBoot::Boot,
        }
    }

    /// What to do after a boot that found an `image` to start or did not. `heard` is whether a
    /// request has come since the reset. To be asked again as long as it is
    /// [`AfterBoot::Listen`].
    pub fn after_boot(&mut self, image: bool, heard: bool, since_reset: Duration) -> AfterBoot {
        if self.ways.boot_mode && self.boot_mode == BOOT_MODE_RECOVERY {
            return AfterBoot::Enter(Reason::BootMode);
        }
        if self.ways.no_image && !image {
            return AfterBoot::Enter(Reason::NoImage);
        }
        if let Some(wait) = self.ways.wait {
            let least = since_reset.saturating_add(Self::LEAST_WAIT);
            let until = *self.listening.get_or_insert(wait.max(least));
            if heard {
                return AfterBoot::Enter(Reason::Request);
            }
            if since_reset < until {
                return AfterBoot::Listen { until };
            }
        }
        if image { AfterBoot::Start } else { AfterBoot::Stop }
    }
}
