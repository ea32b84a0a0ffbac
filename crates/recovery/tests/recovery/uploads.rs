//! Uploads that succeed: where the bytes go, and what a client may do on the way.

use serde_json::json;
use updraft_flash::{AreaId, FlashMap, Kind};
use updraft_image::{HashOnly, Magic, UpgradeMode};
use updraft_recovery::{Config, Hooks, ImageSlots, Images, Offers};
use updraft_sim::flash::SimFlash;
use updraft_smp::Rc;
use updraft_smp::server::Failure;

use crate::common::{
    Device, Direct, Everything, LARGEST, PRIMARY, SCRATCH, SECONDARY, SECTOR, SLOT, V1, V2, bytes,
    config, flash, image, imitating, nor, sha256, trailer,
};

const MODE: UpgradeMode = UpgradeMode::SwapMove;

fn device<H: Hooks>(config: Config, flash: SimFlash, hooks: H) -> Device<HashOnly, H> {
    Device::new(config, flash, HashOnly, hooks)
}

#[test]
fn the_image_lies_in_the_primary_slot_and_is_listed() {
    let new = image(V2, 20_000);
    for config in [config(MODE), imitating(config(MODE))] {
        let mut flash = nor();
        flash.load(PRIMARY, 0, &image(V1, 30_000)).unwrap();
        let mut device = device(config, flash, Everything::default());
        let (answer, sent) = device.upload(&new, 700);
        assert_eq!(answer, json!({ "rc": 0, "off": new.len() }));
        assert_eq!(sent, new.len());
        assert!(device.flash().holds(PRIMARY, 0, &new));
        assert_eq!(device.list()["images"][0]["version"], "2.0.0");
        assert_eq!(device.recovery.upload(), None);
    }
}

#[test]
fn every_kind_of_flash_takes_an_upload_in_chunks_of_any_size() {
    let kinds = [
        (Kind::Nor, 1, 0xff),
        (Kind::Nor, 4, 0xff),
        (Kind::Nor, 8, 0x00),
        (Kind::Nor, 32, 0xff),
        (Kind::NorLimited { word: 4, programs: 2 }, 4, 0xff),
        (Kind::EccWords, 8, 0xff),
        (Kind::SelfErasingRows, 512, 0x00),
    ];
    let mut uploads = 0;
    for (kind, write_size, erased) in kinds {
        for chunk in [512, 513, 777, 4096] {
            let body = 9_000 + chunk as u32 % 13;
            let (old, new) = (image(V1, 30_000), image(V2, body));
            let mut flash = flash(kind, write_size, erased);
            flash.load(PRIMARY, 0, &old).unwrap();
            let mut config = config(MODE);
            config.trailers.max_align = config.trailers.max_align.max(write_size.min(32));
            for config in [config, imitating(config)] {
                let mut device = device(config, flash.clone(), Everything::default());
                let (answer, _) = device.upload(&new, chunk);
                assert_eq!(answer["rc"], 0, "{kind:?} {chunk}: {answer}");
                assert!(device.flash().holds(PRIMARY, 0, &new));
                uploads += 1;
            }
        }
    }
    println!("{uploads} uploads on {} kinds of flash", kinds.len());
}

#[test]
fn bytes_that_do_not_fill_a_write_unit_are_asked_for_again() {
    let new = image(V2, 5_003);
    let mut device = device(config(MODE), flash(Kind::Nor, 8, 0xff), Everything::default());
    assert_eq!(device.first(&new, 515), json!({ "rc": 0, "off": 512 }));
    assert_eq!(device.chunk(json!({ "off": 512 }), &new[512..519]), json!({ "rc": 0, "off": 512 }));
    assert_eq!(device.recovery.upload(), Some((512, new.len() as u32)));
    let last = new.len() - 512;
    assert!(!last.is_multiple_of(8), "the end is taken whatever its length");
    let answer = device.chunk(json!({ "off": 512 }), &new[512..]);
    assert_eq!(answer, json!({ "rc": 0, "off": new.len() }));
}

#[test]
fn a_chunk_at_another_offset_is_dropped_and_the_right_one_named() {
    let new = image(V2, 5_000);
    let mut device = device(config(MODE), nor(), Everything::default());
    assert_eq!(device.chunk(json!({ "off": 100 }), &[0; 64]), json!({ "rc": 0, "off": 0 }));
    device.first(&new, 600);
    for off in [8, 599, 604, 5000] {
        assert_eq!(device.chunk(json!({ "off": off }), &[0; 64]), json!({ "rc": 0, "off": 600 }));
    }
    let answer = device.chunk(json!({ "off": 600 }), &new[600..]);
    assert_eq!(answer["off"], new.len());
}

