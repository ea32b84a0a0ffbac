//! What somebody may have meant: names that are close to a mistyped one, as Python's `difflib`
//! finds them.

/// Share of two texts that has to be the same.
const CUTOFF: f64 = 0.6;
const MOST: usize = 3;

/// A sentence with the names that are close, or nothing.
pub fn suggestion(typed: &str, names: &[&str]) -> String {
    let mut close: Vec<(f64, &str)> = names
        .iter()
        .map(|name| (ratio(name, typed), *name))
        .filter(|(ratio, _)| *ratio >= CUTOFF)
        .collect();
    close.sort_by(|one, other| other.0.total_cmp(&one.0).then(other.1.cmp(one.1)));
    close.truncate(MOST);
    let mut names: Vec<_> = close.into_iter().map(|(_, name)| name).collect();
    names.sort_unstable();
    match names.as_slice() {
        [] => String::new(),
        [one] => format!(" Did you mean '{one}'?"),
        many => format!(" (Did you mean one of: '{}'?)", many.join("', '")),
    }
}

/// Twice the matching characters over all of them (Ratcliff and Obershelp).
fn ratio(one: &str, other: &str) -> f64 {
    let (one, other): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
    match one.len() + other.len() {
        0 => 1.0,
        all => 2.0 * matching(&one, &other) as f64 / all as f64,
    }
}

/// The longest common run, and what matches on both sides of it.
fn matching(one: &[char], other: &[char]) -> usize {
    let mut best = (0, 0, 0);
    for start in 0..one.len() {
        for at in 0..other.len() {
            let pairs = one[start..].iter().zip(&other[at..]);
            let len = pairs.take_while(|(a, b)| a == b).count();
            if len > best.2 {
                best = (start, at, len);
            }
        }
    }
    let (start, at, len) = best;
    if len == 0 {
        return 0;
    }
    len + matching(&one[..start], &other[..at]) + matching(&one[start + len..], &other[at + len..])
}

#[cfg(test)]
mod tests {
    use super::suggestion;

    #[test]
    fn close_names_are_offered_and_others_are_not() {
        let names = ["--align", "--max-align", "--pad", "--pad-header", "--erased-val", "--help"];
        let among = |typed| suggestion(typed, &names);
        assert_eq!(among("--alin"), " (Did you mean one of: '--align', '--max-align'?)");
        assert_eq!(among("--helping"), " (Did you mean one of: '--align', '--help'?)");
        assert_eq!(suggestion("signn", &["sign", "verify"]), " Did you mean 'sign'?");
        let three = " (Did you mean one of: '--erased-val', '--pad', '--pad-header'?)";
        assert_eq!(among("--pad-value"), three);
        assert_eq!(among("--x"), "");
    }
}
