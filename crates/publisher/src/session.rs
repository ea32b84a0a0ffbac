//! One device's update, and what is told of it.

use std::sync::Arc;
use std::time::Duration;

use updraft_ota::{Reason, Version};

use crate::{Job, JobError};

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is none.
    #[error("the request cannot be read: {0}")]
    Request(Reason),
    /// The answer would go to a topic that is none of a device.
    #[error("the answer was to go to {0:?}, which is no device's topic")]
    Topic(String),
    /// There is nothing to answer with.
    #[error(transparent)]
    Job(JobError),
    /// There is no such chunk.
    #[error("there is no chunk of {size} bytes at {offset}")]
    Chunk {
        /// Where it was to begin.
        offset: u32,
        /// Its bytes.
        size: u32,
    },
    /// All places are taken by devices that are being sent images, or too many answers wait.
    #[error("too many devices at once: {0}")]
    Crowd(usize),
}

/// What happened to a device's update.
#[derive(Debug)]
#[non_exhaustive]
pub enum Note {
    /// It was offered this version.
    Offered(Version),
    /// It runs what is published, or something newer.
    NothingNewer(Version),
    /// It is sent the image of so many bytes.
    Sending(u32),
    /// All of it was handed to the broker.
    Sent(u32),
    /// It was sent a single chunk.
    Chunk {
        /// Where the chunk begins.
        offset: u32,
        /// Bytes of the image.
        total: u32,
    },
    /// It says that the image is there and good.
    Succeeded,
    /// It says that it is not.
    Failed,
    /// It has said nothing for long, which is how most failures are told.
    Silent,
    /// Its place was given to another one: there are too many.
    Displaced,
    /// It was not answered.
    Refused(Refusal),
}

/// What happened, and to whom.
#[derive(Debug)]
pub struct Event {
    /// When.
    pub at: Duration,
    /// The topic of the device's session; empty where a request names none.
    pub topic: String,
    /// Its serial number, if it tells one.
    pub serial: String,
    /// The version that it said it runs.
    pub running: Option<Version>,
    /// What.
    pub note: Note,
}

/// How far a device's update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'p> {
    /// Its serial number, if it tells one.
    pub serial: &'p str,
    /// The version.
    pub version: Version,
    /// Bytes of the image that were handed out.
    pub sent: u32,
    /// Bytes of the image.
    pub total: u32,
}

/// An update under way.
#[derive(Debug)]
pub(crate) struct Session {
    pub serial: String,
    pub running: Option<Version>,
    pub job: Arc<Job>,
    /// Its number among those that wait for their turn, or among those that do not.
    pub number: u64,
    /// When it is looked at for silence.
    pub until: Duration,
    /// Where the next chunk of the whole image begins, while that is being sent.
    pub next: Option<u32>,
    /// The serial number of somebody else on the same topic, who has asked: it is sent once more from
    /// the beginning after that.
    pub again: Option<String>,
    /// The next chunk is sent no earlier.
    pub not_before: Duration,
    /// Where what was sent last ends.
    pub reached: u32,
    /// When it was heard of last.
    pub seen: Duration,
}

impl Session {
    pub fn new(
        job: Arc<Job>,
        serial: String,
        running: Option<Version>,
        (now, until): (Duration, Duration),
    ) -> Self {
        Self {
            serial,
            running,
            job,
            number: 0,
            until,
            next: None,
            again: None,
            not_before: Duration::ZERO,
            reached: 0,
            seen: now,
        }
    }

    pub fn total(&self) -> u32 {
        u32::try_from(self.job.image.len()).unwrap_or(u32::MAX)
    }
}
