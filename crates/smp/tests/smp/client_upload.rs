//! The upload machine, state by state: what each event does to it.

use std::time::Duration;

use proptest::prelude::*;
use updraft_smp::client::{
    Limits, Outcome, Patience, Progress, Status, Upload, UploadError, UploadOptions,
};
use updraft_smp::{Header, ImageError, Op, Rc, group, image};

use crate::device::{Cbor, Device, Memory, map, sha256};

const FRAME: usize = 126;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn data() -> Vec<u8> {
    (0..1000_u32).map(|at| at as u8).collect()
}

fn options(window: usize) -> UploadOptions {
    UploadOptions::new(Limits { frame: FRAME, window })
}

/// A request as the server would read it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    sequence: u8,
    off: u32,
    end: u32,
    keys: Vec<String>,
}

/// An upload whose messages are looked at and whose answers are made up.
struct Desk<'i> {
    upload: Upload<'i>,
}

impl<'i> Desk<'i> {
    fn new(data: &'i [u8], options: UploadOptions) -> Self {
        Self { upload: Upload::new(data, options).expect("sound options") }
    }

    fn sent(&mut self, now: u64) -> Vec<Sent> {
        let mut buffer = [0; 1500];
        let mut all = Vec::new();
        while let Some(len) = self.upload.poll_transmit(at(now), &mut buffer) {
            let (header, payload) = Header::parse(&buffer[..len]).expect("a message");
            assert_eq!(
                (header.op, header.group, header.id),
                (Op::Write, group::IMAGE, image::UPLOAD)
            );
            assert_eq!(header.length as usize, payload.len());
            let (mut off, mut data, mut keys) = (None, None, Vec::new());
            updraft_smp::fields(payload, |key, value| {
                keys.push(key.to_owned());
                match key {
                    "off" => value.u32(&mut off),
                    "data" => value.bytes(&mut data),
                    _ => Ok(()),
                }
            })
            .expect("a map");
            let off = off.expect("an offset");
            let end = off + data.expect("data").len() as u32;
            all.push(Sent { sequence: header.sequence, off, end, keys });
        }
        all
    }

    fn spans(&mut self, now: u64) -> Vec<(u32, u32)> {
        self.sent(now).iter().map(|sent| (sent.off, sent.end)).collect()
    }

    fn payload(&mut self, sequence: u8, now: u64, payload: &[u8]) -> bool {
        let header = Header {
            version_bits: 1,
            op: Op::WriteResponse,
            flags: 0,
            length: payload.len() as u16,
            group: group::IMAGE,
            sequence,
            id: image::UPLOAD,
        };
        self.upload.handle(&[&header.emit()[..], payload].concat(), at(now))
    }

    fn answer(&mut self, sent: &Sent, now: u64, off: u32) -> bool {
        self.payload(sent.sequence, now, &map(&[("off", Cbor::Uint(off.into()))]))
    }

    /// An upload whose first chunk was taken; its window is full of chunks.
    fn streaming(data: &'i [u8], window: usize) -> (Self, Vec<Sent>) {
        let mut desk = Self::new(data, options(window));
        let first = desk.sent(0);
        assert!(desk.answer(&first[0], 10, first[0].end));
        let sent = desk.sent(10);
        assert_eq!(sent.len(), window);
        (desk, sent)
    }

    /// What is sent at the next deadline, and when that is.
    fn due(&mut self) -> (u64, Vec<Sent>) {
        let due = self.upload.deadline().expect("a deadline").as_micros().div_ceil(1000) as u64;
        (due, self.sent(due))
    }

    fn failure(&self) -> UploadError {
        match self.upload.status() {
            Status::Failed(error) => error,
            other => panic!("{other:?}"),
        }
    }
}

fn refusal(rc: u64) -> Vec<u8> {
    map(&[("rc", Cbor::Uint(rc))])
}

// First.

#[test]
fn first_goes_alone_with_all_fields() {
    let data = data();
    let full = UploadOptions { image: Some(1), upgrade: true, ..options(7) };
    let mut desk = Desk::new(&data, full.with_sha256(sha256(&data)));
    let sent = desk.sent(0);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].keys, ["image", "len", "off", "sha", "upgrade", "data"]);
    let mut desk = Desk::new(&data, options(7));
    assert_eq!(desk.sent(0)[0].keys, ["len", "off", "data"]);
}

