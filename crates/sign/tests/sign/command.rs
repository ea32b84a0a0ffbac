//! imgtool command lines, read into our options.

use updraft_board::{class_id, vendor_id};
use updraft_image::{HashKind, KeyLength, TlvType, UpgradeMode, Version};
use updraft_sign::{
    Compression, Encryption, KeyFormat, Padding, Placement, PublicKey, Recipient, SecurityCounter,
    SignOptions, dependencies, parse_custom_tlv,
};

use crate::vectors::{file, text};

/// One `imgtool sign` command.
pub struct Command {
    pub options: SignOptions,
    pub key: Option<String>,
    /// Whom it is encrypted for.
    pub encrypt: Option<String>,
    pub input: String,
    pub output: String,
    /// `--hex-addr`.
    pub base: Option<u32>,
}

/// Splits as a shell does, as far as single quotes go.
pub fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn number(text: &str) -> u32 {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

impl Command {
    /// Reads the words behind `imgtool sign`; an error names the feature that is left out.
    pub fn parse(words: &[String]) -> Result<Self, &'static str> {
        let mut options = SignOptions::new(Version::default(), 0, 0);
        let (mut key, mut vendor, mut class, mut base) = (None, None, None, None);
        let (mut encrypt, mut keylen, mut hmac) = (None, "128".to_owned(), "auto".to_owned());
        let (mut clear, mut save_wrapped) = (false, false);
        let mut files = Vec::new();
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap();
            match word {
                "-k" => key = Some(value().to_owned()),
                "-H" => options.header_size = number(value()),
                "-S" => options.slot_size = number(value()),
                "-v" => options.version = value().parse().unwrap(),
                "-M" => options.max_sectors = number(value()),
                "-R" => options.erased = number(value()) as u8,
                // A further file, of the signature alone.
                "--sig-out" => drop(value()),
                "-x" => base = Some(number(value())),
                "-L" => options.placement = Placement::RamLoad(number(value())),
                "-F" => options.placement = Placement::RomFixed(number(value())),
                "-d" => options.dependencies = dependencies(value()).unwrap(),
                "-s" => {
                    options.security_counter = Some(match value() {
                        "auto" => SecurityCounter::FromVersion,
                        text => SecurityCounter::Value(number(text)),
                    });
                }
                "--pad-header" => options.pad_header = true,
                "--pad" | "--test" => options.padding = Padding::Pending,
                "--confirm" => options.padding = Padding::Confirmed,
                "--overwrite-only" => options.mode = UpgradeMode::OverwriteOnly,
                "--non-bootable" => options.non_bootable = true,
                "--pure" => options.pure = true,
                "--pad-sig" => options.pad_signature = true,
                "--align" => options.align = number(value()),
                "--max-align" => options.max_align = Some(number(value())),
                "--boot-record" => options.boot_record = Some(value().to_owned()),
                "--vid" => vendor = Some(value()),
                "--cid" => class = Some(value()),
                "--sha" => {
                    options.hash = match value() {
                        "256" => Some(HashKind::Sha256),
                        "384" => Some(HashKind::Sha384),
                        "512" => Some(HashKind::Sha512),
                        _ => None,
                    };
                }
                "--public-key-format" => {
                    options.key_format = match value() {
                        "full" => KeyFormat::Full,
                        _ => KeyFormat::Hash,
                    };
                }
                "--custom-tlv" => {
                    let kind = TlvType(number(value()) as u16);
                    options.custom_tlvs.push((kind, parse_custom_tlv(value()).unwrap()));
                }
                "--custom-tlv-file" => {
                    let kind = TlvType(number(value()) as u16);
                    options.custom_tlvs.push((kind, file(value())));
                }
                "-E" => encrypt = Some(value().to_owned()),
                "--encrypt-keylen" => keylen = value().to_owned(),
                "--hmac-sha" => hmac = value().to_owned(),
                "--clear" => clear = true,
                "--save-enctlv" => save_wrapped = true,
                "--compression" => {
                    options.compression = match value() {
                        "lzma2" => Some(Compression::Lzma2),
                        "lzma2armthumb" => Some(Compression::Lzma2ArmThumb),
                        _ => None,
                    };
                }
                "-e" => return Err("big-endian images are for no boot loader"),
                "--vector-to-sign" => return Err("signing elsewhere is not supported yet"),
                "--fix-sig" => return Err("signing elsewhere is not supported yet"),
                option if option.starts_with('-') => panic!("unknown option {option}"),
                file => files.push(file.to_owned()),
            }
        }
        options.vendor_id = vendor.map(|text| vendor_id(text).unwrap());
        options.class_id = class.map(|text| class_id(text, options.vendor_id).unwrap());
        options.encryption = encrypt.as_deref().map(|file: &str| {
            let recipient = Recipient::Device(PublicKey::from_pem(&text(file)).unwrap());
            let aes256 = keylen == "256";
            let key_length = if aes256 { KeyLength::Aes256 } else { KeyLength::Aes128 };
            let sha512 = hmac == "512";
            Encryption { key_length, sha512, clear, save_wrapped, ..Encryption::new(recipient) }
        });
        let [input, output] = files.try_into().unwrap();
        Ok(Self { options, key, encrypt, input, output, base })
    }
}
