//! The keys of a board file. `boards/README.md` shows them with an example.
//!
//! Sizes, offsets and addresses are bytes, as integers (`4096`, `0x1000`) or strings (`"4K"`,
//! `"0x1000"`). Keys that are not listed here are refused.

use serde::{Deserialize, Serialize};
use updraft_flash::{Geometry, Kind, SectorRun};
use updraft_image::{
    Flags, HashKind, KeyLength, Scheme, TlvType, TrailerKeys, UpgradeMode, WrapFormat,
};

use crate::text::{Named as _, named, named_option, size, size_option};

/// A whole board file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardFile {
    /// The name that commands take: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Vendor name or UUID. A name stands for UUIDv5(DNS namespace, name), as with imgtool.
    pub vendor: Option<String>,
    /// Device class, a name or UUID. A name stands for UUIDv5(vendor id, name).
    pub class: Option<String>,
    /// `[boot]`: what the bootloader is built for.
    pub boot: Boot,
    /// `[image]`: how images are made.
    #[serde(default)]
    pub image: ImageDefaults,
    /// `[console]`: where text and SMP frames go.
    pub console: Option<Console>,
    /// `[recovery]`: the bootloader takes images over a serial line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// `[programmer]`: how a programmer calls the chip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programmer: Option<Programmer>,
    /// `[watchdog]`.
    pub watchdog: Option<Watchdog>,
    /// `[[core]]`: processors; the first runs the bootloader.
    pub core: Vec<Core>,
    /// `[[ram]]`: RAM regions.
    #[serde(default)]
    pub ram: Vec<Ram>,
    /// `[[flash]]`: flash devices.
    pub flash: Vec<FlashDevice>,
    /// `[[area]]`: parts of the devices.
    pub area: Vec<AreaRow>,
    /// `[[led]]`.
    #[serde(default)]
    pub led: Vec<Led>,
    /// `[[button]]`.
    #[serde(default)]
    pub button: Vec<Button>,
}

/// `[[core]]`: a processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Core {
    /// What it is called, e.g. `app`.
    pub name: String,
    /// Its architecture, e.g. `cortex-m4f`.
    pub arch: String,
    /// Target triple that its firmware is compiled for.
    pub target: String,
    /// Clock in MHz.
    pub mhz: u32,
    /// Alignment of its vector table in bytes, a power of two; the body of an image in the
    /// primary slot has to begin on a multiple of it. Default 4: no requirement.
    #[serde(default = "Core::any_alignment", with = "size")]
    pub vector_align: u32,
}

impl Core {
    fn any_alignment() -> u32 {
        4
    }
}

/// `[[ram]]`: a RAM region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ram {
    /// First address.
    #[serde(with = "size")]
    pub base: u32,
    /// Size in bytes.
    #[serde(with = "size")]
    pub size: u32,
    /// The processor whose programs have it. Default: whoever runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<String>,
    /// The program that has it. Default: either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<RamUser>,
}

/// Who has a RAM region to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RamUser {
    /// The bootloader.
    Bootloader,
    /// The application.
    Application,
}

/// The physics of a flash device, as [`Kind`] without its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FlashKind {
    /// `nor`: programming moves bits one way, as often as one likes.
    #[default]
    Nor,
    /// `nor-limited`: the same, but a word takes only so many writes between erases.
    NorLimited,
    /// `ecc-words`: a word is written once.
    EccWords,
    /// `self-erasing-rows`: a write replaces a row.
    SelfErasingRows,
}

impl FlashKind {
    /// The name used in board files.
    pub fn name(self) -> &'static str {
        self.word()
    }
}

