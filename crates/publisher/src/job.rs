//! What is published: a job document and its image.

use std::sync::Arc;

use updraft_ota::infineon::{Document, LONGEST_DOCUMENT, Message};
use updraft_ota::json::{Text, Value, Writer};
use updraft_ota::{Reason, Version};

/// What the members are called that the publisher writes itself.
const OWN: [&str; 2] = ["Message", "UniqueTopicName"];

/// Why there is nothing to publish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The job document is none that devices would take.
    #[error("the job document cannot be used: {0}")]
    Document(Reason),
    /// With a topic of this length in it, the document is longer than devices take.
    #[error(
        "the job document has {len} bytes with the device's topic in it, devices take {LONGEST_DOCUMENT}"
    )]
    TooLong {
        /// Bytes.
        len: usize,
    },
    /// The image is empty, or has more bytes than chunks can count.
    #[error("an image of {len} bytes cannot be sent in chunks of {chunk}")]
    Size {
        /// Bytes.
        len: usize,
        /// Bytes of a chunk.
        chunk: u16,
    },
    /// It could not be fetched from where it is kept.
    #[error("there is nothing to publish")]
    Missing(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A job document with its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Keys and values, in the document's order.
    members: Vec<(String, String)>,
    /// The board that it is for.
    pub board: String,
    /// Version of the image.
    pub version: Version,
    /// The image.
    pub image: Arc<[u8]>,
}

impl Job {
    /// Reads a job document. Keys that nobody knows are passed on, if their values are strings.
    ///
    /// # Errors
    /// If devices would refuse it.
    pub fn new(document: &[u8], image: Arc<[u8]>) -> Result<Self, JobError> {
        let parsed = Document::decode(document).map_err(JobError::Document)?;
        let job = parsed.job().map_err(JobError::Document)?;
        let object = Value::parse(document).ok().and_then(Value::object);
        let members = object.into_iter().flat_map(|object| object.members());
        let members = members
            .filter_map(|(key, value)| Some((key.to_string(), value.text()?.to_string())))
            .filter(|(key, _)| !OWN.iter().any(|own| key.eq_ignore_ascii_case(own)))
            .collect();
        Ok(Self { members, board: job.board.to_string(), version: job.version, image })
    }

    /// The document as an answer to a device.
    pub(crate) fn answer(&self, message: Message, topic: &str) -> Result<Vec<u8>, JobError> {
        // Values are escaped to no more than six times their length.
        let longest: usize = self.members.iter().map(|(key, value)| key.len() + value.len()).sum();
        let mut buffer = vec![0; 6 * (longest + topic.len()) + 16 * self.members.len() + 128];
        let mut writer = Writer::new(&mut buffer);
        writer.begin("{");
        writer.member(OWN[0], Some(Text::new(message.name())));
        for (key, value) in &self.members {
            writer.member(key, Some(Text::new(value)));
        }
        writer.member(OWN[1], Some(Text::new(topic)));
        writer.end("}");
        let len = writer.finish().map_err(|_| JobError::Document(Reason::NoRoom))?;
        if len > LONGEST_DOCUMENT {
            return Err(JobError::TooLong { len });
        }
        buffer.truncate(len);
        Ok(buffer)
    }
}

/// Where jobs come from.
pub trait Jobs {
    /// What is published now. It is asked for at each request, so that changing it is publishing.
    ///
    /// # Errors
    /// If there is nothing that could be.
    fn current(&mut self) -> Result<Arc<Job>, JobError>;
}

/// One job for ever.
impl Jobs for Arc<Job> {
    fn current(&mut self) -> Result<Arc<Job>, JobError> {
        Ok(Self::clone(self))
    }
}
