//! Every other command, with every value of every option; and every option with wrong values.

use std::collections::BTreeSet;

use crate::peer::Peer;
use crate::workspace::{Outcome, enter, ours, vectors, words};

/// Command lines that both tools ran, and what was given on them.
struct Both {
    peer: Peer,
    lines: usize,
    given: BTreeSet<String>,
}

impl Both {
    fn run(&mut self, line: &str, passphrases: &[&str]) -> (Outcome, Outcome) {
        let args = words(line);
        self.lines += 1;
        let command = args.first().cloned().unwrap_or_default();
        let options = args.iter().filter(|word| word.starts_with('-'));
        self.given.extend(options.map(|word| {
            let word = word.split('=').next().unwrap();
            format!("{command} {word}")
        }));
        (self.peer.run(&args, passphrases), ours(&args, passphrases))
    }

    /// Both say the same, on standard output and with their exit codes.
    fn agree(&mut self, line: &str, passphrases: &[&str]) -> Outcome {
        let (theirs, our) = self.run(line, passphrases);
        assert_eq!(our.code, theirs.code, "imgtool {line}\n{}\n{}", our.err, theirs.err);
        assert!(our.out == theirs.out, "imgtool {line}\n{}\n{}", our.said(), theirs.said());
        our
    }
}

const KINDS: [&str; 6] = ["rsa-2048", "rsa-3072", "ecdsa-p256", "ecdsa-p384", "ed25519", "x25519"];

#[test]
fn every_other_command_does_the_same_with_every_option() {
    let _turn = enter("commands");
    let Some(peer) = Peer::start() else { return };
    let mut both = Both { peer, lines: 0, given: BTreeSet::new() };
    for kind in KINDS {
        for ending in ["", ".pub"] {
            let key = format!("keys/{kind}{ending}.pem");
            for rest in [
                "getpub -k KEY",
                "getpub --key KEY --encoding=lang-c --name-suffix _A1",
                "getpub -elang-rust -kKEY --name-suffix=_x",
                "getpub -k KEY -l c",
                "getpub -k KEY --lang rust",
                "getpub -k KEY -e pem",
                "getpub -k KEY -e raw",
                "getpub -k KEY -e raw -o out",
                "getpub -k KEY --output out",
                "getpub -k KEY --encoding pem --name-suffix x",
                "getpub -k KEY -l c -e pem",
                "getpubhash -k KEY",
                "getpubhash --key KEY -e raw",
                "getpubhash -k KEY --encoding lang-c --name-suffix _2",
                "getpubhash -k KEY -e raw --name-suffix _2",
                "getpubhash -k KEY -o out",
                "getpubhash -k KEY -e raw --output out",
                "getpriv -k KEY",
                "getpriv --key KEY --minimal",
                "getpriv -k KEY -f openssl",
                "getpriv -k KEY --format pkcs8 --minimal",
                "getpriv -k KEY --format=openssl --minimal",
                "keyinfo -k KEY",
                "keyinfo --key KEY --require private",
                "keyinfo -k KEY --require=public",
            ] {
                let line = rest.replace("KEY", &key);
                let (theirs, our) = both.run(&line, &[]);
                let told = format!("imgtool {line}\n{}{}", our.said(), our.err);
                assert_eq!(our.code, theirs.code, "{told}");
                assert!(our.out == theirs.out, "{told}");
                if line.contains(" out") && our.code == 0 {
                    let our_file = std::fs::read("out").unwrap();
                    both.run(&line, &[]);
                    std::fs::remove_file("out").unwrap();
                    both.peer.run(&words(&line), &[]);
                    assert!(std::fs::read("out").unwrap() == our_file, "{told}");
                }
            }
        }
        made_keys_are_read_by_both(&mut both, kind);
    }
    both.agree("getpub -k keys/ed25519-pass.pem", &["wrong"]);
    both.agree("keyinfo -k keys/ed25519-pass.pem", &[]);
    // Nobody answers what type it is to be.
    let (theirs, our) = both.run("keygen -k out", &[]);
    assert_eq!((our.code, our.err.trim()), (theirs.code, theirs.err.trim()));
    dumps(&mut both);
    wrong_values(&mut both);
    help(&mut both);
    println!("command lines of every other command: {0} run / {0} total", both.lines);
    let missing: Vec<_> = OPTIONS
        .iter()
        .flat_map(|(command, options)| {
            options.split(' ').map(move |option| format!("{command} {option}"))
        })
        .filter(|option| !both.given.contains(option))
        .collect();
    println!("options of other commands never exercised: {} {missing:?}", missing.len());
    assert!(missing.is_empty());
}

