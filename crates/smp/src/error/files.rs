//! Error codes of group 8, files.

group_codes! {
    /// Error codes of the file group.
    FileError of crate::group::FILES;
    /// Unknown error.
    Unknown = 1 => UNKNOWN, "unknown error of the file group";
    /// The name is not one.
    InvalidName = 2 => INVALID, "that is no name of a file there; give the whole path, from / on";
    /// No such file.
    NotFound = 3 => NO_ENTRY, "the device has no such file";
    /// The name is that of a folder.
    IsDirectory = 4 => UNKNOWN, "that is a folder; name a file in it";
    /// The file cannot be opened.
    OpenFailed = 5 => UNKNOWN, "the device cannot open the file";
    /// The offset cannot be reached.
    SeekFailed = 6 => UNKNOWN, "the device cannot reach that place of the file";
    /// The file cannot be read.
    ReadFailed = 7 => UNKNOWN, "the device failed to read the file";
    /// The file cannot be emptied.
    TruncateFailed = 8 => UNKNOWN, "the device failed to empty the file";
    /// The file cannot be deleted.
    DeleteFailed = 9 => UNKNOWN, "the device failed to delete the file";
    /// The file cannot be written; also the code for a full disk.
    WriteFailed = 10 => UNKNOWN, "the device failed to write the file; its disk may be full";
    /// A chunk does not begin where the file ends.
    OffsetNotValid = 11 => UNKNOWN,
        "the chunk does not begin where the file on the device ends; start the transfer again";
    /// The offset is behind the end of the file.
    OffsetLargerThanFile = 12 => UNKNOWN, "the offset is behind the end of the file";
    /// No such checksum or hash.
    HashNotFound = 13 => INVALID,
        "the device does not know this kind of hash; `fs types` lists those that it knows";
    /// Nothing is mounted there.
    MountPointNotFound = 14 => NO_ENTRY, "the device has no file system mounted there";
    /// The file system is read-only.
    ReadOnlyFilesystem = 15 => UNKNOWN, "the file system there is read-only";
    /// The file is empty.
    Empty = 16 => UNKNOWN, "the file is empty";
}
