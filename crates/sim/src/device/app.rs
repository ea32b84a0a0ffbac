//! The application that runs on a virtual device: SMP server, self-test, watchdog.
//!
//! ```text
//!              self-test passes                    reset asked for, answer sent
//! Testing ───────────────────────▶ Serving ───────────────────────▶ resets
//!    │ fails: resets    │ crashes: resets at once
//!    └ hangs ──▶ Hung ── the watchdog resets
//! ```
//! On a device with a network, an application that fetches its updates leaves it to its update agent
//! what becomes of an image on trial ([`Noticed`]). The agent is played by who has sockets.

use std::time::Duration;

use updraft_board::Board;
use updraft_dfu::{Dfu, DfuError, DfuSlots, SlotTable};
use updraft_flash::FlashMap;
use updraft_image::Version;
use updraft_smp::server::{Buffers, ConfirmOthers, Fault, ImageGroup, Policy, Reset};

use super::descriptor::{Ask, ConfirmedBy, Descriptor, SelfTest};
use super::keys::Keys;
use super::services::{Orders, Platform, Progress, Served, Services, Via};

/// What the SMP server of a virtual device buffers.
pub const BUFFERS: Buffers = Buffers { size: 2048, count: 8 };
/// Bytes that it takes of a datagram, whatever its buffers hold: one Ethernet frame, as Zephyr does
/// unless told otherwise.
pub const DATAGRAM: usize = 1500;
/// From the answer to a reset request to the reset.
pub(super) const RESET_DELAY: Duration = Duration::from_millis(250);

/// What the application wants of its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To be reset, for the reason given, with this boot mode in retained memory.
    Reset { reason: &'static str, boot_mode: u32 },
}

impl Wish {
    /// An ordinary reset.
    const fn reset(reason: &'static str) -> Self {
        Self::Reset { reason, boot_mode: 0 }
    }
}

/// What has happened that is the update agent's business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// The button was pressed.
    pub pressed: bool,
    /// The image on trial has been tested, and has passed or not.
    pub tested: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Testing { until: Duration },
    Serving,
    Hung { until: Duration },
}

/// The slots of all images.
pub(super) type Slots<F> = DfuSlots<F, Keys, Vec<Dfu>, Progress>;

/// A running application over its flash.
#[derive(Debug)]
pub struct App<F> {
    descriptor: Descriptor,
    platform: Platform,
    image: ImageGroup<Slots<F>>,
    phase: Phase,
    started: Duration,
    watchdog: Duration,
    /// When a reset is due, and why.
    reset: Option<(Duration, Wish)>,
    /// What the update agent has not been told yet; `None` without one.
    noticed: Option<Noticed>,
    console: Vec<String>,
}

impl<F: FlashMap> App<F> {
    /// Starts the application that `descriptor` describes, in the version of its image.
    pub fn start(
        board: &Board,
        descriptor: Descriptor,
        version: Version,
        flash: F,
        (images, keys, progress): (Vec<Dfu>, Keys, Progress),
        now: Duration,
    ) -> Self {
        let slots = DfuSlots::with_hooks(flash, keys, SlotTable::new(images), progress);
        // One application speaks for all images.
        let policy = Policy { confirm_others: ConfirmOthers::Any, ..Policy::default() };
        let watchdog = board.watchdog().map_or(2000, |watchdog| watchdog.timeout_ms);
        let mut app = Self {
            phase: Phase::Testing { until: now + milliseconds(descriptor.self_test_ms) },
            platform: Platform::new(board, &descriptor, version),
            image: ImageGroup::with_policy(slots, policy),
            started: now,
            watchdog: milliseconds(watchdog),
            reset: None,
            noticed: None,
            console: Vec::new(),
            descriptor,
        };
        let name = &app.descriptor.name;
        let blink = app.descriptor.blink_ms;
        app.console.push(format!("app: {name} {version} started, LED every {blink} ms"));
        app
    }

    /// The device has a network: if it fetches its updates, it has an agent for that.
    pub fn on_network(mut self) -> Self {
        self.noticed = self.descriptor.updates.as_ref().map(|_| Noticed::default());
        self
    }

    /// What has happened since the last call that is the update agent's business.
    pub fn noticed(&mut self) -> Noticed {
        self.noticed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether it hangs.
    pub fn hangs(&self) -> bool {
        matches!(self.phase, Phase::Hung { .. })
    }

    /// Prints a line.
    pub fn say(&mut self, text: &str) {
        self.console.push(format!("app: {text}"));
    }

    /// Flash and keys.
    pub fn parts(&mut self) -> (&mut F, Keys) {
        let slots = self.image.slots();
        let keys = slots.verifier().clone();
        (slots.map(), keys)
    }

    /// Stops it and gives flash and keys back.
    pub fn stop(self) -> (F, Keys) {
        self.image.into_slots().into_parts()
    }

    /// The keys that the device trusts.
    pub fn keys(&mut self) -> &Keys {
        self.image.slots().verifier()
    }

    /// The flash.
    pub fn flash(&mut self) -> &mut F {
        self.image.slots().map()
    }

    /// What it does.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Whether its LED is lit.
    pub fn led(&self, now: Duration) -> bool {
        let elapsed = now.saturating_sub(self.started).as_millis();
        !matches!(self.phase, Phase::Hung { .. })
            && (elapsed / u128::from(self.descriptor.blink_ms)).is_multiple_of(2)
    }

    /// Lines printed since the last call.
    pub fn console(&mut self) -> Vec<String> {
        std::mem::take(&mut self.console)
    }

    /// When something happens without anything from outside.
    pub fn deadline(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Testing { until } | Phase::Hung { until } => Some(until),
            Phase::Serving => None,
        };
        [phase, self.reset.map(|(at, _)| at)].into_iter().flatten().min()
    }

