//! Texts as Python reads and prints them.

/// A number as `int(text, 0)` reads it: signs, prefixes and underscores, no leading zeros. What is
/// too large for any field is the largest number there is.
pub fn based(text: &str) -> Option<i128> {
    let (sign, digits) = sign(text.trim());
    let lower = digits.to_ascii_lowercase();
    let prefix = [("0x", 16), ("0o", 8), ("0b", 2)];
    if let Some((digits, base)) =
        prefix.iter().find_map(|(prefix, base)| Some((lower.strip_prefix(prefix)?, *base)))
    {
        // One underscore may stand between prefix and digits.
        return number(sign, digits.strip_prefix('_').unwrap_or(digits), base);
    }
    let zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'_'));
    (zero || !digits.starts_with('0')).then(|| number(sign, digits, 10))?
}

/// A number as `int(text)` reads it.
pub fn decimal(text: &str) -> Option<i128> {
    let (sign, digits) = sign(text.trim());
    number(sign, digits, 10)
}

fn sign(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn number(sign: i128, digits: &str, base: u32) -> Option<i128> {
    let mut value: i128 = 0;
    for group in digits.split('_') {
        if group.is_empty() {
            return None;
        }
        for digit in group.chars() {
            let digit = i128::from(digit.to_digit(base)?);
            value = value.saturating_mul(base.into()).saturating_add(digit);
        }
    }
    Some(sign * value)
}

/// The text in quotes.
pub fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            c if c == quote || c == '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out += &format!("\\x{:02x}", c as u32),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Bytes as `bytes.fromhex` reads them: pairs of digits, with or without space between them.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        let pair = rest.get(..2).filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(pair, 16).ok()?);
        rest = rest[2..].trim_ascii_start();
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{based, decimal, from_hex, repr};

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        for (text, value) in [
            ("0x200", 0x200),
            (" 512 ", 512),
            ("0b1_0", 2),
            ("0O17", 15),
            ("1_000", 1000),
            ("-0x10", -16),
            ("+5", 5),
            ("000", 0),
            ("0x_f", 15),
            ("0x00100000", 0x10_0000),
        ] {
            assert_eq!(based(text), Some(value), "{text}");
        }
        for text in ["", "010", "1__0", "_1", "1_", "0x", "x", "1.5", "- 1", "--1", "0x__1", "2k"] {
            assert_eq!(based(text), None, "{text}");
        }
        assert_eq!((decimal("010"), decimal("0x10"), decimal("1_0")), (Some(10), None, Some(10)));
        assert!(based(&"9".repeat(60)) > Some(u64::MAX.into()));
    }

    #[test]
    fn texts_are_quoted_as_python_quotes_them() {
        assert_eq!(repr("a"), "'a'");
        assert_eq!(repr("it's"), "\"it's\"");
        assert_eq!(repr("it's \"\n"), "'it\\'s \"\\n'");
    }

    #[test]
    fn hexadecimal_bytes_may_have_space_between_them() {
        assert_eq!(from_hex("01 ff"), Some(vec![1, 0xff]));
        assert_eq!((from_hex("0 1"), from_hex("0g"), from_hex("")), (None, None, Some(vec![])));
    }
}