#[test]
fn first_answered_starts_the_stream() {
    let data = data();
    let (desk, sent) = Desk::streaming(&data, 3);
    assert_eq!(sent[0].keys, ["off", "data"]);
    let offs: Vec<_> = sent.iter().map(|sent| sent.off).collect();
    assert!(offs.windows(2).all(|pair| pair[0] < pair[1]));
    let Progress { sent: reached, acked, total, resent, window, .. } = desk.upload.progress();
    assert_eq!((reached, acked), (sent[2].end, sent[0].off));
    assert_eq!((total, resent, window), (1000, 0, 3));
}

#[test]
fn first_answered_further_on_resumes_there() {
    let data = data();
    let mut desk = Desk::new(&data, options(2));
    let first = desk.sent(0);
    desk.answer(&first[0], 10, 700);
    assert_eq!(desk.sent(10)[0].off, 700);
}

#[test]
fn first_answered_with_the_end_was_there_already() {
    let data = data();
    let mut desk = Desk::new(&data, options(2).with_sha256(sha256(&data)));
    let first = desk.sent(0);
    let payload = map(&[("off", Cbor::Uint(1000)), ("match", Cbor::Bool(true))]);
    desk.payload(first[0].sequence, 10, &payload);
    let outcome = Outcome { verified: true, already_there: true, resumed_at: 1000 };
    assert_eq!(desk.upload.status(), Status::Done(outcome));
    assert_eq!(desk.spans(20), []);
}

#[test]
fn first_answered_with_0_is_repeated_when_due() {
    let data = data();
    let mut desk = Desk::new(&data, options(2));
    let first = desk.sent(0);
    assert!(desk.answer(&first[0], 10, 0));
    assert_eq!(desk.sent(10), []);
    assert_eq!(desk.sent(30_000), first);
}

#[test]
fn first_unanswered_is_repeated_with_the_same_bytes_and_given_up() {
    let data = data();
    let mut desk = Desk::new(&data, options(2));
    let first = desk.sent(0);
    assert_eq!(desk.upload.deadline(), Some(at(30_000)));
    assert_eq!(desk.sent(29_999), []);
    assert_eq!(desk.sent(30_000), first);
    assert_eq!(desk.sent(90_000), first);
    assert_eq!(desk.sent(150_000), []);
    assert_eq!(desk.failure(), UploadError::NoAnswer { off: 0, sends: 3 });
    assert_eq!(desk.upload.deadline(), None);
}

/// A server whose link puts together no more than 90 bytes, whatever buffers it tells of.
fn with_safe_frame() -> UploadOptions {
    UploadOptions { safe_frame: Some(90), ..options(3) }
}

#[test]
fn first_cut_short_goes_again_as_any_server_takes_it() {
    let data = data();
    let mut desk = Desk::new(&data, with_safe_frame());
    let large = desk.sent(0).remove(0);
    desk.payload(large.sequence, 10, &refusal(Rc::CORRUPT.0.into()));
    let (due, small) = desk.due();
    assert!(small[0].end < large.end && small[0].keys == large.keys);
    // Wherever it has to go on, nothing is large again.
    desk.answer(&small[0], due + 10, 700);
    let sent = desk.sent(due + 10);
    assert_eq!(sent.len(), 3);
    assert!(sent.iter().all(|sent| sent.off >= 700 && sent.end - sent.off < large.end));
    // Refused once more, it is refused.
    desk.payload(sent[0].sequence, due + 20, &refusal(Rc::CORRUPT.0.into()));
    assert!(matches!(desk.failure(), UploadError::Refused(_)));
}

#[test]
fn first_cut_short_is_refused_where_nothing_smaller_would_do() {
    let data = data();
    for safe_frame in [None, Some(FRAME), Some(40)] {
        let mut desk = Desk::new(&data, UploadOptions { safe_frame, ..options(3) });
        let first = desk.sent(0);
        desk.payload(first[0].sequence, 10, &refusal(Rc::CORRUPT.0.into()));
        assert!(matches!(desk.failure(), UploadError::Refused(_)), "{safe_frame:?}");
    }
}

