//! A virtual device on the network: the update agent of its application, with real sockets.
//!
//! ```text
//! Device, on its thread ◀── Remote ── RemoteSlot ── Agent ── Dialect ── Online ══ broker
//!   button, self-test  ── Noticed ─▶      one of these for every boot
//! ```
//! It lives as long as the application does that it is a part of: a reset breaks its line off without
//! a word, as that of a board, and the next application begins with what the record says.

use std::time::Duration;

use anyhow::Context;
use updraft_online::{Event, LineError, Memory, Online, Session, Settings};
use updraft_ota::infineon::{self, Identity, Prefix};
use updraft_ota::json::Text;
use updraft_ota::{
    Agent, Config, Endpoint, Note, Platform, Protocol, Record, Report, State, Transport, aws,
};
use updraft_sim::device::{Ask, Noticed, Updates};

use super::slot::RemoteSlot;
use super::{Address, Lines, Notes, advised};
use crate::commands::publish::random;
use crate::device::Remote;

/// Bytes of a block.
const BLOCK: u32 = 4096;
/// Bytes of the longest job of AWS IoT, and what is around it.
const JOB: usize = 34 * 1024;
/// How soon the agent follows its application.
const GLANCE: Duration = Duration::from_millis(10);

/// Where a device finds its updates.
#[derive(Clone, Debug)]
pub struct Place {
    /// The server: a broker, or one with the job in a file.
    pub server: Address,
    /// What jobs call the board.
    pub board: String,
    /// The serial number to tell.
    pub serial: String,
    /// What AWS IoT calls the device; without, Infineon's protocol is spoken.
    pub thing: Option<String>,
}

/// A device's connection to a network.
#[derive(Debug)]
pub struct Network {
    place: Place,
    settings: Settings,
    notes: Notes,
}

/// A protocol with an agent in it.
trait Dialect<'b, 'n>: Protocol {
    fn agent(&mut self) -> &mut Agent<'b, RemoteSlot<'n>>;

    /// Asks for an update, if it is at nothing else.
    fn check_now(&mut self, now: Duration) -> bool;

    /// Whether the agent may be told how the test of a new image went.
    fn may_test(&self) -> bool;
}

impl<'b, 'n> Dialect<'b, 'n> for infineon::Device<'b, RemoteSlot<'n>> {
    fn agent(&mut self) -> &mut Agent<'b, RemoteSlot<'n>> {
        Self::agent(self)
    }

    fn check_now(&mut self, now: Duration) -> bool {
        Self::check_now(self, now)
    }

    fn may_test(&self) -> bool {
        true
    }
}

impl<'b, 'n> Dialect<'b, 'n> for aws::Device<'b, RemoteSlot<'n>> {
    fn agent(&mut self) -> &mut Agent<'b, RemoteSlot<'n>> {
        Self::agent(self)
    }

    fn check_now(&mut self, now: Duration) -> bool {
        Self::check_now(self, now)
    }

    fn may_test(&self) -> bool {
        // The service hears of the test before of its end.
        self.is_testing()
    }
}

/// One of a device's lives, from the start of its application to the next reset.
struct Life<'l> {
    place: &'l Place,
    settings: &'l Settings,
    remote: &'l Remote,
    boot: u64,
    complain: &'l dyn Fn(&str),
}

impl Network {
    /// The network around `place`, over `lines`; the agent keeps its `notes`.
    pub fn new(place: Place, lines: &Lines, notes: Notes) -> anyhow::Result<Self> {
        let plain = matches!(place.server.scheme.as_str(), "mqtt" | "http");
        let session = Session::new(format!("updraft_device{}", random() & 0xffff));
        let settings = lines.settings(&place.server.host, plain, session)?;
        Ok(Self { settings, place, notes })
    }

    /// The same with lines that are set up already.
    pub fn over(place: Place, settings: Settings, notes: Notes) -> Self {
        Self { place, settings, notes }
    }

    /// Plays the agent on a thread of its own, as long as there is a device, which has to be
    /// [networked](updraft_sim::device::Device::networked). `complain` gets what goes wrong on lines.
    pub fn play(
        mut self,
        remote: Remote,
        complain: impl Fn(&str) + Send + 'static,
    ) -> anyhow::Result<()> {
        // Before the thread, so that a system without the means is told of at once.
        drop(Online::<infineon::Device<'_, RemoteSlot<'_>>>::new().context(NO_SOCKETS)?);
        let work = move || {
            while let Some(boot) = remote.wait_until_it_runs() {
                let (place, settings) = (&self.place, &self.settings);
                let life = Life { place, settings, remote: &remote, boot, complain: &complain };
                if let Err(error) = life.live(&mut self.notes) {
                    complain(&format!("{error:#}"));
                }
                while remote.runs() == Some(boot) {
                    std::thread::sleep(GLANCE);
                }
            }
        };
        let thread = std::thread::Builder::new().name("network".into());
        thread.spawn(work).context("no thread for the network").map(drop)
    }
}

const NO_SOCKETS: &str = "this system cannot wait for sockets";

