//! Compressed updates, made by imgtool.

use std::fs;
use std::path::PathBuf;

use crate::board::{FlashFault, PRIMARY, Report, SECONDARY};
use updraft_boot::{
    Boot, BootError, Bootloader, Config, EqualSlots, Event, InPlace, Overwrite,
    OverwriteCompressed, Platform, SingleSlot, Strategy, Validate,
};
use updraft_flash::{AreaEntry, SlotPair, TrailerFormat};
use updraft_image::encryption::EciesP256;
use updraft_image::{
    Decoder, Digest, Flags, HashKind, HashOnly, Header, HeaderError, KeyLength, PublicKey, Refusal,
    Rules, Software, TlvArea, TlvType, UpgradeMode, Verifier, WithPrivateKey,
};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const SLOT: u32 = 16 * 4096;

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The keys that the images are signed with and encrypted for.
struct Keys {
    signing: [Vec<u8>; 2],
    private: Vec<u8>,
}

impl Keys {
    fn new() -> Self {
        let manifest: serde_json::Value = serde_json::from_slice(&file("manifest.json")).unwrap();
        let signing = ["ecdsa-p256", "ed25519"].map(|name| {
            let hex = manifest["keys"][name]["embedded_pub_der_hex"].as_str().unwrap();
            let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (0..hex.len()).step_by(2).map(digits).collect()
        });
        let pem = String::from_utf8(file("keys/enc-ecdsa-p256.pem")).unwrap();
        let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        use base64::Engine as _;
        let private = base64::engine::general_purpose::STANDARD.decode(lines).unwrap();
        Self { signing, private }
    }
}

fn config() -> Config {
    let slots = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };
    let supported = Flags::COMPRESSED_LZMA2 | Flags::COMPRESSED_ARM_THUMB | Flags::ENCRYPTED_AES128;
    Config::new(slots, Rules { supported, ..Rules::default() })
}

/// A device that runs an old image and is asked to install `update`.
fn asked(update: &[u8]) -> SimFlash {
    let area = |id, at| AreaEntry { id, device: 0, offset: at * SLOT, size: SLOT };
    let table = vec![area(PRIMARY, 0), area(SECONDARY, 1)];
    let mut flash = SimFlash::new(vec![DeviceSpec::nor(32, 4096, 8)], table);
    flash.load(PRIMARY, 0, &file("img/ecdsa-p256.bin")).unwrap();
    flash.load(SECONDARY, 0, update).unwrap();
    let mode = UpgradeMode::OverwriteOnly;
    let format = TrailerFormat { mode, max_align: 8, max_sectors: 128, keys: None };
    format.trailer(&flash, SECONDARY, 8).unwrap().write_magic(&mut flash).unwrap();
    flash
}

type Booted = Result<Boot, BootError<FlashFault>>;

fn boot_with<S: Strategy>(
    flash: &mut SimFlash,
    strategy: S,
    verifier: impl Verifier,
) -> (Booted, Vec<Report>) {
    let mut events = Vec::new();
    let hooks = |_: u8, event: Report| events.push(event);
    let mut platform = Platform::new(flash, verifier).with_hooks(hooks);
    let booted = Bootloader::new(config(), strategy).boot(&mut platform);
    (booted, events)
}

fn boot(flash: &mut SimFlash, ring: usize, verifier: impl Verifier) -> (Booted, Vec<Report>) {
    let (mut decoder, mut ring) = (Box::new(Decoder::new()), vec![0; ring]);
    boot_with(flash, OverwriteCompressed::new(&mut decoder, &mut ring), verifier)
}

/// Boots a device with all the keys.
fn boot_trusting(flash: &mut SimFlash, ring: usize, keys: &Keys) -> (Booted, Vec<Report>) {
    let public = keys.signing.each_ref().map(|der| PublicKey::from_der(der).unwrap());
    let private = EciesP256::from_pkcs8(&keys.private, KeyLength::Aes128).unwrap();
    boot(flash, ring, WithPrivateKey::new(Software::new(&public), private))
}

