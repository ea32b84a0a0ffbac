//! As much of make as fragments of settings use: assignments, references, conditions on them, and
//! `-D` in lists of definitions. Rules, and functions that ask the system, are not.
//!
//! Source: GNU make's manual, "How to Use Variables" and "Conditional Parts of Makefiles".

use std::collections::HashMap;

use super::super::ImportError;

/// References within references.
const DEEPEST: usize = 32;

/// What a variable is, as it is written.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    text: String,
    pub(super) line: usize,
}

/// The variables of a fragment.
#[derive(Debug, Default)]
pub(super) struct Variables(HashMap<String, Variable>);

/// Whether the lines of a condition count.
#[derive(Clone, Copy)]
enum Branch {
    /// They do; those of every other branch of it do not.
    Taken,
    /// They do not, another branch may.
    Waiting,
    /// No branch does any more.
    Over,
}

impl Variables {
    pub(super) fn read(text: &str) -> Result<Self, ImportError> {
        let mut variables = Self::default();
        let mut branches: Vec<Branch> = Vec::new();
        let mut defines = false;
        for (line, text) in logical_lines(text) {
            let wrong = |what: String| ImportError { line, what };
            let text = without_comment(&text);
            let text = text.trim();
            let (word, rest) = text.split_once([' ', '\t', '(']).unwrap_or((text, ""));
            let rest = text.strip_prefix(word).unwrap_or(rest).trim();
            if defines || word == "define" {
                defines = word != "endef";
                continue;
            }
            let counts = branches.iter().all(|branch| matches!(branch, Branch::Taken));
            match word {
                "ifeq" | "ifneq" | "ifdef" | "ifndef" => {
                    let holds = counts && variables.holds(word, rest).map_err(wrong)?;
                    branches.push(if holds { Branch::Taken } else { Branch::Waiting });
                }
                "else" => {
                    let Some(branch) = branches.pop() else {
                        return Err(wrong("`else` without a condition".to_owned()));
                    };
                    let outer = branches.iter().all(|branch| matches!(branch, Branch::Taken));
                    branches.push(match branch {
                        Branch::Taken | Branch::Over => Branch::Over,
                        Branch::Waiting if outer && variables.is_else(rest).map_err(wrong)? => {
                            Branch::Taken
                        }
                        Branch::Waiting => Branch::Waiting,
                    });
                }
                "endif" => {
                    let open = branches.pop();
                    open.ok_or_else(|| wrong("`endif` without a condition".to_owned()))?;
                }
                _ if counts => variables.assign(text, line).map_err(wrong)?,
                _ => {}
            }
        }
        match branches.is_empty() {
            true => Ok(variables),
            false => {
                let line = text.lines().count().max(1);
                Err(ImportError { line, what: "`endif` is missing".to_owned() })
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Variable> {
        self.0.get(name).cloned()
    }

    /// What a variable stands for in the end; nothing if nobody has set it, as with make.
    pub(super) fn value(&self, name: &str) -> Result<String, String> {
        let text = self.0.get(name).map_or("", |variable| &variable.text);
        self.expand(text, 0)
    }

    fn assign(&mut self, text: &str, line: usize) -> Result<(), String> {
        let mut text = text;
        while let Some(rest) =
            ["export ", "override "].iter().find_map(|word| text.strip_prefix(word))
        {
            text = rest.trim_start();
        }
        let Some((name, value)) = text.split_once('=') else { return Ok(()) };
        let plain = name.trim_end_matches([':', '?', '+', '!']);
        let operator = name.strip_prefix(plain).unwrap_or_default();
        let (name, value) = (plain.trim(), value.trim());
        if name.is_empty() || name.contains([' ', '\t', ':', '$', '(']) {
            return Ok(());
        }
        if operator == "+" {
            self.define(value, line)?;
        }
        let old = self.0.get(name);
        let text = match operator {
            "?" if old.is_some() => return Ok(()),
            "+" => {
                let old = old.map_or("", |old| &old.text);
                format!("{old} {value}").trim().to_owned()
            }
            // At once: what it refers to may change later. What cannot be told yet may be told then.
            ":" | "::" => self.expand(value, 0).unwrap_or_else(|_| value.to_owned()),
            _ => value.to_owned(),
        };
        self.0.insert(name.to_owned(), Variable { text, line });
        Ok(())
    }

    /// What a list of definitions for the compiler sets: `-DNAME=1`, or `NAME=1`.
    fn define(&mut self, list: &str, line: usize) -> Result<(), String> {
        for word in words(list) {
            let word = word.strip_prefix("-D").unwrap_or(word);
            let Some((name, value)) = word.split_once('=') else { continue };
            // `NAME=$(NAME)` hands a variable on.
            if !value.contains(&format!("({name})")) && !value.contains(&format!("{{{name}}}")) {
                let text = value.to_owned();
                self.0.entry(name.to_owned()).or_insert(Variable { text, line });
            }
        }
        Ok(())
    }

    fn is_else(&self, rest: &str) -> Result<bool, String> {
        let (word, condition) = rest.split_once([' ', '(']).unwrap_or((rest, ""));
        let condition = rest.strip_prefix(word).unwrap_or(condition).trim();
        if word.is_empty() { Ok(true) } else { self.holds(word, condition) }
    }

    fn holds(&self, word: &str, rest: &str) -> Result<bool, String> {
        if let "ifdef" | "ifndef" = word {
            let there = self.0.get(rest).is_some_and(|variable| !variable.text.is_empty());
            return Ok(there == (word == "ifdef"));
        }
        let (left, right) = sides(rest).ok_or_else(|| format!("`{word}` compares two things"))?;
        let equal = self.expand(left, 0)?.trim() == self.expand(right, 0)?.trim();
        Ok(equal == (word == "ifeq"))
    }

    /// The text with what `$(NAME)` and `${NAME}` stand for.
    fn expand(&self, text: &str, depth: usize) -> Result<String, String> {
        if depth > DEEPEST {
            return Err("it refers to itself".to_owned());
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('$') {
            out.push_str(before);
            if let Some(behind) = behind.strip_prefix('$') {
                out.push('$');
                rest = behind;
                continue;
            }
            let inner = enclosed(behind).ok_or_else(|| format!("`${behind}` is no reference"))?;
            rest = behind.get(inner.len() + 2..).unwrap_or_default();
            out.push_str(&self.reference(inner, depth + 1)?);
            if out.len() > 1 << 16 {
                return Err("it is too long".to_owned());
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn reference(&self, inner: &str, depth: usize) -> Result<String, String> {
        let Some((function, arguments)) = inner.split_once(' ') else {
            let name = self.expand(inner, depth)?;
            return match self.0.get(&name) {
                Some(variable) => self.expand(&variable.text, depth),
                None => Ok(String::new()),
            };
        };
        let arguments = self.expand(arguments, depth)?;
        match (function, arguments.split_once(',')) {
            ("strip", _) => Ok(arguments.split_whitespace().collect::<Vec<_>>().join(" ")),
            ("filter", Some((wanted, words))) => {
                let wanted: Vec<_> = wanted.split_whitespace().collect();
                let kept = words.split_whitespace().filter(|word| wanted.contains(word));
                Ok(kept.collect::<Vec<_>>().join(" "))
            }
            _ => Err(format!("`$({function} …)` is only known to make")),
        }
    }
}

/// Words, where `$(…)` is part of one.
fn words(list: &str) -> Vec<&str> {
    let mut depth = 0usize;
    list.split(move |c: char| {
        match c {
            '(' | '{' => depth += 1,
            ')' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c.is_whitespace() && depth == 0
    })
    .collect()
}

/// What stands in the brackets that a text begins with.
fn enclosed(text: &str) -> Option<&str> {
    let (open, close) = if text.starts_with('(') { ('(', ')') } else { ('{', '}') };
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth = depth.checked_sub(1)?;
        }
        if depth == 0 {
            return text.get(1..at);
        }
    }
    None
}

/// The two sides of `(a,b)`, `"a" "b"` or `'a' 'b'`.
fn sides(text: &str) -> Option<(&str, &str)> {
    if let Some(inner) = text.strip_prefix('(').and_then(|text| text.trim_end().strip_suffix(')')) {
        let mut depth = 0usize;
        let comma = inner.find(|c| {
            match c {
                '(' | '{' => depth += 1,
                ')' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        })?;
        return Some((inner.get(..comma)?, inner.get(comma + 1..)?));
    }
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut parts = text.split(quote);
    let (_, left, _, right) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some((left, right))
}

/// Lines, those that end in a backslash together with the next, by the number of the first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let part = line.strip_suffix('\\').unwrap_or(line);
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, whole)) => {
                whole.push(' ');
                whole.push_str(part.trim_start());
            }
            // What a rule does is no setting.
            None if line.starts_with('\t') && line.trim_start().starts_with(['@', '-']) => {}
            None => lines.push((index + 1, part.to_owned())),
        }
        goes_on = line.ends_with('\\');
    }
    lines
}

fn without_comment(line: &str) -> String {
    match line.split_once('#') {
        Some((before, behind)) if before.ends_with('\\') => {
            let before = before.strip_suffix('\\').unwrap_or(before);
            format!("{before}#{}", without_comment(behind))
        }
        Some((before, _)) => before.to_owned(),
        None => line.to_owned(),
    }
}
