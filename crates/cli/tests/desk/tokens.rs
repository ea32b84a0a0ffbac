//! Keys in a PKCS#11 token: SoftHSM's.
//!
//! Without SoftHSM these tests fail, unless `UPDRAFT_CORE=1` leaves out what needs foreign tools.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Desk, SAMPLE_KEY};

const PIN: &str = "1234";
const LIBRARIES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib/pkcs11/libsofthsm2.so",
];
const KEYS: [&str; 5] = ["ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072"];

/// A token with a key of each type.
struct Token {
    library: &'static str,
    desk: Desk,
}

impl Token {
    /// `None`: this run does without foreign tools, and has said so.
    fn new(name: &str) -> Option<Self> {
        let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).exists()) else {
            let core = std::env::var_os("UPDRAFT_CORE").is_some_and(|value| value == "1");
            assert!(core, "SoftHSM is missing: run `cargo xtask setup`");
            println!("left out: UPDRAFT_CORE is set, and this needs SoftHSM");
            return None;
        };
        let desk = Desk::new(name);
        fs::create_dir(desk.path("tokens")).unwrap();
        let config = format!("directories.tokendir = {}\n", desk.path("tokens").display());
        fs::write(desk.path("softhsm2.conf"), config).unwrap();
        let token = Self { library, desk };
        token.softhsm("--init-token --free --label Release --so-pin 5678");
        let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/mcuboot/keys");
        for (index, key) in KEYS.into_iter().enumerate() {
            let file = vectors.join(format!("{key}.pem"));
            fs::copy(&file, token.desk.path("import.pem")).unwrap();
            fs::copy(&file, token.desk.path(&format!("{key}.pem"))).unwrap();
            token.softhsm(&format!(
                "--import import.pem --token Release --label {key} --id A{index}"
            ));
        }
        Some(token)
    }

    fn softhsm(&self, line: &str) {
        let mut command = Command::new("softhsm2-util");
        let output = self.at_home(command.args(line.split(' ')).args(["--pin", PIN]));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn at_home(&self, command: &mut Command) -> Output {
        let config = self.desk.path("softhsm2.conf");
        command.current_dir(self.desk.path(".")).env("SOFTHSM2_CONF", config).output().unwrap()
    }

    /// The command, with the PIN in the environment.
    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
        self.at_home(command.args(line.split(' ')).env("UPDRAFT_PKCS11_PIN", PIN))
    }

    fn uri(&self, object: &str) -> String {
        format!("pkcs11:token=Release;object={object}?module-path={}", self.library)
    }
}

const SIGN: &str = "image sign -H 0x200 -S 0x40000 --pad-header -v 1 app.bin out.bin -k";

