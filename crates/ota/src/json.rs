//! JSON (RFC 8259) without allocation: documents are looked at where they lie.
//!
//! [`Value::parse`] looks a whole document over once; what is taken from it afterwards is well
//! formed. Strings stay escaped until somebody wants their characters.

use core::fmt;

/// How deep objects and arrays may be nested.
const DEEPEST: u8 = 12;

/// A document is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where, in bytes from its beginning.
    pub offset: usize,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'j> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it is written.
    Number(&'j str),
    /// A string.
    Text(Text<'j>),
    /// An array.
    Array(Array<'j>),
    /// An object.
    Object(Object<'j>),
}

impl<'j> Value<'j> {
    /// Looks a whole document over.
    ///
    /// # Errors
    /// If it is not JSON, not UTF-8, nested deeper than 12 levels, or followed by something.
    pub fn parse(bytes: &'j [u8]) -> Result<Self, Malformed> {
        let text = core::str::from_utf8(bytes)
            .map_err(|error| Malformed { offset: error.valid_up_to() })?;
        let mut scan = Scan { text, at: 0 };
        let value = scan.value(0)?;
        scan.space();
        if scan.at == text.len() { Ok(value) } else { Err(scan.here()) }
    }

    /// The string, if it is one.
    pub fn text(self) -> Option<Text<'j>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The object, if it is one.
    pub fn object(self) -> Option<Object<'j>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The array, if it is one.
    pub fn array(self) -> Option<Array<'j>> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }

    /// The number, if it is one without sign, fraction and exponent that 32 bits hold.
    pub fn number(self) -> Option<u32> {
        if let Self::Number(digits) = self { digits.parse().ok() } else { None }
    }
}

/// A string: its characters as the document has them, escapes and all.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Text<'j> {
    raw: &'j str,
    /// Whether a backslash begins an escape in it.
    escaped: bool,
}

/// Takes escapes out of a document that need none: what stands for a printable ASCII character other
/// than the quotation mark and the backslash. Texts can then be used as they lie in it. Returns how
/// many bytes are left.
pub(crate) fn plain(document: &mut [u8]) -> usize {
    let (mut from, mut to) = (0usize, 0usize);
    while let Some(rest) = document.get(from..).filter(|rest| !rest.is_empty()) {
        let (byte, taken) = match *rest {
            [b'\\', b'/', ..] => (b'/', 2),
            [b'\\', b'u', b'0', b'0', high @ b'2'..=b'7', low, ..] => {
                let low = char::from(low).to_digit(16).map(|low| low as u8);
                match low.map(|low| (high - b'0') << 4 | low) {
                    Some(byte @ b' '..=b'~') if !matches!(byte, b'"' | b'\\') => (byte, 6),
                    _ => (b'\\', 1),
                }
            }
            [b'\\', escaped, ..] => {
                // Both, so that a backslash is not taken for the beginning of another escape.
                if let Some(room) = document.get_mut(to) {
                    *room = b'\\';
                }
                (from, to) = (from + 1, to + 1);
                (escaped, 1)
            }
            [byte, ..] => (byte, 1),
            [] => break,
        };
        if let Some(room) = document.get_mut(to) {
            *room = byte;
        }
        (from, to) = (from + taken, to + 1);
    }
    to
}

impl<'j> Text<'j> {
    /// A string that is to be written to a document.
    pub const fn new(plain: &'j str) -> Self {
        Self { raw: plain, escaped: false }
    }

    /// Its characters. Half of a surrogate pair is U+FFFD.
    pub fn chars(self) -> impl Iterator<Item = char> + Clone + 'j {
        Chars { rest: self.raw, escaped: self.escaped }
    }

    /// The characters as they lie in the document, if none of them is escaped.
    pub fn plain(self) -> Option<&'j str> {
        (!self.escaped || !self.raw.contains('\\')).then_some(self.raw)
    }

    /// Bytes of its characters in UTF-8.
    pub fn len(self) -> usize {
        self.plain().map_or_else(|| self.chars().map(char::len_utf8).sum(), str::len)
    }

    /// Whether it has no characters.
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// Whether it says `plain`.
    pub fn is(self, plain: &str) -> bool {
        self.chars().eq(plain.chars())
    }

    /// Whether it says `plain` but for the case of ASCII letters.
    pub fn is_ignoring_case(self, plain: &str) -> bool {
        let lower = |c: char| c.to_ascii_lowercase();
        self.chars().map(lower).eq(plain.chars().map(lower))
    }

    /// The characters, copied to `buffer` if they are escaped; `None` if it is too small.
    pub fn copied<'b>(self, buffer: &'b mut [u8]) -> Option<&'b str>
    where
        'j: 'b,
    {
        if let Some(plain) = self.plain() {
            return Some(plain);
        }
        let mut at = 0usize;
        for c in self.chars() {
            let end = at.checked_add(c.len_utf8())?;
            c.encode_utf8(buffer.get_mut(at..end)?);
            at = end;
        }
        core::str::from_utf8(buffer.get(..at)?).ok()
    }

    /// The number that it says in decimal, if it is one.
    pub fn number(self) -> Option<u32> {
        let digits = self.plain()?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

#[derive(Clone)]
struct Chars<'j> {
    rest: &'j str,
    escaped: bool,
}