#[test]
fn first_unanswered_becomes_smaller_until_a_large_one_turns_out_to_have_arrived() {
    let data = data();
    for arrived in [false, true] {
        let first = Patience { retries: 10, ..options(7).first };
        let patient = UploadOptions { first, safe_frame: Some(90), ..options(7) };
        let mut desk = Desk::new(&data, patient);
        let large = desk.sent(0).remove(0);
        let (_, again) = desk.due();
        assert_eq!(again.first(), Some(&large));
        desk.due();
        let (due, small) = desk.due();
        assert!(small[0].end < large.end);
        let off = if arrived { large.end } else { small[0].end };
        desk.answer(&small[0], due + 10, off);
        let next = desk.sent(due + 10).remove(0);
        assert_eq!(next.off, off);
        assert_eq!(next.end - next.off > large.end, arrived, "later ones have fewer fields");
    }
}

#[test]
fn streaming_cut_short_goes_on_as_any_server_takes_it() {
    let data = data();
    let mut desk = Desk::new(&data, with_safe_frame());
    let first = desk.sent(0);
    desk.answer(&first[0], 10, first[0].end);
    let sent = desk.sent(10);
    desk.payload(sent[0].sequence, 20, &refusal(Rc::CORRUPT.0.into()));
    let (_, smaller) = desk.due();
    assert_eq!(smaller[0].off, sent[0].off);
    assert!(smaller[0].end < sent[0].end);
}

#[test]
fn first_with_a_hash_is_repeated_sooner() {
    let data = data();
    let mut desk = Desk::new(&data, options(2).with_sha256(sha256(&data)));
    desk.sent(0);
    assert_eq!(desk.upload.deadline(), Some(at(4000)));
}

#[test]
fn first_refused_ends_it_with_the_cause() {
    let data = data();
    let mut desk = Desk::new(&data, options(2));
    let first = desk.sent(0);
    desk.payload(first[0].sequence, 10, b"\xa1\x63err\xa2\x65group\x01\x62rc\x09");
    let UploadError::Refused(refusal) = desk.failure() else { panic!("{:?}", desk.failure()) };
    assert_eq!(refusal.image_error(), Some(ImageError::NoFreeSlot));
    assert!(desk.failure().to_string().contains("confirm the running image or reset first"));
}

#[test]
fn first_told_busy_tries_again_and_then_quotes_it() {
    let data = data();
    let mut desk = Desk::new(&data, options(2));
    let first = desk.sent(0);
    desk.payload(first[0].sequence, 10, &refusal(10));
    assert_eq!(desk.upload.status(), Status::Running);
    assert_eq!(desk.sent(30_000), first);
    desk.sent(90_000);
    desk.sent(150_000);
    let UploadError::Refused(refusal) = desk.failure() else { panic!("{:?}", desk.failure()) };
    assert!(refusal.is_busy());
}

/// The upload goes on; only if nothing else ever comes, that is what it failed of.
#[test]
fn first_answered_with_nonsense_is_sent_again_soon() {
    let data = data();
    let past = map(&[("off", Cbor::Uint(1001))]);
    for payload in [&[0xa0][..], &[0x80], b"\xa1\x63off\x61x", &past] {
        let mut desk = Desk::new(&data, options(2));
        let first = desk.sent(0);
        assert!(desk.payload(first[0].sequence, 10, payload));
        assert_eq!(desk.sent(1009), []);
        assert_eq!(desk.sent(1010), first);
        desk.answer(&first[0], 1020, first[0].end);
        assert!(!desk.sent(1020).is_empty(), "and all is well");

        let mut desk = Desk::new(&data, options(2));
        for now in [0, 1010, 2020] {
            let first = desk.sent(now);
            assert!(desk.payload(first[0].sequence, now + 10, payload));
        }
        assert_eq!(desk.sent(3030), []);
        match payload == past {
            true => assert_eq!(desk.failure(), UploadError::PastEnd { off: 1001, len: 1000 }),
            false => assert!(matches!(desk.failure(), UploadError::Malformed(_))),
        }
    }
}

// Streaming.

