//! The physics of flash devices.

/// The physics of a device: what a write may do to a cell that was written before, and what a
/// power cut in the middle of an operation leaves behind.
///
/// | kind | a unit that is programmed already | a torn operation leaves |
/// |---|---|---|
/// | NOR | again, as long as no bit moves back | any part of the bits changed, cells that read differently twice |
/// | NOR, limited | the same, so many times between erases | the same |
/// | ECC words | only all bits programmed, never again before an erase | words that cannot be read, besides any part of the bits changed |
/// | self-erasing rows | replaced, whatever was there | the row as it was, erased, as wanted, or between |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// NOR flash: sectors erase to the erased value, programming moves bits one way only, and a
    /// cell may be programmed again as long as it moves no bit back.
    #[default]
    Nor,
    /// The same, but a word takes only so many writes between two erases, changed or not. Example:
    /// nRF52, 2 writes of a 4-byte word.
    NorLimited {
        /// Bytes of a word.
        word: u32,
        /// Writes of a word between two erases.
        programs: u32,
    },
    /// Words of the write size with an error-correcting code beside them, which is written once
    /// with the word. A word that was written cannot be written again before it is erased, not
    /// even if it reads as erased; the one exception is writing it to all bits programmed. A
    /// torn write or erase may leave words whose code does not match: reading them is
    /// [`Fault::Unreadable`](crate::Fault::Unreadable) until they are erased. Example: STM32WL,
    /// 8 bytes.
    EccWords,
    /// Rows of the write size, which a write replaces whatever was there: the device erases the
    /// row by itself. A sector is one row; it can also be erased without being written. Either
    /// wears the row like an erase. Example: PSoC 6, 512 bytes, erased value 0x00.
    SelfErasingRows,
}

impl Kind {
    /// Bytes that [`Kind::programs`] counts for on a device that writes `write_size` bytes at
    /// once.
    pub const fn unit(self, write_size: u32) -> u32 {
        match self {
            Self::NorLimited { word, .. } => word,
            Self::Nor | Self::EccWords | Self::SelfErasingRows => write_size,
        }
    }

    /// How often a unit may be written between two erases; `None` if there is no limit.
    pub const fn programs(self) -> Option<u32> {
        match self {
            Self::Nor | Self::SelfErasingRows => None,
            Self::NorLimited { programs, .. } => Some(programs),
            Self::EccWords => Some(1),
        }
    }

    /// Whether a unit that was written may be written again before it is erased.
    pub const fn can_reprogram(self) -> bool {
        !matches!(self.programs(), Some(0 | 1))
    }

    /// Whether a write replaces what was there, so that nothing has to be erased before it. Such a
    /// write also takes away whatever else stood in its unit, and a torn one may do so without
    /// putting anything in its place.
    pub const fn writes_replace(self) -> bool {
        matches!(self, Self::SelfErasingRows)
    }

    /// Whether a torn operation may leave cells that cannot be read.
    pub const fn can_be_unreadable(self) -> bool {
        matches!(self, Self::EccWords)
    }

    /// Whether a torn operation may leave cells that read differently from time to time.
    pub const fn can_be_unstable(self) -> bool {
        !self.can_be_unreadable()
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn boot_code_can_ask_what_a_write_may_do() {
        let limited = Kind::NorLimited { word: 4, programs: 2 };
        let once = Kind::NorLimited { word: 4, programs: 1 };
        for (kind, unit, programs, again, replaces) in [
            (Kind::Nor, 8, None, true, false),
            (limited, 4, Some(2), true, false),
            (once, 4, Some(1), false, false),
            (Kind::EccWords, 8, Some(1), false, false),
            (Kind::SelfErasingRows, 8, None, true, true),
        ] {
            assert_eq!((kind.unit(8), kind.programs()), (unit, programs), "{kind:?}");
            assert_eq!((kind.can_reprogram(), kind.writes_replace()), (again, replaces));
            assert_eq!(kind.can_be_unreadable(), kind == Kind::EccWords);
            assert_eq!(kind.can_be_unstable(), kind != Kind::EccWords);
        }
    }
}