impl Chars<'_> {
    fn hex(&mut self) -> u32 {
        let (digits, rest) = self.rest.split_at_checked(4).unwrap_or((self.rest, ""));
        self.rest = rest;
        u32::from_str_radix(digits, 16).unwrap_or(0xfffd)
    }
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let first = chars.next()?;
        self.rest = chars.as_str();
        if first != '\\' || !self.escaped {
            return Some(first);
        }
        let kind = chars.next()?;
        self.rest = chars.as_str();
        Some(match kind {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = self.hex();
                let pair = (0xd800..0xdc00).contains(&high) && self.rest.starts_with("\\u");
                let mut code = high;
                if pair {
                    let kept = self.rest;
                    self.rest = self.rest.get(2..).unwrap_or_default();
                    let low = self.hex();
                    match low.checked_sub(0xdc00).filter(|low| *low < 0x400) {
                        Some(low) => code = 0x10000 + ((high - 0xd800) << 10) + low,
                        // The other one stands for itself.
                        None => self.rest = kept,
                    }
                }
                char::from_u32(code).unwrap_or('\u{fffd}')
            }
            other => other,
        })
    }
}

/// An object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'j> {
    /// What stands between the braces.
    inside: &'j str,
}

impl<'j> Object<'j> {
    /// Its members, in the order of the document.
    pub fn members(self) -> impl Iterator<Item = (Text<'j>, Value<'j>)> {
        let mut scan = Scan { text: self.inside, at: 0 };
        core::iter::from_fn(move || {
            scan.space();
            if scan.peek() == Some(b',') {
                scan.at += 1;
                scan.space();
            }
            let key = scan.string().ok()?;
            scan.space();
            scan.expect(b':').ok()?;
            Some((key, scan.value(0).ok()?))
        })
    }

    /// The member `key`, if it is there.
    ///
    /// # Errors
    /// If it is there more than once: who reads the first and who reads the last would differ.
    pub fn member(self, key: &'static str) -> Result<Option<Value<'j>>, Repeated> {
        let mut found = self.members().filter(|(name, _)| name.is(key));
        let first = found.next().map(|(_, value)| value);
        if found.next().is_some() { Err(Repeated(key)) } else { Ok(first) }
    }
}

/// A key that an object has more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated(pub &'static str);

/// An array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array<'j> {
    /// What stands between the brackets.
    inside: &'j str,
}

impl<'j> Array<'j> {
    /// Its values.
    pub fn values(self) -> impl Iterator<Item = Value<'j>> {
        let mut scan = Scan { text: self.inside, at: 0 };
        core::iter::from_fn(move || {
            scan.space();
            if scan.peek() == Some(b',') {
                scan.at += 1;
            }
            scan.value(0).ok()
        })
    }
}

struct Scan<'j> {
    text: &'j str,
    at: usize,
}

impl<'j> Scan<'j> {
    fn here(&self) -> Malformed {
        Malformed { offset: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(self.here());
        }
        self.at += 1;
        Ok(())
    }

