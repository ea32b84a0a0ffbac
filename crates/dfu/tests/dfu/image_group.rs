//! The slots behind SMP's image group: what it is answered, and what the application is told.

use updraft_dfu::{DfuSlots, Hooks, SlotTable, Upgrade};
use updraft_flash::{AreaId, Which};
use updraft_image::{
    Digest, HashKind, HashOnly, Header, SwapType, UpgradeMode, Version, magic_bytes,
};
use updraft_sim::flash::{SimFlash, Torn};
use updraft_smp::ImageError;
use updraft_smp::server::{Incoming, Refused, Slots, Trial};

use crate::common::{PRIMARY, SECONDARY, SLOT, V1, dfu, flash, image, in_mode, on_trial};

/// Notes what it is told, and refuses what it was told to.
#[derive(Clone, Debug, Default)]
struct Told {
    events: Vec<String>,
    refuse_upload: bool,
    refuse_at: Option<u32>,
}

const VETO: Refused = Refused::because(ImageError::Unknown, "battery is low");

impl Hooks for Told {
    fn admit(&mut self, upload: &Incoming) -> Result<(), Refused> {
        self.events.push(format!("admit {}", upload.len));
        if self.refuse_upload { Err(VETO) } else { Ok(()) }
    }

    fn started(&mut self, upload: &Incoming) {
        self.events.push(format!("started in slot {}", upload.slot));
    }

    fn chunk(&mut self, _: &Incoming, offset: u32, len: usize) -> Result<(), Refused> {
        self.events.push(format!("chunk {offset}+{len}"));
        if self.refuse_at == Some(offset) { Err(VETO) } else { Ok(()) }
    }

    fn written(&mut self, _: &Incoming, taken: u32) {
        self.events.push(format!("written {taken}"));
    }

    fn received(&mut self, _: &Incoming) {
        self.events.push("received".into());
    }

    fn stopped(&mut self, _: &Incoming) {
        self.events.push("stopped".into());
    }

    fn confirmed(&mut self, image: u8) {
        self.events.push(format!("confirmed {image}"));
    }
}

type Device<'h> = DfuSlots<SimFlash, HashOnly, updraft_dfu::Dfu, &'h mut Told, 512>;

fn device(flash: SimFlash, told: &mut Told) -> Device<'_> {
    let table = SlotTable::new(dfu(&flash));
    DfuSlots::with_hooks(flash, HashOnly, table, told)
}

fn incoming(file: &[u8]) -> Incoming {
    let header = Header::parse(file).expect("an image");
    Incoming { slot: 1, len: file.len() as u32, header, sha256: None }
}

/// What the group tells a client.
fn code<T, E: Into<Refused>>(outcome: Result<T, E>) -> Option<ImageError> {
    outcome.err().map(|error| error.into().error)
}

fn upload(slots: &mut Device<'_>, file: &[u8]) -> Result<(), Refused> {
    let upload = incoming(file);
    slots.admit(&upload).map_err(Refused::from)?;
    slots.begin_upload(&upload).map_err(Refused::from)?;
    for (n, piece) in file.chunks(400).enumerate() {
        slots.write(n as u32 * 400, piece).map_err(Refused::from)?;
    }
    slots.finish_upload().map_err(Refused::from)
}

#[test]
fn an_application_is_told_of_an_upload_from_its_first_packet_to_its_last() {
    let mut told = Told::default();
    let file = image(V1, 1000);
    let mut slots = device(flash(8, 0xff), &mut told);
    upload(&mut slots, &file).unwrap();
    let sha = Digest::of(HashKind::Sha256, &file);
    let sha: &[u8; 32] = sha.as_bytes().try_into().unwrap();
    assert!(matches!(slots.matches(1, file.len() as u32, sha), Ok(true)));
    assert!(matches!(slots.matches(1, file.len() as u32 - 1, sha), Ok(false)));
    assert!(matches!(slots.matches(1, u32::MAX, sha), Ok(false)));
    slots.request_boot(1, true).unwrap();
    assert!(matches!(slots.swap_type(0), Ok(SwapType::Permanent)));
    drop(slots);
    let expected = [
        "admit 1072",
        "started in slot 1",
        "chunk 0+400",
        "written 400",
        "chunk 400+400",
        "written 800",
        "chunk 800+272",
        "received",
    ];
    assert_eq!(told.events, expected, "the last chunk counts as received");
}

