//! The encryption TLV and the encrypted body of an arbitrary slot, on devices with fixed keys.
//!
//! ```text
//! 0  the device: how content keys are wrapped, their length
//! 1  where a second read begins, in 64ths of the slot
//! 2  the slot
//! ```
//! Asserts: header and TLVs are given as they are, a part reads like the same part of the whole,
//! and encrypting the plaintext gives the slot again.

use updraft_image::encryption::{AesKeyWrap, EciesP256, EciesX25519, HmacSha512};
use updraft_image::{
    BodyCipher, Decrypted, Flags, HashOnly, Header, KeyLength, KeyUnwrap, Rules, Source,
    TrailerKeys, WrappedKey, validate,
};

const P256: &[u8] = include_bytes!("../keys/enc-ecdsa-p256.der");
const X25519: &[u8] = include_bytes!("../keys/enc-x25519.der");
const WRAPPING: &[u8] = include_bytes!("../keys/enc-aes128kw.bin");

fn device(choice: u8) -> Box<dyn KeyUnwrap> {
    let length = KeyLength::ALL[usize::from(choice & 4 != 0)];
    match choice & 3 {
        0 => Box::new(AesKeyWrap::from_slice(WRAPPING).expect("a key")),
        1 => Box::new(EciesP256::from_pkcs8(P256, length).expect("a key")),
        2 => Box::new(<EciesX25519>::from_pkcs8(X25519, length).expect("a key")),
        _ => Box::new(EciesX25519::<HmacSha512>::from_pkcs8(X25519, length).expect("a key")),
    }
}

/// Takes one input.
pub fn run(data: &[u8]) {
    let [choice, from, slot @ ..] = data else { return };
    let Ok(header) = Header::parse(slot) else { return };
    let mut device = device(*choice);
    let format = device.format().expect("it has a key");
    let Ok(wrapped) = WrappedKey::find(&mut &slot[..], &header, Some(format)) else { return };
    let Ok(mut source) = Decrypted::open(slot, &header, &mut *device) else { return };
    let mut plain = vec![0; slot.len()];
    source.read(0, &mut plain).expect("the whole slot can be read");
    let rules = Rules { supported: Flags::ENCRYPTED, ..Rules::default() };
    let _ = validate(&mut source, &header, &rules, &mut HashOnly);

    let from = slot.len() * usize::from(from & 63) / 64;
    let mut part = vec![0; (slot.len() - from).min(77)];
    source.read(from as u32, &mut part).expect("part of the slot");
    assert_eq!(part, plain[from..from + part.len()]);

    let Some(wrapped) = wrapped else { return assert_eq!(plain, slot, "not encrypted") };
    let start = usize::from(header.hdr_size).min(slot.len());
    let end = header.tlv_offset().expect("checked when the TLV was found") as usize;
    assert_eq!(plain[..start], slot[..start], "the header is clear");
    assert_eq!(plain[end..], slot[end..], "the TLVs are clear");
    let key = wrapped.unwrap(&mut *device).expect("it was unwrapped before");
    BodyCipher::new(&key, &header).expect("it was opened before").apply(0, &mut plain);
    assert_eq!(plain, slot, "encrypting is the way back");
    for keys in [TrailerKeys::Plain(format.key()), TrailerKeys::Wrapped(format)] {
        let restored = keys.restore(&keys.save(&wrapped, &key), &mut *device).expect("saved");
        assert_eq!(restored.as_bytes(), key.as_bytes());
    }
}

/// The golden encrypted images, for the devices that can read them and for others.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for name in crate::repository_names("vectors/mcuboot/img") {
        if name.starts_with("enc-") && name.ends_with(".bin") && !name.contains("pad") {
            let image = crate::repository_file(&format!("vectors/mcuboot/img/{name}"));
            for choice in 0..8 {
                seeds.push([&[choice, 33], &image[..], &[0xff; 16]].concat());
            }
        }
    }
    seeds
}
