//! Names of keys in tokens: RFC 7512.

/// A name such as `pkcs11:token=Release;object=firmware?module-path=/usr/lib/x.so`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    pub pin: Option<String>,
    /// A file with the PIN.
    pub pin_source: Option<String>,
}

/// Why a text is no name of a key in a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It does not begin with the scheme.
    #[error("a key in a token is named pkcs11:token=…;object=…")]
    Scheme,
    /// A part is not of the form.
    #[error("`{0}` is no attribute of a PKCS#11 URI")]
    Attribute(String),
    /// A part is given twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// A percent sign without two hexadecimal digits, or bytes that are no text.
    #[error("`{0}` is not percent-encoded text")]
    Encoding(String),
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
        for part in parts {
            let bad = || UriError::Attribute(part.into());
            let (name, value) = part.split_once('=').ok_or_else(bad)?;
            if seen.contains(&name) {
                return Err(UriError::Twice(name.into()));
            }
            seen.push(name);
            let bytes = decode(value)?;
            let value = String::from_utf8(bytes.clone());
            let value = || value.clone().map_err(|_| UriError::Encoding(part.into()));
            match name {
                "token" => uri.token = Some(value()?),
                "serial" => uri.serial = Some(value()?),
                "model" => uri.model = Some(value()?),
                "manufacturer" => uri.manufacturer = Some(value()?),
                "slot-id" => uri.slot = Some(value()?.parse().map_err(|_| bad())?),
                "object" => uri.object = Some(value()?),
                "id" => uri.id = Some(bytes),
                "type" => match value()?.as_str() {
                    "private" => {}
                    other => return Err(UriError::Type(other.into())),
                },
                "module-path" => uri.module = Some(value()?),
                "pin-value" => uri.pin = Some(value()?),
                "pin-source" => {
                    let source = value()?;
                    uri.pin_source = Some(source.trim_start_matches("file:").to_owned());
                }
                _ => return Err(bad()),
            }
        }
        Ok(uri)
    }
}

fn decode(text: &str) -> Result<Vec<u8>, UriError> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err(UriError::Encoding(text.into()));
        };
        // Two hexadecimal digits are a byte.
        bytes.push((high << 4 | low) as u8);
        rest = &rest[2..];
    }
    Ok(bytes)
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
        assert_eq!(uri.pin.as_deref(), Some("12&34"));
        let source = TokenUri::parse("PKCS11:slot-id=7?pin-source=file:/run/pin").unwrap();
        assert_eq!((source.slot, source.pin_source.as_deref()), (Some(7), Some("/run/pin")));
        assert_eq!(TokenUri::parse("pkcs11:").unwrap(), TokenUri::default());
    }

    #[test]
    fn names_of_anything_else_are_refused_by_part() {
        let fails = |text: &str| TokenUri::parse(text).unwrap_err();
        assert_eq!(fails("key.pem"), UriError::Scheme);
        assert_eq!(fails("pkcs11:token"), UriError::Attribute("token".into()));
        assert_eq!(fails("pkcs11:colour=red"), UriError::Attribute("colour=red".into()));
        assert_eq!(fails("pkcs11:token=a;token=b"), UriError::Twice("token".into()));
        assert_eq!(fails("pkcs11:type=cert"), UriError::Type("cert".into()));
        for text in ["pkcs11:object=%", "pkcs11:object=%4", "pkcs11:object=%zz"] {
            assert!(matches!(fails(text), UriError::Encoding(_)), "{text}");
        }
        assert!(matches!(fails("pkcs11:object=%ff"), UriError::Encoding(_)));
    }
}