#[test]
fn a_last_chunk_sent_twice_is_answered_twice() {
    let new = image(V2, 5_000);
    let mut device = device(config(MODE), nor(), Everything::default());
    device.first(&new, 2_000);
    let last = |device: &mut Device<_, _>| device.chunk(json!({ "off": 2_000 }), &new[2_000..]);
    assert_eq!(last(&mut device), json!({ "rc": 0, "off": new.len() }));
    let counts = device.flash().counts();
    assert_eq!(last(&mut device), json!({ "rc": 0, "off": new.len() }));
    assert_eq!(device.flash().counts(), counts);
}

#[test]
fn a_file_that_is_there_already_is_not_written_again() {
    let new = image(V2, 5_000);
    let mut device = device(config(MODE), nor(), Everything::default());
    device.upload(&new, 1_000);
    let counts = device.flash().counts();
    assert_eq!(device.upload(&new, 1_000), (json!({ "rc": 0, "off": new.len() }), 1_000));
    assert_eq!(device.flash().counts(), counts);

    // Unless the bootloader is about to take it away again.
    let primary = trailer(&config(MODE), &nor(), PRIMARY);
    primary.write_copy_done(device.flash()).unwrap();
    primary.write_magic(device.flash()).unwrap();
    assert_eq!(device.upload(&new, 1_000).1, new.len());
    assert_eq!(primary.read(device.flash()).unwrap().magic, Magic::Unset);
}

#[test]
fn the_trailer_of_the_image_before_goes() {
    for config in [config(MODE), imitating(config(MODE))] {
        let mut device = device(config, nor(), Everything::default());
        let primary = trailer(&config, device.flash(), PRIMARY);
        primary.write_image_ok(device.flash()).unwrap();
        primary.write_magic(device.flash()).unwrap();
        device.upload(&image(V2, 5_000), 1_000);
        assert!(primary.is_erased(device.flash()).unwrap());
        // Nor does anything else of the upload stay behind.
        let status = primary.layout().status();
        let mut cells = vec![0; (SLOT - status) as usize];
        device.flash().read(PRIMARY, status, &mut cells).unwrap();
        assert!(cells.iter().all(|byte| *byte == 0xff));
    }
}

#[test]
fn no_sector_is_erased_that_the_image_does_not_need() {
    let new = image(V2, 9_000);
    let sectors = (new.len() as u32).div_ceil(SECTOR);
    let mut device = device(config(MODE), nor(), Everything::default());
    device.upload_as(json!({}), &new, 1_000);
    assert_eq!(device.flash().counts().erases, u64::from(sectors) + 1, "one is the trailer's");
    // What it takes to go on after a reset: one sector more, and the record's.
    device.flash().reset_counts();
    device.upload(&image(V1, 9_000), 1_000);
    assert_eq!(device.flash().counts().erases, u64::from(sectors) + 3);
}

#[test]
fn a_pending_update_does_not_replace_what_was_uploaded_instead() {
    let pending = |config: Config| {
        let mut device = device(config, nor(), Everything::default());
        device.flash().load(SECONDARY, 0, &image(V1, 900)).unwrap();
        let secondary = trailer(&config, device.flash(), SECONDARY);
        secondary.write_magic(device.flash()).unwrap();
        device.upload(&image(V2, 5_000), 1_000);
        secondary.read(device.flash()).unwrap().magic
    };
    assert_eq!(pending(config(MODE)), Magic::Unset);
    assert_eq!(pending(imitating(config(MODE))), Magic::Good);
    // In slots of equal rank the trailer is that of an image that may run.
    assert_eq!(pending(config(UpgradeMode::DirectXipRevert)), Magic::Good);
}

#[test]
fn swap_status_in_the_scratch_area_goes_with_the_image() {
    let left = |config: Config| {
        let mut config = Config { scratch: Some(SCRATCH), ..config };
        config.trailers.max_sectors = 16;
        let mut device = device(config, nor(), Everything::default());
        let scratch = trailer(&config, device.flash(), SCRATCH);
        scratch.write_magic(device.flash()).unwrap();
        device.upload(&image(V2, 5_000), 1_000);
        scratch.read(device.flash()).unwrap().magic
    };
    assert_eq!(left(config(UpgradeMode::SwapScratch)), Magic::Unset);
    assert_eq!(left(imitating(config(UpgradeMode::SwapScratch))), Magic::Good);
}

