//! The two error models: generic return codes, and codes of a group with their translation for
//! clients of version 1.
//!
//! Source: Zephyr documentation, "SMP Protocol Specification" (return codes), and the group error
//! enumerations of its MCUmgr headers.

use core::fmt;

/// A generic return code (`rc`), known to every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rc(pub u32);

impl Rc {
    /// No error.
    pub const OK: Self = Self(0);
    /// Unknown error.
    pub const UNKNOWN: Self = Self(1);
    /// No memory or buffer.
    pub const NO_MEMORY: Self = Self(2);
    /// The payload cannot be decoded, or an argument is missing or of the wrong type.
    pub const INVALID: Self = Self(3);
    /// A timeout on the device.
    pub const TIMEOUT: Self = Self(4);
    /// No such entry.
    pub const NO_ENTRY: Self = Self(5);
    /// Not possible in the current state.
    pub const BAD_STATE: Self = Self(6);
    /// The answer would not fit the server's buffer.
    pub const MESSAGE_SIZE: Self = Self(7);
    /// No such group, command or direction.
    pub const NOT_SUPPORTED: Self = Self(8);
    /// The length field is larger than what arrived.
    pub const CORRUPT: Self = Self(9);
    /// Busy; try again later.
    pub const BUSY: Self = Self(10);
    /// Refused by the application.
    pub const ACCESS_DENIED: Self = Self(11);
    /// The protocol version is too old for this server.
    pub const TOO_OLD: Self = Self(12);
    /// The protocol version is too new for this server.
    pub const TOO_NEW: Self = Self(13);
    /// The first of the codes that an application may define.
    pub const FIRST_USER: Self = Self(256);

    /// What the code means, in a few words.
    pub const fn text(self) -> &'static str {
        match self.0 {
            0 => "no error",
            1 => "unknown error",
            2 => "no memory for the request or its answer",
            3 => "the request could not be decoded, or an argument is missing or wrong",
            4 => "timeout on the device",
            5 => "no such entry",
            6 => "not possible in the device's current state",
            7 => "the answer does not fit the device's buffer",
            8 => "the device does not support this command",
            9 => "the request arrived cut short",
            10 => "the device is busy",
            11 => "refused by the device's application",
            12 => "the device wants SMP version 2",
            13 => "the device does not know this SMP version",
            256.. => "application-defined error",
            _ => "error code without a name",
        }
    }
}

impl fmt::Display for Rc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rc {})", self.text(), self.0)
    }
}

/// An error code of a group, with what version 1 is told instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupError {
    /// The group whose enumeration the code is from.
    pub group: u16,
    /// The code.
    pub rc: u32,
    /// The generic code for a version 1 client.
    pub v1: Rc,
}

