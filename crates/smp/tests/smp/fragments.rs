//! Messages in the fragments of Bluetooth LE.

use std::time::Duration;

use proptest::prelude::*;
use updraft_smp::framing::{ATT_MTU_MIN, Broken, Reassembler, fragments};
use updraft_smp::{Header, Op, Version};

const NOW: Duration = Duration::ZERO;

/// A message with `len` bytes of payload that differ from each other.
fn message(len: u16) -> Vec<u8> {
    let mut header = Header::request(Version::V2, Op::Write, 1, 1, len as u8);
    header.length = len;
    header.emit().into_iter().chain((0..len).map(|at| (at % 251) as u8)).collect()
}

/// What a reassembler makes of fragments: messages, or what is wrong.
fn received<'p, const N: usize>(
    reassembler: &mut Reassembler<N>,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Vec<Result<Vec<u8>, String>> {
    let mut out = Vec::new();
    for piece in pieces {
        match reassembler.receive(piece, NOW) {
            Ok(None) => {}
            Ok(Some(message)) => out.push(Ok(message.to_vec())),
            Err(broken) => out.push(Err(broken.to_string())),
        }
    }
    out
}

fn broken(why: Broken<'_>) -> Result<Vec<u8>, String> {
    Err(why.to_string())
}

#[test]
fn a_message_of_any_length_comes_whole_out_of_its_fragments() {
    let mut reassembler = Reassembler::<2475>::default();
    for mtu in [ATT_MTU_MIN, 65, 185, 247, 498] {
        for len in (0..2467).step_by(7).chain([12, 236, 237, 480, 2467]) {
            let message = message(len);
            let pieces = fragments(&message, mtu);
            assert!(pieces.clone().all(|piece| piece.len() <= usize::from(mtu) - 3));
            assert_eq!(received(&mut reassembler, pieces), [Ok(message)], "{len} at {mtu}");
        }
    }
}

#[test]
fn fragments_are_never_shorter_than_every_connection_allows() {
    assert_eq!(fragments(&message(30), 0).map(<[u8]>::len).collect::<Vec<_>>(), [20, 18]);
}

#[test]
fn several_messages_in_one_write_are_handed_out_as_they_came() {
    let both = [message(3), message(5)].concat();
    let out = received(&mut Reassembler::<64>::default(), [both.as_slice()]);
    assert_eq!(out, [Ok(both)]);
}

#[test]
fn a_message_that_is_too_long_is_told_at_once_and_passed_over() {
    let mut reassembler = Reassembler::<100>::default();
    let long = message(200);
    let mut pieces = fragments(&long, 63);
    let first = pieces.next().unwrap();
    let told = reassembler.receive(first, NOW);
    assert_eq!(told, Err(Broken::TooLong { len: 208, head: first }));
    assert_eq!(received(&mut reassembler, pieces), []);
    assert_eq!(received(&mut reassembler, fragments(&message(92), 63)), [Ok(message(92))]);
    // So it is when fragments of it are lost.
    let pieces =
        fragments(&long, 63).enumerate().filter(|(at, _)| *at != 1).map(|(_, piece)| piece);
    assert_eq!(
        received(&mut reassembler, pieces),
        [broken(Broken::TooLong { len: 208, head: first })]
    );
    assert_eq!(received(&mut reassembler, fragments(&message(92), 63)), [Ok(message(92))]);
    assert_eq!(
        reassembler.receive(&[10, 0, 0xff, 0xff, 0, 1, 0, 1], NOW).unwrap_err().to_string(),
        "a message of 65543 bytes is too long"
    );
}

#[test]
fn a_missing_fragment_costs_its_message_only() {
    let (long, next) = (message(200), message(150));
    for missing in 0..4 {
        let mut reassembler = Reassembler::<256>::default();
        let mut pieces: Vec<_> = fragments(&long, 63).collect();
        pieces.remove(missing);
        pieces.extend(fragments(&next, 63));
        let out = received(&mut reassembler, pieces);
        assert_eq!(out.last(), Some(&Ok(next.clone())), "without fragment {missing}");
        assert!(!out.contains(&Ok(long.clone())));
        assert!(out.iter().any(Result::is_err) || missing == 3, "without fragment {missing}");
    }
}

