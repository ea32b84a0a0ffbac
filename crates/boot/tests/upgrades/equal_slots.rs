//! Images that run from either slot, or from RAM; one slot; a loader beside the application.

use crate::board::{
    Firmware, FlashFault, PRIMARY, Report, SECONDARY, content_key, image, with_header, wrapping,
};
use updraft_boot::{
    Boot, BootError, Config, EqualSlots, Event, FirmwareLoader, Images, InPlace, InRam, LoadRegion,
    Platform, SingleSlot, Validate,
};
use updraft_flash::{AreaEntry, AreaId, SlotPair, TrailerAccess, TrailerFormat};
use updraft_image::encryption::BodyCipher;
use updraft_image::{
    Digest, Flag, Flags, HashKind, HashOnly, Header, Magic, Refusal, Rules, Strictness, TlvKind,
    TlvType, TlvWriter, UpgradeMode, Version, WithPrivateKey,
};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

const SECTOR: u32 = 512;
const SLOT: u32 = 8 * SECTOR;
const RAM: u32 = 0x2000_0000;

const CLASSES: [Torn; 6] =
    [Torn::Skip, Torn::Half, Torn::AllButOneBit(1), Torn::Bits(2), Torn::Bits(3), Torn::Bits(4)];

fn flash() -> SimFlash {
    let area = |id, at| AreaEntry { id, device: 0, offset: at * SLOT, size: SLOT };
    let table = vec![area(PRIMARY, 0), area(SECONDARY, 1)];
    SimFlash::new(vec![DeviceSpec::nor(16, SECTOR, 8)], table)
}

fn config() -> Config {
    let slots = SlotPair { image: 0, primary: PRIMARY, secondary: SECONDARY };
    Config { max_sectors: 8, ..Config::new(slots, Rules::default()) }
}

type Booted = Result<Boot, BootError<FlashFault>>;

/// Boots in place; tells what happened besides.
fn in_place(flash: &mut SimFlash, revert: bool) -> (Booted, Vec<Report>) {
    let mut events = Vec::new();
    let hooks = |_: u8, event: Report| events.push(event);
    let mut platform = Platform::new(flash, HashOnly).with_hooks(hooks);
    let booted = EqualSlots::new(config(), InPlace { revert }).boot(&mut platform);
    (booted, events)
}

fn major(booted: &Booted) -> u8 {
    booted.as_ref().map_or(0, |boot| boot.header.version.major)
}

fn trailer(flash: &SimFlash, area: AreaId) -> TrailerAccess {
    let mode = UpgradeMode::DirectXipRevert;
    TrailerFormat { mode, max_align: 8, max_sectors: 8, keys: None }
        .trailer(flash, area, 8)
        .unwrap()
}

/// A device that runs a confirmed 1.0.0, and has 2.0.0 in the other slot.
fn device(asked: bool) -> SimFlash {
    let mut flash = flash();
    flash.load(PRIMARY, 0, &image(1, 1500)).unwrap();
    flash.load(SECONDARY, 0, &image(2, 1700)).unwrap();
    let primary = trailer(&flash, PRIMARY);
    primary.write_magic(&mut flash).unwrap();
    primary.write_copy_done(&mut flash).unwrap();
    primary.write_image_ok(&mut flash).unwrap();
    if asked {
        trailer(&flash, SECONDARY).write_magic(&mut flash).unwrap();
    }
    flash
}

#[test]
fn the_higher_version_runs_wherever_it_is() {
    for (first, second, expected) in [(1, 2, SECONDARY), (2, 1, PRIMARY), (2, 2, PRIMARY)] {
        let mut flash = flash();
        flash.load(PRIMARY, 0, &image(first, 1500)).unwrap();
        flash.load(SECONDARY, 0, &image(second, 1500)).unwrap();
        let (booted, events) = in_place(&mut flash, false);
        assert_eq!(booted.unwrap().area, expected);
        assert_eq!((events, flash.supply().operations()), (vec![], 0));
    }
}

