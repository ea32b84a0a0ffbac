use super::*;

const WRITES: &str = "base = 0x08000000";

fn kind(lines: &str) -> String {
    refusal(&[(WRITES, &format!("{WRITES}\n{lines}"))])
}

#[test]
fn unknown_kinds_list_the_known_ones() {
    assert_eq!(
        kind("kind = \"nand\""),
        "flash[0].kind: \"nand\" is no flash kind; known: nor, nor-limited, ecc-words, \
             self-erasing-rows"
    );
}

#[test]
fn a_limit_without_its_numbers() {
    let problem = kind("kind = \"nor-limited\"\nword = 4");
    assert_eq!(
        problem,
        "flash[0].kind: nor-limited flash \"internal\" needs `word_writes`: it takes \
             `word_writes` writes of `word` bytes between two erases"
    );
    assert!(kind("kind = \"nor-limited\"\nword_writes = 2").contains("needs `word`"));
}

#[test]
fn a_limit_that_cannot_be() {
    let limited = |word, writes| {
        kind(&format!("kind = \"nor-limited\"\nword = {word}\nword_writes = {writes}"))
    };
    assert_eq!(limited(12, 2), "flash[0].word: 12 is no power of two");
    assert_eq!(limited(8192, 2), "flash[0].word: a sector of 4096 bytes is no whole words");
    assert_eq!(limited(8, 0), "flash[0].word_writes: a word that takes no write cannot be used");
}

#[test]
fn numbers_that_a_kind_does_not_have() {
    assert_eq!(
        kind("kind = \"ecc-words\"\nword_writes = 2"),
        "flash[0].word_writes: only nor-limited flash has `word_writes`, this is ecc-words"
    );
    assert_eq!(kind("word = 4"), "flash[0].word: only nor-limited flash has `word`, this is nor");
}

#[test]
fn rows_that_are_no_sectors() {
    let problem = kind("kind = \"self-erasing-rows\"");
    assert_eq!(
        problem,
        "flash[0].write_size: a self-erasing row is a sector: flash \"internal\" has sectors \
             of 4096 bytes, and 8 are written at once"
    );
}
