//! The JSON messages of both sides: one flat object of strings.

use crate::json::{self, NoRoom, Text, Value, Writer};
use crate::{Reason, Transport, Version};

/// Bytes of the longest job document.
pub const LONGEST_DOCUMENT: usize = 1024;
/// Bytes of the longest message: a job document, with what a request adds.
pub const LONGEST_MESSAGE: usize = 1536;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Device: is there a job for me?
    Availability,
    /// Publisher: there is, and this is it.
    Available,
    /// Publisher: there is none.
    Unavailable,
    /// Device: send the image.
    RequestUpdate,
    /// Device: send one chunk.
    RequestChunk,
    /// Device: send the image, without a job.
    DirectUpdate,
    /// Device: the image is there and good.
    Success,
    /// Device: it is not.
    Failure,
    /// Publisher: the result has been read.
    ResultReceived,
}

impl Message {
    /// Every message.
    pub const ALL: [Self; 9] = [
        Self::Availability,
        Self::Available,
        Self::Unavailable,
        Self::RequestUpdate,
        Self::RequestChunk,
        Self::DirectUpdate,
        Self::Success,
        Self::Failure,
        Self::ResultReceived,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Availability => "Update Availability",
            Self::Available => "Update Available",
            Self::Unavailable => "No Update Available",
            Self::RequestUpdate => "Request Update",
            Self::RequestChunk => "Request Data Chunk",
            Self::DirectUpdate => "Send Direct Update",
            Self::Success => "Success",
            Self::Failure => "Failure",
            Self::ResultReceived => "Result Received",
        }
    }
}

/// Where the image comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// From the publisher, in chunks.
    Mqtt,
    /// From a file server, in parts of a file.
    Http,
    /// The same, over TLS.
    Https,
}

impl Connection {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "MQTT",
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
        }
    }

    /// How the server is talked to.
    pub const fn transport(self) -> Transport {
        match self {
            Self::Mqtt => Transport::Mqtt,
            Self::Http => Transport::Http,
            Self::Https => Transport::Https,
        }
    }
}

/// How some keys are spelled. Both are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// As devices do: `ManufacturerID`, `ProductID`, `BoardName`, `Filename`.
    #[default]
    Device,
    /// As job documents do: `ManufacturerId`, `Product`, `Board`, `File`.
    Job,
}

/// A message as it is written: whatever of its keys there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Document<'d> {
    /// What it is for, see [`Message`].
    pub message: Option<Text<'d>>,
    /// Free text.
    pub manufacturer: Option<Text<'d>>,
    /// Free text.
    pub manufacturer_id: Option<Text<'d>>,
    /// Free text.
    pub product: Option<Text<'d>>,
    /// Free text.
    pub serial_number: Option<Text<'d>>,
    /// The board that the job is for, or that asks.
    pub board: Option<Text<'d>>,
    /// Version of the image, or of what runs.
    pub version: Option<Text<'d>>,
    /// Where the image comes from, see [`Connection`].
    pub connection: Option<Text<'d>>,
    /// Host of the server with the image; empty for the one that the job came from.
    pub server: Option<Text<'d>>,
    /// Its port in decimal; empty or 0 for that of the job's.
    pub port: Option<Text<'d>>,
    /// File on that server.
    pub file: Option<Text<'d>>,
    /// Of a chunk: where it begins, in decimal.
    pub offset: Option<Text<'d>>,
    /// Of a chunk: its bytes in decimal, or `-1` for the rest.
    pub size: Option<Text<'d>>,
    /// The topic that the device listens to.
    pub unique_topic: Option<Text<'d>>,
}

/// A key: how devices and job documents spell it, other names, and the bytes of its longest value.
struct Key {
    device: &'static str,
    job: &'static str,
    others: &'static [&'static str],
    longest: usize,
}

impl Key {
    const fn new(device: &'static str, job: &'static str, longest: usize) -> Self {
        Self { device, job, others: &[], longest }
    }

    fn is(&self, name: Text<'_>) -> bool {
        let mut names = [self.device, self.job].into_iter().chain(self.others.iter().copied());
        names.any(|known| name.is_ignoring_case(known))
    }
}

