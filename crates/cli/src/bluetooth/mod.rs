//! Bluetooth LE on the desk: a controller that speaks HCI, the bonds of this computer, and a place
//! for both to run. The stack itself is `trouble_host`, as on the device.

mod bonds;
mod controller;
mod executor;
mod hci;

pub use bonds::BondFile;
pub use controller::Controller;
pub use executor::block_on;
pub use hci::{Hci, HciError};
