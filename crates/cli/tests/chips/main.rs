//! The programs of `firmware/` on emulated chips: what a user of the board does, what a power cut
//! does, and what the chip's own flash holds in the end.
//!
//! `cargo xtask qemu --test` builds the programs and runs this.
#![cfg(unix)]

mod air;
mod bad_input;
mod bench;
mod cost;
mod cuts;
mod factory;
mod glitch;
mod golden;
mod impostors;
mod launch;
mod network;
mod publisher;
mod recordings;
mod recovery;
mod spi;
mod story;
