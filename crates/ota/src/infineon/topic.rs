//! Topics.

use core::fmt::{self, Write};

/// What topics begin with where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix<'p> {
    /// `OTAUpdate`, of the `ota-update` library.
    OtaUpdate,
    /// `anycloud`, of the older `anycloud-ota` library.
    Anycloud,
    /// The company's own.
    Own(&'p str),
}

impl<'p> Prefix<'p> {
    /// The text.
    pub const fn text(self) -> &'p str {
        match self {
            Self::OtaUpdate => "OTAUpdate",
            Self::Anycloud => "anycloud",
            Self::Own(text) => text,
        }
    }
}

/// Writes the topic that devices publish to.
///
/// # Errors
/// If there is no room.
pub fn notify_topic(to: &mut impl Write, prefix: Prefix<'_>, board: &str) -> fmt::Result {
    topic(to, prefix, board, "/publish_notify")
}

/// Writes the topic that all devices of a board share.
///
/// # Errors
/// If there is no room.
pub fn shared_topic(to: &mut impl Write, prefix: Prefix<'_>, board: &str) -> fmt::Result {
    topic(to, prefix, board, "/OTAImage")
}

/// Writes the topic of one session of one device. `number` is to be another one in each.
///
/// # Errors
/// If there is no room.
pub fn unique_topic(
    to: &mut impl Write,
    prefix: Prefix<'_>,
    board: &str,
    number: u16,
) -> fmt::Result {
    topic(to, prefix, board, "/OTAImage/")?;
    write!(to, "{number}")
}

fn topic(to: &mut impl Write, prefix: Prefix<'_>, board: &str, rest: &str) -> fmt::Result {
    [prefix.text(), "/", board, rest].into_iter().try_for_each(|part| to.write_str(part))
}
