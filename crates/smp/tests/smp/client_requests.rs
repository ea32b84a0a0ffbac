//! Requests, exchanges, typed answers, limits, and what errors tell.

use std::time::Duration;

use updraft_smp::client::{
    Answer, AnswerError, BufferTooSmall, Code, Exchange, Limits, Link, Params, Patience, Poll,
    Requests,
};
use updraft_smp::{Header, ImageError, Op, Rc, Version, group, image, os};

use crate::device::{Device, Memory};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A message of a server with this payload, in answer to `request`.
fn answer_to(request: &[u8], payload: &[u8]) -> Vec<u8> {
    let (header, _) = Header::parse(request).expect("a request");
    [&header.answer(payload.len() as u16).emit()[..], payload].concat()
}

fn refusal(payload: &[u8]) -> String {
    let mut buffer = [0; 64];
    let mut requests = Requests::default();
    let request = requests.image_list(&mut buffer).expect("it fits");
    let answer = answer_to(request, payload);
    let error = Answer::parse(&answer).expect("an answer").check().expect_err("a refusal");
    error.to_string()
}

#[test]
fn sequence_numbers_rise_and_wrap() {
    let mut requests = Requests::starting_at(254);
    let mut buffer = [0; 64];
    let mut sequence = || requests.params(&mut buffer).expect("it fits")[6];
    assert_eq!([sequence(), sequence(), sequence()], [254, 255, 0]);
}

#[test]
fn a_request_that_does_not_fit_is_refused_and_takes_no_number() {
    let mut requests = Requests::default();
    let mut buffer = [0; 12];
    assert_eq!(requests.echo(&mut buffer, "hello"), Err(BufferTooSmall { size: 12 }));
    assert_eq!(requests.params(&mut buffer).map(|message| message[6]), Ok(0));
    assert_eq!(requests.params(&mut [0; 5]), Err(BufferTooSmall { size: 5 }));
}

#[test]
fn every_request_is_understood_by_the_server() {
    let mut device = Device::new(Memory::new(1, 4096));
    device.groups.0.0.bootloader = Some((3, true));
    let mut requests = Requests::default();
    let mut buffer = [0; 256];
    let mut ask = |message: Result<&[u8], _>| device.answer(message.expect("it fits"));

    let answer = ask(requests.echo(&mut buffer, "hello"));
    assert_eq!(Answer::parse(&answer).expect("an answer").echo(), Ok("hello"));
    let answer = ask(requests.params(&mut buffer));
    let params = Params { buf_size: 2048, buf_count: 2 };
    assert_eq!(Answer::parse(&answer).expect("an answer").params(), Ok(params));
    let answer = ask(requests.info(&mut buffer, "m"));
    assert_eq!(Answer::parse(&answer).expect("an answer").info(), Ok("posix"));
    let answer = ask(requests.bootloader_info(&mut buffer, Some("mode")));
    let reply = Answer::parse(&answer).expect("an answer").bootloader().expect("success");
    assert_eq!((reply.mode, reply.no_downgrade), (Some(3), true));
    for message in [
        requests.reset(&mut buffer, false, None).map(<[u8]>::to_vec),
        requests.reset(&mut buffer, true, Some(1)).map(<[u8]>::to_vec),
        requests.reset_insisting(&mut buffer, None).map(<[u8]>::to_vec),
        requests.erase(&mut buffer, Some(1)).map(<[u8]>::to_vec),
        requests.erase(&mut buffer, None).map(<[u8]>::to_vec),
        requests
            .raw(&mut buffer, Op::Read, (group::IMAGE, image::SLOT_INFO), &[0xa0])
            .map(<[u8]>::to_vec),
    ] {
        let answer = ask(message.as_deref().map_err(|error| *error));
        assert_eq!(Answer::parse(&answer).expect("an answer").check(), Ok(()));
    }
    let modes: Vec<_> = device.resets.iter().map(|reset| (reset.force, reset.boot_mode)).collect();
    assert_eq!(modes, [(false, 0), (true, 1), (true, 0)]);
}

#[test]
fn answers_of_the_first_generation_are_read() {
    let request = Header::request(Version::V1, Op::Read, group::IMAGE, image::STATE, 1);
    let payload = b"\xa2\x66images\x81\xa4\x64slot\x01\x67version\x651.2.3\
                    \x66active\xf5\x66custom\xa0\x62rc\x00";
    let message = answer_to(&request.emit(), payload);
    let mut found = Vec::new();
    let answer = Answer::parse(&message).expect("an answer");
    answer.images(|entry| found.push(entry)).expect("rc 0 is success");
    let [entry] = found[..] else { panic!("one entry") };
    assert_eq!((entry.slot, entry.version, entry.hash), (1, "1.2.3", None));
    assert!(entry.active && !entry.confirmed && !entry.bootable);
}

#[test]
fn both_error_forms_are_recognised() {
    let check = |payload: &[u8]| {
        let message = answer_to(&[8, 0, 0, 0, 0, 1, 0, 0], payload);
        match Answer::parse(&message).expect("an answer").check() {
            Err(AnswerError::Refused(refusal)) => Some(refusal.code),
            Err(AnswerError::Malformed(error)) => panic!("{error}"),
            Ok(()) => None,
        }
    };
    assert_eq!(check(b"\xa1\x62rc\x08"), Some(Code::Generic(Rc::NOT_SUPPORTED)));
    let no_slot = Some(Code::Group { group: 1, rc: 9 });
    assert_eq!(check(b"\xa1\x63err\xa2\x65group\x01\x62rc\x09"), no_slot);
    assert_eq!(check(b"\xbf\x63len\x05\x63err\xbf\x62rc\x09\x65group\x01\xff\xff"), no_slot);
    assert_eq!(check(b"\xa1\x63err\xa1\x62rc\x09"), no_slot, "the group of the request");
    assert_eq!(check(b"\xa1\x62rc\x00"), None);
    assert_eq!(check(b"\xa0"), None);
}

