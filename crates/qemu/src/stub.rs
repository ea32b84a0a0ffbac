//! QEMU's end of a debugger's line: the remote serial protocol of GDB, as much of it as writing
//! flash, reading memory and resetting take.
//!
//! ```text
//! $ payload # checksum      an acknowledgement '+' and an answer of the same shape come back
//! 0x03                      stops the machine; an answer tells that it has stopped
//! ```

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::{Error, Registers};

/// Bytes of memory in one command: the stub takes 4096 characters.
const PIECE: usize = 1984;
/// Longest wait for an answer, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of all registers in one command: sixteen words, eight numbers of twelve bytes and a word
/// that old processors had for fractions, and the status.
const REGISTERS: usize = 168;
const STATUS: usize = 164;

/// The line to the stub. The machine is stopped when it is made.
#[derive(Debug)]
pub struct Stub {
    stream: UnixStream,
    /// The same, for what comes.
    input: BufReader<UnixStream>,
    running: bool,
    /// It stands before a store that was waited for.
    before_store: bool,
}

impl Stub {
    pub fn new(stream: UnixStream) -> Result<Self, Error> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let input = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, input, running: false, before_store: false })
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
            self.step()?;
        }
        for (address, len) in places {
            self.expect_ok(&format!("Z2,{address:x},{len:x}"))?;
        }
        let there = self.run(patience)?;
        self.before_store = there;
        for (address, len) in places {
            self.expect_ok(&format!("z2,{address:x},{len:x}"))?;
        }
        Ok(there)
    }

    /// Has the machine carry out one instruction, and stand still.
    pub fn step(&mut self) -> Result<(), Error> {
        self.pause()?;
        self.before_store = false;
        self.send("s")?;
        self.stopped()
    }

    /// Lets the machine run until it stops by itself, at a breakpoint or before a store that is
    /// watched, at most for `patience`; says whether it has.
    pub fn run(&mut self, patience: Duration) -> Result<bool, Error> {
        self.resume()?;
        self.stream.set_read_timeout(Some(patience))?;
        let stopped = self.stopped();
        self.stream.set_read_timeout(Some(PATIENCE))?;
        match stopped {
            Ok(()) => {
                self.running = false;
                Ok(true)
            }
            Err(Error::System(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                self.pause()?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Sets a breakpoint or takes it away.
    pub fn set_breakpoint(&mut self, address: u32, there: bool) -> Result<(), Error> {
        let sign = if there { 'Z' } else { 'z' };
        self.expect_ok(&format!("{sign}0,{address:x},2"))
    }

    /// What the processor's registers hold.
    pub fn registers(&mut self) -> Result<Registers, Error> {
        self.send("g")?;
        let answer = self.answer()?;
        let bytes = from_hex(&answer).filter(|bytes| bytes.len() == REGISTERS);
        let bytes = bytes.ok_or_else(|| refused("g", answer))?;
        let word = |at: usize| bytes[at..].first_chunk().copied().map_or(0, u32::from_le_bytes);
        let general = std::array::from_fn(|number| word(4 * number));
        Ok(Registers { general, status: word(STATUS) })
    }

    /// Has the processor go on with these.
    pub fn set_registers(&mut self, registers: &Registers) -> Result<(), Error> {
        let mut bytes = [0; REGISTERS];
        for (place, word) in bytes.chunks_mut(4).zip(registers.general) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[STATUS..].copy_from_slice(&registers.status.to_le_bytes());
        let digits = to_hex(&bytes);
        self.expect_ok(&format!("G{digits}"))
    }

    /// Waits for the word that the machine has stopped.
    fn stopped(&mut self) -> Result<(), Error> {
        let answer = self.answer()?;
        match answer.starts_with(['T', 'S']) {
            true => Ok(()),
            false => Err(refused("stop", answer)),
        }
    }

    /// Stops the machine and does something.
    pub fn standing<R>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.pause()?;
        work(self)
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
            let digits = to_hex(piece);
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
        self.monitor("system_reset")
    }

    /// Has QEMU's monitor carry out a command that has nothing to say.
    pub fn monitor(&mut self, command: &str) -> Result<(), Error> {
        let digits = to_hex(command.as_bytes());
        self.expect_ok(&format!("qRcmd,{digits}"))
    }

    /// Has QEMU's monitor carry out a command; what it says.
    pub fn ask(&mut self, command: &str) -> Result<String, Error> {
        let digits = to_hex(command.as_bytes());
        self.send(&format!("qRcmd,{digits}"))?;
        let mut said = Vec::new();
        loop {
            let answer = self.answer()?;
            if answer == "OK" {
                return Ok(String::from_utf8_lossy(&said).into_owned());
            }
            let piece = answer.strip_prefix('O').and_then(from_hex);
            said.extend(piece.ok_or_else(|| refused(command, answer))?);
        }
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
        self.stream.write_all(format!("${command}#{sum:02x}").as_bytes()).map_err(lost)
    }

    /// The next answer; acknowledgements are passed over.
    fn answer(&mut self) -> Result<String, Error> {
        self.until(b'$')?;
        let payload = self.until(b'#')?;
        let digits = [self.byte()?, self.byte()?];
        let answer = String::from_utf8_lossy(&payload).into_owned();
        let sum = std::str::from_utf8(&digits).ok().and_then(from_hex);
        if sum != Some(vec![checksum(&payload)]) {
            return Err(refused("checksum", answer));
        }
        self.stream.write_all(b"+")?;
        Ok(answer)
    }

    /// What comes in front of the next such byte.
    fn until(&mut self, end: u8) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.input.read_until(end, &mut bytes).map_err(lost)?;
        match bytes.pop() {
            Some(last) if last == end => Ok(bytes),
            _ => Err(lost(ErrorKind::UnexpectedEof.into())),
        }
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let mut byte = [0];
        self.input.read_exact(&mut byte).map_err(lost)?;
        Ok(byte[0])
    }
}

/// A line that nobody is at the other end of any more tells that QEMU has ended.
fn lost(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            Error::Ended("its debugger's line is closed".into())
        }
        _ => error.into(),
    }
}

fn refused(command: &str, answer: String) -> Error {
    Error::Refused { command: command.chars().take(40).collect(), answer }
}

fn checksum(payload: &[u8]) -> u8 {
    payload.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// As hexadecimal digits.
fn to_hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
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
    fn registers_are_read_by_their_place() {
        let mut digits = vec![b'0'; 2 * REGISTERS];
        digits[2 * 15 * 4..][..4].copy_from_slice(b"4601");
        digits[2 * STATUS..][6..].copy_from_slice(b"61");
        let sum = digits.iter().fold(0, |sum: u8, digit| sum.wrapping_add(*digit));
        let answer = format!("+${}#{sum:02x}", String::from_utf8(digits).unwrap());
        let script = vec![("$g#67", &*answer.leak())].leak();
        let registers = conversation(script).registers().unwrap();
        assert_eq!((registers.general[15], registers.status), (0x146, 0x6100_0000));
    }

    #[test]
    fn what_the_monitor_says_comes_in_pieces() {
        let mut stub =
            conversation(&[("$qRcmd,6162#f2", "+$O3132#18"), ("+", "$O33#b5"), ("+", "$OK#9a")]);
        assert_eq!(stub.ask("ab").unwrap(), "123");
    }

    #[test]
    fn what_the_stub_refuses_is_told() {
        let mut stub = conversation(&[("$M0,1:00#74", "+$E14#aa")]);
        let error = stub.write(0, &[0]).unwrap_err().to_string();
        assert!(error.contains("`M0,1:00`: E14"), "{error}");
    }
}
