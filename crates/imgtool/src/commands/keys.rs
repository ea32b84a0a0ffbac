//! `keygen`, `getpub`, `getpubhash`, `getpriv` and `keyinfo`.

use std::path::Path;

use updraft_image::HashKind;
use updraft_sign::files::{self, Mode};
use updraft_sign::{Key, KeyKind, Language, PrivateForm, is_locked, listing};

use super::{image_file, print, say};
use crate::command_line::{Command, Opt, Takes, Values};
use crate::key_file::{KeyFile, read, unusable};
use crate::{Console, Failure, passphrase, python};

const KEY: Opt = Opt::new("--key", Takes::Text("filename"), "The key, PEM.").short('k').required();
const OUTPUT: Opt =
    Opt::new("--output", Takes::Text("output"), "The file to write; standard output without.")
        .short('o');
const TYPES: [&str; 6] = ["rsa-2048", "rsa-3072", "ecdsa-p256", "ecdsa-p384", "ed25519", "x25519"];

pub const KEYGEN: Command = Command {
    name: "keygen",
    about: "Make a private key.",
    options: &[
        Opt { help: "The file to write.", ..KEY },
        Opt::new(
            "--type",
            Takes::Named("type", &TYPES),
            "What it is for. One of: rsa-2048, \
            rsa-3072, ecdsa-p256, ecdsa-p384, ed25519, x25519. Asked for if left out.",
        )
        .short('t'),
        Opt::flag("--password", "Ask for a passphrase, and encrypt the file with it.").short('p'),
    ],
    arguments: &[],
    run: keygen,
};

pub const GETPUB: Command = Command {
    name: "getpub",
    about: "Print the public half of a key.",
    options: &[
        OUTPUT,
        KEY,
        Opt {
            help: "Put behind the names in source code: letters, digits, underscores.",
            ..SUFFIX
        },
        Opt::new(
            "--encoding",
            Takes::Named("encoding", &["lang-c", "lang-rust", "pem", "raw"]),
            "lang-c (the default), lang-rust, pem or raw: DER.",
        )
        .short('e'),
        Opt::new(
            "--lang",
            Takes::Named("lang", &["c", "rust"]),
            "c or rust: what --encoding was before.",
        )
        .short('l'),
    ],
    arguments: &[],
    run: getpub,
};

pub const GETPUBHASH: Command = Command {
    name: "getpubhash",
    about: "Print the SHA-256 hash of the public half of a key.",
    options: &[
        OUTPUT,
        KEY,
        Opt { help: "Put behind the names in C: letters, digits, underscores.", ..SUFFIX },
        Opt::new(
            "--encoding",
            Takes::Named("encoding", &["lang-c", "raw"]),
            "lang-c (the default) or raw.",
        )
        .short('e'),
    ],
    arguments: &[],
    run: getpubhash,
};

pub const GETPRIV: Command = Command {
    name: "getpriv",
    about: "Print a private key in C, for a bootloader that decrypts with it.",
    options: &[
        Opt::new(
            "--format",
            Takes::Choice(&["openssl", "pkcs8"]),
            "The form of DER. Default: pkcs8, of RSA keys openssl.",
        )
        .short('f'),
        KEY,
        Opt::flag("--minimal", "Leave out what a bootloader can do without."),
    ],
    arguments: &[],
    run: getpriv,
};

pub const KEYINFO: Command = Command {
    name: "keyinfo",
    about: "Print whether a key is private or public; never asks for a passphrase.",
    options: &[
        KEY,
        Opt::new("--require", Takes::Choice(&["private", "public"]), "Fail if it is the other."),
    ],
    arguments: &[],
    run: keyinfo,
};

const SUFFIX: Opt = Opt::new("--name-suffix", Takes::Text("SUFFIX"), "").checked(|suffix| {
    match suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        true => Ok(()),
        false => Err(format!(
            "{} must contain only [A-Za-z0-9_]; it is appended directly to a C/Rust identifier.",
            python::repr(suffix)
        )),
    }
});

fn key_path(values: &Values) -> std::path::PathBuf {
    values.file("--key").unwrap_or_default()
}

fn keygen(values: &Values, console: &mut dyn Console) -> Result<(), Failure> {
    let kind = match values.choice("--type") {
        Some(kind) => kind.to_owned(),
        None => ask_type(console)?,
    };
    let kind = KeyKind::ALL.into_iter().find(|known| known.name() == kind);
    let kind = kind.ok_or_else(|| Failure::usage("Missing option '-t' / '--type'."))?;
    let passphrase = match values.flag("--password") {
        true => Some(passphrase::for_a_new_key(console).ok_or_else(|| aborted(console))?),
        false => None,
    };
    if passphrase.as_ref().is_some_and(|passphrase| passphrase.is_empty()) {
        let hint = "type one, or leave -p out";
        return Err(Failure::error("an empty passphrase protects nothing", hint));
    }
    let path = key_path(values);
    let made = |error: updraft_sign::KeyError| Failure::error(&error, error.remedy());
    let key = Key::generate(kind).map_err(made)?;
    match passphrase {
        None => write_secret(&path, key.to_pem().as_bytes()),
        Some(it) => write_secret(&path, key.to_locked_pem(&it).map_err(made)?.as_bytes()),
    }
}

