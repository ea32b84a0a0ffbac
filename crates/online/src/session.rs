//! An MQTT session: what is said in it, over one line after the other.

use std::collections::VecDeque;
use std::time::Duration;

use updraft_mqtt::{Client, Connect, Event, LastWill, NoRoom, PacketId, Patience, QoS};

use crate::LineError;
use crate::line::{Line, Piece};
use crate::settings::{Memory, Session, Will};

/// Bytes of the outbox that are kept for acknowledgements.
const ACKNOWLEDGEMENTS: usize = 12;
/// Messages that wait for room at most.
const MOST_HELD: usize = 64;

/// What found no room yet.
enum Held {
    Subscribe(String),
    Publish { topic: String, payload: Vec<u8>, reliably: bool },
}

/// For what there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    ForAll,
    /// Messages wait for others to be acknowledged, which only a line brings.
    ForLines,
    None,
}

/// What is heard.
pub(crate) enum Heard<'h> {
    Opened { session_present: bool },
    Message { topic: &'h str, payload: &'h [u8] },
    TooLong { len: usize },
}

pub(crate) struct Talk<'b> {
    client: Client<'b>,
    /// Bytes of the outbox.
    outbox: usize,
    /// What was read and not looked at yet.
    unread: Vec<u8>,
    held: VecDeque<Held>,
    /// Topics that were subscribed to, for what the server says to that.
    topics: Vec<(PacketId, String)>,
    /// `host:port` of the last one.
    broker: Option<String>,
}

impl<'b> Talk<'b> {
    pub fn new(memory: &'b mut Memory) -> Self {
        let outbox = memory.outbox.len();
        let client = Client::new(&mut memory.inbox, &mut memory.outbox, Patience::default());
        let (unread, held, topics) = (Vec::new(), VecDeque::new(), Vec::new());
        Self { client, outbox, unread, held, topics, broker: None }
    }

    pub fn deadline(&self) -> Option<Duration> {
        self.client.deadline()
    }

    /// What is said from now on is for another line, to the broker `to` if it is one. In a clean
    /// session it is all that is said, and no broker hears what was meant for another one.
    pub fn prepare(&mut self, session: &Session, to: Option<&str>) {
        let is_other = to.is_some_and(|to| self.broker.as_deref().is_some_and(|last| last != to));
        if session.clean || is_other {
            self.client.forget();
        }
        if is_other {
            self.held.clear();
        }
        if let Some(to) = to {
            self.broker = Some(to.to_owned());
        }
        self.topics.clear();
    }

    /// The line stands: greets. A server that may not know who this is gets no password.
    pub fn greet(
        &mut self,
        session: &Session,
        is_known: bool,
        now: Duration,
    ) -> Result<(), LineError> {
        let Session { client_id, clean, keep_alive, will, user } = session;
        let will = will.as_ref().map(|Will { topic, payload }| LastWill {
            topic,
            payload,
            qos: QoS::AtLeastOnce,
            retain: false,
        });
        let user = user.as_ref().filter(|_| is_known);
        let connect = Connect {
            client_id,
            clean_session: *clean,
            keep_alive: *keep_alive,
            will,
            user_name: user.map(|(name, _)| name.as_str()),
            password: user.map(|(_, password)| password.as_bytes()),
        };
        let connected = self.client.connect(&connect, now);
        connected.map_err(|NoRoom { needed, room }| LineError::TooLong { needed, room })
    }

