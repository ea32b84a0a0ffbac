//! Topics.

use core::fmt::{Result, Write};

use super::Format;

/// What is published about a device's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobTopic {
    /// Server: the list of pending jobs has changed.
    Notify,
    /// Server: the next job is another one.
    NotifyNext,
    /// Device: which is the next one?
    NextGet,
    /// Device: begins the next one.
    StartNext,
    /// Device: which ones are there?
    Get,
}

/// Whether a topic is a question's, or an answer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The question's.
    Question,
    /// The answer's, if it was heeded.
    Accepted,
    /// The answer's, if it was not.
    Rejected,
}

impl Answer {
    const fn text(self) -> &'static str {
        match self {
            Self::Question => "",
            Self::Accepted => "/accepted",
            Self::Rejected => "/rejected",
        }
    }
}

/// What is published about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamTopic {
    /// Device: sends blocks.
    Get,
    /// Server: a block.
    Data,
    /// Server: an error.
    Rejected,
    /// Device: what is in the stream?
    Describe,
    /// Server: this.
    Description,
}

fn write(to: &mut impl Write, parts: &[&str]) -> Result {
    parts.iter().try_for_each(|part| to.write_str(part))
}

/// Writes a topic about the jobs of `thing`.
///
/// # Errors
/// If there is no room.
pub fn job_topic(to: &mut impl Write, thing: &str, topic: JobTopic, answer: Answer) -> Result {
    let name = match topic {
        JobTopic::Notify => "notify",
        JobTopic::NotifyNext => "notify-next",
        JobTopic::NextGet => "$next/get",
        JobTopic::StartNext => "start-next",
        JobTopic::Get => "get",
    };
    write(to, &["$aws/things/", thing, "/jobs/", name, answer.text()])
}

/// Writes the topic of reports on `job`.
///
/// # Errors
/// If there is no room.
pub fn update_topic(to: &mut impl Write, thing: &str, job: &str, answer: Answer) -> Result {
    write(to, &["$aws/things/", thing, "/jobs/", job, "/update", answer.text()])
}

/// Writes a topic of `stream`.
///
/// # Errors
/// If there is no room.
pub fn stream_topic(
    to: &mut impl Write,
    thing: &str,
    stream: &str,
    topic: StreamTopic,
    format: Format,
) -> Result {
    let name = match topic {
        StreamTopic::Get => "/get/",
        StreamTopic::Data => "/data/",
        StreamTopic::Rejected => "/rejected/",
        StreamTopic::Describe => "/describe/",
        StreamTopic::Description => "/description/",
    };
    write(to, &["$aws/things/", thing, "/streams/", stream, name, format.name()])
}
