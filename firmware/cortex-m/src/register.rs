//! Registers of the chip's peripherals.

/// A 32-bit register.
#[derive(Clone, Copy, Debug)]
pub struct Register(u32);

impl Register {
    /// The register at `address`.
    ///
    /// # Safety
    /// There has to be one, and neither reading nor writing it may change memory that Rust knows of.
    pub const unsafe fn at(address: u32) -> Self {
        Self(address)
    }

    /// What it holds.
    pub fn read(self) -> u32 {
        // SAFETY: whoever made this said that it is a register.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    /// Writes it.
    pub fn write(self, value: u32) {
        // SAFETY: as above.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}
