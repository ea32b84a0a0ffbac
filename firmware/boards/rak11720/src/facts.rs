//! What the board file says, and the key.

use firmware_board::Facts;
use updraft_image::PublicKey;

/// The constants of the board file.
pub mod board {
    include!(concat!(env!("OUT_DIR"), "/board.rs"));
}

include!(concat!(env!("OUT_DIR"), "/key.rs"));

pub const FACTS: Facts = firmware_board::facts!(board);
pub static DEVICES: [updraft_flash::Geometry<'static>; 1] = board::DEVICES;