#[test]
fn an_application_may_refuse_an_upload_before_anything_is_erased() {
    let mut told = Told { refuse_upload: true, ..Told::default() };
    let mut dirty = flash(8, 0xff);
    dirty.load(SECONDARY, 0, &[0x55; SLOT as usize]).unwrap();
    let mut slots = device(dirty, &mut told);
    assert_eq!(upload(&mut slots, &image(V1, 1000)), Err(VETO));
    assert_eq!(slots.map().bytes(SECONDARY), [0x55; SLOT as usize]);
    drop(slots);
    assert_eq!(told.events, ["admit 1072"], "nothing that was not started stops");
}

#[test]
fn an_application_may_end_an_upload_at_any_chunk() {
    let mut told = Told { refuse_at: Some(400), ..Told::default() };
    let mut slots = device(flash(8, 0xff), &mut told);
    assert_eq!(upload(&mut slots, &image(V1, 1000)), Err(VETO));
    assert_eq!(code(slots.write(400, &[1])), Some(ImageError::FlashContextNotSet));
    assert_eq!(code(slots.finish_upload()), Some(ImageError::FlashContextNotSet));
    drop(slots);
    assert_eq!(told.events.last().unwrap(), "stopped");
}

#[test]
fn an_upload_that_fails_stops() {
    let mut told = Told::default();
    let flash = flash(8, 0xff);
    let mut slots = device(flash, &mut told);
    slots.map().supply().cut_at(2, Torn::Skip);
    let refused = upload(&mut slots, &image(V1, 1000)).unwrap_err();
    assert_eq!(refused.error, ImageError::FlashWriteFailed);
    drop(slots);
    assert_eq!(told.events.last().unwrap(), "stopped");
}

#[test]
fn another_upload_and_an_erase_stop_the_one_under_way() {
    let mut told = Told::default();
    let file = image(V1, 1000);
    let mut slots = device(flash(8, 0xff), &mut told);
    slots.begin_upload(&incoming(&file)).unwrap();
    slots.begin_upload(&incoming(&file)).unwrap();
    slots.erase_slot(1).unwrap();
    slots.erase_slot(1).unwrap();
    drop(slots);
    let started = "started in slot 1";
    assert_eq!(told.events, [started, "stopped", started, "stopped"]);
}

#[test]
fn an_application_is_told_when_it_is_confirmed() {
    let mut told = Told::default();
    let mut slots = device(on_trial(), &mut told);
    assert!(matches!(slots.swap_type(0), Ok(SwapType::Revert)));
    slots.confirm(0).unwrap();
    assert!(matches!(slots.swap_type(0), Ok(SwapType::None)));
    assert_eq!(code(slots.confirm(1)), Some(ImageError::NoFreeSlot));
    drop(slots);
    assert_eq!(told.events, ["confirmed 0"]);
}

#[test]
fn what_cannot_be_installed_is_refused_with_the_codes_of_the_field() {
    let mut told = Told::default();
    let mut slots = device(flash(8, 0xff), &mut told);
    let file = image(V1, 1000);
    let good = incoming(&file);
    let largest = slots.max_image_size(1).unwrap();
    assert_eq!(largest, 14 * 4096);
    for (upload, error) in [
        (Incoming { len: largest + 1, ..good }, ImageError::InvalidImageTooLarge),
        (Incoming { len: 0, ..good }, ImageError::InvalidLength),
        (Incoming { slot: 0, ..good }, ImageError::NoFreeSlot),
        (Incoming { slot: 2, ..good }, ImageError::InvalidSlot),
    ] {
        assert_eq!(code(slots.admit(&upload)), Some(error));
    }
    assert_eq!(
        code(slots.begin_upload(&Incoming { slot: 0, ..good })),
        Some(ImageError::NoFreeSlot)
    );
    assert_eq!(code(slots.erase_slot(0)), Some(ImageError::NoFreeSlot));
    assert_eq!(code(slots.erase_slot(2)), Some(ImageError::InvalidSlot));
    assert_eq!(code(slots.request_boot(0, false)), Some(ImageError::NoFreeSlot));
    assert_eq!(code(slots.request_boot(1, false)), Some(ImageError::NoImage));
    assert_eq!(slots.slot_size(2), None);
    drop(slots);
    assert!(told.events.is_empty());
}

