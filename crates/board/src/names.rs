//! The boards that come with the program.

use crate::LoadError;

/// Name and text of every file in `boards/`, by name.
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/boards.rs"));

/// The names of the boards that [`crate::Board::load`] knows without a file.
pub fn built_in() -> impl ExactSizeIterator<Item = &'static str> + Clone {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// The file name and text of a built-in board.
pub(crate) fn find(name: &str) -> Result<(String, &'static str), LoadError> {
    match BUILT_IN.iter().find(|(known, _)| *known == name) {
        Some((name, text)) => Ok((format!("boards/{name}.toml"), text)),
        None => Err(LoadError::Unknown { name: name.into(), hint: hint(name) }),
    }
}

fn hint(name: &str) -> String {
    let mut near: Vec<_> = built_in()
        .map(|known| (distance(name, known), known))
        .filter(|(far, known)| *far <= known.len() / 3 || known.contains(name))
        .collect();
    near.sort();
    let near: Vec<_> = near.into_iter().take(3).map(|(_, known)| known).collect();
    if near.is_empty() || name.is_empty() {
        let all: Vec<_> = built_in().collect();
        format!("there are {}, or give the path of a board file", all.join(", "))
    } else {
        format!("did you mean {}?", near.join(" or "))
    }
}

/// Insertions, deletions and replacements that lead from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, b) in to.chars().enumerate() {
            let replace = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replace.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_edits() {
        for (from, to, edits) in
            [("", "", 0), ("", "abc", 3), ("nor", "nor", 0), ("nro", "nor", 2), ("moor", "nor", 2)]
        {
            assert_eq!(distance(from, to), edits, "{from} → {to}");
            assert_eq!(distance(to, from), edits, "{to} → {from}");
        }
    }
}
