//! Archives as such: what others write is read, what is written is read by others, and nothing that
//! contradicts itself is believed.

use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use updraft_ota::Version;
use updraft_ota::archive::{self, IMAGES, Malformed, Member, Piece, Place, Reader, WriteError};

use crate::pair::written;
use crate::transcripts::vectors;

const V: Version = Version::new(1, 2, 3);

/// The images in an archive, read in pieces of so many bytes.
fn read(file: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut reader = Reader::new(file.len() as u32);
    let mut images = vec![Vec::new(); IMAGES];
    for (number, block) in file.chunks(piece).enumerate() {
        let (mut at, mut rest) = ((number * piece) as u32, block);
        while !rest.is_empty() {
            let (found, more) = reader.next(at, rest)?;
            match found {
                Piece::Image { image, offset, data } => {
                    let image: &mut Vec<u8> = &mut images[usize::from(image)];
                    assert_eq!(image.len(), offset as usize);
                    image.extend_from_slice(data);
                }
                Piece::Frame => {}
                Piece::Ahead => panic!("read in order, everything is known"),
            }
            at += (rest.len() - more.len()) as u32;
            rest = more;
        }
    }
    match reader.needs() {
        None => Ok(images),
        Some(_) => Err(Malformed::Cut),
    }
}

/// What a reader gives back of an archive whose images are elsewhere.
fn again(file: &[u8], images: &[Vec<u8>]) -> Vec<u8> {
    let mut reader = Reader::new(file.len() as u32);
    let (mut at, mut rest) = (0, file);
    while let Ok((_, more)) = reader.next(at, rest) {
        at += (rest.len() - more.len()) as u32;
        rest = more;
    }
    assert!(rest.is_empty());
    let mut copy = Vec::new();
    while copy.len() < file.len() {
        match reader.place(copy.len() as u32) {
            Place::Kept(kept) => copy.extend_from_slice(kept),
            Place::Zeros(len) => copy.resize(copy.len() + len as usize, 0),
            Place::Image { image, offset, len } => {
                let image = &images[usize::from(image)];
                copy.extend_from_slice(&image[offset as usize..][..len as usize]);
            }
            Place::Ahead => panic!("everything was read"),
        }
    }
    copy
}

#[test]
fn archives_of_gnu_tar_and_python_are_read() {
    let cm4: Vec<u8> = (0..1500u32).map(|i| (i * 7 + 3) as u8).collect();
    let cm0: Vec<u8> = (0..700u32).map(|i| (i * 5 + 1) as u8).collect();
    let files = ["archive-gnu.tar", "archive-gnu-ustar.tar", "archive-python-ustar.tar"];
    for name in files {
        let file = vectors(name);
        assert!(archive::is_one(&file), "{name}");
        for piece in [512, 1024, 4096, 16_384] {
            let images = read(&file, piece);
            assert_eq!(images.as_deref(), Ok(&[cm4.clone(), cm0.clone()][..]), "{name}");
        }
        assert_eq!(again(&file, &[cm4.clone(), cm0.clone()]), file, "{name}");
    }
    println!("{} / {} foreign archives read", files.len(), files.len());
}

