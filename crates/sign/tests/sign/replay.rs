//! Every recorded `imgtool sign` command gives the same file from us.

use updraft_image::{
    Digest, Flags, HashKind, Header, Rules, Signed, Software, TlvArea, TlvType, validate,
};
use updraft_sign::hex::{self, Segment};
use updraft_sign::signing::SigningKey;
use updraft_sign::{DecryptionKey, Key, decompress, decrypt, sign, sign_to_segments};

use crate::command::{Command, words};
use crate::encryption::content;
use crate::vectors::{Tally, file, manifest, text};

/// Signatures that are random in imgtool.
pub const RANDOM: [TlvType; 3] = [TlvType::ECDSA_SIG, TlvType::RSA2048, TlvType::RSA3072];

/// What an image with a random signature is made of.
struct Parts {
    /// Everything before the signature, without the lengths that depend on the signature's.
    before: Vec<u8>,
    /// Where the image ends.
    end: usize,
}

fn parts(image: &[u8]) -> Parts {
    let header = Header::parse(image).unwrap();
    let mut source = image;
    let area = TlvArea::open(&mut source, &header).unwrap();
    let mut find = |kind| area.iter_bounded().find(&mut source, kind).unwrap();
    let found = RANDOM.into_iter().find_map(&mut find).unwrap();
    assert_eq!(found.offset + u32::from(found.len), area.end(), "the signature comes last");
    let mut before = image[..found.offset as usize - 2].to_vec();
    let total = area.protected_end() as usize + 2;
    before[total..total + 2].fill(0);
    Parts { before, end: area.end() as usize }
}

fn is_compressed(image: &[u8]) -> bool {
    Header::parse(image).unwrap().flags.intersects(Flags::COMPRESSED)
}

/// Whether two compressed images have the same body and are made of images that differ in
/// nothing but the signature. The rest depends on that.
fn same_but_for_both_signatures(one: &[u8], other: &[u8], erased: u8) -> bool {
    let body = |image: &[u8]| {
        let header = Header::parse(image).unwrap();
        let start = usize::from(header.hdr_size);
        (header.flags, image[start..start + header.img_size as usize].to_vec())
    };
    let [first, second] = [one, other].map(|image| decompress(image).unwrap());
    body(one) == body(other) && same_but_for_the_signature(&first, &second, erased)
}

/// Whether the two differ in nothing but the signature, which is random in imgtool.
pub fn same_but_for_the_signature(one: &[u8], other: &[u8], erased: u8) -> bool {
    if is_compressed(one) && is_compressed(other) {
        return same_but_for_both_signatures(one, other, erased);
    }
    let (first, second) = (parts(one), parts(other));
    let end = first.end.max(second.end);
    let padded = one.len() > first.end;
    first.before == second.before
        && padded == (other.len() > second.end)
        && (!padded || one[end..] == other[end..])
        && [(one, &first), (other, &second)]
            .into_iter()
            .all(|(image, parts)| !padded || image[parts.end..end].iter().all(|b| *b == erased))
}

fn verify(image: &[u8], key: &Key, pure: bool, hash: HashKind) {
    let keys = [key.public().as_embedded().unwrap()];
    let signed = if pure { Signed::Image } else { Signed::Hash };
    let rules = Rules { hash, signed, supported: Flags::COMPRESSED, ..Rules::default() };
    let header = Header::parse(image).unwrap();
    let mut source = image;
    validate(&mut source, &header, &rules, &mut Software::new(&keys)).unwrap();
}

