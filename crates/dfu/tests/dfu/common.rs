//! A device with two slots of 64 KiB, and images for it.

use std::collections::HashMap;
use std::convert::Infallible;

use updraft_dfu::{Config, Dfu};
use updraft_flash::{AreaEntry, AreaId, ProgressStore, SlotPair, TrailerFormat};
use updraft_image::encryption::{AesKeyWrap, BodyCipher};
use updraft_image::{
    ContentKey, Digest, Flags, HashKind, Header, Rules, TlvKind, TlvType, TlvWriter, UpgradeMode,
    Version, magic_bytes,
};
use updraft_sim::flash::{DeviceSpec, SimFlash};

pub const PRIMARY: AreaId = AreaId(1);
pub const SECONDARY: AreaId = AreaId(2);
pub const SLOT: u32 = 64 * 1024;

/// Sectors of 4 KiB; `write_size` and the erased value are the device's.
pub fn flash(write_size: u32, erased: u8) -> SimFlash {
    let mut spec = DeviceSpec::nor(32, 4096, write_size);
    spec.erased = erased;
    let area = |id, offset| AreaEntry { id, device: 0, offset, size: SLOT };
    SimFlash::new(vec![spec], vec![area(PRIMARY, 0), area(SECONDARY, SLOT)])
}

pub fn config() -> Config {
    Config {
        slots: SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY },
        trailers: TrailerFormat {
            mode: UpgradeMode::SwapMove,
            max_align: 8,
            max_sectors: 128,
            keys: None,
        },
        rules: Rules::default(),
    }
}

pub fn dfu(flash: &SimFlash) -> Dfu {
    Dfu::new(flash, config()).expect("the slots hold a trailer")
}

/// The same for a device that swaps by offset.
pub fn with_offset(flash: &SimFlash) -> Dfu {
    in_mode(flash, UpgradeMode::SwapOffset)
}

/// An unsigned image with an intact hash.
pub fn image(version: Version, body_len: usize) -> Vec<u8> {
    let header = Header { hdr_size: 32, img_size: body_len as u32, version, ..Header::default() };
    let mut image = header.emit().to_vec();
    image.extend((0..body_len).map(|i| (i * 7) as u8));
    let hash = Digest::of(HashKind::Sha256, &image);
    let mut area = [0; 64];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut area).expect("there is room");
    tlvs.push(TlvType::SHA256, hash.as_bytes()).expect("there is room");
    image.extend_from_slice(tlvs.finish());
    image
}

pub const V1: Version = Version::new(1, 0, 0, 0);

/// An image that is encrypted for the device with the private key [`wrapping`], as it is uploaded.
pub fn encrypted(body_len: usize) -> Vec<u8> {
    let key = ContentKey::from_slice(&[0xc0; 16]).expect("16 bytes");
    let wrapped = wrapping().seal(&key).expect("keys of the same length");
    let header = Header {
        hdr_size: 32,
        img_size: body_len as u32,
        flags: Flags::ENCRYPTED_AES128,
        version: V1,
        ..Header::default()
    };
    let mut image = header.emit().to_vec();
    image.extend((0..body_len).map(|i| (i * 7) as u8));
    let hash = Digest::of(HashKind::Sha256, &image);
    BodyCipher::new(&key, &header).expect("a body").apply(0, &mut image);
    let mut area = [0; 128];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut area).expect("there is room");
    tlvs.push(TlvType::SHA256, hash.as_bytes()).expect("there is room");
    tlvs.push(TlvType::ENCKW, wrapped.as_bytes()).expect("there is room");
    image.extend_from_slice(tlvs.finish());
    image
}

/// The device's private key.
pub fn wrapping() -> AesKeyWrap {
    AesKeyWrap::from_slice(&[0x4b; 16]).expect("16 bytes")
}

/// The same for a device that updates in another mode.
pub fn in_mode(flash: &SimFlash, mode: UpgradeMode) -> Dfu {
    let config = config();
    let trailers = TrailerFormat { mode, ..config.trailers };
    Dfu::new(flash, Config { trailers, ..config }).expect("the slots hold a trailer")
}

/// A device that runs a new image for the first time, with the old one in the secondary slot.
pub fn on_trial() -> SimFlash {
    let mut flash = flash(8, 0xff);
    flash.load(PRIMARY, 0, &image(Version::new(2, 0, 0, 0), 5000)).unwrap();
    flash.load(PRIMARY, SLOT - 16, &magic_bytes(8)).unwrap();
    flash.load(PRIMARY, SLOT - 32, &[1]).unwrap();
    flash.load(SECONDARY, 0, &image(V1, 5000)).unwrap();
    flash
}

/// Settings that survive resets.
#[derive(Clone, Debug, Default)]
pub struct Settings(pub HashMap<String, Vec<u8>>);

impl ProgressStore for Settings {
    type Error = Infallible;

    fn load(&mut self, key: &str, record: &mut [u8]) -> Result<Option<usize>, Infallible> {
        let Some(stored) = self.0.get(key) else { return Ok(None) };
        for (to, from) in record.iter_mut().zip(stored) {
            *to = *from;
        }
        Ok(Some(stored.len()))
    }

    fn save(&mut self, key: &str, record: &[u8]) -> Result<(), Infallible> {
        self.0.insert(key.into(), record.into());
        Ok(())
    }

    fn clear(&mut self, key: &str) -> Result<(), Infallible> {
        self.0.remove(key);
        Ok(())
    }
}
