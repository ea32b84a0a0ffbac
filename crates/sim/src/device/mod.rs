//! A device made of the real bootloader, the real DFU library and the real SMP server, over a
//! modelled flash.
//!
//! ```text
//! Off ── power_on ──▶ bootloader ──▶ Running ── reset, watchdog, fault ──▶ bootloader …
//!  ▲                    │     │         │
//!  │                    │     ├▶ Holding ── button released, or held for long ──▶ bootloader …
//!  │                    │     └▶ Recovering ── reset ──▶ bootloader …
//!  │                    └▶ Stopped      │      nothing to boot, and no recovery
//!  └──────── power lost, wherever it is ┘
//! ```
//! Sans-IO: packets, bytes of a serial line, button presses, power and time go in; packets, bytes
//! and console lines come out. Only the flash outlives a power cut; the boot mode that an
//! application leaves behind outlives a reset.

mod app;
mod descriptor;
mod keys;
mod line;
mod recovery;
mod services;

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use updraft_board::{Area, Board, FlashDevice, Role};
use updraft_boot::factory::{Button, Course, Hold, Line, Press};
use updraft_boot::{self as boot, BootError, Event, Hooks};
use updraft_dfu::{Dfu, DfuError};
use updraft_flash::{AreaId, Error, FlashMap, SlotSource, TrailerAccess, Which};
use updraft_image::{Describe, Source, UpgradeMode, Version};
use updraft_recovery::{AfterBoot, AtReset, BeforeBoot, Entry, Reason};
use updraft_smp::server::LinkSecurity;

pub use app::{BUFFERS, DATAGRAM, Noticed};
pub use descriptor::{
    Ask, ConfirmedBy, Descriptor, DescriptorError, GATES, SEARCHED, SelfTest, Updates, Wait,
};
pub use keys::Keys;
pub use services::Services;

use crate::flash::{DeviceSpec, SimError, SimFlash, Timings, Torn};
use crate::loader::{Loader, UnplayableBoard, slots, status_format, trailers};
use app::{App, Wish};
use line::Line as SerialLine;
use recovery::{Next, Recovering};
use services::Via;

/// What a device is doing.
#[derive(Debug)]
enum State {
    Off(SimFlash, Keys),
    /// The bootloader found nothing to boot.
    Stopped(SimFlash, Keys),
    /// The button is held, and will ask for the factory image if it is held on.
    Holding(SimFlash, Keys, Held),
    Running(Box<App<SimFlash>>),
    /// In serial recovery, or listening whether somebody wants it.
    Recovering(Box<Recovering>),
    /// Between two states.
    Changing,
}

/// A button that is held from a reset on.
#[derive(Debug)]
struct Held {
    button: Button,
    entry: Entry,
    reset_at: Duration,
    until: Duration,
}

/// What a device is doing, for those who look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Without power.
    Off,
    /// In the bootloader, with nothing to boot.
    Stopped,
    /// In the bootloader, which waits whether the button is held for long enough.
    Holding,
    /// In serial recovery, or listening whether somebody wants it.
    Recovering,
    /// In the application.
    Running,
}

/// Why the bootloader runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    PowerOn,
    Pin,
    Reset(&'static str),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerOn => f.write_str("power on"),
            Self::Pin => f.write_str("reset by pin"),
            Self::Reset(reason) => write!(f, "reset {reason}"),
        }
    }
}

/// A virtual device.
#[derive(Debug)]
pub struct Device {
    board: Board,
    bootloader: Loader,
    state: State,
    button: bool,
    cut: Option<(u64, Torn)>,
    console: Vec<String>,
    boots: u64,
    running: Option<Version>,
    line: SerialLine,
    /// The boot mode in retained memory.
    boot_mode: u32,
    told: Option<boot::Status>,
    services: Services,
    /// It is on a network, where somebody plays its application's update agent.
    networked: bool,
    /// When something last happened to it.
    now: Duration,
}