/// `[[flash]]`: a flash device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlashDevice {
    /// What areas call it.
    pub name: String,
    /// Its physics. Default `nor`.
    #[serde(default, with = "named")]
    pub kind: FlashKind,
    /// Bytes of a word, with `nor-limited`: what `word_writes` counts for.
    #[serde(default, with = "size_option", skip_serializing_if = "Option::is_none")]
    pub word: Option<u32>,
    /// How often a word may be written between two erases, with `nor-limited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word_writes: Option<u32>,
    /// Where it is mapped into memory; left out for a device that code cannot run from.
    #[serde(default, with = "size_option", skip_serializing_if = "Option::is_none")]
    pub base: Option<u32>,
    /// What erased bytes read as: `0xff` (default) or `0x00`.
    #[serde(default = "FlashDevice::ones")]
    pub erased: u8,
    /// Bytes that a write has to be a multiple of; a power of two.
    #[serde(with = "size")]
    pub write_size: u32,
    /// Runs of equal sectors in address order: `[{ size = "4K", count = 128 }]`.
    #[serde(with = "runs")]
    pub sectors: Vec<SectorRun>,
    /// Microseconds to erase one sector, on average; 0 (default): not known.
    #[serde(default)]
    pub erase_us: u32,
    /// Microseconds to write `write_size` bytes; 0 (default): not known.
    #[serde(default)]
    pub write_us: u32,
    /// JEDEC ids to accept, six hexadecimal digits each; none for flash inside the chip.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jedec: Vec<String>,
    /// The bus of an external device, e.g. `spi1`.
    pub bus: Option<String>,
    /// The chip select pin of an external device.
    pub select: Option<String>,
}

impl FlashDevice {
    fn ones() -> u8 {
        0xff
    }

    /// Its geometry.
    pub fn geometry(&self) -> Geometry<'_> {
        Geometry {
            kind: self.kind(),
            write_size: self.write_size,
            erased: self.erased,
            sectors: &self.sectors,
        }
    }

    /// Its physics.
    pub fn kind(&self) -> Kind {
        match self.kind {
            FlashKind::Nor => Kind::Nor,
            // The loader sees to it that both are there.
            FlashKind::NorLimited => Kind::NorLimited {
                word: self.word.unwrap_or(self.write_size),
                programs: self.word_writes.unwrap_or(1),
            },
            FlashKind::EccWords => Kind::EccWords,
            FlashKind::SelfErasingRows => Kind::SelfErasingRows,
        }
    }

    /// The name of its physics in board files.
    pub fn kind_name(&self) -> &'static str {
        self.kind.name()
    }

    /// Its size in bytes; 0 past 4 GiB, which the loader refuses.
    pub fn size(&self) -> u32 {
        self.geometry().size().unwrap_or(0)
    }
}

/// What an area is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The bootloader.
    Bootloader,
    /// The slot that an image runs from.
    Primary,
    /// The slot that its update is written to.
    Secondary,
    /// The area that swap-scratch exchanges through.
    Scratch,
    /// A known good image to go back to.
    Factory,
    /// Swap status outside the slots.
    Status,
    /// The application's data.
    Storage,
    /// Anything that must not be touched.
    Reserved,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 8] = [
        Self::Bootloader,
        Self::Primary,
        Self::Secondary,
        Self::Scratch,
        Self::Factory,
        Self::Status,
        Self::Storage,
        Self::Reserved,
    ];

    /// The name used in board files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bootloader => "bootloader",
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Scratch => "scratch",
            Self::Factory => "factory",
            Self::Status => "status",
            Self::Storage => "storage",
            Self::Reserved => "reserved",
        }
    }

    /// Whether a bootloader swaps or boots images there.
    pub const fn is_slot(self) -> bool {
        matches!(self, Self::Primary | Self::Secondary)
    }

    /// Whether it belongs to one image.
    pub const fn is_per_image(self) -> bool {
        matches!(self, Self::Primary | Self::Secondary | Self::Factory)
    }
}

/// `[[area]]`: a part of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AreaRow {
    /// What it is called; unique on the board.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Which image it belongs to, from 0 (default) on: primary, secondary and factory areas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<u8>,
    /// The device that it lies on.
    pub flash: String,
    /// Where it begins on the device.
    #[serde(with = "size")]
    pub offset: u32,
    /// Its size in bytes.
    #[serde(with = "size")]
    pub size: u32,
}

/// Which updates a bootloader refuses as a step back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DowngradePrevention {
    /// None.
    #[default]
    None,
    /// Those with a lower version.
    Version,
    /// Those with a lower security counter.
    SecurityCounter,
}