#[test]
fn images_of_imgtool_are_decompressed_into_the_primary_slot() {
    let keys = Keys::new();
    let body = file("payload/comp.bin");
    for name in ["img/lzma2.bin", "img/lzma2armthumb.bin", "img/lzma2-enc.bin"] {
        for ring in [0, Decoder::RING] {
            let update = file(name);
            let mut flash = asked(&update);
            let (booted, events) = boot_trusting(&mut flash, ring, &keys);
            let boot = booted.unwrap_or_else(|error| panic!("{name}: {error}; {events:?}"));
            assert!(!boot.header.flags.intersects(Flags::COMPRESSED), "{name}: {events:?}");
            assert!(boot.header.img_size as usize >= body.len(), "{name}: {events:?}");
            let start = usize::from(boot.header.hdr_size);
            assert_eq!(flash.bytes(PRIMARY)[start..start + body.len()], body, "{name}");
            assert!(update.len() < body.len(), "{name}");
            let (again, events) = boot_trusting(&mut flash, ring, &keys);
            assert_eq!(again.unwrap().header, boot.header, "{name}");
            assert!(events.is_empty(), "{name}: {events:?}");
        }
    }
}

#[test]
fn an_image_that_is_not_compressed_is_copied() {
    let keys = Keys::new();
    let update = file("img/ecdsa-p256.bin");
    let mut flash = asked(&update);
    let (booted, _) = boot_trusting(&mut flash, 0, &keys);
    assert!(booted.is_ok());
    assert!(flash.bytes(PRIMARY).starts_with(&update));
}

/// Whatever the rules of its board say: its bytes would run as they are.
#[test]
fn a_bootloader_that_unpacks_nothing_takes_no_compressed_image() {
    let keys = Keys::new();
    let public = keys.signing.each_ref().map(|der| PublicKey::from_der(der).unwrap());
    let update = file("img/lzma2.bin");
    let running = file("img/ecdsa-p256.bin");
    let mut flash = asked(&update);
    flash.load(PRIMARY, 0, &running).unwrap();
    let (booted, events) = boot_with(&mut flash, Overwrite::Image, Software::new(&public));
    assert!(booted.is_ok(), "{booted:?}");
    assert!(matches!(events[..], [Event::SecondaryRefused(Refusal::Header(_))]), "{events:?}");
    assert!(flash.bytes(PRIMARY).starts_with(&running));

    let mut flash = asked(&update);
    flash.load(PRIMARY, 0, &update).unwrap();
    let mut platform = Platform::new(&mut flash, Software::new(&public));
    let booted = SingleSlot::new(config(), Validate::Always).boot(&mut platform);
    assert!(matches!(booted, Err(BootError::Refused(Refusal::Header(_)))), "{booted:?}");
    let booted = EqualSlots::new(config(), InPlace { revert: false }).boot(&mut platform);
    assert_eq!(booted, Err(BootError::NoImage));
}

#[test]
fn a_compressed_image_in_the_primary_slot_is_not_run() {
    let keys = Keys::new();
    let mut flash = asked(&file("img/ecdsa-p256.bin"));
    // As a programmer on the bench might put it there; nothing else is asked for.
    let erased = vec![0xff; SLOT as usize];
    flash.load(PRIMARY, 0, &erased).unwrap();
    flash.load(SECONDARY, 0, &erased).unwrap();
    flash.load(PRIMARY, 0, &file("img/lzma2.bin")).unwrap();
    let (booted, _) = boot_trusting(&mut flash, 0, &keys);
    let refused = matches!(
        booted,
        Err(BootError::Refused(Refusal::Header(HeaderError::Flags { flags })))
            if flags.intersects(Flags::COMPRESSED)
    );
    assert!(refused, "{booted:?}");
}

