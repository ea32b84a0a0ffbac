//! What was recorded of imgtool: errors, keys in every form, dumps, verdicts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::workspace::{enter, ours, vectors, words};

fn manifest() -> Value {
    serde_json::from_slice(&std::fs::read(vectors().join("manifest.json")).unwrap()).unwrap()
}

/// The words behind the tool's name.
fn args(entry: &Value) -> Vec<String> {
    words(entry["command"].as_str().unwrap())[1..].to_vec()
}

/// Errors that we word differently: imgtool's is a slip, or says less than there is to say.
const OTHER_WORDS: [&str; 8] = [
    "Custom TLV",
    "Invalid custom TLV type",
    "allowed sha are one of",
    "Could not find allowed hash",
    "Pure signatures, currently",
    "is too long",
    "and versions in:",
    "Cannot inspect",
];

#[test]
fn every_recorded_error_has_the_same_exit_code_and_words() {
    let _turn = enter("errors");
    let (mut total, mut same_words, mut traces, mut others) = (0, 0, 0, Vec::new());
    for entry in manifest()["cli"].as_array().unwrap() {
        total += 1;
        let line = entry["command"].as_str().unwrap();
        let outcome = ours(&args(entry), &[]);
        assert_eq!(u64::from(outcome.code), entry["rc"].as_u64().unwrap(), "{line}");
        let output = entry["output"].as_array().unwrap();
        let theirs: Vec<_> = output.iter().map(|line| line.as_str().unwrap()).collect();
        let both = format!("{}{}", outcome.said(), outcome.err);
        if !entry["exception"].is_null() {
            traces += 1;
            assert_eq!(outcome.err.lines().count(), 1, "{line}: one line instead of a traceback");
            assert!(outcome.err.starts_with("Error: "), "{line}: {}", outcome.err);
        } else if theirs.iter().any(|said| OTHER_WORDS.iter().any(|words| said.contains(words)))
            && both.trim_end() != theirs.join("\n")
        {
            others.push(format!("{line}\n    {}", outcome.error()));
        } else {
            same_words += 1;
            assert_eq!(both.trim_end(), theirs.join("\n"), "{line}");
        }
    }
    println!("recorded command lines: {total} run / {total} total, all with imgtool's exit code");
    println!("  {same_words} word for word; {traces} tracebacks are one line; in our words:");
    others.iter().for_each(|line| println!("  {line}"));
    assert_eq!((total, same_words + traces + others.len()), (48, 48));
}

#[test]
fn every_recorded_form_of_a_key_is_the_same() {
    let _turn = enter("forms");
    let (mut run, mut errors) = (0, BTreeMap::<String, usize>::new());
    for entry in manifest()["keyout"].as_array().unwrap() {
        let line = entry["command"].as_str().unwrap();
        let outcome = ours(&args(entry), &[]);
        assert_eq!(u64::from(outcome.code), entry["rc"].as_u64().unwrap(), "{line}");
        if let Some(file) = entry["stdout_file"].as_str() {
            assert!(outcome.out == std::fs::read(vectors().join(file)).unwrap(), "{line}");
        } else if let Some(said) = entry["stdout"].as_str() {
            let both = format!("{}{}", outcome.said(), outcome.err);
            assert_eq!(both, said, "{line}");
        } else {
            *errors.entry(outcome.error().to_owned()).or_default() += 1;
        }
        run += 1;
    }
    println!("recorded forms of keys: {run} run / {run} total");
    errors.iter().for_each(|(error, count)| println!("  {count} in our words: {error}"));
    assert_eq!(run, 109);
}

#[test]
fn every_recorded_dump_is_the_same() {
    let _turn = enter("dumps");
    let mut run = 0;
    for entry in manifest()["dumps"].as_array().unwrap() {
        let line = entry["command"].as_str().unwrap();
        let outcome = ours(&args(entry), &[]);
        assert_eq!(outcome.code, 0, "{line}");
        let file = vectors().join(entry["stdout_file"].as_str().unwrap());
        assert_eq!(outcome.said(), std::fs::read_to_string(file).unwrap(), "{line}");
        run += 1;
    }
    println!("recorded dumps: {run} run / {run} total");
    assert_eq!(run, 30);
}

#[test]
fn every_recorded_verdict_is_the_same() {
    let _turn = enter("verdicts");
    let (mut run, mut total, mut stricter) = (0, 0, Vec::new());
    for vector in manifest()["vectors"].as_array().unwrap() {
        for entry in vector["verify"].as_array().into_iter().flatten() {
            let line = entry["command"].as_str().unwrap();
            let outcome = ours(&args(entry), &[]);
            total += 1;
            if outcome.error().starts_with("Error: the image has no hash") {
                stricter.push(line.to_owned());
                continue;
            }
            assert_eq!(u64::from(outcome.code), entry["rc"].as_u64().unwrap(), "{line}");
            if entry["exception"].is_null() {
                let said = entry["stdout"].as_array().unwrap().iter();
                let said: Vec<_> = said.map(|line| line.as_str().unwrap()).collect();
                assert_eq!(outcome.said().trim_end(), said.join("\n"), "{line}");
            } else {
                assert!(outcome.err.starts_with("Error: "), "{line}");
            }
            run += 1;
        }
    }
    println!("recorded verdicts: {run} the same / {total} total");
    stricter.iter().for_each(|line| println!("  stricter, there is no hash: {line}"));
    assert_eq!((run, total), (774, 778));
}
