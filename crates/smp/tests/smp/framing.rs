//! Messages on a serial line.

use std::time::Duration;

use proptest::prelude::*;
use updraft_smp::framing::{Console, Encoder, Framing, Line, Raw, Received, TooLong};
use updraft_smp::{Header, Op, Version};

const NOW: Duration = Duration::ZERO;

/// What comes out of a receiver.
#[derive(Debug, Default, PartialEq, Eq)]
struct Out {
    messages: Vec<Vec<u8>>,
    text: Vec<u8>,
}

impl Out {
    fn of(framing: &mut impl Framing, bytes: &[u8]) -> Self {
        Self::at(framing, bytes, NOW)
    }

    fn at(framing: &mut impl Framing, bytes: &[u8], now: Duration) -> Self {
        let mut out = Self::default();
        for byte in bytes {
            match framing.receive(*byte, now) {
                Some(Received::Message(message)) => out.messages.push(message.to_vec()),
                Some(Received::Text(text)) => out.text.extend(text),
                None => {}
            }
        }
        out
    }
}

fn console(bytes: &[u8]) -> Out {
    Out::of(&mut Console::<256>::new(), bytes)
}

fn sent<F: Framing>(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    F::send(message, |piece| bytes.extend(piece)).expect("short enough");
    bytes
}

fn lines(message: &[u8]) -> Vec<u8> {
    sent::<Console<0>>(message)
}

/// The lines of a sender that puts `sizes` bytes of the packet into its lines, in turn.
fn irregular_lines(message: &[u8], sizes: &[usize]) -> Vec<u8> {
    use base64::Engine as _;
    let mut packet = ((message.len() + 2) as u16).to_be_bytes().to_vec();
    packet.extend(message);
    packet.extend(updraft_smp::framing::crc16(0, message).to_be_bytes());
    let mut bytes = Vec::new();
    let mut sizes = sizes.iter().cycle();
    while !packet.is_empty() {
        let now: Vec<u8> = packet.drain(..packet.len().min(*sizes.next().unwrap())).collect();
        bytes.extend(if bytes.is_empty() { [6, 9] } else { [4, 20] });
        bytes.extend(base64::engine::general_purpose::STANDARD.encode(now).bytes());
        bytes.push(b'\n');
    }
    bytes
}

/// A message whose header tells its length.
fn message(payload: &[u8]) -> Vec<u8> {
    let mut header = Header::request(Version::V2, Op::Write, 1, 1, 7);
    header.length = payload.len() as u16;
    [&header.emit(), payload].concat()
}

#[test]
fn an_answer_recorded_from_a_console_is_read_and_written_alike() {
    let line = b"\x06\x09ABELAAAHAAAAAL9hcmJoaf/eOQ==\n";
    let answer = b"\x0b\x00\x00\x07\x00\x00\x00\x00\xbfarbhi\xff";
    assert_eq!(console(line).messages, [answer]);
    assert_eq!(lines(answer), line);
}

#[test]
fn no_line_is_longer_than_127_bytes_and_only_the_last_is_padded() {
    for len in 1..400 {
        let message = vec![0xa5; len];
        let lines: Vec<Line> = Encoder::new(&message).unwrap().collect();
        assert_eq!(lines.len(), (len + 4).div_ceil(Line::PAYLOAD));
        for (at, line) in lines.iter().enumerate() {
            let last = at + 1 == lines.len();
            assert!(line.len() == Line::MAX || last, "{} bytes of a line", line.len());
            assert!(last || !line.contains(&b'='));
            assert_eq!(line.starts_with(&[6, 9]), at == 0);
            assert_eq!(line.starts_with(&[4, 20]), at > 0);
        }
    }
}