impl Device {
    /// A device of kind `board`, without power, whose bootloader trusts `keys`.
    pub fn new(board: Board, flash: SimFlash, keys: Keys) -> Result<Self, UnplayableBoard> {
        let bootloader = Loader::new(&board)?;
        // The application that is modelled writes updates to the secondary slot.
        if let mode @ (UpgradeMode::SingleSlot
        | UpgradeMode::SingleSlotRamLoad
        | UpgradeMode::FirmwareLoader) = board.mode()
        {
            return Err(UnplayableBoard::Mode(mode));
        }
        Ok(Self {
            bootloader,
            line: SerialLine::of(&board),
            board,
            state: State::Off(flash, keys),
            button: false,
            cut: None,
            console: Vec::new(),
            boots: 0,
            running: None,
            boot_mode: 0,
            told: None,
            services: Services::default(),
            networked: false,
            now: Duration::ZERO,
        })
    }

    /// The same on a network: an application that fetches its updates has an agent for that, which
    /// whoever has sockets is to play, by [`updating`](Self::updating) and
    /// [`noticed`](Self::noticed).
    pub fn networked(self) -> Self {
        Self { networked: true, ..self }
    }

    /// The same with other services.
    pub fn serving(self, services: Services) -> Self {
        Self { services, ..self }
    }

    /// The board.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What it is doing.
    pub fn status(&self) -> Status {
        match &self.state {
            State::Off(..) | State::Changing => Status::Off,
            State::Stopped(..) => Status::Stopped,
            State::Holding(..) => Status::Holding,
            State::Recovering(_) => Status::Recovering,
            State::Running(_) => Status::Running,
        }
    }

    /// The version that runs.
    pub fn running(&self) -> Option<Version> {
        self.running
    }

    /// What the bootloader told the board last, for a light or a host.
    pub fn told(&self) -> Option<boot::Status> {
        self.told
    }

    /// Why it is in serial recovery; `None` if it is not, or only listens whether somebody wants
    /// it.
    pub fn recovery(&self) -> Option<Reason> {
        match &self.state {
            State::Recovering(recovering) => recovering.reason(),
            _ => None,
        }
    }

    /// What the running application does.
    pub fn descriptor(&self) -> Option<&Descriptor> {
        match &self.state {
            State::Running(app) => Some(app.descriptor()),
            _ => None,
        }
    }

    /// What has happened since the last call that is the update agent's business.
    pub fn noticed(&mut self) -> Noticed {
        match &mut self.state {
            State::Running(app) => app.noticed(),
            _ => Noticed::default(),
        }
    }

    /// The update agent's turn, as a part of the application: it reads and writes flash, and knows
    /// the keys. `None` if there is nobody to have it: no application, one that hangs, or a power
    /// cut within.
    pub fn updating<R>(&mut self, turn: impl FnOnce(&mut SimFlash, Keys) -> R) -> Option<R> {
        let State::Running(app) = &mut self.state else { return None };
        if app.hangs() {
            return None;
        }
        let (flash, keys) = app.parts();
        let done = turn(flash, keys);
        self.after_activity();
        (self.status() == Status::Running).then_some(done)
    }

    /// The application prints a line.
    pub fn say(&mut self, text: &str) {
        if let State::Running(app) = &mut self.state {
            app.say(text);
            self.console.extend(app.console());
        }
    }

    /// The application resets the device, for the reason given.
    pub fn restart_by_application(&mut self, reason: &'static str, now: Duration) {
        if self.status() == Status::Running {
            self.restart(Cause::Reset(reason), now);
        }
    }

    /// How often the bootloader ran.
    pub fn boots(&self) -> u64 {
        self.boots
    }

    /// Whether the LED is lit.
    pub fn led(&self, now: Duration) -> bool {
        matches!(&self.state, State::Running(app) if app.led(now))
    }

    /// The flash, as a probe sees it. Accesses fail while the power is off.
    pub fn flash(&mut self) -> &mut SimFlash {
        match &mut self.state {
            State::Off(flash, _) | State::Stopped(flash, _) | State::Holding(flash, ..) => flash,
            State::Running(app) => app.flash(),
            State::Recovering(recovering) => recovering.flash(),
            State::Changing => unreachable!("the state changes within one call only"),
        }
    }

    /// Lines printed on the console since the last call.
    pub fn console(&mut self) -> Vec<String> {
        let lines = std::mem::take(&mut self.console);
        lines.iter().for_each(|line| self.services.note(line, self.now));
        lines
    }

    /// Turns the power on, or off and on again.
    pub fn power_on(&mut self, now: Duration) {
        self.power_off();
        self.restart(Cause::PowerOn, now);
    }