/// Images in Intel HEX on either side: the same bytes at the same addresses.
fn hex_files_are_the_same(command: &Command, key: Option<&Key>) {
    let Command { options, input, output, base, .. } = command;
    let mut address = *base;
    let bytes = if input.ends_with(".hex") {
        let Segment { address: from_file, bytes } = hex::parse(&text(input)).unwrap();
        // The header goes in front of what the file begins with.
        let header = if options.pad_header { options.header_size } else { 0 };
        address = address.or(Some(from_file - header));
        bytes
    } else {
        file(input)
    };
    if !output.ends_with(".hex") {
        let image = sign(&bytes, options, any(key)).unwrap();
        assert!(same_but_for_the_signature(&image, &file(output), options.erased), "{output}");
        return;
    }
    let theirs = text(output);
    let segments = sign_to_segments(&bytes, options, any(key), address.unwrap()).unwrap();
    let (image, trailer) = segments.split_first().unwrap();
    // Their file as segments: what follows the image is the trailer's.
    let whole = hex::parse(&theirs).unwrap();
    assert_eq!(whole.address, image.address);
    let end = parts(&whole.bytes).end;
    let unsigned = |image: &[u8]| parts(image).before;
    assert!(unsigned(&image.bytes) == unsigned(&whole.bytes), "{output}");
    let mut of_theirs =
        vec![Segment { address: whole.address, bytes: whole.bytes[..end].to_vec() }];
    of_theirs.extend_from_slice(trailer);
    assert!(hex::emit(&of_theirs) == theirs, "{output}");
    let ours = hex::parse(&hex::emit(&segments)).unwrap();
    assert!(ours.bytes.starts_with(&image.bytes), "{output}");
}

#[test]
fn every_recorded_command_makes_the_same_image() {
    let mut tally = Tally::default();
    for vector in manifest()["vectors"].as_array().unwrap() {
        if vector["kind"] == "bad" {
            continue;
        }
        let line = vector["command"].as_str().unwrap();
        let words = words(line);
        let [tool, verb, rest @ ..] = words.as_slice() else { panic!("{line}") };
        if tool != "imgtool" || verb != "sign" {
            tally.exclude("put together by hand, with no command");
            continue;
        }
        let command = match Command::parse(rest) {
            Ok(command) => command,
            Err(reason) => {
                tally.exclude(reason);
                continue;
            }
        };
        let key = command.key.as_deref().map(|name| Key::from_pem(&text(name)).unwrap());
        tally.run();
        if line.contains(".hex") {
            hex_files_are_the_same(&command, key.as_ref());
            continue;
        }
        let image = sign(&file(&command.input), &command.options, any(key.as_ref()))
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let theirs = file(&command.output);
        if let Some(device) = &command.encrypt {
            // Content keys are random: compared is what is encrypted.
            let device = DecryptionKey::from_text(&text(&device.replace(".pub", ""))).unwrap();
            let clear = command.options.encryption.as_ref().is_some_and(|it| it.clear);
            let [ours, theirs] = [image, theirs].map(|image| match clear {
                true => image,
                false => decrypt(&image, &device).unwrap(),
            });
            let erased = command.options.erased;
            assert_eq!(content(&ours, erased), content(&theirs, erased), "{line}");
            continue;
        }
        match &key {
            Some(key) if key.scheme().is_some_and(|it| RANDOM.contains(&it.tlv())) => {
                let erased = command.options.erased;
                assert!(same_but_for_the_signature(&image, &theirs, erased), "{line}");
                // With the full key in the image the original looks keys up in hardware.
                if line.contains("--public-key-format full") {
                    continue;
                }
                let hash = key.scheme().and_then(|it| it.usual_hash(false)).unwrap();
                verify(&image, key, false, hash);
                verify(&theirs, key, false, hash);
            }
            _ => {
                let hash = Digest::of(HashKind::Sha256, &image).to_string();
                assert_eq!(Some(hash.as_str()), vector["sha256_file"].as_str(), "{line}");
            }
        }
        let again = sign(&file(&command.input), &command.options, any(key.as_ref())).unwrap();
        assert!(again == image, "signing is deterministic: {line}");
    }
    assert_eq!(tally.report("recorded sign commands"), (96, 108));
}

fn any(key: Option<&Key>) -> Option<&dyn SigningKey> {
    key.map(|key| key as &dyn SigningKey)
}