impl Life<'_> {
    /// From the start to the end of the application's run.
    fn live(&self, notes: &mut Notes) -> anyhow::Result<()> {
        let wishes = self.remote.with(|device, _| {
            device.descriptor().map(|app| (app.name.clone(), app.updates.clone()))
        })?;
        let Some((product, Some(updates))) = wishes else { return Ok(()) };
        let wait = updates.wait.as_ref();
        let slot = RemoteSlot::of(self.remote, self.boot, notes, wait);
        let Some(mut slot) = slot else { return Ok(()) };
        let mut record = vec![0; Record::size(slot.capacity().div_ceil(BLOCK) as usize)];
        let mut config = Config {
            seed: random(),
            block: BLOCK,
            report_every: 8,
            ..Config::new(&self.place.board)
        };
        if wait.is_some() {
            // What ends after seconds is looked at every second.
            config.defer.iter_mut().for_each(|rule| rule.again = Duration::from_secs(1));
        }
        let agent = Agent::new(slot, config, &mut record);
        let first_check = match updates.ask {
            Ask::After(time) => time,
            Ask::AtButton => Duration::MAX,
        };
        if let Some(thing) = &self.place.thing {
            let timers = aws::Timers { first_check, ..aws::Timers::default() };
            let settings = aws::Settings { timers, ..aws::Settings::new(thing, self.server()) };
            let (mut job, mut http) = (vec![0; JOB], vec![0; 64 * 1024]);
            let device = aws::Device::new(agent, settings, &mut job, &mut http);
            return self.play(device, &mut Memory::new(JOB, 4096));
        }
        let (mut job, mut http) = (vec![0; 1024], vec![0; BLOCK as usize + 1024]);
        let settings = self.infineon(&updates, &product, first_check);
        let device = infineon::Device::new(agent, settings, &mut job, &mut http);
        self.play(device, &mut Memory::of_device(BLOCK as usize))
    }

    fn play<'b, 'n>(&self, device: impl Dialect<'b, 'n>, memory: &mut Memory) -> anyhow::Result<()>
    where
        'n: 'b,
    {
        let mut online = Online::new().context(NO_SOCKETS)?;
        online.add(device, self.settings.clone(), memory);
        let mut outcome = None;
        while self.remote.runs() == Some(self.boot) {
            let hear = &mut |_, event: Event<'_>| {
                if let Event::Lost(error) = event {
                    self.lost(error);
                }
            };
            online.turn(GLANCE, hear).context(NO_SOCKETS)?;
            let now = online.now();
            let Some(device) = online.machine(0) else { return Ok(()) };
            let Noticed { pressed, tested } = self.noticed()?;
            if pressed {
                device.check_now(now);
            }
            outcome = tested.or(outcome);
            let passed = outcome.take_if(|_| device.may_test());
            if let Some(passed) = passed {
                self.tested(device.agent(), passed, now)?;
            }
            while let Some(report) = device.agent().report() {
                self.tell(&report)?;
            }
            if pressed || passed.is_some() {
                online.wake(0);
            }
        }
        Ok(())
    }

    fn server(&self) -> Endpoint<'_> {
        let Address { scheme, host, port, .. } = &self.place.server;
        let transport = match scheme.as_str() {
            "http" => Transport::Http,
            "https" => Transport::Https,
            _ => Transport::Mqtt,
        };
        let usual = if scheme == "mqtts" { 8884 } else { transport.port() };
        Endpoint { transport, host: Text::new(host), port: port.unwrap_or(usual) }
    }

    fn infineon<'s>(
        &'s self,
        updates: &'s Updates,
        product: &'s str,
        first_check: Duration,
    ) -> infineon::Settings<'s> {
        let path = &self.place.server.path;
        let file = if path.is_empty() { "/ota_update.json" } else { path };
        infineon::Settings {
            prefix: Prefix::Own(&updates.prefix),
            identity: Identity {
                product,
                serial_number: &self.place.serial,
                ..Identity::default()
            },
            file: Text::new(file),
            session: random() as u16,
            timers: infineon::Timers { first_check, ..infineon::Timers::default() },
            ..infineon::Settings::new(self.server())
        }
    }

    /// What has happened in the application.
    fn noticed(&self) -> anyhow::Result<Noticed> {
        let boot = self.boot;
        self.remote.with(move |device, _| match device.boots() == boot {
            true => device.noticed(),
            false => Noticed::default(),
        })
    }

    /// The application has tested itself: the agent says what becomes of it.
    fn tested(
        &self,
        agent: &mut Agent<'_, RemoteSlot<'_>>,
        passed: bool,
        now: Duration,
    ) -> anyhow::Result<()> {
        agent.self_test(passed, now);
        self.say(match (passed, agent.state() == State::Accepted) {
            (true, true) => "self-test passed, image confirmed",
            (true, false) => "self-test passed, image not confirmed",
            (false, _) => "self-test failed",
        })
    }

    fn tell(&self, report: &Report) -> anyhow::Result<()> {
        let Report { state, note, held, blocks, .. } = *report;
        let told = match note {
            Note::Entered if matches!(state, State::Waiting | State::SelfTest) => return Ok(()),
            Note::Entered => state.name().into(),
            Note::Progress => format!("{held} of {blocks} blocks"),
            Note::TakenUp => format!("goes on with {held} of {blocks} blocks"),
            Note::BegunAnew(reason) => format!("begins anew: {reason}"),
            Note::Deferred(gate) => format!("has to wait: {}", gate.name()),
            Note::Resumed(_) | Note::Overruled(_) => "goes on".into(),
            Note::Differs { .. } => "the image has another version than the job".into(),
            Note::Activated => "asked for, at the next start".into(),
            Note::Refused(reason) => format!("refused: {reason}"),
            Note::Failed(reason) => format!("failed: {reason}"),
        };
        self.say(&format!("update: {told}"))
    }

    /// Prints a line on the device's console.
    fn say(&self, text: &str) -> anyhow::Result<()> {
        let (boot, text) = (self.boot, text.to_owned());
        self.remote.with(move |device, _| {
            if device.boots() == boot {
                device.say(&text);
            }
        })
    }

    fn lost(&self, error: &LineError) {
        (self.complain)(&format!("line: {:#}", advised(error)));
        if let Some(hint) = error.hint() {
            (self.complain)(&format!("  try: {hint}"));
        }
    }
}
