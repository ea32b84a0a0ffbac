//! The serial line of a virtual device: a pseudo-terminal. The device holds its one end, clients
//! open the other like any serial port.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};

use crate::report::Hint;

/// How long a client may leave its end unread before what lies there is thrown away.
const PATIENCE: Duration = Duration::from_millis(50);

/// A pseudo-terminal.
#[derive(Debug)]
pub struct Serial {
    device: File,
    /// Kept open, so that the line stays as it is when a client leaves.
    client: OwnedFd,
    path: PathBuf,
    link: Option<PathBuf>,
}

impl Serial {
    /// A new line; with a path there will be a symbolic link to the client's end.
    pub fn open(link: Option<&Path>) -> anyhow::Result<Self> {
        let pair = || -> rustix::io::Result<_> {
            let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
            grantpt(&device)?;
            unlockpt(&device)?;
            let path = ptsname(&device, Vec::new())?;
            let client = open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
            // A terminal would echo, and translate what is no text.
            let mut settings = tcgetattr(&client)?;
            settings.make_raw();
            tcsetattr(&client, OptionalActions::Now, &settings)?;
            fcntl_setfl(&device, OFlags::RDWR | OFlags::NONBLOCK)?;
            Ok((device, client, path))
        };
        let (device, client, path) = pair().context("no pseudo-terminal could be opened")?;
        let path = PathBuf::from(path.into_string().context("a terminal without a name")?);
        let mut serial = Self { device: device.into(), client, path, link: None };
        if let Some(link) = link {
            serial.link_from(link)?;
        }
        Ok(serial)
    }

    fn link_from(&mut self, link: &Path) -> anyhow::Result<()> {
        // What a device left that was killed; anything else is not ours to replace.
        match std::fs::symlink_metadata(link) {
            Ok(found) if found.is_symlink() => std::fs::remove_file(link)?,
            Ok(_) => {
                return Err(anyhow!("{} is there already", link.display()))
                    .hint("give a path that is free, or --serial auto");
            }
            Err(_) => {}
        }
        std::os::unix::fs::symlink(&self.path, link)
            .with_context(|| format!("{} cannot be made", link.display()))?;
        self.link = Some(link.to_owned());
        Ok(())
    }

    /// The path that clients open.
    pub fn path(&self) -> &Path {
        self.link.as_deref().unwrap_or(&self.path)
    }

    /// Waits until something has come over the line or to `socket`, at most for `timeout`.
    pub fn wait(&self, socket: &UdpSocket, timeout: Duration) -> anyhow::Result<()> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let watched = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        use std::os::fd::AsFd;
        match poll(&mut [watched(self.device.as_fd()), watched(socket.as_fd())], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("the serial line failed"),
        }
    }

    /// What has come.
    pub fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> anyhow::Result<&'b [u8]> {
        match self.device.read(buffer) {
            Ok(len) => Ok(buffer.get(..len).unwrap_or_default()),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Ok(&[])
            }
            Err(error) => Err(error).context("the serial line failed"),
        }
    }

    /// Sends bytes. A line has no room for what nobody reads: that is lost, the oldest first.
    pub fn send(&mut self, mut bytes: &[u8]) {
        let mut flushed = false;
        while !bytes.is_empty() {
            match self.device.write(bytes) {
                Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.has_room_soon() {
                        continue;
                    }
                    // Once is enough for all that is sent at a time.
                    if flushed || tcflush(&self.client, QueueSelector::IFlush).is_err() {
                        return;
                    }
                    flushed = true;
                }
                Err(_) => return,
            }
        }
    }

    fn has_room_soon(&self) -> bool {
        let patience = Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
        let mut watched = [PollFd::new(&self.device, PollFlags::OUT)];
        poll(&mut watched, Some(&patience)).is_ok_and(|ready| ready > 0)
    }

    /// Sends a line of text.
    pub fn print(&mut self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes());
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let _ = std::fs::remove_file(link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(serial: &Serial) -> File {
        File::options().read(true).write(true).open(serial.path()).unwrap()
    }

    #[test]
    fn bytes_pass_as_they_are_both_ways() {
        let mut serial = Serial::open(None).unwrap();
        let mut client = client(&serial);
        let every: Vec<u8> = (0..=255).collect();
        client.write_all(&every).unwrap();
        let mut buffer = [0; 512];
        assert_eq!(serial.receive(&mut buffer).unwrap(), every);
        serial.send(&every);
        let mut back = [0; 256];
        client.read_exact(&mut back).unwrap();
        assert_eq!(back[..], every);
        assert!(serial.receive(&mut buffer).unwrap().is_empty(), "nothing is echoed");
    }

    #[test]
    fn a_client_that_leaves_and_one_that_does_not_read_stop_nobody() {
        let mut serial = Serial::open(None).unwrap();
        drop(client(&serial));
        assert!(serial.receive(&mut [0; 16]).unwrap().is_empty());
        for _ in 0..200 {
            serial.print(&"x".repeat(100));
        }
        serial.print("the last line");
        let mut client = client(&serial);
        let mut held = vec![0; 8192];
        let len = client.read(&mut held).unwrap();
        assert!(len > 0);
    }

    #[test]
    fn a_link_leads_to_the_line_and_goes_with_it() {
        let name = format!("updraft-serial-{}", std::process::id());
        let link = std::env::temp_dir().join(name);
        let mut serial = Serial::open(Some(&link)).unwrap();
        assert_eq!(serial.path(), link);
        let mut client = client(&serial);
        client.write_all(b"hello").unwrap();
        assert_eq!(serial.receive(&mut [0; 16]).unwrap(), b"hello");
        drop(serial);
        assert!(std::fs::symlink_metadata(&link).is_err());
        std::fs::write(&link, b"somebody's file").unwrap();
        assert!(Serial::open(Some(&link)).is_err());
        std::fs::remove_file(&link).unwrap();
    }
}