    fn slice(&self, from: usize, to: usize) -> &'j str {
        self.text.get(from..to).unwrap_or_default()
    }

    fn word(&mut self, word: &str, value: Value<'j>) -> Result<Value<'j>, Malformed> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(self.here());
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self, depth: u8) -> Result<Value<'j>, Malformed> {
        self.space();
        match self.peek() {
            Some(b'{') => {
                let (from, to) = self.inside(b'}', depth)?;
                Ok(Value::Object(Object { inside: self.slice(from, to) }))
            }
            Some(b'[') => {
                let (from, to) = self.inside(b']', depth)?;
                Ok(Value::Array(Array { inside: self.slice(from, to) }))
            }
            Some(b'"') => self.string().map(Value::Text),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.number(),
        }
    }

    /// What stands between braces or brackets.
    fn inside(&mut self, end: u8, depth: u8) -> Result<(usize, usize), Malformed> {
        if depth >= DEEPEST {
            return Err(self.here());
        }
        self.at += 1;
        let from = self.at;
        self.space();
        let mut first = true;
        while self.peek() != Some(end) {
            if !first {
                self.expect(b',')?;
                self.space();
            }
            first = false;
            if end == b'}' {
                self.string()?;
                self.space();
                self.expect(b':')?;
            }
            self.value(depth + 1)?;
            self.space();
        }
        self.at += 1;
        Ok((from, self.at - 1))
    }

    fn string(&mut self) -> Result<Text<'j>, Malformed> {
        self.expect(b'"')?;
        let from = self.at;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 1;
                    match self.peek() {
                        Some(b'u') => {
                            let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
                            if !digits.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                                return Err(self.here());
                            }
                            self.at += 5;
                        }
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                            self.at += 1
                        }
                        _ => return Err(self.here()),
                    }
                }
                Some(byte) if byte >= 0x20 => self.at += 1,
                _ => return Err(self.here()),
            }
        }
        self.at += 1;
        Ok(Text { raw: self.slice(from, self.at - 1), escaped })
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.here());
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value<'j>, Malformed> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let whole = self.at;
        self.digits()?;
        if zero && self.at > whole + 1 {
            return Err(self.here());
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Value::Number(self.slice(from, self.at)))
    }
}

/// There was no room for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Writes a document to a buffer, without spaces.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    at: usize,
    full: bool,
    /// Whether the next member or value is the first of its object or array.
    first: bool,
}