#[test]
fn the_slot_that_a_revert_needs_is_refused() {
    let mut told = Told::default();
    let mut slots = device(on_trial(), &mut told);
    let upload = incoming(&image(V1, 1000));
    assert_eq!(code(slots.admit(&upload)), Some(ImageError::NoFreeSlot));
    assert_eq!(code(slots.begin_upload(&upload)), Some(ImageError::NoFreeSlot));
    assert_eq!(code(slots.erase_slot(1)), Some(ImageError::NoFreeSlot));
}

#[test]
fn images_are_listed_if_they_are_whole() {
    let mut told = Told::default();
    let mut flash = flash(8, 0xff);
    let new = image(Version::new(2, 0, 0, 0), 500);
    flash.load(PRIMARY, 0, &image(V1, 1000)).unwrap();
    flash.load(SECONDARY, 0, &new[..new.len() - 10]).unwrap();
    let mut slots = device(flash, &mut told);
    let listed = |slots: &mut Device<'_>, slot| {
        slots.image_info(slot).ok().flatten().map(|image| image.version)
    };
    assert_eq!(listed(&mut slots, 0), Some(V1));
    assert_eq!(listed(&mut slots, 2), None);
    // The last ten bytes of the hash are erased, and so another hash.
    assert_eq!(listed(&mut slots, 1), Some(Version::new(2, 0, 0, 0)));
    slots.map().load(SECONDARY, 0, &[0; 4]).unwrap();
    assert_eq!(listed(&mut slots, 1), None);
}

#[test]
fn each_slot_tells_how_far_its_trial_is() {
    let mut flash = flash(8, 0xff);
    let dfu = in_mode(&flash, UpgradeMode::DirectXipRevert).running_from(Which::Secondary);
    flash.load(PRIMARY, 0, &image(V1, 1000)).unwrap();
    let mut slots = DfuSlots::<_, _, _, _, 512>::new(flash, HashOnly, SlotTable::new(dfu));
    assert_eq!(slots.active_slot(0), Some(1));
    assert_eq!(slots.mode(), UpgradeMode::DirectXipRevert);
    let mut trial = |area: AreaId, offset, bytes: &[u8]| {
        slots.map().load(area, offset, bytes).unwrap();
        slots.trial(0).ok()
    };
    assert_eq!(trial(PRIMARY, 0, &[]), Some(Trial::Unset));
    assert_eq!(trial(PRIMARY, SLOT - 16, &magic_bytes(8)), Some(Trial::Once));
    assert_eq!(trial(PRIMARY, SLOT - 32, &[1]), Some(Trial::Revert));
    assert_eq!(trial(PRIMARY, SLOT - 24, &[1]), Some(Trial::Forever));
}

#[test]
fn an_update_is_asked_for_once_it_is_uploaded() {
    for (permanent, asked) in [(false, SwapType::Test), (true, SwapType::Permanent)] {
        let mut told = Told::default();
        let mut slots = device(flash(8, 0xff), &mut told);
        upload(&mut slots, &image(V1, 1000)).unwrap();
        slots.request_boot(1, permanent).unwrap();
        assert!(matches!(slots.swap_type(0), Ok(swap) if swap == asked));
        let (map, dfu) = slots.image(0).unwrap();
        let again = dfu.request_upgrade(map, &mut HashOnly, Upgrade::Test).unwrap();
        assert_eq!(again, updraft_dfu::Requested::Already(asked));
    }
}
