//! Files over the whole way: our client's transfers against our server, on links that lose, repeat
//! and cut short; and what the server refuses.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use updraft_smp::client::{
    Answer, FileDownload, FileOptions, FileOutcome, FileStatus, FileTransferError, FileUpload,
    Limits, Part, Requests,
};
use updraft_smp::server::{Failure, FileGroup, Files, Server};
use updraft_smp::{FileError, FileHash, Op, Rc, Version, files, group};

use crate::device::{Cbor, map, versioned};
use crate::zephyr::Disk;

const NAME: &str = "/lfs1/data.bin";

/// Files that fail, or change, when told to.
#[derive(Default)]
struct Faulty {
    disk: Disk,
    /// Fails every call with this.
    failure: Option<Failure>,
    /// Calls until the file is emptied behind the client's back.
    emptied_in: Option<u32>,
    /// Answers "busy" so often.
    busy: u32,
    writes: u32,
    /// Stores something else than what comes.
    rotten: bool,
}

impl Faulty {
    fn file(&self) -> &[u8] {
        self.disk.0.get(NAME).map_or(&[], Vec::as_slice)
    }

    fn put(&mut self, bytes: &[u8]) {
        self.disk.0.insert(NAME.into(), bytes.into());
    }

    fn fault(&mut self) -> Result<(), Failure> {
        if let Some(calls) = self.emptied_in.as_mut() {
            *calls -= 1;
            if *calls == 0 {
                self.emptied_in = None;
                self.put(&[]);
            }
        }
        if self.busy > 0 {
            self.busy -= 1;
            return Err(Rc::BUSY.into());
        }
        self.failure.map_or(Ok(()), Err)
    }
}

impl Files for Faulty {
    fn size(&mut self, name: &str) -> Result<Option<u32>, Failure> {
        self.fault()?;
        self.disk.size(name)
    }

    fn read(&mut self, name: &str, off: u32, bytes: &mut [u8]) -> Result<(), Failure> {
        self.disk.read(name, off, bytes)
    }

    fn write(&mut self, name: &str, off: u32, bytes: &[u8]) -> Result<(), Failure> {
        self.fault()?;
        self.writes += 1;
        let mut stored = bytes.to_vec();
        if let Some(last) = stored.last_mut().filter(|_| self.rotten) {
            *last ^= 1;
        }
        self.disk.write(name, off, &stored)
    }
}

/// A server with files, and a link to it.
#[derive(Default)]
struct Peer {
    groups: (FileGroup<Faulty>,),
    /// What happens to the messages of a link, in turn: 0 nothing, 1 request lost, 2 answer lost,
    /// 3 delivered twice.
    fate: Vec<u8>,
    at: usize,
    requests: u32,
    /// Commands that the server does not have.
    lacks: Vec<u8>,
    /// Whether answers to other requests come first: another sequence number, group or command.
    strays: bool,
    /// How many requests were sent at once, time after time.
    at_once: Vec<usize>,
}

impl Peer {
    fn with(bytes: &[u8]) -> Self {
        let mut peer = Self::default();
        peer.files().put(bytes);
        peer
    }

    fn files(&mut self) -> &mut Faulty {
        &mut self.groups.0.0
    }

    fn answer(&mut self, message: &[u8], buffer: usize) -> Vec<u8> {
        let mut message = message.to_vec();
        if self.lacks.contains(&message[7]) {
            message[7] = 200;
        }
        let (mut answers, mut buffer) = (Vec::new(), vec![0; buffer]);
        Server::default().handle(&message, &mut self.groups, &mut buffer, |answer| {
            answers.push(answer.to_vec())
        });
        answers.remove(0)
    }

    /// What comes back for a message.
    fn exchange(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        self.requests += 1;
        let fate = self.fate.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        if fate == 1 {
            return Vec::new();
        }
        let id = message[7];
        let mut answers = vec![self.answer(message, 300)];
        if fate == 3 {
            answers.push(self.answer(message, 300));
        }
        for answer in &mut answers {
            answer[7] = id;
        }
        if self.strays {
            // Byte 0 holds the operation, 5 the group, 6 the sequence number, 7 the command.
            let stray = |at: usize| {
                let mut answer = answers[0].clone();
                answer[at] ^= 2;
                answer.truncate(8);
                answer[3] = 0;
                answer
            };
            answers.splice(0..0, [stray(0), stray(5), stray(6), stray(7), vec![1; 5]]);
        }
        if fate == 2 { Vec::new() } else { answers }
    }