/// What each command has, in its long spelling.
const OPTIONS: &[(&str, &str)] = &[
    ("keygen", "--key --type --password -k -t -p"),
    ("getpub", "--output --key --name-suffix --encoding --lang -o -k -e -l --help -h"),
    ("getpubhash", "--output --key --name-suffix --encoding -o -k -e --help"),
    ("getpriv", "--format --key --minimal -f -k --help"),
    ("keyinfo", "--key --require -k --help"),
    ("verify", "--key -k --help"),
    ("dumpinfo", "--silent --format --outfile -s -f -o --help"),
    ("version", "--help"),
];

/// Each tool reads what the other one has written, with a passphrase and without.
fn made_keys_are_read_by_both(both: &mut Both, kind: &str) {
    for (options, passphrases) in [
        (format!("-t {kind} -k"), vec![]),
        (format!("--type={kind} -p --key"), vec!["pass wörd"; 2]),
    ] {
        let opened = &passphrases[..passphrases.len().min(1)];
        let line = format!("keygen {} made.pem", options.replace("-p ", ""));
        let line = if passphrases.is_empty() { line } else { format!("{line} --password") };
        let line = if kind == "ed25519" { line.replace("--password", "-p") } else { line };
        for ours_last in [true, false] {
            let outcome = match ours_last {
                true => both.run(&line, &passphrases).1,
                false => both.peer.run(&words(&line), &passphrases),
            };
            assert_eq!((outcome.code, outcome.out.len()), (0, 0), "{line}: {}", outcome.err);
            let text = std::fs::read_to_string("made.pem").unwrap();
            assert_eq!(text.contains("ENCRYPTED"), !passphrases.is_empty(), "{line}");
            let public = both.agree("getpub -k made.pem -e pem", opened);
            assert_eq!(public.code, 0, "{line}: {}", public.err);
            if !passphrases.is_empty() {
                let refused = both.agree("getpub -k made.pem", &["another"]);
                assert_eq!((refused.code, refused.err.lines().count()), (1, 1), "{}", refused.err);
            }
        }
    }
}

/// Every recorded image, and what is none, in every form; and verified with keys of every type.
fn dumps(both: &mut Both) {
    let mut images = 0;
    for folder in ["img", "hex", "bad", "payload", "keys"] {
        for entry in std::fs::read_dir(vectors().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if folder == "bad" && !name.contains("p256") {
                continue;
            }
            for rest in ["-f human", "--format yaml", "-f json"] {
                both.agree(&format!("dumpinfo {rest} {folder}/{name}"), &[]);
            }
            images += 1;
        }
    }
    println!("dumps: {images} files in 3 forms, byte for byte; they are no images in part");
    for name in ["confirm-align32.bin", "ed25519-pure.bin", "enc-p256-128.bin", "lzma2.bin"] {
        for key in KINDS {
            both.agree(&format!("verify --key keys/{key}.pem img/{name}"), &[]);
            both.agree(&format!("verify img/{name} -k keys/{key}.pub.pem"), &[]);
        }
    }
    // Files that are called all kinds of things, and trailers in all kinds of states.
    let image = std::fs::read("img/unsigned.bin").unwrap();
    for name in ["it's: a.bin", "yes", "1.5", "0x1F", "Bœrd.bin", "a\"b.bin", "2026-01-02", "-x y"]
    {
        std::fs::write(name, &image).unwrap();
        for form in ["json", "yaml", "human"] {
            let quoted =
                if name.contains('"') { format!("'{name}'") } else { format!("\"{name}\"") };
            both.agree(&format!("dumpinfo -f {form} -- {quoted}"), &[]);
        }
    }
    for (number, trailer) in trailers().iter().enumerate() {
        let name = format!("trailer-{number}.bin");
        std::fs::write(&name, [&image[..], trailer].concat()).unwrap();
        for form in ["human", "yaml", "json"] {
            both.agree(&format!("dumpinfo --silent --format={form} {name}"), &[]);
        }
        both.agree(&format!("dumpinfo -s {name} --outfile out.yaml"), &[]);
        let text = std::fs::read("out.yaml").unwrap();
        both.peer.run(&words(&format!("dumpinfo {name} -o out.yaml")), &[]);
        assert!(std::fs::read("out.yaml").unwrap() == text, "{name}");
        both.agree(&format!("dumpinfo {name} -o out.json -f json"), &[]);
    }
}

