//! Everything that can be told of an image file: fields, byte ranges, whose signature.
//!
//! Inspection explains; it does not judge. Whether a bootloader takes an image is asked of
//! [`updraft_image::validate`], with that bootloader's rules.

mod signatures;
mod tlvs;

use serde::Serialize;
use updraft_image::{
    Digest, Flag, Flags, HashKind, Header, HeaderError, Magic, SwapInfo, SwapType, TlvArea,
    TlvEntry, TlvType, TrailerLayout, UpgradeMode, image_hash,
};

use crate::{PublicKey, decompress, wrap_format};
pub use signatures::{SignatureInfo, SignatureState};
pub use tlvs::TlvInfo;

/// A public key and what people call it: its file name, for example.
#[derive(Clone, Debug)]
pub struct NamedKey {
    /// Its name.
    pub name: String,
    /// The key.
    pub key: PublicKey,
}

/// What there is to know of an image.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Bytes of the file.
    pub size: usize,
    /// Bytes of the image itself, TLVs included; `None` if the TLVs cannot be walked.
    pub image_size: Option<u32>,
    /// The header.
    pub header: HeaderInfo,
    /// The file from its first byte to its last.
    pub regions: Vec<Region>,
    /// Every TLV in its order.
    pub tlvs: Vec<TlvInfo>,
    /// The image hash.
    pub hash: Option<HashInfo>,
    /// Every signature in its order.
    pub signatures: Vec<SignatureInfo>,
    /// The image that a compressed one was made of, if the body can be decompressed.
    pub uncompressed: Option<UncompressedInfo>,
    /// The trailer, if the file is padded to a slot.
    pub trailer: Option<TrailerInfo>,
    /// What is wrong or deserves attention.
    pub findings: Vec<String>,
}

/// The header's fields.
#[derive(Clone, Debug, Serialize)]
pub struct HeaderInfo {
    /// `major.minor.revision+build`.
    pub version: String,
    /// Offset of the body.
    pub header_size: u16,
    /// Bytes of the body.
    pub body_size: u32,
    /// Bytes of the protected TLV area.
    pub protected_tlv_size: u16,
    /// Where the image runs, if it does not run anywhere.
    pub load_addr: u32,
    /// The flag word.
    pub flags: u32,
    /// Names of the flags.
    pub flag_names: String,
}

/// What a byte range is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegionKind {
    /// The 32 bytes of the header.
    Header,
    /// What is between header and body.
    HeaderPadding,
    /// The firmware.
    Body,
    /// TLVs that are part of the hash.
    ProtectedTlvs,
    /// TLVs that are not.
    Tlvs,
    /// Erased flash up to the trailer.
    Padding,
    /// The end of the slot.
    Trailer,
    /// Bytes that belong to no image.
    Behind,
}

impl RegionKind {
    /// The range in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::HeaderPadding => "header padding",
            Self::Body => "body",
            Self::ProtectedTlvs => "protected TLVs",
            Self::Tlvs => "TLVs",
            Self::Padding => "padding",
            Self::Trailer => "trailer",
            Self::Behind => "behind the image",
        }
    }

    /// Whether the image hash covers it.
    pub fn is_hashed(self) -> bool {
        matches!(self, Self::Header | Self::HeaderPadding | Self::Body | Self::ProtectedTlvs)
    }
}

/// A byte range of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Region {
    /// What it is for.
    pub kind: RegionKind,
    /// Where it begins.
    pub offset: usize,
    /// Its bytes.
    pub len: usize,
}

/// The image hash: stored and computed.
#[derive(Clone, Debug, Serialize)]
pub struct HashInfo {
    /// SHA256, SHA384 or SHA512.
    pub algorithm: &'static str,
    /// What the TLV says, in hexadecimal.
    pub stored: String,
    /// What the content hashes to.
    pub computed: String,
    /// Whether they are the same.
    pub matches: bool,
}

/// The image that a compressed one was made of.
#[derive(Clone, Debug, Serialize)]
pub struct UncompressedInfo {
    /// Bytes of the image, TLVs included.
    pub size: u32,
    /// Bytes of the body.
    pub body_size: u32,
    /// Its hash: stored in DECOMP_SHA, and computed.
    pub hash: Option<HashInfo>,
    /// Its signatures: stored in DECOMP_SIGNATURE.
    pub signatures: Vec<SignatureInfo>,
}

/// The trailer's fields.
#[derive(Clone, Debug, Serialize)]
pub struct TrailerInfo {
    /// Spacing of the fields that the magic is for.
    pub max_align: u32,
    /// Whether the image is confirmed: `set`, `unset` or `bad`.
    pub image_ok: &'static str,
    /// Whether a swap has ended: `set`, `unset` or `bad`.
    pub copy_done: &'static str,
    /// The swap type that was begun: `none`, `test`, `permanent`, `revert`.
    pub swap_type: &'static str,
    /// What a bootloader does with this image in its secondary slot.
    pub asks_for: &'static str,
}

