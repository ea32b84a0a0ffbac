//! The slot trailer: what bootloader and application tell each other.
//!
//! ```text
//! S − 16             magic      16 bytes, in one write of align_up(16, A)
//! image_ok           ALIGN_DOWN(S − 16 − A, A)     1 byte used
//! copy_done          image_ok − A                  1 byte used
//! swap_info          copy_done − A                 type | image << 4
//! tlv_sizes          swap_info − A                 2 × u16, swap-offset only
//! swap_size          (tlv_sizes or swap_info) − A  u32
//! key 0, key 1       swap_size − K, − 2 K          content keys, with encrypted images only
//! status             S − trailer size              swap status records, W bytes each
//! ```
//! S is the slot size, A the largest write alignment that the bootloader was built for (8 to 32),
//! W the write size of the slot's device, K the size of a saved key rounded up to A. Source: MCUboot `docs/design.md`, "Image Trailer", and
//! `boot/bootutil/src/bootutil_misc.c`.

use crate::{KeySlot, TrailerKeys, UpgradeMode};

/// `value` rounded down to a multiple of `to`; `to` must not be 0 (then `value` is returned).
pub const fn align_down(value: u32, to: u32) -> u32 {
    if to == 0 { value } else { value - value % to }
}

/// `value` rounded up to a multiple of `to`; `None` past 4 GiB.
pub const fn align_up(value: u32, to: u32) -> Option<u32> {
    match if to == 0 { 0 } else { value % to } {
        0 => Some(value),
        over => value.checked_add(to - over),
    }
}

/// The magic of trailers that are laid out for writes of up to 8 bytes …
static MAGIC: [u8; 16] = [
    0x77, 0xc2, 0x95, 0xf3, 0x60, 0xd2, 0xef, 0x7f, 0x35, 0x52, 0x50, 0x0f, 0x2c, 0xb6, 0x79, 0x80,
];
/// … and for longer ones, of 16 or 32 bytes: the alignment and the same 14 bytes.
static LONG_MAGICS: [[u8; 16]; 2] = [of_alignment(16), of_alignment(32)];

const fn of_alignment(max_align: u8) -> [u8; 16] {
    let [a0, a1] = (max_align as u16).to_le_bytes();
    [a0, a1, 0x2d, 0xe1, 0x5d, 0x29, 0x41, 0x0b, 0x8d, 0x77, 0x67, 0x9c, 0x11, 0x0f, 0x1f, 0x8a]
}

/// The 16 bytes that make a trailer valid, for a largest alignment of `max_align` bytes.
pub const fn magic_bytes(max_align: u32) -> [u8; 16] {
    let [long, longest] = &LONG_MAGICS;
    *match max_align {
        0..=8 => &MAGIC,
        9..=16 => long,
        _ => longest,
    }
}

/// Where the fields of a slot's trailer are. All offsets count from the start of the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerLayout {
    slot_size: u32,
    max_align: u32,
    size: u32,
    keeps_tlv_sizes: bool,
    keys: Option<TrailerKeys>,
}

impl TrailerLayout {
    /// Largest alignments that the format knows.
    pub const MAX_ALIGNS: [u32; 3] = [8, 16, 32];

    /// The trailer of a slot of `slot_size` bytes whose device writes `write_size` bytes at a
    /// time, under a bootloader of `mode` built for `max_sectors` sectors and `max_align`.
    ///
    /// `None` if the slot is too small for it or `max_align` is not 8, 16 or 32.
    pub fn new(
        slot_size: u32,
        mode: UpgradeMode,
        max_sectors: u32,
        write_size: u32,
        max_align: u32,
    ) -> Option<Self> {
        if !Self::MAX_ALIGNS.contains(&max_align) {
            return None;
        }
        let status = max_sectors.checked_mul(mode.status_states())?.checked_mul(write_size)?;
        let keeps_tlv_sizes = mode == UpgradeMode::SwapOffset;
        let fields = if keeps_tlv_sizes { 5 } else { 4 };
        let info = fields * max_align + if max_align > 16 { max_align } else { 16 };
        let size = status.checked_add(info)?;
        let layout = Self { slot_size, max_align, size, keeps_tlv_sizes, keys: None };
        (size <= slot_size).then_some(layout)
    }