    /// Plans a power cut within flash operation number `operation`, counted from 0: from now on, or
    /// from when the power comes back.
    pub fn cut_at(&mut self, operation: u64, torn: Torn) {
        match self.status() {
            Status::Off => self.cut = Some((operation, torn)),
            _ => self.flash().supply().cut_at(operation, torn),
        }
    }

    /// How many flash operations the next boot would take with the button as it is, told by trying
    /// it on a copy.
    pub fn operations_of_next_boot(&mut self) -> u64 {
        let (loader, pressed) = (self.bootloader, self.button);
        let mut keys = match &mut self.state {
            State::Off(_, keys) | State::Stopped(_, keys) | State::Holding(_, keys, _) => {
                keys.clone()
            }
            State::Running(app) => app.keys().clone(),
            State::Recovering(recovering) => recovering.keys().clone(),
            State::Changing => return 0,
        };
        let mut flash = self.flash().clone();
        flash.supply().power_on();
        let before = flash.supply().operations();
        // What comes of it does not matter here.
        let _ = loader.start(&mut flash, &mut keys, |_, _| (), pressed);
        let after = flash.supply().operations();
        after - before
    }

    /// Takes the power away.
    pub fn power_off(&mut self) {
        let (flash, keys) = self.stop();
        flash.supply().power_off();
        self.state = State::Off(flash, keys);
    }

    /// Resets the device, as its reset pin does. Without power nothing happens.
    pub fn reset(&mut self, now: Duration) {
        if self.status() != Status::Off {
            self.restart(Cause::Pin, now);
        }
    }

    /// Presses or releases the button. At a reset the bootloader sees whether it is held, and
    /// rolls back to the factory image if there is one and the button is held for as long as the board
    /// says, or goes into recovery if the board says so; with nothing to boot it rolls back when the
    /// button is released.
    pub fn hold_button(&mut self, held: bool, now: Duration) {
        let before = std::mem::replace(&mut self.button, held);
        if let State::Running(app) = &mut self.state
            && held
            && !before
        {
            app.pressed();
            self.console.extend(app.console());
        }
        self.look_at_button(now);
        let released = before && !held;
        let prompting =
            self.status() == Status::Stopped || self.recovery() == Some(Reason::NoImage);
        if released && prompting && self.bootloader.can_roll_back() {
            self.roll_back(now);
        }
    }

    /// Presses the button for `hold`.
    pub fn press_button(&mut self, hold: Duration, now: Duration) {
        if let State::Running(app) = &mut self.state {
            app.button(hold);
            self.console.extend(app.console());
        } else {
            self.hold_button(true, now);
            self.hold_button(false, now);
        }
    }