#[test]
fn the_length_field_bounds_a_message() {
    assert_eq!(console(&lines(&[1; 256])).messages.len(), 1);
    assert_eq!(console(&lines(&[1; 257])).messages.len(), 0);
    assert_eq!(Encoder::new(&[0; 65534]).unwrap_err(), TooLong { len: 65534 });
    assert_eq!(Encoder::new(&[0; 65533]).unwrap().count(), 65537_usize.div_ceil(93));
}

#[test]
fn a_log_may_stand_before_between_and_behind_the_lines() {
    let framed = lines(&[7; 200]);
    let lines: Vec<&[u8]> = framed.split_inclusive(|byte| *byte == b'\n').collect();
    let mut bytes = b"*** Booting\nI: half a li".to_vec();
    for line in lines {
        bytes.extend(line);
        bytes.extend(b"W: hello\x06 there\n\x04");
    }
    let out = console(&bytes);
    assert_eq!(out.messages, [[7; 200]]);
    let log = "W: hello\x06 there\n";
    let text = format!("*** Booting\nI: half a li{log}\x04{log}\x04{log}\x04");
    // The last byte may still become a marker.
    assert_eq!(String::from_utf8(out.text).unwrap(), text[..text.len() - 1].to_owned());
}

#[test]
fn a_message_that_begins_again_replaces_the_one_before() {
    let (first, second) = (lines(&[1; 200]), lines(&[2; 100]));
    let half = first.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let out = console(&[&first[..half], &second, &first[half..]].concat());
    assert_eq!(out.messages, [[2; 100]]);
    assert!(out.text.is_empty());
}

#[test]
fn lines_without_a_beginning_are_dropped() {
    let framed = lines(&[1; 200]);
    let half = framed.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let out = console(&[&framed[half..], b"text\n"].concat());
    assert_eq!(out, Out { messages: vec![], text: b"text\n".to_vec() });
}

#[test]
fn carriage_returns_before_newlines_are_tolerated() {
    let framed: Vec<u8> = lines(&[3; 150])
        .into_iter()
        .flat_map(|byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] })
        .collect();
    assert_eq!(console(&framed), Out { messages: vec![vec![3; 150]], text: vec![] });
}

#[test]
fn a_line_that_lost_its_newline_costs_one_message_at_most() {
    let mut framed = lines(&[4; 50]);
    framed.pop();
    framed.extend(lines(&[5; 150]));
    assert_eq!(console(&framed).messages, [vec![4; 50], vec![5; 150]]);
}

#[test]
fn a_line_cut_within_a_byte_is_not_continued() {
    let framed = lines(&[6; 150]);
    let end = framed.iter().position(|byte| *byte == b'\n').unwrap();
    for lost in 1..4 {
        let bytes = [&framed[..end - lost], &framed[end + 1..], &lines(&[7; 20])].concat();
        assert_eq!(console(&bytes).messages, [[7; 20]], "{lost} characters and a newline lost");
    }
}

#[test]
fn what_does_not_decode_is_dropped_with_its_line() {
    let good = lines(&[9; 40]);
    for broken in [
        &b"\x06\x09AAA\n"[..],
        b"\x06\x09AAAA!AAAA\n",
        b"\x06\x09=AAA\n",
        b"\x06\x09\n",
        // Lengths that hold no message.
        b"\x06\x09AAAAAAAA\n",
        b"\x06\x09AAIAAAAA\n",
        // More than the length says.
        b"\x06\x09AAMAAAAAAAAA\n",
        // A wrong CRC.
        b"\x06\x09AAMBAAAA\n",
    ] {
        let out = console(&[broken, &good, b"x"].concat());
        assert_eq!(out, Out { messages: vec![vec![9; 40]], text: vec![b'x'] }, "{broken:?}");
    }
}

#[test]
fn raw_messages_may_follow_each_other_without_a_gap() {
    let (first, second) = (message(&[1; 30]), message(&[]));
    let bytes = [&first[..], &second, &first].concat();
    let out = Out::of(&mut Raw::<64>::default(), &bytes);
    assert_eq!(out, Out { messages: vec![first.clone(), second.clone(), first], text: vec![] });
    assert_eq!(sent::<Raw<0>>(&second), second);
}

