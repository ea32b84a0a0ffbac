//! `docs/settings.md`: what the original systems are configured by, and what takes its place. Made from
//! `xtask/settings.toml`; board-file keys are looked up in the schema and cargo features in the
//! manifests. That options exist is a test of the command's (`crates/cli/tests/settings.rs`); that no
//! setting is forgotten is measured by `xtask/settings-names.toml`, names from the originals' documents.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    system: Vec<System>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct System {
    name: String,
    about: String,
    settings: Vec<Setting>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    name: String,
    to: Vec<String>,
    note: String,
}

/// Names of settings by where they are from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    document: Vec<Document>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    of: String,
    /// The section of the page whose rows have to cover them.
    section: String,
    names: Vec<String>,
}

/// Names that a row covers: `A_B_C, _D` stands for `A_B_C`, and `A_B_D`, `A_D` or `A_B_C_D`.
fn covered(row: &str) -> Vec<String> {
    let mut names = vec![row.to_owned()];
    let mut whole = "";
    let parts = row.split(", ").flat_map(|part| part.split([' ', '(', ')']));
    for part in parts.filter(|part| !part.is_empty()) {
        names.push(part.to_owned());
        if part.starts_with('_') {
            let ends = whole.match_indices('_').map(|(at, _)| at).chain([whole.len()]);
            names.extend(ends.filter_map(|end| Some(format!("{}{part}", whole.get(..end)?))));
        } else {
            whole = part;
        }
    }
    names
}

/// The names that no row covers, each with its document; and how many there are.
fn uncovered(table: &Table, names: &Names) -> Result<(Vec<String>, usize)> {
    let (mut missing, mut count) = (Vec::new(), 0);
    for Document { of, section, names } in &names.document {
        let system = table.system.iter().find(|system| system.name == *section);
        let system = system.with_context(|| format!("no section `{section}`"))?;
        let rows = system.settings.iter().flat_map(|setting| covered(&setting.name));
        let rows: HashSet<_> = rows.collect();
        count += names.len();
        let left = names.iter().filter(|name| !rows.contains(*name));
        missing.extend(left.map(|name| format!("{name} ({of})")));
    }
    Ok((missing, count))
}

/// The page.
pub fn path() -> PathBuf {
    workspace::root().join("docs/settings.md")
}

/// The page as it should be.
pub fn page() -> Result<String> {
    let text = read("xtask/settings.toml")?;
    let table: Table = toml::from_str(&text).context("xtask/settings.toml")?;
    let schema = Schema::read()?;
    let mut page = INTRODUCTION.to_owned();
    let (mut count, mut missing) = (0, 0);
    let mut body = String::new();
    for System { name, about, settings } in &table.system {
        let _ = write!(body, "\n## {name}\n\n{about}\n\n| Setting | Here | |\n|---|---|---|\n");
        for setting in settings {
            count += 1;
            let targets = setting.to.iter().map(|to| target(to, setting, &schema));
            let targets = targets.collect::<Result<Vec<_>>>();
            let targets = targets.with_context(|| format!("{name}: {}", setting.name))?;
            missing += usize::from(setting.to == ["none"]);
            let names: Vec<_> = setting.name.split(", ").map(code).collect();
            let _ = writeln!(
                body,
                "| {} | {} | {} |",
                names.join(", "),
                targets.join("; "),
                setting.note
            );
        }
    }
    let names: Names = toml::from_str(&read("xtask/settings-names.toml")?)?;
    let (left, listed) = uncovered(&table, &names)?;
    if !left.is_empty() {
        bail!("no row for {}", left.join(", "));
    }
    let _ = writeln!(
        page,
        "{count} rows; {missing} of them have no place here, and say why. They cover {listed} names from \
         {} documents of the originals (`xtask/settings-names.toml`).\n{body}",
        names.document.len()
    );
    Ok(page.trim_end().to_owned() + "\n")
}

/// Names of settings are code, remarks in parentheses and sentences are not.
fn code(name: &str) -> String {
    let is_word = |word: &str| {
        !word.is_empty() && !word.contains(' ') && !word.chars().all(|c| c.is_ascii_lowercase())
    };
    match name.split_once(' ') {
        None if is_word(name) => format!("`{name}`"),
        Some((word, rest)) if is_word(word) && word.contains('_') => format!("`{word}` {rest}"),
        _ => name.to_owned(),
    }
}

fn target(to: &str, setting: &Setting, schema: &Schema) -> Result<String> {
    let (kind, what) = to.split_once(' ').unwrap_or((to, ""));
    Ok(match kind {
        "board" => {
            schema.check(what)?;
            format!("board file: `{what}`")
        }
        "feature" => {
            feature(what)?;
            format!("cargo feature: `{what}`")
        }
        "option" => {
            let (command, option) =
                what.split_once(" --").context("an option of which command?")?;
            format!("`updraft {command} --{option}`")
        }
        "command" => format!("`updraft {what}`"),
        "none" if setting.note.is_empty() => bail!("not applicable, because of what?"),
        "none" => "not applicable, because:".to_owned(),
        _ => bail!("`{to}` is no target"),
    })
}

