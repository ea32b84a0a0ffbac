//! Names of keys in tokens: RFC 7512.

use std::fmt;

use zeroize::Zeroizing;

/// A name such as `pkcs11:token=Release;object=firmware?module-path=/usr/lib/x.so`.
///
/// It may have a PIN in it, which neither its own text nor an error about it shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TokenUri {
    /// The token's label.
    pub token: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// The token's model.
    pub model: Option<String>,
    /// The token's manufacturer.
    pub manufacturer: Option<String>,
    /// The slot's number.
    pub slot: Option<u64>,
    /// The key's label.
    pub object: Option<String>,
    /// The key's id.
    pub id: Option<Vec<u8>>,
    /// The library that speaks to the token.
    pub module: Option<String>,
    /// The PIN.
    pub pin: Option<Zeroizing<String>>,
    /// A file with the PIN.
    pub pin_source: Option<String>,
}

/// Why a text is no name of a key in a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It does not begin with the scheme.
    #[error("a key in a token is named pkcs11:token=…;object=…")]
    Scheme,
    /// There is no attribute of this name.
    #[error("`{0}` is no attribute of a PKCS#11 URI")]
    Attribute(String),
    /// A part, counted from 1, is no attribute. What it says is not told: it may belong to a PIN.
    #[error("part {0} of the PKCS#11 URI is no attribute")]
    Part(usize),
    /// An attribute is given twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// In the value of this attribute is a percent sign without two hexadecimal digits, or bytes
    /// that are no text.
    #[error("the value of `{0}` is not percent-encoded text")]
    Encoding(String),
    /// The slot is no number.
    #[error("the value of `slot-id` is no number")]
    Slot,
    /// It names something else than a private key.
    #[error("`type={0}` is no private key")]
    Type(String),
}

impl TokenUri {
    /// Whether a text is meant to be one.
    pub fn is_one(text: &str) -> bool {
        text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("pkcs11:"))
    }

    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if !Self::is_one(text) {
            return Err(UriError::Scheme);
        }
        let (path, query) = text[7..].split_once('?').unwrap_or((&text[7..], ""));
        let mut uri = Self::default();
        let parts = path.split(';').chain(query.split('&')).filter(|part| !part.is_empty());
        let mut seen = Vec::new();
        for (index, part) in parts.enumerate() {
            let (name, value) = part.split_once('=').ok_or(UriError::Part(index + 1))?;
            if seen.contains(&name) {
                return Err(UriError::Twice(name.into()));
            }
            let encoding = || UriError::Encoding(name.into());
            let bytes = Zeroizing::new(decode(value).ok_or_else(encoding)?);
            let text = || std::str::from_utf8(&bytes).map(str::to_owned);
            let value = || text().map_err(|_| encoding());
            match name {
                "token" => uri.token = Some(value()?),
                "serial" => uri.serial = Some(value()?),
                "model" => uri.model = Some(value()?),
                "manufacturer" => uri.manufacturer = Some(value()?),
                "slot-id" => uri.slot = Some(value()?.parse().map_err(|_| UriError::Slot)?),
                "object" => uri.object = Some(value()?),
                "id" => uri.id = Some(bytes.to_vec()),
                "type" => match value()?.as_str() {
                    "private" => {}
                    other => return Err(UriError::Type(other.into())),
                },
                "module-path" => uri.module = Some(value()?),
                "pin-value" => uri.pin = Some(Zeroizing::new(value()?)),
                "pin-source" => {
                    let source = value()?;
                    uri.pin_source = Some(source.trim_start_matches("file:").to_owned());
                }
                // A PIN that is not encoded may go on behind its `&` or `;`.
                _ if seen.contains(&"pin-value") => return Err(UriError::Part(index + 1)),
                _ => return Err(UriError::Attribute(name.into())),
            }
            seen.push(name);
        }
        Ok(uri)
    }
}