/// Ends of files: trailers of every alignment and state, cut off, and no trailers.
fn trailers() -> Vec<Vec<u8>> {
    let mut trailers = vec![vec![0xff; 3], vec![0xff; 64], Vec::new()];
    for align in [0_u16, 8, 16, 32, 64, 0x1000] {
        let mut magic = updraft_image::magic_bytes(if align == 8 { 8 } else { 16 }).to_vec();
        if align != 8 {
            magic[..2].copy_from_slice(&align.to_le_bytes());
        }
        for byte in [0xff, 1, 2, 3, 4, 0] {
            trailers.push([vec![byte; 300], magic.clone()].concat());
        }
    }
    trailers
}

/// Each option with each kind of wrong value: the same exit code, and the same words where they are
/// click's.
fn wrong_values(both: &mut Both) {
    let good = "-v 1.0 -H 32 -S 0x8000 --pad-header payload/a.bin out.bin";
    let mut lines = vec![
        "".to_owned(),
        "nosuch".into(),
        "sig".into(),
        "verif x".into(),
        "-x sign".into(),
        "--hepl".into(),
        "-- version".into(),
        "version x y".into(),
        "version --verson".into(),
        "sign".into(),
        "sign --".into(),
        format!("sign {good} more"),
        format!("sign {good} --pad=1"),
        "sign -v 1.0 -H 32 -S 0x8000 payload/a.bin".into(),
        "sign -v 1.0 -H 32 payload/a.bin out.bin".into(),
        "getpub".into(),
        "getpub -k nosuch.pem".into(),
        "getpub -k payload/a.bin".into(),
        "getpub -k keys/ed25519.pem -e xml".into(),
        "getpub -k keys/ed25519.pem -l ada".into(),
        "getpub -k keys/ed25519.pem --name-suffix 'a b'".into(),
        "getpub -k keys/ed25519.pem -o nosuch/out".into(),
        "getpubhash -k keys/ed25519.pem -e pem".into(),
        "getpriv -k keys/ed25519.pem -f der".into(),
        "keyinfo".into(),
        "keyinfo -k".into(),
        "keyinfo -k nosuch.pem".into(),
        "keyinfo -k keys/ed25519.pem --require both".into(),
        "keygen -t ed448 -k out".into(),
        "keygen -t ed25519".into(),
        "keygen -t ed25519 -k nosuch/out".into(),
        "verify".into(),
        "verify nosuch.bin".into(),
        "verify -k nosuch.pem img/unsigned.bin".into(),
        "verify -k keys/x25519.pem img/ecdsa-p256.bin".into(),
        "verify payload/a.bin more".into(),
        "dumpinfo".into(),
        "dumpinfo nosuch.hex".into(),
        "dumpinfo -f xml img/unsigned.bin".into(),
        "dumpinfo img/unsigned.bin -o nosuch/out".into(),
    ];
    for (option, values) in WRONG {
        for value in values.split('|') {
            lines.push(format!("sign {option} {value} {good}"));
            lines.push(format!("sign {good} {option} {value}"));
        }
    }
    // Mistyped names, and values that are missing.
    for (option, _) in WRONG {
        lines.push(format!("sign {good} {option}"));
        lines.push(format!("sign {good} {option}x"));
        lines.push(format!("sign {good} {}", option.replacen('e', "", 1)));
    }
    let (mut codes, mut words_too) = ([0; 3], 0);
    for line in &lines {
        let (theirs, our) = both.run(line, &[]);
        assert_eq!(our.code, theirs.code, "imgtool {line}\n{}\n{}", our.err, theirs.err);
        codes[usize::from(our.code)] += 1;
        if our.code == 0 {
            continue;
        }
        let error = theirs.error();
        let of_click = ["Missing", "No such", "Option", "Got unexpected", "Invalid value"];
        let other_words = ["mismatch between", "is not one of the"];
        if of_click.iter().any(|start| error.starts_with(&format!("Error: {start}")))
            && !other_words.iter().any(|words| error.contains(words))
        {
            assert_eq!(our.err.trim_end(), theirs.err.trim_end(), "imgtool {line}");
            words_too += 1;
        }
        if theirs.code == 1 && our.said() == theirs.said() && our.said().is_empty() {
            assert_eq!(our.err.lines().count(), 1, "imgtool {line}: {}", our.err);
        }
    }
    println!(
        "wrong command lines: {} with the same exit code ({} of 0, {} of 1, {} of 2), {words_too} \
         of them in click's words",
        lines.len(),
        codes[0],
        codes[1],
        codes[2]
    );
}

