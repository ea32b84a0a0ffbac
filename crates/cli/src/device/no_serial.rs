//! The serial line of a virtual device, on systems without pseudo-terminals: there is none.

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;

/// Never made.
#[derive(Debug)]
pub enum Serial {}

impl Serial {
    /// Fails.
    pub fn open(_: Option<&Path>) -> anyhow::Result<Self> {
        Err(anyhow!("this system has no pseudo-terminals: leave --serial out"))
    }

    /// Not called.
    pub fn path(&self) -> &Path {
        match *self {}
    }

    /// Not called.
    pub fn wait(&self, _: &UdpSocket, _: Duration) -> anyhow::Result<()> {
        match *self {}
    }

    /// Not called.
    pub fn receive<'b>(&self, _: &'b mut [u8]) -> anyhow::Result<&'b [u8]> {
        match *self {}
    }

    /// Not called.
    pub fn send(&self, _: &[u8]) {
        match *self {}
    }

    /// Not called.
    pub fn print(&self, _: &str) {
        match *self {}
    }
}