    fn upload(
        &mut self,
        data: &[u8],
        options: FileOptions,
    ) -> Result<FileOutcome, FileTransferError> {
        let mut upload = FileUpload::new(NAME, data, options)?;
        let (mut now, mut buffer) = (Duration::ZERO, vec![0; options.limits.frame]);
        for _ in 0..10_000 {
            while let Some(len) = upload.poll_transmit(now, &mut buffer) {
                for answer in self.exchange(&buffer[..len]) {
                    upload.handle(&answer);
                }
            }
            match upload.deadline() {
                Some(deadline) => now = deadline.max(now),
                None => break,
            }
        }
        match upload.status() {
            FileStatus::Done(outcome) => Ok(outcome),
            FileStatus::Failed(error) => Err(error),
            FileStatus::Running => panic!("the upload does not end: {upload:?}"),
        }
    }

    fn download(
        &mut self,
        have: &[u8],
        options: FileOptions,
    ) -> Result<(FileOutcome, Vec<u8>), FileTransferError> {
        let mut download = FileDownload::new(NAME, have, options)?;
        let (mut now, mut buffer) = (Duration::ZERO, vec![0; options.limits.frame]);
        let mut file = have.to_vec();
        for _ in 0..10_000 {
            let mut sent = Vec::new();
            while let Some(len) = download.poll_transmit(now, &mut buffer) {
                sent.push(buffer[..len].to_vec());
            }
            assert!(sent.len() <= options.limits.window, "{} at once", sent.len());
            if !sent.is_empty() {
                self.at_once.push(sent.len());
            }
            for answer in sent.iter().flat_map(|message| self.exchange(message)) {
                let piece = download.handle(&answer, now);
                if let Some(piece) = piece.filter(|piece| !piece.data.is_empty()) {
                    file.truncate(piece.off as usize);
                    assert_eq!(file.len(), piece.off as usize, "pieces follow each other");
                    file.extend_from_slice(piece.data);
                }
            }
            match download.deadline() {
                Some(deadline) => now = deadline.max(now),
                None => break,
            }
        }
        match download.status() {
            FileStatus::Done(outcome) => Ok((outcome, file)),
            FileStatus::Failed(error) => Err(error),
            FileStatus::Running => panic!("the download does not end: {download:?}"),
        }
    }
}

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 256) as u8).collect()
}

fn options() -> FileOptions {
    FileOptions::new(Limits { frame: 256, window: 1 })
}

#[test]
fn a_file_goes_over_and_comes_back() {
    for len in [1, 200, 220, 5000, 70_000] {
        let file = data(len);
        let mut peer = Peer::default();
        let outcome = peer.upload(&file, options()).expect("it goes over");
        assert_eq!(outcome.verified, Some(FileHash::Sha256));
        assert_eq!((outcome.len as usize, outcome.resumed_at), (len, 0));
        assert_eq!(peer.files().file(), file);
        let (outcome, back) = peer.download(&[], options()).expect("it comes back");
        assert_eq!(outcome.verified, Some(FileHash::Sha256));
        assert_eq!(back, file);
    }
}

#[test]
fn an_empty_file_is_made_and_read() {
    let mut peer = Peer::with(b"old");
    assert_eq!(peer.upload(&[], options()), Ok(FileOutcome::default()));
    assert_eq!(peer.files().file(), b"");
    assert_eq!(peer.download(&[], options()), Ok((FileOutcome::default(), Vec::new())));
}

#[test]
fn an_upload_goes_on_behind_a_beginning_and_starts_anew_over_anything_else() {
    let file = data(3000);
    let mut peer = Peer::with(&file[..1234]);
    assert_eq!(peer.upload(&file, options()).expect("it goes over").resumed_at, 1234);
    assert_eq!(peer.files().file(), file);

    let mut other = data(1234);
    other[7] ^= 1;
    for there in [other, data(4000)] {
        let mut peer = Peer::with(&there);
        assert_eq!(peer.upload(&file, options()).expect("it goes over").resumed_at, 0);
        assert_eq!(peer.files().file(), file);
    }
}

#[test]
fn a_file_that_is_there_already_is_not_sent_again() {
    let file = data(3000);
    let mut peer = Peer::with(&file);
    let outcome = peer.upload(&file, options()).expect("it is there");
    assert_eq!((outcome.resumed_at, outcome.verified), (3000, Some(FileHash::Sha256)));
    assert_eq!(peer.files().writes, 0);
    let (outcome, back) = peer.download(&file, options()).expect("it is here");
    assert_eq!((outcome.resumed_at, back), (3000, file));
    let again = FileOptions { resume: false, ..options() };
    peer.upload(&data(3000), again).expect("it goes over");
    assert!(peer.files().writes > 10);
}

