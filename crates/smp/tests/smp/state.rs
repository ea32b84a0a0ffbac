//! Image state: the life of updates step by step, what is refused when, other modes and several
//! images.

use updraft_image::{Flags, Header, UpgradeMode, Version};
use updraft_smp::client::{Answer, AnswerError, Requests};
use updraft_smp::server::{ConfirmOthers, Policy, Trial};
use updraft_smp::{ImageError, Op, Version as Protocol, group, image};

use crate::device::{
    Cbor, Device, Fault, Memory, file, hash_of, image_write, map, request, versioned,
};

const SIZE: usize = 64 * 1024;

fn a() -> Vec<u8> {
    file(Version::new(0, 0, 0, 0), 1000)
}

fn b() -> Vec<u8> {
    file(Version::new(1, 2, 3, 4), 1200)
}

fn c() -> Vec<u8> {
    file(Version::new(2, 0, 0, 0), 900)
}

/// What went wrong, `None` if nothing did.
fn error(answer: &[u8]) -> Option<ImageError> {
    match Answer::parse(answer).expect("an answer").check() {
        Ok(()) => None,
        Err(AnswerError::Refused(refusal)) => Some(refusal.image_error().expect("a group code")),
        Err(other) => panic!("{other}"),
    }
}

/// The image list in the notation of the field: `slot: version flags`, A active, C confirmed,
/// P pending, M permanent, b bootable.
fn list(device: &mut Device) -> Vec<String> {
    let answer = device.answer(&request(Op::Read, group::IMAGE, image::STATE, &[0xa0]));
    listed(&answer)
}

fn listed(answer: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    Answer::parse(answer)
        .expect("an answer")
        .images(|entry| {
            let flags = [
                (entry.active, 'A'),
                (entry.confirmed, 'C'),
                (entry.pending, 'P'),
                (entry.permanent, 'M'),
                (entry.bootable, 'b'),
            ];
            let flags: String =
                flags.into_iter().filter_map(|(set, letter)| set.then_some(letter)).collect();
            lines.push(format!("{}.{}: {} {flags}", entry.image, entry.slot, entry.version));
        })
        .expect("a list");
    lines
}

fn test(device: &mut Device, file: &[u8]) -> Option<ImageError> {
    let mut buffer = [0; 256];
    let message = Requests::default().test(&mut buffer, &hash_of(file)).expect("it fits").to_vec();
    error(&device.answer(&message))
}

fn confirm(device: &mut Device, file: Option<&[u8]>) -> Option<ImageError> {
    let mut buffer = [0; 256];
    let hash = file.map(hash_of);
    let message = Requests::default().confirm(&mut buffer, hash.as_ref().map(|hash| &hash[..]));
    error(&device.answer(message.expect("it fits")))
}

fn erase(device: &mut Device, slot: Option<u8>) -> Option<ImageError> {
    let mut buffer = [0; 64];
    let message = Requests::default().erase(&mut buffer, slot).expect("it fits").to_vec();
    error(&device.answer(&message))
}

fn upload(device: &mut Device, image: Option<u64>, file: &[u8]) -> Option<ImageError> {
    for off in (0..file.len()).step_by(400) {
        let end = (off + 400).min(file.len());
        let mut fields =
            vec![("off", Cbor::Uint(off as u64)), ("data", Cbor::Bytes(&file[off..end]))];
        if off == 0 {
            fields.push(("len", Cbor::Uint(file.len() as u64)));
            fields.extend(image.map(|image| ("image", Cbor::Uint(image))));
        }
        let error = error(&device.answer(&image_write(image::UPLOAD, &map(&fields))));
        if error.is_some() {
            return error;
        }
    }
    None
}

/// A device with A running and `other` in the secondary slot.
fn device(mode: UpgradeMode, other: Option<&[u8]>) -> Device {
    let mut memory = Memory::new(1, SIZE);
    memory.mode = mode;
    memory.put(0, &a());
    if let Some(other) = other {
        memory.put(1, other);
    }
    Device::new(memory)
}

