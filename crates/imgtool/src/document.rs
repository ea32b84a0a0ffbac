//! Values, written as JSON and as YAML: in the exact text of Python's `json` and PyYAML.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Number(u64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(&'static str, Value)>),
}

/// JSON with an indentation of two; bytes as hexadecimal digits.
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    write_json(&mut out, value, 0);
    out
}

fn write_json(out: &mut String, value: &Value, depth: usize) {
    let mut all = |open: char, close: char, items: Vec<(Option<&str>, &Value)>| {
        out.push(open);
        for (number, (key, item)) in items.iter().enumerate() {
            *out += if number > 0 { ",\n" } else { "\n" };
            *out += &"  ".repeat(depth + 1);
            if let Some(key) = key {
                *out += &format!("\"{key}\": ");
            }
            write_json(out, item, depth + 1);
        }
        if !items.is_empty() {
            *out += &format!("\n{}", "  ".repeat(depth));
        }
        out.push(close);
    };
    match value {
        Value::List(items) => all('[', ']', items.iter().map(|item| (None, item)).collect()),
        Value::Map(items) => {
            all('{', '}', items.iter().map(|(key, item)| (Some(*key), item)).collect());
        }
        Value::Number(number) => *out += &number.to_string(),
        Value::Bytes(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            *out += &format!("\"{digits}\"");
        }
        Value::Text(text) => {
            out.push('"');
            text.chars().for_each(|c| escape_json(out, c));
            out.push('"');
        }
    }
}

fn escape_json(out: &mut String, c: char) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\n' => *out += "\\n",
        '\r' => *out += "\\r",
        '\t' => *out += "\\t",
        '\u{8}' => *out += "\\b",
        '\u{c}' => *out += "\\f",
        ' '..='~' => out.push(c),
        _ => {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| *out += &format!("\\u{unit:04x}"));
        }
    }
}

/// YAML in block style; bytes in base64.
pub fn yaml(value: &Value) -> String {
    let mut out = String::new();
    if let Value::Map(entries) = value {
        write_yaml(&mut out, entries, 0, "");
    }
    out
}

