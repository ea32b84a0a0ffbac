//! Certificates and keys as strings for C sources: what Infineon's `format_cert_key.py` prints.

/// Whether the original takes a file of that name. It prints a line that says so otherwise.
pub fn is_listed(name: &str) -> bool {
    [".crt", ".pem", ".key"].iter().any(|ending| name.ends_with(ending))
}

/// What is printed for a file: its name, each line as a string with its end, and an empty line.
pub fn listing(name: &str, text: &str) -> String {
    let mut listed = format!("String format of {name} file:\n");
    let mut lines = lines(text).into_iter().peekable();
    while let Some(line) = lines.next() {
        let more = if lines.peek().is_some() { "\\" } else { "" };
        listed += &format!("\"{line}\\n\"{more}\n");
    }
    listed + "\n"
}

/// Lines as Python has them: there are more ends of lines than two.
fn lines(text: &str) -> Vec<&str> {
    const ENDS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(ENDS) {
        let (line, end) = rest.split_at(at);
        lines.push(line);
        let first = end.chars().next().map_or(0, char::len_utf8);
        let len = if end.starts_with("\r\n") { 2 } else { first };
        rest = end.get(len..).unwrap_or_default();
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}
