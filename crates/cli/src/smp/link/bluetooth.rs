//! Bluetooth, in whichever way this computer has it.

use std::time::Duration;

use serde::Serialize;

use super::{Ble, Link, Peer};
use crate::bluetooth::{BondFile, Controller};
use crate::smp::Profiles;

/// What reaches Bluetooth devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bluetooth {
    /// A controller of one's own.
    Controller(Controller),
    /// The system's.
    #[cfg(feature = "btleplug")]
    System,
}

/// A device that was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Heard {
    /// Its address.
    pub address: String,
    /// Its name, if it tells.
    pub name: Option<String>,
    /// Whether it says that it serves SMP.
    pub smp: bool,
    /// How strong it was heard last, in dBm.
    pub rssi: i8,
}

impl Heard {
    /// Whether it is called so, or is at this address.
    pub fn is(&self, device: &str) -> bool {
        self.name.as_deref() == Some(device) || self.address.eq_ignore_ascii_case(device)
    }
}

impl Bluetooth {
    /// The controller that is named; without one the system's, in builds that know it.
    pub fn of(controller: Option<&Controller>) -> anyhow::Result<Self> {
        match controller {
            Some(controller) => Ok(Self::Controller(controller.clone())),
            None => Self::system(),
        }
    }

    #[cfg(feature = "btleplug")]
    fn system() -> anyhow::Result<Self> {
        Ok(Self::System)
    }

    #[cfg(not(feature = "btleplug"))]
    fn system() -> anyhow::Result<Self> {
        use crate::report::Hint;
        Err(anyhow::anyhow!("no Bluetooth controller is named")).usage(
            "--controller hci-tcp:HOST:PORT or --controller hci-uart:/dev/ttyACM0, or the same in \
             UPDRAFT_CONTROLLER; for the system's own, build with --features btleplug",
        )
    }

    /// A link to a device.
    pub fn connect(&self, peer: Peer) -> anyhow::Result<Box<dyn Link>> {
        match self {
            Self::Controller(controller) => {
                let bonds = BondFile::load(&Profiles::bonds()?)?;
                Ok(Box::new(Ble::connect(controller, peer, bonds)?))
            }
            #[cfg(feature = "btleplug")]
            Self::System => Ok(Box::new(super::System::connect(&peer)?)),
        }
    }

    /// The devices that advertise within `patience`.
    pub fn heard(&self, patience: Duration) -> anyhow::Result<Vec<Heard>> {
        match self {
            Self::Controller(controller) => super::ble::heard(controller, patience),
            #[cfg(feature = "btleplug")]
            Self::System => super::System::heard(patience),
        }
    }

    /// The options that name it.
    pub fn options(&self) -> String {
        match self {
            Self::Controller(controller) => format!(" --controller {controller}"),
            #[cfg(feature = "btleplug")]
            Self::System => String::new(),
        }
    }
}