/// GNU tar and Python are the judges.
#[test]
fn archives_are_read_by_gnu_tar_and_python() {
    let image: Vec<u8> = (0..5000u32).map(|i| (i * 11) as u8).collect();
    let members = [
        Member { name: "cm0.bin", image: 1, data: &image[..777] },
        Member { name: "cm4.bin", image: 0, data: &image },
    ];
    let file = written(V, &members);
    let folder = std::env::temp_dir().join(format!("updraft-ota-tar-{}", std::process::id()));
    let path = folder.join("it.tar");
    fs::create_dir_all(&folder).unwrap();
    fs::write(&path, &file).unwrap();
    let python = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])";
    let judges: [(&str, &[&str]); 2] =
        [("tar", &["-xf", "FILE", "-C", "TO"]), ("python3", &["-c", python, "FILE", "TO"])];
    let mut judged = 0;
    for (judge, args) in judges {
        let to = folder.join(judge);
        fs::create_dir_all(&to).unwrap();
        let place = |arg: &&str| -> std::ffi::OsString {
            match *arg {
                "FILE" => path.clone().into(),
                "TO" => to.clone().into(),
                arg => arg.into(),
            }
        };
        let Ok(output) = Command::new(judge).args(args.iter().map(place)).output() else {
            println!("{judge} is not installed: not asked");
            continue;
        };
        assert!(output.status.success(), "{judge}: {output:?}");
        let found = |name: &str| fs::read(Path::new(&to).join(name)).unwrap();
        assert_eq!(found("cm4.bin"), image);
        assert_eq!(found("cm0.bin"), image[..777]);
        let list: serde_json::Value = serde_json::from_slice(&found("components.json")).unwrap();
        assert_eq!(list["numberOfComponents"], "3");
        assert_eq!(list["version"], "1.2.3");
        assert_eq!(list["files"][1]["fileType"], "SPE");
        assert_eq!(list["files"][2]["fileSize"], "5000");
        judged += 1;
    }
    fs::remove_dir_all(&folder).unwrap();
    println!("{judged} / {} judges read it", judges.len());
    assert!(judged > 0, "there is no tar");
}

