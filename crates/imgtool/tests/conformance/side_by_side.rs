//! Both tools with the same command lines: every pair of values of any two options, every option
//! with wrong values, and random ones.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use updraft_sign::DecryptionKey;

use crate::compare::{Expect, same, to_little};
use crate::pairs::cover;
use crate::peer::Peer;
use crate::random::{Random, fresh_seed};
use crate::space::{AXES, Row};
use crate::workspace::{Outcome, enter, ours};

const FIXED_SEED: u64 = 2_500;
/// Rows of the fixed seed, with those that cover all pairs.
const FIXED: usize = 300;
const FRESH: usize = 50;

/// What came of the rows.
#[derive(Default)]
struct Tally {
    rows: usize,
    made: usize,
    refused: usize,
    verified: usize,
    reasons: BTreeMap<String, usize>,
    options: BTreeSet<String>,
}

#[test]
fn both_tools_make_the_same_images_of_every_pair_of_options() {
    let _turn = enter("pairs");
    let Some(mut peer) = Peer::start() else { return };
    let mut random = Random(FIXED_SEED);
    let covering = cover(&mut random);
    let (count, pairs) = (covering.rows.len(), covering.pairs);
    println!(
        "{count} rows hold all {pairs} pairs of values, {} of which exclude each other",
        covering.excluded
    );
    let mut tally = Tally::default();
    let mut rows = covering.rows;
    while rows.len() < FIXED {
        rows.extend(Some(Row::random(&mut random, 2)).filter(Row::goes_together));
    }
    for row in &rows {
        compare(row, &mut random, &mut peer, &mut tally);
    }
    let seed = fresh_seed();
    println!("{FRESH} rows of UPDRAFT_SEED={seed}");
    let mut random = Random(seed);
    let mut fresh = 0;
    while fresh < FRESH {
        let row = Row::random(&mut random, 2);
        if row.goes_together() {
            compare(&row, &mut random, &mut peer, &mut tally);
            fresh += 1;
        }
    }
    println!("{} rows of both tools: {} made the same file", tally.rows, tally.made);
    println!("  {} refused by both, with the same exit code", tally.refused);
    tally.reasons.iter().for_each(|(why, count)| println!("    {count}: {why}"));
    println!("  {} verdicts on each other's images, the same from both", tally.verified);
    let missing: Vec<_> = AXES
        .iter()
        .map(|axis| axis.name)
        .filter(|name| name.starts_with("--") && !tally.options.contains(*name))
        .collect();
    println!("options of sign never exercised: {} {missing:?}", missing.len());
    assert!(missing.is_empty());

    assert!(tally.made > tally.rows * 3 / 4, "most rows have to lead to images");
}

/// The input that a row asks for.
fn input(row: &Row, random: &mut Random) -> (String, Vec<u8>) {
    let mut body = match row.value("body") {
        "repeated" => random.bytes(60).repeat(100),
        "random" => random.bytes(3001),
        "one byte" => vec![7],
        _ => random.bytes(70).repeat(1000),
    };
    if !row.has("--pad-header") {
        let size = updraft_size(row.value("--header-size"));
        body.splice(0..0, vec![0; size]).for_each(drop);
    }
    let file =
        |address, bytes: &[u8]| updraft_sign::hex::Segment { address, bytes: bytes.to_vec() };
    let segments = match row.value("input") {
        "bin" => return ("in.bin".into(), body),
        "hex" => vec![file(0x2_0000 - 100, &body)],
        "hex at 0" => vec![file(0, &body)],
        _ => {
            let (one, other) = body.split_at(body.len() / 2);
            vec![file(0x1000, one), file(0x1000 + one.len() as u32 + 33, other)]
        }
    };
    ("in.HEX".into(), updraft_sign::hex::emit(&segments).into_bytes())
}

fn updraft_size(text: &str) -> usize {
    let digits = text.replace('_', "").to_lowercase();
    match digits.get(..2) {
        Some("0x") => usize::from_str_radix(&digits[2..], 16).unwrap(),
        Some("0o") => usize::from_str_radix(&digits[2..], 8).unwrap(),
        _ => digits.parse().unwrap(),
    }
}

/// A signature for `--fix-sig`: what the key makes of the same image.
fn fixed_signature(row: &Row, random: &mut Random, input: &str, peer: &mut Peer) {
    let mut signed = row.clone();
    for (name, value) in
        [("--fix-sig", "-"), ("--vector-to-sign", "-"), ("--sig-out", "-"), ("output", "bin")]
    {
        let at = AXES.iter().position(|axis| axis.name == name).unwrap();
        signed.0[at] = AXES[at].values.iter().position(|it| *it == value).unwrap();
    }
    let mut args = vec!["sign".to_owned(), "--sig-out".into(), "fixed.b64".into()];
    args.extend(signed.words(random, input, "signed.bin"));
    let wrong = row.value("--fix-sig") == "wrong";
    if wrong || !signed.goes_together() || peer.run(&args, &[]).code != 0 {
        std::fs::write("fixed.b64", STANDARD.encode(random.bytes(70))).unwrap();
    }
}

