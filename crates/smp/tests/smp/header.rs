//! Header and the two error models.

use proptest::prelude::*;
use updraft_smp::{GroupError, Header, ImageError, Op, OsError, Rc, ShortHeader, Version, group};

proptest! {
    #[test]
    fn parse_and_emit_keep_all_but_the_reserved_bits(bytes: [u8; 8], rest: Vec<u8>) {
        let packet = [&bytes[..], &rest].concat();
        let (header, payload) = Header::parse(&packet).expect("eight bytes");
        let mut expected = bytes;
        expected[0] &= 0x1f;
        prop_assert_eq!(header.emit(), expected);
        prop_assert_eq!(payload, &rest[..]);
    }
}

#[test]
fn fewer_than_eight_bytes_are_no_header() {
    assert_eq!(Header::parse(&[0; 7]), Err(ShortHeader { len: 7 }));
}

#[test]
fn first_bytes_of_the_common_messages() {
    let first = |version, op| Header::request(version, op, 0, 0, 0).emit()[0];
    assert_eq!(first(Version::V1, Op::Read), 0x00);
    assert_eq!(first(Version::V1, Op::Write), 0x02);
    assert_eq!(first(Version::V2, Op::Read), 0x08);
    assert_eq!(first(Version::V2, Op::WriteResponse), 0x0b);
}

#[test]
fn an_answer_matches_by_group_id_sequence_and_direction() {
    let request = Header::request(Version::V2, Op::Read, 1, 2, 3);
    let answer = request.answer(10);
    assert!(answer.answers(&request));
    assert!(Header { version_bits: 0, ..answer }.answers(&request), "first-generation servers");
    assert!(!Header { sequence: 4, ..answer }.answers(&request));
    assert!(!Header { group: 0, ..answer }.answers(&request));
    assert!(!Header { id: 0, ..answer }.answers(&request));
    assert!(!Header { op: Op::WriteResponse, ..answer }.answers(&request));
}

#[test]
fn image_codes_translate_for_version_1() {
    let translated = |rc: u32| match rc {
        3 | 4 => Rc::NO_ENTRY,
        9 | 27 | 28 => Rc::BAD_STATE,
        15 => Rc::NO_MEMORY,
        14 | 19..=22 | 24 | 25 => Rc::INVALID,
        _ => Rc::UNKNOWN,
    };
    assert_eq!(ImageError::ALL.len(), 34);
    for (at, error) in ImageError::ALL.iter().enumerate() {
        let rc = at as u32 + 1;
        assert_eq!(ImageError::from_rc(rc), Some(*error));
        let expected = GroupError { group: group::IMAGE, rc, v1: translated(rc) };
        assert_eq!(GroupError::from(*error), expected);
    }
    assert_eq!(ImageError::from_rc(0), None);
    assert_eq!(ImageError::from_rc(35), None);
}

#[test]
fn os_codes_translate_for_version_1() {
    let v1: Vec<_> = OsError::ALL.iter().map(|error| (error.rc(), error.v1().0)).collect();
    assert_eq!(v1, [(1, 1), (2, 3), (3, 5), (4, 5), (5, 1), (6, 1)]);
}