macro_rules! group_codes {
    (
        $(#[$outer:meta])* $name:ident of $group:path;
        $($(#[$doc:meta])* $variant:ident = $rc:literal => $v1:ident;)+
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant = $rc,)+
        }

        impl $name {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code on the wire.
            pub const fn rc(self) -> u32 {
                self as u32
            }

            /// The code that `rc` stands for.
            pub const fn from_rc(rc: u32) -> Option<Self> {
                match rc {
                    $($rc => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// What a version 1 client is told.
            pub const fn v1(self) -> Rc {
                match self {
                    $(Self::$variant => Rc::$v1,)+
                }
            }
        }

        impl From<$name> for GroupError {
            fn from(error: $name) -> Self {
                Self { group: $group, rc: error.rc(), v1: error.v1() }
            }
        }
    };
}

group_codes! {
    /// Error codes of the operating-system group.
    OsError of crate::group::OS;
    /// Unknown error.
    Unknown = 1 => UNKNOWN;
    /// The information format holds an unknown letter.
    InvalidFormat = 2 => INVALID;
    /// The bootloader knows no answer to the query.
    QueryYieldsNoAnswer = 3 => NO_ENTRY;
    /// The clock was never set.
    RtcNotSet = 4 => NO_ENTRY;
    /// The clock refused.
    RtcCommandFailed = 5 => UNKNOWN;
    /// The bootloader's answer makes no sense.
    QueryResponseNotValid = 6 => UNKNOWN;
}

group_codes! {
    /// Error codes of the image group.
    ImageError of crate::group::IMAGE;
    /// Unknown error.
    Unknown = 1 => UNKNOWN;
    /// The flash map cannot be read.
    FlashConfigQueryFailed = 2 => UNKNOWN;
    /// The slot holds no image.
    NoImage = 3 => NO_ENTRY;
    /// The image has no TLV area.
    NoTlvs = 4 => NO_ENTRY;
    /// The image's TLVs are not valid. Also the code for an image that does not verify.
    InvalidTlv = 5 => UNKNOWN;
    /// The image has several hashes.
    MultipleHashes = 6 => UNKNOWN;
    /// A TLV has the wrong size.
    TlvInvalidSize = 7 => UNKNOWN;
    /// No slot holds an image with this hash.
    HashNotFound = 8 => UNKNOWN;
    /// No slot may be written or erased now.
    NoFreeSlot = 9 => BAD_STATE;
    /// The flash area cannot be opened.
    FlashOpenFailed = 10 => UNKNOWN;
    /// Reading flash failed.
    FlashReadFailed = 11 => UNKNOWN;
    /// Writing flash failed.
    FlashWriteFailed = 12 => UNKNOWN;
    /// Erasing flash failed.
    FlashEraseFailed = 13 => UNKNOWN;
    /// No such slot.
    InvalidSlot = 14 => INVALID;
    /// Out of memory.
    NoFreeMemory = 15 => NO_MEMORY;
    /// A flash context is already in use.
    FlashContextAlreadySet = 16 => UNKNOWN;
    /// No flash context.
    FlashContextNotSet = 17 => UNKNOWN;
    /// The flash device is missing.
    FlashDeviceMissing = 18 => UNKNOWN;
    /// The page offset is wrong.
    InvalidPageOffset = 19 => INVALID;
    /// `off` is missing.
    InvalidOffset = 20 => INVALID;
    /// `len` is missing.
    InvalidLength = 21 => INVALID;
    /// The first chunk is shorter than an image header.
    InvalidImageHeader = 22 => INVALID;
    /// The data does not begin like an image, or a slot's trailer is damaged.
    InvalidImageHeaderMagic = 23 => UNKNOWN;
    /// The hash has the wrong length or is missing.
    InvalidHash = 24 => INVALID;
    /// The image was linked for another address.
    InvalidFlashAddress = 25 => INVALID;
    /// The running image's version cannot be read.
    VersionReadFailed = 26 => UNKNOWN;
    /// The running image is as new or newer.
    CurrentVersionIsNewer = 27 => BAD_STATE;
    /// Another change is already pending.
    ImageAlreadyPending = 28 => BAD_STATE;
    /// The running image's trailer is damaged.
    InvalidImageVectorTable = 29 => UNKNOWN;
    /// The image does not fit.
    InvalidImageTooLarge = 30 => UNKNOWN;
    /// More data than announced.
    InvalidImageDataOverrun = 31 => UNKNOWN;
    /// This image must not be confirmed from here.
    ImageConfirmationDenied = 32 => UNKNOWN;
    /// The running image cannot be put to test.
    ImageSettingTestToActiveDenied = 33 => UNKNOWN;
    /// It is not known which slot runs.
    ActiveSlotNotKnown = 34 => UNKNOWN;
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown error of the operating-system group",
            Self::InvalidFormat => "the information format holds a letter the device does not know",
            Self::QueryYieldsNoAnswer => "the bootloader has no answer to this query",
            Self::RtcNotSet => "the device's clock was never set; set it first",
            Self::RtcCommandFailed => "the device's clock refused the command",
            Self::QueryResponseNotValid => "the bootloader's answer makes no sense",
        })
    }
}

impl core::error::Error for OsError {}

/// The cause and, where there is one, the way out.
impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown error of the image group",
            Self::FlashConfigQueryFailed => "the device cannot read its flash map",
            Self::NoImage => "the slot holds no image; upload one first",
            Self::NoTlvs => "the image has no TLV area; is the file signed?",
            Self::InvalidTlv => {
                "the image in the slot does not verify: damaged, signed with another key, or made \
                 for another board; sign it for this device and upload it again"
            }
            Self::MultipleHashes => "the image carries several hashes; sign it again",
            Self::TlvInvalidSize => "a TLV of the image has the wrong size; sign it again",
            Self::HashNotFound => {
                "no slot holds an image with this hash; upload it first, and name it by the hash \
                 that the image list shows, not by the hash of the file"
            }
            Self::NoFreeSlot => {
                "the slot is in use: the running image is in it, or the one that a revert goes \
                 back to; confirm the running image or reset first"
            }
            Self::FlashOpenFailed => "the device has no such slot",
            Self::FlashReadFailed => "the device failed to read its flash",
            Self::FlashWriteFailed => {
                "the device failed to write its flash; start the upload again"
            }
            Self::FlashEraseFailed => "the device failed to erase its flash; try again",
            Self::InvalidSlot => "the device has no such slot",
            Self::NoFreeMemory => "the device is out of memory; use smaller requests",
            Self::FlashContextAlreadySet => "another upload is being set up; try again",
            Self::FlashContextNotSet => "the device lost its upload; start it again",
            Self::FlashDeviceMissing => "the device's flash chip does not answer",
            Self::InvalidPageOffset => "the device computed a wrong page offset",
            Self::InvalidOffset => "the upload request has no offset",
            Self::InvalidLength => "the first upload request has no length",
            Self::InvalidImageHeader => {
                "the first chunk is shorter than an image header; use a larger message size"
            }
            Self::InvalidImageHeaderMagic => {
                "the data does not begin with an image header (is the file signed?), or the \
                 trailer of the slot is damaged (erase the slot)"
            }
            Self::InvalidHash => "the hash is missing or has the wrong length",
            Self::InvalidFlashAddress => {
                "the image is built to run from another slot; upload the build for the free slot"
            }
            Self::VersionReadFailed => "the device cannot read the running image's version",
            Self::CurrentVersionIsNewer => {
                "the running image is as new or newer; upload without the upgrade-only option to \
                 go back"
            }
            Self::ImageAlreadyPending => {
                "a test, revert or upgrade is already under way: reset the device, or erase the \
                 pending slot, first"
            }
            Self::InvalidImageVectorTable => "the trailer of the running image is damaged",
            Self::InvalidImageTooLarge => "the image is too large for the slot",
            Self::InvalidImageDataOverrun => "more data than announced; start the upload again",
            Self::ImageConfirmationDenied => {
                "the device does not let this image be confirmed from the running one"
            }
            Self::ImageSettingTestToActiveDenied => {
                "this image is the running one; there is nothing to test"
            }
            Self::ActiveSlotNotKnown => "the device does not know which slot it runs from",
        })
    }
}

impl core::error::Error for ImageError {}
