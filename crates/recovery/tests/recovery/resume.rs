//! Uploads that were interrupted: by the client, or by a reset.

use serde_json::json;
use updraft_flash::Kind;
use updraft_image::{HashOnly, UpgradeMode};
use updraft_recovery::Config;
use updraft_sim::flash::SimFlash;

use crate::common::{
    Device, Direct, Everything, LARGEST, PRIMARY, SECTOR, V1, V2, bytes, config, flash, image,
    imitating, nor, sha256,
};

const MODE: UpgradeMode = UpgradeMode::SwapMove;

type Bench = Device<HashOnly, Everything>;

fn device(config: Config, flash: SimFlash) -> Bench {
    Device::new(config, flash, HashOnly, Everything::default())
}

/// The device after a reset: only its flash is what it was.
fn reset(config: Config, device: Bench) -> Bench {
    self::device(config, device.recovery.into_parts().0)
}

/// Sends the first `end` bytes of `file`.
fn send(device: &mut Bench, file: &[u8], end: usize) {
    device.first(file, 1_000);
    for off in (1_000..end).step_by(1_000) {
        let answer = device.chunk(json!({ "off": off }), &file[off..(off + 1_000).min(end)]);
        assert_eq!(answer["rc"], 0);
    }
}

#[test]
fn a_client_that_comes_back_goes_on_where_it_left_off() {
    let new = image(V2, 20_000);
    let mut device = device(config(MODE), nor());
    send(&mut device, &new, 12_000);
    let (answer, sent) = device.upload(&new, 1_000);
    assert_eq!(answer, json!({ "rc": 0, "off": new.len() }));
    assert_eq!(sent, 1_000 + new.len() - 12_000);
}

#[test]
fn only_the_same_file_is_gone_on_with() {
    let (file, other) = (image(V2, 20_000), image(V1, 20_000));
    let from_start = |first: &dyn Fn(&mut Bench) -> serde_json::Value| {
        let mut device = device(config(MODE), nor());
        send(&mut device, &file, 12_000);
        first(&mut device)["off"] == 1_000
    };
    let len = file.len();
    let sha = bytes(&sha256(&file));
    assert!(!from_start(&|device| device.first(&file, 1_000)));
    assert!(from_start(&|device| device.first(&other, 1_000)));
    // Without a hash, with another one, or with another length it may be another file.
    assert!(from_start(&|device| device.chunk(json!({ "off": 0, "len": len }), &file[..1_000])));
    let keys = json!({ "off": 0, "len": len + 4, "sha": sha });
    assert!(from_start(&|device| device.chunk(keys.clone(), &file[..1_000])));
}

#[test]
fn a_short_name_is_believed_only_with_the_same_beginning() {
    let (file, other) = (image(V2, 20_000), image(V1, 20_000));
    let mut device = device(config(MODE), nor());
    let keys = json!({ "off": 0, "len": file.len(), "sha": bytes(&[1, 2, 3]) });
    device.chunk(keys.clone(), &file[..1_000]);
    device.chunk(json!({ "off": 1_000 }), &file[1_000..2_000]);
    assert_eq!(device.chunk(keys.clone(), &file[..1_000]), json!({ "rc": 0, "off": 2_000 }));
    assert_eq!(device.chunk(keys, &other[..1_000]), json!({ "rc": 0, "off": 1_000 }));
}

#[test]
fn the_original_starts_again() {
    let new = image(V2, 20_000);
    let mut device = device(imitating(config(MODE)), nor());
    send(&mut device, &new, 12_000);
    assert_eq!(device.first(&new, 1_000), json!({ "rc": 0, "off": 1_000 }));
}

#[test]
fn after_a_reset_the_upload_goes_on_from_what_is_in_flash() {
    let config = config(MODE);
    let new = image(V2, 30_000);
    let mut saved = 0;
    for end in (1_000..new.len()).step_by(1_000) {
        let mut flash = nor();
        flash.load(PRIMARY, 0, &image(V1, 40_000)).unwrap();
        let mut device = device(config, flash);
        send(&mut device, &new, end);
        let mut device = reset(config, device);
        assert_eq!(device.list(), json!({ "images": [] }));
        let (answer, sent) = device.upload(&new, 1_000);
        assert_eq!(answer["rc"], 0, "{end}");
        assert!(device.flash().holds(PRIMARY, 0, &new), "{end}");
        // At most what lies in the sector that was being written, and the first chunk.
        let most = new.len() - end + SECTOR as usize + 1_000;
        assert!(sent <= most, "{sent} bytes sent after {end}, {most} would do");
        saved += new.len() - sent.min(new.len());
    }
    println!("{saved} bytes not sent twice");
}

