//! Jobs and reports on them, in JSON.

use crate::json::{NoRoom, Object, Text, Value, Writer};
use crate::{Reason, base64};

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nobody has begun it.
    Queued,
    /// The device is at it.
    InProgress,
    /// It is done.
    Succeeded,
    /// It has failed.
    Failed,
    /// The device will not do it.
    Rejected,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Queued, Self::InProgress, Self::Succeeded, Self::Failed, Self::Rejected];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Rejected => "REJECTED",
        }
    }

    /// Whether nothing more comes of it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Rejected)
    }

    pub(super) fn of(text: Text<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|status| text.is(status.name()))
    }
}

pub(super) fn text<'m>(object: Object<'m>, key: &'static str) -> Result<Option<Text<'m>>, Reason> {
    let Some(value) = object.member(key)? else { return Ok(None) };
    value.text().map(Some).ok_or(Reason::WrongType(key))
}

pub(super) fn number(object: Object<'_>, key: &'static str) -> Result<Option<u32>, Reason> {
    let Some(value) = object.member(key)? else { return Ok(None) };
    // Some agents write numbers as strings.
    let number = value.number().or_else(|| value.text().and_then(Text::number));
    number.map(Some).ok_or(Reason::WrongType(key))
}

/// What a device need not know is no reason to refuse a job.
fn moment(object: Object<'_>, key: &'static str) -> Option<u32> {
    number(object, key).ok().flatten()
}

pub(super) fn optional(to: &mut Writer<'_>, key: &str, value: Option<u32>) {
    if let Some(value) = value {
        to.key(key).number(value);
    }
}

fn object<'m>(object: Object<'m>, key: &'static str) -> Result<Option<Object<'m>>, Reason> {
    let Some(value) = object.member(key)? else { return Ok(None) };
    value.object().map(Some).ok_or(Reason::WrongType(key))
}

pub(super) fn parse(bytes: &[u8]) -> Result<Object<'_>, Reason> {
    let object = Value::parse(bytes)?.object();
    object.ok_or(Reason::NotJson(crate::json::Malformed { offset: 0 }))
}

/// What is told of a job on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Details<'m> {
    /// Blocks there, and blocks in all: `1/6`.
    pub receive: Option<Text<'m>>,
    /// `ready` before the reset, `active` after it.
    pub self_test: Option<Text<'m>>,
    /// Why it ended, or what it waits for: `waits: battery`.
    pub reason: Option<Text<'m>>,
    /// The version that began it, in a word: `0x00090002`.
    pub updated_by: Option<Text<'m>>,
}

impl<'m> Details<'m> {
    pub(super) fn of(object: Object<'m>) -> Result<Self, Reason> {
        Ok(Self {
            receive: text(object, "receive")?,
            self_test: text(object, "self_test")?,
            reason: text(object, "reason")?,
            updated_by: text(object, "updatedBy")?,
        })
    }

    pub(super) fn write(&self, to: &mut Writer<'_>) {
        to.key("statusDetails").begin("{");
        to.member("receive", self.receive).member("self_test", self.self_test);
        to.member("reason", self.reason).member("updatedBy", self.updated_by);
        to.end("}");
    }

    /// The version that began it, as a word.
    pub fn began(&self) -> Option<u32> {
        let digits = self.updated_by?.plain()?.strip_prefix("0x")?;
        u32::from_str_radix(digits, 16).ok()
    }
}

/// A device's report: `jobs/J/update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update<'m> {
    /// How the job stands.
    pub status: Status,
    /// The version of the job's state that the device believes in.
    pub expected_version: Option<u32>,
    /// What else there is to tell.
    pub details: Option<Details<'m>>,
    /// Is told back.
    pub token: Option<Text<'m>>,
}

impl<'m> Update<'m> {
    /// Reads a report.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(bytes: &'m [u8]) -> Result<Self, Reason> {
        let report = parse(bytes)?;
        let status = text(report, "status")?.ok_or(Reason::Missing("status"))?;
        Ok(Self {
            status: Status::of(status).ok_or(Reason::BadValue("status"))?,
            expected_version: number(report, "expectedVersion")?,
            details: object(report, "statusDetails")?.map(Details::of).transpose()?,
            token: text(report, "clientToken")?,
        })
    }

    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut to = Writer::new(buffer);
        to.begin("{").member("status", Some(Text::new(self.status.name())));
        if let Some(version) = self.expected_version {
            to.key("expectedVersion").raw("\"").number(version).raw("\"");
        }
        if let Some(details) = &self.details {
            details.write(&mut to);
        }
        to.member("clientToken", self.token).end("}");
        to.finish()
    }
}

/// When something happened to a job, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// It was made.
    pub queued: Option<u32>,
    /// The device has begun it.
    pub started: Option<u32>,
    /// Something was last said about it.
    pub last_updated: Option<u32>,
}

