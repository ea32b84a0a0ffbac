//! How the device is set up.

use core::time::Duration;

use crate::infineon::{Prefix, Spelling};
use crate::io::Endpoint;
use crate::json::Text;
use crate::timer::Retry;

/// Free texts that the device tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity<'c> {
    /// Manufacturer.
    pub manufacturer: &'c str,
    /// Its short name.
    pub manufacturer_id: &'c str,
    /// Product.
    pub product: &'c str,
    /// Serial number.
    pub serial_number: &'c str,
}

/// Where updates come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// From where a job says.
    Job,
    /// From the server at once, without a job; no result is told.
    Direct,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// From the start to the first question for a job.
    pub first_check: Duration,
    /// From one session to the next.
    pub next_check: Duration,
    /// For a connection.
    pub connect: Duration,
    /// Between tries to connect.
    pub connect_again: Retry,
    /// For a job; then there is none.
    pub job: Duration,
    /// Between two chunks, or for a part of a file.
    pub gap: Duration,
    /// Times that a chunk or part is asked for again.
    pub silences: u8,
    /// For the whole download.
    pub download: Duration,
    /// Between sessions that failed for a reason that may pass.
    pub session_again: Retry,
    /// For the acknowledgement of the result.
    pub result: Duration,
    /// From the end of the session to the reset.
    pub reset: Duration,
}

impl Default for Timers {
    /// As the original's shipped configuration, except: connections are tried again after 5 s and
    /// ever longer up to 5 min, 6 times; a chunk is waited for 10 s, 5 times; sessions are repeated
    /// after 1 min and ever longer up to 1 h, twice; and 10 s are enough for an acknowledgement.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            first_check: seconds(10),
            next_check: seconds(24 * 3600),
            connect: seconds(30),
            connect_again: Retry { first: seconds(5), longest: seconds(300), tries: 6 },
            job: seconds(30),
            gap: seconds(10),
            silences: 5,
            download: seconds(20 * 60),
            session_again: Retry { first: seconds(60), longest: seconds(3600), tries: 3 },
            result: seconds(10),
            reset: seconds(1),
        }
    }
}

/// How the device is set up.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'c> {
    /// What topics begin with.
    pub prefix: Prefix<'c>,
    /// How keys are spelled.
    pub spelling: Spelling,
    /// What the device tells of itself.
    pub identity: Identity<'c>,
    /// The server that jobs come from, or in the direct flow the image.
    pub server: Endpoint<'c>,
    /// With HTTP: the job document, or in the direct flow the image.
    pub file: Text<'c>,
    /// Where updates come from.
    pub flow: Flow,
    /// Asks for each chunk by itself from the beginning.
    pub piecewise: bool,
    /// Tells the server how it went.
    pub sends_result: bool,
    /// What the device is called in topics of its own, `P/B/<device>/OTAImage/<n>`: brokers can keep
    /// devices apart by that. `None` for the original's, `P/B/OTAImage/<n>`, in which only the
    /// session's number is different.
    pub device: Option<&'c str>,
    /// A number that differs from boot to boot, and without `device` also from device to device: it
    /// makes the session's topic.
    pub session: u16,
    /// How long is waited for what.
    pub timers: Timers,
}

impl<'c> Settings<'c> {
    /// The job flow with `server`, topics under `OTAUpdate`, the job at `/ota_update.json`.
    pub fn new(server: Endpoint<'c>) -> Self {
        Self {
            prefix: Prefix::OtaUpdate,
            spelling: Spelling::Device,
            identity: Identity::default(),
            server,
            file: Text::new("/ota_update.json"),
            flow: Flow::Job,
            piecewise: false,
            sends_result: true,
            device: None,
            session: 0,
            timers: Timers::default(),
        }
    }
}