#[test]
fn refusals_tell_the_cause_and_the_way_out() {
    assert_eq!(
        refusal(b"\xa1\x63err\xa2\x65group\x01\x62rc\x09"),
        "the slot is in use: the running image is in it, or the one that a revert goes back to; \
         confirm the running image or reset first (group 1, rc 9)"
    );
    assert_eq!(
        refusal(b"\xa2\x62rc\x06\x63rsn\x69downgrade"),
        "not possible in the device's current state (rc 6); the device says: downgrade"
    );
    assert_eq!(
        refusal(b"\xa1\x63err\xa2\x65group\x00\x62rc\x02"),
        "the information format holds a letter the device does not know (group 0, rc 2)"
    );
    let unknown = refusal(b"\xa1\x63err\xa2\x65group\x18\x40\x62rc\x05");
    assert_eq!(unknown, "the device refused (group 64, rc 5)");
    for error in ImageError::ALL {
        assert!(error.to_string().len() > 15, "{error:?}");
    }
}

#[test]
fn an_answer_without_its_key_is_malformed() {
    let message = answer_to(&[8, 0, 0, 0, 0, 0, 0, os::PARAMS], b"\xa1\x68buf_size\x05");
    let answer = Answer::parse(&message).expect("an answer");
    assert!(matches!(answer.params(), Err(AnswerError::Malformed(_))));
    assert!(matches!(answer.upload(), Err(AnswerError::Malformed(_))));
}

#[test]
fn requests_and_cut_messages_are_no_answers() {
    let mut buffer = [0; 64];
    let request = Requests::default().params(&mut buffer).expect("it fits").to_vec();
    assert_eq!(Answer::parse(&request), None);
    let answer = answer_to(&request, &[0xa0]);
    assert_eq!(Answer::parse(&answer[..8]), None);
    assert_eq!(Answer::parse(&answer[..5]), None);
}

#[test]
fn an_exchange_repeats_the_same_bytes_and_gives_up() {
    let mut buffer = [0; 64];
    let message = Requests::default().params(&mut buffer).expect("it fits");
    let patience = Patience { timeout: ms(100), longest: ms(300), retries: 3 };
    let mut exchange = Exchange::new(message, patience).expect("a message");
    let mut sent_at = Vec::new();
    let mut now = ms(1000);
    let gave_up = loop {
        match exchange.poll(now) {
            Poll::Send(bytes) => {
                assert_eq!(bytes, message);
                sent_at.push(now.as_millis());
            }
            Poll::Wait(until) => now = until,
            over => break over,
        }
    };
    assert_eq!(sent_at, [1000, 1100, 1300, 1600]);
    assert_eq!((now, gave_up), (ms(1900), Poll::GaveUp { sends: 4 }));
}

#[test]
fn an_exchange_takes_a_late_answer_and_drops_strays() {
    let mut buffer = [0; 64];
    let message = Requests::starting_at(7).params(&mut buffer).expect("it fits").to_vec();
    let right = answer_to(&message, b"\xa2\x68buf_size\x05\x69buf_count\x01");
    let mut exchange = Exchange::new(&message, Patience::QUICK).expect("a message");
    assert_eq!(exchange.handle(&right), None, "nothing was asked yet");
    assert!(matches!(exchange.poll(ms(0)), Poll::Send(_)));
    assert!(matches!(exchange.poll(ms(5000)), Poll::Send(_)));

    for (at, byte) in [(0, 0x0b), (5, 1), (6, 6), (7, 0)] {
        let mut stray = right.clone();
        stray[at] = byte;
        assert_eq!(exchange.handle(&stray), None, "byte {at}");
    }
    assert_eq!(exchange.handle(&message), None, "an echo of the request itself");
    let answer = exchange.handle(&right).expect("the answer");
    assert_eq!(answer.params(), Ok(Params { buf_size: 5, buf_count: 1 }));
    assert_eq!(exchange.poll(ms(5001)), Poll::Answered);
    assert_eq!(exchange.handle(&right), None, "once");
}

#[test]
fn limits_follow_the_link_and_the_buffers() {
    let limits = |link, size, count| {
        let Limits { frame, window } =
            Limits::of(link, Some(Params { buf_size: size, buf_count: count }));
        (frame, window)
    };
    assert_eq!(limits(Link::Udp, 2048, 8), (1472, 7));
    assert_eq!(limits(Link::Udp6, 2048, 8), (1452, 7));
    assert_eq!(limits(Link::Udp, 384, 4), (384, 3));
    assert_eq!(limits(Link::Console, 384, 2), (380, 1));
    assert_eq!(limits(Link::RawSerial, 1024, 1), (1024, 1));
    assert_eq!(limits(Link::Ble { mtu: 247 }, 2475, 0), (2475, 1));

    // What a server says is not believed beyond what a header can say.
    let huge = u32::MAX;
    assert_eq!(limits(Link::Ble { mtu: 247 }, huge, huge).0, 8 + 65535);
    assert_eq!(limits(Link::RawSerial, huge, huge).0, 8 + 65535);
    assert_eq!(limits(Link::Console, huge, huge).0, 65535 - 2);

    let unknown = |link| {
        let Limits { frame, window } = Limits::of(link, None);
        (frame, window)
    };
    assert_eq!(unknown(Link::Udp), (1024, 1));
    assert_eq!(unknown(Link::Console), (182, 1));
    assert_eq!(unknown(Link::Ble { mtu: 247 }), (244, 1));
}
