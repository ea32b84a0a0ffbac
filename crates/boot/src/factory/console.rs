//! What the console says in the course of a boot with a factory image. The lines that users of the
//! original know are worded as there, so that what they have scripted goes on working.

use core::fmt;

use updraft_image::text::{self, Hex};
use updraft_image::{Describe, Text};

/// A line for the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Line {
    /// The bootloader runs.
    Started,
    /// There is an image to start.
    Validated,
    /// The button asks for a rollback.
    ButtonDetected,
    /// A rollback begins although there is an image to start.
    RollbackAtStartup,
    /// The image is started.
    Starting,
    /// There is no image to start.
    NoUpgrade,
    /// The same.
    NoValidImage,
    /// What to do about that.
    Prompt,
    /// The button was released on the prompt.
    Initiating,
    /// A rollback that a power cut interrupted goes on.
    Resuming,
    /// The factory image is verified where it lies.
    Checking,
    /// It may run.
    ValidMagic,
    /// The primary slot is erased.
    Erasing,
    /// The factory image is copied.
    Transferring,
    /// That takes a while.
    Wait,
    /// It has been.
    Copied,
    /// The copy may run.
    FactoryValidated,
    /// The factory image cannot be read.
    MagicUnreadable,
    /// There is no factory image, but these four bytes.
    InvalidMagic(u32),
    /// The factory image may not run, or its copy may not. Where the original says so, it has erased
    /// the application.
    ValidationFailed,
    /// The primary slot cannot be erased.
    EraseFailed,
    /// The factory image cannot be read from here on.
    ReadFailed(u32),
    /// The primary slot cannot be written from here on.
    WriteFailed(u32),
    /// The factory image is not copied.
    TransferFailed,
    /// There was no rollback.
    CannotRollBack,
}

impl Describe for Line {
    fn describe(&self, to: &mut Text<'_>) {
        let words = match self {
            Self::InvalidMagic(found) => {
                return to.fill("Invalid image magic {} !", &[&Hex(*found, 8)]);
            }
            Self::ReadFailed(at) => {
                return to.fill("failed to read factory app @ offset {}", &[&Hex(*at, 1)]);
            }
            Self::WriteFailed(at) => {
                return to.fill("failed to write primary slot @ offset {}", &[&Hex(*at, 1)]);
            }
            Self::Started => "MCUboot Bootloader Started",
            Self::Validated => "Application validated successfully !",
            Self::ButtonDetected => "Detected user button event",
            Self::RollbackAtStartup => "Rollback initiated at startup",
            Self::Starting => "Starting Application on CM4. Please wait...",
            Self::NoUpgrade => "No Upgrade available !",
            Self::NoValidImage => "No valid image found in primary slot !",
            Self::Prompt => "Press and release user button to initiate Rollback",
            Self::Initiating => "Initiating the Rollback...",
            Self::Resuming => "Resuming an interrupted Rollback...",
            Self::Checking => "Verifying 'factory app' in place",
            Self::ValidMagic => "Valid image magic found",
            Self::Erasing => "Erasing primary slot. Please wait for a while...",
            Self::Transferring => "Transferring 'factory app' to 'primary slot'",
            Self::Wait => "Please wait for a while...",
            Self::MagicUnreadable => "Failed to read 'factory app' magic from external memory",
            Self::ValidationFailed => "factory app validation failed",
            Self::EraseFailed => "Failed to erase Primary Slot !",
            Self::TransferFailed => "factory app transfer failed !",
            Self::Copied => "factory app copied to primary slot successfully",
            Self::FactoryValidated => "factory app validated successfully",
            Self::CannotRollBack => "Can't Rollback",
        };
        to.say(words);
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::display(self, f)
    }
}
