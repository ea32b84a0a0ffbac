//! Jobs and chunks that are not as they should be: a named reason each, the slot never marked, the
//! running image untouched, the next attempt possible.

use updraft_image::SwapType;
use updraft_ota::infineon::{Chunk, Document};
use updraft_ota::{Reason, Version};

use crate::common::{BOARD, Board, PRIMARY, image};
use crate::infineon::{Publisher, V1, V2, device, job, session, settings};

/// A session that must fail, and one after it that must not.
fn refused(change: impl FnOnce(&mut Publisher), expected: impl Fn(&[Reason]) -> bool, name: &str) {
    let good = image(V2, 9000);
    let mut board = Board::new(V1);
    let before = board.flash.bytes(PRIMARY);
    let mut publisher = Publisher::new(good.clone(), V2);
    change(&mut publisher);
    let mut device = device(&mut board, settings());
    let (_, reasons) = session(&mut device, &mut publisher);
    assert!(expected(&reasons), "{name}: {reasons:?}");
    drop(device);
    assert_eq!(board.swap_type(), SwapType::None, "{name}");
    assert_eq!(board.flash.bytes(PRIMARY), before, "{name}");
    let mut device = crate::infineon::device(&mut board, settings());
    let (_, reasons) = session(&mut device, &mut Publisher::new(good.clone(), V2));
    assert_eq!(reasons, [], "{name}, afterwards");
    drop(device);
    assert!(board.holds(&good), "{name}");
    assert_eq!(board.swap_type(), SwapType::Test, "{name}");
}

#[test]
fn jobs_that_break_the_rules_are_refused_by_name() {
    let good = job("2.0.0", BOARD);
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let cases = [
        ("".to_owned(), Reason::NotJson(updraft_ota::json::Malformed { offset: 0 })),
        ("[]".to_owned(), Reason::NotJson(updraft_ota::json::Malformed { offset: 0 })),
        (with("\"Board\"", "\"Bored\""), Reason::Missing("Board")),
        (with("\"Version\"", "\"Vision\""), Reason::Missing("Version")),
        (with("\"Connection\"", "\"X\""), Reason::Missing("Connection")),
        (with("\"2.0.0\"", "2"), Reason::WrongType("Version")),
        (with("\"2.0.0\"", "[\"2.0.0\"]"), Reason::WrongType("Version")),
        (with("\"2.0.0\"", "\"2.0\""), Reason::BadValue("Version")),
        (with("\"2.0.0\"", "\"2.0.0.0\""), Reason::BadValue("Version")),
        (with("\"2.0.0\"", "\"2.0.65536\""), Reason::BadValue("Version")),
        (with("\"2.0.0\"", "\"2.0.-1\""), Reason::BadValue("Version")),
        (with("\"2.0.0\"", "\"000000000002.0.0\""), Reason::TooLong("Version")),
        (with("\"2.0.0\"", "\"1.0.0\""), Reason::NotNewer { offered: V1, running: V1 }),
        (
            with("\"2.0.0\"", "\"0.65535.9\""),
            Reason::NotNewer { offered: Version::new(0, 65535, 9), running: V1 },
        ),
        (with("\"MQTT\"", "\"CoAP\""), Reason::BadValue("Connection")),
        (with("\"MQTT\"", "\"HTTP\""), Reason::Missing("File")),
        (with("\"Port\":\"\"", "\"Port\":\"65536\""), Reason::BadValue("Port")),
        (with("\"Port\":\"\"", "\"Port\":\"x\""), Reason::BadValue("Port")),
        (with("\"Port\":\"\"", "\"Port\":8883"), Reason::WrongType("Port")),
        (
            with("\"Broker\":\"\",\"Port\":\"\"", "\"Broker\":\"b\",\"Server\":\"a\""),
            Reason::Repeated("Broker"),
        ),
        (with("\"Port\":\"\"", "\"VERSION\":\"3.0.0\""), Reason::Repeated("Version")),
        (with("\"Port\":\"\"", "\"BoardName\":\"x\""), Reason::Repeated("Board")),
        (with(BOARD, "CY8CPROTO_062_4343W"), Reason::WrongBoard),
        (with(BOARD, &BOARD.to_lowercase()), Reason::WrongBoard),
        (with(BOARD, &"B".repeat(48)), Reason::TooLong("Board")),
        (with("Infineon", &"I".repeat(64)), Reason::TooLong("Manufacturer")),
        (with("Infineon", &"I".repeat(1000)), Reason::DocumentTooLong { len: 1165, max: 1024 }),
    ];
    let count = cases.len();
    for (job, reason) in cases {
        let name = job.clone();
        refused(
            |publisher| publisher.job = job,
            |reasons| match (reasons, reason) {
                ([Reason::DocumentTooLong { .. }], Reason::DocumentTooLong { .. }) => true,
                (reasons, reason) => reasons == [reason],
            },
            &name,
        );
    }
    println!("{count} / {count} jobs refused");
}

