//! Looking for devices. Each way to reach one has a file that knows where to look.

mod ble;
mod serial;
mod udp;

use std::time::Duration;

use serde::Serialize;
use updraft_smp::client::Patience;

use super::{Framed, Link, Session};
use crate::bluetooth::Controller;

/// A way to reach devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Serial ports.
    Serial,
    /// UDP, over IPv4 and IPv6.
    Udp,
    /// Bluetooth LE.
    Ble,
}

/// Where to look, and for how long.
#[derive(Clone, Debug)]
pub struct Look {
    /// Ports, hosts and networks; none means everywhere.
    pub places: Vec<String>,
    /// How long a device may take to answer.
    pub wait: Duration,
    /// Bits per second on serial lines.
    pub baud: u32,
    /// How messages are told from each other on serial lines, if only that is to be tried.
    pub framing: Option<Framed>,
    /// The Bluetooth controller to listen with, if not the system's.
    pub controller: Option<Controller>,
}

/// What was found at a place.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The way that leads there.
    pub way: Way,
    /// The options that reach it.
    pub options: String,
    /// What answers there.
    pub device: Option<Facts>,
    /// Why nothing does.
    pub remark: Option<String>,
}

/// What a device says of itself; what it does not tell is left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Facts {
    /// Its name.
    pub name: Option<String>,
    /// Its board.
    pub board: Option<String>,
    /// The version that runs.
    pub version: Option<String>,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Serial, Self::Udp, Self::Ble];

    /// The way that a place is reached.
    pub fn to(place: &str) -> Self {
        match serial::is_port(place) {
            true => Self::Serial,
            false => Self::Udp,
        }
    }

    /// Looks for devices; `tell` hears of every place as soon as it is known.
    pub fn scan(self, look: &Look, tell: &(dyn Fn(Found) + Sync)) -> anyhow::Result<()> {
        match self {
            Self::Serial => serial::scan(look, tell),
            Self::Udp => udp::scan(look, tell),
            Self::Ble => ble::scan(look, tell),
        }
    }
}

/// What answers at the other end of a link; `None` if nothing does.
fn introduce(link: Box<dyn Link>, wait: Duration) -> Option<Facts> {
    let timeout = (wait / 2).max(Duration::from_millis(20));
    let patience = Patience { timeout, longest: timeout, retries: 1 };
    let mut session = Session::new(link, patience);
    // Everybody answers this, if only with a refusal.
    session.params().ok()?;
    let running = session.images().ok().and_then(|images| {
        let active = images.into_iter().find(|image| image.active && image.image == 0);
        active.map(|image| image.version)
    });
    let board = session.platform().ok().flatten();
    let name = session.info("n").ok().filter(|name| name != "unknown");
    Some(Facts { name, board, version: running })
}