#[test]
fn streaming_sends_one_more_for_each_answer() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 3);
    assert_eq!(desk.sent(11), [], "the window is full");
    desk.answer(&sent[0], 12, sent[0].end);
    assert_eq!(desk.spans(12).len(), 1);
    desk.answer(&sent[2], 13, sent[2].end);
    assert_eq!(desk.spans(13).len(), 2, "an answer for two");
}

#[test]
fn streaming_goes_back_once_for_a_burst_of_equal_answers() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 4);
    let lost = sent[0].off;
    desk.answer(&sent[1], 20, lost);
    let again = desk.sent(20);
    assert_eq!(again[0].off, lost);
    assert!(again.iter().all(|new| sent.iter().all(|old| new.sequence != old.sequence)));
    desk.answer(&sent[2], 21, lost);
    desk.answer(&sent[3], 22, lost);
    assert!(desk.sent(22).iter().all(|new| new.off > lost), "the burst is one loss");
    desk.answer(&again[0], 30, again[0].end);
    assert!(desk.upload.progress().resent > 0);
}

#[test]
fn streaming_takes_a_late_answer_to_a_stale_chunk() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 2);
    desk.answer(&sent[1], 20, sent[0].off);
    desk.sent(20);
    assert!(desk.answer(&sent[0], 25, sent[1].end), "late, and further than thought");
    assert_eq!(desk.upload.progress().acked, sent[1].end);
}

#[test]
fn streaming_ignores_an_old_offset_that_comes_late() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 3);
    desk.answer(&sent[1], 20, sent[1].end);
    assert!(!desk.answer(&sent[0], 21, sent[0].end), "acknowledged already");
    assert_eq!(desk.upload.progress().acked, sent[1].end);
}

#[test]
fn streaming_times_out_goes_back_and_shrinks_the_window() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 4);
    let due = desk.upload.deadline().expect("a deadline");
    let again = desk.sent(due.as_millis() as u64);
    assert_eq!(again.iter().map(|s| s.off).collect::<Vec<_>>(), [sent[0].off, sent[1].off]);
    assert_eq!(desk.upload.progress().window, 2);
    assert!(desk.upload.deadline() > Some(due + due / 2), "and waits longer");
}

#[test]
fn streaming_grows_the_window_back() {
    let data = vec![0; 20_000];
    let (mut desk, _) = Desk::streaming(&data, 4);
    let due = desk.upload.deadline().expect("a deadline").as_millis() as u64;
    let mut flying = desk.sent(due);
    for now in due + 1..due + 20 {
        let sent = flying.remove(0);
        desk.answer(&sent, now, sent.end);
        flying.extend(desk.sent(now));
    }
    assert_eq!((desk.upload.progress().window, flying.len()), (4, 4));
}

#[test]
fn streaming_gives_up_after_the_last_retry() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 3);
    let mut sends = 1;
    while let Some(due) = desk.upload.deadline() {
        sends += u32::from(!desk.sent(due.as_millis() as u64).is_empty());
    }
    assert_eq!(sends, 15);
    assert_eq!(desk.failure(), UploadError::NoAnswer { off: sent[0].off, sends: 15 });
}

#[test]
fn streaming_answered_with_0_sends_the_first_fields_again() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 3);
    desk.answer(&sent[0], 20, 0);
    assert!(desk.sent(20).is_empty(), "not at once");
    let (due, first) = desk.due();
    assert!((270..600).contains(&due), "{due}");
    assert_eq!((first.len(), first[0].off), (1, 0));
    assert_eq!(first[0].keys, ["len", "off", "data"]);
    desk.answer(&sent[1], due, 700);
    assert_eq!(desk.upload.progress().acked, 0, "answers to the lost session tell nothing");
    desk.answer(&first[0], due + 10, first[0].end);
    assert_eq!(desk.sent(due + 10)[0].off, first[0].end);
}

#[test]
fn streaming_answered_below_the_acknowledged_asks_the_server_anew() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 2);
    desk.answer(&sent[0], 20, sent[0].end);
    let next = desk.sent(20);
    desk.answer(&next[0], 30, 50);
    assert_eq!(desk.due().1[0].off, 0, "another client's session");
}

#[test]
fn streaming_answered_beyond_what_was_sent_asks_the_server_anew() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 2);
    desk.answer(&sent[0], 20, 999);
    assert_eq!(desk.due().1[0].off, 0);
}