#[test]
fn a_life_of_updates_in_swap_by_offset() {
    let mut device = device(UpgradeMode::SwapOffset, None);
    assert_eq!(list(&mut device), ["0.0: 0.0.0 ACb"]);

    let first = map(&[
        ("off", Cbor::Uint(0)),
        ("len", Cbor::Uint(b().len() as u64)),
        ("data", Cbor::Bytes(&b()[..300])),
    ]);
    device.answer(&image_write(image::UPLOAD, &first));
    assert_eq!(list(&mut device), ["0.0: 0.0.0 ACb"], "half an upload is not listed");

    assert_eq!(upload(&mut device, None, &b()), None);
    assert_eq!(list(&mut device), ["0.0: 0.0.0 ACb", "0.1: 1.2.3.4 b"]);
    assert_eq!(test(&mut device, &b()), None);
    assert_eq!(list(&mut device), ["0.0: 0.0.0 ACb", "0.1: 1.2.3.4 Pb"]);
    assert_eq!(test(&mut device, &b()), None, "the same again changes nothing");
    assert_eq!(confirm(&mut device, Some(&b())), Some(ImageError::ImageAlreadyPending));
    assert_eq!(confirm(&mut device, None), Some(ImageError::ImageAlreadyPending));

    device.reboot();
    let on_trial = ["0.0: 1.2.3.4 Ab", "0.1: 0.0.0 Cb"];
    assert_eq!(list(&mut device), on_trial);
    assert_eq!(upload(&mut device, None, &c()), Some(ImageError::NoFreeSlot));
    assert_eq!(erase(&mut device, None), Some(ImageError::NoFreeSlot));
    assert_eq!(test(&mut device, &a()), Some(ImageError::ImageAlreadyPending));
    assert_eq!(test(&mut device, &b()), Some(ImageError::ImageSettingTestToActiveDenied));
    assert_eq!(confirm(&mut device, Some(&a())), None, "it is what boots next anyway");
    assert_eq!(list(&mut device), on_trial);

    device.reboot();
    assert_eq!(list(&mut device), ["0.0: 0.0.0 ACb", "0.1: 1.2.3.4 b"], "reverted");
    assert_eq!(test(&mut device, &b()), None);
    device.reboot();
    assert_eq!(confirm(&mut device, None), None);
    assert_eq!(list(&mut device), ["0.0: 1.2.3.4 ACb"]);
    device.reboot();
    assert_eq!(list(&mut device), ["0.0: 1.2.3.4 ACb"], "stays");

    assert_eq!(upload(&mut device, None, &c()), None);
    assert_eq!(confirm(&mut device, Some(&c())), None);
    assert_eq!(list(&mut device), ["0.0: 1.2.3.4 ACb", "0.1: 2.0.0 PMb"]);
    assert_eq!(test(&mut device, &c()), Some(ImageError::ImageAlreadyPending));
    assert_eq!(confirm(&mut device, Some(&c())), None);
    assert_eq!(confirm(&mut device, None), Some(ImageError::ImageAlreadyPending));
    device.reboot();
    assert_eq!(list(&mut device), ["0.0: 2.0.0 ACb"], "no test, no way back");

    assert_eq!(upload(&mut device, None, &a()), None);
    assert_eq!(test(&mut device, &a()), None);
    assert_eq!(erase(&mut device, None), None, "a pending update may be erased");
    assert_eq!(list(&mut device), ["0.0: 2.0.0 ACb"]);

    assert_eq!(upload(&mut device, None, &c()), None);
    assert_eq!(list(&mut device), ["0.0: 2.0.0 ACb", "0.1: 2.0.0 b"]);
    let denied = Some(ImageError::ImageSettingTestToActiveDenied);
    assert_eq!(test(&mut device, &c()), denied, "of two equal images the running one is meant");
    assert_eq!(confirm(&mut device, Some(&c())), None);
    assert_eq!(list(&mut device), ["0.0: 2.0.0 ACb", "0.1: 2.0.0 b"]);
}