#[test]
fn a_download_goes_on_behind_what_is_here_if_that_is_the_beginning() {
    let file = data(3000);
    let mut peer = Peer::with(&file);
    let (outcome, back) = peer.download(&file[..500], options()).expect("it comes back");
    assert_eq!((outcome.resumed_at, outcome.len, back), (500, 3000, file.clone()));
    for have in [vec![7; 500], data(3001)] {
        let (outcome, back) = peer.download(&have, options()).expect("it comes back");
        assert_eq!((outcome.resumed_at, &back), (0, &file));
    }
}

#[test]
fn a_server_without_hashes_is_believed_and_the_outcome_says_so() {
    let file = data(2000);
    let mut peer = Peer::with(&file[..100]);
    peer.lacks = vec![files::HASH, files::CLOSE];
    let outcome = peer.upload(&file, options()).expect("it goes over");
    assert_eq!((outcome.resumed_at, outcome.verified), (0, None));
    let (outcome, back) = peer.download(&file[..100], options()).expect("it comes back");
    assert_eq!((outcome.resumed_at, outcome.verified, back), (0, None, file));
}

#[test]
fn pieces_of_a_download_are_asked_for_ahead() {
    let file = data(70_000);
    for window in [1, 2, 7, 16, 100] {
        let options = FileOptions::new(Limits { frame: 256, window });
        let mut peer = Peer::with(&file);
        let (_, back) = peer.download(&[], options).expect("it comes back");
        assert_eq!(back, file);
        assert_eq!(
            peer.at_once.iter().max(),
            Some(&window.min(16)),
            "a buffer for every one is used"
        );
        // The first piece is the shortest, so nothing is asked for twice.
        let longest = 70_000 / 250;
        assert!(peer.requests < longest * 11 / 10 + 20, "{} requests", peer.requests);
        let (outcome, back) = peer.download(&file[..300], options).expect("it comes back");
        assert_eq!((outcome.resumed_at, &back), (300, &file));
    }
}

/// Like those of an upload, whose window grows back as well.
#[test]
fn a_download_recovers_from_its_losses() {
    let file = data(200_000);
    let options = FileOptions::new(Limits { frame: 256, window: 7 });
    // A request is lost, an answer is lost, the next one comes in time: early on, and no more.
    let fate = (0..60).map(|at| if at % 3 == 2 { 1 + at as u8 % 2 } else { 0 }).collect();
    let mut peer = Peer { fate, ..Peer::with(&file) };
    let (_, back) = peer.download(&[], options).expect("it comes back");
    assert_eq!(back, file);
    assert_eq!(peer.at_once.last(), Some(&1), "the hash");
    let full = peer.at_once.iter().rev().skip(3).take(50).all(|sent| *sent == 7);
    assert!(full, "{:?}", peer.at_once);
}

/// Where nothing may be asked for twice, what comes out of order is waited for all the same.
#[test]
fn pieces_that_change_places_need_no_repetition() {
    let file = data(5_000);
    let mut options = FileOptions::new(Limits { frame: 256, window: 4 });
    options.patience.retries = 0;
    for swapped in 0..25 {
        let mut peer = Peer::with(&file);
        let mut download = FileDownload::new(NAME, &[], options).expect("a name that fits");
        let (mut buffer, mut answers) = ([0; 256], VecDeque::new());
        for at in 0.. {
            while let Some(len) = download.poll_transmit(Duration::ZERO, &mut buffer) {
                answers.extend(peer.exchange(&buffer[..len]));
            }
            if at == swapped && answers.len() > 1 {
                answers.swap(0, 1);
            }
            let Some(answer) = answers.pop_front() else { break };
            download.handle(&answer, Duration::ZERO);
        }
        let status = download.status();
        let whole = |outcome: FileOutcome| outcome.verified == Some(FileHash::Sha256);
        assert!(matches!(status, FileStatus::Done(outcome) if whole(outcome)), "{status:?}");
    }
}

#[test]
fn a_busy_server_is_asked_again_with_the_same_message() {
    let mut peer = Peer::default();
    peer.files().busy = 3;
    peer.upload(&data(1000), options()).expect("it goes over");
    peer.files().busy = 100;
    let error = peer.upload(&data(2000), options()).expect_err("it gives up");
    assert!(error.to_string().contains("busy"), "{error}");
}

#[test]
fn answers_to_other_requests_are_left_alone() {
    let file = data(3000);
    let mut peer = Peer { strays: true, ..Peer::with(&file[..1000]) };
    assert_eq!(peer.upload(&file, options()).expect("it goes over").resumed_at, 1000);
    assert_eq!(peer.files().file(), file);
    let (_, back) = peer.download(&file[..500], options()).expect("it comes back");
    assert_eq!(back, file);
}

