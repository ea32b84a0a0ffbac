//! What a signer and a verifier have to know of a board.

use updraft_image::{BoardIds, HashKind, Rules, Signed, Strictness, TrailerLayout, UpgradeMode};

use crate::Board;
use crate::schema::{DowngradePrevention, Encryption, ImageDefaults, Role, Signature};

/// Everything that imgtool wants on its command line, for one image of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// Offset of the body (`--header-size`).
    pub header_size: u32,
    /// Whether the header is put in front of the binary (`--pad-header`).
    pub pad_header: bool,
    /// Whether the image is padded to the slot (`--pad`).
    pub pad: bool,
    /// Whether it is marked as confirmed (`--confirm`).
    pub confirm: bool,
    /// Bytes of the slot that updates are written to (`--slot-size`).
    pub slot_size: u32,
    /// Bytes that one status record takes (`--align`).
    pub align: u32,
    /// Spacing of the trailer's fields (`--max-align`).
    pub max_align: u32,
    /// Sectors that the trailer has records for (`--max-sectors`).
    pub max_sectors: u32,
    /// The upgrade mode (`--overwrite-only` if it is that).
    pub mode: UpgradeMode,
    /// What padding consists of (`--erased-val`).
    pub erased: u8,
    /// The trailer of the slot that updates are written to.
    pub trailer: TrailerLayout,
    /// Largest image with its TLVs, in bytes.
    pub max_image: u32,
    /// The image hash (`--sha`).
    pub hash: HashKind,
    /// The signature scheme that the board's bootloader asks for.
    pub signature: Signature,
    /// Whether the signature covers the image itself (`--pure`).
    pub pure: bool,
    /// How the content key is wrapped (`--encrypt`, `--encrypt-keylen`), if images are encrypted.
    pub encryption: Option<Encryption>,
    /// The ids to put in (`--vid`, `--cid`).
    pub ids: Option<BoardIds>,
}

impl Board {
    /// How image number `image` is signed; `None` if the board has no such image.
    pub fn signing(&self, image: u8) -> Option<Signing> {
        let primary = self.slot(image, Role::Primary)?;
        let slot = self.slot(image, Role::Secondary).unwrap_or(primary);
        let ImageDefaults { header_size, pad_header, pad, confirm } = *self.image_defaults();
        let boot = self.boot();
        Some(Signing {
            header_size,
            pad_header,
            pad,
            confirm,
            slot_size: slot.size,
            align: self.device(primary).write_size.min(boot.max_align),
            max_align: boot.max_align,
            max_sectors: boot.max_sectors,
            mode: boot.mode,
            erased: self.device(slot).erased,
            trailer: self.trailer(slot)?,
            max_image: self.capacity(image).max_image,
            hash: boot.image_hash(),
            signature: boot.signature,
            pure: boot.pure,
            encryption: boot.encryption,
            ids: self.ids(),
        })
    }

    /// What the board's bootloader asks of image number `image`. Keys and the stored security
    /// counter are the device's own and not in the board file.
    pub fn rules(&self, image: u8) -> Rules {
        let boot = self.boot();
        Rules {
            hash: boot.image_hash(),
            signed: if boot.pure { Signed::Image } else { Signed::Hash },
            strictness: if boot.strict { Strictness::Strict } else { Strictness::Imitate },
            supported: boot.supported(),
            max_size: self.capacity(image).max_image,
            allow_list: boot.tlv_allow_list,
            // Which counter is the device's; that there is one is the board's.
            security_counter: (boot.downgrade_prevention == DowngradePrevention::SecurityCounter)
                .then_some(0),
            board: self.ids(),
        }
    }
}