/// The entries of a map; `first` stands before the first one in place of its indentation.
fn write_yaml(out: &mut String, entries: &[(&'static str, Value)], indent: usize, first: &str) {
    for (number, (key, value)) in entries.iter().enumerate() {
        match (number, first) {
            (0, first) if !first.is_empty() => *out += first,
            _ => *out += &" ".repeat(indent),
        }
        *out += key;
        out.push(':');
        match value {
            Value::Number(number) => *out += &format!(" {number}\n"),
            Value::Text(text) => *out += &format!(" {}\n", scalar(text)),
            Value::Bytes(bytes) if bytes.is_empty() => *out += " !!binary \"\"\n",
            Value::Bytes(bytes) => {
                *out += " !!binary |\n";
                for line in STANDARD.encode(bytes).as_bytes().chunks(76) {
                    let line = String::from_utf8_lossy(line);
                    *out += &format!("{}{line}\n", " ".repeat(indent + 2));
                }
            }
            Value::List(items) if items.is_empty() => *out += " []\n",
            Value::Map(entries) if entries.is_empty() => *out += " {}\n",
            Value::Map(entries) => {
                out.push('\n');
                write_yaml(out, entries, indent + 2, "");
            }
            Value::List(items) => {
                out.push('\n');
                let dash = format!("{}- ", " ".repeat(indent));
                for item in items {
                    if let Value::Map(entries) = item {
                        write_yaml(out, entries, indent + 2, &dash);
                    }
                }
            }
        }
    }
}

/// A text: as it is, if it is read back as a text, else in quotes.
fn scalar(text: &str) -> String {
    if text.chars().any(|c| !matches!(c, ' '..='~')) {
        return double_quoted(text);
    }
    let first = text.chars().next().unwrap_or(' ');
    let second = text.chars().nth(1);
    let indicator = ",#[]{}&*!|>'\"%@`".contains(first)
        || (matches!(first, '-' | '?' | ':') && matches!(second, None | Some(' ')))
        || text.starts_with("---")
        || text.starts_with("...");
    let inside = text.contains(": ") || text.contains(" #") || text.ends_with(':');
    let spaces = text.starts_with(' ') || text.ends_with(' ') || text.is_empty();
    match indicator || inside || spaces || means_something_else(text) {
        true => format!("'{}'", text.replace('\'', "''")),
        false => text.to_owned(),
    }
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match (c, c as u32) {
            ('"' | '\\', _) => out.extend(['\\', c]),
            ('\n', _) => out += "\\n",
            ('\t', _) => out += "\\t",
            ('\r', _) => out += "\\r",
            (' '..='~', _) => out.push(c),
            (_, code @ ..0x100) => out += &format!("\\x{code:02X}"),
            (_, code @ ..0x1_0000) => out += &format!("\\u{code:04X}"),
            (_, code) => out += &format!("\\U{code:08X}"),
        }
    }
    out + "\""
}

/// Whether YAML 1.1 takes the text for a number, a truth value, a date or nothing.
fn means_something_else(text: &str) -> bool {
    let words = ["yes", "no", "true", "false", "on", "off", "null"];
    let lower = text.to_ascii_lowercase();
    let capital = text[1..].chars().all(|c| c.is_ascii_lowercase());
    let one_case = capital || text.chars().all(|c| c.is_ascii_uppercase());
    if (words.contains(&lower.as_str()) && one_case) || matches!(text, "~" | "=" | "<<") {
        return true;
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |text: &str, allowed: fn(char) -> bool| {
        !text.is_empty() && text.chars().all(|c| c == '_' || allowed(c))
    };
    if [("0b", 2), ("0x", 16)].iter().any(|(prefix, base)| {
        let rest = digits.strip_prefix(prefix);
        rest.is_some_and(|rest| {
            !rest.is_empty() && rest.chars().all(|c| c == '_' || c.is_digit(*base))
        })
    }) {
        return true;
    }
    let decimal = |c: char| c.is_ascii_digit();
    if all(digits, decimal) && decimal(digits.chars().next().unwrap_or('x')) {
        // 08 is no octal number, and not a decimal one either.
        let octal = digits.len() > 1 && digits.starts_with('0');
        return !octal || digits.chars().all(|c| matches!(c, '0'..='7' | '_'));
    }
    if matches!(digits, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    if let Some((whole, fraction)) = digits.split_once('.') {
        let (fraction, exponent) = match fraction.split_once(['e', 'E']) {
            Some((fraction, exponent)) => (fraction, Some(exponent)),
            None => (fraction, None),
        };
        let exponent = exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['-', '+']);
            digits.is_some_and(|digits| !digits.is_empty() && digits.chars().all(decimal))
        });
        let whole_part = all(whole, decimal) && decimal(whole.chars().next().unwrap_or('x'));
        let fraction_part = fraction.is_empty() || all(fraction, decimal);
        let bare = whole.is_empty() && decimal(fraction.chars().next().unwrap_or('x'));
        return exponent && fraction_part && (whole_part || bare);
    }
    let date: Vec<_> = text.split('-').collect();
    let lens = [4, 2, 2];
    date.len() == 3
        && date.iter().zip(lens).all(|(part, len)| part.len() == len && part.chars().all(decimal))
}

#[cfg(test)]
mod tests {
    use super::scalar;

    #[test]
    fn texts_that_yaml_would_read_as_something_else_are_quoted() {
        for plain in ["a.bin", "1.2.3+4", "-x", "a:b", "a#b", "08", "yEs", "1e5", "a,b"] {
            assert_eq!(scalar(plain), plain);
        }
        for quoted in ["12", "1.5", "yes", "Null", "0x1F", "2026-01-02", "a: b", "a #b", "[a]"] {
            assert_eq!(scalar(quoted), format!("'{quoted}'"));
        }
        assert_eq!(scalar("it's: a"), "'it''s: a'");
        assert_eq!(scalar("Bœrd"), "\"B\\u0153rd\"");
    }
}
