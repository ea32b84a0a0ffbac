//! What may be uploaded, where to, and how an upload goes on after a reset.

use proptest::prelude::*;
use updraft_dfu::{Config, Dfu, DfuError, Offer, ResumeError, SlotWriter, Upgrade};
use updraft_flash::{AreaEntry, Fault, FlashMap, Kind, TrailerFormat, Which};
use updraft_image::{
    Digest, Flags, HashKind, HashOnly, Header, HeaderError, Rules, SwapType, UpgradeMode,
    magic_bytes,
};
use updraft_sim::flash::{DeviceSpec, SimFlash, Torn};

use crate::common::{
    PRIMARY, SECONDARY, SLOT, Settings, V1, config, dfu, encrypted, flash, image, in_mode,
    on_trial, with_offset,
};

const KEY: &str = "dfu/progress";

fn offer(file: &[u8]) -> Offer {
    Offer { len: file.len() as u32, header: Header::parse(file).expect("an image") }
}

#[test]
fn the_slot_that_does_not_run_takes_uploads() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    assert_eq!((dfu.active_slot(), dfu.upload_slot()), (Which::Primary, Which::Secondary));
    assert_eq!(dfu.writer::<_, 512>(&mut flash).unwrap().area(), SECONDARY);
    let dfu = dfu.running_from(Which::Secondary);
    assert_eq!((dfu.active_slot(), dfu.upload_slot()), (Which::Secondary, Which::Primary));
    assert_eq!(dfu.writer::<_, 512>(&mut flash).unwrap().area(), PRIMARY);
    // Whoever names the slot gets that one.
    let writer = SlotWriter::<512>::new(&mut flash, dfu.trailer(Which::Secondary), 0).unwrap();
    assert_eq!(writer.area(), SECONDARY);
}

#[test]
fn a_dirty_slot_takes_300_pieces_of_5_bytes_and_loses_its_trailer() {
    let mut flash = flash(8, 0xff);
    flash.load(SECONDARY, 0, &[0; SLOT as usize]).unwrap();
    let dfu = dfu(&flash);
    let mut writer = dfu.writer::<_, 512>(&mut flash).unwrap();
    assert_eq!(writer.written(), 0);
    let all: Vec<u8> = (0..1500u32).map(|k| k as u8).collect();
    for piece in all.chunks(5) {
        writer.write(&mut flash, piece).unwrap();
    }
    assert_eq!(writer.finish(&mut flash), Ok(1500));
    let bytes = flash.bytes(SECONDARY);
    assert_eq!(bytes[..1500], all);
    assert_eq!(bytes[SLOT as usize - 8..], [0xff; 8]);
}

#[test]
fn what_was_uploaded_is_checked_against_a_hash() {
    let mut flash = flash(8, 0xff);
    let text = b"0123456789abcdef\nfedcba9876543210\n";
    let hex = "c6b67c46e72e141749a4d2f13858b2a754af6d39506bd54190f6181ae0c27f98";
    let sha: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
    for dfu in [dfu(&flash), with_offset(&flash)] {
        let mut writer = dfu.writer::<_, 512>(&mut flash).unwrap();
        writer.write(&mut flash, text).unwrap();
        writer.finish(&mut flash).unwrap();
        let good = Digest::from_slice(HashKind::Sha256, &sha).unwrap();
        let check =
            |flash: &mut SimFlash, len, wanted| dfu.check(flash, Which::Secondary, len, wanted);
        assert_eq!(check(&mut flash, 34, &good), Ok(true));
        assert_eq!(check(&mut flash, 33, &good), Ok(false));
        let mut other = sha.clone();
        other[0] = 0;
        let other = Digest::from_slice(HashKind::Sha256, &other).unwrap();
        assert_eq!(check(&mut flash, 34, &other), Ok(false));
        let max = SLOT - dfu.update_start(&flash);
        for len in [0, max + 1, u32::MAX] {
            assert_eq!(check(&mut flash, len, &good), Err(DfuError::Length { len, max }));
        }
    }
}

#[test]
fn a_file_that_cannot_be_installed_is_refused_at_its_first_bytes() {
    let mut flash = flash(8, 0xff);
    // 16 sectors, one to spare and one for each trailer.
    let dfu = dfu(&flash);
    let max = 14 * 4096;
    assert_eq!(dfu.max_image_size(&flash), max);
    let fits = image(V1, max as usize - 32 - 40);
    assert_eq!(fits.len() as u32, max);
    assert_eq!(dfu.admit(&mut flash, &offer(&fits)), Ok(()));
    let large = image(V1, max as usize - 32 - 40 + 1);
    let refused = dfu.admit(&mut flash, &offer(&large));
    assert_eq!(refused, Err(DfuError::Length { len: max + 1, max }));
    let refused = dfu.admit(&mut flash, &Offer { len: 0, ..offer(&fits) });
    assert_eq!(refused, Err(DfuError::Length { len: 0, max }));
    assert_eq!(flash.counts().erases, 0, "nothing is erased for it");
}

