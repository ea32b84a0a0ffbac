//! The JSON messages.

use core::time::Duration;

use crate::Reason;
use crate::json::{NoRoom, Object, Text, Value, Writer};

fn parse(bytes: &[u8]) -> Result<Object<'_>, Reason> {
    let object = Value::parse(bytes)?.object();
    object.ok_or(Reason::NotJson(crate::json::Malformed { offset: 0 }))
}

/// A member that is there: hawkBit's classes write some that are not as `null`.
fn member<'m>(object: Object<'m>, key: &'static str) -> Result<Option<Value<'m>>, Reason> {
    Ok(object.member(key)?.filter(|value| *value != Value::Null))
}

fn object<'m>(object: Object<'m>, key: &'static str) -> Result<Option<Object<'m>>, Reason> {
    let Some(value) = member(object, key)? else { return Ok(None) };
    value.object().map(Some).ok_or(Reason::WrongType(key))
}

fn text<'m>(object: Object<'m>, key: &'static str) -> Result<Option<Text<'m>>, Reason> {
    let Some(value) = member(object, key)? else { return Ok(None) };
    value.text().map(Some).ok_or(Reason::WrongType(key))
}

fn link<'m>(links: Option<Object<'m>>, key: &'static str) -> Result<Option<Text<'m>>, Reason> {
    let Some(links) = links else { return Ok(None) };
    let Some(link) = object(links, key)? else { return Ok(None) };
    text(link, "href")
}

fn write_link(to: &mut Writer<'_>, key: &str, href: Option<Text<'_>>) {
    if href.is_some() {
        to.key(key).begin("{").member("href", href).end("}");
    }
}

/// The answer to a poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Base<'m> {
    /// When to poll again.
    pub sleep: Option<Duration>,
    /// Where the update is.
    pub deployment: Option<Text<'m>>,
    /// Where it says which update is to be broken off.
    pub cancel: Option<Text<'m>>,
    /// Where the server wants to be told about the device.
    pub config_data: Option<Text<'m>>,
    /// Where an update waits for the device's consent.
    pub confirmation: Option<Text<'m>>,
}

impl<'m> Base<'m> {
    /// Reads it.
    ///
    /// # Errors
    /// If it is no such answer.
    pub fn decode(bytes: &'m [u8]) -> Result<Self, Reason> {
        let base = parse(bytes)?;
        let links = object(base, "_links")?;
        let polling =
            object(base, "config")?.map(|config| object(config, "polling")).transpose()?;
        let sleep = polling.flatten().map(|polling| text(polling, "sleep")).transpose()?.flatten();
        Ok(Self {
            sleep: sleep.map(|sleep| time(sleep).ok_or(Reason::BadValue("sleep"))).transpose()?,
            deployment: link(links, "deploymentBase")?,
            cancel: link(links, "cancelAction")?,
            config_data: link(links, "configData")?,
            confirmation: link(links, "confirmationBase")?,
        })
    }

    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut to = Writer::new(buffer);
        to.begin("{");
        if let Some(sleep) = self.sleep {
            let seconds = u32::try_from(sleep.as_secs()).unwrap_or(u32::MAX);
            let parts = [seconds / 3600, seconds / 60 % 60, seconds % 60];
            to.key("config").begin("{").key("polling").begin("{").key("sleep").raw("\"");
            if seconds < DAY {
                for (number, part) in parts.into_iter().enumerate() {
                    to.raw(if number > 0 { ":" } else { "" });
                    to.raw(if part < 10 { "0" } else { "" }).number(part);
                }
            } else {
                to.raw("PT");
                for (part, unit) in parts.into_iter().zip(["H", "M", "S"]) {
                    to.number(part).raw(unit);
                }
            }
            to.raw("\"").end("}").end("}");
        }
        to.key("_links").begin("{");
        write_link(&mut to, "deploymentBase", self.deployment);
        write_link(&mut to, "cancelAction", self.cancel);
        write_link(&mut to, "configData", self.config_data);
        write_link(&mut to, "confirmationBase", self.confirmation);
        to.end("}").end("}");
        to.finish()
    }
}

/// From here on hawkBit writes times otherwise.
const DAY: u32 = 24 * 3600;

/// `HH:mm:ss`; from a day on hawkBit writes `PT36H30M` (`DurationHelper`).
fn time(text: Text<'_>) -> Option<Duration> {
    let text = text.plain()?;
    let number = |digits: &str| {
        let plain = (1..=9).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
        if plain { digits.parse::<u64>().ok() } else { None }
    };
    let mut seconds = 0u64;
    let Some(iso) = text.strip_prefix('P') else {
        let mut parts = text.split(':').map(|part| number(part).filter(|_| part.len() <= 2));
        let (hours, minutes, last) = (parts.next()??, parts.next()??, parts.next()??);
        let whole = parts.next().is_none() && minutes < 60 && last < 60;
        return whole.then(|| Duration::from_secs(3600 * hours + 60 * minutes + last));
    };
    let (mut rest, mut of_day) = (iso, false);
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix('T').filter(|_| !of_day) {
            (rest, of_day) = (behind, true);
            continue;
        }
        let unit = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, behind) = (rest.get(..unit)?, rest.get(unit + 1..)?);
        let each = match (rest.get(unit..unit + 1)?, of_day) {
            ("D", false) => 24 * 3600,
            ("H", true) => 3600,
            ("M", true) => 60,
            ("S", true) => 1,
            _ => return None,
        };
        // Parts of a second are none.
        let whole = amount.split_once('.').map_or(amount, |(whole, _)| whole);
        seconds = seconds.checked_add(number(whole)?.checked_mul(each)?)?;
        rest = behind;
    }
    (iso.len() > 1).then(|| bounded(seconds)).flatten()
}

