//! The image list, slot information, and setting the state of an image.

use serde_json::{Value, json};
use updraft_flash::AreaId;
use updraft_image::{HashOnly, SwapInfo, SwapType, UpgradeMode};
use updraft_recovery::{Config, Hooks, ImageSlots, Images, NoHooks};
use updraft_sim::flash::SimFlash;
use updraft_smp::Op;

use crate::common::{
    Device, Direct, Everything, LARGEST, PRIMARY, SECONDARY, SLOT, V1, V2, bytes, config, image,
    imitating, nor, trailer,
};

const MODE: UpgradeMode = UpgradeMode::SwapMove;

fn hash(image: &[u8]) -> Value {
    bytes(&image[image.len() - 32..])
}

fn loaded(images: &[(AreaId, &[u8])]) -> SimFlash {
    let mut flash = nor();
    for (area, image) in images {
        flash.load(*area, 0, image).unwrap();
    }
    flash
}

fn device<H: Hooks>(config: Config, flash: SimFlash, hooks: H) -> Device<HashOnly, H> {
    Device::new(config, flash, HashOnly, hooks)
}

#[test]
fn lists_only_images_that_would_boot() {
    let (old, new) = (image(V1, 900), image(V2, 1200));
    let mut flash = loaded(&[(PRIMARY, &old), (SECONDARY, &new)]);
    let listed = |flash: &SimFlash| {
        let answer = device(config(MODE), flash.clone(), NoHooks).list();
        let images = answer["images"].as_array().unwrap().clone();
        images.iter().map(|image| image["version"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&flash), ["1.0.0", "2.0.0"]);
    flash.load(SECONDARY, 700, &[!new[700]]).unwrap();
    assert_eq!(listed(&flash), ["1.0.0"]);
    assert_eq!(listed(&nor()), [""; 0]);
}

#[test]
fn a_list_without_options_has_slot_hash_and_version() {
    let old = image(V1, 900);
    let flash = loaded(&[(PRIMARY, &old)]);
    let expected = json!({ "images": [{ "slot": 0, "hash": hash(&old), "version": "1.0.0" }] });
    assert_eq!(device(config(MODE), flash, NoHooks).list(), expected);
}

#[test]
fn flags_say_what_the_next_boot_will_do() {
    let (old, new) = (image(V1, 900), image(V2, 1200));
    let flash = loaded(&[(PRIMARY, &old), (SECONDARY, &new)]);
    let config = config(MODE);
    let [primary, secondary] = [PRIMARY, SECONDARY].map(|area| trailer(&config, &flash, area));
    let flags = |prepare: &dyn Fn(&mut SimFlash)| {
        let mut flash = flash.clone();
        prepare(&mut flash);
        let answer = device(config, flash, Everything::default()).list();
        let images = answer["images"].as_array().unwrap().clone();
        images
            .iter()
            .map(|image| {
                let image = image.as_object().unwrap();
                assert!(image.values().all(|value| *value != json!(false)), "only what is true");
                let names = image.keys().filter(|key| image[*key] == json!(true));
                names.cloned().collect::<Vec<_>>().join(" ")
            })
            .collect::<Vec<_>>()
    };
    let test = |flash: &mut SimFlash| secondary.write_magic(flash).unwrap();
    assert_eq!(flags(&|_| ()), ["active bootable confirmed", "bootable"]);
    assert_eq!(flags(&test), ["bootable confirmed", "bootable pending"]);
    let permanent = |flash: &mut SimFlash| {
        test(flash);
        secondary.write_image_ok(flash).unwrap();
    };
    assert_eq!(flags(&permanent), ["bootable confirmed", "bootable pending permanent"]);
    let revert = |flash: &mut SimFlash| {
        primary.write_copy_done(flash).unwrap();
        primary.write_magic(flash).unwrap();
    };
    assert_eq!(flags(&revert), ["active bootable", "bootable confirmed"]);
}

#[test]
fn an_update_of_swap_offset_is_found_one_sector_up() {
    let (old, new) = (image(V1, 900), image(V2, 1200));
    let mut flash = loaded(&[(PRIMARY, &old)]);
    flash.load(SECONDARY, 4096, &new).unwrap();
    let answer = device(config(UpgradeMode::SwapOffset), flash, NoHooks).list();
    assert_eq!(answer["images"][1]["version"], "2.0.0");
}

fn two_images() -> (Config, SimFlash) {
    let mut config = config(MODE);
    // The second image has the first one's secondary slot, and a single one.
    config.images = Images::new(&[
        ImageSlots { primary: PRIMARY, secondary: None, max_size: LARGEST },
        ImageSlots { primary: SECONDARY, secondary: None, max_size: LARGEST - 8 },
    ])
    .unwrap();
    (config, loaded(&[(PRIMARY, &image(V1, 900)), (SECONDARY, &image(V2, 1200))]))
}

#[test]
fn several_images_are_numbered() {
    let (config, flash) = two_images();
    let answer = device(config, flash, NoHooks).list();
    let place = |n: usize| [&answer["images"][n]["image"], &answer["images"][n]["slot"]];
    assert_eq!([place(0), place(1)], [[&json!(0), &json!(0)], [&json!(1), &json!(0)]]);
}

#[test]
fn no_more_images_than_there_is_room_for() {
    let slots = ImageSlots { primary: PRIMARY, secondary: None, max_size: LARGEST };
    assert_eq!(Images::new(&[]), None);
    assert_eq!(Images::new(&[slots; 8]).map(|images| images.count()), Some(8));
    assert_eq!(Images::new(&[slots; 9]), None);
}

#[test]
fn slot_information_names_where_uploads_go() {
    let info = |config, hooks| device(config, nor(), hooks).ask(Op::Read, 1, 6, &json!({}));
    let slots = |answer: Value| answer["images"][0]["slots"].clone();
    let with = Everything::default();
    let strict = info(config(MODE), with);
    assert_eq!(strict["images"][0]["max_image_size"], LARGEST);
    let id = json!({ "slot": 0, "size": SLOT, "upload_image_id": 0 });
    assert_eq!(slots(strict), json!([id, { "slot": 1, "size": SLOT }]));
    // The original says that of the other slot, and writes the primary one nevertheless.
    let id = json!({ "slot": 1, "size": SLOT, "upload_image_id": 0 });
    let original = info(imitating(config(MODE)), with);
    assert_eq!(slots(original), json!([{ "slot": 0, "size": SLOT }, id]));

    let direct = device(config(MODE), nor(), Direct).ask(Op::Read, 1, 6, &json!({}));
    let ids = [&direct["images"][0]["slots"][0], &direct["images"][0]["slots"][1]];
    assert_eq!(ids.map(|slot| slot["upload_image_id"].as_u64()), [Some(1), Some(2)]);

    let (two, flash) = two_images();
    let answer = device(two, flash, with).ask(Op::Read, 1, 6, &json!({}));
    assert_eq!(answer["images"][1]["image"], 1);
    assert_eq!(answer["images"][1]["slots"][0]["upload_image_id"], 1);
}

/// What the bootloader will do after a state write, and what the client was told.
fn set(config: Config, flash: &SimFlash, keys: Value) -> (SwapType, Value) {
    let mut device = device(config, flash.clone(), Everything::default());
    let answer = device.ask(Op::Write, 1, 0, &keys);
    let trailer = |area| trailer(&config, flash, area);
    let [primary, secondary] =
        [PRIMARY, SECONDARY].map(|area| trailer(area).read(device.flash()).unwrap());
    let swap = updraft_image::TrailerState::swap_type(config.trailers.mode, &primary, &secondary);
    (swap, answer)
}

#[test]
fn the_update_is_marked_by_its_hash() {
    let (old, new) = (image(V1, 900), image(V2, 1200));
    let flash = loaded(&[(PRIMARY, &old), (SECONDARY, &new)]);
    let (swap, answer) = set(config(MODE), &flash, json!({ "hash": hash(&new) }));
    assert_eq!(swap, SwapType::Test);
    assert_eq!(answer["images"][1]["pending"], true);
    let (swap, _) = set(config(MODE), &flash, json!({ "hash": hash(&new), "confirm": true }));
    assert_eq!(swap, SwapType::Permanent);
}

#[test]
fn without_a_hash_the_only_update_is_meant() {
    let flash = loaded(&[(PRIMARY, &image(V1, 900)), (SECONDARY, &image(V2, 1200))]);
    assert_eq!(set(config(MODE), &flash, json!({ "confirm": false })).0, SwapType::Test);
    assert_eq!(set(config(MODE), &flash, json!({ "confirm": true })).0, SwapType::Permanent);
}

#[test]
fn a_state_that_cannot_be_set_is_refused_and_nothing_is_marked() {
    let (old, new) = (image(V1, 900), image(V2, 1200));
    let flash = loaded(&[(PRIMARY, &old), (SECONDARY, &new)]);
    let rc = |config, flash: &SimFlash, keys: Value| {
        let (swap, answer) = set(config, flash, keys);
        assert_eq!(swap, SwapType::None);
        answer["rc"].as_u64().unwrap()
    };
    assert_eq!(rc(config(MODE), &flash, json!({ "hash": bytes(&[0; 32]) })), 5);
    assert_eq!(rc(config(MODE), &flash, json!({ "hash": bytes(&[0; 31]) })), 3);
    assert_eq!(rc(config(MODE), &flash, json!({ "hash": "text" })), 3);
    assert_eq!(rc(config(MODE), &flash, json!({ "hash": hash(&old) })), 3);
    assert_eq!(rc(config(UpgradeMode::DirectXip), &flash, json!({ "hash": hash(&new) })), 8);
    assert_eq!(rc(config(MODE), &loaded(&[(PRIMARY, &old)]), json!({})), 5);
    // Damaged behind its header.
    let mut damaged = flash.clone();
    damaged.load(SECONDARY, 700, &[!new[700]]).unwrap();
    assert_eq!(rc(config(MODE), &damaged, json!({ "confirm": true })), 9);
    assert_eq!(rc(config(MODE), &damaged, json!({ "hash": hash(&new) })), 5);

    let (two, flash) = two_images();
    let mut device = device(two, flash, Everything::default());
    assert_eq!(device.ask(Op::Write, 1, 0, &json!({ "confirm": true })), json!({ "rc": 3 }));
    let hash = device.list()["images"][1]["hash"].clone();
    let answer = device.ask(Op::Write, 1, 0, &json!({ "hash": hash }));
    assert_eq!(answer, json!({ "rc": 8 }), "an image with a single slot");
}

#[test]
fn confirming_the_primary_image_keeps_it() {
    let (old, new) = (image(V1, 900), image(V2, 1200));
    let mut flash = loaded(&[(PRIMARY, &old), (SECONDARY, &new)]);
    let primary = trailer(&config(MODE), &flash, PRIMARY);
    primary.write_swap_info(&mut flash, SwapInfo { swap_type: SwapType::Test, image: 0 }).unwrap();
    primary.write_copy_done(&mut flash).unwrap();
    primary.write_magic(&mut flash).unwrap();
    let keys = json!({ "hash": hash(&old), "confirm": true });
    assert_eq!(set(config(MODE), &flash, keys.clone()).0, SwapType::None);
    // The original marks whatever is in the other slot.
    assert_eq!(set(imitating(config(MODE)), &flash, keys).0, SwapType::Permanent);
}
