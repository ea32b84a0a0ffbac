//! What is read of an image that nobody has verified, and of areas.

use updraft_dfu::{DfuError, digest};
use updraft_flash::{AreaId, FlashMap, Which};
use updraft_image::{
    Digest, Flags, HashKind, Header, HeaderError, TlvError, TlvKind, TlvType, TlvWriter, Version,
};
use updraft_sim::flash::SimFlash;

use crate::common::{PRIMARY, SECONDARY, SLOT, V1, dfu, flash, image, on_trial, with_offset};

/// An image of 64 bytes whose hash TLVs have these contents.
fn with_hashes(header: Header, hashes: &[&[u8]]) -> Vec<u8> {
    let mut bytes = header.emit().to_vec();
    bytes.extend([0x5a; 64]);
    let mut area = [0; 256];
    let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut area).expect("there is room");
    for hash in hashes {
        tlvs.push(TlvType::SHA256, hash).expect("there is room");
    }
    bytes.extend_from_slice(tlvs.finish());
    bytes
}

fn header() -> Header {
    let version = Version::new(1, 2, 3, 0x1234_5678);
    Header { hdr_size: 32, img_size: 64, version, ..Header::default() }
}

fn with(file: &[u8]) -> SimFlash {
    let mut flash = flash(8, 0xff);
    flash.load(SECONDARY, 0, file).unwrap();
    flash
}

#[test]
fn an_erased_slot_holds_no_image() {
    let mut flash = flash(8, 0xff);
    let dfu = dfu(&flash);
    for slot in Which::BOTH {
        let error = DfuError::NoImage(HeaderError::Magic { found: u32::MAX });
        assert_eq!(dfu.image(&mut flash, slot), Err(error));
        assert_eq!(dfu.header(&mut flash, slot), Err(error));
    }
}

#[test]
fn a_header_is_read_without_looking_at_what_follows() {
    let mut flash = with(&header().emit());
    let dfu = dfu(&flash);
    assert_eq!(dfu.header(&mut flash, Which::Secondary), Ok(header()));
    let damaged = Header { hdr_size: 31, ..header() };
    let mut flash = with(&damaged.emit());
    let error = HeaderError::HeaderSize { hdr_size: 31 };
    assert_eq!(dfu.header(&mut flash, Which::Secondary), Err(DfuError::NoImage(error)));
}

#[test]
fn a_header_is_validated_by_its_bytes() {
    assert_eq!(Header::parse(&header().emit()), Ok(header()));
    assert_eq!(Header::parse(&[0; 64]), Err(HeaderError::Magic { found: 0 }));
    assert_eq!(Header::parse(&[0; 4]), Err(HeaderError::Short { len: 4 }));
    assert_eq!(Header::parse(&[]), Err(HeaderError::Short { len: 0 }));
    let mut broken = header().emit();
    broken[3] ^= 1;
    assert!(matches!(Header::parse(&broken), Err(HeaderError::Magic { .. })));
    for flag in [Flags::ROM_FIXED, Flags::NON_BOOTABLE] {
        let header = Header::parse(&Header { flags: flag, ..header() }.emit()).unwrap();
        assert!(header.flags.contains(flag));
    }
}

#[test]
fn an_image_is_told_with_version_and_hash_and_not_verified() {
    let mut flash = with(&with_hashes(header(), &[&[0xab; 32]]));
    let info = dfu(&flash).image(&mut flash, Which::Secondary).unwrap();
    assert_eq!(info.header, header());
    assert_eq!(info.hash.as_bytes(), [0xab; 32]);
    assert_eq!((info.start, info.size), (0, 32 + 64 + 4 + 4 + 32));
}

#[test]
fn an_image_has_exactly_one_hash() {
    let dfu = dfu(&flash(8, 0xff));
    for (hashes, found) in [(vec![], 0), (vec![[1; 32]; 2], 2)] {
        let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash[..]).collect();
        let mut flash = with(&with_hashes(header(), &hashes));
        assert_eq!(dfu.image(&mut flash, Which::Secondary), Err(DfuError::Hashes { found }));
    }
    let mut flash = with(&with_hashes(header(), &[&[1; 20]]));
    let short = dfu.image(&mut flash, Which::Secondary);
    assert_eq!(short, Err(DfuError::Hashes { found: 0 }), "20 bytes are no SHA-256");
}

