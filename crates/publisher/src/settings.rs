//! How a publisher is set up.

use std::time::Duration;

use updraft_ota::Retry;
use updraft_ota::infineon::Prefix;

/// To whom a job is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offers {
    /// To who runs something older.
    Newer,
    /// To everybody, as the original does: devices know themselves what they take.
    Always,
}

/// How a publisher is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The broker.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What topics begin with, such as `OTAUpdate`.
    pub prefix: String,
    /// The board in topics.
    pub board: String,
    /// Bytes of a chunk.
    pub chunk: u16,
    /// From one chunk to the next of the same device.
    pub pause: Duration,
    /// To whom a job is offered.
    pub offers: Offers,
    /// After so long without a word a device counts as silent.
    pub patience: Duration,
    /// Between tries to connect; after the last one it is tried ever again after the longest wait.
    pub again: Retry,
    /// Devices at once. Who is not being sent an image gives way to others, who asked longest ago
    /// first.
    pub most: usize,
}

impl Settings {
    /// As the original: chunks of 4,096 bytes. Without a pause, for a broker that holds a queue for
    /// each device; 20 minutes until a device counts as silent; 50,000 devices.
    pub fn new(host: impl Into<String>, port: u16, board: impl Into<String>) -> Self {
        let seconds = Duration::from_secs;
        Self {
            host: host.into(),
            port,
            prefix: Prefix::OtaUpdate.text().into(),
            board: board.into(),
            chunk: 4096,
            pause: Duration::ZERO,
            offers: Offers::Newer,
            patience: seconds(20 * 60),
            again: Retry { first: seconds(1), longest: seconds(60), tries: 8 },
            most: 50_000,
        }
    }
}
