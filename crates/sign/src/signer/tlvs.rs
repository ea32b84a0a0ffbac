//! The TLV areas of an image that is being made.

use updraft_image::{HashKind, Header, TlvKind, TlvType};

use super::SignError;
use crate::PublicKey;
use crate::boot_record::boot_record;
use crate::options::{CustomTlvError, Endian, SignOptions};

/// The protected area; empty if there is nothing to put in.
pub fn protected(
    options: &SignOptions,
    hash: HashKind,
    key: Option<&PublicKey>,
    packed: &[(TlvType, Vec<u8>)],
) -> Result<Vec<u8>, SignError> {
    let mut tlvs = Vec::new();
    if let Some(counter) = options.security_counter {
        let value = options.endian.u32(counter.value(options.version));
        tlvs.push((TlvType::SEC_CNT, value.to_vec()));
    }
    if let Some(sw_type) = &options.boot_record {
        if sw_type.chars().count() > 12 {
            return Err(SignError::BootRecord(sw_type.clone()));
        }
        let signer = key.map(|key| key.hash(hash));
        let record = boot_record(sw_type, options.version, hash, signer.as_ref());
        tlvs.push((TlvType::BOOT_RECORD, record));
    }
    let dependencies = options.dependencies.iter();
    tlvs.extend(dependencies.map(|one| {
        let mut bytes = one.to_bytes();
        options.endian.order(&mut bytes, &[6..8, 8..12]);
        (TlvType::DEPENDENCY, bytes.to_vec())
    }));
    tlvs.extend_from_slice(packed);
    tlvs.extend(options.vendor_id.map(|id| (TlvType::UUID_VID, id.to_vec())));
    tlvs.extend(options.class_id.map(|id| (TlvType::UUID_CID, id.to_vec())));
    for (at, (kind, payload)) in options.custom_tlvs.iter().enumerate() {
        if !kind.is_custom() {
            return Err(CustomTlvError::Type(kind.0).into());
        }
        if options.custom_tlvs[..at].iter().any(|(before, _)| before == kind) {
            return Err(CustomTlvError::Twice(kind.0).into());
        }
        if u16::try_from(payload.len()).is_err() {
            return Err(CustomTlvError::Length(payload.len()).into());
        }
        tlvs.push((*kind, payload.clone()));
    }
    match tlvs.is_empty() {
        true => Ok(Vec::new()),
        false => area(TlvKind::Protected, &tlvs, options.endian),
    }
}

/// An area: magic and length of all of it, then type, length and payload of each TLV.
pub fn area(
    kind: TlvKind,
    tlvs: &[(TlvType, Vec<u8>)],
    endian: Endian,
) -> Result<Vec<u8>, SignError> {
    let len = tlvs.iter().fold(4, |len, (_, payload)| len + 4 + payload.len());
    let len = u16::try_from(len).map_err(|_| SignError::TooManyTlvs)?;
    let mut area = [endian.u16(kind.magic()), endian.u16(len)].concat();
    for (kind, payload) in tlvs {
        // The format's own types are a byte and a zero in either order.
        let kind = match kind.is_custom() {
            true => endian.u16(kind.0),
            false => kind.0.to_le_bytes(),
        };
        // No longer than the area.
        area.extend([kind, endian.u16(payload.len() as u16)].concat());
        area.extend_from_slice(payload);
    }
    Ok(area)
}

/// The header's bytes.
pub fn header(header: &Header, endian: Endian) -> [u8; Header::SIZE] {
    let mut bytes = header.emit();
    let fields = [0..4, 4..8, 8..10, 10..12, 12..16, 16..20, 22..24, 24..28];
    endian.order(&mut bytes, &fields);
    bytes
}