/// A job as the server tells of it: `notify-next`, and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution<'m> {
    /// The job's id.
    pub job: Text<'m>,
    /// How it stands.
    pub status: Status,
    /// When what happened.
    pub times: Times,
    /// Grows with every report.
    pub version: Option<u32>,
    /// Which attempt of the device at the job it is.
    pub number: Option<u32>,
    /// What was reported last.
    pub details: Details<'m>,
    /// The job's document.
    pub document: Option<Object<'m>>,
}

/// The next job, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextJob<'m> {
    /// When it was said, in seconds since 1970.
    pub timestamp: Option<u32>,
    /// What the question said.
    pub token: Option<Text<'m>>,
    /// The job.
    pub execution: Option<Execution<'m>>,
}

impl<'m> NextJob<'m> {
    /// Reads what the server tells.
    ///
    /// # Errors
    /// If it is not of that kind.
    pub fn decode(bytes: &'m [u8]) -> Result<Self, Reason> {
        let message = parse(bytes)?;
        let token = text(message, "clientToken")?;
        let timestamp = moment(message, "timestamp");
        let execution = object(message, "execution")?;
        let execution = execution.filter(|execution| execution.members().next().is_some());
        let Some(execution) = execution else {
            return Ok(Self { timestamp, token, execution: None });
        };
        let status = text(execution, "status")?.ok_or(Reason::Missing("status"))?;
        let details = object(execution, "statusDetails")?.map(Details::of).transpose()?;
        let job = text(execution, "jobId")?.ok_or(Reason::Missing("jobId"))?;
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        // It becomes a part of topics.
        if job.len() > LONGEST_JOB_ID {
            return Err(Reason::TooLong("jobId"));
        }
        if job.is_empty() || !job.chars().all(named) {
            return Err(Reason::BadValue("jobId"));
        }
        let execution = Execution {
            job,
            status: Status::of(status).ok_or(Reason::BadValue("status"))?,
            times: Times {
                queued: moment(execution, "queuedAt"),
                started: moment(execution, "startedAt"),
                last_updated: moment(execution, "lastUpdatedAt"),
            },
            version: number(execution, "versionNumber")?,
            number: moment(execution, "executionNumber"),
            details: details.unwrap_or_default(),
            document: object(execution, "jobDocument")?,
        };
        Ok(Self { timestamp, token, execution: Some(execution) })
    }

    /// Writes it, with `job` for the document; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, job: Option<&OtaJob<'_>>, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut to = Writer::new(buffer);
        to.begin("{");
        optional(&mut to, "timestamp", self.timestamp);
        to.member("clientToken", self.token);
        // Where there is no job, answers leave it out; notices, which have no token, say so.
        if self.execution.is_none() && self.token.is_some() {
            to.end("}");
            return to.finish();
        }
        to.key("execution").begin("{");
        if let Some(execution) = &self.execution {
            to.member("jobId", Some(execution.job));
            to.member("status", Some(Text::new(execution.status.name())));
            for (key, value) in [
                ("queuedAt", execution.times.queued),
                ("startedAt", execution.times.started),
                ("lastUpdatedAt", execution.times.last_updated),
                ("versionNumber", execution.version),
                ("executionNumber", execution.number),
            ] {
                optional(&mut to, key, value);
            }
            if execution.details != Details::default() {
                execution.details.write(&mut to);
            }
            if let Some(job) = job {
                to.key("jobDocument");
                job.write(&mut to);
            }
        }
        to.end("}").end("}");
        to.finish()
    }
}

/// What is to be downloaded: the only one of the document's `files`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct File<'m> {
    /// Its name on the device.
    pub path: Option<Text<'m>>,
    /// Its bytes.
    pub size: u32,
    /// Its number in the stream.
    pub id: u8,
    /// Name of the certificate that its signature is checked with.
    pub certificate: Option<Text<'m>>,
    /// ECDSA over its SHA-256, in DER and base64.
    pub signature: Option<Text<'m>>,
    /// Where it can be had over HTTP.
    pub url: Option<Text<'m>>,
    /// How the server there wants to be asked.
    pub auth_scheme: Option<Text<'m>>,
    /// 0: firmware of this device.
    pub kind: u32,
}

/// The document of an update: `{"afr_ota":…}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtaJob<'m> {
    /// It can be had from a stream.
    pub mqtt: bool,
    /// It can be had over HTTP.
    pub http: bool,
    /// The stream.
    pub stream: Option<Text<'m>>,
    /// The file.
    pub file: File<'m>,
}

const SIGNATURE: &str = "sig-sha256-ecdsa";
/// What other signatures are called, of which none can be checked here.
const OTHER_SIGNATURES: [&str; 3] = ["sig-sha256-rsa", "sig-sha1-rsa", "sig-sha1-ecdsa"];
/// Bytes of the longest name of a job.
const LONGEST_JOB_ID: usize = 64;
/// Bytes of the longest name of a stream.
const LONGEST_STREAM: usize = 44;
/// Bytes of the longest address.
const LONGEST_URL: usize = 1500;
/// Bytes of the longest signature, decoded.
pub(crate) const LONGEST_SIGNATURE: usize = 384;

