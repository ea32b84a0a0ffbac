//! Links: what carries messages to a device.

mod ble;
mod bluetooth;
mod serial;
#[cfg(feature = "btleplug")]
mod system;
mod udp;

use std::time::Duration;

use updraft_smp::client;

pub use ble::{Ble, Peer};
pub use bluetooth::{Bluetooth, Heard};
pub use serial::{Framed, Serial};
#[cfg(feature = "btleplug")]
use system::System;
pub use udp::Udp;
pub(super) use udp::{UDP_PORT, resolve};

/// Carries whole messages.
pub trait Link {
    /// What kind of link it is, for the limits of messages.
    fn kind(&self) -> client::Link;

    /// Sends a message. A device that is away is no error: nothing will come back.
    fn send(&mut self, message: &[u8]) -> anyhow::Result<()>;

    /// Waits for a packet until `timeout` has passed. `None`: nothing came.
    fn receive(&mut self, timeout: Duration) -> anyhow::Result<Option<&[u8]>>;

    /// Takes the link up anew, where a device that was reset is found again only so.
    fn reopen(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// What has come beside messages since the last call; `None` on links that carry nothing else.
    fn take_text(&mut self) -> Option<Vec<u8>> {
        None
    }
}

impl Link for Box<dyn Link> {
    fn kind(&self) -> client::Link {
        (**self).kind()
    }

    fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        (**self).send(message)
    }

    fn receive(&mut self, timeout: Duration) -> anyhow::Result<Option<&[u8]>> {
        (**self).receive(timeout)
    }

    fn reopen(&mut self) -> anyhow::Result<()> {
        (**self).reopen()
    }

    fn take_text(&mut self) -> Option<Vec<u8>> {
        (**self).take_text()
    }
}
