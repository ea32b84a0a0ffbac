//! The chip's pins, as something outside of it drives them: QEMU's own test protocol.
//!
//! ```text
//! set_irq_in PATH NAME PIN LEVEL\n      OK\n comes back
//! ```

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use crate::Error;

/// The line to QEMU's pins.
#[derive(Debug)]
pub struct Pins(BufReader<UnixStream>);

impl Pins {
    pub fn new(stream: UnixStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// Drives an input of the device at `path`.
    pub fn set(&mut self, path: &str, pin: u32, high: bool) -> Result<(), Error> {
        let command = format!("set_irq_in {path} unnamed-gpio-in {pin} {}", u8::from(high));
        self.0.get_mut().write_all(format!("{command}\n").as_bytes())?;
        let mut answer = String::new();
        self.0.read_line(&mut answer)?;
        match answer.trim() {
            "OK" => Ok(()),
            "" => Err(Error::Ended("the line to its pins is closed".into())),
            other => Err(Error::Refused { command, answer: other.into() }),
        }
    }
}
