//! Whether two files hold the same image, as far as chance does not decide: signatures of imgtool's
//! ECDSA and RSA and everybody's content keys are random.

use updraft_sign::{DecryptionKey, decrypt, hex};

/// What is known of the images.
pub struct Expect {
    pub big_endian: bool,
    /// Whether the signature is random.
    pub random: bool,
    /// The key that decrypts the body.
    pub device: Option<DecryptionKey>,
    pub erased: u8,
    pub is_hex: bool,
}

/// What two files have to have in common.
#[derive(Debug, PartialEq, Eq)]
struct Common {
    address: Option<u32>,
    header: Vec<u8>,
    body: Vec<u8>,
    tlvs: Vec<(u16, Option<usize>, Vec<u8>)>,
    /// What lies behind the image, by its address or its distance from the end.
    behind: Vec<(usize, Vec<u8>)>,
}

/// Compares two files; `Err` tells what differs.
pub fn same(one: &[u8], other: &[u8], expect: &Expect) -> Result<(), String> {
    let (one, other) = (common(one, expect)?, common(other, expect)?);
    let differs = |what: &str| Err(format!("{what} differs"));
    if one.address != other.address {
        return Err(format!("at {:x?} and {:x?}", one.address, other.address));
    }
    if one.header != other.header {
        return Err(format!("headers {:02x?} and {:02x?}", one.header, other.header));
    }
    if one.body != other.body {
        return differs("the body");
    }
    if one.tlvs != other.tlvs {
        return Err(format!("TLVs {:02x?} and {:02x?}", one.tlvs, other.tlvs));
    }
    if one.behind != other.behind {
        return Err(format!("behind the image {:02x?} and {:02x?}", one.behind, other.behind));
    }
    Ok(())
}

fn common(file: &[u8], expect: &Expect) -> Result<Common, String> {
    let (address, mut image, mut behind) = match expect.is_hex {
        false => (None, file.to_vec(), Vec::new()),
        true => {
            let mut runs = runs(std::str::from_utf8(file).unwrap());
            let (address, image) = runs.remove(0);
            let address = u32::try_from(address).unwrap();
            (Some(address), image, runs)
        }
    };
    if expect.big_endian {
        to_little(&mut image)?;
    }
    let word = |at: usize| -> Result<usize, String> {
        let bytes = image.get(at..at + 2).ok_or("the file is too short")?;
        Ok(usize::from(u16::from_le_bytes([bytes[0], bytes[1]])))
    };
    let header_size = word(8)?;
    let body_size = word(12)? | word(14)? << 16;
    let end_of_body = header_size + body_size;
    let mut end = end_of_body;
    let mut tlvs = Vec::new();
    let compressed = image[17] & 0x04 != 0;
    for _ in 0..if word(10)? > 0 { 2 } else { 1 } {
        let (mut at, behind) = (end + 4, end + word(end + 2)?);
        while at < behind {
            let (kind, len) = (word(at)? as u16, word(at + 2)?);
            let payload = image.get(at + 4..at + 4 + len).ok_or("a TLV passes the file's end")?;
            tlvs.push(match kind {
                0x22 | 0x72 if expect.random => (kind, None, Vec::new()),
                0x20 | 0x23 if expect.random => (kind, Some(len), Vec::new()),
                0x30..=0x34 => (kind, Some(len), Vec::new()),
                // The hash covers the signature of what was compressed.
                0x10..=0x12 if expect.random && compressed => (kind, Some(len), Vec::new()),
                0x71 if expect.random => (kind, Some(len), payload.to_vec()),
                _ => (kind, Some(len), payload.to_vec()),
            });
            at += 4 + len;
        }
        end = behind;
    }
    let mut header = image[..header_size].to_vec();
    if expect.random && compressed {
        // So does the protected area's length.
        header[10..12].fill(0);
    }
    let rest = image.split_off(end);
    if !rest.is_empty() {
        let trailer = rest.iter().position(|byte| *byte != expect.erased).unwrap_or(rest.len());
        behind.push((rest.len() - trailer, rest[trailer..].to_vec()));
        if !expect.is_hex {
            behind.push((file.len(), Vec::new()));
        }
    }
    if let Some(device) = &expect.device {
        image = decrypt(&image, device).map_err(|error| error.to_string())?;
    }
    let body = image[header_size..end_of_body].to_vec();
    Ok(Common { address, header, body, tlvs, behind })
}

/// Runs of bytes in an Intel HEX file, by address.
fn runs(text: &str) -> Vec<(usize, Vec<u8>)> {
    let mut runs: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut upper = 0;
    for line in text.lines() {
        let byte = |at: usize| usize::from_str_radix(&line[1 + 2 * at..3 + 2 * at], 16).unwrap();
        let data: Vec<u8> = (4..4 + byte(0)).map(|at| byte(at) as u8).collect();
        let at = upper + (byte(1) << 8 | byte(2));
        match byte(3) {
            0 => match runs.last_mut() {
                Some((start, bytes)) if *start + bytes.len() == at => bytes.extend(data),
                _ => runs.push((at, data)),
            },
            4 => upper = (byte(4) << 8 | byte(5)) << 16,
            _ => {}
        }
    }
    // It is one that our own reader reads as well.
    assert!(hex::parse(text).is_ok());
    runs
}

/// Turns the numbers of a big-endian image round.
pub fn to_little(image: &mut [u8]) -> Result<(), String> {
    fn turn(image: &mut [u8], at: usize, len: usize) -> Result<usize, String> {
        let bytes = image.get_mut(at..at + len).ok_or("the file is too short")?;
        bytes.reverse();
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
    turn(image, 0, 4)?;
    turn(image, 4, 4)?;
    let header_size = turn(image, 8, 2)?;
    let protected = turn(image, 10, 2)?;
    let mut end = header_size + turn(image, 12, 4)?;
    turn(image, 16, 4)?;
    turn(image, 22, 2)?;
    turn(image, 24, 4)?;
    for _ in 0..if protected > 0 { 2 } else { 1 } {
        turn(image, end, 2)?;
        let (mut at, behind) = (end + 4, end + turn(image, end + 2, 2)?);
        while at < behind {
            // The format's own types are a byte and a zero in either order.
            if image[at + 1] != 0 || image[at] == 0 {
                turn(image, at, 2)?;
            }
            at += 4 + turn(image, at + 2, 2)?;
        }
        end = behind;
    }
    Ok(())
}
