//! What the description says of the network.
//!
//! ```text
//! server = 10.0.2.2:8883        the broker, by its address
//! tls = mosquitto_server        the name in its certificate; without this line there is no TLS
//! does = update                 update, or echo: sends back whatever the server says
//! ask = 10                      seconds after the start, or `button`
//! prefix = OTAUpdate            what topics begin with
//! wait = battery:5              what lets updates wait for so many seconds after the start: battery,
//!                               network, space or user. It stands for a battery or a user, of which
//!                               these boards have none
//! smp = update                  over UDP, updates too; without this line, only what changes nothing
//! ```

use core::time::Duration;

use smoltcp::wire::Ipv4Address;
use updraft_ota::Gate;
use updraft_smp::server::Access;

use crate::description::lines;

/// When the server is asked for an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    After(Duration),
    /// When the button is pressed.
    AtButton,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Settings<'t> {
    pub server: &'t str,
    pub tls: Option<&'t str>,
    pub echoes: bool,
    pub ask: Ask,
    pub prefix: &'t str,
    /// A gate that is closed, and how long after the start.
    pub wait: Option<(Gate, Duration)>,
    /// What everybody on the network may ask for.
    pub smp: Access<'static>,
}

impl<'t> Settings<'t> {
    pub fn of(text: &'t [u8]) -> Self {
        let mut found = Self {
            server: "10.0.2.2:1883",
            tls: None,
            echoes: false,
            ask: Ask::After(Duration::from_secs(10)),
            prefix: "OTAUpdate",
            wait: None,
            smp: Access::READ_ONLY,
        };
        for (key, value) in lines(text) {
            let Ok(value) = str::from_utf8(value) else { continue };
            match key {
                b"server" => found.server = value,
                b"tls" => found.tls = Some(value),
                b"does" => found.echoes = value == "echo",
                b"ask" if value == "button" => found.ask = Ask::AtButton,
                b"ask" => {
                    let after = value.parse().map(Duration::from_secs).map(Ask::After);
                    found.ask = after.unwrap_or(found.ask);
                }
                b"prefix" => found.prefix = value,
                b"wait" => found.wait = wait(value),
                b"smp" if value == "update" => found.smp = Access::UPDATE_ONLY,
                _ => {}
            }
        }
        found
    }

    /// Address and port of the server.
    pub fn server(&self) -> Option<(Ipv4Address, u16)> {
        let (host, port) = self.server.rsplit_once(':')?;
        Some((host.parse().ok()?, port.parse().ok()?))
    }
}

/// A gate and seconds, as `battery:5`.
fn wait(value: &str) -> Option<(Gate, Duration)> {
    let (name, seconds) = value.split_once(':')?;
    let gate = Gate::ALL.into_iter().find(|gate| gate.name() == name)?;
    Some((gate, Duration::from_secs(seconds.parse().ok()?)))
}
