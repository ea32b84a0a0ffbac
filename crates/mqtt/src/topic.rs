//! Topic names and filters (section 4.7).

/// Whether messages can be published to it: at least a character, no wildcard, no NUL, and at most
/// 65,535 bytes.
pub fn is_name(topic: &str) -> bool {
    is_text(topic) && !topic.contains(['+', '#'])
}

/// Whether it can be subscribed to: `+` stands for a whole level, `#` for all levels from there on
/// and is the last.
pub fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    let mut fits = is_text(filter);
    while let Some(level) = levels.next() {
        let wild = level.contains(['+', '#']);
        fits &= !wild || level == "+" || (level == "#" && levels.peek().is_none());
    }
    fits
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= usize::from(u16::MAX) && !text.contains('\0')
}

/// Whether a message to `topic` goes to who has subscribed to `filter`. What begins with `$` is not
/// met by a wildcard in the first level (MQTT-4.7.2-1).
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = topic.split('/');
    for level in filter.split('/') {
        match (level, names.next()) {
            // It stands for the parent as well.
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_whole_levels() {
        for filter in ["#", "+", "a/+/c", "+/+", "/+", "a/#", "/", "a//b", "sport/+/player1"] {
            assert!(is_filter(filter), "{filter}");
        }
        for filter in ["", "a#", "a/#/b", "a+", "a/b+/c", "#/a", "a\0"] {
            assert!(!is_filter(filter), "{filter}");
        }
        assert!(is_name("a/b") && is_name("/") && is_name("$aws/things"));
        assert!(!is_name("a/+") && !is_name("#") && !is_name(""));
    }

    /// The examples of section 4.7.
    #[test]
    fn filters_match_as_the_standard_says() {
        for (filter, topic) in [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("sport/#", "sport"),
            ("sport/tennis/+", "sport/tennis/player1"),
            ("sport/+", "sport/"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("$SYS/#", "$SYS/monitor"),
            ("$SYS/monitor/+", "$SYS/monitor/Clients"),
        ] {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in [
            ("sport/tennis/+", "sport/tennis/player1/ranking"),
            ("sport/+", "sport"),
            ("+", "/finance"),
            ("#", "$SYS/monitor"),
            ("+/monitor/Clients", "$SYS/monitor/Clients"),
            ("a/b", "a/b/c"),
            ("a/b/c", "a/b"),
            ("A", "a"),
        ] {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
    }
}