#[test]
fn the_client_names_the_image() {
    let mut config = config(MODE);
    config.images = Images::new(&[
        ImageSlots { primary: PRIMARY, secondary: None, max_size: LARGEST },
        ImageSlots { primary: SECONDARY, secondary: None, max_size: LARGEST },
    ])
    .unwrap();
    let mut device = device(config, nor(), Everything::default());
    let new = image(V2, 5_000);
    for (number, area) in [(0, PRIMARY), (1, SECONDARY)] {
        device.upload_as(json!({ "image": number }), &new, 1_000);
        assert!(device.flash().holds(area, 0, &new));
    }
    assert_eq!(device.upload_as(json!({ "image": 2 }), &new, 1_000).0, json!({ "rc": 3 }));
}

#[test]
fn the_client_names_the_slot_if_it_may() {
    let new = image(V2, 5_000);
    for (number, area) in [(0, PRIMARY), (1, PRIMARY), (2, SECONDARY)] {
        let mut device = device(config(MODE), nor(), Direct);
        let keys = json!({ "image": number, "sha": bytes(&sha256(&new)) });
        let (answer, _) = device.upload_as(keys, &new, 1_000);
        assert_eq!(answer["rc"], 0);
        assert!(device.flash().holds(area, 0, &new));
    }
    let mut device = device(config(MODE), nor(), Direct);
    for number in [3, 4, u32::MAX] {
        let (answer, _) = device.upload_as(json!({ "image": number }), &new, 1_000);
        assert_eq!(answer, json!({ "rc": 3 }), "{number}");
    }
}

#[test]
fn an_update_of_swap_offset_is_written_one_sector_up() {
    let new = image(V2, 5_000);
    for config in [config(UpgradeMode::SwapOffset), imitating(config(UpgradeMode::SwapOffset))] {
        let mut device = device(config, nor(), Direct);
        device.flash().load(SECONDARY, 0, &image(V1, 900)).unwrap();
        let keys = json!({ "image": 2, "sha": bytes(&sha256(&new)) });
        let (answer, _) = device.upload_as(keys, &new, 1_000);
        assert_eq!(answer["rc"], 0);
        assert!(device.flash().holds(SECONDARY, SECTOR, &new));
        assert!(device.flash().holds(SECONDARY, 0, &[0xff; 32]), "the image before is gone");
    }
}

/// A board that hands uploaded images on, which fails at first.
#[derive(Default)]
struct HandsOn {
    failures: u32,
    handed: Vec<(u8, AreaId, u32)>,
}

impl Hooks for HandsOn {
    const OFFERS: Offers = Offers::ALL;

    fn uploaded<M: FlashMap>(
        &mut self,
        flash: &mut M,
        image: u8,
        slot: AreaId,
        size: u32,
    ) -> Result<(), Failure> {
        let mut magic = [0; 4];
        flash.read(slot, 0, &mut magic).map_err(|_| Rc::UNKNOWN)?;
        assert_eq!(magic, [0x3d, 0xb8, 0xf3, 0x96], "the image is whole by now");
        self.handed.push((image, slot, size));
        if self.failures == 0 {
            return Ok(());
        }
        self.failures -= 1;
        Err(Rc(300).into())
    }
}

#[test]
fn an_upload_that_has_ended_is_handed_on_and_the_client_told_if_that_fails() {
    let new = image(V2, 5_000);
    for (config, again) in [(config(MODE), false), (imitating(config(MODE)), true)] {
        let mut device = device(config, nor(), HandsOn { failures: 1, ..HandsOn::default() });
        let (answer, _) = device.upload(&new, 700);
        assert_eq!(answer["rc"], 300);
        let handed = (0, PRIMARY, new.len() as u32);
        assert_eq!(hands(&mut device), [handed]);
        let counts = device.flash().counts();
        let (answer, _) = device.upload(&new, 700);
        assert_eq!(answer, json!({ "rc": 0, "off": new.len() }));
        assert_eq!(hands(&mut device), [handed; 2]);
        assert_eq!(device.flash().counts() != counts, again, "as ever, written once");
        let update = json!({ "image": 2, "sha": bytes(&sha256(&new)) });
        assert_eq!(device.upload_as(update, &new, 700).0["rc"], 0);
        assert_eq!(hands(&mut device)[2..], [(0, SECONDARY, new.len() as u32)]);
    }
}

fn hands(device: &mut Device<HashOnly, HandsOn>) -> Vec<(u8, AreaId, u32)> {
    device.recovery.hooks().handed.clone()
}

#[test]
fn an_upload_that_ends_badly_is_not_handed_on() {
    let mut new = image(V2, 5_000);
    new[3_000] ^= 1;
    let mut device = device(config(MODE), nor(), HandsOn::default());
    assert_eq!(device.upload(&new, 700).0["rc"], 9);
    assert_eq!(hands(&mut device), []);
}