#[test]
fn a_damaged_image_is_erased_only_when_another_one_runs() {
    let mut damaged = image(2, 1500);
    damaged[700] ^= 4;
    let mut alone = flash();
    alone.load(SECONDARY, 0, &damaged).unwrap();
    let mut both = alone.clone();
    both.load(PRIMARY, 0, &image(1, 1500)).unwrap();
    let (booted, events) = in_place(&mut both, false);
    assert_eq!(major(&booted), 1);
    assert!(matches!(events[..], [Event::SlotRefused(SECONDARY, Refusal::Hash { .. })]));
    assert!(both.bytes(SECONDARY).iter().all(|byte| *byte == 0xff));
    assert_eq!(in_place(&mut alone, false).0, Err(BootError::NoImage));
    assert!(alone.bytes(SECONDARY).starts_with(&damaged), "nothing is gained by erasing it");
}

#[test]
fn an_image_made_for_the_other_slot_does_not_run() {
    let fixed = with_header(&image(2, 1500), |header| {
        header.flags = Flags::ROM_FIXED;
        header.load_addr = SLOT;
    });
    for (area, other, runs) in [(SECONDARY, PRIMARY, 2), (PRIMARY, SECONDARY, 1)] {
        let mut flash = flash();
        flash.load(area, 0, &fixed).unwrap();
        flash.load(other, 0, &image(1, 1500)).unwrap();
        let (booted, _) = in_place(&mut flash, false);
        assert_eq!(major(&booted), runs);
    }
}

#[test]
fn an_image_on_trial_is_given_up_unless_it_is_confirmed() {
    let mut flash = device(true);
    assert_eq!(major(&in_place(&mut flash, true).0), 2, "on trial");
    let mut confirmed = flash.clone();
    trailer(&confirmed, SECONDARY).write_image_ok(&mut confirmed).unwrap();
    for _ in 0..2 {
        assert_eq!(major(&in_place(&mut confirmed, true).0), 2, "confirmed");
        assert_eq!(major(&in_place(&mut flash, true).0), 1, "given up");
    }
    assert_eq!(flash.supply().operations(), confirmed.supply().operations() - 1);
}

#[test]
fn an_image_that_nobody_asked_for_does_not_run_while_another_can() {
    let mut flash = device(false);
    assert_eq!(major(&in_place(&mut flash, true).0), 1);
    assert!(flash.bytes(SECONDARY).starts_with(&image(2, 1700)), "it may still be asked for");
    flash.load(PRIMARY, 0, &[0; 32]).unwrap();
    assert_eq!(major(&in_place(&mut flash, true).0), 2, "better than nothing");
}

#[test]
fn an_image_that_must_not_be_booted_is_erased_unasked_only_when_imitating() {
    let mut held_back = image(2, 1700);
    held_back[16] |= Flags::NON_BOOTABLE.0 as u8;
    for strictness in [Strictness::Strict, Strictness::Imitate] {
        let mut flash = device(false);
        flash.load(SECONDARY, 0, &held_back).unwrap();
        let rules = Rules { strictness, ..Rules::default() };
        let config = Config { rules, ..config() };
        let mut platform = Platform::new(&mut flash, HashOnly);
        let booted = EqualSlots::new(config, InPlace { revert: true }).boot(&mut platform);
        assert_eq!(major(&booted), 1);
        let kept = flash.holds(SECONDARY, 0, &held_back);
        assert_eq!(kept, strictness == Strictness::Strict);
    }
}

/// The mark is only there to tell the next boot that this one took place.
#[test]
fn imitating_an_image_is_started_even_if_that_cannot_be_marked() {
    for (strictness, expected) in [(Strictness::Imitate, 2), (Strictness::Strict, 0)] {
        let mut flash = device(true);
        assert!(flash.make_read_only(SECONDARY));
        let rules = Rules { strictness, ..Rules::default() };
        let config = Config { rules, ..config() };
        let mut platform = Platform::new(&mut flash, HashOnly);
        let booted = EqualSlots::new(config, InPlace { revert: true }).boot(&mut platform);
        assert_eq!(major(&booted), expected, "{booted:?}");
    }
}

#[test]
fn a_failed_image_runs_rather_than_nothing() {
    let mut flash = device(true);
    assert_eq!(major(&in_place(&mut flash, true).0), 2);
    flash.load(PRIMARY, 0, &[0; 32]).unwrap();
    let (booted, events) = in_place(&mut flash, true);
    assert_eq!(major(&booted), 2);
    assert_eq!(events, [Event::NothingToRevertTo]);
}

