//! Who is being served: a place for each topic, whose turn it is, and who has been silent for long.
//!
//! Anybody can ask under any topic, so that places run out if somebody wants them to. Whoever is not
//! being sent an image gives way then, who was heard of longest ago first: what is kept of them is
//! only told, and found again by what they say next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::session::Session;

/// What devices have under way, by topic.
#[derive(Debug)]
pub(crate) struct Places {
    sessions: HashMap<String, Session>,
    /// Who is being sent an image, by the number of their turn: once each.
    turns: BTreeMap<u64, String>,
    /// Who is not, longest ago first.
    idle: BTreeMap<u64, String>,
    last_number: u64,
    /// When each session is looked at for silence.
    silences: BTreeSet<(Duration, String)>,
    most: usize,
}

impl Places {
    pub fn new(most: usize) -> Self {
        Self {
            sessions: HashMap::new(),
            turns: BTreeMap::new(),
            idle: BTreeMap::new(),
            last_number: 0,
            silences: BTreeSet::new(),
            most,
        }
    }

    pub fn get(&self, topic: &str) -> Option<&Session> {
        self.sessions.get(topic)
    }

    pub fn get_mut(&mut self, topic: &str) -> Option<&mut Session> {
        self.sessions.get_mut(topic)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Session)> {
        self.sessions.iter()
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether a device of another serial number is being sent an image on this topic: names of
    /// sessions are short, and devices that start together may choose the same.
    pub fn serves_another(&self, topic: &str, serial: &str) -> bool {
        let session = self.sessions.get(topic);
        session.is_some_and(|session| session.next.is_some() && session.serial != serial)
    }

    /// Gives a session a place, in place of the one that this topic had; says who had to give way.
    ///
    /// # Errors
    /// If all that there are, so many, are being sent images.
    pub fn begin(
        &mut self,
        topic: &str,
        session: Session,
    ) -> Result<Option<(String, Session)>, usize> {
        self.end(topic);
        let mut gave_way = None;
        if self.sessions.len() >= self.most {
            let (_, other) = self.idle.first_key_value().ok_or(self.sessions.len())?;
            let other = other.clone();
            gave_way = self.end(&other).map(|session| (other, session));
        }
        self.silences.insert((session.until, topic.to_owned()));
        self.sessions.insert(topic.to_owned(), session);
        self.rest(topic);
        Ok(gave_way)
    }

    /// Ends a session, and all that is kept for it.
    pub fn end(&mut self, topic: &str) -> Option<Session> {
        let session = self.sessions.remove(topic)?;
        self.turns.remove(&session.number);
        self.idle.remove(&session.number);
        self.silences.remove(&(session.until, topic.to_owned()));
        Some(session)
    }

    /// Lets a session wait for its turn, behind all others, unless it does already.
    pub fn queue(&mut self, topic: &str) {
        let Some(session) = self.sessions.get_mut(topic) else { return };
        if self.turns.contains_key(&session.number) {
            return;
        }
        self.idle.remove(&session.number);
        self.last_number += 1;
        session.number = self.last_number;
        self.turns.insert(self.last_number, topic.to_owned());
    }

    /// It was heard of, and is being sent nothing: it gives way after all others.
    pub fn rest(&mut self, topic: &str) {
        let Some(session) = self.sessions.get_mut(topic).filter(|it| it.next.is_none()) else {
            return;
        };
        self.turns.remove(&session.number);
        self.idle.remove(&session.number);
        self.last_number += 1;
        session.number = self.last_number;
        self.idle.insert(self.last_number, topic.to_owned());
    }

    /// Whose turn it is. It is neither waiting nor idle from now on: [`queue`](Self::queue) or
    /// [`rest`](Self::rest) follows.
    pub fn next_turn(&mut self) -> Option<String> {
        self.turns.pop_first().map(|(_, topic)| topic)
    }

    /// Who waits for a turn.
    pub fn waiting(&self) -> impl ExactSizeIterator<Item = &String> {
        self.turns.values()
    }

    /// When the first session is to be looked at for silence.
    pub fn next_silence(&self) -> Option<Duration> {
        self.silences.first().map(|(until, _)| *until)
    }

    /// The next session that has been silent until `now`, for `patience`. Who is being sent an image
    /// has nothing to say yet.
    pub fn silent(&mut self, now: Duration, patience: Duration) -> Option<String> {
        while self.next_silence().is_some_and(|until| until <= now) {
            let (_, topic) = self.silences.pop_first()?;
            let Some(session) = self.sessions.get_mut(&topic) else { continue };
            if session.next.is_some() {
                session.seen = now;
            }
            let until = session.seen.saturating_add(patience);
            if until <= now {
                return Some(topic);
            }
            session.until = until;
            self.silences.insert((until, topic));
        }
        None
    }
}