#[test]
fn every_key_of_a_token_signs_images() {
    let Some(token) = Token::new("token-signs") else { return };
    for key in KEYS {
        let output = token.run(&format!("{SIGN} {}", token.uri(key)));
        assert!(output.status.success(), "{key}: {}", String::from_utf8_lossy(&output.stderr));
        token.desk.stdout(&format!("image verify -k {key}.pem out.bin"));
    }
    // Its id names a key as well, and a file may have the PIN.
    fs::write(token.desk.path("pin"), "1234\n").unwrap();
    let uri = format!("pkcs11:id=%A2?module-path={}&pin-source=file:pin", token.library);
    let output = token.run(&format!("{SIGN} {uri} --manifest"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    token.desk.stdout("image verify -k ed25519.pem --manifest out.bin.manifest.json out.bin");
}

#[test]
fn what_is_wrong_with_a_token_is_told() {
    let Some(token) = Token::new("token-wrong") else { return };
    let uri = token.uri("ed25519");
    for (uri, reason) in [
        (format!("{uri}&pin-value=4321"), "the token refuses the PIN"),
        (token.uri("other"), "the token has no private key that fits the URI"),
        (uri.replace(";object=ed25519", ""), "5 private keys fit the URI"),
        (uri.replace("Release", "Other"), "no token fits the URI; there are: Release"),
        (uri.replace("softhsm/", "nowhere/"), "cannot be used"),
        (format!("{uri}&pin-source=missing"), "the PIN in missing cannot be read"),
        (uri.replace("object", "colour"), "`colour` is no attribute of a PKCS#11 URI"),
    ] {
        let output = token.run(&format!("{SIGN} {uri}"));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(reason), "{uri}: {text}");
        assert!(text.contains("try:"), "{text}");
        assert!(!token.desk.path("out.bin").exists());
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_updraft"));
    command.args(format!("{SIGN} {uri}").split(' ')).env_remove("UPDRAFT_PKCS11_PIN");
    let output = token.at_home(&mut command);
    assert!(String::from_utf8_lossy(&output.stderr).contains("the token wants a PIN"));
}

#[test]
fn no_message_shows_a_pin() {
    let Some(token) = Token::new("token-secret") else { return };
    fs::write(token.desk.path("import.pem"), SAMPLE_KEY).unwrap();
    token.softhsm("--import import.pem --token Release --label sample --id B0");
    let uri = token.uri("sample");
    let text = |line: &str| {
        let output = token.run(line);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    // That its private half is published is told with the key's name.
    let (signed, said) = text(&format!("{SIGN} {uri}&pin-value=1234"));
    assert!(signed && said.contains("object=sample?module-path"), "{said}");
    assert!(said.contains("other users of this machine can read a pin-value"), "{said}");
    assert!(!said.contains("1234"), "{said}");
    for line in [
        format!("{SIGN} {uri}&pin-value=1234 --release"),
        format!("{SIGN} {uri}&pinvalue=1234"),
        format!("{SIGN} {uri}&pin-value=%1234%"),
        format!("{SIGN} {uri}&pin-value=5&1234"),
        format!("image verify -k {uri}&pin-value=1234 out.bin"),
        format!("image inspect -k {uri}&pin-value=1234 out.bin"),
        format!(
            "image sign -H 32 -S 0x8000 --pad-header -v 1 -E {uri}&pin-value=1234 app.bin e.bin"
        ),
    ] {
        let (done, said) = text(&line);
        assert!(!done && !said.contains("1234"), "{line}: {said}");
    }
}

/// CKA_ALWAYS_AUTHENTICATE. SoftHSM asks for the PIN between the beginning and the end of a
/// signature, and most of its mechanisms do both in one step; the libraries of smart cards sign in
/// pieces, and so does the one that stands before it here.
#[cfg(target_os = "linux")]
#[test]
fn a_key_may_want_its_pin_for_each_signature() {
    let Some(token) = Token::new("token-each-time") else { return };
    let core = std::env::var_os("UPDRAFT_CORE").is_some_and(|value| value == "1");
    if core && Command::new("pkcs11-tool").arg("--help").output().is_err() {
        println!("left out: UPDRAFT_CORE is set, and this needs pkcs11-tool");
        return;
    }
    let run = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let output = token.at_home(Command::new(words[0]).args(&words[1..]));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let tool = format!("pkcs11-tool --module {} --token-label Release", token.library);
    for (kind, name, id) in [("EC:prime256v1", "curve", "B1"), ("RSA:2048", "primes", "B2")] {
        let make = format!("--keypairgen --key-type {kind} --label {name} --id {id} --always-auth");
        run(&format!("{tool} --login --pin {PIN} {make}"));
        run(&format!("{tool} --read-object --type pubkey --id {id} -o {name}.der"));
        run(&format!("openssl pkey -pubin -inform DER -in {name}.der -out {name}.pem"));
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/desk/in_pieces.c");
    let before = format!("-DSOFTHSM=\"{}\"", token.library);
    run(&format!("cc -shared -fPIC {before} -o pieces.so {} -ldl", source.display()));
    let pieces = token.desk.path("pieces.so");

    for name in ["curve", "primes"] {
        let uri = token.uri(name).replace(token.library, pieces.to_str().unwrap());
        let output = token.run(&format!("{SIGN} {uri} --manifest"));
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        // Image and manifest: two signatures, each with a login of its own.
        let manifest = "--manifest out.bin.manifest.json";
        token.desk.stdout(&format!("image verify -k {name}.pem {manifest} out.bin"));
        fs::remove_file(token.desk.path("out.bin")).unwrap();

        let output = token.run(&format!("{SIGN} {}", token.uri(name)));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains("wants its PIN for each"), "{text}");
        assert!(!token.desk.path("out.bin").exists());
    }
}
