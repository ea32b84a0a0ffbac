//! `updraft` in imgtool's place, as scripts call it.

#![cfg(unix)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs lines of a shell in a fresh folder, with `updraft` under its names on the PATH and the
/// golden keys at hand. Returns what they print, with exit codes that are not 0.
fn transcript(name: &str, lines: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("as-imgtool-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    for name in ["updraft", "imgtool", "imgtool.py"] {
        symlink(env!("CARGO_BIN_EXE_updraft"), folder.join("bin").join(name)).unwrap();
    }
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot/keys");
    symlink(keys.canonicalize().unwrap(), folder.join("keys")).unwrap();
    std::fs::write(folder.join("app.bin"), b"firmware".repeat(64)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let script: String =
        lines.trim().lines().map(|line| format!("{line} || echo \"[$?]\"\n")).collect();
    let output = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .env("PATH", format!("{}:{path}", folder.join("bin").display()))
        .current_dir(&folder)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn takes_imgtools_command_lines_under_every_name() {
    let lines = "
imgtool version
imgtool.py version
updraft imgtool version
imgtool sign -k keys/ed25519.pem -v 1.2.3+4 -H 0x200 -S 0x8000 --align 8 --pad-header app.bin out.bin
imgtool.py verify -k keys/ed25519.pem out.bin
updraft imgtool verify -k keys/ecdsa-p256.pem out.bin
imgtool sign --pad-value 0 app.bin out.bin
updraft imgtool sign -v 1.0 -H 32 -S 0x100 --pad-header app.bin out.bin
imgtool sign -v 1.0 -H 32 -S 0x8000 --pad-header -k nosuch.pem app.bin out.bin
";
    let said = transcript("names", lines);
    let said = said.lines().map(|line| match line.strip_prefix("Image digest: ") {
        Some(digits) if digits.len() == 64 => "Image digest: …".to_owned(),
        _ => line.to_owned(),
    });
    let expected = "2.5.0
2.5.0
2.5.0
image.py: sign the digest
Image was correctly validated
Image version: 1.2.3+4
Image digest: …
No signature found for the given key
[1]
Usage: imgtool sign [OPTIONS] INFILE OUTFILE
Try 'imgtool sign --help' for help.

Error: No such option '--pad-value'. (Did you mean one of: '--erased-val', '--pad', '--pad-header'?)
[2]
Usage: updraft imgtool sign [OPTIONS] INFILE OUTFILE
Try 'updraft imgtool sign --help' for help.

Error: Image size (0x248) + trailer (0x1b0) exceeds requested size 0x100
[2]
Error: nosuch.pem cannot be read (No such file or directory (os error 2)): check its name and who may read it
[1]";
    assert_eq!(said.collect::<Vec<_>>().join("\n"), expected);
}

#[test]
fn passphrases_come_from_a_file_or_from_the_environment() {
    let lines = "
echo 'a long passphrase' > secret
updraft key new --type ecdsa-p256 --passphrase key.pem --passphrase-file secret > /dev/null
grep ENCRYPTED key.pem
UPDRAFT_KEY_PASSPHRASE='a long passphrase' imgtool getpub -k key.pem -e pem -o public.pem
updraft key public key.pem --passphrase-file secret | cmp - public.pem
UPDRAFT_KEY_PASSPHRASE=wrong imgtool getpub -k key.pem
updraft key hash key.pem --passphrase-file nosuch
UPDRAFT_KEY_PASSPHRASE='a long passphrase' imgtool sign -k key.pem -v 1 -H 32 -S 0x8000 --pad-header app.bin out.bin
imgtool verify -k public.pem out.bin | head -1
";
    let expected = "-----BEGIN ENCRYPTED PRIVATE KEY-----
-----END ENCRYPTED PRIVATE KEY-----
Error: key.pem cannot be used: the passphrase does not open the key: check the passphrase, and that this is the right key
[1]
error: the passphrase in nosuch cannot be read
  because: No such file or directory (os error 2)
[1]
image.py: sign the payload
Image was correctly validated
";
    assert_eq!(transcript("passphrases", lines), expected);
}
