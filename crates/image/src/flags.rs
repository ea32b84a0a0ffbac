//! Header flags.

use core::fmt;
use core::ops::{BitAnd, BitOr};

use crate::text::{self, Hex};
use crate::{Describe, Text};

/// The flag word of the header. Unassigned bits are kept and ignored.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u32);

impl Flags {
    /// Position-independent code. Carried, never acted upon.
    pub const PIC: Self = Self(0x001);
    /// The body is encrypted with AES-128-CTR.
    pub const ENCRYPTED_AES128: Self = Self(0x004);
    /// The body is encrypted with AES-256-CTR.
    pub const ENCRYPTED_AES256: Self = Self(0x008);
    /// Not to be booted, nor upgraded to.
    pub const NON_BOOTABLE: Self = Self(0x010);
    /// To be copied to `load_addr` in RAM.
    pub const RAM_LOAD: Self = Self(0x020);
    /// Runs only from the flash address `load_addr`.
    pub const ROM_FIXED: Self = Self(0x100);
    /// The body is compressed with LZMA1.
    pub const COMPRESSED_LZMA1: Self = Self(0x200);
    /// The body is compressed with LZMA2.
    pub const COMPRESSED_LZMA2: Self = Self(0x400);
    /// The body went through the ARM-Thumb filter before it was compressed.
    pub const COMPRESSED_ARM_THUMB: Self = Self(0x800);

    /// Either encryption flag.
    pub const ENCRYPTED: Self = Self(0x00c);
    /// Any compression flag.
    pub const COMPRESSED: Self = Self(0xe00);

    /// Names of the assigned bits, in bit order.
    pub const NAMES: [(Self, &'static str); 9] = [
        (Self::PIC, "PIC"),
        (Self::ENCRYPTED_AES128, "ENCRYPTED_AES128"),
        (Self::ENCRYPTED_AES256, "ENCRYPTED_AES256"),
        (Self::NON_BOOTABLE, "NON_BOOTABLE"),
        (Self::RAM_LOAD, "RAM_LOAD"),
        (Self::ROM_FIXED, "ROM_FIXED"),
        (Self::COMPRESSED_LZMA1, "COMPRESSED_LZMA1"),
        (Self::COMPRESSED_LZMA2, "COMPRESSED_LZMA2"),
        (Self::COMPRESSED_ARM_THUMB, "COMPRESSED_ARM_THUMB"),
    ];

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Without the bits of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether any bit of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitAnd for Flags {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#x})", self.0)
    }
}

/// The names of the set bits joined by ` | `, or `0`. A chip, which has no room for the names, says
/// the number.
impl Describe for Flags {
    fn describe(&self, to: &mut Text<'_>) {
        if cfg!(target_os = "none") {
            return Hex(self.0, 1).describe(to);
        }
        let mut left = self.0;
        let mut separator = "";
        for (flag, name) in Self::NAMES {
            if self.contains(flag) {
                to.say(separator);
                to.say(name);
                separator = " | ";
                left &= !flag.0;
            }
        }
        if left != 0 || self.0 == 0 {
            to.say(separator);
            Hex(left, 1).describe(to);
        }
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}
