//! The dump for people: frames of number signs, sixty columns wide.

use updraft_image::Flags;

use super::{Fields, Info, Tlv, Trailer, type_name};

const WIDTH: usize = 60;
const INDENT: &str = "       ";
/// Flags by name, in imgtool's order.
const FLAGS: [(&str, u32); 9] = [
    ("PIC", 0x1),
    ("ENCRYPTED_AES128", Flags::ENCRYPTED_AES128.0),
    ("ENCRYPTED_AES256", Flags::ENCRYPTED_AES256.0),
    ("NON_BOOTABLE", Flags::NON_BOOTABLE.0),
    ("RAM_LOAD", Flags::RAM_LOAD.0),
    ("ROM_FIXED", Flags::ROM_FIXED.0),
    ("COMPRESSED_LZMA1", 0x200),
    ("COMPRESSED_LZMA2", Flags::COMPRESSED_LZMA2.0),
    ("COMPRESSED_ARM_THUMB", Flags::COMPRESSED_ARM_THUMB.0),
];

/// All of it.
pub fn text(info: &Info<'_>) -> String {
    let mut out = format!("Printing content of signed image: {} \n\n", info.filename);
    let header = &info.header;
    out += &row("Image header (offset: 0x0)");
    for (name, value) in [
        ("magic", hex(header.magic)),
        ("load_addr", hex(header.load_addr)),
        ("hdr_size", hex(header.hdr_size)),
        ("protected_tlv_size", hex(header.protected_tlv_size)),
        ("img_size", hex(header.img_size)),
        ("flags", flags(header.flags)),
        ("version", header.version.clone()),
    ] {
        out += &format!("{:<20}{value}\n", format!("{name}:"));
    }
    out += &line();

    let mut offset = u64::from(header.hdr_size);
    out += &row(&format!("Payload (offset: {})", hex(offset)));
    let empty = format!("|{}|\n", " ".repeat(WIDTH - 2));
    out += &empty;
    let content = format!("FW image (size: {} Bytes)", hex(header.img_size));
    let before = (WIDTH - content.len()) / 2 - 1;
    let behind = WIDTH - before - content.len() - 2;
    out += &format!("|{}{content}{}|\n", " ".repeat(before), " ".repeat(behind));
    out += &empty;
    out += &line();

    offset += u64::from(header.img_size);
    if let Some(area) = info.protected {
        out += &row(&format!("Protected TLV area (offset: {})", hex(offset)));
        out += &tlvs(area, &info.protected_tlvs);
    }
    offset += u64::from(header.protected_tlv_size);
    out += &row(&format!("TLV area (offset: {})", hex(offset)));
    out += &tlvs(info.unprotected, &info.tlvs);
    if let Some(shown) = &info.trailer {
        out += &trailer(shown);
    }
    out + &row("End of Image ")
}

fn hex(number: impl Into<u64>) -> String {
    format!("{:#x}", number.into())
}

fn line() -> String {
    "#".repeat(WIDTH) + "\n"
}

fn row(title: &str) -> String {
    let row = format!("#### {title} ");
    format!("{row}{}\n", "#".repeat(WIDTH.saturating_sub(row.len())))
}

fn flags(flags: u32) -> String {
    if flags == 0 {
        return hex(flags);
    }
    let set = FLAGS.iter().filter(|(_, flag)| flags & flag != 0);
    let set: Vec<_> = set.map(|(name, flag)| format!("{name} ({})", hex(*flag))).collect();
    set.join(&format!("\n{}", " ".repeat(20)))
}

fn tlvs((magic, total): (u16, u16), tlvs: &[Tlv<'_>]) -> String {
    let mut out = format!("magic:     {}\narea size: {}\n", hex(magic), hex(total));
    for tlv in tlvs {
        out += &format!("{INDENT} {}\n", "-".repeat(45));
        out += &format!("{INDENT} type: {} ({})\n", type_name(tlv.kind), hex(tlv.kind));
        out += &format!("{INDENT} len:  {}\n", hex(tlv.len));
        out += &format!("{INDENT} data: ");
        for (number, bytes) in tlv.payload.chunks(8).enumerate() {
            if number > 0 {
                out += &format!("\n{INDENT}       ");
            }
            bytes.iter().for_each(|byte| out += &format!("{byte:#04x} "));
        }
        out.push('\n');
    }
    // Python prints no lines as an empty one.
    if tlvs.is_empty() {
        out.push('\n');
    }
    out + &line()
}

fn trailer(Trailer { magic, fields }: &Trailer) -> String {
    let mut out = row("Image trailer (offset: unknown)");
    out += "(Note: some fields may not be used, depending on the update \nstrategy)\n\n";
    out += "swap status: (len: unknown)\n";
    let keys = fields.as_ref().and_then(|fields| fields.key_field_len);
    out += &match keys {
        Some(len) => {
            format!("enc. keys:   (len: {}, if BOOT_SWAP_SAVE_ENCTLV is unset)\n", hex(len))
        }
        None => "enc. keys:   Image not encrypted\n".into(),
    };
    if let Some(Fields { image_ok, copy_done, swap_info, swap_size, .. }) = fields {
        out += &match *swap_size {
            u32::MAX => "swap size:   unknown\n".to_owned(),
            size => format!("swap size:   {} octal: {size}\n", hex(size)),
        };
        for (name, value) in
            [("swap_info", swap_info), ("copy_done", copy_done), ("image_ok", image_ok)]
        {
            let state = match value {
                1 => "SET",
                2 => "BAD",
                3 => "UNSET",
                4 => "ANY",
                _ => "INVALID",
            };
            out += &format!("{:<13}{state} ({})\n", format!("{name}:"), hex(*value));
        }
    }
    out += "boot magic:  ";
    for (number, byte) in magic.iter().enumerate() {
        out += &format!("{byte:#04x} ");
        if number == 7 {
            out += "\n             ";
        }
    }
    out + "\n\n"
}