#[test]
fn both_names_of_a_key_may_be_there_if_they_do_not_contradict_each_other() {
    let text = job("2.0.0", BOARD);
    for (more, server) in [
        (r#""Server":"","Broker":"a""#, Some("a")),
        (r#""Server":"a","Broker":"""#, Some("a")),
        (r#""Server":"a","Broker":"a""#, Some("a")),
        (r#""Server":"","Broker":"""#, None),
    ] {
        let text = text.replace(r#""Broker":"""#, more);
        let found = Document::decode(text.as_bytes()).unwrap().job().unwrap().server;
        assert_eq!(found.map(|found| found.to_string()).as_deref(), server, "{more}");
    }
}

#[test]
fn values_may_be_as_long_as_the_original_has_room_for() {
    let board = "B".repeat(47);
    let escaped = "\\u0042".repeat(47);
    let text = job("2.0.0", &board);
    assert!(Document::decode(text.as_bytes()).unwrap().job().unwrap().board.is(&board));
    let text = job("2.0.0", &escaped);
    assert!(Document::decode(text.as_bytes()).unwrap().job().unwrap().board.is(&board));
}

/// Changes the header of the second chunk.
fn lie(at: usize, value: u16) -> impl FnMut(Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    move |mut chunks| {
        for chunk in &mut chunks {
            let index = u16::from_le_bytes([chunk[30], chunk[31]]);
            if index == 1 {
                chunk[at..at + 2].copy_from_slice(&value.to_le_bytes());
            }
        }
        chunks
    }
}

#[test]
fn chunks_that_lie_are_refused_by_name() {
    let total = image(V2, 9000).len() as u16;
    type Expected = fn(&Reason) -> bool;
    let cases: [(&str, usize, u16, Expected); 17] = [
        ("magic", 0, 0, |it| *it == Reason::NotAChunk),
        ("begins in the header", 8, 31, |it| *it == Reason::NotAChunk),
        ("begins behind the end", 8, 60_000, |it| *it == Reason::ChunkShort),
        ("begins a byte later", 8, 33, |it| *it == Reason::ChunkShort),
        ("another kind", 10, 1, |it| *it == Reason::ChunkType),
        ("older", 12, 1, |it| matches!(it, Reason::NotNewer { .. })),
        ("smaller image", 18, total - 1, |it| matches!(it, Reason::ChunkTotal { .. })),
        ("image of nothing", 18, 0, |it| matches!(it, Reason::ChunkOffset { .. })),
        ("huge image", 20, 0xffff, |it| *it == Reason::ChunkCount),
        ("another place", 22, 8192, |it| {
            matches!(it, Reason::ChunkOffset { .. } | Reason::ChunkIndex)
        }),
        ("place behind the end", 24, 0xffff, |it| matches!(it, Reason::ChunkOffset { .. })),
        ("no data", 26, 0, |it| matches!(it, Reason::ChunkSize { .. } | Reason::ChunkLong)),
        ("less data", 26, 4095, |it| *it == Reason::ChunkLong),
        ("more data", 26, 4097, |it| *it == Reason::ChunkShort),
        ("another count", 28, 4, |it| *it == Reason::ChunkCount),
        ("index of another", 30, 0, |it| *it == Reason::ChunkIndex),
        ("index behind the count", 30, 3, |it| *it == Reason::ChunkIndex),
    ];
    let count = cases.len();
    for (name, at, value, expected) in cases {
        refused(
            |publisher| publisher.weather = Box::new(lie(at, value)),
            |reasons| !reasons.is_empty() && expected(&reasons[0]),
            name,
        );
    }
    println!("{count} / {count} lies found out");
}

/// Publishers take the number from the job that was asked for last, by whichever device.
#[test]
fn a_number_that_changes_during_a_download_is_refused_and_the_image_fetched_all_the_same() {
    let good = image(V2, 9000);
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(good.clone(), V2);
    publisher.weather = Box::new(lie(12, 3));
    let mut device = device(&mut board, settings());
    let (_, reasons) = session(&mut device, &mut publisher);
    assert_eq!(reasons[0], Reason::ChunkVersion(Version::new(3, 0, 0)));
    drop(device);
    assert!(board.holds(&good));
    assert_eq!(board.swap_type(), SwapType::Test);
}

#[test]
fn a_chunk_that_is_cut_or_lengthened_anywhere_is_refused() {
    let new = image(V2, 9000);
    let chunk = Chunk::of(&new, V2, 4096, 4096).unwrap();
    let mut bytes = vec![0; 32 + 4096];
    chunk.encode(&mut bytes).unwrap();
    assert_eq!(Chunk::decode(&bytes), Ok(chunk));
    for len in 0..bytes.len() {
        assert!(Chunk::decode(&bytes[..len]).is_err(), "{len}");
    }
    bytes.push(0);
    assert_eq!(Chunk::decode(&bytes), Err(Reason::ChunkLong));
}

/// An attacker who can send one bad chunk now and then does not stop an update.
#[test]
fn bad_chunks_among_good_ones_are_passed_over() {
    let good = image(V2, 30_000);
    let mut board = Board::new(V1);
    let mut publisher = Publisher::new(good.clone(), V2);
    publisher.weather = Box::new(|chunks| {
        let spoilt = |chunk: &Vec<u8>| [b"OTAImage".to_vec(), chunk[..40].to_vec()].concat();
        chunks.into_iter().flat_map(|chunk| [spoilt(&chunk), chunk]).collect()
    });
    let mut device = device(&mut board, settings());
    let (_, reasons) = session(&mut device, &mut publisher);
    assert!(!reasons.is_empty());
    drop(device);
    assert!(board.holds(&good));
    assert_eq!(board.swap_type(), SwapType::Test);
}

#[test]
fn an_old_signed_image_under_a_new_number_is_not_marked() {
    refused(
        |publisher| publisher.image = image(Version::new(0, 9, 0), 9000),
        |reasons| reasons == [Reason::NotNewer { offered: Version::new(0, 9, 0), running: V1 }],
        "old image",
    );
}