#[test]
fn a_reset_in_the_middle_of_a_resumed_upload_loses_no_more() {
    let config = config(MODE);
    let new = image(V2, 30_000);
    let mut device = device(config, nor());
    send(&mut device, &new, 10_000);
    let mut device = reset(config, device);
    let off = device.first(&new, 1_000)["off"].as_u64().unwrap() as usize;
    assert_eq!(off, 2 * SECTOR as usize);
    let answer = device.chunk(json!({ "off": off }), &new[off..off + 9_000]);
    assert_eq!(answer["off"], off + 9_000);
    let mut device = reset(config, device);
    assert_eq!(device.first(&new, 1_000)["off"], 4 * SECTOR);
    assert_eq!(device.upload(&new, 1_000).0["rc"], 0);
    assert!(device.flash().holds(PRIMARY, 0, &new));
}

#[test]
fn blank_stretches_of_a_file_only_cost_sending_them_again() {
    let mut recipe = crate::common::Recipe::new(V2, 15_000);
    recipe.header.hdr_size = 20_000;
    // The header's padding reads as erased on this flash.
    let flash = flash(Kind::Nor, 4, 0x00);
    let new = recipe.image();
    let config = config(MODE);
    let mut device = device(config, flash);
    send(&mut device, &new, 25_000);
    let mut device = reset(config, device);
    assert_eq!(device.first(&new, 1_000), json!({ "rc": 0, "off": 1_000 }));
    assert_eq!(device.upload(&new, 1_000).0["rc"], 0);
    assert!(device.flash().holds(PRIMARY, 0, &new));
}

#[test]
fn another_file_after_a_reset_starts_from_the_beginning() {
    let config = config(MODE);
    let (file, other) = (image(V2, 20_000), image(V1, 20_000));
    let mut device = device(config, nor());
    send(&mut device, &file, 12_000);
    let mut device = reset(config, device);
    let (answer, sent) = device.upload(&other, 1_000);
    assert_eq!((&answer["rc"], sent), (&json!(0), other.len()));
    assert!(device.flash().holds(PRIMARY, 0, &other));
}

#[test]
fn a_file_that_reaches_into_the_trailers_sectors_starts_again_after_a_reset() {
    let mut config = config(UpgradeMode::OverwriteOnly);
    // Sectors of 4 KiB: records for many of them make the trailer reach down.
    config.trailers.max_sectors = 1_400;
    let new = image(V2, LARGEST - 600);
    let mut device = device(config, nor());
    send(&mut device, &new, 20_000);
    let mut device = reset(config, device);
    let (answer, sent) = device.upload(&new, 1_000);
    assert_eq!((&answer["rc"], sent), (&json!(0), new.len()));
    assert!(device.flash().holds(PRIMARY, 0, &new));
}

#[test]
fn rows_that_erase_themselves_start_again_after_a_reset() {
    let mut config = config(MODE);
    config.trailers.max_align = 32;
    let new = image(V2, 20_000);
    let mut device = device(config, flash(Kind::SelfErasingRows, 512, 0));
    send(&mut device, &new, 12_000);
    let mut device = reset(config, device);
    let (answer, sent) = device.upload(&new, 1_024);
    assert_eq!((&answer["rc"], sent), (&json!(0), new.len()));
}

#[test]
fn an_update_of_swap_offset_is_gone_on_with_in_its_place() {
    let config = config(UpgradeMode::SwapOffset);
    let new = image(V2, 20_000);
    let keys = json!({ "image": 2, "sha": bytes(&sha256(&new)) });
    let mut device = Device::new(config, nor(), HashOnly, Direct);
    let mut first = keys.clone();
    first["off"] = 0.into();
    first["len"] = new.len().into();
    device.chunk(first, &new[..9_000]);
    let flash = device.recovery.into_parts().0;
    let mut device = Device::new(config, flash, HashOnly, Direct);
    let (answer, sent) = device.upload_as(keys, &new, 1_000);
    assert_eq!(answer["rc"], 0);
    assert_eq!(sent, 1_000 + new.len() - 2 * SECTOR as usize);
    assert!(device.flash().holds(updraft_flash::AreaId(2), SECTOR, &new));
}