#[test]
fn every_cut_of_a_trial_or_a_request_ends_in_one_of_its_ends() {
    for torn in CLASSES {
        // The request.
        let mut flash = device(false);
        flash.supply().cut_at(0, torn);
        let request = trailer(&flash, SECONDARY);
        request.write_magic(&mut flash).unwrap_err();
        flash.supply().power_on();
        let asked = request.read(&mut flash).unwrap().magic == Magic::Good;
        assert_eq!(major(&in_place(&mut flash, true).0), if asked { 2 } else { 1 }, "{torn:?}");
        // The mark of the first start.
        let mut flash = device(true);
        flash.supply().cut_at(0, torn);
        in_place(&mut flash, true).0.unwrap_err();
        flash.supply().power_on();
        let started = trailer(&flash, SECONDARY).read(&mut flash).unwrap().copy_done;
        let expected = if started == Flag::Unset { 2 } else { 1 };
        assert_eq!(major(&in_place(&mut flash, true).0), expected, "{torn:?}");
        assert_eq!(major(&in_place(&mut flash, true).0), 1, "{torn:?}");
        // The confirmation.
        let mut flash = device(true);
        assert_eq!(major(&in_place(&mut flash, true).0), 2);
        flash.supply().cut_at(0, torn);
        trailer(&flash, SECONDARY).write_image_ok(&mut flash).unwrap_err();
        flash.supply().power_on();
        let confirmed = trailer(&flash, SECONDARY).read(&mut flash).unwrap().image_ok;
        let expected = if confirmed == Flag::Unset { 1 } else { 2 };
        for _ in 0..2 {
            assert_eq!(major(&in_place(&mut flash, true).0), expected, "{torn:?}");
        }
    }
}

/// An image that is loaded to `address`.
fn loadable(version: u8, address: u32, size: u32) -> Vec<u8> {
    loadable_with(version, address, size, Flags::default(), &[])
}

fn loadable_with(
    version: u8,
    address: u32,
    size: u32,
    flags: Flags,
    others: &[(TlvType, &[u8])],
) -> Vec<u8> {
    let len: usize = others.iter().map(|(_, payload)| 4 + payload.len()).sum();
    let header = Header {
        load_addr: address,
        hdr_size: Header::SIZE as u16,
        img_size: size - Header::SIZE as u32 - 40 - len as u32,
        flags: flags | Flags::RAM_LOAD,
        version: Version::new(version, 0, 0, 0),
        ..Header::default()
    };
    let mut image = header.emit().to_vec();
    image.resize(Header::SIZE + header.img_size as usize, version);
    let digest = Digest::of(HashKind::Sha256, &image);
    let mut buf = [0; 128];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut buf).unwrap();
    tlvs.push(TlvType::SHA256, digest.as_bytes()).unwrap();
    others.iter().for_each(|(kind, payload)| tlvs.push(*kind, payload).unwrap());
    image.extend(tlvs.finish());
    image
}

/// An image that is loaded to the beginning of the memory, as it runs and as it is uploaded.
fn loadable_encrypted(version: u8, size: u32) -> [Vec<u8>; 2] {
    let key = content_key(version);
    let wrapped = wrapping().seal(&key).unwrap();
    let tlv = (TlvType::ENCKW, wrapped.as_bytes());
    let plain = loadable_with(version, RAM, size, Flags::ENCRYPTED_AES128, &[tlv]);
    let mut uploaded = plain.clone();
    let header = Header::parse(plain.first_chunk::<{ Header::SIZE }>().unwrap()).unwrap();
    BodyCipher::new(&key, &header).unwrap().apply(0, &mut uploaded);
    [plain, uploaded]
}

