//! A device with two slots of 64 KiB in recovery, images for it, and a client.

use serde_json::{Value, json};
use updraft_flash::{AreaEntry, AreaId, FlashMap, Kind, SlotSource, TrailerAccess, TrailerFormat};
use updraft_image::{
    BoardIds, Digest, HashKind, Header, Rules, Source, Strictness, TlvKind, TlvType, TlvWriter,
    UpgradeMode, Validated, Verifier, Version, validate,
};
use updraft_recovery::{Config, Hooks, ImageSlots, Images, Offers, Recovery};
use updraft_sim::flash::{DeviceSpec, SimFlash};
use updraft_smp::server::{Answer, Failure, Request, Reset};
use updraft_smp::{Op, Rc};

pub const PRIMARY: AreaId = AreaId(1);
pub const SECONDARY: AreaId = AreaId(2);
pub const SCRATCH: AreaId = AreaId(3);
pub const SLOT: u32 = 64 * 1024;
pub const SECTOR: u32 = 4096;
/// What the bootloader takes, and this is less than the slot.
pub const LARGEST: u32 = 48 * 1024;
pub const CLASS: [u8; 16] = [2; 16];
pub const BOARD: BoardIds = BoardIds { vendor: Some([1; 16]), class: Some(CLASS), required: false };

/// A device's flash: two slots and a scratch area in 4 KiB sectors.
pub fn flash(kind: Kind, write_size: u32, erased: u8) -> SimFlash {
    let rows = kind.writes_replace();
    let sector = if rows { write_size } else { SECTOR };
    let spec = DeviceSpec {
        kind,
        erased,
        ..DeviceSpec::nor((2 * SLOT + SECTOR) / sector, sector, write_size)
    };
    let area = |id, offset, size| AreaEntry { id, device: 0, offset, size };
    let table =
        vec![area(PRIMARY, 0, SLOT), area(SECONDARY, SLOT, SLOT), area(SCRATCH, 2 * SLOT, SECTOR)];
    SimFlash::new(vec![spec], table)
}

pub fn nor() -> SimFlash {
    flash(Kind::Nor, 4, 0xff)
}

pub fn config(mode: UpgradeMode) -> Config {
    Config {
        images: Images::one(ImageSlots {
            primary: PRIMARY,
            secondary: Some(SECONDARY),
            max_size: LARGEST,
        }),
        trailers: TrailerFormat { mode, max_align: 8, max_sectors: 16, keys: None },
        scratch: None,
        rules: Rules { board: Some(BOARD), ..Rules::default() },
        buffer: 1024,
    }
}

pub fn imitating(config: Config) -> Config {
    Config { rules: Rules { strictness: Strictness::Imitate, ..config.rules }, ..config }
}

/// What images are made with.
#[derive(Clone, Copy)]
pub struct Recipe {
    pub header: Header,
    pub class: [u8; 16],
    pub seed: u8,
}

impl Recipe {
    pub fn new(version: Version, body: u32) -> Self {
        let header = Header { hdr_size: 512, img_size: body, version, ..Header::default() };
        Self { header, class: CLASS, seed: version.major }
    }

    /// An unsigned image with an intact hash.
    pub fn image(&self) -> Vec<u8> {
        let mut image = self.header.emit().to_vec();
        image.resize(self.header.hdr_size.into(), 0);
        image.extend((0..self.header.img_size).map(|at| (at * 7 + at / 251) as u8 ^ self.seed));
        let mut area = [0; 128];
        let mut tlvs = TlvWriter::new(TlvKind::Protected, &mut area).expect("there is room");
        tlvs.push(TlvType::UUID_CID, &self.class).expect("there is room");
        let protected = tlvs.finish().to_vec();
        image.extend(&protected);
        let size = (protected.len() as u16).to_le_bytes();
        image[10..12].copy_from_slice(&size);
        let hash = Digest::of(HashKind::Sha256, &image);
        let mut area = [0; 128];
        let mut tlvs = TlvWriter::new(TlvKind::Unprotected, &mut area).expect("there is room");
        tlvs.push(TlvType::SHA256, hash.as_bytes()).expect("there is room");
        image.extend_from_slice(tlvs.finish());
        image
    }
}

pub const V1: Version = Version::new(1, 0, 0, 0);
pub const V2: Version = Version::new(2, 0, 0, 0);

pub fn image(version: Version, body: u32) -> Vec<u8> {
    Recipe::new(version, body).image()
}

pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    Digest::of(HashKind::Sha256, bytes).as_bytes().to_vec()
}

/// A board that offers everything; its own group 64 echoes, its busy reset needs force.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything {
    pub busy: bool,
}