    /// The same trailer under a bootloader that saves content keys in it, or does not. The fields
    /// above the keys stay where they are; `None` if the slot is too small.
    pub fn with_keys(self, keys: Option<TrailerKeys>) -> Option<Self> {
        let room = |keys: Option<TrailerKeys>| match keys {
            Some(keys) => 2 * keys.field_size(self.max_align),
            None => 0,
        };
        let size = self.size.checked_sub(room(self.keys))?.checked_add(room(keys))?;
        (size <= self.slot_size).then_some(Self { size, keys, ..self })
    }

    /// Size of the slot.
    pub fn slot_size(&self) -> u32 {
        self.slot_size
    }

    /// Size of the whole trailer.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The alignment that the fields are laid out for.
    pub fn max_align(&self) -> u32 {
        self.max_align
    }

    /// The 16 magic bytes.
    pub fn magic(&self) -> u32 {
        self.slot_size - 16
    }

    /// Where the write that contains the magic begins: it is `align_up(16, A)` long.
    pub fn magic_cell(&self) -> u32 {
        self.down(self.magic())
    }

    /// `offset` rounded down to the alignment, which is a power of two.
    fn down(&self, offset: u32) -> u32 {
        offset & self.max_align.wrapping_neg()
    }

    /// The flag that the running image is confirmed.
    pub fn image_ok(&self) -> u32 {
        self.down(self.magic() - self.max_align)
    }

    /// The flag that a swap has ended.
    pub fn copy_done(&self) -> u32 {
        self.image_ok() - self.max_align
    }

    /// The swap type that was begun, and of which image.
    pub fn swap_info(&self) -> u32 {
        self.copy_done() - self.max_align
    }

    /// Swap-offset only: sizes of the unprotected TLVs, u16 of the image in the primary slot and
    /// u16 of that in the secondary.
    pub fn tlv_sizes(&self) -> Option<u32> {
        self.keeps_tlv_sizes.then(|| self.swap_info() - self.max_align)
    }

    /// Bytes that the swap exchanges, a u32.
    pub fn swap_size(&self) -> u32 {
        self.tlv_sizes().unwrap_or_else(|| self.swap_info()) - self.max_align
    }

    /// What is saved of content keys; `None`: nothing, there are no fields for them.
    pub fn keys(&self) -> Option<TrailerKeys> {
        self.keys
    }

    /// Where the content key of one of the two images is saved.
    pub fn key(&self, slot: KeySlot) -> Option<u32> {
        let field = self.keys?.field_size(self.max_align);
        let below = match slot {
            KeySlot::Primary => field,
            KeySlot::Secondary => 2 * field,
        };
        Some(self.swap_size().saturating_sub(below))
    }

    /// The first swap status record; also where the trailer begins.
    pub fn status(&self) -> u32 {
        self.slot_size - self.size
    }
}

/// What stands where the magic belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Magic {
    /// The magic.
    Good,
    /// Neither the magic nor erased.
    Bad,
    /// Erased.
    Unset,
}

impl Magic {
    /// Decodes the 16 bytes found at [`TrailerLayout::magic`].
    pub fn decode(bytes: &[u8; 16], max_align: u32, erased: u8) -> Self {
        if *bytes == magic_bytes(max_align) {
            Self::Good
        } else if bytes.iter().all(|byte| *byte == erased) {
            Self::Unset
        } else {
            Self::Bad
        }
    }
}

/// What stands where a one-byte flag belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flag {
    /// 0x01.
    Set,
    /// Neither 0x01 nor erased.
    Bad,
    /// Erased.
    Unset,
}

impl Flag {
    /// The byte of a flag that is set.
    pub const SET: u8 = 1;

    /// Decodes the byte.
    pub fn decode(byte: u8, erased: u8) -> Self {
        match byte {
            _ if byte == erased => Self::Unset,
            Self::SET => Self::Set,
            _ => Self::Bad,
        }
    }
}

