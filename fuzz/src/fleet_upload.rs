//! Arbitrary bytes as what is sent to a fleet server: an image, the name of a release, a range.
//!
//! Asserts: nothing is admitted that a bootloader's rules refuse, or that a published key has signed;
//! a range lies in its file.

use updraft_fleet::model::{Policy, Ranged, ReleaseName, Submission, SubmittedImage, ranged};
use updraft_image::{HashOnly, Header, validate};
use updraft_sign::rules_of;

const BOARD: &str = "virtual-nor-4k";

/// Takes one input.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(name) = text.parse::<ReleaseName>() {
        assert_eq!(name.as_str(), text);
    }
    let size = data.len() as u64 * 7;
    if let Ranged::Part(part) = ranged(&text, size) {
        assert!(part.start < part.end && part.end <= size);
    }
    for board in [None, Some(BOARD)] {
        let submission = Submission {
            name: "fuzz".parse().expect("a name"),
            board: board.map(Into::into),
            images: vec![SubmittedImage { number: 0, bytes: data.to_vec() }],
            allow_sample_key: true,
        };
        match Policy::new().admit(&submission, 0) {
            Ok(release) => {
                assert_eq!(release.images[0].sample_key, None);
                if board.is_some() {
                    continue;
                }
                let header = Header::parse(data).expect("a header");
                let rules = rules_of(data, &header);
                validate(&mut { data }, &header, &rules, &mut HashOnly).expect("a valid image");
            }
            Err(refused) => assert!(!refused.reason.hint().is_empty()),
        }
    }
}

/// Images that published keys have signed, others, and texts of the API.
pub fn seeds() -> Vec<Vec<u8>> {
    let samples = crate::repository_names("vectors/sample-keys").into_iter();
    let samples = samples.map(|name| format!("vectors/sample-keys/{name}"));
    let golden = ["unsigned", "ed25519-small", "enc-x25519-128", "allprot"];
    let golden = golden.map(|name| format!("vectors/mcuboot/img/{name}.bin"));
    let files = samples.chain(golden).map(|path| crate::repository_file(&path));
    let texts = ["bytes=0-99", "bytes=-1", "bytes=5-", "blinky-1.2.0+4"];
    files.chain(texts.map(|text| text.as_bytes().to_vec())).collect()
}
