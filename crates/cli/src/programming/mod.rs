//! What a programmer writes to a new device: bootloader, applications, factory image, each where
//! the board has it.
//!
//! ```text
//! bootloader.elf ─┐
//! app.signed.bin ─┼─▶ Contents ─ checked ─▶ [Part: area, address, bytes] ─▶ one file, or commands
//! factory.hex ────┘
//! ```

mod commands;
mod parts;

pub use commands::{Tool, commands};
pub use parts::{Contents, Part};