#[test]
fn the_boards_own_bound_counts_where_it_is_lower() {
    let flash = flash(8, 0xff);
    for (max_size, bound) in [(0, 14 * 4096), (5000, 5000), (u32::MAX, 14 * 4096)] {
        let rules = Rules { max_size, ..config().rules };
        let dfu = Dfu::new(&flash, Config { rules, ..config() }).unwrap();
        assert_eq!(dfu.max_image_size(&flash), bound);
    }
}

#[test]
fn a_header_that_no_file_of_this_length_can_have_is_refused() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    let good = offer(&image(V1, 1000));
    for (header, error) in [
        (
            Header { img_size: 5000, ..good.header },
            HeaderError::TooLarge { size: 5036, slot: good.len },
        ),
        (Header { img_size: u32::MAX, ..good.header }, HeaderError::Overflow),
        (Header { hdr_size: 31, ..good.header }, HeaderError::HeaderSize { hdr_size: 31 }),
    ] {
        let refused = dfu.admit(&mut flash, &Offer { header, ..good });
        assert_eq!(refused, Err(DfuError::NoImage(error)));
    }
}

#[test]
fn an_image_that_the_bootloader_cannot_unpack_is_refused() {
    let mut flash = flash(8, 0xff);
    let sealed = offer(&encrypted(5000));
    let refused = dfu(&flash).admit(&mut flash, &sealed);
    let flags = Flags::ENCRYPTED_AES128;
    assert_eq!(refused, Err(DfuError::NoImage(HeaderError::Flags { flags })));
    let rules = Rules { supported: flags, ..config().rules };
    let dfu = Dfu::new(&flash, Config { rules, ..config() }).unwrap();
    assert_eq!(dfu.admit(&mut flash, &sealed), Ok(()));
}

#[test]
fn an_image_that_runs_in_place_has_to_be_linked_for_its_slot() {
    let mut flash = flash(8, 0xff);
    let dfu = in_mode(&flash, UpgradeMode::DirectXip);
    let plain = offer(&image(V1, 1000));
    let linked = |load_addr| Offer {
        header: Header { flags: Flags::ROM_FIXED, load_addr, ..plain.header },
        ..plain
    };
    assert_eq!(dfu.admit(&mut flash, &linked(SLOT)), Ok(()));
    let refused = dfu.admit(&mut flash, &linked(0));
    assert_eq!(refused, Err(DfuError::LinkedElsewhere { load_addr: 0, slot: SLOT }));
    let other = dfu.running_from(Which::Secondary);
    assert_eq!(other.admit(&mut flash, &linked(0)), Ok(()));
    // Elsewhere nobody looks at the flag.
    assert_eq!(self::dfu(&flash).admit(&mut flash, &linked(0)), Ok(()));
}

#[test]
fn the_image_that_a_revert_goes_back_to_is_not_written_over() {
    let mut flash = on_trial();
    let dfu = dfu(&flash);
    let before = flash.bytes(SECONDARY);
    let file = offer(&image(V1, 1000));
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Revert));
    assert_eq!(dfu.admit(&mut flash, &file), Err(DfuError::KeptForRevert));
    assert_eq!(dfu.writer::<_, 512>(&mut flash).err(), Some(DfuError::KeptForRevert));
    assert_eq!(dfu.erase_slot(&mut flash), Err(DfuError::KeptForRevert));
    let resumed =
        dfu.resume_writer::<_, _, 512>(&mut flash, (&mut Settings::default(), KEY, &[0; 32]));
    assert_eq!(resumed.err(), Some(ResumeError::Dfu(DfuError::KeptForRevert)));
    assert_eq!(flash.bytes(SECONDARY), before);
    // Confirmed, there is nothing to go back to.
    let mut confirmed = flash.clone();
    dfu.confirm(&mut confirmed).unwrap();
    assert_eq!(dfu.admit(&mut confirmed, &file), Ok(()));
    dfu.writer::<_, 512>(&mut confirmed).unwrap();
    // Or it is said.
    dfu.writer_giving_up_revert::<_, 512>(&mut flash).unwrap();
    dfu.erase_giving_up_revert(&mut flash).unwrap();
    assert_eq!(dfu.is_blank(&mut flash, Which::Secondary), Ok(true));
}

