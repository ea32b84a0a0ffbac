//! Emulated microcontrollers: a [`Machine`] is a QEMU process with its serial lines and what a debugger
//! can do to it. It ends when it is dropped. [`Emulated`] is a board of `boards/` on such a machine, with
//! its programs and the flash that outlives its power; [`MODELS`] has a row for each family of boards.
//!
//! ```text
//!              ┌── UART 0, 1, … ── Line ── pseudo-terminal ── any SMP client
//! qemu-system  │                    └───── what was printed, to wait for
//!              ├── debugger's stub ─ read, write, pause, reset
//!              └── pins ─ buttons
//! ```
//!
//! Flash is programmed through the debugger's stub, once, before the first instruction. What QEMU
//! itself loads (`-kernel`, `-device loader`) it loads again at every reset, over whatever the
//! machine has written there since: an update would silently be undone.
//!
//! ```no_run
//! use std::time::Duration;
//! use updraft_qemu::Setup;
//!
//! # fn main() -> Result<(), updraft_qemu::Error> {
//! let bootloader = std::fs::read("bootloader.bin").unwrap();
//! let machine = Setup::new("microbit").program(0, bootloader).start()?;
//! machine.line(0).wait("starting", Duration::from_secs(10))?;
//! println!("updraft smp --serial {} os echo hello", machine.line(0).path().display());
//! let flash = machine.read(0, 256 * 1024)?;
//! # Ok(()) }
//! ```

#![cfg(unix)]

mod emulated;
mod line;
mod machine;
mod models;
mod pins;
mod stub;

use std::path::PathBuf;

pub use emulated::{Emulated, Powered};
pub use line::Line;
pub use machine::{Machine, Setup};
pub use models::{MODELS, Model};

/// The registers of a processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// R0 to R15: 13 is the stack pointer, 14 the link register, 15 the program counter.
    pub general: [u32; 16],
    /// The status, `xPSR` of a Cortex-M.
    pub status: u32,
}

impl Registers {
    /// Where the next instruction is.
    pub fn pc(&self) -> u32 {
        self.general[15]
    }
}

/// Why a machine does not do as it is told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// QEMU cannot be started.
    #[error("qemu-system-arm cannot be started: {0}; Debian has it in the package qemu-system-arm")]
    Missing(std::io::Error),
    /// QEMU has no machine for the board.
    #[error("QEMU has no machine for {0}, but for {known} and their variants", known = known())]
    NoMachine(String),
    /// Nobody has built the board's programs.
    #[error("no firmware for {board}: {} is not there", path.display())]
    NoProgram {
        /// The board.
        board: String,
        /// The first that is missing.
        path: PathBuf,
    },
    /// A file cannot be the flash of the board.
    #[error("{} cannot be the flash: {source}", path.display())]
    Flash {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// QEMU has ended.
    #[error("QEMU has ended: {0}")]
    Ended(String),
    /// The system refused something that the machine needs.
    #[error("the machine's surroundings failed: {0}")]
    System(#[from] std::io::Error),
    /// The debugger's stub refused a command.
    #[error("QEMU's debugger refuses `{command}`: {answer}")]
    Refused {
        /// The command, or its beginning.
        command: String,
        /// What came instead of what was expected.
        answer: String,
    },
    /// A text was not printed in time.
    #[error("no `{text}` on the line within {patience:?}; printed since:\n{printed}")]
    Silent {
        /// What was waited for.
        text: String,
        /// How long.
        patience: std::time::Duration,
        /// What was printed instead.
        printed: String,
    },
}

/// The families of boards, to be told.
fn known() -> String {
    MODELS.iter().map(|model| model.board).collect::<Vec<_>>().join(", ")
}
