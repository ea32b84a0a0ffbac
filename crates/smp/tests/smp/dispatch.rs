//! From packets to answers: the rules before any group is asked, and bad input.

use proptest::prelude::*;
use updraft_smp::server::{Buffers, Server};
use updraft_smp::{Header, Op, Version, group, image, os};

use crate::device::{Cbor, Device, map, request, versioned};

fn rc(code: u8) -> Vec<u8> {
    [&[0xbf, 0x62, b'r', b'c'][..], &[code, 0xff]].concat()
}

fn echo(text: &str) -> Vec<u8> {
    request(Op::Write, group::OS, os::ECHO, &map(&[("d", Cbor::Text(text))]))
}

#[test]
fn requests_back_to_back_are_answered_one_by_one() {
    let packet = [echo("a"), echo("b"), echo("c")].concat();
    let answers = Device::factory().answers(&packet);
    let texts: Vec<_> = answers.iter().map(|answer| answer[8..].to_vec()).collect();
    let text = |t: u8| vec![0xbf, 0x61, b'r', 0x61, t, 0xff];
    assert_eq!(texts, [text(b'a'), text(b'b'), text(b'c')]);
}

#[test]
fn a_plain_error_ends_the_packet_and_a_group_error_does_not() {
    let unknown = request(Op::Read, 99, 0, &[0xa0]);
    let no_hash = request(Op::Write, group::IMAGE, image::STATE, &[0xa0]);
    let mut device = Device::factory();
    assert_eq!(device.answers(&[unknown, echo("a")].concat()).len(), 1);
    assert_eq!(device.answers(&[no_hash, echo("a")].concat()).len(), 2);
}

#[test]
fn less_than_a_header_is_dropped_silently() {
    let mut device = Device::factory();
    for len in 0..8 {
        assert!(device.answers(&[0x0a; 8][..len]).is_empty());
    }
    assert_eq!(device.answers(&[echo("a"), vec![0x0a; 7]].concat()).len(), 1);
}

#[test]
fn the_payload_ends_where_the_length_says() {
    let mut packet = echo("x");
    packet[3] -= 1;
    assert_eq!(Device::factory().answer(&packet)[8..], rc(3));
    packet[3] = 0;
    assert_eq!(Device::factory().answer(&packet)[8..], rc(3));
    packet[3] = 200;
    assert_eq!(Device::factory().answer(&packet)[8..], rc(9));
}

#[test]
fn operations_other_than_read_and_write_are_not_supported() {
    for op in [1, 3, 4, 5, 6, 7] {
        let mut packet = echo("x");
        packet[0] = 0x08 | op;
        let answer = Device::factory().answer(&packet);
        assert_eq!((answer[0], &answer[8..]), (0x0b, &rc(8)[..]), "op {op}");
    }
}

#[test]
fn undefined_versions_are_too_new_and_answered_as_version_2() {
    for bits in [2, 3] {
        let mut packet = echo("x");
        packet[0] = bits << 3 | 2;
        let answer = Device::factory().answer(&packet);
        assert_eq!((answer[0], &answer[8..]), (0x0b, &rc(13)[..]));
    }
}

#[test]
fn a_server_without_version_1_says_too_old() {
    let mut device = Device::factory();
    device.server = Server { version_1: false, ..Server::default() };
    let packet = versioned(Version::V1, Op::Read, group::OS, os::PARAMS, &[0xa0]);
    let answer = device.answer(&packet);
    assert_eq!((answer[0], &answer[8..]), (0x01, &rc(12)[..]));
}

#[test]
fn version_1_is_told_a_generic_code_and_a_reason() {
    let upload = map(&[("len", Cbor::Uint(5))]);
    let packet = versioned(Version::V1, Op::Write, group::IMAGE, image::UPLOAD, &upload);
    let mut device = Device::factory();
    let verbose = [&rc(3)[..5], b"\x63rsn\x70header malformed\xff"].concat();
    assert_eq!(device.answer(&packet)[8..], verbose);
    device.server.verbose = false;
    assert_eq!(device.answer(&packet)[8..], rc(3));
}

#[test]
fn an_answer_larger_than_the_buffer_is_message_size() {
    let mut device = Device::factory();
    device.groups.0.0.buffers = Buffers { size: 100, count: 2 };
    let list = request(Op::Read, group::IMAGE, image::STATE, &[0xa0]);
    assert_eq!(device.answer(&list)[8..], rc(7));
    device.groups.0.0.buffers.size = 13;
    assert!(device.answers(&list).is_empty(), "not even the error fits");
}

