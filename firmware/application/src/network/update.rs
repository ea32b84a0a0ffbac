//! The agent, and MQTT between it and a connection.

use core::cell::RefCell;
use core::time::Duration;

use firmware_board::{Board, Keys};
use firmware_cortex_m::{Chip as _, Line as _};
use smoltcp::wire::Ipv4Address;
use updraft_flash::{Keep, NotKept};
use updraft_image::{Describe, Text};
use updraft_mqtt::{Client, Connect, Event};
use updraft_ota::dfu::{Slot, System};
use updraft_ota::infineon::Device;
use updraft_ota::{
    Answer, Endpoint, Gate, Input, Note, Output, Protocol, Report, State, Transport,
};

use super::ethernet::Ethernet;
use super::ground::{Ground, Shared};
use super::line::Line;
use super::stack::Gone;
use crate::description::SelfTest;

/// The longest thing that the agent says at once.
const LONGEST_SAID: usize = 1024;

/// Reset, record and gates of a device.
pub(super) struct Chip<'g, 'f, 'k, B: Board, E, const N: usize, const LINES: usize> {
    pub ground: &'g RefCell<Ground<'f, 'k, B, E, N, LINES>>,
    pub flash: &'f RefCell<<B as Board>::Map>,
    /// Where the record is kept; without it, downloads begin anew after a reset.
    pub place: Option<Keep>,
    /// A gate that is closed, and until when.
    pub wait: Option<(Gate, Duration)>,
}

impl<B: Board, E: Ethernet, const N: usize, const LINES: usize> System
    for Chip<'_, '_, '_, B, E, N, LINES>
{
    type Error = NotKept;

    fn reset(&mut self) {
        let mut ground = self.ground.borrow_mut();
        ground.say(&"resets");
        ground.board.chip().line().drain();
        ground.board.reset(0)
    }

    fn load(&mut self, record: &mut [u8]) -> Result<Option<usize>, NotKept> {
        Ok(self.place.and_then(|place| place.load(&mut Shared(self.flash), record)))
    }

    fn save(&mut self, record: &[u8]) -> Result<(), NotKept> {
        let Some(place) = self.place else { return Ok(()) };
        place.save(&mut Shared(self.flash), record)
    }

    fn gate(&mut self, gate: Gate) -> Answer {
        let Some((_, until)) = self.wait.filter(|(closed, _)| *closed == gate) else {
            return Answer::Go;
        };
        if self.ground.borrow_mut().board.now() < until { Answer::NotNow } else { Answer::Go }
    }
}

/// The slot that updates are written to.
pub(super) type Update<'g, 'f, 'k, B, E, const N: usize, const LINES: usize> =
    Slot<Shared<'f, <B as Board>::Map>, Keys<'k, B>, Chip<'g, 'f, 'k, B, E, N, LINES>>;

/// The agent at work.
pub(super) struct Updating<
    'b,
    'g,
    'f,
    'k,
    B: Board,
    E: Ethernet,
    const N: usize,
    const LINES: usize,
> {
    pub ground: &'g RefCell<Ground<'f, 'k, B, E, N, LINES>>,
    pub device: Device<'b, Update<'g, 'f, 'k, B, E, N, LINES>>,
    pub client: Client<'b>,
    /// Who this is to the broker.
    pub name: &'b str,
    /// When the application tests itself, and how that ends.
    pub test: Option<(Duration, SelfTest)>,
    /// Whether the button asks for an update; then whether it was pressed when looked at last.
    pub button: Option<bool>,
    pub said: [u8; LONGEST_SAID],
}

/// What the agent wants of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Open,
    Close,
}

