//! Topics.

use core::fmt::{self, Write};

use crate::json::Text;

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

/// Writes the topic of one session of `device`, apart from those of all others. `number` is to be
/// another one in each.
///
/// # Errors
/// If there is no room.
pub fn device_topic(
    to: &mut impl Write,
    prefix: Prefix<'_>,
    board: &str,
    device: &str,
    number: u16,
) -> fmt::Result {
    topic(to, prefix, board, "/")?;
    write!(to, "{device}/OTAImage/{number}")
}

/// Prefix and board of a topic that devices publish to; `None` if it is no such topic.
pub fn parse_notify(topic: &str) -> Option<(&str, &str)> {
    let (prefix, board) = topic.strip_suffix("/publish_notify")?.rsplit_once('/')?;
    (!prefix.is_empty() && !board.is_empty()).then_some((prefix, board))
}

/// Levels of a device's topic: AWS allows no more (AWS IoT Core quotas, slashes in a topic).
const MOST_LEVELS: usize = 8;

/// Whether a publisher may send to `topic` because a device of `prefix` and `board` has asked for
/// it: a topic under `P/B/` that no publisher and not all devices listen to, without wildcards, and
/// of a kind that all brokers take. At characters that cannot be printed and at many levels some of
/// them hang up on whoever publishes.
pub fn is_unique_topic(topic: Text<'_>, prefix: Prefix<'_>, board: &str) -> bool {
    let mut chars = topic.chars();
    let begins = [prefix.text(), "/", board, "/"].into_iter();
    if !begins.flat_map(str::chars).all(|wanted| chars.next() == Some(wanted)) {
        return false;
    }
    let is = |name: &str| chars.clone().eq(name.chars());
    !is("")
        && !is("publish_notify")
        && !is("OTAImage")
        && chars.clone().all(|c| c.is_ascii_graphic() && !matches!(c, '+' | '#'))
        && topic.chars().filter(|c| *c == '/').count() < MOST_LEVELS
}

fn topic(to: &mut impl Write, prefix: Prefix<'_>, board: &str, rest: &str) -> fmt::Result {
    [prefix.text(), "/", board, rest].into_iter().try_for_each(|part| to.write_str(part))
}
