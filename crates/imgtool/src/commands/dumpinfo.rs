//! `dumpinfo`: header, TLVs and trailer, for people and for programs.

use updraft_image::{Flags, TlvType, TrailerLayout, magic_bytes};

use super::tlvs::{Image, Tlv};
use super::{image_file, print, say};
use crate::command_line::{Command, Opt, Takes, Values};
use crate::document::{Value, json, yaml};
use crate::{Console, Failure};

mod human;

pub const DUMPINFO: Command = Command {
    name: "dumpinfo",
    about: "Print what the header, the TLVs and the trailer of an image say.",
    options: &[
        Opt::flag("--silent", "Of no effect, as in imgtool.").short('s'),
        Opt::new(
            "--format",
            Takes::Choice(&["human", "yaml", "json"]),
            "Default: human on standard output, yaml into a file.",
        )
        .short('f'),
        Opt::new("--outfile", Takes::Text("filename"), "The file to write.").short('o'),
    ],
    arguments: &["IMGFILE"],
    run,
};

/// Everything that is printed.
struct Info<'i> {
    filename: String,
    header: Header,
    protected: Option<(u16, u16)>,
    protected_tlvs: Vec<Tlv<'i>>,
    unprotected: (u16, u16),
    tlvs: Vec<Tlv<'i>>,
    trailer: Option<Trailer>,
}

struct Header {
    magic: u32,
    load_addr: u32,
    hdr_size: u16,
    protected_tlv_size: u16,
    img_size: u32,
    flags: u32,
    version: String,
}

/// What stands at the end of a file that does not end with the image.
struct Trailer {
    magic: [u8; 16],
    fields: Option<Fields>,
}

struct Fields {
    image_ok: u8,
    copy_done: u8,
    swap_info: u8,
    swap_size: u32,
    key_field_len: Option<u32>,
}

fn run(values: &Values, console: &mut dyn Console) -> Result<(), Failure> {
    let path = values.argument(0);
    let missing = format!("Image file not found ({})", path.display());
    let (mut content, _) = image_file::open(path, &missing)?;
    let file = content.all()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let info = Info::of(name, &file)?;
    if info.trailer.as_ref().is_some_and(|trailer| trailer.fields.is_none()) {
        say(console, "Warning: the trailer magic value is invalid!")?;
    }
    let to = values.file("--outfile");
    let format = values.choice("--format").unwrap_or(if to.is_some() { "yaml" } else { "human" });
    let mut text = match format {
        "json" => json(&info.document()),
        "yaml" => yaml(&info.document()),
        _ => human::text(&info),
    };
    match to {
        Some(path) => image_file::write(&path, text.as_bytes()),
        None => {
            if format == "json" {
                text.push('\n');
            }
            print(console, text.as_bytes())
        }
    }
}

impl<'i> Info<'i> {
    fn of(filename: String, file: &'i [u8]) -> Result<Self, Failure> {
        let image = Image::whole(file);
        let [major, minor] = image.array(20)?;
        let header = Header {
            magic: image.u32(0)?,
            load_addr: image.u32(4)?,
            hdr_size: image.u16(8)?,
            protected_tlv_size: image.u16(10)?,
            img_size: image.u32(12)?,
            flags: image.u32(16)?,
            version: format!("{major}.{minor}.{}+{}", image.u16(22)?, image.u32(24)?),
        };
        let area = |at: usize| -> Result<_, Failure> {
            let (magic, total) = (image.u16(at)?, image.u16(at + 2)?);
            let (tlvs, behind) = image.tlvs(at + 4, at + usize::from(total))?;
            Ok(((magic, total), tlvs, at + usize::from(total), behind))
        };
        let mut at = usize::from(header.hdr_size) + header.img_size as usize;
        let (mut protected, mut protected_tlvs) = (None, Vec::new());
        if header.protected_tlv_size != 0 {
            let (info, tlvs, _, behind) = area(at)?;
            (protected, protected_tlvs, at) = (Some(info), tlvs, behind);
        }
        let (unprotected, tlvs, end, _) = area(at)?;
        let trailer = match file.len() == end {
            true => None,
            false => Some(Trailer::of(image, header.flags)?),
        };
        Ok(Self { filename, header, protected, protected_tlvs, unprotected, tlvs, trailer })
    }

