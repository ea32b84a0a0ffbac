//! The list of differences from MCUboot names the test that holds each of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::workspace;

/// The names of functions in the last column of every table of `page`.
fn named_tests(page: &str) -> BTreeSet<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let last = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let names = last.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.filter(|name| name.contains('_')).collect()
}

/// The names of functions in the sources below `folder`.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
            found.extend(names.filter_map(|rest| rest.split('(').next()).map(str::to_owned));
        }
    }
}

#[test]
fn every_difference_from_mcuboot_names_a_test_that_exists() {
    let root = workspace::root();
    let page = fs::read_to_string(root.join("docs/mcuboot-differences.md")).unwrap();
    let named = named_tests(&page);
    assert!(named.len() > 60, "{named:?}");
    let mut found = BTreeSet::new();
    functions(&root.join("crates"), &mut found);
    let missing: Vec<_> = named.into_iter().filter(|name| !found.contains(*name)).collect();
    assert_eq!(missing, [""; 0]);
}