#[test]
fn a_slot_without_a_whole_image_serves_no_revert() {
    let mut flash = on_trial();
    let dfu = dfu(&flash);
    let mut half = flash.bytes(SECONDARY);
    half[2000..].fill(0xff);
    flash.load(SECONDARY, 0, &half).unwrap();
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Revert));
    dfu.writer::<_, 512>(&mut flash).unwrap();
}

/// Swap-offset: what a revert brings back lies at the beginning of the slot.
#[test]
fn the_image_to_go_back_to_is_looked_for_where_it_is() {
    let mut flash = on_trial();
    let dfu = with_offset(&flash);
    assert_eq!(dfu.image_start(&mut flash, Which::Secondary), Ok(0));
    assert_eq!(dfu.writer::<_, 512>(&mut flash).err(), Some(DfuError::KeptForRevert));
    dfu.confirm(&mut flash).unwrap();
    assert_eq!(dfu.image_start(&mut flash, Which::Secondary), Ok(4096));
    dfu.writer::<_, 512>(&mut flash).unwrap();
}

/// A writer for `file`, which goes on by what is in `settings`.
fn resume(dfu: &Dfu, flash: &mut SimFlash, settings: &mut Settings) -> SlotWriter<512> {
    dfu.resume_writer(flash, (settings, KEY, &[9; 32])).expect("nothing is in the way")
}

/// Writes what is missing, saving progress every few kilobytes.
fn upload(dfu: &Dfu, flash: &mut SimFlash, settings: &mut Settings, file: &[u8]) -> Result<(), ()> {
    let mut writer: SlotWriter<512> =
        dfu.resume_writer(flash, (&mut *settings, KEY, &[9; 32])).map_err(drop)?;
    for piece in file[writer.written() as usize..].chunks(3000) {
        writer.write(flash, piece).map_err(drop)?;
        writer.save_progress(flash, (&mut *settings, KEY, &[9; 32])).map_err(drop)?;
    }
    writer.finish(flash).map(drop).map_err(drop)
}

#[test]
fn an_upload_goes_on_where_its_progress_says() {
    for mode in [UpgradeMode::SwapMove, UpgradeMode::SwapOffset] {
        let mut flash = flash(8, 0xff);
        flash.load(SECONDARY, 0, &[0x55; SLOT as usize]).unwrap();
        let dfu = in_mode(&flash, mode);
        let file = image(V1, 30_000);
        let mut settings = Settings::default();
        let mut writer = resume(&dfu, &mut flash, &mut settings);
        writer.write(&mut flash, &file[..10_000]).unwrap();
        writer.save_progress(&mut flash, (&mut settings, KEY, &[9; 32])).unwrap();
        flash.reset_counts();
        let mut writer = resume(&dfu, &mut flash, &mut settings);
        assert_eq!(writer.written(), 19 * 512);
        writer.write(&mut flash, &file[19 * 512..]).unwrap();
        writer.finish(&mut flash).unwrap();
        // The trailer's sector, and five of the image.
        assert_eq!(flash.counts().erases, 6, "{mode}");
        assert!(dfu.verify(&mut flash, &mut HashOnly).is_ok());
    }
}

#[test]
fn an_upload_that_goes_on_withdraws_a_request_made_meanwhile() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    let file = image(V1, 30_000);
    let mut settings = Settings::default();
    let mut writer = resume(&dfu, &mut flash, &mut settings);
    writer.write(&mut flash, &file[..8192]).unwrap();
    writer.save_progress(&mut flash, (&mut settings, KEY, &[9; 32])).unwrap();
    flash.load(SECONDARY, SLOT - 16, &magic_bytes(8)).unwrap();
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::Test));
    let writer = resume(&dfu, &mut flash, &mut settings);
    assert_eq!(writer.written(), 8192);
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::None));
}

/// The image reaches into the trailer's sector: that cannot be erased without it.
#[test]
fn an_upload_into_the_trailers_sector_begins_again_if_that_is_not_blank() {
    let mut flash = flash(8, 0xff);
    let dfu = in_mode(&flash, UpgradeMode::OverwriteOnly);
    let file = image(V1, 15 * 4096 + 1000);
    let mut settings = Settings::default();
    let saved = 15 * 4096 + 512;
    let mut writer = resume(&dfu, &mut flash, &mut settings);
    writer.write(&mut flash, &file[..saved]).unwrap();
    writer.save_progress(&mut flash, (&mut settings, KEY, &[9; 32])).unwrap();
    let mut clean = flash.clone();
    assert_eq!(resume(&dfu, &mut clean, &mut settings).written(), saved as u32);
    flash.load(SECONDARY, SLOT - 16, &magic_bytes(8)).unwrap();
    let mut writer = resume(&dfu, &mut flash, &mut settings);
    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::None));
    writer.write(&mut flash, &file[writer.written() as usize..]).unwrap();
    writer.finish(&mut flash).unwrap();
    assert!(dfu.verify(&mut flash, &mut HashOnly).is_ok());
}

