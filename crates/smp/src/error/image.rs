//! Error codes of group 1, images.

group_codes! {
    /// Error codes of the image group.
    ImageError of crate::group::IMAGE;
    /// Unknown error.
    Unknown = 1 => UNKNOWN, "unknown error of the image group";
    /// The flash map cannot be read.
    FlashConfigQueryFailed = 2 => UNKNOWN, "the device cannot read its flash map";
    /// The slot holds no image.
    NoImage = 3 => NO_ENTRY, "the slot holds no image; upload one first";
    /// The image has no TLV area.
    NoTlvs = 4 => NO_ENTRY, "the image has no TLV area; is the file signed?";
    /// The image's TLVs are not valid. Also the code for an image that does not verify.
    InvalidTlv = 5 => UNKNOWN,
        "the image in the slot does not verify: damaged, signed with another key, or made for \
         another board; sign it for this device and upload it again";
    /// The image has several hashes.
    MultipleHashes = 6 => UNKNOWN, "the image carries several hashes; sign it again";
    /// A TLV has the wrong size.
    TlvInvalidSize = 7 => UNKNOWN, "a TLV of the image has the wrong size; sign it again";
    /// No slot holds an image with this hash.
    HashNotFound = 8 => UNKNOWN,
        "no slot holds an image with this hash; upload it first, and name it by the hash that the \
         image list shows, not by the hash of the file";
    /// No slot may be written or erased now.
    NoFreeSlot = 9 => BAD_STATE,
        "the slot is in use: the running image is in it, or the one that a revert goes back to; \
         confirm the running image or reset first";
    /// The flash area cannot be opened.
    FlashOpenFailed = 10 => UNKNOWN, "the device has no such slot";
    /// Reading flash failed.
    FlashReadFailed = 11 => UNKNOWN, "the device failed to read its flash";
    /// Writing flash failed.
    FlashWriteFailed = 12 => UNKNOWN,
        "the device failed to write its flash; start the upload again";
    /// Erasing flash failed.
    FlashEraseFailed = 13 => UNKNOWN, "the device failed to erase its flash; try again";
    /// No such slot.
    InvalidSlot = 14 => INVALID, "the device has no such slot";
    /// Out of memory.
    NoFreeMemory = 15 => NO_MEMORY, "the device is out of memory; use smaller requests";
    /// A flash context is already in use.
    FlashContextAlreadySet = 16 => UNKNOWN, "another upload is being set up; try again";
    /// No flash context.
    FlashContextNotSet = 17 => UNKNOWN, "the device lost its upload; start it again";
    /// The flash device is missing.
    FlashDeviceMissing = 18 => UNKNOWN, "the device's flash chip does not answer";
    /// The page offset is wrong.
    InvalidPageOffset = 19 => INVALID, "the device computed a wrong page offset";
    /// `off` is missing.
    InvalidOffset = 20 => INVALID, "the upload request has no offset";
    /// `len` is missing.
    InvalidLength = 21 => INVALID, "the first upload request has no length";
    /// The first chunk is shorter than an image header.
    InvalidImageHeader = 22 => INVALID,
        "the first chunk is shorter than an image header; use a larger message size";
    /// The data does not begin like an image, or a slot's trailer is damaged.
    InvalidImageHeaderMagic = 23 => UNKNOWN,
        "the data does not begin with an image header (is the file signed?), or the trailer of \
         the slot is damaged (erase the slot)";
    /// The hash has the wrong length or is missing.
    InvalidHash = 24 => INVALID, "the hash is missing or has the wrong length";
    /// The image was linked for another address.
    InvalidFlashAddress = 25 => INVALID,
        "the image is built to run from another slot; upload the build for the free slot";
    /// The running image's version cannot be read.
    VersionReadFailed = 26 => UNKNOWN, "the device cannot read the running image's version";
    /// The running image is as new or newer.
    CurrentVersionIsNewer = 27 => BAD_STATE,
        "the running image is as new or newer; upload without the upgrade-only option to go back";
    /// Another change is already pending.
    ImageAlreadyPending = 28 => BAD_STATE,
        "a test, revert or upgrade is already under way: reset the device, or erase the pending \
         slot, first";
    /// The running image's trailer is damaged.
    InvalidImageVectorTable = 29 => UNKNOWN, "the trailer of the running image is damaged";
    /// The image does not fit.
    InvalidImageTooLarge = 30 => UNKNOWN, "the image is too large for the slot";
    /// More data than announced.
    InvalidImageDataOverrun = 31 => UNKNOWN, "more data than announced; start the upload again";
    /// This image must not be confirmed from here.
    ImageConfirmationDenied = 32 => UNKNOWN,
        "the device does not let this image be confirmed from the running one";
    /// The running image cannot be put to test.
    ImageSettingTestToActiveDenied = 33 => UNKNOWN,
        "this image is the running one; there is nothing to test";
    /// It is not known which slot runs.
    ActiveSlotNotKnown = 34 => UNKNOWN, "the device does not know which slot it runs from";
}