#[test]
fn a_file_emptied_under_way_is_sent_again_from_the_start() {
    let mut peer = Peer::default();
    peer.files().emptied_in = Some(9);
    let file = data(3000);
    let outcome = peer.upload(&file, options()).expect("it goes over");
    assert_eq!(outcome.resumed_at, 0);
    assert_eq!(peer.files().file(), file);
}

#[test]
fn refusals_end_a_transfer_with_their_code() {
    for (error, text) in [
        (FileError::WriteFailed, "disk may be full (group 8, rc 10)"),
        (FileError::ReadOnlyFilesystem, "read-only (group 8, rc 15)"),
    ] {
        let mut peer = Peer::default();
        peer.files().failure = Some(error.into());
        let error = peer.upload(&data(100), options()).expect_err("it is refused");
        assert!(error.to_string().contains(text), "{error}");
    }
    let error = Peer::default().download(&[], options()).expect_err("there is none");
    assert!(error.to_string().contains("no such file (group 8, rc 3)"), "{error}");
    let error = Peer::default().download(&[1], options()).expect_err("there is none");
    assert!(error.to_string().contains("no such file (group 8, rc 3)"), "{error}");
}

#[test]
fn bytes_that_arrive_as_others_are_found_by_the_hash() {
    let file = data(1000);
    let mut peer = Peer::default();
    peer.files().rotten = true;
    assert_eq!(peer.upload(&file, options()), Err(FileTransferError::HashMismatch));
    let unchecked = FileOptions { verify: false, ..options() };
    assert_eq!(peer.upload(&data(500), unchecked).map(|outcome| outcome.verified), Ok(None));

    // The file changes while it is read.
    let mut peer = Peer::with(&file);
    let mut download = FileDownload::new(NAME, &[], options()).expect("a name that fits");
    let mut buffer = [0; 256];
    while let Some(len) = download.poll_transmit(Duration::ZERO, &mut buffer) {
        for answer in peer.exchange(&buffer[..len]) {
            download.handle(&answer, Duration::ZERO);
        }
        peer.files().put(&data(1000).iter().map(|byte| !byte).collect::<Vec<_>>());
    }
    assert_eq!(download.status(), FileStatus::Failed(FileTransferError::HashMismatch));
}

#[test]
fn silence_is_given_up_after_the_retries() {
    let mut peer = Peer { fate: vec![1; 100], ..Peer::default() };
    let error = peer.upload(&data(100), options()).expect_err("nobody answers");
    assert_eq!(error, FileTransferError::NoAnswer { off: 0, sends: 6 });
    assert_eq!(peer.requests, 6);
}

#[test]
fn messages_too_small_for_the_name_are_refused_before_anything_is_sent() {
    let options = FileOptions::new(Limits { frame: 46, window: 1 });
    let error = FileUpload::new(NAME, &data(100), options).map(drop);
    assert_eq!(error, Err(FileTransferError::FrameTooSmall));
}

