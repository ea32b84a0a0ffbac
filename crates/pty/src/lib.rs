//! A serial line made of a pseudo-terminal. Whoever plays the device holds this end of it; clients
//! open the other one like any serial port.

#![cfg(unix)]

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::io::{Errno, read, write};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};

/// How long a client may leave its end unread before what lies there is thrown away.
const PATIENCE: Duration = Duration::from_millis(50);

/// A line. One thread may send while another one receives.
#[derive(Debug)]
pub struct Pty {
    device: OwnedFd,
    /// Kept open, so that the line stays as it is when a client leaves.
    client: OwnedFd,
    path: PathBuf,
    link: Option<PathBuf>,
}

impl Pty {
    /// A new line.
    ///
    /// # Errors
    /// If the system has no pseudo-terminal to give.
    pub fn open() -> Result<Self> {
        // A program that is started meanwhile must not keep the line from ending.
        let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&device)?;
        unlockpt(&device)?;
        let path = ptsname(&device, Vec::new())?;
        let client = open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        // A terminal would echo, and translate what is no text.
        let mut settings = tcgetattr(&client)?;
        settings.make_raw();
        tcsetattr(&client, OptionalActions::Now, &settings)?;
        fcntl_setfl(&device, OFlags::RDWR | OFlags::NONBLOCK)?;
        let path = path.into_string().map_err(|_| Error::other("a terminal without a name"))?;
        Ok(Self { device, client, path: path.into(), link: None })
    }

    /// The same line with a symbolic link to the client's end, which goes when the line does.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] if the path is taken by anything but a symbolic link, which a
    /// device may have left that was killed; or if the link cannot be made.
    pub fn linked(mut self, link: &Path) -> Result<Self> {
        match std::fs::symlink_metadata(link) {
            Ok(found) if found.is_symlink() => std::fs::remove_file(link)?,
            Ok(_) => return Err(ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
        std::os::unix::fs::symlink(&self.path, link)?;
        self.link = Some(link.to_owned());
        Ok(self)
    }

    /// The path that clients open.
    pub fn path(&self) -> &Path {
        self.link.as_deref().unwrap_or(&self.path)
    }

    /// Waits until something has come, at most for `timeout`; says whether it has.
    ///
    /// # Errors
    /// If the system cannot wait for it.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        ready(&self.device, PollFlags::IN, timeout)
    }

    /// What has come; nothing if nothing has.
    ///
    /// # Errors
    /// If the line is gone.
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
        match read(&self.device, &mut *buffer) {
            Ok(len) => Ok(buffer.get(..len).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => Ok(&[]),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends bytes. A line has no room for what nobody reads: that is lost, the oldest first.
    pub fn send(&self, mut bytes: &[u8]) {
        let mut flushed = false;
        while !bytes.is_empty() {
            match write(&self.device, bytes) {
                Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if ready(&self.device, PollFlags::OUT, PATIENCE).unwrap_or(false) {
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
}

impl AsFd for Pty {
    /// The device's end, to be waited for beside others.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let _ = std::fs::remove_file(link);
        }
    }
}

fn ready(fd: &OwnedFd, what: PollFlags, timeout: Duration) -> Result<bool> {
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(fd, what)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    fn client(pty: &Pty) -> File {
        File::options().read(true).write(true).open(pty.path()).unwrap()
    }

    #[test]
    fn bytes_pass_as_they_are_both_ways() {
        let pty = Pty::open().unwrap();
        let mut client = client(&pty);
        let every: Vec<u8> = (0..=255).collect();
        assert!(!pty.wait(Duration::ZERO).unwrap());
        client.write_all(&every).unwrap();
        assert!(pty.wait(Duration::from_secs(5)).unwrap());
        let mut buffer = [0; 512];
        assert_eq!(pty.receive(&mut buffer).unwrap(), every);
        pty.send(&every);
        let mut back = [0; 256];
        client.read_exact(&mut back).unwrap();
        assert_eq!(back[..], every);
        assert!(pty.receive(&mut buffer).unwrap().is_empty(), "nothing is echoed");
    }

    #[test]
    fn a_client_that_leaves_and_one_that_does_not_read_stop_nobody() {
        let pty = Pty::open().unwrap();
        drop(client(&pty));
        assert!(pty.receive(&mut [0; 16]).unwrap().is_empty());
        for _ in 0..200 {
            pty.send("x".repeat(100).as_bytes());
        }
        pty.send(b"the last line");
        let mut client = client(&pty);
        let mut held = vec![0; 8192];
        let len = client.read(&mut held).unwrap();
        assert!(len > 0);
    }

    #[test]
    fn a_link_leads_to_the_line_and_goes_with_it() {
        let link = std::env::temp_dir().join(format!("updraft-pty-{}", std::process::id()));
        let pty = Pty::open().unwrap().linked(&link).unwrap();
        assert_eq!(pty.path(), link);
        let mut client = client(&pty);
        client.write_all(b"hello").unwrap();
        assert_eq!(pty.receive(&mut [0; 16]).unwrap(), b"hello");
        drop(pty);
        assert!(std::fs::symlink_metadata(&link).is_err());
        std::fs::write(&link, b"somebody's file").unwrap();
        let taken = Pty::open().unwrap().linked(&link).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        std::fs::remove_file(&link).unwrap();
    }
}