/// Explains `file`, which begins with an image header. `keys` are those that its signatures are
/// checked with.
pub fn inspect(file: &[u8], keys: &[NamedKey]) -> Result<Inspection, HeaderError> {
    let header = Header::parse(file)?;
    let mut findings = Vec::new();
    let mut source = file;
    let (area, entries) = match tlvs::walk(&mut source, &header) {
        (area, entries, None) => (area, entries),
        (area, entries, Some(error)) => {
            findings.push(format!("the TLVs cannot be read to their end: {error}"));
            (area, entries)
        }
    };
    if usize::from(header.hdr_size) < Header::SIZE {
        findings.push(format!("the header size {} is below 32", header.hdr_size));
    }
    if header.pad != 0 {
        findings.push(format!("the header's last word is {:#x}, usually 0", header.pad));
    }
    let digests = Digests::new(file, &header, &entries);
    let hash = digests.image.as_ref().map(|(stored, computed)| HashInfo {
        algorithm: computed.kind().tlv().name().unwrap_or_default(),
        stored: hex(stored),
        computed: computed.to_string(),
        matches: stored.as_slice() == computed.as_bytes(),
    });
    let flagged = header.flags.intersects(Flags::ENCRYPTED);
    let encrypted = digests.encrypted;
    if encrypted {
        findings.push("encrypted: hash and signature are those of the decrypted image".into());
    } else if flagged {
        findings.push(
            "flagged as encrypted, with a body in plaintext: for a primary slot alone".into(),
        );
    }
    if flagged && wrap_format(file).is_none() {
        findings.push("there is no TLV with the content key: it cannot be decrypted".into());
    }
    match &hash {
        None => findings.push("there is no image hash".into()),
        Some(hash) if !hash.matches && !encrypted => {
            findings.push("the content is not what the image hash says: damaged or altered".into());
        }
        Some(_) => {}
    }
    let signatures = signatures::check(file, &header, &entries, &digests, keys, &mut findings);
    let compressed = header.flags.intersects(Flags::COMPRESSED);
    let uncompressed = match compressed && !encrypted {
        true => uncompressed(file, keys, &mut findings),
        false => None,
    };
    let trailer = trailer(file, area.as_ref());
    Ok(Inspection {
        size: file.len(),
        image_size: area.map(|area| area.end()),
        header: HeaderInfo {
            version: header.version.to_string(),
            header_size: header.hdr_size,
            body_size: header.img_size,
            protected_tlv_size: header.protect_tlv_size,
            load_addr: header.load_addr,
            flags: header.flags.0,
            flag_names: header.flags.to_string(),
        },
        regions: regions(file, &header, area.as_ref(), trailer.is_some(), &mut findings),
        tlvs: tlvs::Explained {
            file,
            hash: hash.as_ref(),
            signatures: &signatures,
            uncompressed: uncompressed.as_ref(),
            encrypted,
            flags: header.flags,
            keys,
        }
        .all(&entries),
        hash,
        signatures,
        uncompressed,
        trailer,
        findings,
    })
}

/// Explains the image that the compressed image in `file` was made of.
fn uncompressed(
    file: &[u8],
    keys: &[NamedKey],
    findings: &mut Vec<String>,
) -> Option<UncompressedInfo> {
    let found = decompress(file).map_err(|error| error.to_string());
    let inside = found.and_then(|image| inspect(&image, keys).map_err(|error| error.to_string()));
    let Inspection { image_size, header, hash, signatures, .. } = match inside {
        Ok(inspection) => inspection,
        Err(error) => {
            findings.push(format!("the body cannot be decompressed: {error}"));
            return None;
        }
    };
    if hash.as_ref().is_none_or(|hash| !hash.matches) {
        findings.push("the body does not decompress to what DECOMP_SHA says".into());
    }
    if signatures.iter().any(|signature| signature.state == SignatureState::Wrong) {
        findings.push("DECOMP_SIGNATURE is wrong".into());
    }
    let (size, body_size) = (image_size?, header.body_size);
    Some(UncompressedInfo { size, body_size, hash, signatures })
}

/// Digests of the image, as far as its TLVs ask for them.
struct Digests {
    /// The image hash as stored and as computed.
    image: Option<(Vec<u8>, Digest)>,
    /// What a signature over the hash covers: of an encrypted image the stored hash, which is that
    /// of the decrypted one.
    signed: Option<Digest>,
    /// Whether the body is encrypted: flagged so, and not what was hashed. An image for a primary
    /// slot keeps the flag in plaintext.
    encrypted: bool,
}