#[test]
fn no_message_is_longer_than_the_link_allows() {
    let file = data(70_000);
    for frame in (60..400).chain([1024, 66_000]) {
        let options =
            FileOptions { resume: false, ..FileOptions::new(Limits { frame, window: 1 }) };
        let mut upload = FileUpload::new(NAME, &file, options).expect("it can be sent");
        let mut buffer = vec![0; 70_000];
        let len = upload.poll_transmit(Duration::ZERO, &mut buffer).expect("a message");
        assert!(len <= frame && len + 3 > frame.min(65_543), "{len} of {frame}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn losses_and_copies_end_with_the_same_bytes(
        len in 1..4000_usize,
        there in 0..4000_usize,
        fate in prop::collection::vec(prop_oneof![6 => Just(0_u8), 1 => 1..4_u8], 0..80),
        version in prop_oneof![Just(Version::V1), Just(Version::V2)],
        window in 1..9_usize,
    ) {
        let file = data(len);
        let limits = Limits { frame: 256, window };
        let options = FileOptions { version, ..FileOptions::new(limits) };
        let mut peer = Peer { fate: fate.clone(), ..Peer::with(&data(there)) };
        let outcome = peer.upload(&file, options).expect("it goes over");
        prop_assert_eq!(outcome.verified, Some(FileHash::Sha256));
        prop_assert_eq!(peer.files().file(), &file);
        let mut peer = Peer { fate, ..Peer::with(&file) };
        let (outcome, back) = peer.download(&data(there), options).expect("it comes back");
        prop_assert_eq!(outcome.verified, Some(FileHash::Sha256));
        prop_assert_eq!(back, file);
    }
}

/// The answer's payload to a request of a version.
fn ask(peer: &mut Peer, version: Version, op: Op, id: u8, fields: &[(&str, Cbor<'_>)]) -> Vec<u8> {
    let request = versioned(version, op, group::FILES, id, &map(fields));
    peer.answer(&request, 300)[8..].to_vec()
}

#[test]
fn a_piece_at_another_place_is_told_where_to_go_on() {
    let mut peer = Peer::with(&data(50));
    let piece = [("name", Cbor::Text(NAME)), ("off", Cbor::Uint(49)), ("data", Cbor::Bytes(&[1]))];
    let answer = ask(&mut peer, Version::V2, Op::Write, files::FILE, &piece);
    assert_eq!(answer, b"\xbf\x63err\xbf\x65group\x08\x62rc\x0b\xff\x63len\x18\x32\xff");
    let answer = ask(&mut peer, Version::V1, Op::Write, files::FILE, &piece);
    assert_eq!(answer, b"\xbf\x62rc\x01\xff");
    assert_eq!(peer.files().file(), data(50));
}

#[test]
fn names_that_lead_elsewhere_never_reach_the_files() {
    let mut peer = Peer::default();
    peer.files().failure = Some(FileError::Unknown.into());
    for name in ["relative", "/lfs1/../etc", "/..", "/a/..", "/a\0b"] {
        let answer =
            ask(&mut peer, Version::V2, Op::Read, files::STATUS, &[("name", Cbor::Text(name))]);
        assert_eq!(answer, b"\xbf\x63err\xbf\x65group\x08\x62rc\x02\xff\xff", "{name}");
    }
    for name in ["", &format!("/{}", "x".repeat(64))] {
        let answer =
            ask(&mut peer, Version::V2, Op::Read, files::STATUS, &[("name", Cbor::Text(name))]);
        assert_eq!(answer, b"\xbf\x62rc\x03\xff", "{name}");
    }
    let answer =
        ask(&mut peer, Version::V2, Op::Read, files::STATUS, &[("name", Cbor::Text("/a..b"))]);
    assert_eq!(answer, b"\xbf\x63err\xbf\x65group\x08\x62rc\x01\xff\xff", "these are just dots");
}

#[test]
fn a_hash_is_of_the_part_that_is_asked_for() {
    let mut peer = Peer::with(&data(1000));
    let mut requests = Requests::default();
    for (part, range) in [
        (Part::default(), 0..1000),
        (Part { off: 0, len: Some(1) }, 0..1),
        (Part { off: 127, len: Some(130) }, 127..257),
        (Part { off: 999, len: Some(50) }, 999..1000),
    ] {
        for kind in FileHash::ALL {
            let mut buffer = [0; 100];
            let name = Some(kind.name());
            let request = requests.hash_file(&mut buffer, NAME, name, part).expect("it fits");
            let answer = peer.answer(request, 300);
            let reply = Answer::parse(&answer).expect("an answer").file_hash().expect("a hash");
            let expected = updraft_smp::FileDigest::of(kind, &data(1000)[range.clone()]);
            assert!(reply.output.is(&expected), "{kind:?} of {range:?}");
            assert_eq!((reply.off, reply.len as usize), (part.off, range.len()));
        }
    }
}

#[test]
fn a_download_fills_the_buffer_to_the_byte() {
    let mut peer = Peer::with(&data(70_000));
    for (off, size) in [(0, 100), (0, 300), (1, 300), (256, 1024), (65_536, 2048), (0, 66_000)] {
        let fields = [("name", Cbor::Text(NAME)), ("off", Cbor::Uint(off))];
        let request = versioned(Version::V2, Op::Read, group::FILES, files::FILE, &map(&fields));
        let answer = peer.answer(&request, size);
        assert!(
            answer.len() <= size && answer.len() + 8 > size.min(65_543),
            "{} of {size}",
            answer.len()
        );
        let piece = Answer::parse(&answer).expect("an answer").file_piece().expect("a piece");
        assert_eq!(piece.data, &data(70_000)[off as usize..][..piece.data.len()]);
    }
    let fields = [("name", Cbor::Text(NAME)), ("off", Cbor::Uint(0))];
    let request = versioned(Version::V2, Op::Read, group::FILES, files::FILE, &map(&fields));
    assert_eq!(peer.answer(&request, 30)[8..], *b"\xbf\x62rc\x07\xff");
}