#[test]
fn an_image_without_tlvs_is_not_whole() {
    let mut flash = with(&[header().emit().as_slice(), &[0x5a; 64]].concat());
    let error = dfu(&flash).image(&mut flash, Which::Secondary).unwrap_err();
    assert_eq!(error, DfuError::Tlvs(TlvError::Info { offset: 96, found: 0xffff }));
    // The area claims more than it holds.
    let mut file = with_hashes(header(), &[&[1; 32]]);
    file[32 + 64 + 2] = 6;
    let error = dfu(&flash).image(&mut with(&file), Which::Secondary).unwrap_err();
    assert!(matches!(error, DfuError::Tlvs(TlvError::Bounds { .. })), "{error:?}");
}

#[test]
fn an_update_begins_where_the_mode_has_it_and_the_image_of_a_revert_at_the_start() {
    let mut flash = flash(8, 0xff);
    let dfu = with_offset(&flash);
    flash.load(SECONDARY, 4096, &image(V1, 1000)).unwrap();
    assert_eq!(dfu.image(&mut flash, Which::Secondary).unwrap().start, 4096);
    assert_eq!(dfu.image_start(&mut flash, Which::Primary), Ok(0));
    let mut flash = on_trial();
    assert_eq!(dfu.image(&mut flash, Which::Secondary).unwrap().start, 0);
}

const VECTOR: &[u8] = b"0123456789abcdef\nfedcba98765432\n";

#[test]
fn an_area_is_checked_against_a_hash() {
    let mut flash = flash(8, 0xff);
    let all = VECTOR.repeat(16);
    assert_eq!(all.len(), 512);
    flash.load(PRIMARY, 1024, &all).unwrap();
    let hex = "aeed7d5953bdb7283e59c2655962e37efa97bd76f6acc39259484ec0afa84965";
    let found = digest(&mut flash, PRIMARY, 1024, 512, HashKind::Sha256).unwrap();
    assert_eq!(found.to_string(), hex);
    assert_eq!(found, Digest::of(HashKind::Sha256, &all));
    flash.load(PRIMARY, 1024, b"1").unwrap();
    assert_ne!(digest(&mut flash, PRIMARY, 1024, 512, HashKind::Sha256), Ok(found));
    let mut refused = |area, offset, len| digest(&mut flash, area, offset, len, HashKind::Sha256);
    assert_eq!(refused(PRIMARY, 0, 0), Err(DfuError::Length { len: 0, max: SLOT }));
    let out = Err(DfuError::Length { len: 512, max: 511 });
    assert_eq!(refused(PRIMARY, SLOT - 511, 512), out);
    let out = Err(DfuError::Length { len: 1, max: 0 });
    assert_eq!(refused(PRIMARY, u32::MAX, 1), out);
    let nowhere = AreaId(9);
    assert_eq!(refused(nowhere, 0, 1), Err(DfuError::NoSlot { area: nowhere }));
}

#[test]
fn the_sectors_of_an_area_are_those_of_its_device() {
    let flash = flash(8, 0xff);
    let (mut at, mut sectors) = (0, 0);
    while let Some(sector) = flash.sector_at(SECONDARY, at) {
        assert_eq!((sector.offset, sector.size), (at, 4096), "offsets count from the area's start");
        (at, sectors) = (sector.end(), sectors + 1);
    }
    assert_eq!((at, sectors), (SLOT, 16));
    assert_eq!(flash.sector_at(AreaId(9), 0), None);
}

#[test]
fn an_erased_area_reads_as_its_erased_value() {
    for erased in [0xff, 0x00] {
        let mut flash = flash(8, erased);
        assert_eq!(flash.info(SECONDARY).unwrap().erased, erased);
        flash.load(SECONDARY, 0, &[0xaa; SLOT as usize]).unwrap();
        flash.erase(SECONDARY, 0, SLOT).unwrap();
        assert!(flash.bytes(SECONDARY).iter().all(|byte| *byte == erased));
    }
}
