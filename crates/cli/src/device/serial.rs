//! The serial line of a virtual device.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use updraft_pty::Pty;

use crate::report::Hint;

/// A pseudo-terminal.
#[derive(Debug)]
pub struct Serial(Pty);

impl Serial {
    /// A new line; with a path there will be a symbolic link to the client's end.
    pub fn open(link: Option<&Path>) -> anyhow::Result<Self> {
        let pty = Pty::open().context("no pseudo-terminal could be opened")?;
        let Some(link) = link else { return Ok(Self(pty)) };
        match pty.linked(link) {
            Ok(pty) => Ok(Self(pty)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(anyhow!("{} is there already", link.display()))
                    .hint("give a path that is free, or --serial auto")
            }
            Err(error) => Err(error).with_context(|| format!("{} cannot be made", link.display())),
        }
    }

    /// The path that clients open.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The line itself.
    pub fn into_pty(self) -> Pty {
        self.0
    }

    /// Waits until something has come over the line or to `socket`, at most for `timeout`.
    pub fn wait(&self, socket: &UdpSocket, timeout: Duration) -> anyhow::Result<()> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let watched =
            &mut [PollFd::new(&self.0, PollFlags::IN), PollFd::new(socket, PollFlags::IN)];
        match poll(watched, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("the serial line failed"),
        }
    }

    /// What has come.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> anyhow::Result<&'b [u8]> {
        self.0.receive(buffer).context("the serial line failed")
    }

    /// Sends bytes. A line has no room for what nobody reads: that is lost, the oldest first.
    pub fn send(&self, bytes: &[u8]) {
        self.0.send(bytes);
    }

    /// Sends a line of text.
    pub fn print(&self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes());
    }
}