#[test]
fn streaming_that_is_sent_back_to_the_start_again_and_again_is_given_up() {
    let data = data();
    let (mut desk, mut sent) = Desk::streaming(&data, 1);
    let (mut now, mut waits) = (20, Vec::new());
    loop {
        desk.answer(&sent[0], now, 0);
        if desk.upload.status() != Status::Running {
            break;
        }
        let (due, first) = desk.due();
        waits.push(due - now);
        now = due;
        desk.answer(&first[0], now, first[0].end);
        sent = desk.sent(now);
    }
    assert_eq!(desk.failure(), UploadError::Unsettled { times: 9 });
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0] * 3 / 2), "longer each time: {waits:?}");
}

#[test]
fn streaming_taken_over_twice_is_left_to_the_other_client() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 1);
    desk.answer(&sent[0], 20, 40);
    let (now, first) = desk.due();
    desk.answer(&first[0], now, first[0].end);
    let sent = desk.sent(now);
    desk.answer(&sent[0], now, 40);
    assert_eq!(desk.failure(), UploadError::AnotherClient);
}

#[test]
fn of_two_clients_that_take_the_upload_from_each_other_one_finishes() {
    let files = [1, 2]
        .map(|major| crate::device::file(updraft_image::Version::new(major, 0, 0, 0), 60_000));
    for second in (0..2000).step_by(7) {
        let mut device = Device::new(Memory::new(1, 65_536));
        let mut uploads = [(&files[0], 3), (&files[1], 200)].map(|(file, sequence)| {
            let options = UploadOptions { sequence, ..options(4) }.with_sha256(sha256(file));
            Upload::new(file, options).expect("sound options")
        });
        let mut buffer = [0; FRAME];
        // Each turn of a client is one message and its answer, a millisecond after the other's.
        for now in 0..60_000 {
            for (upload, start) in uploads.iter_mut().zip([0, second]) {
                if now < start {
                    continue;
                }
                if let Some(len) = upload.poll_transmit(at(now), &mut buffer) {
                    for answer in device.answers(&buffer[..len]) {
                        upload.handle(&answer, at(now));
                    }
                }
            }
            if uploads.iter().all(|upload| upload.status() != Status::Running) {
                break;
            }
        }
        let ends = uploads.each_ref().map(Upload::status);
        let done = |end: &Status| matches!(end, Status::Done(outcome) if outcome.verified);
        assert!(ends.iter().any(done), "second after {second} ms: {ends:?}");
    }
}

#[test]
fn streaming_that_never_advances_is_given_up() {
    let data = data();
    let (mut desk, mut sent) = Desk::streaming(&data, 1);
    for now in 20..10_000 {
        if let Some(first) = sent.first() {
            desk.answer(first, now, first.off);
        }
        sent = desk.sent(now);
    }
    assert!(matches!(desk.failure(), UploadError::Unsettled { .. }));
}

#[test]
fn streaming_refused_ends_it() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 2);
    desk.payload(sent[0].sequence, 20, b"\xa1\x63err\xa2\x65group\x01\x62rc\x0c");
    assert!(desk.failure().to_string().contains("failed to write its flash"));
    assert_eq!(desk.sent(21), []);
}

#[test]
fn streaming_told_busy_sends_the_chunk_again_later() {
    let data = data();
    for code in [Rc::BUSY, Rc::NO_MEMORY] {
        let (mut desk, sent) = Desk::streaming(&data, 1);
        assert!(desk.payload(sent[0].sequence, 20, &refusal(code.0.into())));
        assert_eq!(desk.sent(20), []);
        let due = desk.upload.deadline().expect("a deadline").as_millis() as u64;
        assert_eq!(desk.spans(due), [(sent[0].off, sent[0].end)]);
    }
}

#[test]
fn streaming_takes_a_chunk_written_in_part() {
    let data = vec![0; 20_000];
    let (mut desk, sent) = Desk::streaming(&data, 1);
    let taken = sent[0].off + 80;
    desk.answer(&sent[0], 20, taken);
    let next = desk.sent(20);
    assert_eq!(next[0].off, taken);
    assert_eq!(next[0].end % 16, 0, "and rounds the others to what the server writes");
    assert_eq!(desk.upload.progress().window, 1);
}