    /// When [`Device::poll`] has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Running(app) => app.deadline(),
            State::Recovering(recovering) => recovering.deadline(),
            State::Holding(_, _, held) => Some(held.until),
            _ => None,
        }
    }

    /// Lets time pass: self-tests end, watchdogs bite, requested resets happen, nobody came.
    pub fn poll(&mut self, now: Duration) {
        self.now = now;
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            match &mut self.state {
                State::Running(app) => {
                    let wish = app.poll(now);
                    self.after_activity();
                    if let Some(Wish::Reset { reason, boot_mode }) = wish
                        && self.status() == Status::Running
                    {
                        self.boot_mode = boot_mode;
                        self.restart(Cause::Reset(reason), now);
                    }
                }
                State::Recovering(recovering) => match recovering.poll(now) {
                    Some(Next::Reset { boot_mode }) => {
                        self.boot_mode = boot_mode;
                        self.restart(Cause::Reset("by request"), now);
                    }
                    Some(Next::Course(course)) => {
                        let (flash, keys) = self.stop();
                        self.state = self.follow(course, flash, keys, now);
                    }
                    None => break,
                },
                State::Holding(..) => self.look_at_button(now),
                _ => break,
            }
        }
    }

    /// Takes a datagram from a host; each answer is handed to `send`. Without a running
    /// application nobody answers, and neither does one whose power failed while it was at it.
    pub fn packet(&mut self, packet: &[u8], now: Duration, send: impl FnMut(&[u8])) {
        self.hear(now);
        let State::Running(app) = &mut self.state else { return };
        let mut answers = Vec::new();
        let services = &mut self.services;
        app.datagram(packet, now, services, |answer| answers.push(answer.to_vec()));
        self.answer(answers, send);
    }

    /// Takes a packet that came over Bluetooth, on a link like `link`, and hands each answer to
    /// `send`.
    pub fn bluetooth(
        &mut self,
        packet: &[u8],
        link: LinkSecurity,
        now: Duration,
        send: impl FnMut(&[u8]),
    ) {
        self.hear(now);
        let State::Running(app) = &mut self.state else { return };
        let (services, mut answers) = (&mut self.services, Vec::new());
        let via = Via::Bluetooth(link);
        app.packet(packet, (via, now), services, |answer| answers.push(answer.to_vec()));
        self.answer(answers, send);
    }

    /// Takes bytes from the serial line, on which the application answers, or the bootloader in
    /// recovery; what goes back is handed to `send` in pieces.
    pub fn serial(&mut self, bytes: &[u8], now: Duration, mut send: impl FnMut(&[u8])) {
        let mut pieces = Vec::new();
        self.hear(now);
        match &mut self.state {
            State::Running(app) => {
                for message in self.line.receive(bytes, now) {
                    let services = &mut self.services;
                    app.packet(&message, (Via::Serial, now), services, |answer| {
                        self.line.send(answer, |piece| pieces.push(piece.to_vec()));
                    });
                }
            }
            State::Recovering(recovering) => {
                let mut push = |piece: &[u8]| pieces.push(piece.to_vec());
                let before = recovering.upload();
                let entered = recovering.receive(bytes, now, &mut push);
                let (reason, after) = (recovering.reason(), recovering.upload());
                if let Some(reason) = reason.filter(|_| entered) {
                    self.tell_of_recovery(reason);
                }
                self.console.extend(match (before, after) {
                    (None, Some((off, len))) => {
                        Some(format!("boot: recovery: upload at {off} of {len} bytes"))
                    }
                    (Some((_, len)), None) => {
                        Some(format!("boot: recovery: upload of {len} bytes ended"))
                    }
                    _ => None,
                });
            }
            _ => {}
        }
        self.answer(pieces, &mut send);
    }

    /// Whether lines of the console may stand on the serial line, beside messages.
    pub fn serial_carries_text(&self) -> bool {
        self.line.carries_text()
    }

    /// Takes note of when something came, and of what the flash has been through.
    fn hear(&mut self, now: Duration) {
        let operations = self.flash().supply().operations();
        self.now = now;
        self.services.counters.flash_operations = operations;
    }

    fn answer(&mut self, answers: Vec<Vec<u8>>, mut send: impl FnMut(&[u8])) {
        self.after_activity();
        if self.status() != Status::Off {
            answers.iter().for_each(|answer| send(answer));
        }
    }

    /// Collects what the application printed, and notices that the power has failed.
    fn after_activity(&mut self) {
        if let State::Running(app) = &mut self.state {
            self.console.extend(app.console());
        }
        if self.status() != Status::Off && !self.flash().supply().is_on() {
            self.console.push("power lost".into());
            let (flash, keys) = self.stop();
            self.state = State::Off(flash, keys);
        }
    }

    fn stop(&mut self) -> (SimFlash, Keys) {
        self.running = None;
        match std::mem::replace(&mut self.state, State::Changing) {
            State::Off(flash, keys) | State::Stopped(flash, keys) => (flash, keys),
            State::Holding(flash, keys, _) => (flash, keys),
            State::Running(app) => app.stop(),
            State::Recovering(recovering) => recovering.stop(),
            State::Changing => unreachable!("the state changes within one call only"),
        }
    }

    /// Runs the bootloader, and the application that it finds.
    fn restart(&mut self, cause: Cause, now: Duration) {
        let (flash, keys) = self.stop();
        if !flash.supply().is_on() {
            flash.supply().power_on();
            if let Some((operation, torn)) = self.cut.take() {
                flash.supply().cut_at(operation, torn);
            }
        }
        self.boots += 1;
        self.now = now;
        self.services.restarted();
        let held = if self.button { ", button held" } else { "" };
        self.console.push(format!("boot: {} ({cause}{held})", self.board.name()));
        self.told = Some(boot::Status::Startup);
        let pressed = self.button;
        let boot_mode = std::mem::take(&mut self.boot_mode);
        let reset = AtReset { pressed, by_pin: cause == Cause::Pin, boot_mode };
        let mut entry = recovery::entry(&self.board, reset);
        if let BeforeBoot::Enter(reason) = entry.before_boot(pressed, Duration::ZERO) {
            self.recover(flash, keys, reason);
            return;
        }
        let hold = match self.board.rollback_hold().filter(|_| self.bootloader.can_roll_back()) {
            None | Some(Duration::ZERO) => Hold::Sampled,
            Some(held) => Hold::For(held),
        };
        let button = Button::at_reset(hold, pressed);
        let held = Held { button, entry, reset_at: now, until: now };
        self.state = State::Holding(flash, keys, held);
        self.look_at_button(now);
    }

    /// Boots, unless the button may still come to ask for the factory image. Booting takes a virtual
    /// device no time, so that it may as well come behind the wait that it overlaps on a chip.
    fn look_at_button(&mut self, now: Duration) {
        let State::Holding(_, _, held) = &mut self.state else { return };
        let press = held.button.sample(self.button, now.saturating_sub(held.reset_at));
        if let Press::Holding { until } = press {
            held.until = held.reset_at.saturating_add(until);
            return;
        }
        let (entry, loader) = (held.entry, self.bootloader);
        let (flash, keys) = self.stop();
        self.in_bootloader(flash, keys, now, Some(entry), |flash, keys, console| {
            loader.start(flash, keys, console, press == Press::Yes)
        });
    }

    /// Rolls back to the factory image, as the button asks for it on the prompt.
    fn roll_back(&mut self, now: Duration) {
        let (flash, keys) = self.stop();
        let loader = self.bootloader;
        self.in_bootloader(flash, keys, now, None, |flash, keys, mut console| {
            for line in [Line::ButtonDetected, Line::Initiating] {
                Hooks::<Error<SimError>>::line(&mut console, line);
            }
            match loader.roll_back(flash, keys, console) {
                Some(Ok(boot)) => Course::StartFactory(boot),
                Some(Err(error)) => Course::Prompt(error.into()),
                None => Course::Prompt(BootError::NoImage),
            }
        });
    }

    /// Goes into serial recovery.
    fn recover(&mut self, flash: SimFlash, keys: Keys, reason: Reason) {
        let parts = (flash, keys);
        let recovering = Recovering::enter(&self.board, &self.bootloader, parts, reason);
        self.state = State::Recovering(Box::new(recovering));
        self.tell_of_recovery(reason);
    }

    fn tell_of_recovery(&mut self, reason: Reason) {
        self.told = Some(boot::Status::SerialRecovery);
        self.console.push(format!("boot: serial recovery: {reason}"));
    }

    /// Runs a part of the bootloader, and what it finds; or goes into recovery, if `entry` decides
    /// so.
    fn in_bootloader(
        &mut self,
        mut flash: SimFlash,
        mut keys: Keys,
        now: Duration,
        entry: Option<Entry>,
        run: impl FnOnce(&mut SimFlash, &mut Keys, Console<'_>) -> Course<Error<SimError>>,
    ) {
        let before = (flash.counts(), flash.supply().time_us());
        let several = self.board.images() > 1;
        let console = Console { lines: &mut self.console, told: &mut self.told, several };
        let course = run(&mut flash, &mut keys, console);
        let erases = flash.counts().erases - before.0.erases;
        let written = flash.counts().bytes_written - before.0.bytes_written;
        if erases > 0 {
            let seconds = (flash.supply().time_us() - before.1) as f64 / 1e6;
            self.console.push(format!(
                "boot: {erases} erases, {written} bytes written; {seconds:.1} s on the real board"
            ));
        }
        let image = !matches!(course, Course::Prompt(_));
        let after = match entry {
            // Nothing is decided without power.
            Some(mut entry) if flash.supply().is_on() => {
                let next = entry.after_boot(image, false, Duration::ZERO);
                Some((entry, next))
            }
            _ => None,
        };
        match after {
            Some((_, AfterBoot::Enter(reason))) => {
                if let Course::Prompt(error) = course {
                    self.tell_of_nothing(error);
                }
                self.recover(flash, keys, reason);
            }
            Some((entry, AfterBoot::Listen { until })) => {
                let (board, loader) = (&self.board, &self.bootloader);
                let (parts, otherwise) = ((flash, keys), (entry, course));
                let listening = Recovering::listen(board, loader, parts, otherwise, (now, until));
                self.state = State::Recovering(Box::new(listening));
            }
            _ => self.state = self.follow(course, flash, keys, now),
        }
    }

    fn tell_of_nothing(&mut self, error: BootError<Error<SimError>>) {
        self.console.push(format!("boot: nothing to boot: {error}"));
        if matches!(error, BootError::NoImage) {
            self.console.push("boot: program a signed image into the primary slot".into());
        }
    }

    /// Starts what the bootloader found.
    fn follow(
        &mut self,
        course: Course<Error<SimError>>,
        mut flash: SimFlash,
        keys: Keys,
        now: Duration,
    ) -> State {
        match course {
            Course::Start(boot) | Course::StartFactory(boot) => {
                let what = if matches!(course, Course::Start(_)) { "" } else { "factory image " };
                let (version, slot) = (boot.header.version, boot.area);
                let body = body(&mut flash, &boot);
                self.console.push(format!("boot: starting {what}{version} from area {slot}"));
                self.start_app(flash, keys, (slot, body, version), now)
            }
            Course::Prompt(_) if !flash.supply().is_on() => {
                self.console.push("power lost".into());
                State::Off(flash, keys)
            }
            Course::Prompt(error) => {
                self.tell_of_nothing(error);
                State::Stopped(flash, keys)
            }
        }
    }

    fn start_app(
        &mut self,
        flash: SimFlash,
        keys: Keys,
        (slot, body, version): (AreaId, Vec<u8>, Version),
        now: Duration,
    ) -> State {
        let descriptor = match Descriptor::find(&body) {
            Ok(Some(descriptor)) => descriptor,
            Ok(None) => Descriptor { confirm: ConfirmedBy::Host, ..Descriptor::default() },
            Err(error) => {
                self.console.push(format!("app: {error}; it just runs"));
                Descriptor { confirm: ConfirmedBy::Host, ..Descriptor::default() }
            }
        };
        let images: Result<Vec<_>, _> =
            (0..self.board.images()).map(|image| dfu_of(&self.board, &flash, image)).collect();
        match images {
            Ok(mut images) => {
                // Where slots are of equal rank, the bootloader chose one.
                for dfu in images.iter_mut().filter(|dfu| dfu.area(Which::Secondary) == slot) {
                    *dfu = dfu.running_from(Which::Secondary);
                }
                let parts = (images, keys, self.services.progress.clone());
                let mut app = App::start(&self.board, descriptor, version, flash, parts, now);
                if self.networked {
                    app = app.on_network();
                }
                self.console.extend(app.console());
                self.running = Some(version);
                self.line = SerialLine::of(&self.board);
                State::Running(Box::new(app))
            }
            Err(error) => {
                self.console.push(format!("app: {error}"));
                State::Stopped(flash, keys)
            }
        }
    }
}

