//! Boards in QEMU, on systems that it is not reached on: there are none.

use std::net::SocketAddr;
use std::sync::mpsc::Receiver;

use anyhow::anyhow;
use updraft_board::Area;

use super::Emulation;
use crate::output::Output;

/// Never made.
pub enum Emulator {}

impl Emulator {
    /// Fails.
    pub fn new(_: &Emulation<'_>, _: &Output) -> anyhow::Result<Self> {
        Err(anyhow!("this system has no sockets to reach QEMU by: leave --qemu out"))
    }

    /// Not called.
    pub fn is_new(&self) -> bool {
        match *self {}
    }

    /// Not called.
    pub fn load(&self, _: &Area, _: &[u8]) -> anyhow::Result<()> {
        match *self {}
    }

    /// Not called.
    pub fn run(self, _: Option<SocketAddr>, _: &Receiver<String>) -> anyhow::Result<()> {
        match self {}
    }
}
