//! Error codes of group 0, the operating system.

group_codes! {
    /// Error codes of the operating-system group.
    OsError of crate::group::OS;
    /// Unknown error.
    Unknown = 1 => UNKNOWN, "unknown error of the operating-system group";
    /// The information format holds an unknown letter.
    InvalidFormat = 2 => INVALID, "the information format holds a letter the device does not know";
    /// The bootloader knows no answer to the query.
    QueryYieldsNoAnswer = 3 => NO_ENTRY, "the bootloader has no answer to this query";
    /// The clock was never set.
    RtcNotSet = 4 => NO_ENTRY, "the device's clock was never set; set it first";
    /// The clock refused.
    RtcCommandFailed = 5 => UNKNOWN, "the device's clock refused the command";
    /// The bootloader's answer makes no sense.
    QueryResponseNotValid = 6 => UNKNOWN, "the bootloader's answer makes no sense";
}