/// The bootloader's console.
struct Console<'c> {
    lines: &'c mut Vec<String>,
    told: &'c mut Option<boot::Status>,
    /// There is more than one image.
    several: bool,
}

impl<E: Describe> Hooks<E> for Console<'_> {
    fn event(&mut self, image: u8, event: Event<E>) {
        let of = if self.several { format!("image {image}: ") } else { String::new() };
        self.lines.push(format!("boot: {of}{event}"));
    }

    fn status(&mut self, status: boot::Status) {
        *self.told = Some(status);
    }

    fn line(&mut self, line: Line) {
        // What every boot says is said in other words already.
        if !matches!(line, Line::Started | Line::Validated | Line::Starting) {
            self.lines.push(format!("boot: {line}"));
        }
    }
}

/// The part of the body that may hold a description.
fn body(flash: &mut SimFlash, boot: &boot::Boot) -> Vec<u8> {
    let len = SEARCHED.min(boot.header.img_size as usize);
    let mut body = vec![0; len];
    let mut slot = SlotSource::at(flash, boot.area, boot.entry());
    match slot.read(0, &mut body) {
        Ok(()) => body,
        Err(_) => Vec::new(),
    }
}

/// The flash of `board`, erased, in memory.
pub fn flash_in_memory(board: &Board) -> SimFlash {
    arranged(SimFlash::new(specs(board), board.area_table()), board)
}