#[test]
fn every_cut_ends_in_the_decompressed_image() {
    let keys = Keys::new();
    let start = asked(&file("img/lzma2.bin"));
    let mut done = start.clone();
    boot_trusting(&mut done, 0, &keys).0.unwrap();
    let installed = done.bytes(PRIMARY);
    for torn in [Torn::Skip, Torn::Half, Torn::Bits(3)] {
        for n in 0.. {
            let mut flash = start.clone();
            flash.supply().cut_at(n, torn);
            let ended = boot_trusting(&mut flash, 0, &keys).0.is_ok();
            flash.supply().power_on();
            let (booted, _) = boot_trusting(&mut flash, 0, &keys);
            assert!(booted.is_ok(), "cut {n} {torn:?}: {booted:?}");
            assert_eq!(flash.bytes(PRIMARY), installed, "cut {n} {torn:?}");
            if ended {
                break;
            }
        }
    }
}

/// The image with its hash made anew, so that only what it decompresses to is wrong.
fn rehashed(mut image: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut image);
    let header = Header::parse(image.first_chunk::<{ Header::SIZE }>().unwrap()).unwrap();
    let end = header.hashed_len().unwrap() as usize;
    let digest = Digest::of(HashKind::Sha256, &image[..end]);
    let mut source = image.as_slice();
    let mut tlvs = TlvArea::open(&mut source, &header).unwrap().iter();
    let entry = tlvs.find(&mut source, TlvType::SHA256).unwrap().unwrap();
    let at = entry.offset as usize;
    image[at..at + 32].copy_from_slice(digest.as_bytes());
    image
}

#[test]
fn with_enough_memory_a_bad_stream_is_found_before_anything_is_erased() {
    let update = rehashed(file("img/lzma2.bin"), |image| image[0x80] ^= 0x10);
    let mut flash = asked(&update);
    let before = flash.bytes(PRIMARY);
    let (booted, events) = boot(&mut flash, Decoder::RING, HashOnly);
    assert!(booted.is_ok(), "{booted:?}");
    assert!(matches!(events[..], [Event::SecondaryRefused(_)]), "{events:?}");
    assert_eq!(flash.bytes(PRIMARY), before);
}

/// Then the device has no image, and says so at every boot; it does not run what it cannot check.
#[test]
fn without_that_memory_a_bad_stream_is_found_where_it_has_been_written() {
    let update = rehashed(file("img/lzma2.bin"), |image| image[0x80] ^= 0x10);
    let mut flash = asked(&update);
    for _ in 0..2 {
        let (booted, _) = boot(&mut flash, 0, HashOnly);
        assert!(matches!(booted, Err(BootError::Refused(_))), "{booted:?}");
    }
}

#[test]
fn an_image_that_would_not_fit_decompressed_is_refused() {
    // The size that it claims is in the first four bytes of the DECOMP_SIZE TLV.
    let update = rehashed(file("img/lzma2.bin"), |image| {
        let header = Header::parse(image.first_chunk::<{ Header::SIZE }>().unwrap()).unwrap();
        let mut source = image.as_slice();
        let mut tlvs = TlvArea::open(&mut source, &header).unwrap().iter_protected();
        let entry = tlvs.find(&mut source, TlvType::DECOMP_SIZE).unwrap().unwrap();
        let at = entry.offset as usize;
        image[at..at + 4].copy_from_slice(&SLOT.to_le_bytes());
    });
    for ring in [0, Decoder::RING] {
        let mut flash = asked(&update);
        let before = flash.bytes(PRIMARY);
        let (booted, events) = boot(&mut flash, ring, HashOnly);
        assert!(booted.is_ok(), "{booted:?}");
        let [Event::SecondaryRefused(Refusal::TooLarge { size, .. })] = events[..] else {
            panic!("{events:?}");
        };
        assert!(size > SLOT);
        assert_eq!(flash.bytes(PRIMARY), before);
    }
}

#[test]
fn a_bootloader_without_a_decoder_refuses() {
    let mut flash = asked(&file("img/lzma2.bin"));
    let mut events = Vec::new();
    let hooks = |_: u8, event: Report| events.push(event);
    let mut config = config();
    config.rules.supported = Flags::default();
    let mut platform = Platform::new(&mut flash, HashOnly).with_hooks(hooks);
    Bootloader::new(config, Overwrite::Image).boot(&mut platform).unwrap();
    let [Event::SecondaryRefused(Refusal::Header(HeaderError::Flags { .. }))] = events[..] else {
        panic!("{events:?}");
    };
}
