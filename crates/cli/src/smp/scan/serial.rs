//! Devices on serial ports.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use serial2::SerialPort;

use super::{Found, Look, Way, introduce};
use crate::report::Hint;
use crate::smp::{Framed, Serial};

/// Whether a place is a serial port and no host: a path, or what Windows calls ports.
pub(super) fn is_port(place: &str) -> bool {
    let is_com = |digits: &str| digits.parse::<u32>().is_ok();
    Path::new(place).is_absolute() || place.strip_prefix("COM").is_some_and(is_com)
}

/// Asks at every port, all at the same time.
pub(super) fn scan(look: &Look, tell: &(dyn Fn(Found) + Sync)) -> anyhow::Result<()> {
    let ports: Vec<PathBuf> = match look.places.as_slice() {
        [] => SerialPort::available_ports()
            .context("the serial ports of this computer cannot be listed")
            .hint("name those to ask at: updraft smp scan /dev/ttyACM0")?,
        places => places.iter().map(PathBuf::from).collect(),
    };
    thread::scope(|scope| {
        for port in &ports {
            scope.spawn(move || tell(ask(port, look)));
        }
    });
    Ok(())
}

/// Bare messages first: a console takes them for a line of rubbish, while the beginning of a line
/// would keep a receiver of bare messages waiting for seconds.
fn ask(port: &Path, look: &Look) -> Found {
    let place = port.display();
    let mut found = Found {
        way: Way::Serial,
        options: format!("--serial {place}"),
        device: None,
        remark: None,
    };
    let both = [Framed::Raw, Framed::Console];
    for framing in both.into_iter().filter(|framing| look.framing.is_none_or(|f| f == *framing)) {
        match Serial::open(port, look.baud, framing) {
            Ok(serial) => found.device = introduce(Box::new(serial), look.wait),
            Err(error) => {
                found.remark = Some(format!("{error:#}"));
                return found;
            }
        }
        if found.device.is_some() {
            if framing == Framed::Raw {
                found.options += " --framing raw";
            }
            return found;
        }
    }
    found.remark = Some(format!("no answer at {} bits per second", look.baud));
    found
}