    pub fn subscribe(&mut self, topic: &str) -> Result<(), LineError> {
        self.held.push_back(Held::Subscribe(topic.to_owned()));
        self.offer_held().map(|_| ())
    }

    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        reliably: bool,
    ) -> Result<(), LineError> {
        if self.held.is_empty() {
            match self.client.publish(topic, payload, reliably) {
                Ok(_) => return Ok(()),
                Err(refused) => fits(refused, self.outbox)?,
            }
        }
        let (topic, payload) = (topic.to_owned(), payload.to_vec());
        self.held.push_back(Held::Publish { topic, payload, reliably });
        Ok(())
    }

    /// Tries again what found no room.
    pub fn offer_held(&mut self) -> Result<Room, LineError> {
        while let Some(held) = self.held.front() {
            let offered = match held {
                Held::Subscribe(topic) => self.client.subscribe(topic, true).map(|id| {
                    self.topics.push((id, topic.clone()));
                }),
                Held::Publish { topic, payload, reliably } => {
                    self.client.publish(topic, payload, *reliably).map(|_| ())
                }
            };
            let fits = offered
                .map_or_else(|refused| fits(refused, self.outbox).map(|()| false), |()| Ok(true));
            // What can never be sent is not tried again.
            if !matches!(fits, Ok(false)) {
                self.held.pop_front();
            }
            if !fits? {
                let full = self.held.len() >= MOST_HELD;
                return Ok(if full { Room::None } else { Room::ForLines });
            }
        }
        Ok(Room::ForAll)
    }

    /// Moves bytes between line and client, a piece of them, and tells what is heard; says whether
    /// there was anything to do.
    pub fn transfer(
        &mut self,
        line: &mut Line,
        scratch: &mut [u8],
        now: Duration,
        hear: &mut dyn FnMut(&str, Heard<'_>),
    ) -> Result<bool, LineError> {
        let peer = line.peer.clone();
        let failed = |source| LineError::Mqtt { peer: peer.clone(), source };
        self.client.tick(now).map_err(failed)?;
        // The socket tells once that it takes bytes again: what it takes makes room for more.
        let mut moved = line.make_room()?;
        moved |= self.transmit(line, now, false)?;
        if let Some(event) = self.client.event().map_err(failed)? {
            match event {
                Event::Connected { session_present } => {
                    hear(&peer, Heard::Opened { session_present });
                }
                Event::Message(message) => {
                    let (topic, payload) = (message.topic, message.payload);
                    hear(&peer, Heard::Message { topic, payload });
                }
                Event::TooLong { len } => hear(&peer, Heard::TooLong { len }),
                Event::Subscribed { id, codes } => {
                    let refused = codes.iter().any(|granted| granted.is_none());
                    let at = self.topics.iter().position(|(asked, _)| *asked == id);
                    let topic = at.map(|at| self.topics.swap_remove(at).1).unwrap_or_default();
                    if refused {
                        return Err(LineError::NotSubscribed { peer, topic });
                    }
                }
                Event::Published(_) | Event::Unsubscribed(_) => {}
            }
            return Ok(true);
        }
        if self.unread.is_empty() {
            match line.read(scratch)? {
                Piece::Bytes(len) => {
                    self.unread.extend_from_slice(scratch.get(..len).unwrap_or_default());
                    moved = true;
                }
                Piece::Nothing => {}
                Piece::End => {
                    let (greeted, encrypted) = (self.client.is_open(), line.is_encrypted());
                    return Err(LineError::Closed { peer, greeted, encrypted });
                }
            }
        }
        if !self.unread.is_empty() {
            let taken = self.client.receive(&self.unread).map_err(failed)?;
            self.unread.drain(..taken);
            moved |= taken > 0;
        }
        Ok(moved)
    }

    /// Hands the client's bytes to the line: all of them, or as long as not too many wait already.
    fn transmit(&mut self, line: &mut Line, now: Duration, all: bool) -> Result<bool, LineError> {
        let mut any = false;
        while all || line.has_room() {
            let len = self.client.transmit().len();
            if len == 0 {
                break;
            }
            line.write(self.client.transmit())?;
            self.client.sent(len, now);
            any = true;
        }
        Ok(any)
    }

    /// Says goodbye on a line that is about to be left.
    pub fn leave(&mut self, line: &mut Line, now: Duration) {
        if self.client.is_open() {
            // Without room for a goodbye, the server notices the line's end.
            let _ = self.client.disconnect();
            let _ = self.transmit(line, now, true);
        }
    }

    /// There is no line any more.
    pub fn closed(&mut self) {
        self.unread.clear();
        self.client.closed();
    }

    /// Neither what found no room is said any more. A session that is kept loses nothing.
    pub fn lost(&mut self, session: &Session) {
        self.closed();
        if session.clean {
            self.held.clear();
        }
    }
}

/// Whether a message finds room once others are gone.
fn fits(NoRoom { needed, .. }: NoRoom, outbox: usize) -> Result<(), LineError> {
    let room = outbox.saturating_sub(ACKNOWLEDGEMENTS);
    if needed > room { Err(LineError::TooLong { needed, room }) } else { Ok(()) }
}