    fn document(&self) -> Value {
        let number = |value: u32| Value::Number(value.into());
        let area = |info: Option<(u16, u16)>| {
            Value::Map(info.map_or(Vec::new(), |(magic, total)| {
                vec![("magic", number(magic.into())), ("tlv_tot", number(total.into()))]
            }))
        };
        let tlvs = |tlvs: &[Tlv<'_>]| {
            let entry = |tlv: &Tlv<'_>| {
                Value::Map(vec![
                    ("type", number(tlv.kind.into())),
                    ("type_name", Value::Text(type_name(tlv.kind).into())),
                    ("len", number(tlv.len.into())),
                    ("data", Value::Bytes(tlv.payload.to_vec())),
                ])
            };
            Value::List(tlvs.iter().map(entry).collect())
        };
        let header = &self.header;
        let trailer = self.trailer.as_ref().map_or(Vec::new(), |trailer| {
            let mut entries = vec![("magic", Value::Bytes(trailer.magic.to_vec()))];
            if let Some(fields) = &trailer.fields {
                entries.extend([
                    ("image_ok", number(fields.image_ok.into())),
                    ("copy_done", number(fields.copy_done.into())),
                    ("swap_info", number(fields.swap_info.into())),
                    ("swap_size", number(fields.swap_size)),
                ]);
                entries.extend(fields.key_field_len.map(|len| ("key_field_len", number(len))));
            }
            entries
        });
        Value::Map(vec![
            ("filename", Value::Text(self.filename.clone())),
            (
                "header",
                Value::Map(vec![
                    ("magic", number(header.magic)),
                    ("load_addr", number(header.load_addr)),
                    ("hdr_size", number(header.hdr_size.into())),
                    ("protected_tlv_size", number(header.protected_tlv_size.into())),
                    ("img_size", number(header.img_size)),
                    ("flags", number(header.flags)),
                    ("version", Value::Text(header.version.clone())),
                ]),
            ),
            (
                "tlv_area",
                Value::Map(vec![
                    ("tlv_hdr_prot", area(self.protected)),
                    ("tlvs_prot", tlvs(&self.protected_tlvs)),
                    ("tlv_hdr", area(Some(self.unprotected))),
                    ("tlvs", tlvs(&self.tlvs)),
                ]),
            ),
            ("trailer", Value::Map(trailer)),
        ])
    }
}

impl Trailer {
    /// The end of the file, read as a trailer. Its magic tells how far apart the fields are.
    fn of(image: Image<'_>, flags: u32) -> Result<Self, Failure> {
        let magic: [u8; 16] = image.array(image.size().saturating_sub(16))?;
        let align = match magic {
            magic if magic == magic_bytes(8) => 8,
            [low, high, rest @ ..] if rest == magic_bytes(16)[2..] => {
                u32::from(u16::from_le_bytes([low, high]))
            }
            _ => return Ok(Self { magic, fields: None }),
        };
        let step = align as usize;
        let field = |number: usize| {
            let at = image.size().checked_sub(step.max(16) + number * step);
            at.ok_or_else(|| Failure::error("the file is shorter than its trailer", "is it whole?"))
        };
        let flag =
            |number| field(number).and_then(|at| image.array(at)).map(|[byte]: [u8; 1]| byte);
        let (image_ok, copy_done, swap_info) = (flag(1)?, flag(2)?, flag(3)?);
        let swap_size = image.u32(field(4)?)?;
        let encrypted = Flags(flags).intersects(Flags::ENCRYPTED);
        if encrypted && !TrailerLayout::MAX_ALIGNS.contains(&align) {
            let cause = format!("the trailer's alignment is {align}");
            return Err(Failure::error(cause, "trailers are aligned to 8, 16 or 32"));
        }
        let key_field_len = encrypted.then(|| 2 * align.max(16));
        let fields = Fields { image_ok, copy_done, swap_info, swap_size, key_field_len };
        Ok(Self { magic, fields: Some(fields) })
    }
}

/// imgtool's name of a type of TLVs.
fn type_name(kind: u16) -> &'static str {
    match TlvType(kind) {
        TlvType::ECDSA_SIG => "ECDSASIG",
        TlvType::ECDSA224 => "UNKNOWN",
        kind => kind.name().unwrap_or("UNKNOWN"),
    }
}
