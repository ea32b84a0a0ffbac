//! Uploads that are refused: what for, when, and what is left of the slot.

use serde_json::{Value, json};
use updraft_image::{Flags, HashOnly, Header, Scheme, SwapInfo, SwapType, UpgradeMode, Version};
use updraft_recovery::{Config, Hooks};
use updraft_sign::{Key, SignOptions, sign};
use updraft_sim::device::Keys;
use updraft_sim::flash::SimFlash;

use crate::common::{
    Device, Direct, Everything, LARGEST, PRIMARY, Recipe, SECONDARY, SLOT, V1, V2, bytes, config,
    image, imitating, nor, sha256, trailer, valid,
};

const LZMA: Flags = Flags::COMPRESSED_LZMA2;
const MODE: UpgradeMode = UpgradeMode::SwapMove;

/// A device that runs version 1.
fn device<H: Hooks>(config: Config, hooks: H) -> Device<HashOnly, H> {
    let mut flash = nor();
    flash.load(PRIMARY, 0, &image(V1, 9_000)).unwrap();
    Device::new(config, flash, HashOnly, hooks)
}

/// The answer to the first chunk; asserts that it was refused before anything was erased.
fn refused_at_once(file: &[u8], first: usize) -> Value {
    let mut device = device(config(MODE), Everything::default());
    let answer = device.first(file, first);
    assert_ne!(answer["rc"], 0);
    assert_eq!(device.flash().counts().erases + device.flash().counts().writes, 0);
    assert_eq!(device.list()["images"][0]["version"], "1.0.0");
    // The original takes all of them.
    let mut original = Device::new(imitating(config(MODE)), nor(), HashOnly, Everything::default());
    assert_eq!(original.first(file, first)["rc"], 0);
    answer
}

#[test]
fn a_header_that_cannot_boot_is_refused_before_anything_is_erased() {
    let good = image(V2, 5_000);
    let with = |change: fn(&mut Header)| {
        let mut header = Header::parse(&good).unwrap();
        change(&mut header);
        let mut file = good.clone();
        file[..32].copy_from_slice(&header.emit());
        file
    };
    let mut no_magic = good.clone();
    no_magic[0] ^= 1;
    let malformed = json!({ "rc": 3, "rsn": "header malformed" });
    assert_eq!(refused_at_once(&no_magic, 600), json!({ "rc": 3, "rsn": "magic mismatch" }));
    assert_eq!(refused_at_once(&good, 28), malformed);
    assert_eq!(refused_at_once(&with(|h| h.hdr_size = 16), 600), malformed);
    assert_eq!(refused_at_once(&with(|h| h.img_size = u32::MAX), 600), malformed);
    // Longer than the file: it cannot be complete.
    assert_eq!(refused_at_once(&with(|h| h.img_size += 40), 600), malformed);
    for special in [with(|h| h.flags = Flags::ENCRYPTED_AES128), with(|h| h.flags = LZMA)] {
        let refusal = json!({ "rc": 8, "rsn": "encrypted or compressed" });
        assert_eq!(refused_at_once(&special, 600), refusal);
    }
    let not_bootable = with(|h| h.flags = Flags::NON_BOOTABLE);
    assert_eq!(refused_at_once(&not_bootable, 600), json!({ "rc": 3, "rsn": "not bootable" }));
}

#[test]
fn what_the_bootloader_would_not_take_is_refused_before_anything_is_erased() {
    let fits = image(V2, LARGEST - 512 - 64);
    let over = fits.len() as u32 - LARGEST;
    let largest = image(V2, LARGEST - 512 - 64 - over);
    assert_eq!(largest.len() as u32, LARGEST);
    let mut device = device(config(MODE), Everything::default());
    assert_eq!(device.upload(&largest, 1_000).0["rc"], 0);
    let answer = refused_at_once(&image(V2, LARGEST - 512 - 64 - over + 1), 1_000);
    assert_eq!(answer, json!({ "rc": 3, "rsn": "image too large" }));
}