/// Whether a package of ours has the feature.
fn feature(name: &str) -> Result<()> {
    let (package, feature) = name.split_once('/').context("package/feature")?;
    let folder = package.strip_prefix("updraft-").context("a package of ours")?;
    let manifest: toml::Table = read(&format!("crates/{folder}/Cargo.toml"))?.parse()?;
    let features = manifest.get("features").and_then(toml::Value::as_table);
    let there = features.is_some_and(|features| features.contains_key(feature));
    if there { Ok(()) } else { bail!("{package} has no feature `{feature}`") }
}

/// The keys of board files: the fields of each struct in the schema, and their types.
struct Schema(HashMap<String, HashMap<String, String>>);

impl Schema {
    fn read() -> Result<Self> {
        Ok(Self::of(&read("crates/board/src/schema.rs")?))
    }

    fn of(source: &str) -> Self {
        let mut structs: HashMap<String, HashMap<String, String>> = HashMap::new();
        let mut current = None;
        for line in source.lines() {
            if let Some(name) = line.strip_prefix("pub struct ") {
                current = name.split([' ', '(', '<']).next().map(str::to_owned);
            } else if line.starts_with('}') {
                current = None;
            }
            let Some(name) = &current else { continue };
            let Some((field, of)) =
                line.strip_prefix("    pub ").and_then(|line| line.split_once(": "))
            else {
                continue;
            };
            let of = of.trim_end_matches(',').trim_end_matches('>');
            let of = of.rsplit('<').next().unwrap_or(of);
            structs.entry(name.clone()).or_default().insert(field.to_owned(), of.to_owned());
        }
        Self(structs)
    }

    /// Whether a board file may have this key: `boot.encryption.wrap`.
    fn check(&self, key: &str) -> Result<()> {
        let mut at = "BoardFile".to_owned();
        for part in key.split('.') {
            let fields = self.0.get(&at).with_context(|| format!("`{key}`: {at} is no table"))?;
            at =
                fields.get(part).with_context(|| format!("no key `{key}` in board files"))?.clone();
        }
        Ok(())
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(workspace::root().join(path)).with_context(|| format!("no {path}"))
}

const INTRODUCTION: &str = "\
# Settings

What the systems are configured by that Updraft takes the place of, and where that is found here. Three \
places have settings: the **board file** (`boards/README.md` has every key), **cargo features**, which \
choose algorithms and nothing else, and **options** of the command. `cargo xtask tables` makes this page \
from `xtask/settings.toml`; tests see to it that every key, feature and option exists.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_settings_is_up_to_date() {
        let found = fs::read_to_string(path()).unwrap_or_default();
        assert!(found == page().unwrap(), "`cargo xtask tables` writes it");
    }

    #[test]
    fn every_setting_of_the_originals_has_a_row() {
        let table: Table = toml::from_str(&read("xtask/settings.toml").unwrap()).unwrap();
        let names: Names = toml::from_str(&read("xtask/settings-names.toml").unwrap()).unwrap();
        let (left, count) = uncovered(&table, &names).unwrap();
        assert!(left.is_empty(), "no row for {}", left.join(", "));
        println!("{count} names of {} documents", names.document.len());
    }

    #[test]
    fn a_setting_without_a_row_is_found_out() {
        let table = |rows: &str| -> Table {
            let row = format!("{{ name = \"{rows}\", to = [\"none\"], note = \"x\" }}");
            toml::from_str(&format!("[[system]]\nname = \"S\"\nabout = \"\"\nsettings = [{row}]"))
                .unwrap()
        };
        let names: Names = toml::from_str(
            "[[document]]\nof = \"D\"\nsection = \"S\"\nnames = [\"A_B_C\", \"A_B_D\", \"A_B_C_E\"]\n",
        )
        .unwrap();
        let left = |rows: &str| uncovered(&table(rows), &names).unwrap().0;
        assert_eq!(left("A_B_C, _D, A_B_C_E"), [""; 0]);
        assert_eq!(left("A_B_C, _D (_E)"), [""; 0]);
        assert_eq!(left("A_B_C (v5)"), ["A_B_D (D)", "A_B_C_E (D)"]);
        assert_eq!(left("A_B, A_B_C_…"), ["A_B_C (D)", "A_B_D (D)", "A_B_C_E (D)"]);
    }

    #[test]
    fn a_key_that_no_board_file_has_is_found_out() {
        let schema = Schema::of(
            "pub struct BoardFile {\n    pub boot: Boot,\n    pub area: Vec<AreaRow>,\n}\n\
             pub struct Boot {\n    pub encryption: Option<Encryption>,\n}\n\
             pub struct Encryption {\n    pub wrap: KeyWrap,\n}\n\
             pub struct AreaRow {\n    pub size: u32,\n}\n",
        );
        for known in ["boot.encryption.wrap", "area.size", "boot"] {
            schema.check(known).unwrap();
        }
        for unknown in ["boots", "area.sizes", "boot.encryption.wrap.more", "size"] {
            assert!(schema.check(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn a_feature_that_no_manifest_has_is_found_out() {
        assert!(feature("updraft-image/sig-rsa").is_ok());
        assert!(feature("updraft-image/sig-dsa").is_err());
        assert!(feature("updraft-images/sig-rsa").is_err());
    }
}