/// The server takes a longer file: another client's.
#[test]
fn streaming_past_the_end_asks_the_server_anew() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 2);
    desk.answer(&sent[0], 20, 1001);
    let (due, first) = desk.due();
    assert_eq!(first[0].off, 0);
    desk.answer(&first[0], due, first[0].end);
    let sent = desk.sent(due);
    desk.answer(&sent[0], due + 10, 1001);
    assert_eq!(desk.failure(), UploadError::AnotherClient);
}

#[test]
fn streaming_answered_with_nonsense_sends_the_chunk_again() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 2);
    assert!(desk.payload(sent[0].sequence, 20, &[0xff]));
    assert_eq!(desk.upload.status(), Status::Running);
    desk.answer(&sent[1], 21, sent[0].off);
    let again = desk.spans(21);
    assert_eq!(again[0], (sent[0].off, sent[0].end));
}

#[test]
fn where_bytes_may_be_damaged_refusals_and_hashes_are_doubted_a_few_times() {
    let data = data();
    let options = UploadOptions { damage: 2, ..options(1).with_sha256(sha256(&data)) };
    let mut desk = Desk::new(&data, options);
    let first = desk.sent(0);
    desk.payload(first[0].sequence, 10, b"\xa1\x63err\xa2\x65group\x01\x62rc\x17");
    let (due, again) = desk.due();
    assert_eq!(again, first, "a header that was damaged is sent again");
    desk.answer(&first[0], due, 1000 - 10);
    let (due, last) = desk.due();
    let matched = |off, matched| map(&[("off", Cbor::Uint(off)), ("match", Cbor::Bool(matched))]);
    desk.payload(last[0].sequence, due, &matched(1000, false));
    assert_eq!(desk.upload.status(), Status::Running);
    let (due, first) = desk.due();
    assert_eq!(first[0].off, 0, "all of it");
    desk.payload(first[0].sequence, due, &matched(1000, false));
    assert_eq!(desk.failure(), UploadError::HashMismatch, "that was once too often");
}

#[test]
fn strays_are_left_to_others_in_every_state() {
    let data = data();
    let fresh = Desk::new(&data, options(2));
    let mut first = Desk::new(&data, options(2));
    first.sent(0);
    let (streaming, _) = Desk::streaming(&data, 2);
    let mut over = Desk::new(&data, options(2));
    let sent = over.sent(0);
    over.answer(&sent[0], 1, 1000);

    for mut desk in [fresh, first, streaming, over] {
        let (before, status) = (desk.upload.progress(), desk.upload.status());
        assert!(!desk.payload(200, 20, &map(&[("off", Cbor::Uint(500))])), "unknown number");
        let mut echo = Header::request(Default::default(), Op::Write, group::OS, 0, 0).answer(1);
        assert!(!desk.upload.handle(&[&echo.emit()[..], &[0xa0]].concat(), at(20)));
        (echo.group, echo.id, echo.op) = (group::IMAGE, image::UPLOAD, Op::ReadResponse);
        assert!(!desk.upload.handle(&[&echo.emit()[..], &[0xa0]].concat(), at(20)));
        assert!(!desk.upload.handle(&[], at(20)));
        assert!(!desk.upload.handle(&[0x0b; 9], at(20)));
        assert_eq!((desk.upload.progress(), desk.upload.status()), (before, status));
    }
}

/// A device that is reset again and again, and keeps a little more each time.
#[test]
fn sessions_that_are_lost_do_not_count_while_the_upload_gets_further() {
    let data = vec![7; 20_000];
    let (mut desk, mut sent) = Desk::streaming(&data, 1);
    let mut kept = sent[0].off;
    for _ in 0..30 {
        let off = kept;
        desk.answer(&sent[0].clone(), 20, 0);
        assert_eq!(desk.upload.status(), Status::Running, "lost at {off}");
        let (mut due, mut first) = desk.due();
        while first.is_empty() {
            (due, first) = desk.due();
        }
        assert_eq!(first[0].off, 0);
        kept += 50;
        desk.answer(&first[0], due, kept);
        sent = desk.sent(due);
        while sent.is_empty() {
            sent = desk.due().1;
        }
        assert_eq!(sent[0].off, kept);
    }
}