#[test]
fn an_image_in_one_chunk_is_verified_before_anything_is_erased() {
    let small = |change: &dyn Fn(&mut Recipe)| {
        let mut recipe = Recipe::new(V2, 600);
        change(&mut recipe);
        recipe.image()
    };
    let other = small(&|recipe| recipe.class = [9; 16]);
    let other_board = json!({ "rc": 11, "rsn": "image for another board" });
    assert_eq!(refused_at_once(&other, other.len()), other_board);
    let mut damaged = small(&|_| ());
    damaged[700] ^= 1;
    let answer = refused_at_once(&damaged, damaged.len());
    assert_eq!(answer, json!({ "rc": 9, "rsn": "image damaged" }));
}

#[test]
fn requests_that_say_too_little_or_too_much_are_refused() {
    let new = image(V2, 5_000);
    for config in [config(MODE), imitating(config(MODE))] {
        let mut device = device(config, Everything::default());
        let invalid = json!({ "rc": 3 });
        assert_eq!(device.chunk(json!({ "off": 0 }), &new[..600]), invalid);
        assert_eq!(device.chunk(json!({ "len": 600 }), &new[..600]), invalid);
        assert_eq!(device.chunk(json!({ "off": "x", "len": 600 }), &new[..600]), invalid);
        let too_long = json!({ "off": 0, "len": SLOT + 1 });
        assert_eq!(device.chunk(too_long, &new[..600]), invalid);
        assert_eq!(device.chunk(json!({ "off": 0, "len": 599 }), &new[..600]), invalid);
        assert_eq!(device.flash().counts().erases, 0);

        // Past the announced end; the upload can go on all the same.
        device.first(&new, 600);
        let beyond = vec![0; new.len() - 599];
        assert_eq!(device.chunk(json!({ "off": 600 }), &beyond), invalid);
        assert_eq!(device.chunk(json!({ "off": 600 }), &new[600..])["rc"], 0);
    }
    let mut device = device(config(MODE), Everything::default());
    let keys = json!({ "off": 0, "len": new.len(), "sha": bytes(&[0; 33]) });
    assert_eq!(device.chunk(keys, &new[..600]), json!({ "rc": 3, "rsn": "hash too long" }));
}

/// Uploads `file` and asserts that it is refused with its last byte, and that there is no image
/// in the slot then, not even to a bootloader that only looks for the magic.
fn refused_at_the_end(keys: Value, file: &[u8]) -> Value {
    let mut device = device(config(MODE), Everything::default());
    let (answer, sent) = device.upload_as(keys.clone(), file, 1_000);
    assert_eq!(sent, file.len());
    assert_eq!(device.list(), json!({ "images": [] }));
    assert!(device.flash().holds(PRIMARY, 0, &[0xff; 32]));
    // The same answer again, and no going on with it.
    let last = file.len() / 1_000 * 1_000;
    assert_eq!(device.chunk(json!({ "off": last }), &file[last..]), answer);
    assert_eq!(device.upload_as(keys, file, 1_000).1, file.len());
    answer
}

#[test]
fn a_file_that_arrives_damaged_is_no_image() {
    let file = image(V2, 5_000);
    let sha = json!({ "sha": bytes(&sha256(&file)) });
    for at in [40, 3_000, file.len() - 1] {
        let mut damaged = file.clone();
        damaged[at] ^= 0x10;
        let answer = refused_at_the_end(sha.clone(), &damaged);
        assert_eq!(answer, json!({ "rc": 9, "rsn": "file damaged" }));
    }
    // Without a hash of the file there is still the image's own.
    let mut damaged = file.clone();
    damaged[3_000] ^= 0x10;
    let answer = refused_at_the_end(json!({}), &damaged);
    assert_eq!(answer, json!({ "rc": 9, "rsn": "image damaged" }));
}

#[test]
fn an_image_for_another_board_is_no_image() {
    let file = Recipe { class: [9; 16], ..Recipe::new(V2, 5_000) }.image();
    let answer = refused_at_the_end(json!({ "sha": bytes(&sha256(&file)) }), &file);
    assert_eq!(answer, json!({ "rc": 11, "rsn": "image for another board" }));
}

#[test]
fn a_short_hash_is_a_name_and_no_proof() {
    let file = image(V2, 5_000);
    let mut device = device(config(MODE), Everything::default());
    let (answer, _) = device.upload_as(json!({ "sha": bytes(&[1, 2, 3]) }), &file, 1_000);
    assert_eq!(answer["rc"], 0);
}