/// A time of more than a century is none.
fn bounded(seconds: u64) -> Option<Duration> {
    u32::try_from(seconds).ok().map(|seconds| Duration::from_secs(seconds.into()))
}

/// A file of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Artifact<'m> {
    /// Its name.
    pub name: Option<Text<'m>>,
    /// Its bytes.
    pub size: u32,
    /// Its SHA-256.
    pub sha256: Option<[u8; 32]>,
    /// Where it is.
    pub address: Option<Text<'m>>,
}

/// An update: one part with one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment<'m> {
    /// The action's id.
    pub id: Text<'m>,
    /// It is not to be downloaded now.
    pub waits: bool,
    /// It is not to be installed now: that is to be skipped, or waits for its maintenance window.
    pub rests: bool,
    /// The part's version: free text, which need not be the image's.
    pub version: Option<Text<'m>>,
    /// The file.
    pub artifact: Artifact<'m>,
}

impl<'m> Deployment<'m> {
    /// Reads it.
    ///
    /// # Errors
    /// If something is missing or makes no sense.
    pub fn decode(bytes: &'m [u8]) -> Result<Self, Reason> {
        let all = parse(bytes)?;
        let id = text(all, "id")?.ok_or(Reason::Missing("id"))?;
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if id.is_empty() || !id.chars().all(named) {
            return Err(Reason::BadValue("id"));
        }
        let deployment = object(all, "deployment")?.ok_or(Reason::Missing("deployment"))?;
        let says = |key, what| text(deployment, key).map(|it| it.is_some_and(|it| it.is(what)));
        let chunks = deployment.member("chunks")?.ok_or(Reason::Missing("chunks"))?;
        let chunks = chunks.array().ok_or(Reason::WrongType("chunks"))?;
        let mut chunks = chunks.values();
        let chunk = chunks.next().ok_or(Reason::Missing("chunks"))?;
        // To tell of success with a part of it would be untrue.
        if chunks.next().is_some() {
            return Err(Reason::Repeated("chunks"));
        }
        let chunk = chunk.object().ok_or(Reason::WrongType("chunks"))?;
        let files = chunk.member("artifacts")?.ok_or(Reason::Missing("artifacts"))?;
        let files = files.array().ok_or(Reason::WrongType("artifacts"))?;
        let mut files = files.values();
        let file = files.next().ok_or(Reason::Missing("artifacts"))?;
        if files.next().is_some() {
            return Err(Reason::Repeated("artifacts"));
        }
        let file = file.object().ok_or(Reason::WrongType("artifacts"))?;
        let size = file.member("size")?.ok_or(Reason::Missing("size"))?;
        let size = size.number().ok_or(Reason::WrongType("size"))?;
        if size == 0 {
            return Err(Reason::BadValue("size"));
        }
        let hash = object(file, "hashes")?.map(|hashes| text(hashes, "sha256")).transpose()?;
        let hash = hash.flatten();
        let links = object(file, "_links")?;
        let address = match link(links, "download")? {
            None => link(links, "download-http")?,
            address => address,
        };
        Ok(Self {
            id,
            waits: says("download", "skip")?,
            rests: says("update", "skip")? || says("maintenanceWindow", "unavailable")?,
            version: text(chunk, "version")?,
            artifact: Artifact {
                name: text(file, "filename")?,
                size,
                sha256: hash.map(|hash| hex(hash).ok_or(Reason::BadValue("sha256"))).transpose()?,
                address: Some(address.ok_or(Reason::Missing("download"))?),
            },
        })
    }

    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let how = |skips| Some(Text::new(if skips { "skip" } else { "forced" }));
        let mut to = Writer::new(buffer);
        to.begin("{").member("id", Some(self.id)).key("deployment").begin("{");
        to.member("download", how(self.waits)).member("update", how(self.rests));
        to.key("chunks").begin("[").begin("{").member("part", Some(Text::new("os")));
        to.member("version", self.version).key("artifacts").begin("[").begin("{");
        let Artifact { name, size, sha256, address } = self.artifact;
        to.member("filename", name);
        if let Some(hash) = sha256 {
            to.key("hashes").begin("{").key("sha256").raw("\"").hex(&hash).raw("\"").end("}");
        }
        to.key("size").number(size).key("_links").begin("{");
        write_link(&mut to, "download", address);
        to.end("}").end("}").end("]").end("}").end("]").end("}").end("}");
        to.finish()
    }
}

