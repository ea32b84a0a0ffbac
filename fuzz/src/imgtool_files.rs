//! Arbitrary bytes as the files that imgtool's commands read: images, binary and in Intel HEX, which
//! are dumped and verified.
//!
//! Asserts: Intel HEX that is read is read again, as the same bytes, once written out; every command
//! ends with an exit code of imgtool's, and explains a failure in one line.

use std::ffi::OsString;
use std::io;

use updraft_imgtool::{Console, run_on};
use updraft_sign::{hex, inspect};
use zeroize::Zeroizing;

/// Keeps what is said.
#[derive(Default)]
struct Silent {
    out: usize,
    err: String,
}

impl Console for Silent {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out += bytes.len();
        Ok(())
    }

    fn err(&mut self, line: &str) {
        self.err += line;
        self.err.push('\n');
    }

    fn ask(&mut self, _: &str) -> Option<String> {
        None
    }

    fn ask_passphrase(&mut self, _: &str) -> Option<Zeroizing<String>> {
        None
    }
}

/// Takes one input: the lowest bit of its first byte says whether it is Intel HEX.
pub fn run(data: &[u8]) {
    let [first, data @ ..] = data else { return };
    let is_hex = first & 1 == 1;
    if is_hex {
        // What takes a lot of memory is no fault, and no way to find one either.
        match hex::parse(&String::from_utf8_lossy(data)) {
            Ok(segment) if segment.bytes.len() < 1 << 16 => {
                assert_eq!(hex::parse(&hex::emit(std::slice::from_ref(&segment))), Ok(segment));
            }
            _ => return,
        }
    } else {
        let _ = inspect(data, &[]);
    }
    let ending = if is_hex { "hex" } else { "bin" };
    let name = format!("updraft-fuzz-{}.{ending}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, data).expect("a temporary file");
    let form = ["human", "yaml", "json"][usize::from(first >> 1) % 3];
    for words in [&["dumpinfo", "-f", form][..], &["verify"]] {
        let args: Vec<_> = words.iter().map(OsString::from).chain([path.clone().into()]).collect();
        let mut console = Silent::default();
        match run_on(&mut console, "imgtool", &args) {
            0 => assert!(console.out > 0 && console.err.is_empty()),
            1 => assert!(console.out > 0 || console.err.lines().count() == 1, "{}", console.err),
            code => panic!("exit code {code}: {}", console.err),
        }
    }
}

/// The small golden images, and the golden files in Intel HEX.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, name) in (0_u8..).zip(crate::repository_names("vectors/mcuboot/img")) {
        let image = crate::repository_file(&format!("vectors/mcuboot/img/{name}"));
        if name.ends_with(".bin") && image.len() < 5000 {
            seeds.push([&[number % 8 & !1], &image[..]].concat());
        }
    }
    for (number, name) in (0_u8..).zip(crate::repository_names("vectors/mcuboot/hex")) {
        let text = crate::repository_file(&format!("vectors/mcuboot/hex/{name}"));
        if text.len() < 16000 {
            seeds.push([&[number % 8 | 1], &text[..]].concat());
        }
    }
    seeds
}
