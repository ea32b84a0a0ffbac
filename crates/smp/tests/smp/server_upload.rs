//! Uploads as the server sees them: the order of checks, gaps, duplicates, resumption, clients that
//! give up or meet.

use updraft_image::{Flags, Header, Version};
use updraft_smp::client::{Answer, AnswerError, UploadReply};
use updraft_smp::{ImageError, Op, Version as Protocol, group, image, os};

use crate::device::{
    Cbor, Device, Fault, Memory, file, hash_of, image_write, map, request, sha256, versioned,
};

fn b() -> Vec<u8> {
    file(Version::new(1, 2, 3, 4), 1200)
}

fn send(device: &mut Device, fields: &[(&str, Cbor<'_>)]) -> Result<UploadReply, ImageError> {
    let answer = device.answer(&image_write(image::UPLOAD, &map(fields)));
    match Answer::parse(&answer).expect("an answer").upload() {
        Ok(reply) => Ok(reply),
        Err(AnswerError::Refused(refusal)) => Err(refusal.image_error().expect("a group code")),
        Err(error) => panic!("{error}"),
    }
}

fn first(device: &mut Device, file: &[u8], sha: Option<&[u8]>) -> Result<UploadReply, ImageError> {
    let mut fields = vec![
        ("off", Cbor::Uint(0)),
        ("len", Cbor::Uint(file.len() as u64)),
        ("data", Cbor::Bytes(&file[..file.len().min(300)])),
    ];
    fields.extend(sha.map(|sha| ("sha", Cbor::Bytes(sha))));
    send(device, &fields)
}

fn chunk(device: &mut Device, off: usize, data: &[u8]) -> Result<UploadReply, ImageError> {
    send(device, &[("off", Cbor::Uint(off as u64)), ("data", Cbor::Bytes(data))])
}

/// Sends everything from `off` on; returns the last answer.
fn rest(device: &mut Device, file: &[u8], off: usize) -> Result<UploadReply, ImageError> {
    let mut reply = Ok(at(off));
    for off in (off..file.len()).step_by(300) {
        reply = chunk(device, off, &file[off..(off + 300).min(file.len())]);
    }
    reply
}

fn at(off: usize) -> UploadReply {
    UploadReply { off: off as u32, matched: None }
}

#[test]
fn stores_the_file_and_checks_its_hash() {
    let (mut device, file) = (Device::factory(), b());
    assert_eq!(first(&mut device, &file, Some(&sha256(&file))), Ok(at(300)));
    assert_eq!(device.groups.1.upload(), Some((300, file.len() as u32)));
    let done = UploadReply { off: file.len() as u32, matched: Some(true) };
    assert_eq!(rest(&mut device, &file, 300), Ok(done));
    assert_eq!(device.memory().slot(1)[..file.len()], file);
    assert_eq!(device.groups.1.upload(), None);
}

#[test]
fn a_hash_that_does_not_match_is_told_and_no_error() {
    let (mut device, file) = (Device::factory(), b());
    first(&mut device, &file, Some(&[7; 32])).expect("a new upload");
    let reply = rest(&mut device, &file, 300).expect("success");
    assert_eq!(reply, UploadReply { off: file.len() as u32, matched: Some(false) });
}

#[test]
fn the_first_failing_check_answers() {
    let good = b();
    let mut no_magic = good.clone();
    no_magic[0] = 0;
    let mut other_board = good.clone();
    let header = Header::parse(&good).expect("a header");
    other_board[..32].copy_from_slice(&Header { flags: Flags::RAM_LOAD, ..header }.emit());
    let old = file(Version::new(0, 0, 0, 9), 100);
    let long = [0; 33];

    let off = ("off", Cbor::Uint(0));
    let len = ("len", Cbor::Uint(1000));
    let huge = ("len", Cbor::Uint(1_000_000));
    let short = ("len", Cbor::Uint(40));
    let sha = ("sha", Cbor::Bytes(&long));
    let upgrade = ("upgrade", Cbor::Bool(true));
    let data = |bytes| ("data", Cbor::Bytes(bytes));
    let rows: [(&[_], _); 11] = [
        (&[], ImageError::InvalidOffset),
        (&[off], ImageError::InvalidImageHeader),
        (&[off, data(&no_magic[..31])], ImageError::InvalidImageHeader),
        (&[off, data(&no_magic[..32]), sha], ImageError::InvalidLength),
        (&[off, data(&no_magic[..32]), huge, sha], ImageError::InvalidImageHeaderMagic),
        (&[off, data(&good[..32]), huge, sha], ImageError::InvalidHash),
        (&[off, data(&old[..100]), huge, upgrade], ImageError::InvalidImageTooLarge),
        (&[off, data(&other_board[..64]), len, upgrade], ImageError::InvalidTlv),
        (&[off, data(&old[..100]), short, upgrade], ImageError::CurrentVersionIsNewer),
        (&[off, data(&good[..100]), short], ImageError::InvalidImageDataOverrun),
        (&[off, data(&good[..100]), short, upgrade], ImageError::InvalidImageDataOverrun),
    ];
    for (fields, error) in rows {
        let mut device = Device::factory();
        assert_eq!(send(&mut device, fields), Err(error));
        assert!(device.memory().slot(1).iter().all(|byte| *byte == 0xff), "nothing is written");
    }
}

#[test]
fn a_refused_first_chunk_leaves_the_slot_as_it_is() {
    let mut device = Device::factory();
    let file = b();
    device.memory().put(1, &file);
    let mut other_board = file.clone();
    other_board[16] = 0x20;
    assert_eq!(first(&mut device, &other_board, None), Err(ImageError::InvalidTlv));
    assert_eq!(device.memory().slot(1)[..file.len()], file);
    assert_eq!(device.memory().erases, 0);
}

#[test]
fn the_refusal_of_the_slots_is_quoted_to_version_1() {
    let mut file = b();
    file[16] = 0x20;
    let payload = map(&[
        ("off", Cbor::Uint(0)),
        ("len", Cbor::Uint(1000)),
        ("data", Cbor::Bytes(&file[..64])),
    ]);
    let packet = versioned(Protocol::V1, Op::Write, group::IMAGE, image::UPLOAD, &payload);
    let answer = Device::factory().answer(&packet);
    assert_eq!(answer[8..], *b"\xbf\x62rc\x01\x63rsn\x6bwrong board\xff");
}

#[test]
fn the_largest_image_counts_where_it_is_smaller_than_the_slot() {
    let mut device = Device::factory();
    device.memory().max_image_size = Some(1000);
    assert_eq!(first(&mut device, &b(), None), Err(ImageError::InvalidImageTooLarge));
}

#[test]
fn gaps_and_duplicates_are_dropped_and_answered_with_the_wanted_offset() {
    let (mut device, file) = (Device::factory(), b());
    first(&mut device, &file, None).expect("a new upload");
    assert_eq!(chunk(&mut device, 900, &file[900..1000]), Ok(at(300)), "gap");
    assert_eq!(chunk(&mut device, 100, &file[100..300]), Ok(at(300)), "duplicate");
    assert_eq!(chunk(&mut device, 200, &file[200..500]), Ok(at(300)), "overlap");
    assert_eq!(chunk(&mut device, 300, &[]), Ok(at(300)), "nothing");
    assert_eq!(rest(&mut device, &file, 300), Ok(at(file.len())));
    assert_eq!(device.memory().slot(1)[..file.len()], file);
}

#[test]
fn without_a_session_the_wanted_offset_is_0() {
    let mut device = Device::factory();
    assert_eq!(chunk(&mut device, 300, &[1, 2, 3]), Ok(at(0)));
}

#[test]
fn the_same_hash_resumes_and_nothing_else_does() {
    let (mut device, file) = (Device::factory(), b());
    let sha = sha256(&file);
    first(&mut device, &file, Some(&sha)).expect("a new upload");
    chunk(&mut device, 300, &file[300..600]).expect("the next");
    assert_eq!(first(&mut device, &file, Some(&sha)), Ok(at(600)), "resumed");
    assert_eq!(first(&mut device, &file, Some(&sha[..31])), Ok(at(300)), "another tag");
    assert_eq!(first(&mut device, &file, Some(&sha[..31])), Ok(at(300)), "a short tag resumes");
    chunk(&mut device, 300, &file[300..600]).expect("the next");
    assert_eq!(first(&mut device, &file, None), Ok(at(300)), "no tag starts anew");
    assert_eq!(first(&mut device, &file, None), Ok(at(300)), "and is none to resume");
}

#[test]
fn a_slot_that_holds_the_bytes_already_is_not_written_again() {
    let (mut device, file) = (Device::factory(), b());
    device.memory().put(1, &file);
    let reply = first(&mut device, &file, Some(&sha256(&file)));
    assert_eq!(reply, Ok(UploadReply { off: file.len() as u32, matched: Some(true) }));
    assert_eq!(device.memory().erases, 0);

    let mut damaged = file.clone();
    damaged[700] ^= 1;
    device.memory().put(1, &damaged);
    assert_eq!(first(&mut device, &file, Some(&sha256(&file))), Ok(at(300)), "looked at closely");
}

#[test]
fn an_overrun_ends_the_session() {
    let (mut device, file) = (Device::factory(), b());
    first(&mut device, &file[..400], None).expect("a new upload");
    let overrun = chunk(&mut device, 300, &file[300..401]);
    assert_eq!(overrun, Err(ImageError::InvalidImageDataOverrun));
    assert_eq!(chunk(&mut device, 300, &file[300..400]), Ok(at(0)));
}

#[test]
fn offsets_near_the_end_of_numbers_do_not_wrap() {
    let (mut device, file) = (Device::factory(), b());
    first(&mut device, &file, None).expect("a new upload");
    assert_eq!(chunk(&mut device, u32::MAX as usize, &[0; 64]), Ok(at(300)));
    let beyond = map(&[("off", Cbor::Uint(1 << 32)), ("data", Cbor::Bytes(&[0; 64]))]);
    let answer = device.answer(&image_write(image::UPLOAD, &beyond));
    assert_eq!(answer[8..], *b"\xbf\x62rc\x03\xff");
}

#[test]
fn a_write_error_ends_the_session() {
    let (mut device, file) = (Device::factory(), b());
    first(&mut device, &file, None).expect("a new upload");
    device.memory().fault = Some(Fault::Write);
    let failed = chunk(&mut device, 300, &file[300..600]);
    assert_eq!(failed, Err(ImageError::FlashWriteFailed));
    device.memory().fault = None;
    assert_eq!(chunk(&mut device, 300, &file[300..600]), Ok(at(0)));
}

#[test]
fn an_abandoned_upload_is_replaced_by_the_next() {
    let (mut device, file) = (Device::factory(), b());
    first(&mut device, &file, Some(&sha256(&file))).expect("a new upload");
    let other = crate::device::file(Version::new(3, 0, 0, 0), 700);
    first(&mut device, &other, Some(&sha256(&other))).expect("another upload");
    let done = UploadReply { off: other.len() as u32, matched: Some(true) };
    assert_eq!(rest(&mut device, &other, 300), Ok(done));
}

#[test]
fn of_two_clients_the_later_wins_and_the_other_is_told() {
    let mut device = Device::factory();
    let one = file(Version::new(1, 0, 0, 0), 1200);
    let two = file(Version::new(2, 0, 0, 0), 1200);
    first(&mut device, &one, Some(&sha256(&one))).expect("the first client");
    chunk(&mut device, 300, &one[300..600]).expect("goes on");
    first(&mut device, &two, Some(&sha256(&two))).expect("the second client");
    assert_eq!(chunk(&mut device, 600, &one[600..900]), Ok(at(300)), "below what it had");
    let done = rest(&mut device, &two, 300).expect("the second client ends");
    assert_eq!(done.matched, Some(true));
    let last = one.len() - one.len() % 300;
    let late = chunk(&mut device, last, &one[last..]).expect("the first client's last chunk");
    assert_eq!(late, at(0), "is not taken for the end of the other's upload");
    assert_eq!(device.memory().slot(1)[..two.len()], two);
}

#[test]
fn the_last_chunk_repeated_is_answered_again() {
    let (mut device, file) = (Device::factory(), b());
    first(&mut device, &file, Some(&sha256(&file))).expect("a new upload");
    let done = rest(&mut device, &file, 300).expect("the end");
    let last = (file.len() - 300) / 300 * 300 + 300;
    assert_eq!(chunk(&mut device, 600, &file[600..900]), Ok(at(last)), "led to the last chunk");
    assert_eq!(chunk(&mut device, last, &file[last..]), Ok(done));
    assert_eq!(chunk(&mut device, last, &vec![0; file.len() - last]), Ok(at(0)), "other bytes");
}

#[test]
fn an_erase_drops_the_session() {
    let (mut device, file) = (Device::factory(), b());
    first(&mut device, &file, Some(&sha256(&file))).expect("a new upload");
    device.answer(&image_write(image::ERASE, &[0xa0]));
    assert_eq!(chunk(&mut device, 300, &file[300..600]), Ok(at(0)));
}

#[test]
fn a_reset_drops_the_session() {
    let (mut device, file) = (Device::factory(), b());
    first(&mut device, &file, Some(&sha256(&file))).expect("a new upload");
    device.answer(&request(Op::Write, group::OS, os::RESET, &[0xa0]));
    device.reboot();
    assert_eq!(chunk(&mut device, 300, &file[300..600]), Ok(at(0)));
}

#[test]
fn a_reset_is_survived_where_the_slots_keep_how_far_it_came() {
    let (mut device, file) = (Device::factory(), b());
    device.memory().keeps = 256;
    let sha = sha256(&file);
    first(&mut device, &file, Some(&sha)).expect("a new upload");
    chunk(&mut device, 300, &file[300..700]).expect("the next chunk");
    device.reboot();
    assert_eq!(chunk(&mut device, 700, &file[700..800]), Ok(at(0)), "it has to be asked");
    assert_eq!(first(&mut device, &file, None), Ok(at(300)), "without a hash it begins anew");
    first(&mut device, &file, Some(&sha)).expect("a new upload");
    chunk(&mut device, 300, &file[300..700]).expect("the next chunk");
    device.reboot();
    assert_eq!(first(&mut device, &file, Some(&sha)), Ok(at(512)));
    let end = rest(&mut device, &file, 512).expect("it is taken");
    assert_eq!((end.off as usize, end.matched), (file.len(), Some(true)));
    assert_eq!(device.memory().slot(1)[..file.len()], file);
}

#[test]
fn the_first_chunk_makes_a_pending_update_pending_no_more() {
    let (mut device, file) = (Device::factory(), b());
    device.memory().put(1, &file);
    let state = map(&[("hash", Cbor::Bytes(&hash_of(&file)))]);
    device.answer(&image_write(image::STATE, &state));
    assert_eq!(device.memory().pending, [Some(false)]);
    first(&mut device, &file, None).expect("a new upload");
    assert_eq!(device.memory().pending, [None]);
}

#[test]
fn an_upgrade_compares_without_the_build_number() {
    let mut memory = Memory::new(1, 64 * 1024);
    memory.put(0, &file(Version::new(1, 2, 3, 0), 500));
    let mut device = Device::new(memory);
    for (version, result) in [
        (Version::new(1, 2, 3, 9), Err(ImageError::CurrentVersionIsNewer)),
        (Version::new(1, 2, 2, 0), Err(ImageError::CurrentVersionIsNewer)),
        (Version::new(1, 2, 4, 0), Ok(at(64))),
    ] {
        let file = file(version, 500);
        let fields = [
            ("off", Cbor::Uint(0)),
            ("len", Cbor::Uint(file.len() as u64)),
            ("data", Cbor::Bytes(&file[..64])),
            ("upgrade", Cbor::Bool(true)),
        ];
        assert_eq!(send(&mut device, &fields), result);
    }
    device.memory().slots[0].as_mut().expect("slot 0").fill(0xff);
    let file = b();
    let fields = [
        ("off", Cbor::Uint(0)),
        ("len", Cbor::Uint(file.len() as u64)),
        ("data", Cbor::Bytes(&file[..64])),
        ("upgrade", Cbor::Bool(true)),
    ];
    assert_eq!(send(&mut device, &fields), Err(ImageError::VersionReadFailed));
}

#[test]
fn a_file_of_one_chunk_is_begun_and_ended_by_it() {
    let (mut device, file) = (Device::factory(), file(Version::new(1, 0, 0, 0), 100));
    let done = UploadReply { off: file.len() as u32, matched: Some(true) };
    assert_eq!(first(&mut device, &file, Some(&sha256(&file))), Ok(done));
}
