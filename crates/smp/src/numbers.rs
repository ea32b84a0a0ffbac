//! Numbers of groups and commands.

/// Group numbers of the predefined groups.
pub mod group {
    /// Operating system: echo, reset, buffer parameters, information.
    pub const OS: u16 = 0;
    /// Images: state, upload, erase, slot information.
    pub const IMAGE: u16 = 1;
    /// Statistics: counters by group and name.
    pub const STATISTICS: u16 = 2;
    /// Settings, in the first generation of servers called configuration.
    pub const SETTINGS: u16 = 3;
    /// Logs, of servers of the first generation.
    pub const LOG: u16 = 4;
    /// Crash tests, of servers of the first generation.
    pub const CRASH: u16 = 5;
    /// Tests to run, of servers of the first generation.
    pub const RUN: u16 = 7;
    /// Files.
    pub const FILES: u16 = 8;
    /// The shell.
    pub const SHELL: u16 = 9;
    /// Enumeration of the groups.
    pub const ENUMERATION: u16 = 10;
    /// Zephyr's basic commands.
    pub const BASIC: u16 = 63;
    /// The first of the groups that an application may define.
    pub const FIRST_USER: u16 = 64;
}

/// Command ids of the operating-system group.
pub mod os {
    /// Echo a string.
    pub const ECHO: u8 = 0;
    /// Turn the console's echo on or off; servers without a console to echo on ignore it.
    pub const CONSOLE_ECHO: u8 = 1;
    /// Read the tasks: priorities, states, stacks.
    pub const TASKS: u8 = 2;
    /// Read the memory pools.
    pub const POOLS: u8 = 3;
    /// Read or set the clock.
    pub const DATE_TIME: u8 = 4;
    /// Reset the device.
    pub const RESET: u8 = 5;
    /// Read the size and number of the server's buffers.
    pub const PARAMS: u8 = 6;
    /// Read system and application information.
    pub const INFO: u8 = 7;
    /// Read bootloader information.
    pub const BOOTLOADER_INFO: u8 = 8;
}

/// Command ids of the image group.
pub mod image {
    /// Read or write the state of the images.
    pub const STATE: u8 = 0;
    /// Upload an image.
    pub const UPLOAD: u8 = 1;
    /// Erase a slot.
    pub const ERASE: u8 = 5;
    /// Read sizes of the slots.
    pub const SLOT_INFO: u8 = 6;
}

/// Command ids of the statistics group.
pub mod statistics {
    /// Read the counters of a group.
    pub const SHOW: u8 = 0;
    /// List the groups of counters.
    pub const LIST: u8 = 1;
}

/// Command ids of the settings group.
pub mod settings {
    /// Read or write a setting.
    pub const VALUE: u8 = 0;
    /// Delete a setting.
    pub const DELETE: u8 = 1;
    /// Let changed settings take effect.
    pub const COMMIT: u8 = 2;
    /// Load all settings from storage (read), or save them there (write).
    pub const STORAGE: u8 = 3;
}

/// Command ids of the log group.
pub mod log {
    /// Read the entries of logs.
    pub const SHOW: u8 = 0;
    /// Empty logs.
    pub const CLEAR: u8 = 1;
    /// Add an entry to a log.
    pub const APPEND: u8 = 2;
    /// List the modules that log, with their numbers.
    pub const MODULES: u8 = 3;
    /// List the levels, with their numbers.
    pub const LEVELS: u8 = 4;
    /// List the logs.
    pub const LIST: u8 = 5;
}

/// Command ids of the crash group.
pub mod crash {
    /// Crash in a way that the request names.
    pub const TRIGGER: u8 = 0;
}

/// Command ids of the run group.
pub mod run {
    /// Run a test.
    pub const TEST: u8 = 0;
    /// List the tests.
    pub const LIST: u8 = 1;
}

/// Command ids of the file group.
pub mod files {
    /// Download (read) or upload (write) a piece of a file.
    pub const FILE: u8 = 0;
    /// Read the length of a file.
    pub const STATUS: u8 = 1;
    /// Have a checksum or hash of a file computed.
    pub const HASH: u8 = 2;
    /// List the kinds of checksums and hashes.
    pub const HASH_TYPES: u8 = 3;
    /// Close all files.
    pub const CLOSE: u8 = 4;
}

/// Command ids of the shell group.
pub mod shell {
    /// Run a command line.
    pub const EXECUTE: u8 = 0;
}

/// Command ids of the enumeration group.
pub mod enumeration {
    /// Count the groups.
    pub const COUNT: u8 = 0;
    /// List the groups.
    pub const LIST: u8 = 1;
    /// Read one group by its place in the list.
    pub const SINGLE: u8 = 2;
    /// Read names and sizes of groups.
    pub const DETAILS: u8 = 3;
}

/// Command ids of Zephyr's basic group.
pub mod basic {
    /// Erase the storage.
    pub const ERASE_STORAGE: u8 = 0;
}
