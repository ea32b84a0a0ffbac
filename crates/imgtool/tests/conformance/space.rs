//! The options of `sign` as a space: what can be chosen, which choices go together, and how a
//! choice is written on a command line.

use crate::differences;
use crate::random::Random;

/// Something that is chosen: an option, or what kind of file there is.
pub struct Axis {
    pub name: &'static str,
    pub values: &'static [&'static str],
}

const fn axis(name: &'static str, values: &'static [&'static str]) -> Axis {
    Axis { name, values }
}

/// Every axis. The value `-` leaves the option out; `+` is a switch.
pub const AXES: &[Axis] = &[
    axis("input", &["bin", "hex", "hex at 0", "HEX with a gap"]),
    axis("output", &["bin", "hex", "HEX"]),
    axis("body", &["repeated", "random", "one byte", "long"]),
    // Who signs: a key, or somebody else with that key.
    axis("signer", &["-", "rsa-2048", "rsa-3072", "ecdsa-p256", "ecdsa-p384", "ed25519"]),
    axis("--fix-sig", &["-", "by a public key", "by a private key", "wrong"]),
    axis("--vector-to-sign", &["-", "payload", "digest"]),
    axis("--sig-out", &["-", "sig.b64"]),
    axis("--public-key-format", &["-", "hash", "full"]),
    axis("--version", &["1.2.3+4", "0", "255.255.65535+4294967295", "10.20"]),
    axis("--header-size", &["0x20", "128", "0x2_00", "0o2001", "0X800"]),
    axis("--pad-header", &["+", "-"]),
    axis("--slot-size", &["0x18000", "131072", "0b100000000000000000", "0x00100000", "0", "-5"]),
    axis("--align", &["-", "1", "2", "4", "8", "16", "32"]),
    axis("--max-align", &["-", "8", "16", "32"]),
    axis("--max-sectors", &["-", "0", "1", "032", "1_00"]),
    axis("--pad", &["-", "+"]),
    axis("--test", &["-", "+"]),
    axis("--confirm", &["-", "+"]),
    axis("--overwrite-only", &["-", "+"]),
    axis("--erased-val", &["-", "0", "0xff"]),
    axis("--security-counter", &["-", "auto", "AUTO", "0", "4294967295", "0x1_0"]),
    axis(
        "--dependencies",
        &["-", "(1,1.2.3+4)", "(0, 1.0), (2,0.1.2)", "(255,255.255.65535+4294967295) (3x,  7)"],
    ),
    axis("--load-addr", &["-", "0x20000000", "0"]),
    axis("--rom-fixed", &["-", "0xc000", "0x0"]),
    axis("--hex-addr", &["-", "0", "0xfff0", "0x1000_0000"]),
    axis("--non-bootable", &["-", "+"]),
    axis("--pure", &["-", "+"]),
    axis("--sha", &["-", "auto", "256", "384", "512"]),
    axis("--pad-sig", &["-", "+"]),
    axis(
        "--vid",
        &[
            "-",
            "12345678-1234-5678-1234-567812345678",
            "0123456789abcdefABCDEF0123456789",
            "vendor.example",
        ],
    ),
    axis("--cid", &["-", "fedcba98-1234-5678-1234-567812345678", "a board, rev. B"]),
    axis("--custom-tlv", &["-", "0xa0 0x0102", "160 text", "0x1a2 0x", "0xa1 x|0xfffe 0x00  11"]),
    axis("--custom-tlv-file", &["-", "0xb0 payload/b.bin"]),
    axis("--boot-record", &["-", "SPE", "NSPE_SPE_XYZ"]),
    axis("--endian", &["-", "little", "big"]),
    axis(
        "--encrypt",
        &[
            "-",
            "enc-ecdsa-p256.pub",
            "enc-ecdsa-p256",
            "enc-rsa-2048.pub",
            "enc-x25519.pub",
            "enc-x25519",
            "ecdsa-p384.pub",
            "ed25519.pub",
        ],
    ),
    axis("--encrypt-keylen", &["-", "128", "256"]),
    axis("--hmac-sha", &["-", "auto", "256", "512"]),
    axis("--clear", &["-", "+"]),
    axis("--save-enctlv", &["-", "+"]),
    axis("--compression", &["-", "disabled", "lzma2", "lzma2armthumb"]),
];

/// Short names.
pub const SHORT: &[(&str, &str)] = &[
    ("--key", "-k"),
    ("--version", "-v"),
    ("--security-counter", "-s"),
    ("--dependencies", "-d"),
    ("--header-size", "-H"),
    ("--slot-size", "-S"),
    ("--max-sectors", "-M"),
    ("--endian", "-e"),
    ("--clear", "-c"),
    ("--encrypt", "-E"),
    ("--rom-fixed", "-F"),
    ("--load-addr", "-L"),
    ("--hex-addr", "-x"),
    ("--erased-val", "-R"),
];

/// A choice of a value on every axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(pub Vec<usize>);

impl Row {
    /// The value on an axis.
    pub fn value(&self, name: &str) -> &'static str {
        let at = AXES.iter().position(|axis| axis.name == name).unwrap();
        AXES[at].values[self.0[at]]
    }

    /// Whether an option is given.
    pub fn has(&self, name: &str) -> bool {
        self.value(name) != "-"
    }

    /// Whether the file gets a trailer.
    pub fn is_padded(&self) -> bool {
        self.has("--pad") || self.has("--test") || self.has("--confirm")
    }

    /// Whether the output is Intel HEX.
    pub fn writes_hex(&self) -> bool {
        self.value("output") != "bin"
    }

    /// Whether the body may end up compressed.
    pub fn compresses(&self) -> bool {
        self.value("--compression").starts_with("lzma")
    }

    /// A random row, with every option in `of` at random.
    pub fn random(random: &mut Random, of: usize) -> Self {
        Self(
            AXES.iter()
                .map(|axis| match random.one_in(of) {
                    false => 0,
                    true => random.below(axis.values.len()),
                })
                .collect(),
        )
    }

    /// Whether both tools make the same of it: what excludes each other is refused, and the known
    /// differences have a test of their own.
    pub fn goes_together(&self) -> bool {
        self.is_accepted_by_imgtool() && !differences::concern(self)
    }

    fn is_accepted_by_imgtool(&self) -> bool {
        let signer = self.value("signer");
        let (encrypt, sha) = (self.value("--encrypt"), self.value("--sha"));
        let fixed = self.has("--fix-sig");
        let address = |option| self.has(option) && !matches!(self.value(option), "0" | "0x0");
        let by_public_key = fixed && self.value("--fix-sig") != "by a private key";
        let hashes: &[&str] = match signer {
            "-" => &["-", "auto", "256", "384", "512"],
            "ed25519" => &["-", "auto", "256", "512"],
            "ecdsa-p384" => &["-", "auto", "384"],
            "ecdsa-p256" if by_public_key => &["-", "auto", "256", "512"],
            _ => &["-", "auto", "256"],
        };
        let family = match signer {
            _ if fixed => true,
            "ecdsa-p256" => matches!(encrypt, "-" | "enc-ecdsa-p256.pub" | "enc-ecdsa-p256"),
            "ecdsa-p384" => matches!(encrypt, "-" | "ecdsa-p384.pub"),
            "rsa-2048" | "rsa-3072" => matches!(encrypt, "-" | "enc-rsa-2048.pub"),
            _ => true,
        };
        let hmac = self.value("--hmac-sha") != "512"
            || matches!(encrypt, "-" | "enc-rsa-2048.pub" | "enc-x25519" | "enc-x25519.pub");
        let base = self.value("input") != "bin" || self.has("--hex-addr") || !self.writes_hex();
        let signature = !self.has("--sig-out") || (signer != "-" && !self.has("--vector-to-sign"));
        hashes.contains(&sha)
            && family
            && hmac
            && base
            && signature
            && !(fixed && signer == "-")
            && !(address("--load-addr") && address("--rom-fixed"))
            && !(self.has("--pure") && signer != "ed25519" && signer != "-")
            && (!self.has("--pure") || matches!(sha, "-" | "auto"))
            && (self.value("--cid") != "a board, rev. B" || self.has("--vid"))
            && !(self.value("body") == "long" && self.value("--slot-size") == "0x18000")
    }

    /// The words of the command line behind `sign`, in a random order and spelling; files are
    /// `input` and `output`.
    pub fn words(&self, random: &mut Random, input: &str, output: &str) -> Vec<String> {
        let mut groups: Vec<Vec<String>> = Vec::new();
        for axis in AXES.iter().filter(|axis| axis.name.starts_with("--")) {
            let value = self.value(axis.name);
            let name = self.spelling(axis.name, random);
            match (axis.name, value) {
                (_, "-") => {}
                (_, "+") => groups.push(vec![name]),
                ("--fix-sig", kind) => {
                    let ending = if kind == "by a private key" { ".pem" } else { ".pub.pem" };
                    let key = format!("keys/{}{ending}", self.value("signer"));
                    groups.push(vec!["--fix-sig".into(), "fixed.b64".into()]);
                    groups.push(vec!["--fix-sig-pubkey".into(), key]);
                }
                ("--custom-tlv" | "--custom-tlv-file", pairs) => {
                    for pair in pairs.split('|') {
                        let (tag, value) = pair.split_once(' ').unwrap();
                        groups.push(vec![axis.name.into(), tag.into(), value.into()]);
                    }
                }
                ("--encrypt", key) => {
                    groups.push(with_value(name, &format!("keys/{key}.pem"), random));
                }
                (_, value) => groups.push(with_value(name, value, random)),
            }
        }
        if self.has("signer") && !self.has("--fix-sig") {
            let key = format!("keys/{}.pem", self.value("signer"));
            groups.push(with_value(self.spelling("--key", random), &key, random));
        }
        groups.push(vec!["\u{0}in".into()]);
        random.shuffle(&mut groups);
        let mut words: Vec<String> = groups.concat();
        let at = words.iter().position(|word| word == "\u{0}in").unwrap();
        words[at] = input.into();
        // Files keep their order; the second one comes anywhere behind the first.
        words.push(output.into());
        if random.one_in(4) {
            // What is repeated counts as it was given last.
            words.splice(0..0, ["--version=9.9.9", "-H", "4096"].map(String::from));
        }
        words
    }

    fn spelling(&self, name: &'static str, random: &mut Random) -> String {
        let short = SHORT.iter().find(|(long, _)| *long == name);
        short.filter(|_| random.one_in(2)).map_or(name, |(_, short)| short).to_owned()
    }
}

/// An option and its value: in two words, with `=`, or glued.
fn with_value(name: String, value: &str, random: &mut Random) -> Vec<String> {
    match (random.below(2), name.starts_with("--")) {
        (0, true) => vec![format!("{name}={value}")],
        (0, false) => vec![format!("{name}{value}")],
        _ => vec![name, value.into()],
    }
}