impl Hooks for Everything {
    const OFFERS: Offers = Offers { direct_upload: false, ..Offers::ALL };

    fn may_reset(&mut self, force: bool) -> bool {
        force || !self.busy
    }

    fn command<M: FlashMap>(
        &mut self,
        flash: &mut M,
        request: &Request<'_>,
        answer: &mut Answer<'_>,
    ) -> Result<(), Failure> {
        match (request.header.group, request.command()) {
            (64, (3, Op::Write)) => answer.str("own", "yes"),
            // What became of images, in the words of the original's custom list.
            (64, (1, Op::Read)) => {
                let mut bytes = [0; Header::SIZE];
                flash.read(PRIMARY, 0, &mut bytes).map_err(|_| Rc::UNKNOWN)?;
                let version = Header::parse(&bytes).map_err(|_| Rc::NO_ENTRY)?.version;
                answer.str("0", &format!("ver={version},install_stat=7"))
            }
            _ => Err(Rc::NOT_SUPPORTED.into()),
        }
    }
}

/// The same, with uploads to every slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

impl Hooks for Direct {
    const OFFERS: Offers = Offers::ALL;
}

/// The longest head that any flash of these tests needs.
pub const HEAD: usize = 512;

/// A device in recovery, and the client that talks to it.
pub struct Device<V, H> {
    pub recovery: Recovery<SimFlash, V, H, HEAD>,
    pub resets: Vec<Reset>,
    sequence: u8,
}

impl<V: Verifier, H: Hooks> Device<V, H> {
    pub fn new(config: Config, flash: SimFlash, verifier: V, hooks: H) -> Self {
        let recovery = Recovery::new(config, flash, verifier, hooks);
        Self { recovery, resets: Vec::new(), sequence: 0 }
    }

    pub fn flash(&mut self) -> &mut SimFlash {
        self.recovery.map()
    }

    /// The answer to a message.
    pub fn message(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = [0; 1024];
        let reply = self.recovery.handle(message, &mut buffer)?;
        self.resets.extend(reply.reset);
        Some(buffer[..reply.len].to_vec())
    }

    /// The decoded answer to a request.
    pub fn ask(&mut self, op: Op, group: u16, id: u8, payload: &Value) -> Value {
        self.sequence = self.sequence.wrapping_add(1);
        let payload = cbor::encode(payload);
        let header = WireHeader::request(op, group, id, self.sequence, payload.len());
        let answer = self.message(&[&header[..], &payload].concat()).expect("an answer");
        assert_eq!(answer[0] & 7, header[0] + 1);
        assert_eq!(answer[4..8], header[4..8], "the request's group, sequence and id");
        assert_eq!(usize::from(u16::from_be_bytes([answer[2], answer[3]])), answer.len() - 8);
        cbor::decode(&answer[8..])
    }

    pub fn list(&mut self) -> Value {
        self.ask(Op::Read, 1, 0, &json!({}))
    }

    /// Sends one chunk.
    pub fn chunk(&mut self, keys: Value, data: &[u8]) -> Value {
        let mut keys = keys;
        keys["data"] = bytes(data);
        self.ask(Op::Write, 1, 1, &keys)
    }

    /// Sends the first `n` bytes of `file` with its hash, and returns the answer.
    pub fn first(&mut self, file: &[u8], n: usize) -> Value {
        let keys = json!({ "off": 0, "len": file.len(), "sha": bytes(&sha256(file)) });
        self.chunk(keys, &file[..n])
    }

    /// Uploads `file` in chunks of `chunk` bytes, and returns the last answer and the bytes sent.
    pub fn upload(&mut self, file: &[u8], chunk: usize) -> (Value, usize) {
        self.upload_as(json!({ "sha": bytes(&sha256(file)) }), file, chunk)
    }

    /// The same with the keys of the first chunk that are `keys`.
    pub fn upload_as(&mut self, keys: Value, file: &[u8], chunk: usize) -> (Value, usize) {
        let (mut off, mut sent) = (0, 0);
        for _ in 0..10_000 {
            let end = (off + chunk).min(file.len());
            let mut now = if off == 0 { keys.clone() } else { json!({}) };
            now["off"] = off.into();
            if off == 0 {
                now["len"] = file.len().into();
            }
            let answer = self.chunk(now, &file[off..end]);
            sent += end - off;
            if answer["rc"] != 0 || answer["off"] == file.len() {
                return (answer, sent);
            }
            off = answer["off"].as_u64().expect("an offset") as usize;
        }
        panic!("the upload does not end");
    }
}

/// The header of a message, by hand: the crate's own is under test.
struct WireHeader;