/// How images have to be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// Not at all: anybody's image boots.
    None,
    /// RSA-PSS with 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA-PSS with 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// ECDSA over P-256.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA over P-384, with SHA-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// Ed25519.
    #[default]
    Ed25519,
}

impl Signature {
    /// The name used in board files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rsa2048 => Scheme::Rsa2048.name(),
            Self::Rsa3072 => Scheme::Rsa3072.name(),
            Self::EcdsaP256 => Scheme::EcdsaP256.name(),
            Self::EcdsaP384 => Scheme::EcdsaP384.name(),
            Self::Ed25519 => Scheme::Ed25519.name(),
        }
    }

    /// The scheme, if there is one.
    pub const fn scheme(self) -> Option<Scheme> {
        match self {
            Self::None => None,
            Self::Rsa2048 => Some(Scheme::Rsa2048),
            Self::Rsa3072 => Some(Scheme::Rsa3072),
            Self::EcdsaP256 => Some(Scheme::EcdsaP256),
            Self::EcdsaP384 => Some(Scheme::EcdsaP384),
            Self::Ed25519 => Some(Scheme::Ed25519),
        }
    }
}

/// How a content key is wrapped for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyWrap {
    /// RSA-2048, OAEP.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// AES key wrap, with a key that both sides have.
    AesKw,
    /// ECIES over P-256.
    EciesP256,
    /// ECIES over X25519.
    EciesX25519,
    /// The same with SHA-512.
    #[serde(rename = "ecies-x25519-sha512")]
    EciesX25519Sha512,
}

/// The cipher of image bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentCipher {
    /// AES-128 in counter mode.
    #[default]
    Aes128,
    /// AES-256 in counter mode.
    Aes256,
}

/// `[boot.encryption]`: how content keys reach the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// How they are wrapped.
    pub wrap: KeyWrap,
    /// What they are for. Default `aes128`.
    #[serde(default)]
    pub cipher: ContentCipher,
    /// Whether a swap saves them wrapped, as they came, and not as they are. Default false, as in
    /// the original. It decides how large trailers are.
    #[serde(default)]
    pub save_wrapped: bool,
}

impl Encryption {
    /// The TLVs that content keys come in.
    pub const fn format(&self) -> Option<WrapFormat> {
        let tlv = match self.wrap {
            KeyWrap::Rsa2048 => TlvType::ENCRSA2048,
            KeyWrap::AesKw => TlvType::ENCKW,
            KeyWrap::EciesP256 => TlvType::ENCEC256,
            KeyWrap::EciesX25519 => TlvType::ENCX25519,
            KeyWrap::EciesX25519Sha512 => TlvType::ENCX25519_SHA512,
        };
        WrapFormat::new(tlv, self.key_length())
    }

    /// The length of content keys.
    pub const fn key_length(&self) -> KeyLength {
        match self.cipher {
            ContentCipher::Aes128 => KeyLength::Aes128,
            ContentCipher::Aes256 => KeyLength::Aes256,
        }
    }

    /// What trailers keep of content keys.
    pub fn trailer_keys(&self) -> TrailerKeys {
        let wrapped = self.format().filter(|_| self.save_wrapped).map(TrailerKeys::Wrapped);
        wrapped.unwrap_or(TrailerKeys::Plain(self.key_length()))
    }
}

