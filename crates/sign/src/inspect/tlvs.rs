//! What the TLVs say.

use serde::Serialize;
use updraft_image::{
    Dependency, Flags, HashKind, Header, KeyLength, OutOfRange, TlvArea, TlvEntry, TlvError,
    TlvKind, TlvType, WrapFormat,
};
use uuid::Uuid;

use super::signatures::{SignatureInfo, name_of};
use super::{HashInfo, NamedKey, UncompressedInfo, hex};

/// A TLV, explained.
#[derive(Clone, Debug, Serialize)]
pub struct TlvInfo {
    /// Whether the image hash covers it.
    pub protected: bool,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: u16,
    /// Its type's name, or its number.
    pub name: String,
    /// Where its payload begins.
    pub offset: u32,
    /// Bytes of payload.
    pub len: u16,
    /// Its payload in hexadecimal.
    pub data: String,
    /// What the payload means.
    pub meaning: Option<String>,
}

/// The areas, the entries up to the first that cannot be read, and why it cannot.
pub fn walk(
    source: &mut &[u8],
    header: &Header,
) -> (Option<TlvArea>, Vec<TlvEntry>, Option<TlvError<OutOfRange>>) {
    let mut entries = Vec::new();
    let area = match TlvArea::open(source, header) {
        Ok(area) => area,
        Err(error) => return (None, entries, Some(error)),
    };
    let mut walk = area.iter_bounded();
    loop {
        match walk.next(source) {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => return (Some(area), entries, None),
            Err(error) => return (Some(area), entries, Some(error)),
        }
    }
}

/// The entry's payload, if the file has all of it.
pub fn payload<'f>(file: &'f [u8], entry: &TlvEntry) -> Option<&'f [u8]> {
    let start = usize::try_from(entry.offset).ok()?;
    file.get(start..start.checked_add(entry.len.into())?)
}

/// What entries are explained with.
pub struct Explained<'a> {
    pub file: &'a [u8],
    pub hash: Option<&'a HashInfo>,
    pub signatures: &'a [SignatureInfo],
    pub uncompressed: Option<&'a UncompressedInfo>,
    /// Whether the content that can be seen is not what was hashed.
    pub encrypted: bool,
    pub flags: Flags,
    pub keys: &'a [NamedKey],
}

impl Explained<'_> {
    /// Every entry.
    pub fn all(&self, entries: &[TlvEntry]) -> Vec<TlvInfo> {
        let explain = |entry: &TlvEntry| {
            let data = payload(self.file, entry).unwrap_or_default();
            TlvInfo {
                protected: entry.area == TlvKind::Protected,
                kind: entry.kind.0,
                name: entry.kind.to_string(),
                offset: entry.offset,
                len: entry.len,
                data: hex(data),
                meaning: self.meaning(entry, data),
            }
        };
        entries.iter().map(explain).collect()
    }

    fn meaning(&self, entry: &TlvEntry, data: &[u8]) -> Option<String> {
        let Self { hash, signatures, uncompressed, keys, .. } = *self;
        let of_entry = signatures.iter().find(|signature| signature.offset == entry.offset);
        if let Some(signature) = of_entry {
            return Some(signature.to_string());
        }
        let number = || data.try_into().ok().map(u32::from_le_bytes);
        match entry.kind {
            kind if HashKind::from_tlv(kind).is_some() => {
                let same = hash.is_some_and(|hash| hash.computed == hex(data));
                Some(match (same, self.encrypted) {
                    (true, _) => "matches the content".into(),
                    (false, true) => "of the decrypted image".into(),
                    (false, false) => "not what the content hashes to".into(),
                })
            }
            TlvType::KEYHASH | TlvType::PUBKEY => Some(name_of(entry.kind, data, keys)),
            TlvType::SIG_PURE => Some("the signature covers the image itself".into()),
            TlvType::SEC_CNT => number().map(|counter| counter.to_string()),
            TlvType::DECOMP_SIZE => Some(format!("{} bytes of body when decompressed", number()?)),
            TlvType::DECOMP_SHA => Some(match uncompressed?.hash.as_ref()?.matches {
                true => "matches the decompressed image".into(),
                false => "not what the decompressed image hashes to".into(),
            }),
            TlvType::DECOMP_SIGNATURE => {
                let signature = uncompressed?.signatures.last()?;
                Some(format!("{signature}, of the decompressed image"))
            }
            TlvType::COMP_DEC_SIZE => {
                Some(format!("{} bytes of compressed body before encryption", number()?))
            }
            kind if kind.is_encryption() => self.content_key(kind, data),
            TlvType::DEPENDENCY => {
                let Dependency { image, version } = Dependency::from_bytes(data.try_into().ok()?);
                Some(format!("image {image}, at least {version}"))
            }
            TlvType::UUID_VID | TlvType::UUID_CID => {
                Uuid::from_slice(data).ok().map(|id| id.to_string())
            }
            crate::manifest::SBOM => Some("SHA-256 of the bill of materials".into()),
            TlvType::BOOT_RECORD => Some("measured-boot record, CBOR".into()),
            kind if kind.is_custom() => {
                let text = std::str::from_utf8(data).ok()?;
                let printable = !text.is_empty() && !text.chars().any(char::is_control);
                printable.then(|| format!("\"{text}\""))
            }
            _ => None,
        }
    }

    /// How the content key is wrapped, and what for.
    fn content_key(&self, kind: TlvType, data: &[u8]) -> Option<String> {
        let length = KeyLength::ALL.into_iter().find(|key| self.flags.contains(key.flag()))?;
        let wrapped = match kind {
            TlvType::ENCRSA2048 => "by RSA-OAEP",
            TlvType::ENCKW => "by AES key wrap",
            TlvType::ENCEC256 => "by ECIES-P256",
            TlvType::ENCX25519 => "by ECIES-X25519",
            _ => "by ECIES-X25519 with SHA-512",
        };
        let whole = WrapFormat::new(kind, length)?.payload_len();
        Some(match data.len() {
            len if len == whole => format!("{length} content key, wrapped {wrapped}"),
            _ => format!("{length} content keys wrapped {wrapped} take {whole} bytes"),
        })
    }
}