const WRONG: &[(&str, &str)] = &[
    ("--vid", "'a\u{7}'"),
    ("--cid", "name"),
    ("--vector-to-sign", "hash"),
    ("--hmac-sha", "384"),
    ("--sha", "1|SHA256"),
    ("--sig-out", "nosuch/sig|sig"),
    ("--fix-sig-pubkey", "nosuch.pem"),
    ("--fix-sig", "nosuch.b64|keys/ed25519.pem"),
    ("--key", "nosuch.pem|keys/ed25519.pub.pem|keys/x25519.pem|payload/a.bin"),
    ("-k", "nosuch.pem"),
    ("--public-key-format", "der"),
    ("--max-align", "4|08"),
    ("--align", "0|64|8.0"),
    ("--version", "1.2.3.4|1.|v1|1.0+1|256.0.0|1.0.65536|1.2.3+4294967296|''"),
    ("--security-counter", "-1|4294967296|x|''|1_|0x"),
    ("-s", "010"),
    ("--dependencies", "x|(1)|(1,)|(256,1.0)|(1,256.0)|'(1,1.0),(2)'|(1,01)"),
    ("--header-size", "31|-1|0x|12.5|''|1__0"),
    ("-H", "x"),
    ("--slot-size", "x|0y1|1e5"),
    ("--max-sectors", "0x10|x|1.0|''"),
    ("--boot-record", "THIRTEEN_CHRS"),
    ("--endian", "middle"),
    ("--compression", "lzma1"),
    ("--encrypt-keylen", "192"),
    ("--encrypt", "nosuch.pem|payload/a.bin|keys/ed25519-pass.pem"),
    ("--rom-fixed", "-1|0x100000000|x"),
    ("--load-addr", "-1|0x100000000|''"),
    ("--hex-addr", "x"),
    ("--erased-val", "0x00|255|0xFF"),
    ("--custom-tlv", "0x50 0x01|0x9f 0x01|0xffff 0x01|0xa0 0x1|0xa0 0xzz|x 0x01|-1 0x01"),
    ("--custom-tlv-file", "0xa0 nosuch|0x01 payload/a.bin"),
];

/// Help at every level succeeds, on standard output.
fn help(both: &mut Both) {
    let commands = OPTIONS.iter().map(|(command, _)| *command);
    let lines: Vec<String> = commands
        .chain(["sign", "create"])
        .flat_map(|command| [format!("{command} --help"), format!("{command} -h")])
        .chain(["-h".into(), "--help".into(), "sign -S 1 x --help".into()])
        .collect();
    for line in lines {
        let (theirs, our) = both.run(&line, &[]);
        assert_eq!((our.code, theirs.code), (0, 0), "imgtool {line}");
        let usage = |outcome: &Outcome| outcome.said().lines().next().unwrap_or("").to_owned();
        assert_eq!(usage(&our), usage(&theirs), "imgtool {line}");
        // Every option that one names the other one names as well.
        let names = |outcome: &Outcome| -> BTreeSet<String> {
            let text = outcome.said();
            let options = text.split("Options:").nth(1).unwrap_or("").lines();
            let options = options.filter(|line| line.starts_with("  -"));
            options.filter_map(|line| line.split("  ").nth(1).map(str::to_owned)).collect()
        };
        assert_eq!(names(&our), names(&theirs), "imgtool {line}");
    }
}