#[test]
fn an_encrypted_image_is_decrypted_in_memory() {
    let mut flash = flash();
    let [plain, uploaded] = loadable_encrypted(2, 1200);
    let [_, mut damaged] = loadable_encrypted(3, 1000);
    damaged[400] ^= 1;
    flash.load(PRIMARY, 0, &uploaded).unwrap();
    flash.load(SECONDARY, 0, &damaged).unwrap();
    let mut config = config();
    config.rules.supported = Flags::ENCRYPTED_AES128;
    let mut ram = vec![0; 2048];
    let region = LoadRegion { address: RAM, bytes: &mut ram };
    let verifier = WithPrivateKey::new(HashOnly, wrapping());
    let mut loader = EqualSlots::new(config, InRam::new(region, false));
    let boot = loader.boot(&mut Platform::new(&mut flash, verifier)).unwrap();
    assert_eq!((boot.area, boot.header.version.major), (PRIMARY, 2));
    assert_eq!(ram[..1200], plain);
    assert!(ram[1200..].iter().all(|byte| *byte == 0), "wiped");
}

#[test]
fn an_encrypted_image_cannot_run_from_its_slot() {
    let mut flash = flash();
    flash.load(PRIMARY, 0, &image(1, 1000)).unwrap();
    flash.load(SECONDARY, 0, &Firmware::encrypted(2, 1000).uploaded).unwrap();
    let mut config = config();
    config.rules.supported = Flags::ENCRYPTED_AES128;
    let verifier = WithPrivateKey::new(HashOnly, wrapping());
    let mut loader = EqualSlots::new(config, InPlace { revert: false });
    let boot = loader.boot(&mut Platform::new(&mut flash, verifier)).unwrap();
    assert_eq!(boot.header.version.major, 1);
}

#[test]
fn an_image_is_validated_in_memory_and_wiped_if_it_is_bad() {
    let mut flash = flash();
    let good = loadable(1, RAM + 64, 1000);
    let mut bad = loadable(2, RAM + 128, 1200);
    bad[500] ^= 1;
    flash.load(PRIMARY, 0, &good).unwrap();
    flash.load(SECONDARY, 0, &bad).unwrap();
    let mut ram = vec![0; 4096];
    let region = LoadRegion { address: RAM, bytes: &mut ram };
    let mut loader = EqualSlots::new(config(), InRam::new(region, false));
    let boot = loader.boot(&mut Platform::new(&mut flash, HashOnly)).unwrap();
    assert_eq!((boot.area, boot.load_address), (PRIMARY, Some(RAM + 64)));
    assert_eq!(&ram[64..1064], good);
    assert!(ram[1064..].iter().chain(&ram[..64]).all(|byte| *byte == 0), "wiped");
}

#[test]
fn an_image_is_loaded_nowhere_but_to_the_region() {
    for (address, size, fits) in [
        (RAM, 2048, true),
        (RAM, 2049, false),
        (RAM - 1, 100, false),
        (RAM + 1948, 100, true),
        (RAM + 1949, 100, false),
        (RAM + 2048, 100, false),
        (u32::MAX - 50, 100, false),
        (0, 100, false),
    ] {
        let mut flash = flash();
        flash.load(PRIMARY, 0, &loadable(1, address, size)).unwrap();
        let mut ram = vec![0; 2048];
        let region = LoadRegion { address: RAM, bytes: &mut ram };
        let mut loader = EqualSlots::new(config(), InRam::single_slot(region));
        let booted = loader.boot(&mut Platform::new(&mut flash, HashOnly));
        assert_eq!(booted.is_ok(), fits, "{address:#x}, {size}: {booted:?}");
    }
}

/// The original takes an image that ends where another one begins for one that overlaps it.
#[test]
fn images_may_touch_in_memory() {
    for (strictness, expected) in [(Strictness::Strict, 2), (Strictness::Imitate, 0)] {
        let area = |id, at| AreaEntry { id: AreaId(id), device: 0, offset: at * SLOT, size: SLOT };
        let table = (1..=4).map(|id| area(id, u32::from(id) - 1)).collect();
        let mut flash = SimFlash::new(vec![DeviceSpec::nor(32, SECTOR, 8)], table);
        flash.load(AreaId(1), 0, &loadable(2, RAM + 1000, 900)).unwrap();
        flash.load(AreaId(3), 0, &loadable(3, RAM, 1000)).unwrap();
        let pair = |image, primary, secondary| SlotPair {
            image,
            primary: AreaId(primary),
            secondary: AreaId(secondary),
        };
        let images = Images::new(&[pair(0, 1, 2), pair(1, 3, 4)]).unwrap();
        let rules = Rules { strictness, ..Rules::default() };
        let config = Config { images, rules, ..config() };
        let mut ram = vec![0; 4096];
        let region = LoadRegion { address: RAM, bytes: &mut ram };
        let mut loader = EqualSlots::new(config, InRam::new(region, false));
        let boot = loader.boot(&mut Platform::new(&mut flash, HashOnly));
        assert_eq!(major(&boot), expected);
    }
}

