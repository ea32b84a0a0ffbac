//! Numbers as sources of devicetrees have them: `0x74000`, `DT_SIZE_K(472)`, `(64 * 1024)`.

use std::collections::HashMap;

/// Expressions within expressions, and names that stand for names.
const DEEPEST: usize = 32;

/// Reads numbers one after the other.
pub(super) struct Reader<'a> {
    text: &'a str,
    /// What `#define` has given names to.
    names: &'a HashMap<String, String>,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, names: &'a HashMap<String, String>) -> Self {
        Self { text, names, depth: 0 }
    }

    /// The next number, `None` at the end.
    pub(super) fn next(&mut self) -> Option<Result<u64, String>> {
        self.skip();
        (!self.text.is_empty()).then(|| self.primary())
    }

    fn skip(&mut self) {
        self.text = self.text.trim_start();
    }

    fn take(&mut self, what: &str) -> bool {
        self.skip();
        let rest = self.text.strip_prefix(what);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    fn word(&mut self) -> &'a str {
        let end = self.text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (word, rest) = self.text.split_at(end.unwrap_or(self.text.len()));
        self.text = rest;
        word
    }

    /// A number, a name, a call, something in parentheses.
    fn primary(&mut self) -> Result<u64, String> {
        self.skip();
        if self.take("(") {
            let value = self.sum()?;
            return match self.take(")") {
                true => Ok(value),
                false => Err("`)` is missing".to_owned()),
            };
        }
        let word = self.word();
        if word.is_empty() {
            let found: String = self.text.chars().take(20).collect();
            return Err(format!("`{found}` is no number"));
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            let digits = word.trim_end_matches(['u', 'U', 'l', 'L']);
            let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
            let value = match hex {
                Some(hex) => u64::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            return value.map_err(|_| format!("`{word}` is no number"));
        }
        let unit = match word {
            "DT_SIZE_K" => Some(1024),
            "DT_SIZE_M" => Some(1024 * 1024),
            _ => None,
        };
        if let Some(unit) = unit {
            self.skip();
            if !self.text.starts_with('(') {
                return Err(format!("{word} wants `(`"));
            }
            let value = self.primary()?;
            return value.checked_mul(unit).ok_or_else(|| format!("{word}({value}) is too large"));
        }
        let unknown = || {
            format!(
                "`{word}` is not known here: the build's zephyr/zephyr.dts has its value instead"
            )
        };
        let meaning = self.names.get(word).ok_or_else(unknown)?;
        self.deeper(|depth, names| {
            let mut inner = Self { text: meaning, names, depth };
            let value = inner.sum()?;
            inner.skip();
            if inner.text.is_empty() { Ok(value) } else { Err(unknown()) }
        })
    }

    fn deeper<T>(
        &mut self,
        work: impl FnOnce(usize, &'a HashMap<String, String>) -> Result<T, String>,
    ) -> Result<T, String> {
        if self.depth == DEEPEST {
            return Err("names stand for each other without end".to_owned());
        }
        work(self.depth + 1, self.names)
    }

    fn sum(&mut self) -> Result<u64, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("too many parentheses".to_owned());
        }
        let mut value = self.product()?;
        loop {
            let (next, sum) = if self.take("+") {
                let next = self.product()?;
                (next, value.checked_add(next))
            } else if self.take("-") {
                let next = self.product()?;
                (next, value.checked_sub(next))
            } else {
                self.depth -= 1;
                return Ok(value);
            };
            value = sum.ok_or_else(|| format!("{value} and {next} give no size"))?;
        }
    }

    fn product(&mut self) -> Result<u64, String> {
        let mut value = self.primary()?;
        loop {
            let (next, product) = if self.take("*") {
                let next = self.primary()?;
                (next, value.checked_mul(next))
            } else if self.take("/") {
                let next = self.primary()?;
                (next, value.checked_div(next))
            } else if self.take("<<") {
                let next = self.primary()?;
                let bits = u32::try_from(next).ok();
                (next, bits.and_then(|bits| 1u64.checked_shl(bits)?.checked_mul(value)))
            } else {
                return Ok(value);
            };
            value = product.ok_or_else(|| format!("{value} and {next} give no size"))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<u64>, String> {
        let names = [("HERE", "0x8000"), ("THERE", "(HERE + 4)"), ("ROUND", "ROUND")];
        let names = names.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let mut reader = Reader::new(text, &names);
        std::iter::from_fn(|| reader.next()).collect()
    }

    #[test]
    fn numbers_stand_side_by_side_and_sums_in_parentheses() {
        assert_eq!(all("0x0 0xC000").unwrap(), [0, 0xc000]);
        assert_eq!(all("0x00008000 DT_SIZE_K(108)").unwrap(), [0x8000, 108 * 1024]);
        assert_eq!(all("(64 * 1024) DT_SIZE_M( 1 )").unwrap(), [65536, 1048576]);
        assert_eq!(all("(0x100 + 2*(8-4)) (1 << 12)").unwrap(), [0x108, 4096]);
        assert_eq!(all("HERE THERE").unwrap(), [0x8000, 0x8004]);
        assert_eq!(all("").unwrap(), []);
    }

    #[test]
    fn what_has_no_value_is_refused_and_never_guessed() {
        for (text, why) in [
            ("UNKNOWN", "`UNKNOWN` is not known here"),
            ("(1", "`)` is missing"),
            ("0x1g", "`0x1g` is no number"),
            ("&flash0", "`&flash0` is no number"),
            ("(1 - 2)", "give no size"),
            ("(1 / 0)", "give no size"),
            ("DT_SIZE_M(0xffffffffffff)", "is too large"),
            ("(1 << 64)", "give no size"),
            ("ROUND", "without end"),
        ] {
            let error = all(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(all(&"(".repeat(10_000)).unwrap_err().contains("too many parentheses"));
        assert!(all(&"DT_SIZE_K ".repeat(10_000)).is_err());
    }
}