fn compare(row: &Row, random: &mut Random, peer: &mut Peer, tally: &mut Tally) {
    let (name, bytes) = input(row, random);
    std::fs::write(&name, bytes).unwrap();
    if row.has("--fix-sig") {
        fixed_signature(row, random, &name, peer);
    }
    let output = format!("out.{}", row.value("output"));
    let mut args = vec![if random.one_in(8) { "create" } else { "sign" }.to_owned()];
    args.extend(row.words(random, &name, &output));
    tally.rows += 1;
    tally.options.extend(AXES.iter().filter(|it| row.has(it.name)).map(|it| it.name.to_owned()));

    let run = |tool: &mut dyn FnMut() -> Outcome| {
        for file in [&output, "sig.b64"] {
            let _ = std::fs::remove_file(file);
        }
        let outcome = tool();
        (outcome, std::fs::read(&output).unwrap_or_default(), std::fs::read("sig.b64").ok())
    };
    let (theirs, their_file, their_signature) = run(&mut || peer.run(&args, &[]));
    let (our, our_file, our_signature) = run(&mut || ours(&args, &[]));
    let line = args.join(" ");
    let random_signature = !matches!(row.value("signer"), "-" | "ed25519");
    let expect = Expect {
        big_endian: row.value("--endian") == "big",
        random: random_signature && !row.has("--fix-sig"),
        device: device(row),
        erased: if row.value("--erased-val") == "0" { 0 } else { 0xff },
        is_hex: row.writes_hex(),
    };
    let verdict = match (theirs.code, our.code) {
        (0, 0) if row.has("--vector-to-sign") => match their_file == our_file {
            true => Ok(()),
            false => Err("what is to be signed differs".to_owned()),
        },
        (0, 0) if our_file == their_file => Ok(()),
        (0, 0) => same(&our_file, &their_file, &expect),
        (one, other) if one == other => Ok(()),
        (one, other) => Err(format!("imgtool {one}, ours {other}")),
    };
    match verdict {
        Ok(()) if theirs.code == 0 => {
            tally.made += 1;
            assert_eq!(our.said(), theirs.said(), "imgtool {line}");
            assert_eq!(our_signature.is_some(), their_signature.is_some(), "imgtool {line}");
            if !expect.random {
                assert_eq!(our_signature, their_signature, "imgtool {line}");
            }
        }
        Ok(()) => {
            tally.refused += 1;
            *tally.reasons.entry(kind_of(our.error())).or_default() += 1;
            return;
        }
        Err(what) => {
            panic!(
                "{what}\nimgtool {line}\n{:?}\nimgtool: {}{}\nours: {}{}",
                row,
                theirs.said(),
                theirs.err,
                our.said(),
                our.err
            );
        }
    }
    if our.code == 0 && !row.has("--vector-to-sign") && !expect.big_endian {
        both_verify(row, &[&our_file, &their_file], peer, tally, &line);
    } else if our.code == 0 && !row.has("--vector-to-sign") && !row.writes_hex() {
        // imgtool reads no big-endian image; turned round it is one that it made.
        let mut image = our_file.clone();
        to_little(&mut image).unwrap();
    }
}

/// An error without its numbers.
fn kind_of(error: &str) -> String {
    error.split(['(', '0']).next().unwrap_or_default().trim_start_matches("Error: ").to_owned()
}

/// The key of the device that an image is for, unless its body is left as it is.
fn device(row: &Row) -> Option<DecryptionKey> {
    let key = row.value("--encrypt");
    if key == "-" || row.has("--clear") || !key.starts_with("enc-") {
        return None;
    }
    let name = format!("keys/{}.pem", key.trim_end_matches(".pub"));
    DecryptionKey::from_text(&std::fs::read_to_string(name).unwrap()).ok()
}

/// Both tools say the same of the image that each has made; and of signed ones that they are valid.
fn both_verify(row: &Row, files: &[&Vec<u8>; 2], peer: &mut Peer, tally: &mut Tally, line: &str) {
    for file in files.iter().filter(|file| !file.is_empty()) {
        let name = if row.writes_hex() { "check.hex" } else { "check.bin" };
        std::fs::write(name, file).unwrap();
        let mut args = vec!["verify".to_owned()];
        if row.has("signer") {
            args.extend(["-k".into(), format!("keys/{}.pem", row.value("signer"))]);
        }
        args.push(name.into());
        let (theirs, our) = (peer.run(&args, &[]), ours(&args, &[]));
        assert_eq!(our.code, theirs.code, "verify of imgtool {line}: {}{}", our.said(), our.err);
        if theirs.code == 0 || !theirs.err.contains("Traceback") {
            assert_eq!(our.said(), theirs.said(), "verify of imgtool {line}");
        }
        let encrypted = row.has("--encrypt") && !row.has("--clear");
        let own_hash = row.has("signer") || !row.has("--sha");
        if !encrypted && own_hash && !row.has("--fix-sig") {
            assert_eq!(our.code, 0, "verify of imgtool {line}: {}", our.said());
        }
        tally.verified += 1;
    }
}