/// Sectors are shown as the board exchanges them, and the factory image is nobody's to change.
fn arranged(mut flash: SimFlash, board: &Board) -> SimFlash {
    flash.group_sectors(board.boot().logical_sector.unwrap_or(0));
    if let Some(format) = status_format(board) {
        flash = flash.show_status(format);
    }
    for area in board.areas().iter().filter(|area| area.role == Role::Factory) {
        flash.make_read_only(area.id);
    }
    flash
}

/// The flash of `board` in the file `path`, which is made if it is not there. Every operation is
/// in the file before it returns: killing the process is a power cut.
pub fn flash_in_file(board: &Board, path: &Path) -> io::Result<SimFlash> {
    SimFlash::open(path, specs(board), board.area_table()).map(|flash| arranged(flash, board))
}

/// A copy in memory of what the file `path` holds of the flash of `board`.
pub fn copy_of_flash(board: &Board, path: &Path) -> io::Result<SimFlash> {
    let flash = SimFlash::copy_of(path, specs(board), board.area_table());
    flash.map(|flash| arranged(flash, board))
}

fn specs(board: &Board) -> Vec<DeviceSpec> {
    let spec = |device: &FlashDevice| DeviceSpec {
        kind: device.kind(),
        write_size: device.write_size,
        erased: device.erased,
        sectors: device.sectors.clone(),
        timings: Timings { erase_us: device.erase_us.into(), write_us: device.write_us.into() },
    };
    board.flash().iter().map(spec).collect()
}

