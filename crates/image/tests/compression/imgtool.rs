//! Against imgtool itself: what it compresses decompresses to what it makes of the same without
//! compression, byte for byte.
//!
//! `UPDRAFT_IMGTOOL` or `.tools/venv/bin/imgtool` is the program; without it these tests fail,
//! unless `UPDRAFT_CORE=1` leaves out what needs foreign tools. `UPDRAFT_SEED` replays a run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use updraft_image::{
    Decoder, Flags, HashKind, Header, PublicKey, Refusal, Rules, Signed, Software,
    validate_compressed,
};

use crate::golden::key;
use crate::support::{Error, Random, code, into_ram, into_slot};

const CASES: usize = 12;

/// The program, or `None` if foreign tools are left out of this run.
fn imgtool() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = match std::env::var_os("UPDRAFT_IMGTOOL") {
        Some(path) => path.into(),
        None => root.join(".tools/venv/bin/imgtool"),
    };
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("UPDRAFT_CORE").is_some_and(|value| value == "1"),
        "imgtool is missing at {}: run `cargo xtask setup`",
        path.display()
    );
    println!("left out: imgtool is missing, and UPDRAFT_CORE=1 asks for no foreign tools");
    None
}

/// Runs `imgtool sign` over `input` and returns the image.
fn sign(imgtool: &Path, name: &str, input: &[u8], args: &[&str]) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (from, to) = (folder.join(format!("{name}.in")), folder.join(format!("{name}.out")));
    std::fs::write(&from, input).unwrap();
    let output = Command::new(imgtool).arg("sign").args(args).args([&from, &to]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "imgtool sign {}\n{errors}", args.join(" "));
    std::fs::read(to).unwrap()
}

fn vector(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors/mcuboot")
        .join(name)
        .display()
        .to_string()
}

/// Code with something to find in it, several dictionaries long at times.
fn firmware(random: &mut Random) -> Vec<u8> {
    let len = 2000 + random.below(20_000) * (1 + random.below(20));
    let mut body = code(random, len);
    let from = random.below(body.len() / 2);
    body.extend_from_within(from..from + from / 2);
    body
}

fn check(image: &[u8], rules: &Rules) -> Result<(), Refusal<Error>> {
    let header = Header::parse(image).unwrap();
    let der = key("ed25519");
    let keys = [PublicKey::from_der(&der).unwrap()];
    let (mut decoder, mut ring) = (Decoder::new(), vec![0; Decoder::RING]);
    let (mut source, mut verifier) = (image, Software::new(&keys));
    validate_compressed(&mut source, &header, rules, &mut verifier, &mut decoder, &mut ring)
        .map(drop)
}

fn rules() -> Rules {
    Rules { supported: Flags::COMPRESSED | Flags::ENCRYPTED, ..Rules::default() }
}

#[test]
fn what_imgtool_compresses_is_what_it_makes_without_compression() {
    let Some(imgtool) = imgtool() else { return };
    let given = std::env::var("UPDRAFT_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = given.unwrap_or(now);
    let mut random = Random(seed);
    let key = vector("keys/ed25519.pem");
    for case in 0..CASES {
        let kind = ["lzma2", "lzma2armthumb"][case % 2];
        let header_size = [32, 0x80, 0x200, 0x401][random.below(4)];
        let size = header_size.to_string();
        let mut args = vec!["-v", "1.2.3+4", "-S", "0x100000", "-H", &size, "-k", &key];
        let mut input = firmware(&mut random);
        if random.below(2) == 0 {
            args.push("--pad-header");
        } else {
            input.splice(0..0, vec![0; header_size]);
        }
        let mut rules = rules();
        let optional: [&[&str]; 7] = [
            &["-s", "auto"],
            &["-d", "(1, 1.2.3)"],
            &["--boot-record", "app"],
            &["--vid", "example.com", "--cid", "board"],
            &["--custom-tlv", "0x00a5", "text", "--custom-tlv", "0x00a6", "0x0102"],
            &[["-L", "-F"][case / 2 % 2], "0x20000000"],
            &["-R", "0"],
        ];
        for option in optional {
            if random.below(2) == 0 {
                args.extend(option);
            }
        }
        match random.below(3) {
            0 => {
                args.push("--pure");
                (rules.signed, rules.hash) = (Signed::Image, HashKind::Sha512);
            }
            1 => {
                args.extend(["--sha", "512"]);
                rules.hash = HashKind::Sha512;
            }
            _ => {}
        }
        let plain = sign(&imgtool, "plain", &input, &args);
        args.extend(["--compression", kind]);
        let compressed = sign(&imgtool, "compressed", &input, &args);
        let line = format!("UPDRAFT_SEED={seed}, case {case}: {}", args.join(" "));
        assert!(compressed.len() < plain.len(), "{line}");
        assert!(into_slot(&compressed, 1024).unwrap() == plain, "{line}");
        assert!(into_ram(&compressed, 512, Decoder::RING).unwrap() == plain, "{line}");
        check(&compressed, &rules).unwrap_or_else(|refusal| panic!("{line}: {refusal}"));
    }
    println!("{CASES} images compressed by imgtool, UPDRAFT_SEED={seed}");
}

#[test]
fn an_image_made_for_encryption_is_verified_where_it_is_not_encrypted() {
    let Some(imgtool) = imgtool() else { return };
    let (signer, device) = (vector("keys/ed25519.pem"), vector("keys/enc-x25519.pub.pem"));
    let mut args = vec!["-v", "1", "-S", "0x100000", "-H", "32", "--pad-header", "-k", &signer];
    args.extend(["-E", &device, "--clear", "--compression", "lzma2"]);
    let image = sign(&imgtool, "clear", &firmware(&mut Random(3)), &args);
    let header = Header::parse(&image).unwrap();
    assert!(header.flags.intersects(Flags::ENCRYPTED));
    check(&image, &rules()).unwrap();
}

#[test]
fn an_image_never_to_be_booted_is_refused_as_imgtool_compresses_it() {
    // It forgets the flag, which the hash of the uncompressed image covers.
    let Some(imgtool) = imgtool() else { return };
    let key = vector("keys/ed25519.pem");
    let mut args = vec!["-v", "1", "-S", "0x100000", "-H", "32", "--pad-header", "-k", &key];
    args.extend(["--non-bootable", "--compression", "lzma2"]);
    let image = sign(&imgtool, "forgotten", &firmware(&mut Random(4)), &args);
    assert_eq!(Header::parse(&image).unwrap().flags, Flags::COMPRESSED_LZMA2);
    assert!(matches!(check(&image, &rules()), Err(Refusal::Hash { .. })));
}