fn hex(text: Text<'_>) -> Option<[u8; 32]> {
    let digits = text.plain()?;
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// Which update is to be broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancel<'m> {
    /// Id of the cancellation.
    pub id: Text<'m>,
    /// Id of the action that is to stop.
    pub stop: Text<'m>,
}

impl<'m> Cancel<'m> {
    /// Reads it.
    ///
    /// # Errors
    /// If something is missing.
    pub fn decode(bytes: &'m [u8]) -> Result<Self, Reason> {
        let all = parse(bytes)?;
        let cancel = object(all, "cancelAction")?.ok_or(Reason::Missing("cancelAction"))?;
        Ok(Self {
            id: text(all, "id")?.ok_or(Reason::Missing("id"))?,
            stop: text(cancel, "stopId")?.ok_or(Reason::Missing("stopId"))?,
        })
    }

    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut to = Writer::new(buffer);
        to.begin("{").member("id", Some(self.id)).key("cancelAction").begin("{");
        to.member("stopId", Some(self.stop)).end("}").end("}");
        to.finish()
    }
}

/// How an action goes on. hawkBit counts what it does not know better as running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// It does.
    Proceeding,
    /// It is over.
    Closed,
    /// It will not be done.
    Rejected,
    /// It was broken off.
    Canceled,
    /// It is going to be done.
    Scheduled,
    /// It goes on after a reset.
    Resumed,
    /// Its files are being fetched.
    Download,
    /// Its files are there.
    Downloaded,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It has not.
    None,
    /// Well.
    Success,
    /// Badly.
    Failure,
}

const EXECUTIONS: [(Execution, &str); 8] = [
    (Execution::Proceeding, "proceeding"),
    (Execution::Closed, "closed"),
    (Execution::Rejected, "rejected"),
    (Execution::Canceled, "canceled"),
    (Execution::Scheduled, "scheduled"),
    (Execution::Resumed, "resumed"),
    (Execution::Download, "download"),
    (Execution::Downloaded, "downloaded"),
];
const RESULTS: [(Finished, &str); 3] =
    [(Finished::None, "none"), (Finished::Success, "success"), (Finished::Failure, "failure")];

fn name<T: PartialEq + Copy>(of: T, names: &[(T, &'static str)]) -> Option<Text<'static>> {
    names.iter().find(|(it, _)| *it == of).map(|(_, name)| Text::new(name))
}

fn named<T: Copy>(text: Text<'_>, names: &[(T, &'static str)]) -> Option<T> {
    names.iter().find(|(_, name)| text.is(name)).map(|(it, _)| *it)
}

/// What the device tells of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feedback<'m> {
    /// How it goes on.
    pub execution: Execution,
    /// How it ended.
    pub finished: Finished,
    /// Blocks there, and in all.
    pub progress: Option<(u32, u32)>,
    /// In words.
    pub details: Option<Text<'m>>,
}

impl<'m> Feedback<'m> {
    /// Reads it: the server's side.
    ///
    /// # Errors
    /// If something is missing.
    pub fn decode(bytes: &'m [u8]) -> Result<Self, Reason> {
        let status = object(parse(bytes)?, "status")?.ok_or(Reason::Missing("status"))?;
        let execution = text(status, "execution")?.ok_or(Reason::Missing("execution"))?;
        let result = object(status, "result")?.ok_or(Reason::Missing("result"))?;
        let finished = text(result, "finished")?.ok_or(Reason::Missing("finished"))?;
        let progress = object(result, "progress")?;
        let number =
            |object: Object<'_>, key| Ok::<_, Reason>(object.member(key)?.and_then(Value::number));
        let details = status.member("details")?.and_then(Value::array);
        Ok(Self {
            execution: named(execution, &EXECUTIONS).ok_or(Reason::BadValue("execution"))?,
            finished: named(finished, &RESULTS).ok_or(Reason::BadValue("finished"))?,
            // Of how many is left open by some.
            progress: match progress {
                Some(progress) => number(progress, "cnt")?.zip(number(progress, "of")?),
                None => None,
            },
            details: details.and_then(|details| details.values().next()).and_then(Value::text),
        })
    }

    /// Writes it; returns how many bytes.
    ///
    /// # Errors
    /// If there is no room.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, NoRoom> {
        let mut to = Writer::new(buffer);
        to.begin("{").key("status").begin("{");
        to.member("execution", name(self.execution, &EXECUTIONS)).key("result").begin("{");
        to.member("finished", name(self.finished, &RESULTS));
        if let Some((count, of)) = self.progress {
            to.key("progress").begin("{").key("cnt").number(count).key("of").number(of).end("}");
        }
        to.end("}");
        if let Some(details) = self.details {
            to.key("details").begin("[").item().text(details).end("]");
        }
        to.end("}").end("}");
        to.finish()
    }
}