/// The name of the first signature that is not of our kind.
fn other_signature(file: Object<'_>) -> Option<&'static str> {
    let mut keys = file.members().map(|(key, _)| key);
    let other = keys.find(|key| {
        let mut start = key.chars();
        "sig-".chars().all(|c| start.next() == Some(c)) && !key.is(SIGNATURE)
    })?;
    Some(OTHER_SIGNATURES.into_iter().find(|known| other.is(known)).unwrap_or("sig-…"))
}

impl<'m> OtaJob<'m> {
    /// Reads a document.
    ///
    /// # Errors
    /// If it is no update's, or something is missing or makes no sense.
    pub fn of(document: Object<'m>) -> Result<Self, Reason> {
        let ota = object(document, "afr_ota")?.ok_or(Reason::Missing("afr_ota"))?;
        let protocols = ota.member("protocols")?.ok_or(Reason::Missing("protocols"))?;
        let protocols = protocols.array().ok_or(Reason::WrongType("protocols"))?;
        let has = |name: &str| {
            protocols.values().any(|it| it.text().is_some_and(|protocol| protocol.is(name)))
        };
        let files = ota.member("files")?.ok_or(Reason::Missing("files"))?;
        let files = files.array().ok_or(Reason::WrongType("files"))?;
        let mut files = files.values();
        let file = files.next().ok_or(Reason::Missing("files"))?;
        let file = file.object().ok_or(Reason::WrongType("files"))?;
        // To tell of success with one of them would be untrue.
        if files.next().is_some() {
            return Err(Reason::Repeated("files"));
        }
        let size = number(file, "filesize")?.ok_or(Reason::Missing("filesize"))?;
        let id = number(file, "fileid")?.ok_or(Reason::Missing("fileid"))?;
        let url = text(file, "update_data_url")?;
        if url.is_some_and(|url| url.len() > LONGEST_URL) {
            return Err(Reason::TooLong("update_data_url"));
        }
        let signature = text(file, SIGNATURE)?;
        match (signature, other_signature(file)) {
            (None, Some(other)) => return Err(Reason::SignatureKind(other)),
            (Some(signature), _) if signature.len() > LONGEST_SIGNATURE.div_ceil(3) * 4 => {
                return Err(Reason::TooLong(SIGNATURE));
            }
            _ => {}
        }
        let mqtt = has("MQTT");
        let job = Self {
            mqtt,
            // Where there is a stream, it does without an address.
            http: has("HTTP") && (url.is_some() || !mqtt),
            stream: text(ota, "streamname")?,
            file: File {
                path: text(file, "filepath")?,
                size,
                id: u8::try_from(id).map_err(|_| Reason::BadValue("fileid"))?,
                certificate: text(file, "certfile")?,
                signature,
                url,
                auth_scheme: text(file, "auth_scheme")?,
                kind: number(file, "fileType")?.unwrap_or(0),
            },
        };
        if job.file.size == 0 {
            return Err(Reason::BadValue("filesize"));
        }
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        match job.stream {
            None if job.mqtt => return Err(Reason::Missing("streamname")),
            Some(name) if name.len() > LONGEST_STREAM => return Err(Reason::TooLong("streamname")),
            Some(name) if !name.chars().all(named) => return Err(Reason::BadValue("streamname")),
            _ => {}
        }
        if job.http && job.file.url.is_none() {
            return Err(Reason::Missing("update_data_url"));
        }
        if !job.mqtt && !job.http {
            return Err(Reason::BadValue("protocols"));
        }
        Ok(job)
    }

    /// The signature's bytes, decoded into `buffer`.
    ///
    /// # Errors
    /// If it is no base64, or too long.
    pub fn signature<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Reason> {
        let Some(signature) = self.file.signature else { return Ok(None) };
        let len = base64::decode(signature.chars(), buffer);
        let len = len.ok_or(Reason::BadValue(SIGNATURE))?;
        Ok(buffer.get(..len))
    }

    fn write(&self, to: &mut Writer<'_>) {
        to.begin("{").key("afr_ota").begin("{").key("protocols").begin("[");
        for (name, has) in [("MQTT", self.mqtt), ("HTTP", self.http)] {
            if has {
                to.item().text(Text::new(name));
            }
        }
        to.end("]").member("streamname", self.stream).key("files").begin("[").begin("{");
        let File { path, size, id, certificate, signature, url, auth_scheme, kind } = self.file;
        to.member("filepath", path).key("filesize").number(size).key("fileid").number(id.into());
        to.member("certfile", certificate).member(SIGNATURE, signature);
        to.member("update_data_url", url).member("auth_scheme", auth_scheme);
        if kind != 0 {
            to.key("fileType").number(kind);
        }
        to.end("}").end("]").end("}").end("}");
    }
}
