//! Virtual devices on this machine: their socket, their serial line, their radio, their clock, and a
//! look at their slots; and boards that QEMU plays.

use std::net::SocketAddr;
use std::path::Path;

use updraft_board::Board;

#[cfg_attr(not(unix), path = "no_emulator.rs")]
mod emulator;
mod host;
mod radio;
#[cfg_attr(not(unix), path = "no_serial.rs")]
mod serial;
mod slots;

pub use emulator::Emulator;
pub use host::{Host, Remote};
pub use radio::Radio;
pub use serial::Serial;
pub use slots::{Detail, SlotView, draw, slots};

/// A board for QEMU to play.
#[derive(Clone, Copy, Debug)]
pub struct Emulation<'a> {
    /// The board.
    pub board: &'a Board,
    /// The folder that has one with its programs.
    pub firmware: &'a Path,
    /// Where its flash is kept; nowhere without.
    pub flash: Option<&'a Path>,
    /// Where a symbolic link leads to its serial line.
    pub serial: Option<&'a Path>,
    /// Where on this computer it answers SMP over UDP, if it has a network.
    pub network: Option<SocketAddr>,
}
