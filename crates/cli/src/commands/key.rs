//! `updraft key`: makes keys, and prints them in the forms that bootloaders embed.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use updraft_image::HashKind;
use updraft_imgtool::{Console as _, Terminal, passphrase};
use updraft_sign::signing::{CommandKey, SigningKey, TokenKey, TokenUri};
use updraft_sign::{
    Key, KeyError, KeyKind, Language, PrivateForm, PublicKey, is_locked, known_key, listing, unlock,
};
use zeroize::Zeroizing;

use crate::files::{self, Mode};
use crate::output::{Output, WARN, styled};
use crate::report::Hint;

/// Options of `updraft key`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a private key.
    New(New),
    /// Print the public key: PEM, DER, or source code for a bootloader.
    Public(Public),
    /// Print the private key as source code, for a bootloader that decrypts with it.
    Private(Private),
    /// Print the hash of the public key, as KEYHASH TLVs carry it.
    Hash(Hash),
}

#[derive(clap::Args)]
#[command(after_help = "The file holds the private key (PEM, PKCS#8), without passphrase unless -p
is given, and is for its owner alone (mode 0600). Whoever has it can sign updates, or decrypt them: keep a copy in a safe
place and never in the repository.

Examples:
  updraft key new key.pem
  updraft key new --type ecdsa-p256 release.pem
  updraft key new --type x25519 device-key.pem
  updraft key public key.pem -o key.pub.pem")]
