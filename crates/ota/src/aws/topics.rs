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

/// What a device's message is about, by its topic: the service's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'t> {
    /// Which job is the next one?
    Next,
    /// The next job is begun.
    StartNext,
    /// Which ones are there?
    List,
    /// What is this one?
    Job(&'t str),
    /// A report on this one.
    Report(&'t str),
    /// About a stream.
    Stream {
        /// The stream.
        stream: &'t str,
        /// [`StreamTopic::Get`] or [`StreamTopic::Describe`].
        what: StreamTopic,
        /// How it is written.
        format: Format,
    },
}

/// Reads the topic of a device's message: its name, and what the message is about. `None` for
/// topics that are none of a device's questions and reports.
pub fn asked(topic: &str) -> Option<(&str, Asked<'_>)> {
    let (thing, rest) = topic.strip_prefix("$aws/things/")?.split_once('/')?;
    let mut levels = rest.split('/');
    let about = [levels.next(), levels.next(), levels.next(), levels.next(), levels.next()];
    let asked = match about {
        [Some("jobs"), Some("start-next"), None, ..] => Asked::StartNext,
        [Some("jobs"), Some("get"), None, ..] => Asked::List,
        [Some("jobs"), Some("$next"), Some("get"), None, _] => Asked::Next,
        [Some("jobs"), Some(job), Some("get"), None, _] => Asked::Job(job),
        [Some("jobs"), Some(job), Some("update"), None, _] => Asked::Report(job),
        [Some("streams"), Some(stream), Some(what), Some(format), None] => {
            let what = match what {
                "get" => StreamTopic::Get,
                "describe" => StreamTopic::Describe,
                _ => return None,
            };
            let format = [Format::Cbor, Format::Json].into_iter().find(|it| it.name() == format)?;
            Asked::Stream { stream, what, format }
        }
        _ => return None,
    };
    Some((thing, asked))
}
