//! Where our tool is stricter than imgtool, or makes something else: each has its line in
//! `docs/imgtool.md`.

use updraft_image::{Flags, Header};

use crate::peer::Peer;
use crate::space::Row;
use crate::workspace::{Outcome, enter, ours, words};

/// Whether a row is about one of them.
pub fn concern(row: &Row) -> bool {
    let vector = row.has("--vector-to-sign");
    let elsewhere = row.has("--fix-sig");
    let align: u32 = row.value("--align").parse().unwrap_or(1);
    let max_align: u32 = row.value("--max-align").parse().unwrap_or(8.max(align));
    let no_slot = matches!(row.value("--slot-size"), "0" | "-5");
    let pure = row.has("--pure");
    // Compression is for bodies that get smaller by it.
    let incompressible = matches!(row.value("body"), "random" | "one byte");
    row.compresses() && (vector || elsewhere)
        || matches!(row.value("--encrypt"), "ecdsa-p384.pub" | "ed25519.pub")
        || pure && !row.has("signer") && !vector
        || row.is_padded() && (no_slot || vector || align > max_align)
        || elsewhere && pure && row.value("--fix-sig") != "by a private key"
        || row.compresses() && row.has("--non-bootable")
        || row.compresses() && row.has("--encrypt") && incompressible
        || row.compresses() && row.has("--test") && row.writes_hex()
}

/// A command line, the exit codes of imgtool and ours, and the first words of its line in the docs.
const DIFFERENCES: &[(&str, u8, u8, &str)] = &[
    ("sign -v 1 -H 65536 -S 0x80000 --pad-header IN OUT", 1, 2, "A header of more than 65535"),
    ("sign -v 1 -H 32 -S 0 --pad --pad-header IN OUT", 0, 2, "Padding to a slot of 0"),
    ("sign -v 1 -H 32 -S 0x8004 --pad --pad-header IN OUT", 0, 2, "Padding to a slot whose size"),
    (
        "sign -v 1 -H 32 -S 0x8000 --pad --align 32 --max-align 8 --pad-header IN OUT",
        0,
        2,
        "Padding with `--align` above",
    ),
    ("sign -v 1 -H 32 -S 0x8000 -M -3 --pad-header IN OUT", 0, 2, "A negative `--max-sectors`"),
    (
        "sign -v 1 -H 32 -S 0x8000 --pad-header -E keys/ecdsa-p384.pub.pem IN OUT",
        0,
        2,
        "Encryption for a P-384",
    ),
    (
        "sign -v 1 -H 32 -S 0x8000 --pad-header -E keys/rsa-3072.pub.pem IN OUT",
        0,
        2,
        "Encryption for a P-384",
    ),
    ("sign -v 1 -H 32 -S 0x8000 --pad-header --pure IN OUT", 0, 2, "`--pure` without a key"),
    (
        "sign -v 1 -H 32 -S 0x8000 --pad-header --pure --fix-sig f.b64 \
         --fix-sig-pubkey keys/ed25519.pub.pem IN OUT",
        2,
        0,
        "`--pure` with `--fix-sig`",
    ),
    (
        "sign -v 1 -H 32 -S 0x8000 --pad-header --compression lzma2 --vector-to-sign digest IN OUT",
        0,
        2,
        "`--compression` with `--vector-to-sign`",
    ),
    (
        "sign -v 1 -H 32 -S 0x8000 --pad-header --compression lzma2 --fix-sig f.b64 \
         --fix-sig-pubkey keys/ed25519.pub.pem IN OUT",
        0,
        2,
        "`--compression` with `--vector-to-sign`",
    ),
    ("sign -v 1 -H 32 -S 0x8000 --pad-header NO-END.hex OUT", 0, 1, "Intel HEX without an end"),
    ("sign -v 1 -H 32 -S 0x8000 --pad-header --vid '' IN OUT", 0, 1, "An empty `--vid`"),
    ("verify -k keys/ecdsa-p256.pem bad/p256-no-hash.bin", 0, 1, "`verify` of an image without"),
    ("keygen -t ed25519 -p -k new.pem", 1, 1, "An empty passphrase"),
    ("getpub -k keys/ed25519-pass.pem", 0, 1, "An empty passphrase"),
    (
        "sign -v 1 -H 32 -S 0x8000 --pad-header -k keys/ed25519-pass.pem IN OUT",
        0,
        1,
        "An empty passphrase",
    ),
];

const BYTES: [&str; 6] = [
    "`--vector-to-sign` with `--pad`",
    "`--compression` with `--non-bootable`",
    "`--compression` with `--encrypt`",
    "`--compression` with `--test`",
    "Private keys are written",
    "An output that is a private key's file",
];