struct New {
    /// The file to write.
    file: PathBuf,
    /// What it is for.
    #[arg(short = 't', long = "type", value_enum, default_value_t)]
    kind: KeyType,
    /// Overwrite the file if it exists. What only that key has signed can never be updated again.
    #[arg(long)]
    force: bool,
    /// Encrypt the file with a passphrase: from --passphrase-file, UPDRAFT_KEY_PASSPHRASE, or asked
    /// for twice.
    #[arg(short, long)]
    passphrase: bool,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum KeyType {
    /// Ed25519: small and fast to sign.
    #[default]
    Ed25519,
    /// ECDSA over P-256: what hardware engines know. Also decrypts images.
    EcdsaP256,
    /// ECDSA over P-384.
    EcdsaP384,
    /// X25519: decrypts images, and signs none.
    X25519,
    /// RSA with 2048 bits. Also decrypts images.
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// RSA with 3072 bits.
    #[value(name = "rsa-3072")]
    Rsa3072,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft key public key.pem -o key.pub.pem
  updraft key public key.pem -e lang-c > autogen-pubkey.c
  updraft key public key.pem -e lang-rust --name-suffix _2")]
struct Public {
    /// A private or public key, PEM.
    key: PathBuf,
    /// The form.
    #[arg(short, long, value_enum, default_value_t)]
    encoding: Encoding,
    /// Put behind the names in source code: letters, digits and underscores.
    #[arg(long, default_value = "", value_parser = name_suffix)]
    name_suffix: String,
    /// Write to this file instead of standard output.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Encoding {
    /// PEM.
    #[default]
    Pem,
    /// A C array.
    LangC,
    /// A Rust slice.
    LangRust,
    /// DER (SubjectPublicKeyInfo, of RSA RSAPublicKey).
    Raw,
}

#[derive(clap::Args)]
#[command(after_help = "Prints to standard output only, as imgtool's getpriv does.

Examples:
  updraft key private enc-key.pem --minimal > autogen-enckey.c")]
struct Private {
    /// A private P-256, P-384, X25519 or RSA key, PEM.
    key: PathBuf,
    /// The DER inside. Default: pkcs8, openssl for RSA.
    #[arg(short, long, value_enum)]
    format: Option<Format>,
    /// Leave out what a bootloader can do without: the public half, of RSA the CRT numbers.
    #[arg(long)]
    minimal: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// PrivateKeyInfo.
    Pkcs8,
    /// ECPrivateKey (SEC1) or RSAPrivateKey (PKCS#1), OpenSSL's traditional forms.
    Openssl,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:
  updraft key hash key.pem
  updraft key hash key.pub.pem --sha 384
  updraft key hash key.pub.pem -e lang-c > autogen-pubkey-hash.c")]
struct Hash {
    /// A private or public key, PEM.
    key: PathBuf,
    /// The form.
    #[arg(short, long, value_enum, default_value_t)]
    encoding: HashEncoding,
    /// The hash: that of the images, whose KEYHASH it is to be compared with.
    #[arg(long, value_enum, default_value_t)]
    sha: Sha,
    /// Put behind the names in source code: letters, digits and underscores.
    #[arg(long, default_value = "", value_parser = name_suffix)]
    name_suffix: String,
    /// Write to this file instead of standard output.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum HashEncoding {
    /// Hexadecimal digits.
    #[default]
    Hex,
    /// A C array.
    LangC,
    /// The bytes.
    Raw,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Sha {
    /// As imgtool prints it, whatever the key.
    #[default]
    #[value(name = "256")]
    Sha256,
    /// Of images signed with P-384.
    #[value(name = "384")]
    Sha384,
    /// Of images hashed with SHA-512.
    #[value(name = "512")]
    Sha512,
}

/// Runs it.
pub fn run(args: Args, out: &Output) -> anyhow::Result<()> {
    match args.command {
        Command::New(args) => new(&args, out),
        Command::Public(args) => public(&args, out),
        Command::Private(args) => private(&args, out),
        Command::Hash(args) => hash(&args, out),
    }
}

fn new(args: &New, out: &Output) -> anyhow::Result<()> {
    let key = Key::generate(match args.kind {
        KeyType::Ed25519 => KeyKind::Ed25519,
        KeyType::EcdsaP256 => KeyKind::EcdsaP256,
        KeyType::X25519 => KeyKind::X25519,
        KeyType::EcdsaP384 => KeyKind::EcdsaP384,
        KeyType::Rsa2048 => KeyKind::Rsa2048,
        KeyType::Rsa3072 => KeyKind::Rsa3072,
    })?;
    let mode = Mode::Secret { replace: args.force };
    let pem = match args.passphrase {
        false => key.to_pem(),
        true => {
            let passphrase = passphrase::for_a_new_key(&mut Terminal);
            let passphrase = passphrase.filter(|it| !it.is_empty()).ok_or(KeyError::Encrypted);
            passphrase.and_then(|it| key.to_locked_pem(&it)).or_else(advise)?.into()
        }
    };
    files::write(&args.file, pem.as_bytes(), mode)?;
    let hash = key.public().hash(HashKind::Sha256).to_string();
    let kind = key.kind().to_string();
    let result = json!({ "file": args.file, "type": kind, "hash": hash });
    out.result(&result, |to| {
        writeln!(to, "{}: a private {kind} key, for its owner alone", args.file.display())?;
        writeln!(to, "SHA-256 of its public half: {hash}")
    })
}

fn public(args: &Public, out: &Output) -> anyhow::Result<()> {
    let key = load_public(&args.key, out)?;
    let source = matches!(args.encoding, Encoding::LangC | Encoding::LangRust);
    if !source && !args.name_suffix.is_empty() {
        return Err(anyhow!("--name-suffix is for source code"))
            .usage("leave it out, or choose -e lang-c or -e lang-rust");
    }
    let name = format!("{}_pub_key", key.short_name());
    let list = |language| listing(language, &name, &args.name_suffix, key.as_der()).into_bytes();
    let bytes = match args.encoding {
        Encoding::Pem => key.to_pem().into_bytes(),
        Encoding::LangC => list(Language::C),
        Encoding::LangRust => list(Language::Rust),
        Encoding::Raw => key.as_der().to_vec(),
    };
    print(&bytes, &key, args.output.as_deref(), out)
}

fn private(args: &Private, out: &Output) -> anyhow::Result<()> {
    let key = load_private(&args.key)?;
    warn_if_published(&args.key, key.public(), "anybody can decrypt with it", out);
    let form = match args.format {
        Some(Format::Pkcs8) => PrivateForm::Pkcs8,
        Some(Format::Openssl) => PrivateForm::Traditional,
        None => key.kind().usual_form(),
    };
    let der = key.private_der(form, args.minimal).or_else(advise)?;
    let source = listing(Language::C, "enc_priv_key", "", &der);
    print(source.as_bytes(), key.public(), None, out)
}

fn hash(args: &Hash, out: &Output) -> anyhow::Result<()> {
    let key = load_public(&args.key, out)?;
    let hash = key.hash(match args.sha {
        Sha::Sha256 => HashKind::Sha256,
        Sha::Sha384 => HashKind::Sha384,
        Sha::Sha512 => HashKind::Sha512,
    });
    let bytes = match args.encoding {
        HashEncoding::Hex => format!("{hash}\n").into_bytes(),
        HashEncoding::Raw => hash.as_bytes().to_vec(),
        HashEncoding::LangC => {
            let name = format!("{}_pub_key_hash", key.short_name());
            listing(Language::C, &name, &args.name_suffix, hash.as_bytes()).into_bytes()
        }
    };
    print(&bytes, &key, args.output.as_deref(), out)
}

/// Writes to the file, or to standard output with nothing around it.
fn print(bytes: &[u8], key: &PublicKey, to: Option<&Path>, out: &Output) -> anyhow::Result<()> {
    let facts = || {
        let hash = key.hash(HashKind::Sha256).to_string();
        json!({ "file": to, "type": key.kind().to_string(), "hash": hash })
    };
    match to {
        Some(path) => {
            files::write(path, bytes, Mode::Result)?;
            if out.json() { out.result(&facts(), |_| Ok(())) } else { Ok(()) }
        }
        None if out.json() => {
            let mut facts = facts();
            facts["output"] = match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
            };
            out.result(&facts, |_| Ok(()))
        }
        None => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes)?;
            Ok(stdout.flush()?)
        }
    }
}

/// What signs: a private key's file, a key in a token, or a program with the private half of the
/// public key in a file.
pub fn load_signing(
    name: &Path,
    program: Option<&str>,
    out: &Output,
) -> anyhow::Result<Box<dyn SigningKey>> {
    let uri = name.to_str().filter(|name| TokenUri::is_one(name));
    let key: Box<dyn SigningKey> = match (uri, program) {
        (Some(_), Some(_)) => {
            return Err(anyhow!("a token signs by itself")).usage("leave --signer out");
        }
        (Some(uri), None) => {
            let uri = TokenUri::parse(uri).usage("pkcs11:token=LABEL;object=LABEL, RFC 7512")?;
            if uri.pin.is_some() {
                out.note(format_args!(
                    "{} other users of this machine can read a pin-value: UPDRAFT_PKCS11_PIN or \
                     pin-source is for the PIN",
                    styled(WARN, "warning:")
                ));
            }
            let key = TokenKey::open(&uri, ask_pin).map_err(KeyError::from).or_else(advise);
            Box::new(key.context("the key in the token cannot be used")?)
        }
        (None, Some(program)) => {
            let key = CommandKey::new(program, load_public(name, out)?).map_err(KeyError::from);
            return Ok(Box::new(key.or_else(advise)?));
        }
        (None, None) => Box::new(load_private(name)?),
    };
    warn_if_published(name, key.public(), "anybody can sign with it", out);
    Ok(key)
}

/// Reads a private key's file.
fn load_private(path: &Path) -> anyhow::Result<Key> {
    let key = Key::from_pem(&open(path)?).or_else(advise);
    key.with_context(|| format!("{} cannot be used", path.display()))
}

/// The text of a key file, with the passphrase from the environment or the terminal if it takes
/// one.
pub fn open(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = Zeroizing::new(read(path)?);
    if !is_locked(&text) {
        return Ok(text);
    }
    let passphrase = passphrase::for_opening(&mut Terminal).ok_or(KeyError::Encrypted);
    passphrase
        .and_then(|passphrase| unlock(&text, &passphrase))
        .or_else(advise)
        .with_context(|| format!("{} cannot be used", path.display()))
}

fn ask_pin(token: &str) -> Option<Zeroizing<String>> {
    Terminal.ask_passphrase(&format!("PIN of the token {token}: "))
}

/// Reads a public key, or the public half of a private one, for any command that verifies.
pub fn load_public(path: &Path, out: &Output) -> anyhow::Result<PublicKey> {
    Ok(load_public_and_text(path, out)?.0)
}

/// The same with the PEM text that it was read from, which has no passphrase any more.
pub fn load_public_and_text(
    path: &Path,
    out: &Output,
) -> anyhow::Result<(PublicKey, Zeroizing<String>)> {
    let text = open(path)?;
    let key = PublicKey::from_pem(&text).or_else(advise);
    let key = key.with_context(|| format!("{} cannot be used", path.display()))?;
    warn_if_published(path, &key, "anybody can sign with it", out);
    Ok((key, text))
}

/// A key's name in messages: its file, or its URI without the PIN.
fn shown(name: &Path) -> String {
    match name.to_str().filter(|name| TokenUri::is_one(name)).map(TokenUri::parse) {
        Some(Ok(uri)) => uri.to_string(),
        Some(Err(_)) => "the key in the token".into(),
        None => name.display().to_string(),
    }
}

/// The text of a key file.
pub fn read(path: &Path) -> anyhow::Result<String> {
    if path.to_str().is_some_and(TokenUri::is_one) {
        return Err(anyhow!("a key in a token can sign, and nothing else"))
            .usage("give the file of its public half");
    }
    let read = std::fs::read(path);
    let bytes = read.with_context(|| format!("{} cannot be read", path.display()))?;
    // What is no text has no PEM block in it, and says so when it is looked for.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The error with what to do about it.
pub fn advise<T>(error: KeyError) -> anyhow::Result<T> {
    let remedy = error.remedy();
    Err(error).hint(remedy)
}

/// Warns of a key whose private half is published, and of what that means.
fn warn_if_published(path: &Path, key: &PublicKey, so: &str, out: &Output) {
    warn_if_known(path, &key.hash(HashKind::Sha256).to_string(), so, out);
}

/// The same of a key with this hash.
pub fn warn_if_known(path: &Path, hash: &str, so: &str, out: &Output) {
    if let Some(known) = known_key(hash) {
        out.note(format_args!(
            "{} {} is {} ({}): its private half is published, {so}",
            styled(WARN, "warning:"),
            shown(path),
            known.name,
            known.origin
        ));
    }
}

/// Refuses a key with this hash if its private half is published, and says what that means.
pub fn refuse_published(path: &Path, hash: &str, so: &str) -> anyhow::Result<()> {
    let Some(known) = known_key(hash) else { return Ok(()) };
    let (name, origin) = (known.name, known.origin);
    Err(anyhow!("{} is {name} ({origin}): {so}", shown(path))).usage(
        "`updraft key new` makes a key of your own; --allow-sample-key takes this one all the same",
    )
}

fn name_suffix(text: &str) -> Result<String, String> {
    match text.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
        true => Ok(text.into()),
        false => Err("letters, digits and underscores only".into()),
    }
}