impl<B: Board, E: Ethernet, const N: usize, const LINES: usize>
    Updating<'_, '_, '_, '_, B, E, N, LINES>
{
    /// The first thing after a start.
    pub fn begin(&mut self, now: Duration) {
        self.device.start(now);
    }

    /// Goes on until a connection is wanted; says where to.
    pub fn without_line(&mut self) -> Option<(Ipv4Address, u16)> {
        loop {
            let now = self.turn();
            let mut to = None;
            if self.outputs(&mut to) == Some(Wish::Open) {
                return to;
            }
            self.idle(now);
        }
    }

    /// The connection that was wanted could not be made.
    pub fn refused(&mut self) {
        let now = self.turn();
        self.device.handle(Input::Closed, now);
    }

    /// Speaks MQTT over a connection until it is to be closed, or gone.
    pub fn over(&mut self, line: &mut dyn Line) {
        let now = self.turn();
        // The session is a clean one. What an earlier connection left unacknowledged would be said
        // twice, and a publisher sends the image anew for each time that it is asked.
        self.client.forget();
        let connected = self.client.connect(&Connect::new(self.name), now).is_ok();
        if !connected || self.speak(line).is_err() {
            self.refused();
        }
    }

    fn speak(&mut self, line: &mut dyn Line) -> Result<(), Gone> {
        let mut buffer = [0; 1024];
        let mut unread = 0..0;
        let mut closing = false;
        loop {
            let now = self.turn();
            let mut quiet = true;
            if !closing && self.client.is_open() {
                closing = self.outputs(&mut None) == Some(Wish::Close);
                if closing {
                    // Without a word the broker notices, too.
                    let _ = self.client.disconnect();
                }
            }
            let sent = line.send(self.client.transmit())?;
            self.client.sent(sent, now);
            quiet &= sent == 0;
            if closing && self.client.transmit().is_empty() {
                return Ok(());
            }
            if unread.is_empty() {
                unread = 0..line.receive(&mut buffer)?;
            }
            let bytes = buffer.get(unread.clone()).unwrap_or_default();
            let taken = self.client.receive(bytes).map_err(|_| Gone)?;
            unread.start += taken;
            quiet &= taken == 0;
            while let Some(event) = self.client.event().map_err(|_| Gone)? {
                quiet = false;
                match event {
                    Event::Connected { .. } => self.device.handle(Input::Opened, now),
                    Event::Message(message) => {
                        let (topic, payload) = (message.topic, message.payload);
                        self.device.handle(Input::Message { topic, payload }, now);
                    }
                    _ => {}
                }
            }
            self.client.tick(now).map_err(|_| Gone)?;
            if quiet {
                self.idle(now);
            }
        }
    }

    /// Everything but the connection.
    fn turn(&mut self) -> Duration {
        let now = self.ground.borrow_mut().turn();
        if let Some((_, outcome)) = self.test.filter(|(at, _)| *at <= now) {
            self.test = None;
            self.self_test(outcome, now);
        }
        if let Some(before) = self.button {
            let pressed = self.ground.borrow_mut().board.pressed();
            self.button = Some(pressed);
            if pressed && !before {
                self.ground.borrow_mut().say(&"button pressed, asks for an update");
                self.device.check_now(now);
            }
        }
        if self.device.deadline().is_some_and(|deadline| deadline <= now) {
            self.device.poll(now);
        }
        while let Some(report) = self.device.agent().report() {
            if told(&report) {
                self.ground.borrow_mut().say(&Told(report));
            }
        }
        now
    }

    /// Waits for something to happen, unless the agent has work to do.
    fn idle(&mut self, now: Duration) {
        if self.device.deadline().is_none_or(|deadline| deadline > now) {
            self.ground.borrow_mut().board.idle();
        }
    }

    /// Hands what the agent says to MQTT.
    fn outputs(&mut self, to: &mut Option<(Ipv4Address, u16)>) -> Option<Wish> {
        let Self { device, client, said, .. } = self;
        while let Some(output) = device.output(said) {
            match output {
                Output::Open(endpoint) => {
                    *to = address(endpoint);
                    return Some(Wish::Open);
                }
                Output::Close => return Some(Wish::Close),
                // What finds no room is asked for again after a time.
                Output::Subscribe(filter) => {
                    let _ = client.subscribe(filter, true);
                }
                Output::Publish { topic, payload, reliably } => {
                    let _ = client.publish(topic, payload, reliably);
                }
                Output::Send(_) => {}
            }
        }
        None
    }

    fn self_test(&mut self, outcome: SelfTest, now: Duration) {
        let agent = self.device.agent();
        let on_trial = agent.state() == State::SelfTest;
        match outcome {
            SelfTest::Pass => agent.self_test(true, now),
            SelfTest::Fail => agent.self_test(false, now),
            SelfTest::Hang => loop {
                core::hint::spin_loop();
            },
            // A panic resets, as a fault does.
            SelfTest::Crash => panic!(),
        }
        let confirmed = agent.state() == State::Accepted;
        self.ground.borrow_mut().say(&match (outcome, on_trial) {
            (SelfTest::Pass, true) if confirmed => "self-test passed, image confirmed",
            (SelfTest::Pass, true) => "self-test passed, image not confirmed",
            (SelfTest::Pass, false) => "self-test passed",
            (_, true) => "self-test failed",
            (_, false) => "self-test failed, image stays: it is confirmed",
        });
    }
}

/// Address and port of a server, if it is one that can be reached.
fn address(endpoint: Endpoint<'_>) -> Option<(Ipv4Address, u16)> {
    // The longest address has fifteen characters.
    let mut text = [0; 15];
    let mut len = 0;
    for c in endpoint.host.chars() {
        *text.get_mut(len)? = u8::try_from(c).ok()?;
        len += 1;
    }
    let text = str::from_utf8(text.get(..len)?).ok()?;
    (endpoint.transport == Transport::Mqtt).then_some((text.parse().ok()?, endpoint.port))
}

/// Whether a report is worth a line.
fn told(report: &Report) -> bool {
    !matches!((report.note, report.state), (Note::Entered, State::Waiting | State::SelfTest))
}

/// A report as a line.
struct Told(Report);

impl Describe for Told {
    fn describe(&self, to: &mut Text<'_>) {
        let Report { state, note, held, blocks, .. } = self.0;
        match note {
            Note::Entered => to.fill("update: {}", &[&state.name()]),
            Note::Progress => to.fill("update: {} of {} blocks", &[&held, &blocks]),
            Note::TakenUp => to.fill("update: goes on with {} of {} blocks", &[&held, &blocks]),
            Note::BegunAnew(reason) => to.fill("update: begins anew: {}", &[&Why(reason)]),
            Note::Deferred(gate) => to.fill("update: has to wait: {}", &[&gate.name()]),
            Note::Resumed(_) | Note::Overruled(_) => to.say("update: goes on"),
            Note::Differs { .. } => to.say("update: the image has another version than the job"),
            Note::Activated => to.say("update: asked for, at the next start"),
            Note::Refused(reason) => to.fill("update: refused: {}", &[&Why(reason)]),
            Note::Failed(reason) => to.fill("update: failed: {}", &[&Why(reason)]),
        }
    }
}

/// Words that come by [`core::fmt`].
struct Why(updraft_ota::Reason);

impl Describe for Why {
    fn describe(&self, to: &mut Text<'_>) {
        struct Writer<'t, 'o>(&'t mut Text<'o>);
        impl core::fmt::Write for Writer<'_, '_> {
            fn write_str(&mut self, text: &str) -> core::fmt::Result {
                self.0.say(text);
                Ok(())
            }
        }
        // The text takes everything.
        let _ = core::fmt::Write::write_fmt(&mut Writer(to), format_args!("{}", self.0));
    }
}