fn setup() {
    std::fs::write("in.bin", b"firmware".repeat(100)).unwrap();
    std::fs::write("noise.bin", crate::random::Random(1).bytes(900)).unwrap();
    std::fs::write("f.b64", "AAAA".repeat(20)).unwrap();
    std::fs::write("no-end.hex", ":0400000001020304F2\n").unwrap();
}

fn line(text: &str) -> Vec<String> {
    let text = text.replace("IN ", "in.bin ").replace("OUT", "out.bin");
    words(&text.replace("NO-END", "no-end"))
}

#[test]
fn every_difference_is_as_documented() {
    let _turn = enter("differences");
    let Some(mut peer) = Peer::start() else { return };
    setup();
    let docs = include_str!("../../../../docs/imgtool.md");
    let table = docs.split_once("## Differences from imgtool").unwrap().1;
    let table = table.split("\n## ").next().unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    for (text, their_code, our_code, words) in DIFFERENCES {
        let args = line(text);
        let (theirs, our) = (peer.run(&args, &["", ""]), ours(&args, &["", ""]));
        assert_eq!((theirs.code, our.code), (*their_code, *our_code), "{text}\n{}", our.err);
        assert!(our.code == 0 || our.err.contains("Error: "), "{text}: {}", our.err);
        assert!(rows.iter().any(|row| row.starts_with(&format!("| {words}"))), "{words}");
    }
    let shown = DIFFERENCES.iter().map(|it| it.3).chain(BYTES);
    let shown: std::collections::BTreeSet<_> = shown.collect();
    for row in &rows {
        assert!(
            shown.iter().any(|words| row.starts_with(&format!("| {words}"))),
            "untested: {row}"
        );
    }
    println!("differences from imgtool: {} in the docs, all of them shown", rows.len());
}

/// Both tools run one command line and write `out`; returns both files.
fn both(peer: &mut Peer, text: &str, out: &str) -> [Vec<u8>; 2] {
    let args = words(text);
    let check = |outcome: Outcome| {
        assert_eq!(outcome.code, 0, "{text}\n{}", outcome.err);
        std::fs::read(out).unwrap()
    };
    [check(peer.run(&args, &[])), check(ours(&args, &[]))]
}

#[test]
fn what_comes_out_different_is_what_a_bootloader_needs() {
    let _turn = enter("other-bytes");
    let Some(mut peer) = Peer::start() else { return };
    setup();
    let base = "sign -v 1 -H 32 -S 0x8000 --pad-header";

    let vector = format!("{base} --pad --vector-to-sign digest in.bin out.bin");
    let [theirs, our] = both(&mut peer, &vector, "out.bin");
    assert_eq!((theirs.len(), our.len()), (0x8000, 32), "a digest is no slot");

    let flagged = format!("{base} --compression lzma2 --non-bootable in.bin out.bin");
    let [theirs, our] = both(&mut peer, &flagged, "out.bin");
    let bootable =
        |image: &[u8]| !Header::parse(image).unwrap().flags.contains(Flags::NON_BOOTABLE);
    assert!(bootable(&theirs) && !bootable(&our));

    let sealed = format!("{base} --compression lzma2 -E keys/enc-x25519.pub.pem noise.bin out.bin");
    let [theirs, our] = both(&mut peer, &sealed, "out.bin");
    let noise = std::fs::read("noise.bin").unwrap();
    let plain = |image: &[u8]| image[32..].starts_with(&noise);
    assert!(plain(&theirs) && !plain(&our), "what is to be encrypted is not left in plaintext");

    let tested = format!("{base} --compression lzma2 --test -x 0 in.bin out.hex");
    let [theirs, our] = both(&mut peer, &tested, "out.hex");
    let has_flag =
        |text: Vec<u8>| String::from_utf8(text).unwrap().contains(":107FE800FFFFFFFFFFFFFFFF");
    assert!(!has_flag(theirs) && has_flag(our));

    let key = std::fs::read("keys/ed25519.pem").unwrap();
    let onto_key = words("getpub -k keys/ecdsa-p256.pem -o precious.pem");
    let kept = |outcome: Outcome| {
        let after = std::fs::read("precious.pem").unwrap();
        std::fs::write("precious.pem", &key).unwrap();
        (outcome.code, after == key)
    };
    std::fs::write("precious.pem", &key).unwrap();
    assert_eq!(kept(peer.run(&onto_key, &[])), (0, false));
    assert_eq!(kept(ours(&onto_key, &[])), (1, true));

    let [theirs, our] = both(&mut peer, "keygen -t ed25519 -k new.pem", "new.pem");
    assert_eq!(theirs.len(), our.len());
    #[cfg(unix)]
    {
        std::fs::remove_file("new.pem").unwrap();
        assert_eq!(ours(&words("keygen -t ed25519 -k new.pem"), &[]).code, 0);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata("new.pem").unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
    }
}