#[test]
fn half_a_raw_message_is_dropped_after_a_pause() {
    let patience = Duration::from_millis(500);
    let mut raw = Raw::<64>::new(patience);
    let message = message(&[1; 30]);
    let (half, rest) = message.split_at(11);
    assert_eq!(Out::at(&mut raw, half, NOW).messages.len(), 0);
    assert_eq!(Out::at(&mut raw, rest, patience - Duration::from_millis(1)).messages.len(), 1);
    assert_eq!(Out::at(&mut raw, half, NOW + patience).messages.len(), 0);
    assert_eq!(
        Out::at(&mut raw, &message, NOW + patience * 2).messages,
        std::slice::from_ref(&message)
    );
}

#[test]
fn a_raw_message_that_cannot_be_is_not_waited_for() {
    let mut raw = Raw::<64>::default();
    // Undefined operations begin no message.
    assert_eq!(
        Out::of(&mut raw, &[&[0x04, 0xff, 0x0d][..], &message(&[2])].concat()).messages.len(),
        1
    );
    // Longer than the receiver holds.
    let long = message(&[0; 57]);
    assert_eq!(Out::of(&mut raw, &long[..8]).messages.len(), 0);
    assert_eq!(Out::of(&mut raw, &message(&[2])).messages.len(), 1);
}

proptest! {
    #[test]
    fn any_message_in_lines_of_any_length_comes_out_as_it_went_in(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=256), 1..4),
        sizes in prop::collection::vec(1..150_usize, 1..4),
        log in "[ -~]{0,20}\n",
    ) {
        let mut bytes = Vec::new();
        for message in &messages {
            bytes.extend(log.bytes());
            bytes.extend(irregular_lines(message, &sizes));
            bytes.extend(lines(message));
        }
        let out = console(&bytes);
        let twice: Vec<_> = messages.iter().flat_map(|m| [m.clone(), m.clone()]).collect();
        prop_assert_eq!(out.messages, twice);
        prop_assert_eq!(out.text, log.repeat(messages.len()).into_bytes());
    }

    #[test]
    fn a_changed_byte_never_changes_a_message(
        message in prop::collection::vec(any::<u8>(), 1..=256),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = lines(&message);
        // The CRC does not cover the length, which the first three characters hold.
        let at = 5 + at.index(bytes.len() - 5);
        bytes[at] = byte;
        let out = console(&[&bytes[..], b"\n", &lines(&[8; 20])].concat());
        let (last, others) = out.messages.split_last().expect("the message behind it");
        prop_assert_eq!(last, &vec![8; 20]);
        prop_assert!(others.iter().all(|other| *other == message));
    }

    #[test]
    fn a_lost_stretch_costs_the_messages_that_it_touches(
        at in any::<prop::sample::Index>(),
        len in 1..300_usize,
    ) {
        let messages: Vec<Vec<u8>> = (0..6).map(|n| vec![n; 100]).collect();
        let framed: Vec<Vec<u8>> = messages.iter().map(|message| lines(message)).collect();
        let mut bytes = framed.concat();
        let start = at.index(bytes.len());
        let end = (start + len).min(bytes.len());
        bytes.drain(start..end);
        let out = console(&bytes);
        let mut from = 0;
        for (message, framed) in messages.iter().zip(&framed) {
            let untouched = from + framed.len() <= start || end <= from;
            prop_assert!(!untouched || out.messages.contains(message));
            from += framed.len();
        }
    }

    #[test]
    fn raw_messages_of_any_length_come_out_as_they_went_in(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=100), 1..6),
    ) {
        let messages: Vec<_> = payloads.iter().map(|payload| message(payload)).collect();
        let out = Out::of(&mut Raw::<108>::default(), &messages.concat());
        prop_assert_eq!(out, Out { messages, text: vec![] });
    }
}
