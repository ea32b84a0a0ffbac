//! The operating-system group beyond the recorded exchanges.

use updraft_smp::client::Answer;
use updraft_smp::server::Reset;
use updraft_smp::{Op, Version, group, os};

use crate::device::{Cbor, Device, map, request, versioned};

fn reset(fields: &[(&str, Cbor<'_>)]) -> Vec<u8> {
    request(Op::Write, group::OS, os::RESET, &map(fields))
}

#[test]
fn reset_is_answered_and_handed_to_the_caller() {
    let mut device = Device::factory();
    assert_eq!(device.answer(&reset(&[]))[8..], [0xbf, 0xff]);
    assert_eq!(device.resets, [Reset { boot_mode: 0, force: false }]);
}

#[test]
fn reset_takes_force_as_integer_or_boolean() {
    for (force, insisted) in [
        (Cbor::Uint(1), true),
        (Cbor::Bool(true), true),
        (Cbor::Uint(0), false),
        (Cbor::Bool(false), false),
        (Cbor::Text("yes"), false),
    ] {
        let mut device = Device::factory();
        device.groups.0.0.busy = true;
        let answer = device.answer(&reset(&[("force", force)]));
        let refused = Answer::parse(&answer).expect("an answer").check().is_err();
        assert_eq!((refused, device.resets.len()), (!insisted, usize::from(insisted)));
    }
}

#[test]
fn a_busy_device_refuses_to_reset_with_busy() {
    let mut device = Device::factory();
    device.groups.0.0.busy = true;
    assert_eq!(device.answer(&reset(&[]))[8..], [0xbf, 0x62, b'r', b'c', 10, 0xff]);
    assert!(device.resets.is_empty());
}

#[test]
fn reset_passes_the_boot_mode_on() {
    let mut device = Device::factory();
    device.answer(&reset(&[("boot_mode", Cbor::Uint(1))]));
    assert_eq!(device.resets, [Reset { boot_mode: 1, force: false }]);
}

#[test]
fn requests_behind_a_reset_are_still_answered() {
    let mut device = Device::factory();
    let params = request(Op::Read, group::OS, os::PARAMS, &[0xa0]);
    assert_eq!(device.answers(&[reset(&[]), params].concat()).len(), 2);
    assert_eq!(device.resets.len(), 1);
}

#[test]
fn bootloader_information_by_query() {
    let mut device = Device::factory();
    device.groups.0.0.bootloader = Some((9, true));
    let mut ask =
        |payload: &[u8]| device.answer(&request(Op::Read, group::OS, os::BOOTLOADER_INFO, payload));
    let answer = ask(&[0xa0]);
    let reply = Answer::parse(&answer).expect("an answer").bootloader().expect("success");
    assert_eq!((reply.name, reply.mode), (Some("MCUboot"), None));

    let answer = ask(&map(&[("query", Cbor::Text("mode"))]));
    let reply = Answer::parse(&answer).expect("an answer").bootloader().expect("success");
    assert_eq!((reply.name, reply.mode, reply.no_downgrade), (None, Some(9), true));

    let answer = ask(&map(&[("query", Cbor::Text("else"))]));
    assert_eq!(answer[8..], *b"\xbf\x63err\xbf\x65group\x00\x62rc\x03\xff\xff");
}

#[test]
fn an_unknown_query_is_no_entry_for_version_1() {
    let mut device = Device::factory();
    device.groups.0.0.bootloader = Some((-1, false));
    let query = map(&[("query", Cbor::Text("else"))]);
    let packet = versioned(Version::V1, Op::Read, group::OS, os::BOOTLOADER_INFO, &query);
    assert_eq!(device.answer(&packet)[8..], [0xbf, 0x62, b'r', b'c', 5, 0xff]);
}

#[test]
fn information_letters_come_once_and_in_fixed_order() {
    let mut device = Device::factory();
    let ask = map(&[("format", Cbor::Text("vnsv"))]);
    let answer = device.answer(&request(Op::Read, group::OS, os::INFO, &ask));
    let answer = Answer::parse(&answer).expect("an answer");
    assert_eq!(answer.info(), Ok("Zephyr unknown 4.4.0"));
}
