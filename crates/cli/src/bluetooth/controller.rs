//! Where a Bluetooth controller is.

use std::fmt;
use std::net::TcpStream;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serial2::{FlowControl, SerialPort, Settings};

use super::Hci;
use crate::report::Hint;

/// What `hci_uart` firmware uses where nothing else is said.
const BAUD: u32 = 1_000_000;

/// A controller that speaks HCI, framed as on a UART (H4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Controller {
    /// Behind a TCP port, such as a virtual one.
    Tcp(String),
    /// A dongle on a serial port, with hardware flow control.
    Uart {
        /// The port.
        path: PathBuf,
        /// Bits per second.
        baud: u32,
    },
}

/// Text that names no controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoController(String);

impl fmt::Display for NoController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(f, "`{text}` is neither hci-tcp:HOST:PORT nor hci-uart:PORT[@BAUD]")
    }
}

impl std::error::Error for NoController {}

impl FromStr for Controller {
    type Err = NoController;

    fn from_str(text: &str) -> Result<Self, NoController> {
        let refused = || NoController(text.to_owned());
        match text.split_once(':') {
            Some(("hci-tcp", address)) if address.contains(':') => Ok(Self::Tcp(address.into())),
            Some(("hci-uart", port)) if !port.is_empty() => {
                let (path, baud) = match port.rsplit_once('@') {
                    Some((path, baud)) => (path, baud.parse().map_err(|_| refused())?),
                    None => (port, BAUD),
                };
                Ok(Self::Uart { path: path.into(), baud })
            }
            _ => Err(refused()),
        }
    }
}

impl TryFrom<String> for Controller {
    type Error = NoController;

    fn try_from(text: String) -> Result<Self, NoController> {
        text.parse()
    }
}

impl From<Controller> for String {
    fn from(controller: Controller) -> Self {
        controller.to_string()
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "hci-tcp:{address}"),
            Self::Uart { path, baud } => write!(f, "hci-uart:{}@{baud}", path.display()),
        }
    }
}

impl Controller {
    /// Opens it.
    pub fn open(&self) -> anyhow::Result<Hci> {
        self.connect().with_context(|| format!("the controller {self} cannot be reached")).hint(
            "is it there, and free? hci-tcp:HOST:PORT and hci-uart:PORT[@BAUD] are controllers that \
             speak HCI (H4)",
        )
    }

    fn connect(&self) -> std::io::Result<Hci> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Hci::GLANCE))?;
                Ok(Hci::new(stream.try_clone()?, stream))
            }
            Self::Uart { path, baud } => {
                let mut port = SerialPort::open(path, |mut settings: Settings| {
                    settings.set_raw();
                    settings.set_baud_rate(*baud)?;
                    settings.set_flow_control(FlowControl::RtsCts);
                    Ok(settings)
                })?;
                port.set_read_timeout(Hci::GLANCE)?;
                Ok(Hci::new(port.try_clone()?, port))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_are_named_by_what_leads_to_them() {
        let uart = |baud| Controller::Uart { path: "/dev/ttyACM0".into(), baud };
        for (text, controller) in [
            ("hci-tcp:127.0.0.1:9641", Controller::Tcp("127.0.0.1:9641".into())),
            ("hci-tcp:[::1]:9641", Controller::Tcp("[::1]:9641".into())),
            ("hci-uart:/dev/ttyACM0@115200", uart(115_200)),
        ] {
            assert_eq!(text.parse(), Ok(controller.clone()));
            assert_eq!(controller.to_string(), text);
        }
        assert_eq!("hci-uart:/dev/ttyACM0".parse(), Ok(uart(BAUD)));
        for text in ["", "hci0", "hci-tcp:9641", "hci-uart:", "hci-uart:/dev/x@fast", "usb:0"] {
            assert!(text.parse::<Controller>().is_err(), "{text}");
        }
    }
}