/// The URI without its PIN.
impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &Option<String>| text.as_ref().map(|text| encode(text.as_bytes()));
        let path = [
            ("token", text(&self.token)),
            ("serial", text(&self.serial)),
            ("model", text(&self.model)),
            ("manufacturer", text(&self.manufacturer)),
            ("slot-id", self.slot.map(|slot| slot.to_string())),
            ("object", text(&self.object)),
            ("id", self.id.as_deref().map(encode)),
        ];
        let query = [("module-path", text(&self.module)), ("pin-source", text(&self.pin_source))];
        let join = |parts: &[(&str, Option<String>)], between: &str| {
            let parts = parts
                .iter()
                .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={value}")));
            parts.collect::<Vec<_>>().join(between)
        };
        write!(f, "pkcs11:{}", join(&path, ";"))?;
        match join(&query, "&") {
            query if query.is_empty() => Ok(()),
            query => write!(f, "?{query}"),
        }
    }
}

impl fmt::Debug for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenUri({self})")
    }
}

fn encode(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    let encoded = bytes.iter().map(|byte| match plain(*byte) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    encoded.collect()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        // Two hexadecimal digits are a byte.
        bytes.push((digit(0)? << 4 | digit(1)?) as u8);
        rest = &rest[2..];
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{TokenUri, UriError};

    #[test]
    fn names_are_read_with_everything_that_they_say() {
        let text = "pkcs11:token=The%20Release%20Token;object=firmware;id=%00%01%fe;type=private\
                    ?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-value=12%2634";
        let uri = TokenUri::parse(text).unwrap();
        assert_eq!(uri.token.as_deref(), Some("The Release Token"));
        assert_eq!(uri.object.as_deref(), Some("firmware"));
        assert_eq!(uri.id, Some(vec![0, 1, 0xfe]));
        assert_eq!(uri.module.as_deref(), Some("/usr/lib/softhsm/libsofthsm2.so"));
        assert_eq!(uri.pin.as_ref().map(|pin| pin.as_str()), Some("12&34"));
        let source = TokenUri::parse("PKCS11:slot-id=7?pin-source=file:/run/pin").unwrap();
        assert_eq!((source.slot, source.pin_source.as_deref()), (Some(7), Some("/run/pin")));
        assert_eq!(TokenUri::parse("pkcs11:").unwrap(), TokenUri::default());
    }

    #[test]
    fn names_of_anything_else_are_refused_by_part() {
        let fails = |text: &str| TokenUri::parse(text).unwrap_err();
        assert_eq!(fails("key.pem"), UriError::Scheme);
        assert_eq!(fails("pkcs11:object=a;token"), UriError::Part(2));
        assert_eq!(fails("pkcs11:colour=red"), UriError::Attribute("colour".into()));
        assert_eq!(fails("pkcs11:slot-id=red"), UriError::Slot);
        assert_eq!(fails("pkcs11:token=a;token=b"), UriError::Twice("token".into()));
        assert_eq!(fails("pkcs11:type=cert"), UriError::Type("cert".into()));
        for text in ["pkcs11:object=%", "pkcs11:object=%4", "pkcs11:object=%zz"] {
            assert!(matches!(fails(text), UriError::Encoding(_)), "{text}");
        }
        assert!(matches!(fails("pkcs11:object=%ff"), UriError::Encoding(_)));
    }

    #[test]
    fn no_text_shows_a_pin() {
        let uri = TokenUri::parse("pkcs11:token=a%20b;id=%01?pin-value=s3cret&module-path=/x.so");
        let uri = uri.unwrap();
        assert_eq!(uri.to_string(), "pkcs11:token=a%20b;id=%01?module-path=/x.so");
        assert_eq!(TokenUri::parse(&uri.to_string()).unwrap().pin, None);
        assert!(!format!("{uri:?}").contains("s3cret"));
        for text in [
            "pkcs11:?pinvalue=s3cret",
            "pkcs11:?pin-value=%s3cret",
            "pkcs11:?pin-value=%ffs3cret",
            "pkcs11:?pin-value=1&s3cret",
            "pkcs11:?pin-value=1&s3cret=2",
            "pkcs11:?pin-value=1&pin-value=s3cret",
            "pkcs11:s3cret",
        ] {
            let error = TokenUri::parse(text).unwrap_err();
            assert!(!error.to_string().contains("s3cret"), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