/// What the next boot does with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SwapType {
    /// Boots the primary slot as it is.
    None = 1,
    /// Swaps, and swaps back at the following boot unless the image is confirmed.
    Test = 2,
    /// Swaps for good.
    Permanent = 3,
    /// Swaps back: the image under test was not confirmed.
    Revert = 4,
    /// A swap that was asked for cannot begin: the new image is not valid any more, or flash refuses.
    Fail = 5,
}

/// The swap_info byte: low nibble type, high nibble image index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SwapInfo {
    /// The recorded type; `None` where nothing sensible is recorded.
    pub swap_type: SwapType,
    /// The image that it was recorded for.
    pub image: u8,
}

impl SwapInfo {
    /// Decodes the byte; erased or out of range counts as no swap of image 0.
    pub fn decode(byte: u8, erased: u8) -> Self {
        let none = Self { swap_type: SwapType::None, image: 0 };
        if byte == erased {
            return none;
        }
        let swap_type = match byte & 0x0f {
            2 => SwapType::Test,
            3 => SwapType::Permanent,
            4 => SwapType::Revert,
            1 => SwapType::None,
            _ => return none,
        };
        Self { swap_type, image: byte >> 4 }
    }

    /// The byte.
    pub const fn encode(self) -> u8 {
        (self.swap_type as u8 & 0x0f) | (self.image << 4)
    }
}

/// The decoded fields of one slot's trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerState {
    /// The magic.
    pub magic: Magic,
    /// The type that was begun.
    pub swap_info: SwapInfo,
    /// Whether a swap into this slot has ended.
    pub copy_done: Flag,
    /// Whether the image is confirmed.
    pub image_ok: Flag,
}

impl TrailerState {
    /// A trailer of erased flash, or of a slot that cannot be read.
    pub const UNSET: Self = Self {
        magic: Magic::Unset,
        swap_info: SwapInfo { swap_type: SwapType::None, image: 0 },
        copy_done: Flag::Unset,
        image_ok: Flag::Unset,
    };

    /// This trailer with every torn flag decided one way.
    ///
    /// A flag write that lost power half-way may leave a byte that is neither erased nor 0x01.
    /// The original takes such a flag for neither set nor unset, so that a request stays stuck or
    /// an unconfirmed image is never reverted. Here a torn flag of the primary slot counts as set
    /// (the swap did end, the image did ask to be confirmed) and a torn `image_ok` of the
    /// secondary slot as unset (an upgrade that can still be reverted), at every boot alike.
    pub fn decide_torn_flags(self, slot: TornFlags) -> Self {
        let decide = |flag| match (flag, slot) {
            (Flag::Bad, TornFlags::CountAsSet) => Flag::Set,
            (Flag::Bad, TornFlags::CountAsUnset) => Flag::Unset,
            (flag, _) => flag,
        };
        Self { copy_done: decide(self.copy_done), image_ok: decide(self.image_ok), ..self }
    }

    /// The swap type that the two trailers of an image ask for under a bootloader of `mode`; the
    /// first rule that fits decides. Source: the swap tables of MCUboot's `bootutil_public.c`.
    ///
    /// | secondary magic | image_ok | copy_done | primary magic | image_ok | copy_done | |
    /// |---|---|---|---|---|---|---|
    /// | good | unset | set | | | | swap-offset only: revert |
    /// | good | unset | | | | | test |
    /// | good | set | | | | | permanent |
    /// | | | | good | unset | set | revert |
    pub fn swap_type(mode: UpgradeMode, primary: &Self, secondary: &Self) -> SwapType {
        match (secondary.magic, secondary.image_ok) {
            (Magic::Good, Flag::Unset)
                if mode == UpgradeMode::SwapOffset && secondary.copy_done == Flag::Set =>
            {
                return SwapType::Revert;
            }
            (Magic::Good, Flag::Unset) => return SwapType::Test,
            (Magic::Good, Flag::Set) => return SwapType::Permanent,
            _ => {}
        }
        match (primary.magic, primary.image_ok, primary.copy_done) {
            (Magic::Good, Flag::Unset, Flag::Set) => SwapType::Revert,
            _ => SwapType::None,
        }
    }
}

/// How a flag that is neither set nor erased is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TornFlags {
    /// As if the write had been completed.
    CountAsSet,
    /// As if it had never begun.
    CountAsUnset,
}