/// Over old images and old requests, on every kind of flash, with a cut in every operation and
/// whatever it leaves: never a request for an image that is not whole, and in the end the image.
#[test]
fn a_cut_anywhere_in_an_upload_leaves_no_request_and_is_gone_on_from() {
    let file = image(V1, 9000);
    let mut runs = 0;
    for kind in [Kind::Nor, Kind::EccWords] {
        for mode in [UpgradeMode::SwapMove, UpgradeMode::SwapOffset, UpgradeMode::OverwriteOnly] {
            let mut spec = DeviceSpec::nor(16, 4096, 8);
            spec.kind = kind;
            let area = |id, offset| AreaEntry { id, device: 0, offset, size: 8 * 4096 };
            let table = vec![area(PRIMARY, 0), area(SECONDARY, 8 * 4096)];
            let mut fresh = SimFlash::new(vec![spec], table);
            let trailers = TrailerFormat { mode, ..config().trailers };
            let dfu = Dfu::new(&fresh, Config { trailers, ..config() }).unwrap();
            let start = dfu.update_start(&fresh);
            fresh.load(SECONDARY, start, &image(V1, 7000)).unwrap();
            dfu.request_upgrade(&mut fresh, &mut HashOnly, Upgrade::Permanent).unwrap();
            let before = fresh.supply().operations();
            let mut uncut = fresh.clone();
            upload(&dfu, &mut uncut, &mut Settings::default(), &file).unwrap();
            let operations = uncut.supply().operations() - before;
            for cut in 0..operations {
                for torn in Torn::classes(kind, cut) {
                    let mut flash = fresh.clone();
                    let mut settings = Settings::default();
                    flash.supply().cut_at(cut, torn);
                    upload(&dfu, &mut flash, &mut settings, &file).unwrap_err();
                    flash.supply().power_on();
                    let asked = dfu.swap_type(&mut flash).unwrap() != SwapType::None;
                    let whole = dfu.verify(&mut flash, &mut HashOnly).is_ok();
                    assert!(!asked || whole, "{kind:?} {mode}: cut {cut}, {torn:?}");
                    upload(&dfu, &mut flash, &mut settings, &file).unwrap();
                    assert!(
                        flash.holds(SECONDARY, start, &file),
                        "{kind:?} {mode}: {cut} {torn:?}"
                    );
                    assert!(dfu.verify(&mut flash, &mut HashOnly).is_ok());
                    assert_eq!(dfu.swap_type(&mut flash), Ok(SwapType::None));
                    runs += 1;
                }
            }
        }
    }
    println!("{runs} cuts, all gone on from");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_pieces_of_an_upload_give_the_same_slot(
        body in 1usize..40_000,
        size in 1usize..5000,
        mode in prop::sample::select(vec![UpgradeMode::SwapMove, UpgradeMode::SwapOffset]),
        erased in prop::sample::select(vec![0x00u8, 0xff]),
    ) {
        let file = image(V1, body);
        let mut flash = flash(8, erased);
        flash.load(SECONDARY, 0, &[0x55; SLOT as usize]).unwrap();
        let dfu = in_mode(&flash, mode);
        let mut writer = dfu.writer::<_, 512>(&mut flash).unwrap().with_read_back();
        for piece in file.chunks(size) {
            writer.write(&mut flash, piece).unwrap();
        }
        prop_assert_eq!(writer.finish(&mut flash), Ok(file.len() as u32));
        prop_assert!(dfu.verify(&mut flash, &mut HashOnly).is_ok());
        prop_assert!(flash.holds(SECONDARY, dfu.update_start(&flash), &file));
        let tail = flash.bytes(SECONDARY).split_off(SLOT as usize - 40);
        prop_assert_eq!(tail, vec![erased; 40]);
    }
}

#[test]
fn a_device_that_reads_nothing_is_told_of() {
    let flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    let mut none = SimFlash::new(vec![DeviceSpec::nor(1, 4096, 8)], vec![]);
    assert!(none.info(SECONDARY).is_none());
    assert!(dfu.writer::<_, 512>(&mut none).is_err());
    let refused = dfu.is_confirmed(&mut none);
    let Err(DfuError::Flash(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(updraft_flash::FlashError::fault(&error), Fault::NoArea);
}
