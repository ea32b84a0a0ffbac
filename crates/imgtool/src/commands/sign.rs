//! `sign`, also called `create`: makes an image.

mod options;

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use updraft_sign::hex::{self, Segment};
use updraft_sign::{
    KeyKind, Padding, PublicKey, SignError, SignOptions, SignedImage, Signer, StreamError, Written,
    make, pad, segments, sign_stream, to_be_signed,
};

use super::image_file::Content;
use super::{image_file, say, verify};
use crate::command_line::{Command, Values};
use crate::key_file::{KeyFile, unreadable};
use crate::{Console, Failure};

pub const SIGN: Command = Command {
    name: "sign",
    about: "Make an image of a build: signed, or with a hash alone. INFILE and OUTFILE are Intel \
        HEX if they are called *.hex, else binary.",
    options: options::OPTIONS,
    arguments: &["INFILE", "OUTFILE"],
    run,
};

/// The files that an image is made of.
struct Input<'c> {
    content: Content<'c>,
    /// Where the bytes lie, if the file says so.
    address: Option<u32>,
    key: Option<KeyFile>,
    recipient: Option<PublicKey>,
    /// A signature that somebody else has made, and the key.
    elsewhere: Option<(Vec<u8>, KeyFile)>,
}

fn run(values: &Values, console: &mut dyn Console) -> Result<(), Failure> {
    options::check_addresses(values)?;
    let mut input = Input::read(values, console)?;
    let options = options::of(values, &input)?;
    let out = values.argument(1);
    if image_file::is_hex(out) && input.address.is_none() && values.number("--hex-addr").is_none() {
        let message = "No address exists in input file neither was it provided by user";
        return Err(Failure::usage(message));
    }
    if let Some(wanted) = values.choice("--vector-to-sign") {
        return export(values, &mut input, &options, wanted, console);
    }
    let signature = match input.elsewhere.is_some() || image_file::is_hex(out) {
        true => sign_in_memory(values, &mut input, &options, console)?,
        false => sign_into_file(values, &mut input, &options, console)?,
    };
    match (values.text("--sig-out")?, signature) {
        (Some(path), Some(signature)) => {
            image_file::write(Path::new(path), STANDARD.encode(signature).as_bytes())
        }
        _ => Ok(()),
    }
}

/// Makes the image in what is to become the output. Returns the signature.
fn sign_into_file(
    values: &Values,
    input: &mut Input<'_>,
    options: &SignOptions,
    console: &mut dyn Console,
) -> Result<Option<Vec<u8>>, Failure> {
    let size = input.content.size();
    let signer = match &input.key {
        Some(KeyFile::Private(key)) => Signer::Key(key),
        _ => Signer::Nobody,
    };
    let path = values.argument(0);
    let mut output = image_file::begin(values.argument(1))?;
    let written = sign_stream(&mut *input.content.reader()?, size, options, signer, &mut output);
    let Written { signature, compressed } = written.map_err(|error| match error {
        StreamError::Sign(error) => failure(error),
        StreamError::Read(error) => unreadable(path, &error),
        StreamError::Write(error) => image_file::unwritten(output.error(error)),
        _ => image_file::changed(path),
    })?;
    check_sig_out(values, signature.is_some())?;
    report(input, options, compressed, signature.as_deref(), console)?;
    output.appear().map_err(image_file::unwritten)?;
    Ok(signature)
}

/// The same in memory: of an image that somebody else has signed, which is verified, and for Intel
/// HEX. Returns the signature.
fn sign_in_memory(
    values: &Values,
    input: &mut Input<'_>,
    options: &SignOptions,
    console: &mut dyn Console,
) -> Result<Option<Vec<u8>>, Failure> {
    let signer = match (&input.key, &input.elsewhere) {
        (Some(_), Some(_)) => {
            let message = "Can not sign using key and provide fixed-signature at the same time";
            return Err(Failure::usage(message));
        }
        (Some(KeyFile::Private(key)), None) => Signer::Key(key),
        (_, Some((signature, key))) => Signer::Elsewhere { key: key.public(), signature },
        (_, None) => Signer::Nobody,
    };
    let signed = make(&input.content.all()?, options, signer).map_err(failure)?;
    let SignedImage { image, signature, compressed } = signed;
    check_sig_out(values, signature.is_some())?;
    report(input, options, compressed, signature.as_deref(), console)?;
    if let Some((_, key)) = &input.elsewhere {
        warn_of_a_wrong_signature(&image, key, options, console);
    }
    save(values, input, image, options)?;
    Ok(signature)
}