/// In the order of a job document. Lengths are those of the original's buffers, less their ends.
const KEYS: [Key; 14] = [
    Key::new("Message", "Message", 31),
    Key::new("Manufacturer", "Manufacturer", 63),
    Key::new("ManufacturerID", "ManufacturerId", 15),
    Key::new("ProductID", "Product", 63),
    Key::new("SerialNumber", "SerialNumber", 31),
    Key::new("BoardName", "Board", 47),
    Key::new("Version", "Version", 15),
    Key::new("Connection", "Connection", 15),
    Key { device: "Broker", job: "Broker", others: &["Server"], longest: 255 },
    Key::new("Port", "Port", 5),
    Key::new("Filename", "File", 255),
    Key::new("Offset", "Offset", 10),
    Key::new("Size", "Size", 10),
    Key::new("UniqueTopicName", "UniqueTopicName", 255),
];

impl<'d> Document<'d> {
    /// Reads a message. Unknown keys are passed over.
    ///
    /// # Errors
    /// If it is longer than 1,536 bytes, no flat JSON object, or if a known key is there with two
    /// values, is no string, or longer than allowed.
    pub fn decode(bytes: &'d [u8]) -> Result<Self, Reason> {
        if bytes.len() > LONGEST_MESSAGE {
            return Err(Reason::DocumentTooLong { len: bytes.len(), max: LONGEST_MESSAGE });
        }
        let object = Value::parse(bytes)?.object();
        let object = object.ok_or(Reason::NotJson(json::Malformed { offset: 0 }))?;
        let mut document = Self::default();
        for (name, value) in object.members() {
            let Some((key, field)) =
                KEYS.iter().zip(document.fields_mut()).find(|it| it.0.is(name))
            else {
                continue;
            };
            let text = value.text().ok_or(Reason::WrongType(key.job))?;
            if text.len() > key.longest {
                return Err(Reason::TooLong(key.job));
            }
            // Some write both names of a key, one of them empty or both the same.
            match *field {
                Some(other) if !other.is_empty() && !text.is_empty() => {
                    if !other.chars().eq(text.chars()) {
                        return Err(Reason::Repeated(key.job));
                    }
                }
                Some(_) if text.is_empty() => {}
                _ => *field = Some(text),
            }
        }
        Ok(document)
    }

    fn fields(&self) -> [Option<Text<'d>>; KEYS.len()] {
        [
            self.message,
            self.manufacturer,
            self.manufacturer_id,
            self.product,
            self.serial_number,
            self.board,
            self.version,
            self.connection,
            self.server,
            self.port,
            self.file,
            self.offset,
            self.size,
            self.unique_topic,
        ]
    }