impl<'b> Writer<'b> {
    /// A writer to `buffer`.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, at: 0, full: false, first: true }
    }

    /// Bytes that were written.
    ///
    /// # Errors
    /// If there was no room for all of them.
    pub fn finish(self) -> Result<usize, NoRoom> {
        if self.full { Err(NoRoom) } else { Ok(self.at) }
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, text: &str) -> &mut Self {
        let end = self.at.saturating_add(text.len());
        match self.buffer.get_mut(self.at..end) {
            Some(room) if !self.full => {
                room.copy_from_slice(text.as_bytes());
                self.at = end;
            }
            _ => self.full = true,
        }
        self
    }

    /// Begins an object or an array.
    pub fn begin(&mut self, bracket: &'static str) -> &mut Self {
        self.raw(bracket);
        self.first = true;
        self
    }

    /// Ends one.
    pub fn end(&mut self, bracket: &'static str) -> &mut Self {
        self.raw(bracket);
        self.first = false;
        self
    }

    /// Separates the next value of an array from the one before.
    pub fn item(&mut self) -> &mut Self {
        if !self.first {
            self.raw(",");
        }
        self.first = false;
        self
    }

    /// Writes a key; the value comes next.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.item();
        self.text(Text::new(key)).raw(":")
    }

    /// Writes a string.
    pub fn text(&mut self, text: Text<'_>) -> &mut Self {
        self.raw("\"");
        for c in text.chars() {
            match c {
                '"' => self.raw("\\\""),
                '\\' => self.raw("\\\\"),
                '\n' => self.raw("\\n"),
                '\r' => self.raw("\\r"),
                '\t' => self.raw("\\t"),
                c if c < ' ' => {
                    self.raw("\\u00");
                    let code = c as u8;
                    self.hex_digit(code >> 4).hex_digit(code & 0xf)
                }
                c => self.raw(c.encode_utf8(&mut [0; 4])),
            };
        }
        self.raw("\"")
    }

    fn hex_digit(&mut self, digit: u8) -> &mut Self {
        let digits = "0123456789abcdef";
        let at = usize::from(digit & 0xf);
        self.raw(digits.get(at..at + 1).unwrap_or_default())
    }

    /// Writes bytes as hexadecimal digits.
    pub fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        for byte in bytes {
            self.hex_digit(byte >> 4).hex_digit(byte & 0xf);
        }
        self
    }

    /// Writes a number.
    pub fn number(&mut self, number: u32) -> &mut Self {
        let mut digits = [0u8; 10];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at = at.saturating_sub(1);
            if let Some(digit) = digits.get_mut(at) {
                *digit = b'0' + (rest % 10) as u8;
            }
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let digits = digits.get(at..).unwrap_or_default();
        self.raw(core::str::from_utf8(digits).unwrap_or_default())
    }

    /// Writes a member with a string, if there is one.
    pub fn member(&mut self, key: &str, text: Option<Text<'_>>) -> &mut Self {
        match text {
            Some(text) => self.key(key).text(text),
            None => self,
        }
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.raw(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_that_are_not_needed_can_be_taken_out() {
        for (with, without) in [
            (r#"{"a":"b"}"#, r#"{"a":"b"}"#),
            (r#""https:\/\/h\/x?a=1\u0026b=2""#, r#""https://h/x?a=1&b=2""#),
            (r#""\u0022\u005c\u00e9\u001f\u007f""#, r#""\u0022\u005c\u00e9\u001f\u007f""#),
            // The backslash is the character here, not the beginning of an escape.
            (r#""\\u0026\\/\"\u0041""#, r#""\\u0026\\/\"A""#),
            (r"\u00", r"\u00"),
            ("\\", "\\"),
        ] {
            let mut bytes = [0; 80];
            let bytes = &mut bytes[..with.len()];
            bytes.copy_from_slice(with.as_bytes());
            let len = plain(bytes);
            assert_eq!(&bytes[..len], without.as_bytes());
            let (before, after) = (Value::parse(with.as_bytes()), Value::parse(&bytes[..len]));
            assert_eq!(before.is_ok(), after.is_ok());
            if let (Ok(Value::Text(before)), Ok(Value::Text(after))) = (before, after) {
                assert!(before.chars().eq(after.chars()));
            }
        }
    }

    #[test]
    fn reads_what_is_json_and_nothing_else() {
        for good in [
            "{}",
            " [ ] ",
            "0",
            "-1.5e+7",
            "\"a\\u00fc\\n\"",
            "{\"a\":[1,{\"b\":null}],\"c\":true}",
        ] {
            assert!(Value::parse(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "{",
            "{]",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "01",
            "1.",
            "\"\\x\"",
            "\"a",
            "tru",
            "{} {}",
            "\"\\u12g4\"",
            "[,1]",
            "{,}",
            "\"\n\"",
        ] {
            assert!(Value::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Value::parse(b"\"\xff\"").is_err());
        assert!(Value::parse(&[b'['; 4000]).is_err());
    }

    #[test]
    fn strings_say_what_they_mean() {
        let text = Value::parse(br#""a\u00fc\ud83d\ude00\/\ud83dx""#).unwrap().text().unwrap();
        assert!(text.is("aü😀/\u{fffd}x"), "{text}");
        assert_eq!(text.len(), "aü😀/\u{fffd}x".len());
        let mut buffer = [0; 32];
        assert_eq!(text.copied(&mut buffer), Some("aü😀/\u{fffd}x"));
        assert_eq!(text.copied(&mut [0; 3]), None);
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused() {
        let object = Value::parse(br#"{"a":1,"b":2,"a":3}"#).unwrap().object().unwrap();
        assert_eq!(object.member("a"), Err(Repeated("a")));
        assert_eq!(object.member("b").unwrap().unwrap().number(), Some(2));
        assert_eq!(object.member("c"), Ok(None));
    }
}