fn check_sig_out(values: &Values, signed: bool) -> Result<(), Failure> {
    match values.text("--sig-out")? {
        Some(_) if !signed => {
            let cause = "there is no signature for --sig-out: nobody signs";
            Err(Failure::error(cause, "give -k KEY, or leave --sig-out out"))
        }
        _ => Ok(()),
    }
}

impl<'c> Input<'c> {
    /// Reads the files in imgtool's order, which decides what is complained about first.
    fn read(values: &'c Values, console: &mut dyn Console) -> Result<Self, Failure> {
        let (mut content, address) = image_file::open(values.argument(0), "Input file not found")?;
        let room = content.part(0, options::header_size(values))?;
        if !values.flag("--pad-header") && room.iter().any(|byte| *byte != 0) {
            let message = "Header padding was not requested and image does not start with zeros";
            return Err(Failure::usage(message));
        }
        let mut load = |option| {
            let path = values.file(option);
            path.map(|path| KeyFile::load(&path, console)).transpose()
        };
        let key = load("--key")?;
        if key.as_ref().is_some_and(|key| !key.is_private()) {
            let message = "Cannot sign with a public-only PEM; signing requires the private key.";
            return Err(Failure::usage(message));
        }
        let recipient = load("--encrypt")?.map(|key| key.public().clone());
        if let (Some(key), Some(recipient)) = (&key, &recipient) {
            check_family(key.public().kind(), recipient.kind())?;
        }
        let elsewhere = match values.file("--fix-sig") {
            None => None,
            Some(path) => {
                let signature = read_signature(&path)?;
                if values.file("--fix-sig-pubkey").is_none() {
                    let message = "public key of the fixed signature is not specified";
                    return Err(Failure::usage(message));
                }
                load("--fix-sig-pubkey")?.map(|key| (signature, key))
            }
        };
        drop(room);
        Ok(Self { content, address, key, recipient, elsewhere })
    }

    /// The key that the image names.
    fn signer(&self) -> Option<&KeyFile> {
        self.key.as_ref().or(self.elsewhere.as_ref().map(|(_, key)| key))
    }
}

/// Bootloaders have one family of algorithms, unless they check Ed25519.
fn check_family(signer: KeyKind, recipient: KeyKind) -> Result<(), Failure> {
    let same = match signer {
        KeyKind::EcdsaP256 | KeyKind::EcdsaP384 => recipient == signer,
        KeyKind::Rsa2048 | KeyKind::Rsa3072 => {
            matches!(recipient, KeyKind::Rsa2048 | KeyKind::Rsa3072)
        }
        _ => true,
    };
    match same {
        true => Ok(()),
        false => Err(Failure::usage("Signing and encryption must use the same type of key")),
    }
}