#[test]
fn scratch_and_move_keep_the_old_image_listed_after_the_confirm() {
    for mode in [UpgradeMode::SwapScratch, UpgradeMode::SwapMove] {
        let mut device = device(mode, Some(&b()));
        assert_eq!(test(&mut device, &b()), None);
        device.reboot();
        assert_eq!(confirm(&mut device, None), None);
        assert_eq!(list(&mut device), ["0.0: 1.2.3.4 ACb", "0.1: 0.0.0 b"]);
    }
}

#[test]
fn an_image_that_does_not_verify_is_not_marked() {
    let mut broken = b();
    broken[100] ^= 1;
    let mut device = device(UpgradeMode::SwapMove, Some(&broken));
    assert_eq!(list(&mut device).len(), 2, "it is listed all the same");
    assert_eq!(test(&mut device, &broken), Some(ImageError::InvalidTlv));
    assert_eq!(confirm(&mut device, Some(&broken)), Some(ImageError::InvalidTlv));
    assert_eq!(list(&mut device)[1], "0.1: 1.2.3.4 b");

    let hash = hash_of(&broken);
    let payload = map(&[("hash", Cbor::Bytes(&hash))]);
    let packet = versioned(Protocol::V1, Op::Write, group::IMAGE, image::STATE, &payload);
    assert_eq!(device.answer(&packet)[8..], *b"\xbf\x62rc\x01\x63rsn\x6dbad signature\xff");
}

#[test]
fn a_pending_update_is_kept_where_the_policy_says_so() {
    let mut memory = Memory::new(1, SIZE);
    memory.put(0, &a());
    memory.put(1, &b());
    let policy = Policy { erase_pending: false, ..Policy::default() };
    for permanent in [false, true] {
        let mut device = Device::with_policy(memory.clone(), policy);
        assert_eq!(
            match permanent {
                false => test(&mut device, &b()),
                true => confirm(&mut device, Some(&b())),
            },
            None
        );
        assert_eq!(erase(&mut device, None), Some(ImageError::NoFreeSlot));
        assert_eq!(upload(&mut device, None, &c()), Some(ImageError::NoFreeSlot));
    }
}

#[test]
fn the_running_slot_is_never_erased_whatever_its_header_reads_like() {
    let mut device = device(UpgradeMode::SwapMove, None);
    device.memory().slots[0].as_mut().expect("slot 0")[0] ^= 0xff;
    assert_eq!(list(&mut device), [""; 0]);
    assert_eq!(erase(&mut device, Some(0)), Some(ImageError::NoFreeSlot));
    assert_eq!(upload(&mut device, None, &b()), None);
    assert_eq!(device.memory().slot(1)[..b().len()], b());
}

#[test]
fn a_slot_with_a_broken_header_may_be_erased_even_if_it_is_pending() {
    let mut memory = Memory::new(1, SIZE);
    memory.put(0, &a());
    memory.put(1, &b());
    memory.pending[0] = Some(false);
    memory.slots[1].as_mut().expect("slot 1")[0] ^= 0xff;
    let policy = Policy { erase_pending: false, ..Policy::default() };
    assert_eq!(erase(&mut Device::with_policy(memory, policy), Some(1)), None);
}