    /// Lets time pass.
    pub fn poll(&mut self, now: Duration) -> Option<Wish> {
        if let Some((_, wish)) = self.reset.filter(|(at, _)| *at <= now) {
            return Some(wish);
        }
        match self.phase {
            Phase::Testing { until } if until <= now => self.self_test(now),
            Phase::Hung { until } if until <= now => Some(Wish::reset("by the watchdog")),
            _ => None,
        }
    }

    fn self_test(&mut self, now: Duration) -> Option<Wish> {
        let confirmed = self.is_confirmed();
        match (self.descriptor.self_test, &mut self.noticed) {
            (outcome @ (SelfTest::Pass | SelfTest::Fail), Some(noticed)) if !confirmed => {
                noticed.tested = Some(outcome == SelfTest::Pass);
                self.phase = Phase::Serving;
                return None;
            }
            _ => {}
        }
        match self.descriptor.self_test {
            SelfTest::Pass => {
                self.phase = Phase::Serving;
                match (confirmed, self.descriptor.confirm) {
                    (true, _) => self.console.push("app: self-test passed".into()),
                    (false, ConfirmedBy::Host) => {
                        self.console.push("app: self-test passed, waiting to be confirmed".into())
                    }
                    (false, ConfirmedBy::Application) => {
                        let told = match self.confirm() {
                            Ok(()) => "app: self-test passed, image confirmed".into(),
                            Err(error) => format!("app: image not confirmed: {error}"),
                        };
                        self.console.push(told);
                    }
                }
                None
            }
            // A confirmed image has nothing to go back to; it goes on as well as it can.
            SelfTest::Fail if confirmed => {
                self.phase = Phase::Serving;
                self.console.push("app: self-test failed, image stays: it is confirmed".into());
                None
            }
            SelfTest::Fail => {
                self.console.push("app: self-test failed".into());
                Some(Wish::reset("after a failed self-test"))
            }
            SelfTest::Hang => {
                self.phase = Phase::Hung { until: now + self.watchdog };
                None
            }
            SelfTest::Crash => {
                self.console.push("app: hard fault".into());
                Some(Wish::reset("after a fault"))
            }
        }
    }

    fn is_confirmed(&mut self) -> bool {
        let slots = self.image.slots();
        (0..slots.table().images()).all(|image| {
            let image = slots.image(image);
            image.is_some_and(|(flash, dfu)| dfu.is_confirmed(flash).unwrap_or(false))
        })
    }

    /// Confirms all images, its own last.
    fn confirm(&mut self) -> Result<(), DfuError<F::Error>> {
        let slots = self.image.slots();
        let images = (0..slots.table().images()).rev();
        for image in images {
            if let Some((flash, dfu)) = slots.image(image) {
                dfu.confirm(flash)?;
            }
        }
        Ok(())
    }

    /// Answers a datagram; each answer is handed to `send`. What is longer than [`DATAGRAM`] loses
    /// its end, so that the request there is answered as corrupt.
    pub fn datagram(
        &mut self,
        packet: &[u8],
        now: Duration,
        services: &mut Services,
        send: impl FnMut(&[u8]),
    ) {
        self.packet(packet.get(..DATAGRAM).unwrap_or(packet), (Via::Udp, now), services, send);
    }

    /// Answers a packet; each answer is handed to `send`. A hung application answers nothing.
    pub fn packet(
        &mut self,
        packet: &[u8],
        (via, now): (Via, Duration),
        services: &mut Services,
        send: impl FnMut(&[u8]),
    ) {
        if self.hangs() {
            return;
        }
        let mut buffer = vec![0; BUFFERS.size as usize];
        let mut served = Served {
            services,
            platform: &self.platform,
            image: &mut self.image,
            uptime: now.saturating_sub(self.started),
            orders: Orders::default(),
        };
        let reset = served.answer(packet, (via, now), &mut buffer, send);
        let Orders { reboot, crash, self_test } = served.orders;
        let mut due = |wish| self.reset = Some((now + RESET_DELAY, wish));
        if let Some(Reset { boot_mode, .. }) = reset {
            due(Wish::Reset { reason: "by request", boot_mode });
        } else if reboot {
            due(Wish::reset("by the shell"));
        }
        if self_test && matches!(self.phase, Phase::Serving) {
            let until = now + milliseconds(self.descriptor.self_test_ms);
            self.phase = Phase::Testing { until };
        }
        match crash {
            // The answer has left; nothing more comes until the watchdog bites.
            Some(Fault::Watchdog) => self.phase = Phase::Hung { until: now + self.watchdog },
            Some(fault) => {
                self.console.push(format!("app: hard fault ({fault})"));
                due(Wish::reset("after a fault"));
            }
            None => {}
        }
    }

    /// The button was held for `hold`.
    pub fn button(&mut self, hold: Duration) {
        if !self.hangs() && !self.pressed() {
            self.console.push(format!("app: button held for {} ms", hold.as_millis()));
        }
    }

    /// The button goes down. Whether somebody waits for that.
    pub fn pressed(&mut self) -> bool {
        let waits = matches!(&self.descriptor.updates, Some(it) if it.ask == Ask::AtButton);
        match &mut self.noticed {
            Some(noticed) if waits => noticed.pressed = true,
            _ => return false,
        }
        self.say("button pressed, asks for an update");
        true
    }
}

fn milliseconds(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}