/// Reads base64, with anything else in between.
fn read_signature(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    text.retain(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    STANDARD.decode(&text).map_err(|error| {
        let cause = format!("{} is no signature in base64 ({error})", path.display());
        Failure::error(cause, "write it with `base64`, as --sig-out does")
    })
}

/// Writes what somebody else is to sign. It is never padded: a signature of a slot would not be one
/// of the image.
fn export(
    values: &Values,
    input: &mut Input<'_>,
    options: &SignOptions,
    wanted: &str,
    console: &mut dyn Console,
) -> Result<(), Failure> {
    if values.text("--sig-out")?.is_some() {
        let cause = "there is no signature for --sig-out: nobody signs";
        return Err(Failure::error(cause, "leave --sig-out out until the signature is there"));
    }
    let build = input.content.all()?.into_owned();
    let key = input.signer().map(KeyFile::public);
    let vector = to_be_signed(&build, options, key).map_err(failure)?;
    if input.key.is_none() && signs_payloads(input.elsewhere.as_ref().map(|(_, key)| key)) {
        say(console, "image.py: sign the payload")?;
    }
    say(console, &format!("image.py: export {wanted}"))?;
    let bytes = match wanted {
        "digest" => vector.digest.as_bytes().to_vec(),
        _ => vector.payload,
    };
    let unpadded = SignOptions { padding: Padding::None, ..options.clone() };
    match image_file::is_hex(values.argument(1)) {
        true => write_hex(values, input, bytes, &unpadded),
        false => image_file::write(values.argument(1), &bytes),
    }
}

/// Whether imgtool says of a private key that it signs payloads: not of Ed25519.
fn signs_payloads(key: Option<&KeyFile>) -> bool {
    key.is_some_and(|key| {
        key.is_private() && !matches!(key.public().kind(), KeyKind::Ed25519 | KeyKind::X25519)
    })
}

/// Prints what imgtool prints: twice of an image that is compressed, which is signed twice.
fn report(
    input: &Input<'_>,
    options: &SignOptions,
    compressed: Option<(usize, usize)>,
    signature: Option<&[u8]>,
    console: &mut dyn Console,
) -> Result<(), Failure> {
    let line = match (&input.key, &input.elsewhere) {
        (Some(_), _) if signs_payloads(input.key.as_ref()) => Some("image.py: sign the payload"),
        (Some(_), _) => Some("image.py: sign the digest"),
        (None, Some((_, key))) if signs_payloads(Some(key)) => Some("image.py: sign the payload"),
        (None, _) => None,
    };
    line.map_or(Ok(()), |line| say(console, line))?;
    let Some((compressed, original)) = compressed else { return Ok(()) };
    say(console, &format!("compressed image size: {compressed} bytes"))?;
    say(console, &format!("original image size: {original} bytes"))?;
    let hash =
        options.hash.or(input.key.as_ref().and_then(|key| {
            key.public().scheme().and_then(|scheme| scheme.usual_hash(options.pure))
        }));
    let tlvs = 4 + hash.unwrap_or_default().size() + signature.map_or(0, <[u8]>::len);
    match line.filter(|_| compressed + tlvs < original) {
        Some(line) => say(console, line),
        None => Ok(()),
    }
}

/// A signature that does not hold is found out on the device otherwise.
fn warn_of_a_wrong_signature(
    image: &[u8],
    key: &KeyFile,
    options: &SignOptions,
    console: &mut dyn Console,
) {
    let encrypted = options.encryption.as_ref().is_some_and(|it| !it.clear);
    if encrypted || options.endian != updraft_sign::Endian::Little {
        return;
    }
    if !verify(image, Some(key)).is_ok_and(|verdict| verdict.refusal().is_none()) {
        console.err(
            "Warning: the signature of --fix-sig does not hold for this image and the key of \
             --fix-sig-pubkey; was the vector made with the same options?",
        );
    }
}

fn save(
    values: &Values,
    input: &Input<'_>,
    mut image: Vec<u8>,
    options: &SignOptions,
) -> Result<(), Failure> {
    let out = values.argument(1);
    if image_file::is_hex(out) {
        return write_hex(values, input, image, options);
    }
    pad(&mut image, options).map_err(failure)?;
    image_file::write(out, &image)
}

fn write_hex(
    values: &Values,
    input: &Input<'_>,
    image: Vec<u8>,
    options: &SignOptions,
) -> Result<(), Failure> {
    let address = match (values.number("--hex-addr"), input.address) {
        (Some(given), _) => u32::try_from(given).map_err(|_| {
            let hint = "addresses are 0 to 0xffffffff";
            Failure::error(format!("{given:#x} is no address"), hint)
        })?,
        // imgtool takes 0 for an address that is not known.
        (None, Some(0) | None) => 0,
        (None, Some(from)) if options.pad_header => {
            from.checked_sub(options.header_size).ok_or_else(|| {
                let size = options.header_size;
                let cause = format!("there are no {size:#x} bytes before {from:#x} for the header");
                Failure::error(cause, "give -x ADDR, or link the build further up")
            })?
        }
        (None, Some(from)) => from,
    };
    let segments: Vec<Segment> = segments(image, options, address).map_err(failure)?;
    image_file::write(values.argument(1), hex::emit(&segments).as_bytes())
}

/// The error in imgtool's words where it has any, and with its exit code.
fn failure(error: SignError) -> Failure {
    match &error {
        SignError::TooLarge { image, trailer, slot } => Failure::usage(format!(
            "Image size ({image:#x}) + trailer ({trailer:#x}) exceeds requested size {slot:#x}"
        )),
        SignError::Address { .. }
        | SignError::ShorterThanHeader { .. }
        | SignError::TooManyTlvs
        | SignError::Compression(_)
        | SignError::Key(_) => Failure::error(&error, error.remedy()),
        _ => Failure::usage(format!("{error}: {}", error.remedy())),
    }
}
