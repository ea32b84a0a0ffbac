//! Rules that hold whether imgtool is there to compare with or not.

use updraft_image::{Header, Version};

use crate::workspace::{Outcome, enter, ours, words};

const BASE: &str = "sign -v 1 -H 32 -S 0x8000 --pad-header";

fn run(line: &str) -> Outcome {
    let outcome = ours(&words(line), &[]);
    assert_eq!(outcome.code, 0, "{line}: {}", outcome.err);
    outcome
}

fn made(line: &str, out: &str) -> Vec<u8> {
    run(&format!("{line} in.bin {out}"));
    std::fs::read(out).unwrap()
}

fn setup() {
    std::fs::write("in.bin", [0x5a; 300]).unwrap();
}

#[test]
fn the_last_of_a_repeated_option_counts() {
    let _turn = enter("repeated");
    setup();
    let repeated = "sign -v 1.0.0 -H 64 -S 0 -e big --pad-header -k keys/rsa-2048.pem \
        --version 2.0.0 -S 0x8000 --header-size=32 --endian little -k keys/ed25519.pem";
    let image = made(repeated, "out.bin");
    let header = Header::parse(&image).unwrap();
    assert_eq!((header.version, header.hdr_size), (Version::new(2, 0, 0, 0), 32));
    run("verify -k keys/rsa-2048.pem -k keys/ed25519.pem out.bin");
    let dump = run("dumpinfo -f yaml -f json out.bin").said();
    assert!(dump.starts_with('{'), "{dump}");
    // Pairs are collected, not replaced.
    let tlvs = made(&format!("{BASE} --custom-tlv 0xa0 one --custom-tlv 0xa1 two"), "out.bin");
    for text in [b"one", b"two"] {
        assert!(tlvs.windows(3).any(|bytes| bytes == text));
    }
}

#[test]
fn what_somebody_else_signs_is_of_the_image_and_not_of_its_slot() {
    let _turn = enter("elsewhere");
    setup();
    let key = "--fix-sig-pubkey keys/ed25519.pub.pem --fix-sig sig.b64";
    std::fs::write("sig.b64", "AAAA").unwrap();
    for padding in ["", "--pad", "--test", "--confirm"] {
        let line = format!("{BASE} {padding} {key}");
        let digest = made(&format!("{line} --vector-to-sign digest"), "digest.bin");
        assert_eq!(digest.len(), 32, "{padding}");
        let payload = made(&format!("{line} --vector-to-sign payload"), "payload.bin");
        assert_eq!(payload.len(), 32 + 300, "{padding}");
        assert_eq!(payload[32..], [0x5a; 300]);
        // In Intel HEX, as well: two records, and the end.
        let hex = made(&format!("{line} -x 0 --vector-to-sign digest"), "digest.hex");
        let hex = String::from_utf8(hex).unwrap();
        assert_eq!(hex.lines().count(), 3, "{padding}: {hex}");
        let hex = made(&format!("{line} -x 0 --vector-to-sign payload"), "payload.hex");
        let hex = String::from_utf8(hex).unwrap();
        assert_eq!(hex.lines().count(), 332usize.div_ceil(16) + 1, "{padding}: {hex}");

        // The signature that the key makes of that is the image's, padded or not.
        run(&format!("{BASE} -k keys/ed25519.pem --sig-out sig.b64 in.bin signed.bin"));
        let signed = std::fs::read("signed.bin").unwrap();
        let fixed = run(&format!("{line} in.bin fixed.bin"));
        assert_eq!(fixed.err, "");
        let fixed = std::fs::read("fixed.bin").unwrap();
        assert!(fixed.starts_with(&signed), "{padding}");
        assert_eq!(fixed.len(), if padding.is_empty() { signed.len() } else { 0x8000 });
        run("verify -k keys/ed25519.pub.pem fixed.bin");
    }
}

/// A custom type is a number of two bytes, in the order of the others; the format's own types are
/// a byte and a zero in either.
#[test]
fn types_of_tlvs_are_in_the_order_of_the_image() {
    let _turn = enter("endian");
    setup();
    let tlvs = "-s 7 --custom-tlv 0x1234 0xaabb";
    let area = |endian| {
        let image = made(&format!("{BASE} --endian {endian} {tlvs}"), "out.bin");
        image[332..332 + 18].to_vec()
    };
    let big = [
        0x69, 0x08, 0, 18, // the protected area and its length
        0x50, 0x00, 0, 4, 0, 0, 0, 7, // the security counter
        0x12, 0x34, 0, 2, 0xaa, 0xbb,
    ];
    let little = [
        0x08, 0x69, 18, 0, // the protected area and its length
        0x50, 0x00, 4, 0, 7, 0, 0, 0, // the security counter
        0x34, 0x12, 2, 0, 0xaa, 0xbb,
    ];
    assert_eq!(area("big"), big);
    assert_eq!(area("little"), little);
}
