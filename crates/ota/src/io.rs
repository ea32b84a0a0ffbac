//! What goes in and out of a protocol.

use core::time::Duration;

use crate::json::Text;
use crate::label::Label;

/// How a server is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// MQTT 3.1.1.
    Mqtt,
    /// HTTP/1.1.
    Http,
    /// HTTP/1.1 over TLS.
    Https,
}

impl Transport {
    /// Whether it is HTTP, with TLS or without.
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// The port that servers have if nothing else is said.
    pub const fn port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'e> {
    /// How it is talked to. Whether MQTT goes over TLS is the device's to know, by the port.
    pub transport: Transport,
    /// Its name or address.
    pub host: Text<'e>,
    /// Its port.
    pub port: u16,
}

impl Endpoint<'_> {
    /// The port, if it is another one than servers have where nothing is said.
    pub(crate) fn other_port(&self) -> Option<u16> {
        Some(self.port).filter(|port| *port != self.transport.port())
    }
}

/// What has happened on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'i> {
    /// The connection stands; with MQTT, the server has taken the session.
    Opened,
    /// It is gone, or could not be made.
    Closed,
    /// An MQTT message.
    Message {
        /// Its topic.
        topic: &'i str,
        /// What it says.
        payload: &'i [u8],
    },
    /// Bytes of a server that speaks HTTP.
    Bytes(&'i [u8]),
}

/// What is to be done with the connection. There is one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'o> {
    /// Open a connection. [`Input::Opened`] or [`Input::Closed`] answers.
    Open(Endpoint<'o>),
    /// Close it once everything is sent, if it is there; nothing answers.
    Close,
    /// Subscribe, with QoS 1.
    Subscribe(&'o str),
    /// Publish a message.
    Publish {
        /// Its topic.
        topic: &'o str,
        /// What it says.
        payload: &'o [u8],
        /// With QoS 1 instead of 0.
        reliably: bool,
    },
    /// Send bytes to a server that speaks HTTP.
    Send(&'o [u8]),
}

/// A protocol as a machine. Times count from any moment on, the same for all calls.
pub trait Protocol {
    /// To be called once after a boot, before anything else.
    fn start(&mut self, now: Duration);

    /// Something has happened on the connection.
    fn handle(&mut self, input: Input<'_>, now: Duration);

    /// Does a piece of work, and looks at the time. To be called at the [`deadline`](Self::deadline),
    /// which is to be asked for again after each call, and after everything that was done to the
    /// agent, such as telling it how its test went.
    fn poll(&mut self, now: Duration);

    /// The next thing to do; what is to be sent is written to `buffer`. 2,048 bytes are always
    /// enough; what does not fit is left out. To be called after every other call until there is
    /// nothing more to do.
    fn output<'o>(&'o mut self, buffer: &'o mut [u8]) -> Option<Output<'o>>;

    /// When [`poll`](Self::poll) is to be called, if nothing happens before. A moment that has
    /// passed: there is work to do.
    fn deadline(&self) -> Option<Duration>;
}

impl<'o> Output<'o> {
    /// Subscribes to `topic`, which is copied to `buffer`.
    pub(crate) fn subscribe(topic: &Label<255>, buffer: &'o mut [u8]) -> Option<Self> {
        let room = buffer.get_mut(..topic.bytes().len())?;
        room.copy_from_slice(topic.bytes());
        Some(Self::Subscribe(core::str::from_utf8(room).ok()?))
    }

    /// Publishes to `topic` what `write` puts into the rest of `buffer`.
    pub(crate) fn publish(
        topic: &Label<255>,
        reliably: bool,
        buffer: &'o mut [u8],
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<Self> {
        let (name, rest) = buffer.split_at_mut_checked(topic.bytes().len())?;
        name.copy_from_slice(topic.bytes());
        let len = write(rest)?;
        let topic = core::str::from_utf8(name).ok()?;
        Some(Self::Publish { topic, payload: rest.get(..len)?, reliably })
    }
}

/// Outputs that are still to be made, of a protocol's own kind.
#[derive(Debug)]
pub(crate) struct Queue<T: Copy> {
    waiting: [Option<T>; 8],
}

impl<T: Copy> Queue<T> {
    pub const fn new() -> Self {
        Self { waiting: [None; 8] }
    }

    /// Adds one. No protocol has more than six before it is asked for them.
    pub fn push(&mut self, item: T) {
        if let Some(room) = self.waiting.iter_mut().find(|room| room.is_none()) {
            *room = Some(item);
        }
    }

    /// Whether there is nothing. Something is left where an output could not be written.
    pub fn is_empty(&self) -> bool {
        self.waiting.iter().all(Option::is_none)
    }

    pub fn pop(&mut self) -> Option<T> {
        self.waiting.rotate_left(1);
        self.waiting.last_mut()?.take()
    }

    pub fn clear(&mut self) {
        self.waiting = [None; 8];
    }
}
