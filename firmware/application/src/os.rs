//! What the operating-system group tells.

use firmware_board::Facts;
use updraft_smp::server::{BootloaderInfo, Buffers, InfoField, Os};

/// The board behind the group.
#[derive(Clone, Copy, Debug)]
pub struct Platform {
    facts: &'static Facts,
    buffer: u32,
}

impl Platform {
    /// A board whose server has buffers of this size.
    pub const fn new(facts: &'static Facts, buffer: u32) -> Self {
        Self { facts, buffer }
    }
}

impl Os for Platform {
    fn buffers(&self) -> Buffers {
        // One for requests. What comes while it is worked on waits on the line.
        Buffers { size: self.buffer, count: 1 }
    }

    fn info(&self, field: InfoField) -> Option<&str> {
        match field {
            InfoField::Kernel => Some("Updraft"),
            InfoField::Version => Some(env!("CARGO_PKG_VERSION")),
            InfoField::Platform => Some(self.facts.name),
            _ => None,
        }
    }

    fn bootloader(&self) -> Option<BootloaderInfo<'_>> {
        let mode = self.facts.trailers.mode;
        let no_downgrade = self.facts.refuse_lower_versions || self.facts.refuse_lower_counters;
        Some(BootloaderInfo { name: "MCUboot", mode: mode as i32, no_downgrade })
    }
}
