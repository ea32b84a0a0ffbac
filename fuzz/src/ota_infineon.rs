//! Infineon's messages: what is read can be written again and is the same then; and a chunk that is
//! believed lies inside its image.

use updraft_ota::infineon::{Chunk, Document, Spelling};

/// A chunk if it begins like one, a document otherwise.
pub fn run(data: &[u8]) {
    if let Ok(chunk) = Chunk::decode(data) {
        let end = u64::from(chunk.offset) + chunk.data.len() as u64;
        assert!(end <= u64::from(chunk.total) && chunk.index < chunk.count);
        let mut again = vec![0; 32 + chunk.data.len()];
        assert_eq!(chunk.encode(&mut again), Some(again.len()));
        assert_eq!(Chunk::decode(&again), Ok(chunk));
    }
    let Ok(document) = Document::decode(data) else { return };
    let (_, _) = (document.job(), document.request());
    for spelling in [Spelling::Device, Spelling::Job] {
        // A short escape can stand for a control character, which is written with a longer one.
        let mut again = vec![0; 6 * data.len() + 256];
        let len = document.encode(spelling, &mut again).expect("there is room");
        if let Ok(read) = Document::decode(&again[..len]) {
            assert_eq!(read.kind(), document.kind());
            assert_eq!(read.job().is_ok(), document.job().is_ok());
            assert_eq!(read.request().is_ok(), document.request().is_ok());
        }
    }
}

/// A job, requests, a chunk.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut chunk = Chunk::of(&[7; 20], updraft_ota::Version::new(2, 0, 0), 16, 16)
        .map(|chunk| (chunk.header().to_vec(), chunk.data))
        .expect("there is such a chunk");
    chunk.0.extend_from_slice(chunk.1);
    let recorded = crate::repository_file("vectors/ota/infineon-chunk.jsonl");
    let text = String::from_utf8(recorded).expect("it is text");
    let payloads = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("\"payload\": \"")?;
        Some(rest.strip_suffix("\"}")?.replace("\\\"", "\"").into_bytes())
    });
    payloads.chain([chunk.0]).collect()
}
