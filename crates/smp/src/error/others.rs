//! Error codes of the groups that have few.

group_codes! {
    /// Error codes of the statistics group.
    StatError of crate::group::STATISTICS;
    /// Unknown error.
    Unknown = 1 => UNKNOWN, "unknown error of the statistics group";
    /// The group of statistics is not valid.
    InvalidGroup = 2 => INVALID, "the device's statistics are not readable";
    /// No group of statistics has this name.
    InvalidName = 3 => NO_ENTRY,
        "the device has no statistics of this name; `stat list` lists those that it has";
    /// An entry has a size that cannot be told.
    InvalidSize = 4 => UNKNOWN, "a counter of the device has a size that it cannot tell";
    /// Reading ended early.
    WalkAborted = 5 => UNKNOWN, "the device stopped in the middle of its statistics; try again";
}

group_codes! {
    /// Error codes of the settings group.
    SettingsError of crate::group::SETTINGS;
    /// Unknown error.
    Unknown = 1 => UNKNOWN, "unknown error of the settings group";
    /// The name is too long.
    KeyTooLong = 2 => INVALID, "the name of the setting is longer than the device takes";
    /// No such setting.
    KeyNotFound = 3 => NO_ENTRY, "the device has no such setting";
    /// The setting cannot be read.
    ReadNotSupported = 4 => NO_ENTRY, "this setting cannot be read";
    /// No part of the device owns settings of this beginning.
    RootKeyNotFound = 5 => UNKNOWN,
        "nothing on the device has settings whose names begin like this";
    /// The setting cannot be written.
    WriteNotSupported = 6 => UNKNOWN, "this setting cannot be written";
    /// The setting cannot be deleted.
    DeleteNotSupported = 7 => UNKNOWN, "this setting cannot be deleted";
    /// Settings are not saved.
    SaveNotSupported = 8 => UNKNOWN, "the device has nowhere to save its settings to";
}

group_codes! {
    /// Error codes of the log group. Servers that have it speak version 1, and send them as `rc`:
    /// two of the generic numbers mean something else there.
    LogError of crate::group::LOG;
    /// What is stored of the log makes no sense.
    Corrupt = 7 => MESSAGE_SIZE, "what the device has stored of the log is damaged";
    /// An entry does not fit into an answer.
    MessageSize = 9 => CORRUPT, "an entry of the log does not fit the device's buffer";
}

group_codes! {
    /// Error codes of the shell group.
    ShellError of crate::group::SHELL;
    /// Unknown error.
    Unknown = 1 => UNKNOWN, "unknown error of the shell group";
    /// The line is too long.
    CommandTooLong = 2 => INVALID, "the command line is longer than the device takes";
    /// The line is empty.
    EmptyCommand = 3 => INVALID, "the command line is empty";
}

group_codes! {
    /// Error codes of the enumeration group.
    EnumError of crate::group::ENUMERATION;
    /// Unknown error.
    Unknown = 1 => UNKNOWN, "unknown error of the enumeration group";
    /// More groups were named than can be looked up.
    TooManyEntries = 2 => UNKNOWN, "too many groups are named; ask for fewer at a time";
    /// No memory for the groups.
    InsufficientHeap = 3 => NO_MEMORY, "the device has no memory for the list of groups";
    /// No group has this index.
    IndexTooLarge = 4 => UNKNOWN, "the device has fewer groups than that";
}

group_codes! {
    /// Error codes of Zephyr's basic group.
    BasicError of crate::group::BASIC;
    /// Unknown error.
    Unknown = 1 => UNKNOWN, "unknown error of the basic group";
    /// The flash area cannot be opened.
    FlashOpenFailed = 2 => UNKNOWN, "the device cannot open its storage";
    /// The size of the flash area cannot be told.
    FlashConfigQueryFailed = 3 => UNKNOWN, "the device does not know the size of its storage";
    /// Erasing failed.
    FlashEraseFailed = 4 => UNKNOWN, "the device failed to erase its storage; try again";
}
