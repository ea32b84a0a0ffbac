//! Vendor and class ids: UUIDs, or names that UUIDs are made of.

use uuid::Uuid;

/// Why a text is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A class is named within its vendor, and none was given.
    #[error("the class `{class}` is a name, and names count within a vendor: none was given")]
    NoVendor {
        /// The class.
        class: String,
    },
    /// Empty, or with characters that do not print.
    #[error("`{}` is neither a UUID nor a name of printable characters", .0.escape_default())]
    Form(String),
}

/// A vendor id: a UUID, or UUIDv5 of a name in the DNS namespace.
pub fn vendor_id(text: &str) -> Result<[u8; 16], IdError> {
    match raw(text) {
        Some(id) => Ok(id),
        None => Ok(Uuid::new_v5(&Uuid::NAMESPACE_DNS, name(text)?.as_bytes()).into_bytes()),
    }
}

/// A class id: a UUID, or UUIDv5 of a name in the namespace of its vendor.
pub fn class_id(text: &str, vendor: Option<[u8; 16]>) -> Result<[u8; 16], IdError> {
    if let Some(id) = raw(text) {
        return Ok(id);
    }
    let name = name(text)?;
    let vendor = vendor.ok_or_else(|| IdError::NoVendor { class: text.into() })?;
    Ok(Uuid::new_v5(&Uuid::from_bytes(vendor), name.as_bytes()).into_bytes())
}

/// 32 hexadecimal digits, with dashes where UUIDs have them or without.
fn raw(text: &str) -> Option<[u8; 16]> {
    let plain =
        matches!(text.len(), 32 | 36) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    let id = Uuid::try_parse(text).ok().filter(|_| plain)?;
    Some(id.into_bytes())
}

fn name(text: &str) -> Result<&str, IdError> {
    match text.is_empty() || text.chars().any(char::is_control) {
        true => Err(IdError::Form(text.into())),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_no_ids() {
        let error = class_id("board-rev-b", None).unwrap_err();
        assert!(error.to_string().contains("vendor"), "{error}");
        assert!(vendor_id("").is_err());
        assert_eq!(
            vendor_id("a\nb").unwrap_err().to_string(),
            "`a\\nb` is neither a UUID nor a name of printable characters"
        );
    }
}