#[test]
fn an_image_can_be_validated_once_and_then_trusted() {
    let mut flash = flash();
    flash.load(PRIMARY, 0, &image(1, 1500)).unwrap();
    let boot = |flash: &mut SimFlash, validate| {
        SingleSlot::new(config(), validate).boot(&mut Platform::new(flash, HashOnly))
    };
    assert!(boot(&mut flash, Validate::Once).unwrap().validated.is_some());
    assert!(boot(&mut flash, Validate::Once).unwrap().validated.is_none());
    assert!(boot(&mut flash, Validate::Always).unwrap().validated.is_some());
    let mut damaged = image(1, 1500);
    damaged[99] ^= 1;
    flash.load(PRIMARY, 0, &damaged).unwrap();
    assert!(boot(&mut flash, Validate::Always).is_err());
    assert!(boot(&mut flash, Validate::Never).is_ok());
}

/// A record that a cut has torn is none, and what is not whole is never trusted for it.
#[test]
fn no_cut_makes_an_image_trusted_that_was_not_validated() {
    let boot = |flash: &mut SimFlash| {
        let booted =
            SingleSlot::new(config(), Validate::Once).boot(&mut Platform::new(flash, HashOnly));
        booted.map(|boot| boot.validated.is_some())
    };
    let mut start = flash();
    start.load(PRIMARY, 0, &image(1, 1500)).unwrap();
    let mut whole = start.clone();
    assert_eq!(boot(&mut whole), Ok(true));
    let total = whole.supply().operations() - start.supply().operations();
    assert_eq!(total, 2, "the magic, and that it is confirmed");
    for n in 0..total {
        for torn in CLASSES {
            let mut cut = start.clone();
            cut.supply().cut_at(n, torn);
            assert!(boot(&mut cut).is_err());
            cut.supply().power_on();
            let mut damaged = cut.clone();
            let validated = boot(&mut cut);
            assert!(validated.is_ok(), "{n} {torn:?}");
            damaged.load(PRIMARY, 99, &[0xee]).unwrap();
            let trusted = boot(&mut damaged).is_ok();
            assert_eq!(trusted, validated == Ok(false), "{n} {torn:?}");
            assert!(!trusted || n + 1 == total, "only the last write is the record");
        }
    }
    // An image that is refused leaves no record either.
    let mut damaged = start.clone();
    damaged.load(PRIMARY, 99, &[0xee]).unwrap();
    assert!(boot(&mut damaged).is_err());
    assert_eq!(damaged.supply().operations(), start.supply().operations());
}

#[test]
fn the_loader_runs_when_wanted_or_when_nothing_else_can() {
    let mut damaged = image(1, 1500);
    damaged[99] ^= 1;
    for (application, loader, fall_back, wanted, runs) in [
        (image(1, 900), image(9, 900), false, false, Some(1)),
        (image(1, 900), image(9, 900), false, true, Some(9)),
        (damaged.clone(), image(9, 900), false, false, None),
        (damaged.clone(), image(9, 900), true, false, Some(9)),
        (image(1, 900), damaged.clone(), false, true, Some(1)),
        (damaged.clone(), damaged.clone(), true, true, None),
    ] {
        let mut flash = flash();
        flash.load(PRIMARY, 0, &application).unwrap();
        flash.load(SECONDARY, 0, &loader).unwrap();
        let loader = FirmwareLoader::new(config(), Validate::Always, fall_back);
        let booted = loader.boot(&mut Platform::new(&mut flash, HashOnly), wanted);
        assert_eq!(booted.ok().map(|boot| boot.header.version.major), runs);
        assert_eq!(flash.supply().operations(), 0);
    }
}