fn aborted(console: &mut dyn Console) -> Failure {
    console.err("Aborted!");
    Failure::Said
}

fn ask_type(console: &mut dyn Console) -> Result<String, Failure> {
    let choices = TYPES.join(", ");
    loop {
        let answer = console.ask(&format!("Type ({choices}): ")).ok_or_else(|| aborted(console))?;
        if TYPES.contains(&answer.as_str()) {
            return Ok(answer);
        }
        let choices = TYPES.map(python::repr).join(", ");
        console.err(&format!("Error: {} is not one of {choices}.", python::repr(&answer)));
    }
}

/// Writes a file for its owner alone, over what is there.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    files::write(path, bytes, Mode::Secret { replace: true }).map_err(image_file::unwritten)
}

fn getpub(values: &Values, console: &mut dyn Console) -> Result<(), Failure> {
    let (encoding, lang) = (values.choice("--encoding"), values.choice("--lang"));
    let encoding = match (encoding, lang) {
        (Some(_), Some(_)) => {
            let message = "Please use only one of `--encoding/-e` or `--lang/-l`";
            return Err(Failure::usage(message));
        }
        (Some(encoding), None) => encoding,
        (None, Some("rust")) => "lang-rust",
        (None, _) => "lang-c",
    };
    let suffix = values.text("--name-suffix")?.unwrap_or_default();
    if !suffix.is_empty() && matches!(encoding, "pem" | "raw") {
        let message = "`--name-suffix` is only meaningful for lang-c / lang-rust encodings";
        return Err(Failure::usage(message));
    }
    let key = KeyFile::load(&key_path(values), console)?;
    let key = key.public();
    let name = format!("{}_pub_key", key.short_name());
    let bytes = match encoding {
        "pem" => key.to_pem().into_bytes(),
        "raw" => key.as_der().to_vec(),
        "lang-rust" => listing(Language::Rust, &name, suffix, key.as_der()).into_bytes(),
        _ => listing(Language::C, &name, suffix, key.as_der()).into_bytes(),
    };
    emit(values, &bytes, console)
}

fn getpubhash(values: &Values, console: &mut dyn Console) -> Result<(), Failure> {
    let raw = values.choice("--encoding") == Some("raw");
    let suffix = values.text("--name-suffix")?.unwrap_or_default();
    if raw && !suffix.is_empty() {
        let message = "`--name-suffix` is only meaningful for the lang-c encoding";
        return Err(Failure::usage(message));
    }
    let key = KeyFile::load(&key_path(values), console)?;
    let hash = key.public().hash(HashKind::Sha256);
    let name = format!("{}_pub_key_hash", key.public().short_name());
    match raw {
        true => emit(values, hash.as_bytes(), console),
        false => {
            let text = listing(Language::C, &name, suffix, hash.as_bytes());
            emit(values, text.as_bytes(), console)
        }
    }
}

/// Writes to the file that `--output` names, or prints.
fn emit(values: &Values, bytes: &[u8], console: &mut dyn Console) -> Result<(), Failure> {
    match values.file("--output") {
        Some(path) => image_file::write(&path, bytes),
        None => print(console, bytes),
    }
}

fn getpriv(values: &Values, console: &mut dyn Console) -> Result<(), Failure> {
    let path = key_path(values);
    let KeyFile::Private(key) = KeyFile::load(&path, console)? else {
        return Err(Failure::usage("Operation get_private_bytes requires private key"));
    };
    let form = match values.choice("--format") {
        Some("openssl") => PrivateForm::Traditional,
        Some(_) => PrivateForm::Pkcs8,
        None => key.kind().usual_form(),
    };
    let der = key.private_der(form, values.flag("--minimal"));
    let der = der.map_err(|error| Failure::usage(format!("{error}: {}", error.remedy())))?;
    print(console, listing(Language::C, "enc_priv_key", "", &der).as_bytes())
}

fn keyinfo(values: &Values, console: &mut dyn Console) -> Result<(), Failure> {
    let path = key_path(values);
    let name = path.display();
    let text = read(&path)?;
    if is_locked(&text) {
        let message = format!(
            "Cannot inspect {name}: it is protected by a passphrase, which keyinfo never asks for"
        );
        return Err(Failure::usage(message));
    }
    let key = KeyFile::parse(&text).map_err(|error| unusable(&path, &error))?;
    let kind = if key.is_private() { "private" } else { "public" };
    say(console, kind)?;
    match values.choice("--require") {
        Some(wanted) if wanted != kind => {
            Err(Failure::usage(format!("Key {name} is {kind}, but {wanted} was required.")))
        }
        _ => Ok(()),
    }
}