    fn fields_mut(&mut self) -> [&mut Option<Text<'d>>; KEYS.len()] {
        [
            &mut self.message,
            &mut self.manufacturer,
            &mut self.manufacturer_id,
            &mut self.product,
            &mut self.serial_number,
            &mut self.board,
            &mut self.version,
            &mut self.connection,
            &mut self.server,
            &mut self.port,
            &mut self.file,
            &mut self.offset,
            &mut self.size,
            &mut self.unique_topic,
        ]
    }

    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, spelling: Spelling, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(buffer);
        writer.begin("{");
        for (key, value) in KEYS.iter().zip(self.fields()) {
            let name = if spelling == Spelling::Device { key.device } else { key.job };
            writer.member(name, value);
        }
        writer.end("}");
        writer.finish()
    }

    /// Writes a job document as the answer to a device, which gets it on `topic`; returns how many
    /// bytes. What a device would refuse to read is not written.
    ///
    /// # Errors
    /// If the document is no job, or longer than devices have room for.
    pub fn encode_for(
        &self,
        message: Message,
        topic: Text<'_>,
        buffer: &mut [u8],
    ) -> Result<usize, Reason> {
        let (message, unique_topic) = (Some(Text::new(message.name())), Some(topic));
        let len = Document { message, unique_topic, ..*self }.encode(Spelling::Job, buffer)?;
        if len > LONGEST_DOCUMENT {
            return Err(Reason::DocumentTooLong { len, max: LONGEST_DOCUMENT });
        }
        Document::decode(buffer.get(..len).unwrap_or_default())?.job()?;
        Ok(len)
    }

    /// What it is for; `None` if that is nothing known.
    pub fn kind(&self) -> Option<Message> {
        let message = self.message?;
        Message::ALL.into_iter().find(|kind| message.is(kind.name()))
    }

    /// Reads it as a job.
    ///
    /// # Errors
    /// If something is missing or makes no sense.
    pub fn job(&self) -> Result<Job<'d>, Reason> {
        let version = self.version.ok_or(Reason::Missing("Version"))?;
        let version =
            version.plain().and_then(Version::parse).ok_or(Reason::BadValue("Version"))?;
        let connection = self.connection.ok_or(Reason::Missing("Connection"))?;
        let all = [Connection::Mqtt, Connection::Http, Connection::Https];
        let known = all.into_iter().find(|known| connection.is_ignoring_case(known.name()));
        let connection = known.ok_or(Reason::BadValue("Connection"))?;
        let port = match self.port.filter(|port| !port.is_empty()) {
            None => None,
            Some(port) => {
                let number = port.number().and_then(|number| u16::try_from(number).ok());
                Some(number.ok_or(Reason::BadValue("Port"))?).filter(|port| *port != 0)
            }
        };
        let file = self.file.filter(|file| !file.is_empty());
        if connection != Connection::Mqtt && file.is_none() {
            return Err(Reason::Missing("File"));
        }
        Ok(Job {
            board: self.board.ok_or(Reason::Missing("Board"))?,
            version,
            connection,
            server: self.server.filter(|server| !server.is_empty()),
            port,
            file,
        })
    }

    /// Reads it as what a device asks for or tells: the publisher's side.
    ///
    /// # Errors
    /// If it is nothing that devices say, or lacks something.
    pub fn request(&self) -> Result<Request<'d>, Reason> {
        let topic = self.unique_topic.filter(|topic| !topic.is_empty());
        let needed = topic.ok_or(Reason::Missing("UniqueTopicName"));
        let number = |value: Option<Text<'_>>, key| {
            let value = value.ok_or(Reason::Missing(key))?;
            value.number().ok_or(Reason::BadValue(key))
        };
        let kind = self.message.ok_or(Reason::Missing("Message"))?;
        let kind = Message::ALL.into_iter().find(|known| kind.is(known.name()));
        Ok(match kind.ok_or(Reason::BadValue("Message"))? {
            Message::Availability => {
                let running = self.version.and_then(Text::plain).and_then(Version::parse);
                Request::Availability { topic: needed?, running }
            }
            Message::RequestUpdate => Request::Update { topic: needed? },
            Message::RequestChunk => Request::Chunk {
                topic: needed?,
                offset: number(self.offset, "Offset")?,
                size: match self.size.is_some_and(|size| size.is("-1")) {
                    true => None,
                    false => Some(number(self.size, "Size")?).filter(|size| *size > 0),
                },
            },
            // Old devices do not say where they listen: all of them listen to the shared topic.
            Message::DirectUpdate => Request::Direct { topic },
            Message::Success => Request::Result { topic: needed?, good: true },
            Message::Failure => Request::Result { topic: needed?, good: false },
            _ => return Err(Reason::BadValue("Message")),
        })
    }
}

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job<'d> {
    /// The board that it is for.
    pub board: Text<'d>,
    /// Version of the image.
    pub version: Version,
    /// Where the image comes from.
    pub connection: Connection,
    /// Host of the server; `None` for the one that the job came from.
    pub server: Option<Text<'d>>,
    /// Its port; `None` for that of the job's.
    pub port: Option<u16>,
    /// File on that server.
    pub file: Option<Text<'d>>,
}

/// What a device asks for or tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'d> {
    /// Is there a job?
    Availability {
        /// Where the answer goes.
        topic: Text<'d>,
        /// The version that runs. No other message tells that.
        running: Option<Version>,
    },
    /// The whole image.
    Update {
        /// Where it goes.
        topic: Text<'d>,
    },
    /// One chunk.
    Chunk {
        /// Where it goes.
        topic: Text<'d>,
        /// Where it begins, in bytes of the image.
        offset: u32,
        /// Its bytes; `None` for the rest.
        size: Option<u32>,
    },
    /// The whole image, to the shared topic.
    Direct {
        /// Where this device listens besides.
        topic: Option<Text<'d>>,
    },
    /// How the update went.
    Result {
        /// Where the acknowledgement goes.
        topic: Text<'d>,
        /// Whether it succeeded.
        good: bool,
    },
}