impl Digests {
    fn new(file: &[u8], header: &Header, entries: &[TlvEntry]) -> Self {
        let image = entries.iter().find_map(|entry| {
            let kind = HashKind::from_tlv(entry.kind)?;
            let computed = image_hash(&mut &*file, header, kind).ok()?;
            Some((tlvs::payload(file, entry)?.to_vec(), computed))
        });
        let plain = image.as_ref().is_some_and(|(stored, computed)| stored == computed.as_bytes());
        let encrypted = header.flags.intersects(Flags::ENCRYPTED) && !plain;
        let signed = image.as_ref().and_then(|(stored, computed)| match encrypted {
            true => Digest::from_slice(computed.kind(), stored),
            false => Some(*computed),
        });
        Self { image, signed, encrypted }
    }

    /// The algorithm of the image hash, which is also that of key hashes.
    fn kind(&self) -> HashKind {
        self.image.as_ref().map(|(_, computed)| computed.kind()).unwrap_or_default()
    }
}

/// Whether SIG_PURE says that signatures cover the image itself.
fn is_pure(file: &[u8], entries: &[TlvEntry]) -> bool {
    let mut pure = entries.iter().filter(|entry| entry.kind == TlvType::SIG_PURE);
    pure.any(|entry| tlvs::payload(file, entry) == Some(&[1]))
}

fn regions(
    file: &[u8],
    header: &Header,
    area: Option<&TlvArea>,
    trailer: bool,
    findings: &mut Vec<String>,
) -> Vec<Region> {
    use RegionKind::{Behind, Body, HeaderPadding, Padding, ProtectedTlvs, Tlvs, Trailer};
    let mut regions = Vec::new();
    let mut at = 0;
    // Ends come from the header and can lie anywhere; a range ends where the file does.
    let mut until = |kind, end: usize| {
        let end = end.min(file.len());
        if end > at {
            regions.push(Region { kind, offset: at, len: end - at });
            at = end;
        }
    };
    until(RegionKind::Header, Header::SIZE);
    until(HeaderPadding, header.hdr_size.into());
    until(Body, header.tlv_offset().map_or(usize::MAX, |end| end as usize));
    let Some(area) = area else {
        until(Behind, file.len());
        return regions;
    };
    until(ProtectedTlvs, area.protected_end() as usize);
    until(Tlvs, area.end() as usize);
    if area.end() as usize > file.len() {
        findings.push(format!("the file ends {} bytes early", area.end() as usize - file.len()));
    }
    if trailer {
        // Where the status records begin depends on the bootloader; the fields do not.
        let fields = trailer_layout(file).map_or(file.len(), |layout| layout.status() as usize);
        until(Padding, fields);
        until(Trailer, file.len());
    } else if file.len() > area.end() as usize {
        let behind = &file[area.end() as usize..];
        let erased = behind.iter().all(|byte| *byte == behind[0]) && matches!(behind[0], 0 | 0xff);
        if !erased {
            findings.push(format!("{} bytes follow the image", behind.len()));
        }
        until(if erased { Padding } else { Behind }, file.len());
    }
    regions
}

/// The layout whose magic stands at the end of the file.
fn trailer_layout(file: &[u8]) -> Option<TrailerLayout> {
    let size = u32::try_from(file.len()).ok()?;
    let magic = file.last_chunk::<16>()?;
    TrailerLayout::MAX_ALIGNS.into_iter().find_map(|align| {
        // No erased value makes the magic look erased.
        (Magic::decode(magic, align, 0xff) == Magic::Good)
            .then(|| TrailerLayout::new(size, UpgradeMode::SingleSlot, 0, 1, align))?
    })
}

fn trailer(file: &[u8], area: Option<&TlvArea>) -> Option<TrailerInfo> {
    let layout = trailer_layout(file)?;
    let erased = *file.get(area?.end() as usize)?;
    let flag = |offset: u32| match Flag::decode(*file.get(offset as usize)?, erased) {
        Flag::Set => Some("set"),
        Flag::Unset => Some("unset"),
        Flag::Bad => Some("bad"),
    };
    let swap_info = SwapInfo::decode(*file.get(layout.swap_info() as usize)?, erased);
    let image_ok = flag(layout.image_ok())?;
    Some(TrailerInfo {
        max_align: layout.max_align(),
        image_ok,
        copy_done: flag(layout.copy_done())?,
        swap_type: match swap_info.swap_type {
            SwapType::Test => "test",
            SwapType::Permanent => "permanent",
            SwapType::Revert => "revert",
            SwapType::None | SwapType::Fail => "none",
        },
        asks_for: match image_ok {
            "unset" => "a test: reverted unless the image confirms itself",
            "set" => "an upgrade for good",
            _ => "nothing: image_ok is neither set nor erased",
        },
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