/// Programs `image` into `area` as a probe does: erased first, and no rule asked. What a status
/// area has about a slot is erased with it.
pub fn program(flash: &mut SimFlash, area: AreaId, image: &[u8]) -> Result<(), SimError> {
    program_at(flash, area, 0, image)
}

/// The same with the image beginning at offset `start` of the area.
pub fn program_at(
    flash: &mut SimFlash,
    area: AreaId,
    start: u32,
    image: &[u8],
) -> Result<(), SimError> {
    let info = flash.info(area);
    let erased = info.map_or(0xff, |info| info.erased);
    let mut bytes = vec![erased; flash.bytes(area).len()];
    let out = SimError::OutOfBounds { address: 0, len: image.len() as u32 };
    let room = bytes.get_mut(start as usize..).and_then(|bytes| bytes.get_mut(..image.len()));
    room.ok_or(out)?.copy_from_slice(image);
    flash.forget_status(area)?;
    flash.load(area, 0, &bytes)
}

/// Where an image that is put into `area` begins, in bytes: an update at its place in the
/// secondary slot, anything else at the start.
pub fn update_start(board: &Board, flash: &SimFlash, area: &Area) -> u32 {
    match area.role {
        Role::Secondary => trailers(board).update_start(flash, area.id),
        _ => 0,
    }
}

/// The trailer of a slot as bootloader and application see it, wherever it stands; `None` if
/// `area` has none.
pub fn trailer(board: &Board, flash: &SimFlash, area: AreaId) -> Option<TrailerAccess> {
    let pairs = (0..board.images()).filter_map(|image| slots(board, image).ok());
    let trailers = pairs.filter_map(|pair| trailers(board).trailers(flash, &pair).ok());
    trailers.flatten().find(|trailer| trailer.area() == area)
}

/// The update state of image 0 as the application of `board` sees it.
pub fn dfu<M: FlashMap>(board: &Board, map: &M) -> Result<Dfu, DfuError<M::Error>> {
    dfu_of(board, map, 0)
}

/// The same of any image.
pub fn dfu_of<M: FlashMap>(board: &Board, map: &M, image: u8) -> Result<Dfu, DfuError<M::Error>> {
    let slots = slots(board, image).map_err(|_| DfuError::NoSlot { area: AreaId(u8::MAX) })?;
    let (trailers, rules) = (trailers(board), board.rules(image));
    let dfu = Dfu::new(map, updraft_dfu::Config { slots, trailers, rules })?;
    Ok(if board.has_trials() { dfu.with_trials() } else { dfu })
}