fn signed(key: &Key, version: Version) -> Vec<u8> {
    let options = SignOptions { pad_header: true, ..SignOptions::new(version, 512, SLOT) };
    sign(&[0x5a; 6_000], &options, Some(key)).unwrap()
}

#[test]
fn only_an_image_signed_with_the_devices_key_is_an_image() {
    let [own, foreign] = [(); 2].map(|()| Key::generate(Scheme::Ed25519).unwrap());
    let keys = Keys::trusting(vec![own.public().as_der().to_vec()]).unwrap();
    let mut rules = config(MODE);
    rules.rules.board = None;
    let mut device = Device::new(rules, nor(), keys.clone(), Everything::default());
    let untrusted = json!({ "rc": 11, "rsn": "signature not trusted" });
    for stranger in [signed(&foreign, V2), image(V2, 5_000)] {
        assert_eq!(device.upload(&stranger, 1_000).0, untrusted);
        let left = valid(device.flash(), PRIMARY, 0, &rules.rules, &mut HashOnly);
        assert_eq!(left, None);
    }
    assert_eq!(device.upload(&signed(&own, V2), 1_000).0["rc"], 0);
    assert_eq!(device.list()["images"][0]["version"], "2.0.0");
    // The original writes what it is given, and leaves it to the next boot.
    let mut original = Device::new(imitating(rules), nor(), keys, Everything::default());
    assert_eq!(original.upload(&signed(&foreign, V2), 1_000).0["rc"], 0);
    assert_eq!(original.list(), json!({ "images": [] }));
}

#[test]
fn an_interrupted_swap_keeps_the_secondary_slot_from_being_overwritten() {
    let new = image(V2, 5_000);
    let keys = json!({ "image": 2, "sha": bytes(&sha256(&new)) });
    let mut device = device(config(MODE), Direct);
    let primary = trailer(&config(MODE), device.flash(), PRIMARY);
    let info = SwapInfo { swap_type: SwapType::Test, image: 0 };
    primary.write_swap_info(device.flash(), info).unwrap();
    primary.write_magic(device.flash()).unwrap();
    let (answer, _) = device.upload_as(keys.clone(), &new, 1_000);
    assert_eq!(answer, json!({ "rc": 6, "rsn": "swap unfinished" }));
    assert_eq!(device.flash().counts().erases, 0);
    // The primary slot may be written: that is what ends the swap.
    assert_eq!(device.upload(&new, 1_000).0["rc"], 0);
    assert_eq!(device.upload_as(keys, &new, 1_000).0["rc"], 0);
    assert!(device.flash().holds(SECONDARY, 0, &new));
}

#[test]
fn a_flash_that_fails_ends_the_upload() {
    let new = image(V2, 5_000);
    let mut device = device(config(MODE), Everything::default());
    device.first(&new, 1_000);
    device.flash().supply().power_off();
    let answer = device.chunk(json!({ "off": 1_000 }), &new[1_000..2_000]);
    assert_eq!(answer, json!({ "rc": 1, "rsn": "flash" }));
    assert_eq!(device.recovery.upload(), None);
    device.flash().supply().power_on();
    assert_eq!(device.upload(&new, 1_000).0["rc"], 0);
}

#[test]
fn a_slot_that_cannot_be_written_in_whole_units_is_not_touched() {
    let mut recovery = updraft_recovery::Recovery::<_, _, _, 32>::new(
        config(MODE),
        crate::common::flash(updraft_flash::Kind::SelfErasingRows, 512, 0),
        HashOnly,
        Everything::default(),
    );
    let new = image(V2, 5_000);
    let keys = json!({ "off": 0, "len": new.len(), "data": bytes(&new[..600]) });
    let payload = crate::common::cbor::encode(&keys);
    let len = (payload.len() as u16).to_be_bytes();
    let message = [&[2, 0, len[0], len[1], 0, 1, 0, 1][..], &payload].concat();
    let mut buffer = [0; 64];
    let reply = recovery.handle(&message, &mut buffer).unwrap();
    assert_eq!(crate::common::cbor::decode(&buffer[8..reply.len]), json!({ "rc": 1 }));
    assert_eq!(SimFlash::counts(recovery.map()).writes, 0);
}