#[test]
fn what_no_device_could_read_is_not_written() {
    let good = Member { name: "a", image: 0, data: &[1] };
    let long = "x".repeat(100);
    type Wrong = WriteError<std::fmt::Error>;
    let cases: [(&[Member<'_>], Wrong); 9] = [
        (&[], Wrong::Images),
        (&[Member { image: 1, ..good }], Wrong::Images),
        (&[good, Member { name: "b", ..good }], Wrong::Images),
        (&[Member { image: 2, ..good }], Wrong::Images),
        (&[good, Member { image: 1, ..good }], Wrong::Names),
        (&[Member { name: "", ..good }], Wrong::Names),
        (&[Member { name: &long, ..good }], Wrong::Names),
        (&[Member { name: "a/b", ..good }], Wrong::Names),
        (&[Member { data: &[], ..good }], Wrong::Size),
    ];
    for (members, wrong) in cases {
        assert_eq!(archive::size(V, members), Err(wrong));
    }
    assert_eq!(archive::size(V, &[Member { name: "components.json", ..good }]), Err(Wrong::Names));
    let full = archive::write(V, &[good], |_| Err("no room"));
    assert_eq!(full, Err(WriteError::Sink("no room")));
}

#[test]
fn every_byte_of_the_frame_that_is_changed_is_found_out_or_changes_nothing() {
    let image: Vec<u8> = (0..1300u32).map(|i| (i * 3) as u8).collect();
    let members = [
        Member { name: "cm0.bin", image: 1, data: &image[..600] },
        Member { name: "cm4.bin", image: 0, data: &image },
    ];
    let good = written(V, &members);
    let images = vec![image.clone(), image[..600].to_vec()];
    assert_eq!(read(&good, 512), Ok(images.clone()));
    let (mut refused, mut changed) = (0, 0);
    for at in 0..good.len() {
        for bit in [0, 5] {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            match read(&bad, 4096) {
                Err(_) => refused += 1,
                Ok(found) => {
                    // Bits of an image are the image's to check.
                    changed += usize::from(found != images);
                    assert_eq!(again(&bad, &found), bad);
                }
            }
        }
    }
    println!("{refused} refused, {changed} within an image, of {}", 2 * good.len());
    assert_eq!(changed, 2 * 1900);
    for len in (0..good.len()).step_by(512) {
        assert!(read(&good[..len], 512).is_err() || good[len..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn lists_that_contradict_themselves_are_refused_by_name() {
    let list = |from: &str, to: &str| {
        let good = r#"{"numberOfComponents":"3","version":"1.2.3","files":[{"fileName":"components.json","fileType":"component_list"},{"fileName":"a","fileType":"SPE","fileSize":"1"},{"fileName":"b","fileType":"NSPE","fileSize":"1"}]}"#;
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    // An archive with another list of the same length, so that only the list is wrong.
    let with = |text: &str| {
        let data = [1];
        let members = [
            Member { name: "a", image: 1, data: &data },
            Member { name: "b", image: 0, data: &data },
        ];
        let mut file = written(V, &members);
        let len = text.len();
        file[512..1024].fill(0);
        file[512..512 + len].copy_from_slice(text.as_bytes());
        let digits = format!("{len:011o}\0");
        file[124..136].copy_from_slice(digits.as_bytes());
        file[148..156].fill(b' ');
        let sum: u32 = file[..512].iter().map(|byte| u32::from(*byte)).sum();
        file[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        read(&file, 4096).map(|images| images.len())
    };
    assert_eq!(with(&list("3", "3")), Ok(2));
    for (from, to, key) in [
        ("\"3\"", "\"2\"", "numberOfComponents"),
        ("\"3\"", "\"x\"", "numberOfComponents"),
        ("1.2.3", "1.2", "version"),
        ("\"version\"", "\"Version\"", "version"),
        ("\"files\"", "\"file\"", "files"),
        ("component_list", "NSPE", "fileSize"),
        ("components.json", "list.json", "fileName"),
        ("\"SPE\"", "\"FWDB\"", "fileType"),
        ("\"SPE\"", "\"NSPE\"", "fileType"),
        ("\"a\"", "\"b\"", "fileName"),
        ("\"a\"", "\"\"", "fileName"),
        ("\"1\"", "\"0\"", "fileSize"),
        ("\"1\"", "\"-1\"", "fileSize"),
        ("{", "[", "components.json"),
    ] {
        assert_eq!(with(&list(from, to)), Err(Malformed::List(key)), "{from} {to}");
    }
    let alone = r#"{"numberOfComponents":"2","version":"1.2.3","files":[{"fileName":"components.json","fileType":"component_list"},{"fileName":"a","fileType":"SPE","fileSize":"1"}]}"#;
    assert_eq!(with(alone), Err(Malformed::List("files")));
    assert_eq!(with(&list("\"1\"", "\"4294967295\"")), Err(Malformed::Cut));
    assert_eq!(with(&list("\"1\"", "\"2\"")), Err(Malformed::File { at: 1024 }));
}

proptest! {
    #[test]
    fn archives_are_read_as_they_were_written(
        application in proptest::collection::vec(any::<u8>(), 1..6000),
        secure in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..6000)),
        first in any::<bool>(),
        piece in 1usize..12,
        version in any::<[u16; 3]>(),
    ) {
        let [major, minor, build] = version;
        let version = Version::new(major, minor, build);
        let mut members = vec![Member { name: "app~1.bin", image: 0, data: &application }];
        if let Some(secure) = &secure {
            members.push(Member { name: "s", image: 1, data: secure });
        }
        if first {
            members.reverse();
        }
        let file = written(version, &members);
        let images = vec![application.clone(), secure.clone().unwrap_or_default()];
        prop_assert_eq!(read(&file, 512 * piece), Ok(images.clone()));
        prop_assert_eq!(again(&file, &images), file);
    }

    /// In whatever order pieces come, those that are taken are where they belong.
    #[test]
    fn pieces_may_come_in_any_order(order in proptest::collection::vec(0usize..12, 1..60)) {
        let image: Vec<u8> = (0..2000u32).map(|i| (i / 7) as u8).collect();
        let members = [
            Member { name: "s", image: 1, data: &image[..900] },
            Member { name: "a", image: 0, data: &image },
        ];
        let file = written(V, &members);
        let mut reader = Reader::new(file.len() as u32);
        for number in order.into_iter().map(|number| number % file.len().div_ceil(512)) {
            let at = 512 * number;
            let data = &file[at..at + 512];
            let (piece, rest) = reader.next(at as u32, data).expect("it is as it was written");
            if let Piece::Image { offset, data: found, .. } = piece {
                prop_assert_eq!(&image[offset as usize..][..found.len()], found);
            }
            prop_assert!(rest.len() < 512 || piece == Piece::Ahead || rest.is_empty());
        }
    }
}