#[test]
fn a_fragment_that_overruns_its_message_may_begin_the_next_one() {
    let mut reassembler = Reassembler::<256>::default();
    let (half, whole) = (message(70), message(40));
    let pieces = [&half[..60], &whole];
    assert_eq!(received(&mut reassembler, pieces), [Ok(whole.clone())]);
    let begun = message(240);
    let pieces = [&half[..60], &begun[..60], &begun[60..120], &begun[120..180], &begun[180..240]];
    let mut out = received(&mut reassembler, pieces);
    out.extend(received(&mut reassembler, [&begun[240..]]));
    assert_eq!(out, [broken(Broken::Incomplete), Ok(begun)]);
}

#[test]
fn fragments_in_the_wrong_order_make_no_message() {
    let mut reassembler = Reassembler::<256>::default();
    let message = message(200);
    let mut pieces: Vec<_> = fragments(&message, 63).collect();
    pieces.rotate_left(1);
    let out = received(&mut reassembler, pieces);
    assert!(out.iter().all(Result::is_err) && !out.is_empty(), "{out:?}");
    assert_eq!(
        received(&mut reassembler, fragments(&message, 63)).pop(),
        Some(Ok(message.clone()))
    );
}

#[test]
fn a_header_may_come_in_a_fragment_of_its_own() {
    let message = message(100);
    let pieces = [&message[..8], &message[8..68], &message[68..]];
    assert_eq!(received(&mut Reassembler::<256>::default(), pieces), [Ok(message.clone())]);
}

#[test]
fn what_begins_no_message_is_stray() {
    let mut reassembler = Reassembler::<64>::default();
    for stray in [&[][..], &[10], &[0xff; 20], &[0x1a, 0, 0, 200, 0, 1, 0, 1]] {
        assert_eq!(reassembler.receive(stray, NOW), Err(Broken::Stray), "{stray:?}");
    }
    // Undefined operations and versions are for the server to refuse.
    let odd = [0x1c, 0, 0, 1, 0, 1, 0, 1, 0xa0];
    assert_eq!(reassembler.receive(&odd, NOW), Ok(Some(&odd[..])));
}

#[test]
fn a_message_that_is_sent_again_begins_anew() {
    let mut reassembler = Reassembler::<256>::default();
    let message = message(200);
    for arrived in 1..4 {
        let mut pieces: Vec<_> = fragments(&message, 63).take(arrived).collect();
        pieces.extend(fragments(&message, 63));
        assert_eq!(received(&mut reassembler, pieces), [Ok(message.clone())], "{arrived} came");
    }
}

#[test]
fn the_next_request_is_not_taken_for_the_rest_of_one_that_was_cut_off() {
    let numbered = |sequence: u8| {
        let mut bytes = message(200);
        bytes[6] = sequence;
        bytes
    };
    for (first, next) in [(7, 8), (255, 0)] {
        let mut reassembler = Reassembler::<256>::default();
        for arrived in 1..4 {
            let (lost, whole) = (numbered(first), numbered(next));
            let mut pieces: Vec<_> = fragments(&lost, 63).take(arrived).collect();
            pieces.extend(fragments(&whole, 63));
            assert_eq!(received(&mut reassembler, pieces), [Ok(whole.clone())], "{arrived} came");
        }
    }
}

#[test]
fn half_a_message_is_dropped_when_the_link_is_taken_up_anew() {
    let mut reassembler = Reassembler::<256>::default();
    let (long, short) = (message(100), message(90));
    assert_eq!(reassembler.receive(&long[..60], NOW), Ok(None));
    reassembler.clear();
    assert_eq!(received(&mut reassembler, fragments(&short, 63)), [Ok(short.clone())]);
}

#[test]
fn half_a_message_is_dropped_when_nothing_follows() {
    let mut reassembler = Reassembler::<256>::new(Duration::from_secs(1));
    let message = message(100);
    let at = |ms| Duration::from_millis(ms);
    assert_eq!(reassembler.receive(&message[..60], at(0)), Ok(None));
    assert_eq!(reassembler.receive(&message[60..], at(1000)), Err(Broken::Stray));
    assert_eq!(reassembler.receive(&message[..60], at(2000)), Ok(None));
    assert_eq!(reassembler.receive(&message[60..], at(2999)), Ok(Some(&message[..])));
}

proptest! {
    #[test]
    fn nothing_longer_than_the_buffer_is_put_together(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..40),
    ) {
        let mut reassembler = Reassembler::<100>::default();
        for piece in &pieces {
            if let Ok(Some(message)) = reassembler.receive(piece, NOW) {
                prop_assert!(message.len() <= 100);
                prop_assert!(message.len() >= Header::SIZE);
            }
        }
        let good = message(80);
        reassembler.clear();
        prop_assert_eq!(received(&mut reassembler, fragments(&good, 23)), [Ok(good)]);
    }
}