#[test]
fn a_refusal_that_comes_twice_is_believed_on_any_link() {
    let data = data();
    let refusal = b"\xa1\x63err\xa2\x65group\x01\x62rc\x09";
    let mut desk = Desk::new(&data, UploadOptions { damage: 8, ..options(1) });
    let first = desk.sent(0);
    desk.payload(first[0].sequence, 10, refusal);
    let (due, again) = desk.due();
    assert_eq!((&again, due), (&first, 1010), "soon");
    desk.payload(again[0].sequence, due, refusal);
    let UploadError::Refused(refusal) = desk.failure() else { panic!("{:?}", desk.failure()) };
    assert_eq!(refusal.image_error(), Some(ImageError::NoFreeSlot));
}

/// Answers of every sequence number that is not under way, again and again: another client's, or
/// those of a server that has lost its mind.
#[test]
fn a_flood_of_answers_to_nothing_is_left_to_others() {
    let data = data();
    let (mut desk, sent) = Desk::streaming(&data, 4);
    let before = desk.upload.progress();
    let own: Vec<u8> = sent.iter().map(|sent| sent.sequence).collect();
    for round in 0..400_u64 {
        for sequence in (0..=255).filter(|sequence| !own.contains(sequence)) {
            let off = map(&[("off", Cbor::Uint(round * 7 % 1200))]);
            assert!(!desk.payload(sequence, 20, &off));
        }
    }
    assert_eq!(desk.upload.progress(), before);
    assert_eq!(desk.sent(20), []);
    for sent in &sent {
        for _ in 0..1000 {
            desk.answer(sent, 21, sent.end);
        }
    }
    assert_eq!(desk.upload.progress().acked, sent[3].end, "each counts once");
    assert_eq!(desk.spans(21).len(), 4);
}

#[test]
fn progress_tells_the_rate_and_the_time_left() {
    let data = vec![7; 100_000];
    let options = UploadOptions::new(Limits { frame: 1026, window: 1 });
    let mut desk = Desk::new(&data, options);
    let (mut now, mut sent) = (0, desk.sent(0));
    assert_eq!(desk.upload.progress().left(), None);
    // A thousand bytes every tenth of a second.
    while sent[0].end <= 50_000 {
        now += 100;
        desk.answer(&sent[0].clone(), now, sent[0].end);
        sent = desk.sent(now);
    }
    let progress = desk.upload.progress();
    let rate = progress.rate.expect("a rate");
    assert!((9_900..10_100).contains(&rate), "{rate}");
    let left = progress.left().expect("it goes on").as_secs_f64();
    assert!((4.8..5.2).contains(&left), "{left}");
}

// The end.

/// Answers everything as a server does that takes all; returns the last chunk, unanswered.
fn up_to_the_last(desk: &mut Desk<'_>) -> Sent {
    let mut sent = desk.sent(0);
    let mut now = 0;
    while sent[0].end < 1000 {
        now += 1;
        desk.answer(&sent[0].clone(), now, sent[0].end);
        sent = desk.sent(now);
    }
    sent.remove(0)
}

#[test]
fn the_last_answer_ends_it_well() {
    let data = data();
    for (matched, verified) in [(None, false), (Some(true), true)] {
        let mut desk = Desk::new(&data, options(1).with_sha256(sha256(&data)));
        let last = up_to_the_last(&mut desk);
        let mut fields = vec![("off", Cbor::Uint(1000))];
        fields.extend(matched.map(|matched| ("match", Cbor::Bool(matched))));
        desk.payload(last.sequence, 100, &map(&fields));
        let outcome = Outcome { verified, already_there: false, resumed_at: 0 };
        assert_eq!(desk.upload.status(), Status::Done(outcome));
        assert_eq!(desk.upload.progress().acked, 1000);
    }
}

#[test]
fn a_hash_that_does_not_match_ends_it_badly() {
    let data = data();
    let mut desk = Desk::new(&data, options(1).with_sha256(sha256(&data)));
    let last = up_to_the_last(&mut desk);
    let payload = map(&[("off", Cbor::Uint(1000)), ("match", Cbor::Bool(false))]);
    desk.payload(last.sequence, 100, &payload);
    assert_eq!(desk.failure(), UploadError::HashMismatch);
}

