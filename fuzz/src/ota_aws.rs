//! The messages of AWS IoT: what is read can be written again and is the same then.

use updraft_ota::aws::{
    Accepted, Block, BlockRequest, Describe, Format, NextJob, OtaJob, Refused, Rejected, Update,
    asked,
};

/// The first byte says what is read.
pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let mut again = vec![0; 8 * bytes.len() + 256];
    let format = if kind & 8 == 0 { Format::Cbor } else { Format::Json };
    match kind % 8 {
        0 => {
            let Ok(update) = Update::decode(bytes) else { return };
            let len = update.encode(&mut again).expect("there is room");
            let read = Update::decode(&again[..len]).expect("it is one");
            assert_eq!(
                (read.status, read.expected_version),
                (update.status, update.expected_version)
            );
        }
        1 => {
            let Ok(next) = NextJob::decode(bytes) else { return };
            let document = next.execution.and_then(|execution| execution.document);
            let job = document.and_then(|document| OtaJob::of(document).ok());
            let len = next.encode(job.as_ref(), &mut again).expect("there is room");
            let read = NextJob::decode(&again[..len]).expect("it is one");
            assert_eq!(read.execution.is_some(), next.execution.is_some());
            if let Some(job) = job {
                let document = read.execution.and_then(|execution| execution.document);
                let read = OtaJob::of(document.expect("it has one")).expect("it is one");
                assert_eq!((read.file.size, read.file.id), (job.file.size, job.file.id));
                let _ = job.signature(&mut [0; 64]);
            }
        }
        2 => {
            let Ok(request) = BlockRequest::decode(bytes, Format::Cbor, &mut []) else { return };
            let len = request.encode(Format::Cbor, &mut again).expect("there is room");
            assert_eq!(BlockRequest::decode(&again[..len], Format::Cbor, &mut []), Ok(request));
            let len = request.encode(Format::Json, &mut again).expect("there is room");
            let mut bitmap = vec![0; bytes.len()];
            // A token that has to be escaped is read by nobody.
            if let Ok(read) = BlockRequest::decode_json(&again[..len], &mut bitmap) {
                assert_eq!(read, request);
            }
            let most = request.count.unwrap_or(u32::MAX) as usize;
            assert!(request.blocks(1 << 20).count() <= most);
        }
        3 => {
            let mut buffer = vec![0; bytes.len()];
            let Ok(block) = Block::decode(bytes, format, &mut buffer) else { return };
            let len = block.encode(format, &mut again).expect("there is room");
            let mut buffer = vec![0; bytes.len()];
            assert_eq!(Block::decode(&again[..len], format, &mut buffer), Ok(block));
        }
        4 => {
            let _ = BlockRequest::decode_json(bytes, &mut [0; 16]);
            let _ = Rejected::decode(bytes, format);
        }
        5 => {
            let Ok(refused) = Refused::decode(bytes) else { return };
            let len = refused.encode(&mut again).expect("there is room");
            let read = Refused::decode(&again[..len]).expect("it is one");
            assert_eq!((read.why, read.state), (refused.why, refused.state));
        }
        6 => {
            let Ok(answer) = Accepted::decode(bytes) else { return };
            let len = answer.encode(&mut again).expect("there is room");
            let read = Accepted::decode(&again[..len]).expect("it is one");
            assert_eq!(read.timestamp, answer.timestamp);
        }
        _ => {
            let _ = Describe::decode(bytes, format);
            let _ = core::str::from_utf8(bytes).map(asked);
        }
    }
}

/// What was recorded.
pub fn seeds() -> Vec<Vec<u8>> {
    let with = |kind: u8, bytes: &[u8]| [&[kind][..], bytes].concat();
    let recorded = crate::repository_file("vectors/ota/aws-ota-mqtt.jsonl");
    let text = String::from_utf8(recorded).expect("it is text");
    let mut seeds: Vec<Vec<u8>> = text
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once("\"json\": \"")?;
            let json = rest.strip_suffix("\"}")?.replace("\\\"", "\"").into_bytes();
            Some(with(u8::from(line.contains("execution")), &json))
        })
        .collect();
    let mut bytes = [0; 100];
    let request = BlockRequest { size: 256, bitmap: Some(&[7]), ..BlockRequest::default() };
    let len = request.encode(Format::Cbor, &mut bytes).expect("there is room");
    seeds.push(with(2, &bytes[..len]));
    for (kind, format) in [(3, Format::Cbor), (11, Format::Json)] {
        let block = Block { file: 1, index: 2, data: b"block" };
        let len = block.encode(format, &mut bytes).expect("there is room");
        seeds.push(with(kind, &bytes[..len]));
        let len = Rejected { code: "InternalError" }.encode(format, &mut bytes).expect("room");
        seeds.push(with(kind + 1, &bytes[..len]));
    }
    seeds
}