/// `[boot]`: what the bootloader is built for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// The upgrade mode.
    #[serde(with = "named")]
    pub mode: UpgradeMode,
    /// Sectors per slot that the swap status has records for. Default 128. With the mode and the
    /// alignment it decides how large trailers are: signer, application and bootloader have to
    /// agree on it.
    #[serde(default = "Boot::usual_sectors")]
    pub max_sectors: u32,
    /// The unit in which swaps exchange slots, where that is not the sectors themselves: a power
    /// of two, whose multiples are sector boundaries in every slot. Default: the sectors.
    #[serde(default, with = "size_option", skip_serializing_if = "Option::is_none")]
    pub logical_sector: Option<u32>,
    /// Spacing of the trailer's fields: 8 (default), 16 or 32 bytes.
    #[serde(default = "Boot::usual_align", with = "size")]
    pub max_align: u32,
    /// Whether the image in the primary slot is validated at every boot. Default true.
    #[serde(default = "Boot::yes")]
    pub validate_primary: bool,
    /// Which steps back are refused. Default none.
    #[serde(default)]
    pub downgrade_prevention: DowngradePrevention,
    /// Whether an empty primary slot is filled from a valid secondary one. Default false.
    #[serde(default)]
    pub bootstrap: bool,
    /// With a factory area: milliseconds that the first button is held from the reset on until it
    /// brings the factory image back. 0: it is looked at once, when the image has been checked, as in
    /// the original. Default: [`Boot::USUAL_ROLLBACK_HOLD_MS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_hold_ms: Option<u32>,
    /// The image hash: `sha256`, `sha384` or `sha512`. Default: what the signature goes with, see
    /// [`Boot::image_hash`].
    #[serde(default, with = "named_option", skip_serializing_if = "Option::is_none")]
    pub hash: Option<HashKind>,
    /// The signature scheme. Default `ed25519`.
    #[serde(default)]
    pub signature: Signature,
    /// Whether signatures cover the image itself instead of its hash (Ed25519 only). Default
    /// false.
    #[serde(default)]
    pub pure: bool,
    /// Whether to be safer than the original where it is too trusting. Default true.
    #[serde(default = "Boot::yes")]
    pub strict: bool,
    /// Whether only TLVs that mean something to the bootloader may stand in the unprotected area.
    /// Default false.
    #[serde(default)]
    pub tlv_allow_list: bool,
    /// Whether images have to carry the vendor and class id that the board has. Default true;
    /// `false` also takes images without ids, which fit every board.
    #[serde(default = "Boot::yes")]
    pub require_ids: bool,
    /// Whether compressed images are taken, and decompressed into the primary slot: overwrite-only.
    /// Default false.
    #[serde(default)]
    pub compression: bool,
    /// `[boot.encryption]`: how content keys reach the device. Left out: no image is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// With `ram-load`: whether an image has to be confirmed after its first start. Default false.
    /// (Direct-XIP has two modes for this, which its trailers tell apart.)
    #[serde(default)]
    pub revert: bool,
    /// `[boot.ram_load]`: where RAM-load modes may put images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_load: Option<Ram>,
}

impl Boot {
    /// Milliseconds that a button is held for the factory image, unless the file says otherwise.
    pub const USUAL_ROLLBACK_HOLD_MS: u32 = 5000;

    /// The image hash: the one in the file, or the one that goes with the signature.
    pub fn image_hash(&self) -> HashKind {
        let usual = || self.signature.scheme()?.usual_hash(self.pure);
        self.hash.or_else(usual).unwrap_or_default()
    }

    /// The encryption and compression flags that the bootloader can deal with.
    pub fn supported(&self) -> Flags {
        let encrypted = self.encryption.map(|it| it.key_length().flag()).unwrap_or_default();
        let compressed = Flags::COMPRESSED_LZMA2 | Flags::COMPRESSED_ARM_THUMB;
        if self.compression { encrypted | compressed } else { encrypted }
    }

    fn usual_sectors() -> u32 {
        128
    }

    fn usual_align() -> u32 {
        8
    }

    fn yes() -> bool {
        true
    }
}

/// `[image]`: how images are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageDefaults {
    /// Offset of the body from the start of the image. Default 0x200.
    #[serde(with = "size")]
    pub header_size: u32,
    /// Whether the signer puts the header in front of the binary (true, default), or the binary
    /// already begins with room for it.
    pub pad_header: bool,
    /// Whether signed images are padded to the slot, with the trailer's magic. Default false.
    pub pad: bool,
    /// Whether padded images are also marked as confirmed. Default false.
    pub confirm: bool,
}

impl Default for ImageDefaults {
    fn default() -> Self {
        Self { header_size: 0x200, pad_header: true, pad: false, confirm: false }
    }
}

/// What carries the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsoleKind {
    /// A serial port.
    Uart,
    /// A serial port over USB.
    UsbCdc,
    /// A buffer that a debug probe reads.
    Rtt,
    /// Debugger calls.
    Semihosting,
}

