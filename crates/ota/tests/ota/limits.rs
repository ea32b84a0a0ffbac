//! The limits of Infineon's protocol, and the numbers that its agent has for what is wrong.

use updraft_image::{HashOnly, SwapType};
use updraft_ota::dfu::Slot;
use updraft_ota::infineon::{Chunk, Device, Document};
use updraft_ota::{Agent, Config, Gate, Operation, Reason, Record};

use crate::common::{BOARD, Board, image};
use crate::infineon::{Publisher, V1, V2, device, job, session, settings};

/// The original keeps account of the first 2,048 chunks, and takes what is behind them twice.
#[test]
fn images_of_more_than_2048_chunks_arrive_whole_though_each_chunk_comes_twice() {
    const CHUNK: u16 = 16;
    let new = image(V2, 40_000);
    let count = new.len().div_ceil(CHUNK.into());
    assert!(count > 2048);
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(new.clone(), V2);
    publisher.chunk = CHUNK;
    publisher.weather =
        Box::new(|chunks| chunks.into_iter().flat_map(|chunk| [chunk.clone(), chunk]).collect());
    let dfu = board.dfu();
    let slot = Slot::new(dfu, &mut board.flash, HashOnly, &mut board.settings);
    let config = Config { block: CHUNK.into(), ..Config::new(BOARD) };
    let agent = Agent::new(slot, config, vec![0; Record::size(4096)].leak());
    let mut device = Device::new(agent, settings(), vec![0; 1024].leak(), vec![0; 4096].leak());
    let (_, reasons) = session(&mut device, &mut publisher);
    assert_eq!(reasons, []);
    drop(device);
    assert_eq!(publisher.served.len(), count);
    assert!(board.holds(&new));
    assert_eq!(board.swap_type(), SwapType::Test);
}

#[test]
fn chunks_are_counted_to_the_end_of_sixteen_bits_and_no_further() {
    for (len, last) in [(65_535 * 256, true), (65_535 * 256 + 1, false)] {
        let image = vec![7; len];
        let chunk = Chunk::of(&image, V2, 65_534 * 256, 256);
        assert_eq!(chunk.is_some(), last, "{len}");
        if let Some(chunk) = chunk {
            assert_eq!((chunk.index, chunk.count), (65_534, 65_535));
            let bytes = [&chunk.header()[..], chunk.data].concat();
            assert_eq!(Chunk::decode(&bytes), Ok(chunk));
        }
    }
}

#[test]
fn a_job_of_1024_bytes_is_taken_and_one_of_a_byte_more_is_not() {
    for (len, expected) in
        [(1024, vec![]), (1025, vec![Reason::DocumentTooLong { len: 1025, max: 1024 }])]
    {
        let mut board = Board::new(V1);
        let mut publisher = Publisher::new(image(V2, 9000), V2);
        publisher.job = format!("{:len$}", publisher.job);
        let mut device = device(&mut board, settings());
        let (_, reasons) = session(&mut device, &mut publisher);
        assert_eq!(reasons, expected, "{len}");
        drop(device);
        assert_eq!(board.swap_type() == SwapType::Test, expected.is_empty(), "{len}");
    }
}

#[test]
fn what_is_wrong_has_the_numbers_of_the_original() {
    let document =
        |text: String| Document::decode(text.as_bytes()).and_then(|it| it.job().map(|_| ()));
    let good = job("2.0.0", BOARD);
    assert_eq!(document(good.clone()), Ok(()));
    let of = |from: &str, to: &str| document(good.replacen(from, to, 1)).unwrap_err();
    let chunk = Chunk::of(&[7; 100], V2, 0, 100).unwrap();
    let chunk = [&chunk.header()[..], chunk.data].concat();
    let spoilt = |at: usize, byte: u8| {
        let mut chunk = chunk.clone();
        chunk[at] = byte;
        Chunk::decode(&chunk).unwrap_err()
    };
    let cases = [
        ("an equal version", Reason::NotNewer { offered: V1, running: V1 }, 23),
        ("another version in the middle", Reason::ChunkVersion(V2), 23),
        ("another board", Reason::WrongBoard, 22),
        ("1,025 bytes", Reason::DocumentTooLong { len: 1025, max: 1024 }, 21),
        ("an unknown connection", of("\"MQTT\"", "\"CoAP\""), 21),
        ("a version of two numbers", of("2.0.0", "2.0"), 21),
        ("no board", of("\"Board\"", "\"Bored\""), 21),
        ("a number for a text", of("\"2.0.0\"", "2"), 21),
        ("two boards", of("\"Port\":\"\"", "\"Board\":\"x\""), 21),
        ("no document", document("MQTT".into()).unwrap_err(), 20),
        ("a garbled header", spoilt(3, 0), 19),
        ("data in the header", spoilt(8, 31), 19),
        ("another kind of image", spoilt(10, 1), 18),
        ("less than it says", Chunk::decode(&chunk[..chunk.len() - 1]).unwrap_err(), 18),
        ("an index behind the count", spoilt(30, 1), 18),
        ("nobody answers", Reason::Silent, 18),
        ("a server's error", Reason::Status(404), 18),
        ("the line is gone", Reason::Lost, 14),
        ("no job", Reason::ServerRefused, 17),
        ("too many tries", Reason::Exhausted, 27),
        ("a bad image", Reason::ImageRefused, 24),
        ("a bad signature", Reason::SignatureDiffers, 24),
        ("given up", Reason::Aborted, 26),
        ("the user refuses", Reason::Forbidden(Gate::User), 26),
        ("another update", Reason::Busy, 5),
        ("no room", Reason::TooLarge { size: 2, max: 1 }, 4),
        ("a slot that cannot be opened", Reason::Storage(Operation::Open), 7),
        ("read", Reason::Storage(Operation::Read), 8),
        ("written", Reason::Storage(Operation::Write), 9),
        ("closed", Reason::Storage(Operation::Close), 10),
    ];
    for (name, reason, code) in cases {
        assert_eq!(reason.infineon_code(), code, "{name}: {reason}");
    }
}