#[test]
fn hashes_of_wrong_length_are_invalid_and_unknown_ones_not_found() {
    let mut device = device(UpgradeMode::SwapMove, Some(&b()));
    let mut state = |fields: &[(&str, Cbor<'_>)]| {
        error(&device.answer(&image_write(image::STATE, &map(fields))))
    };
    assert_eq!(state(&[]), Some(ImageError::InvalidHash));
    for len in [0, 31, 33, 64] {
        let hash = vec![0; len];
        assert_eq!(state(&[("hash", Cbor::Bytes(&hash))]), Some(ImageError::InvalidHash));
    }
    assert_eq!(state(&[("hash", Cbor::Bytes(&[0; 32]))]), Some(ImageError::HashNotFound));
}

/// Clients written in Go send the hash that they were not given all the same.
#[test]
fn a_hash_that_is_empty_or_null_is_none() {
    for none in [&b"\xa2\x64hash\x40\x67confirm\xf5"[..], b"\xa2\x64hash\xf6\x67confirm\xf5"] {
        let mut device = device(UpgradeMode::SwapMove, Some(&b()));
        device.memory().trial[0] = true;
        assert_eq!(error(&device.answer(&image_write(image::STATE, none))), None);
        assert!(!device.memory().trial[0], "what runs is confirmed");
    }
}

#[test]
fn direct_xip_lists_the_newer_image_as_next_and_takes_no_state() {
    for mode in [UpgradeMode::DirectXip, UpgradeMode::RamLoad] {
        let mut device = device(mode, Some(&b()));
        assert_eq!(list(&mut device), ["0.0: 0.0.0 ACb", "0.1: 1.2.3.4 PMb"]);
        let answer =
            device.answer(&image_write(image::STATE, &map(&[("confirm", Cbor::Bool(true))])));
        assert_eq!(answer[8..], *b"\xbf\x62rc\x08\xff");
        assert_eq!(erase(&mut device, None), None);
    }
}

#[test]
fn direct_xip_runs_from_the_secondary_slot_and_uploads_to_the_primary() {
    let mut memory = Memory::new(1, SIZE);
    memory.mode = UpgradeMode::DirectXip;
    memory.active = vec![Some(1)];
    memory.put(0, &a());
    memory.put(1, &b());
    let mut device = Device::new(memory);
    assert_eq!(list(&mut device), ["0.0: 0.0.0 b", "0.1: 1.2.3.4 ACb"]);
    assert_eq!(erase(&mut device, Some(1)), Some(ImageError::NoFreeSlot));
    assert_eq!(upload(&mut device, None, &c()), None);
    assert_eq!(list(&mut device), ["0.0: 2.0.0 PMb", "0.1: 1.2.3.4 ACb"]);
}

#[test]
fn direct_xip_with_revert_follows_the_trials() {
    use Trial::{Forever, Once, Revert, Unset};
    let rows = [
        // running, other, list
        (Forever, Unset, ["0.0: 0.0.0 ACb", "0.1: 1.2.3.4 b"]),
        (Forever, Once, ["0.0: 0.0.0 ACb", "0.1: 1.2.3.4 Pb"]),
        (Forever, Forever, ["0.0: 0.0.0 ACb", "0.1: 1.2.3.4 PMb"]),
        (Revert, Forever, ["0.0: 0.0.0 Ab", "0.1: 1.2.3.4 Cb"]),
        (Once, Unset, ["0.0: 0.0.0 Ab", "0.1: 1.2.3.4 b"]),
    ];
    for (running, other, expected) in rows {
        let mut device = device(UpgradeMode::DirectXipRevert, Some(&b()));
        device.memory().trials = vec![running, other];
        assert_eq!(list(&mut device), expected, "{running:?} {other:?}");
        let in_use = running == Revert;
        assert_eq!(erase(&mut device, None), in_use.then_some(ImageError::NoFreeSlot));
    }
}

#[test]
fn a_non_bootable_image_says_so() {
    let mut loader = b();
    let header = Header::parse(&loader).expect("a header");
    let header = Header { flags: Flags::NON_BOOTABLE, ..header };
    loader[..32].copy_from_slice(&header.emit());
    let mut device = device(UpgradeMode::SwapMove, Some(&loader));
    assert_eq!(list(&mut device)[1], "0.1: 1.2.3.4 ");
}

fn two_images(policy: Policy) -> Device {
    let mut memory = Memory::new(2, SIZE);
    memory.mode = UpgradeMode::SwapMove;
    memory.put(0, &a());
    memory.put(2, &file(Version::new(0, 7, 0, 0), 800));
    Device::with_policy(memory, policy)
}

#[test]
fn two_images_are_numbered_in_lists_and_uploads() {
    let mut device = two_images(Policy::default());
    assert_eq!(list(&mut device), ["0.0: 0.0.0 ACb", "1.0: 0.7.0 ACb"]);
    assert_eq!(upload(&mut device, Some(1), &c()), None);
    assert_eq!(upload(&mut device, Some(0), &b()), None);
    assert_eq!(upload(&mut device, Some(2), &b()), Some(ImageError::NoFreeSlot));
    assert_eq!(list(&mut device).len(), 4);
    assert_eq!(test(&mut device, &b()), None);
    assert_eq!(test(&mut device, &c()), None);
    assert_eq!(list(&mut device)[1], "0.1: 1.2.3.4 Pb");
    assert_eq!(list(&mut device)[3], "1.1: 2.0.0 Pb");
    device.reboot();
    assert_eq!(list(&mut device)[0], "0.0: 1.2.3.4 Ab");
    assert_eq!(list(&mut device)[2], "1.0: 2.0.0 Ab");
    assert_eq!(erase(&mut device, Some(3)), Some(ImageError::NoFreeSlot), "needed for the revert");
    assert_eq!(confirm(&mut device, None), None);
    assert_eq!(list(&mut device)[0], "0.0: 1.2.3.4 ACb");
    assert_eq!(list(&mut device)[2], "1.0: 2.0.0 Ab", "only the running image is confirmed");
}

#[test]
fn other_images_are_confirmed_as_far_as_the_policy_goes() {
    let running = file(Version::new(0, 7, 0, 0), 800);
    let denied = Some(ImageError::ImageConfirmationDenied);
    for (others, primary, secondary) in [
        (ConfirmOthers::No, denied, denied),
        (ConfirmOthers::Secondary, denied, None),
        (ConfirmOthers::Any, None, None),
    ] {
        let policy = Policy { confirm_others: others, ..Policy::default() };
        let mut device = two_images(policy);
        assert_eq!(upload(&mut device, Some(1), &c()), None);
        assert_eq!(confirm(&mut device, Some(&running)), primary, "{others:?}");
        assert_eq!(confirm(&mut device, Some(&c())), secondary, "{others:?}");
    }
}

#[test]
fn slot_information_names_where_to_upload() {
    let mut memory = Memory::new(2, SIZE);
    memory.max_image_size = Some(60_000);
    memory.slots[3] = None;
    let mut device = Device::new(memory);
    let mut buffer = [0; 64];
    let ask = Requests::default().slot_info(&mut buffer).expect("it fits").to_vec();
    let answer = device.answer(&ask);
    let mut slots = Vec::new();
    let limit = Answer::parse(&answer).expect("an answer").slots(|slot| slots.push(slot));
    assert_eq!(limit, Ok(Some(60_000)));
    let found: Vec<_> =
        slots.iter().map(|slot| (slot.image, slot.slot, slot.size, slot.upload_image_id)).collect();
    let size = Some(SIZE as u32);
    assert_eq!(found, [(0, 0, size, None), (0, 1, size, Some(0)), (1, 0, size, None)]);
}

#[test]
fn nothing_is_protected_where_nothing_runs() {
    let mut memory = Memory::new(1, SIZE);
    memory.active = vec![None];
    memory.put(0, &a());
    let mut device = Device::new(memory);
    assert_eq!(list(&mut device), ["0.0: 0.0.0 b"]);
    assert_eq!(upload(&mut device, None, &b()), None);
    assert_eq!(device.memory().slot(0)[..b().len()], b(), "the primary slot is replaced");
    assert_eq!(confirm(&mut device, None), Some(ImageError::ActiveSlotNotKnown));
}

#[test]
fn an_erase_that_fails_is_told() {
    let mut device = device(UpgradeMode::SwapMove, Some(&b()));
    device.memory().fault = Some(Fault::Erase);
    assert_eq!(erase(&mut device, None), Some(ImageError::FlashEraseFailed));
    assert_eq!(erase(&mut device, Some(2)), Some(ImageError::FlashOpenFailed), "no such slot");
}