/// `[console]`: where text and SMP frames go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// What carries it.
    pub kind: ConsoleKind,
    /// The peripheral, e.g. `uart0`.
    pub device: Option<String>,
    /// Bits per second. Default 115200.
    #[serde(default = "Console::usual_baud")]
    pub baud: u32,
    /// Transmit pin.
    pub tx: Option<String>,
    /// Receive pin.
    pub rx: Option<String>,
}

impl Console {
    fn usual_baud() -> u32 {
        115_200
    }
}

/// `[programmer]`: how a programmer calls the chip.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Programmer {
    /// probe-rs: the chip, e.g. `nRF52832_xxAA`.
    pub chip: Option<String>,
    /// OpenOCD: its configuration files, e.g. `interface/cmsis-dap.cfg` and `target/nrf52.cfg`.
    #[serde(default)]
    pub openocd: Vec<String>,
}

/// The level of a pin that means "on" or "pressed".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Active {
    /// Supply.
    #[default]
    High,
    /// Ground.
    Low,
}

/// `[[led]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Led {
    /// What it is called.
    pub name: String,
    /// Its pin, as the chip's manual calls it.
    pub pin: String,
    /// The level that lights it. Default high.
    #[serde(default)]
    pub active: Active,
    /// Its colour.
    pub color: Option<String>,
}

/// `[[button]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Button {
    /// What it is called.
    pub name: String,
    /// Its pin, as the chip's manual calls it.
    pub pin: String,
    /// The level when pressed. Default high.
    #[serde(default)]
    pub active: Active,
    /// A pin that has to be driven high for the button to work.
    pub enable: Option<String>,
}

/// A way into serial recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecoveryWay {
    /// The button is pressed at a reset.
    Button,
    /// The reset pin.
    PinReset,
    /// The application asked for it before the reset, in retained memory.
    BootMode,
    /// There is nothing to boot.
    NoImage,
    /// A request comes within a while of every reset.
    Wait,
}

impl RecoveryWay {
    /// The name used in board files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Button => "button",
            Self::PinReset => "pin-reset",
            Self::BootMode => "boot-mode",
            Self::NoImage => "no-image",
            Self::Wait => "wait",
        }
    }
}

/// How messages travel over the serial line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecoveryTransport {
    /// As lines of text, beside the log.
    #[default]
    Console,
    /// As they are; nothing else is on the line.
    Raw,
}

/// `[recovery]`: the bootloader takes images over a serial line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// The ways into it, at least one.
    pub enter: Vec<RecoveryWay>,
    /// Framing on the line. Default `console`.
    #[serde(default)]
    pub transport: RecoveryTransport,
    /// How long a request is waited for after a reset, with the way `wait`. Default 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
    /// Whether clients choose the slot that they upload to, and not only the image. Default false.
    #[serde(default)]
    pub direct_upload: bool,
}

impl Recovery {
    /// As long as the original waits.
    const USUAL_WAIT_MS: u32 = 500;

    /// Whether this is a way into recovery.
    pub fn enters_by(&self, way: RecoveryWay) -> bool {
        self.enter.contains(&way)
    }

    /// How many milliseconds after a reset a request is waited for; `None` if none is.
    pub fn window_ms(&self) -> Option<u32> {
        self.enters_by(RecoveryWay::Wait).then(|| self.wait_ms.unwrap_or(Self::USUAL_WAIT_MS))
    }
}

/// `[watchdog]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// Milliseconds without a feed until it resets the chip.
    pub timeout_ms: u32,
    /// Whether the bootloader starts it, so that an image that hangs is reverted. Default false.
    #[serde(default)]
    pub started_by_bootloader: bool,
}

/// Sector runs as tables with `size` and `count`.
mod runs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use updraft_flash::SectorRun;

    use crate::text::size;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Run {
        #[serde(with = "size")]
        size: u32,
        count: u32,
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<SectorRun>, D::Error> {
        let runs = Vec::<Run>::deserialize(from)?;
        Ok(runs.into_iter().map(|Run { size, count }| SectorRun { count, size }).collect())
    }

    pub(super) fn serialize<S: Serializer>(runs: &[SectorRun], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(runs.iter().map(|run| Run { size: run.size, count: run.count }))
    }
}