impl WireHeader {
    fn request(op: Op, group: u16, id: u8, sequence: u8, len: usize) -> [u8; 8] {
        let (group, len) = (group.to_be_bytes(), (len as u16).to_be_bytes());
        [op.bits(), 0, len[0], len[1], group[0], group[1], sequence, id]
    }
}

/// The image at offset `start` of `area`, if it is valid.
pub fn valid<V: Verifier>(
    flash: &mut SimFlash,
    area: AreaId,
    start: u32,
    rules: &Rules,
    verifier: &mut V,
) -> Option<(Version, Validated)> {
    let mut source = SlotSource::at(flash, area, start);
    let mut bytes = [0; Header::SIZE];
    source.read(0, &mut bytes).ok()?;
    let header = Header::parse(&bytes).ok()?;
    let validated = validate(&mut source, &header, rules, verifier).ok()?;
    Some((header.version, validated))
}

/// The trailer of a slot.
pub fn trailer(config: &Config, flash: &SimFlash, area: AreaId) -> TrailerAccess {
    let width = flash.info(area).expect("a slot").write_size;
    config.trailers.trailer(flash, area, width).expect("a trailer")
}

/// Byte strings in JSON: hexadecimal digits behind a mark.
pub fn bytes(bytes: &[u8]) -> Value {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Value::String(format!("hex:{digits}"))
}

/// CBOR by hand, so that what is tested does not vouch for itself.
pub mod cbor {
    use serde_json::Value;

    fn head(major: u8, n: u64, out: &mut Vec<u8>) {
        let major = major << 5;
        match n {
            0..24 => out.push(major | n as u8),
            24..0x100 => out.extend([major | 24, n as u8]),
            0x100..0x1_0000 => {
                out.push(major | 25);
                out.extend((n as u16).to_be_bytes());
            }
            _ => {
                out.push(major | 26);
                out.extend((n as u32).to_be_bytes());
            }
        }
    }

    pub fn encode(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        put(value, &mut out);
        out
    }

    fn put(value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Bool(flag) => out.push(0xf4 | u8::from(*flag)),
            Value::Number(number) => head(0, number.as_u64().expect("unsigned"), out),
            Value::String(text) => match text.strip_prefix("hex:") {
                Some(digits) => {
                    head(2, digits.len() as u64 / 2, out);
                    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex");
                    out.extend((0..digits.len()).step_by(2).map(byte));
                }
                None => {
                    head(3, text.len() as u64, out);
                    out.extend(text.bytes());
                }
            },
            Value::Array(items) => {
                head(4, items.len() as u64, out);
                items.iter().for_each(|item| put(item, out));
            }
            Value::Object(map) => {
                head(5, map.len() as u64, out);
                for (key, value) in map {
                    put(&Value::String(key.clone()), out);
                    put(value, out);
                }
            }
            Value::Null => out.push(0xf6),
        }
    }

    pub fn decode(mut bytes: &[u8]) -> Value {
        let value = take(&mut bytes);
        assert!(bytes.is_empty(), "{bytes:02x?} behind the answer");
        value
    }

    fn number(info: u8, bytes: &mut &[u8]) -> usize {
        let len = match info {
            0..24 => return info.into(),
            24 => 1,
            25 => 2,
            26 => 4,
            _ => panic!("{info}"),
        };
        let (number, rest) = bytes.split_at(len);
        *bytes = rest;
        number.iter().fold(0, |n, byte| n << 8 | usize::from(*byte))
    }

    fn take(bytes: &mut &[u8]) -> Value {
        let first = bytes[0];
        *bytes = &bytes[1..];
        match first {
            0xf4 | 0xf5 => return Value::Bool(first == 0xf5),
            0x9f => {
                let mut items = Vec::new();
                while bytes[0] != 0xff {
                    items.push(take(bytes));
                }
                *bytes = &bytes[1..];
                return Value::Array(items);
            }
            0xbf => {
                let mut map = serde_json::Map::new();
                while bytes[0] != 0xff {
                    let key = take(bytes);
                    map.insert(key.as_str().expect("a text key").to_owned(), take(bytes));
                }
                *bytes = &bytes[1..];
                return Value::Object(map);
            }
            _ => {}
        }
        let n = number(first & 31, bytes);
        match first >> 5 {
            0 => n.into(),
            2 => {
                let (string, rest) = bytes.split_at(n);
                *bytes = rest;
                super::bytes(string)
            }
            3 => {
                let (string, rest) = bytes.split_at(n);
                *bytes = rest;
                String::from_utf8(string.to_vec()).expect("text").into()
            }
            other => panic!("major type {other}"),
        }
    }
}
