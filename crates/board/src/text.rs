//! How values are written in a board file: sizes, and names of things that other crates define.

use std::fmt;

use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::ser::Serializer;
use updraft_image::{HashKind, UpgradeMode};

use crate::schema::FlashKind;

/// Sizes and addresses: an integer, or a string such as `"512K"`, `"4 MiB"` or `"0x74000"`.
pub(crate) mod size {
    use super::*;

    struct Size;

    impl Visitor<'_> for Size {
        type Value = u32;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size below 4 GiB: 4096, 0x1000, \"4K\" or \"0x1000\"")
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<u32, E> {
            u32::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<u32, E> {
            u32::try_from(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<u32, E> {
            parse(value).ok_or_else(|| E::invalid_value(Unexpected::Str(value), &self))
        }
    }

    pub(crate) fn parse(text: &str) -> Option<u32> {
        let text = text.trim();
        if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            return u32::from_str_radix(&hex.replace('_', ""), 16).ok();
        }
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at_checked(digits)?;
        let shift = match unit.trim_start() {
            "" | "B" => 0,
            "K" | "KiB" => 10,
            "M" | "MiB" => 20,
            "G" | "GiB" => 30,
            _ => return None,
        };
        number.parse::<u32>().ok()?.checked_mul(1 << shift)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        from.deserialize_any(Size)
    }

    pub(crate) fn serialize<S: Serializer>(value: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(*value)
    }
}

/// The same, for values that may be left out.
pub(crate) mod size_option {
    use super::*;

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
        size::deserialize(from).map(Some)
    }

    pub(crate) fn serialize<S: Serializer>(value: &Option<u32>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_some(value),
            None => to.serialize_none(),
        }
    }
}

/// Something that a board file calls by a fixed name.
pub(crate) trait Named: Copy + PartialEq + 'static {
    const WHAT: &str;
    const NAMES: &[(Self, &str)];

    fn word(self) -> &'static str {
        Self::NAMES.iter().find(|(value, _)| *value == self).map_or("?", |(_, name)| name)
    }
}

impl Named for FlashKind {
    const WHAT: &str = "flash kind";
    const NAMES: &[(Self, &str)] = &[
        (Self::Nor, "nor"),
        (Self::NorLimited, "nor-limited"),
        (Self::EccWords, "ecc-words"),
        (Self::SelfErasingRows, "self-erasing-rows"),
    ];
}

impl Named for HashKind {
    const WHAT: &str = "hash";
    const NAMES: &[(Self, &str)] =
        &[(Self::Sha256, "sha256"), (Self::Sha384, "sha384"), (Self::Sha512, "sha512")];
}

impl Named for UpgradeMode {
    const WHAT: &str = "upgrade mode";
    const NAMES: &[(Self, &str)] = &{
        let mut names = [(Self::SingleSlot, ""); Self::ALL.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = (Self::ALL[index], Self::ALL[index].name());
            index += 1;
        }
        names
    };
}

/// (De)serialises a [`Named`] value by its name.
pub(crate) mod named {
    use super::*;

    struct Name<T>(std::marker::PhantomData<T>);

    impl<T: Named> Visitor<'_> for Name<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "the name of a {}", T::WHAT)
        }

        fn visit_str<E: de::Error>(self, word: &str) -> Result<T, E> {
            let found = T::NAMES.iter().find(|(_, name)| *name == word);
            found.map(|(value, _)| *value).ok_or_else(|| {
                let names: Vec<_> = T::NAMES.iter().map(|(_, name)| *name).collect();
                E::custom(format_args!("\"{word}\" is no {}; known: {}", T::WHAT, names.join(", ")))
            })
        }
    }

    pub(crate) fn deserialize<'de, D, T>(from: D) -> Result<T, D::Error>
    where
        D: Deserializer<'de>,
        T: Named,
    {
        from.deserialize_str(Name(std::marker::PhantomData))
    }

    pub(crate) fn serialize<S: Serializer, T: Named>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.word())
    }
}

/// The same, for values that may be left out.
pub(crate) mod named_option {
    use super::*;

    pub(crate) fn deserialize<'de, D, T>(from: D) -> Result<Option<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: Named,
    {
        named::deserialize(from).map(Some)
    }

    pub(crate) fn serialize<S, T>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        T: Named,
    {
        match value {
            Some(value) => named::serialize(value, to),
            None => to.serialize_none(),
        }
    }
}

/// A byte count as people write it: `48 KiB` where that is exact, else hexadecimal.
pub(crate) fn bytes(value: u32) -> String {
    match value {
        value if value >= 1 << 20 && value.is_multiple_of(1 << 20) => {
            format!("{} MiB", value >> 20)
        }
        value if value >= 1 << 10 && value.is_multiple_of(1 << 10) => {
            format!("{} KiB", value >> 10)
        }
        value => format!("{value} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::size::parse;

    #[test]
    fn sizes_are_read_in_every_notation() {
        for (text, value) in [
            ("4096", 4096),
            ("4K", 4096),
            ("4 KiB", 4096),
            ("1M", 1 << 20),
            ("0x7_4000", 0x74000),
            ("0X10", 16),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in ["", "K", "4k", "4KB", "-1", "0x", "4G", "0x1_0000_0000", "1.5K", "٤"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