#[test]
fn a_reason_that_does_not_fit_is_left_out() {
    let mut device = Device::factory();
    device.groups.0.0.buffers.size = 20;
    let upload = map(&[("len", Cbor::Uint(5))]);
    let packet = versioned(Version::V1, Op::Write, group::IMAGE, image::UPLOAD, &upload);
    assert_eq!(device.answer(&packet)[8..], rc(3));
}

/// One request of every kind that the device knows.
fn known_requests() -> Vec<Vec<u8>> {
    let data = [0x3d; 64];
    let upload = [
        ("image", Cbor::Uint(0)),
        ("off", Cbor::Uint(0)),
        ("len", Cbor::Uint(1000)),
        ("sha", Cbor::Bytes(&data[..32])),
        ("data", Cbor::Bytes(&data)),
        ("upgrade", Cbor::Bool(false)),
    ];
    let state = [("hash", Cbor::Bytes(&data[..32])), ("confirm", Cbor::Bool(true))];
    let reset = [("force", Cbor::Uint(1)), ("boot_mode", Cbor::Uint(1))];
    vec![
        echo("hello"),
        request(Op::Write, group::OS, os::RESET, &map(&reset)),
        request(Op::Read, group::OS, os::PARAMS, &map(&[])),
        request(Op::Read, group::OS, os::INFO, &map(&[("format", Cbor::Text("snv"))])),
        request(Op::Read, group::OS, os::BOOTLOADER_INFO, &map(&[("query", Cbor::Text("mode"))])),
        request(Op::Read, group::IMAGE, image::STATE, &map(&[])),
        request(Op::Write, group::IMAGE, image::STATE, &map(&state)),
        request(Op::Write, group::IMAGE, image::UPLOAD, &map(&upload)),
        request(Op::Write, group::IMAGE, image::ERASE, &map(&[("slot", Cbor::Uint(1))])),
        request(Op::Read, group::IMAGE, image::SLOT_INFO, &map(&[])),
    ]
}

/// What must hold for the answers to any packet: each is whole, and answers the request it is for.
fn check_answers(packet: &[u8], answers: &[Vec<u8>]) {
    let mut rest = packet;
    for answer in answers {
        let (request, payload) = Header::parse(rest).expect("answers come from whole headers");
        let (header, body) = Header::parse(answer).expect("a header");
        assert_eq!(header.length as usize, body.len());
        assert!(header.answers(&request));
        assert_eq!(header.version_bits, request.version_bits.min(1));
        updraft_smp::fields(body, |_, _| Ok(())).expect("a map");

        let expected = match &request {
            r if usize::from(r.length) > payload.len() => Some(9),
            r if !matches!(r.op, Op::Read | Op::Write) => Some(8),
            r if r.version().is_none() => Some(13),
            r if r.group > 1 => Some(8),
            _ => None,
        };
        if let Some(code) = expected {
            assert_eq!(body, rc(code), "{request:?}");
        }
        rest = payload.get(request.length.into()..).unwrap_or_default();
    }
    assert_eq!(answers.is_empty(), packet.len() < Header::SIZE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_packet_gets_whole_answers_with_the_right_code(packet: Vec<u8>) {
        check_answers(&packet, &Device::factory().answers(&packet));
    }

    #[test]
    fn mutated_requests_get_whole_answers_with_the_right_code(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let requests = known_requests();
        let mut packet: Vec<u8> =
            picks.iter().flat_map(|pick| pick.get(&requests).clone()).collect();
        for (at, byte) in flips {
            *at.get_mut(&mut packet) = byte;
        }
        if let Some(cut) = cut {
            packet.truncate(cut.index(packet.len()));
        }
        let mut device = Device::factory();
        let running = device.memory().slot(0).to_vec();
        check_answers(&packet, &device.answers(&packet));
        prop_assert!(device.memory().slot(0) == running, "the running image is never touched");
    }
}

#[test]
fn every_cut_of_every_request_is_corrupt_or_silent() {
    for packet in known_requests() {
        for len in 0..packet.len() {
            let answers = Device::factory().answers(&packet[..len]);
            match len {
                0..8 => assert!(answers.is_empty()),
                _ => assert_eq!(answers[0][8..], rc(9)),
            }
        }
    }
}