#[test]
fn no_match_counts_for_nothing_where_no_hash_was_announced() {
    let data = data();
    let mut desk = Desk::new(&data, options(1));
    let last = up_to_the_last(&mut desk);
    let payload = map(&[("off", Cbor::Uint(1000)), ("match", Cbor::Bool(false))]);
    desk.payload(last.sequence, 100, &payload);
    assert!(matches!(desk.upload.status(), Status::Done(Outcome { verified: false, .. })));
}

#[test]
fn the_last_chunk_gets_more_time() {
    let data = data();
    let mut desk = Desk::new(&data, options(1));
    up_to_the_last(&mut desk);
    assert!(desk.upload.deadline() >= Some(at(5000)));
}

#[test]
fn files_that_cannot_be_sent_are_refused_at_once() {
    let tiny = UploadOptions::new(Limits { frame: 50, window: 1 });
    assert_eq!(Upload::new(&[], options(1)).err(), Some(UploadError::BadLength));
    let error = Upload::new(&data(), tiny).err();
    assert!(matches!(error, Some(UploadError::FrameTooSmall { room: 0..32 })), "{error:?}");
}

#[test]
fn a_second_client_in_the_middle_is_survived() {
    let one = crate::device::file(updraft_image::Version::new(1, 0, 0, 0), 3000);
    let two = crate::device::file(updraft_image::Version::new(2, 0, 0, 0), 3000);
    let mut device = Device::new(Memory::new(1, 8192));
    let mut uploads = [&one, &two].map(|file| {
        let options = UploadOptions::new(Limits { frame: 400, window: 2 });
        Upload::new(file, options.with_sha256(sha256(file))).expect("sound options")
    });
    let mut buffer = [0; 400];
    let mut now = 0;
    // The second client comes in when the first is half-way, and goes on alone to the end.
    for (upload, stop) in [(0, 1500), (1, u32::MAX), (0, u32::MAX)] {
        let upload = &mut uploads[upload];
        while upload.status() == Status::Running && upload.progress().acked < stop {
            now += 1;
            if let Some(len) = upload.poll_transmit(at(now), &mut buffer) {
                for answer in device.answers(&buffer[..len]) {
                    upload.handle(&answer, at(now));
                }
            }
        }
    }
    for upload in &uploads {
        assert!(matches!(upload.status(), Status::Done(Outcome { verified: true, .. })));
    }
    assert_eq!(device.memory().slot(0)[..8], [0xff; 8], "the running slot is left alone");
    assert_eq!(device.memory().slot(1)[..one.len()], one, "the last to finish has its image there");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_answer_makes_it_panic_or_claim_more_than_was_said(
        steps in prop::collection::vec((0..8_u8, any::<u8>(), 0..1100_u32, any::<Vec<u8>>()), 0..60),
        window in 1..20_usize,
    ) {
        let data = data();
        let mut desk = Desk::new(&data, options(window));
        let (mut now, mut sent, mut said) = (0, Vec::new(), 0);
        for (kind, pick, number, bytes) in steps {
            sent.extend(desk.sent(now));
            let flying = sent.get(usize::from(pick) % sent.len().max(1)).cloned();
            let sequence = flying.as_ref().map_or(pick, |sent| sent.sequence);
            match kind {
                0 => now += u64::from(number) * 10,
                1 => drop(desk.payload(sequence, now, &bytes)),
                2 => drop(desk.upload.handle(&bytes, at(now))),
                3 => drop(desk.payload(sequence, now, &refusal(number.into()))),
                4 | 5 => {
                    said = said.max(number);
                    desk.payload(sequence, now, &map(&[("off", Cbor::Uint(number.into()))]));
                }
                _ => if let Some(flying) = flying {
                    said = said.max(flying.end);
                    desk.answer(&flying, now, flying.end);
                }
            }
            let Progress { sent: reached, acked, total, window: current, .. } =
                desk.upload.progress();
            prop_assert!(acked <= reached.max(said) && acked <= total && acked <= said);
            prop_assert!((1..=Upload::WINDOW_MAX).contains(&current));
            let running = desk.upload.status() == Status::Running;
            prop_assert_eq!(running, desk.upload.deadline().is_some());
        }
    }
}
