//! QEMU's end of a debugger's line: the remote serial protocol of GDB, as much of it as writing
//! flash, reading memory and resetting take.
//!
//! ```text
//! $ payload # checksum      an acknowledgement '+' and an answer of the same shape come back
//! 0x03                      stops the machine; an answer tells that it has stopped
//! ```

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::Error;

/// Bytes of memory in one command: the stub takes 4096 characters.
const PIECE: usize = 1024;
/// Longest wait for an answer, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// The line to the stub. The machine is stopped when it is made.
#[derive(Debug)]
pub struct Stub {
    stream: UnixStream,
    running: bool,
    /// It stands before a store that was waited for.
    before_store: bool,
}

impl Stub {
    pub fn new(stream: UnixStream) -> Result<Self, Error> {
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, running: false, before_store: false })
    }

    /// Lets the machine run.
    pub fn resume(&mut self) -> Result<(), Error> {
        if !self.running {
            self.send("c")?;
            (self.running, self.before_store) = (true, false);
        }
        Ok(())
    }

    /// Stops the machine between two instructions.
    pub fn pause(&mut self) -> Result<(), Error> {
        if self.running {
            self.stream.write_all(&[3])?;
            self.stopped()?;
            self.running = false;
        }
        Ok(())
    }

    /// Lets the machine run until it is about to write to one of these places (address, bytes), at
    /// most for `patience`; says whether it is. Where it stood before such a write, it makes that.
    pub fn run_to_store(
        &mut self,
        places: &[(u32, u32)],
        patience: Duration,
    ) -> Result<bool, Error> {
        self.pause()?;
        if self.before_store {
            self.send("s")?;
            self.stopped()?;
        }
        for (address, len) in places {
            self.expect_ok(&format!("Z2,{address:x},{len:x}"))?;
        }
        self.resume()?;
        self.stream.set_read_timeout(Some(patience))?;
        let stopped = self.stopped();
        self.stream.set_read_timeout(Some(PATIENCE))?;
        let there = match stopped {
            Ok(()) => {
                (self.running, self.before_store) = (false, true);
                true
            }
            Err(Error::System(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                self.pause()?;
                false
            }
            Err(error) => return Err(error),
        };
        for (address, len) in places {
            self.expect_ok(&format!("z2,{address:x},{len:x}"))?;
        }
        Ok(there)
    }

    /// Waits for the word that the machine has stopped.
    fn stopped(&mut self) -> Result<(), Error> {
        let answer = self.answer()?;
        match answer.starts_with(['T', 'S']) {
            true => Ok(()),
            false => Err(refused("stop", answer)),
        }
    }

    /// Does something while the machine stands still.
    pub fn at_rest<R>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let running = self.running;
        self.pause()?;
        let outcome = work(self)?;
        if running {
            self.resume()?;
        }
        Ok(outcome)
    }

    /// Writes memory; read-only memory and flash take it as well.
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Error> {
        for (at, piece) in (address..).step_by(PIECE).zip(bytes.chunks(PIECE)) {
            let digits: String = piece.iter().map(|byte| format!("{byte:02x}")).collect();
            self.expect_ok(&format!("M{at:x},{:x}:{digits}", piece.len()))?;
        }
        Ok(())
    }

    /// Reads memory.
    pub fn read(&mut self, address: u32, len: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let piece = PIECE.min(len - bytes.len());
            let command = format!("m{:x},{piece:x}", address as usize + bytes.len());
            self.send(&command)?;
            let answer = self.answer()?;
            match from_hex(&answer) {
                Some(read) if read.len() == piece => bytes.extend(read),
                _ => return Err(refused(&command, answer)),
            }
        }
        Ok(bytes)
    }

    /// Resets the machine as its reset line would.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.before_store = false;
        let digits: String = "system_reset".bytes().map(|byte| format!("{byte:02x}")).collect();
        self.expect_ok(&format!("qRcmd,{digits}"))
    }

    fn expect_ok(&mut self, command: &str) -> Result<(), Error> {
        self.send(command)?;
        match self.answer()? {
            answer if answer == "OK" => Ok(()),
            answer => Err(refused(command, answer)),
        }
    }

    fn send(&mut self, command: &str) -> Result<(), Error> {
        let sum = checksum(command.as_bytes());
        Ok(self.stream.write_all(format!("${command}#{sum:02x}").as_bytes())?)
    }

    /// The next answer; acknowledgements are passed over.
    fn answer(&mut self) -> Result<String, Error> {
        while self.byte()? != b'$' {}
        let mut payload = Vec::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => payload.push(byte),
            }
        }
        let digits = [self.byte()?, self.byte()?];
        let answer = String::from_utf8_lossy(&payload).into_owned();
        let sum = std::str::from_utf8(&digits).ok().and_then(from_hex);
        if sum != Some(vec![checksum(&payload)]) {
            return Err(refused("checksum", answer));
        }
        self.stream.write_all(b"+")?;
        Ok(answer)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let mut byte = [0];
        match self.stream.read_exact(&mut byte) {
            Ok(()) => Ok(byte[0]),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(Error::Ended("its debugger's line is closed".into()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn refused(command: &str, answer: String) -> Error {
    Error::Refused { command: command.chars().take(40).collect(), answer }
}

fn checksum(payload: &[u8]) -> u8 {
    payload.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stub of a stub: checks what is sent, and sends what it is told.
    fn conversation(script: &'static [(&str, &str)]) -> Stub {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            for (expected, answer) in script {
                let mut sent = vec![0; expected.len()];
                theirs.read_exact(&mut sent).unwrap();
                assert_eq!(String::from_utf8_lossy(&sent), *expected);
                theirs.write_all(answer.as_bytes()).unwrap();
            }
            // The last answer is acknowledged.
            let _ = theirs.read(&mut [0]);
        });
        Stub::new(ours).unwrap()
    }

    #[test]
    fn memory_is_written_and_read_in_checked_packets() {
        let mut stub =
            conversation(&[("$M8000,2:0a0b#d0", "+$OK#9a"), ("+$m8000,2#93", "+$0a0b#24")]);
        stub.write(0x8000, &[10, 11]).unwrap();
        assert!(matches!(stub.read(0x8000, 2), Err(Error::Refused { .. })), "a wrong checksum");
    }

    #[test]
    fn what_the_stub_refuses_is_told() {
        let mut stub = conversation(&[("$M0,1:00#74", "+$E14#aa")]);
        let error = stub.write(0, &[0]).unwrap_err().to_string();
        assert!(error.contains("`M0,1:00`: E14"), "{error}");
    }
}
