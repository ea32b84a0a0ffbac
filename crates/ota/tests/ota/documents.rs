//! Properties of the messages.

use proptest::prelude::*;
use updraft_ota::infineon::{Chunk, Document, Message, Request, Spelling};
use updraft_ota::json::{Text, Value};
use updraft_ota::{Reason, Version};

fn text(longest: usize) -> impl Strategy<Value = Option<String>> {
    let short = proptest::collection::vec(any::<char>(), 0..longest / 4)
        .prop_map(|chars| chars.into_iter().collect::<String>());
    proptest::option::of(short)
}

proptest! {
    #[test]
    fn documents_are_read_as_they_were_written(
        texts in (text(63), text(15), text(63), text(31), text(47), text(255), text(255)),
        message in proptest::sample::select(&Message::ALL[..]),
        device in any::<bool>(),
    ) {
        let (a, b, c, d, e, f, g) = &texts;
        let document = Document {
            message: Some(Text::new(message.name())),
            manufacturer: a.as_deref().map(Text::new),
            manufacturer_id: b.as_deref().map(Text::new),
            product: c.as_deref().map(Text::new),
            serial_number: d.as_deref().map(Text::new),
            board: e.as_deref().map(Text::new),
            server: f.as_deref().map(Text::new),
            unique_topic: g.as_deref().map(Text::new),
            ..Document::default()
        };
        let spelling = if device { Spelling::Device } else { Spelling::Job };
        let mut bytes = vec![0; 4096];
        let len = document.encode(spelling, &mut bytes).unwrap();
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes[..len]).is_ok());
        if len <= 1536 {
            let read = Document::decode(&bytes[..len]).unwrap();
            prop_assert_eq!(read.kind(), Some(message));
            for (read, wanted) in [
                (read.manufacturer, a), (read.manufacturer_id, b), (read.product, c),
                (read.serial_number, d), (read.board, e), (read.server, f), (read.unique_topic, g),
            ] {
                prop_assert_eq!(read.map(|text| text.to_string()), wanted.clone());
            }
        }
        for room in [0, 1, len / 2, len - 1] {
            prop_assert!(document.encode(spelling, &mut bytes[..room]).is_err());
        }
    }

    #[test]
    fn chunks_of_any_image_are_read_as_they_were_written(
        image in proptest::collection::vec(any::<u8>(), 1..5000),
        size in 1u16..600,
        version in any::<(u16, u16, u16)>(),
    ) {
        let version = Version::new(version.0, version.1, version.2);
        let mut whole = Vec::new();
        let mut offset = 0;
        while let Some(chunk) = Chunk::of(&image, version, offset, size) {
            let mut bytes = vec![0; 32 + chunk.data.len()];
            prop_assert_eq!(chunk.encode(&mut bytes), Some(bytes.len()));
            prop_assert_eq!(Chunk::decode(&bytes), Ok(chunk));
            whole.extend_from_slice(chunk.data);
            offset += u32::from(size);
        }
        prop_assert_eq!(whole, image);
    }

    #[test]
    fn nothing_that_is_read_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Chunk::decode(&[&b"OTAImage"[..], &bytes].concat());
        let _ = Document::decode(&bytes);
    }

    /// What one of them takes the other one takes.
    #[test]
    fn json_is_what_serde_says_that_it_is(text in "[\\[\\]{}\",:0-9eE+.a-c\\\\u -]{0,24}") {
        let serde = serde_json::from_str::<serde_json::Value>(&text);
        let ours = Value::parse(text.as_bytes());
        // Numbers beyond what a float holds are still JSON.
        let huge = serde.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        let surrogate = serde.as_ref().is_err_and(|error| error.to_string().contains("surrogate")
            || error.to_string().contains("hex escape"));
        prop_assert!(ours.is_ok() == serde.is_ok() || huge || surrogate, "{text}: {serde:?}");
    }
}

#[test]
fn a_publisher_answers_with_pieces_that_devices_have_room_for() {
    let image: Vec<u8> = (0..20_000u32).map(|at| at as u8).collect();
    let version = Version::new(2, 0, 0);
    let answer = |offset, size| {
        let request = Request::Chunk { topic: Text::new("t"), offset, size };
        Chunk::answer(&image, version, &request, 1024).map(|chunk| (chunk.data.len(), chunk.index))
    };
    assert_eq!(answer(4096, Some(4096)), Some((4096, 1)));
    assert_eq!(answer(0, Some(100_000)), Some((4096, 0)));
    assert_eq!(answer(19_456, None), Some((544, 19)));
    assert_eq!(answer(5000, Some(4096)), None);
    assert_eq!(answer(20_480, Some(4096)), None);
    let whole = Request::Update { topic: Text::new("t") };
    assert_eq!(Chunk::answer(&image, version, &whole, 1024), None);
}

#[test]
fn a_job_that_no_device_could_read_is_not_written() {
    let (board, long) = ("B".repeat(47), "x".repeat(250));
    let job = Document {
        board: Some(Text::new(&board)),
        version: Some(Text::new("2.0.0")),
        connection: Some(Text::new("MQTT")),
        ..Document::default()
    };
    let mut buffer = [0; 4096];
    let mut write = |job: Document<'_>, topic: &str| {
        let len = job.encode_for(Message::Available, Text::new(topic), &mut buffer)?;
        Document::decode(&buffer[..len]).and_then(|read| read.job().map(|_| len))
    };
    assert!(write(job, "P/B/OTAImage/1").is_ok());
    assert_eq!(write(job, &"x".repeat(256)), Err(Reason::TooLong("UniqueTopicName")));
    let nothing = Document { version: None, ..job };
    assert_eq!(write(nothing, "t"), Err(Reason::Missing("Version")));
    let [server, file] = [Some(Text::new(&long)); 2];
    let manufacturer = Some(Text::new(&long[..63]));
    let longest = Document { server, file, manufacturer, product: manufacturer, ..job };
    assert!(matches!(write(longest, &long), Err(Reason::DocumentTooLong { max: 1024, .. })));
}
