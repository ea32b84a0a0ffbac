//! Sources of devicetrees: comments, labels, references, nodes that are opened again. The
//! preprocessor's business is left to it, but for names of numbers.
//!
//! Source of the grammar: the Devicetree Specification, v0.4, chapter 6.

use std::collections::HashMap;

use super::ImportError;
use super::expression::Reader;

/// Nodes within nodes.
const DEEPEST: usize = 64;

/// The value of a property, as it is written.
#[derive(Clone, Debug)]
pub(super) struct Value {
    text: String,
    pub(super) line: usize,
}

/// A node, with everything that the file says of it in several places.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) parent: Option<usize>,
    /// Without the address.
    pub(super) name: String,
    /// Behind the `@`.
    pub(super) unit: Option<String>,
    pub(super) labels: Vec<String>,
    properties: HashMap<String, Value>,
    pub(super) deleted: bool,
}

impl Node {
    pub(super) fn property(&self, name: &str) -> Option<&Value> {
        self.properties.get(name)
    }

    /// The strings of a property.
    pub(super) fn strings(&self, name: &str) -> Vec<&str> {
        let text = self.property(name).map_or("", |value| &value.text);
        text.split('"').skip(1).step_by(2).collect()
    }
}

/// A file.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    labels: HashMap<String, usize>,
    /// Nodes by what they are in and their whole name.
    children: HashMap<(Option<usize>, String), usize>,
    /// Other files that it takes parts from.
    pub(super) includes: Vec<String>,
    /// What names of numbers stand for.
    names: HashMap<String, String>,
}

impl Tree {
    pub(super) fn parse(text: &str) -> Result<Self, ImportError> {
        let mut tree = Self::default();
        let text = tree.preprocessed(&without_comments(text))?;
        let mut parser = Parser { text: &text, line: 1, tree: &mut tree };
        parser.body(None, 0)?;
        Ok(tree)
    }

    /// The numbers of a property. `None` if it has none.
    pub(super) fn cells(&self, node: &Node, name: &str) -> Option<Result<Vec<u64>, ImportError>> {
        let value = node.property(name)?;
        let wrong =
            |what: String| ImportError { line: value.line, what: format!("`{name}`: {what}") };
        let mut cells = Vec::new();
        // `<1 2>, <3 4>` is the same as `<1 2 3 4>`; shifts to the left have brackets of their own.
        let text = value.text.trim();
        let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
        let Some(inner) = inner else {
            return Some(Err(wrong("`<` or `>` is missing".to_owned())));
        };
        for group in inner.split(',') {
            let group = group.trim();
            let group = group.strip_prefix('<').unwrap_or(group);
            let group = group.strip_suffix('>').unwrap_or(group);
            let mut reader = Reader::new(group, &self.names);
            while let Some(number) = reader.next() {
                match number {
                    Ok(number) => cells.push(number),
                    Err(what) => return Some(Err(wrong(what))),
                }
            }
        }
        Some(Ok(cells))
    }

    /// The bytes of a property: `[0b 40 16]`, as lower-case hexadecimal digits.
    pub(super) fn bytes(&self, node: &Node, name: &str) -> Option<String> {
        let text = node.property(name)?.text.trim();
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        let digits: String = inner.split_whitespace().collect();
        Some(digits.to_ascii_lowercase())
    }

    /// Takes the preprocessor's lines out; every other one keeps its number.
    fn preprocessed(&mut self, text: &str) -> Result<String, ImportError> {
        let mut out = String::with_capacity(text.len());
        let mut goes_on = false;
        for (index, line) in text.lines().enumerate() {
            let directive = line.trim_start().strip_prefix('#').map(str::trim_start);
            let word = directive.map(|rest| {
                rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default()
            });
            let rest = |word: &str| {
                directive.and_then(|rest| rest.strip_prefix(word)).unwrap_or_default().trim()
            };
            let is_theirs = match word {
                _ if goes_on => true,
                Some("include") => {
                    let name = rest("include").trim_matches(['<', '>', '"']);
                    self.includes.push(name.to_owned());
                    true
                }
                Some("define") => {
                    if let Some((name, meaning)) = rest("define").split_once(char::is_whitespace) {
                        self.names.insert(name.to_owned(), meaning.trim().to_owned());
                    }
                    true
                }
                Some("undef") => {
                    self.names.remove(rest("undef"));
                    true
                }
                Some(word @ ("if" | "ifdef" | "ifndef" | "elif" | "else" | "endif")) => {
                    return Err(ImportError {
                        line: index + 1,
                        what: format!(
                            "`#{word}` is for the C preprocessor: give the build's zephyr/zephyr.dts, \
                             which it has been through"
                        ),
                    });
                }
                Some("pragma" | "line" | "error" | "warning") => true,
                _ => false,
            };
            goes_on = is_theirs && line.ends_with('\\');
            if !is_theirs {
                out.push_str(line);
            }
            out.push('\n');
        }
        Ok(out)
    }

    fn labelled(&self, label: &str) -> Option<usize> {
        self.labels.get(label).copied()
    }
}

/// The text with spaces where comments were; what is in quotes is no comment.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            let closing = rest.get(1..).and_then(|text| text.find(['"', '\n']));
            let end = closing.map_or(rest.len(), |at| at + 2);
            out.push_str(rest.get(..end).unwrap_or(rest));
            rest = rest.get(end..).unwrap_or_default();
            continue;
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        };
        let (comment, behind) = rest.split_at(end);
        out.push(' ');
        out.extend(comment.chars().filter(|c| *c == '\n'));
        rest = behind;
    }
    out
}

struct Parser<'t, 'p> {
    text: &'p str,
    line: usize,
    tree: &'t mut Tree,
}

impl Parser<'_, '_> {
    fn wrong(&self, what: impl Into<String>) -> ImportError {
        ImportError { line: self.line, what: what.into() }
    }

    fn advance(&mut self, bytes: usize) -> &str {
        let (passed, rest) = self.text.split_at(bytes);
        self.line += passed.matches('\n').count();
        self.text = rest;
        passed
    }

    fn skip(&mut self) {
        let rest = self.text.trim_start();
        self.advance(self.text.len() - rest.len());
    }

    fn take(&mut self, what: &str) -> bool {
        self.skip();
        let there = self.text.starts_with(what);
        if there {
            self.advance(what.len());
        }
        there
    }

    /// A name of a node, a property, a label, or a reference.
    fn word(&mut self) -> String {
        self.skip();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_,.+*#?@&-".contains(c);
        let end = match self.text.strip_prefix("&{") {
            Some(path) => path.find('}').map_or(self.text.len(), |at| at + 3),
            None => self.text.find(|c| !is_part(c)).unwrap_or(self.text.len()),
        };
        self.advance(end).to_owned()
    }

    /// What stands in a node, to its `}`; or in the file, to its end.
    fn body(&mut self, node: Option<usize>, depth: usize) -> Result<(), ImportError> {
        if depth > DEEPEST {
            return Err(self.wrong("nodes are in each other without end"));
        }
        loop {
            self.skip();
            if self.text.is_empty() {
                return match node {
                    None => Ok(()),
                    Some(_) => Err(self.wrong("`}` is missing")),
                };
            }
            if self.take("}") {
                if node.is_none() {
                    return Err(self.wrong("`}` closes nothing"));
                }
                self.take(";");
                return Ok(());
            }
            if self.text.starts_with('/') && !self.is_root() {
                self.directive(node)?;
            } else {
                self.entry(node, depth)?;
            }
        }
    }

    /// Whether the root node begins here: `/{`.
    fn is_root(&self) -> bool {
        self.text.strip_prefix('/').is_some_and(|rest| rest.trim_start().starts_with('{'))
    }

    /// `/dts-v1/;`, `/delete-node/ &label;` and so on.
    fn directive(&mut self, node: Option<usize>) -> Result<(), ImportError> {
        let end = self.text.get(1..).and_then(|text| text.find('/'));
        let Some(end) = end else { return Err(self.wrong("`/` begins nothing")) };
        let name = self.advance(end + 2).to_owned();
        if name == "/omit-if-no-ref/" {
            return Ok(());
        }
        self.skip();
        let end = self.text.find(';');
        let Some(end) = end else { return Err(self.wrong(format!("no `;` behind {name}"))) };
        let of = self.advance(end + 1).trim_end_matches(';').trim().to_owned();
        match name.as_str() {
            "/include/" => self.tree.includes.push(of.trim_matches('"').to_owned()),
            "/delete-node/" => {
                let found = match of.strip_prefix('&') {
                    Some(label) => self.tree.labelled(label),
                    None => self.child(node, &of),
                };
                // What another file has is not here to be deleted.
                if let Some(node) = found.and_then(|node| self.tree.nodes.get_mut(node)) {
                    node.deleted = true;
                }
            }
            "/delete-property/" => {
                if let Some(node) = node.and_then(|node| self.tree.nodes.get_mut(node)) {
                    node.properties.remove(&of);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A property or a node.
    fn entry(&mut self, node: Option<usize>, depth: usize) -> Result<(), ImportError> {
        let mut labels = Vec::new();
        let name = loop {
            let word = if self.is_root() { self.advance(1).to_owned() } else { self.word() };
            if word.is_empty() {
                let found: String = self.text.chars().take(20).collect();
                let found = found.lines().next().unwrap_or_default().to_owned();
                return Err(self.wrong(format!("`{found}` is no name")));
            }
            if !self.take(":") {
                break word;
            }
            labels.push(word);
        };
        if self.take("{") {
            let child = self.open(node, &name, labels);
            return self.body(Some(child), depth + 1);
        }
        let line = self.line;
        let text = if self.take("=") { self.value(&name)? } else { String::new() };
        if !self.take(";") {
            return Err(self.wrong(format!("no `;` behind {name}")));
        }
        if let Some(node) = node.and_then(|node| self.tree.nodes.get_mut(node)) {
            node.properties.insert(name, Value { text, line });
        }
        Ok(())
    }

    /// What stands before the `;`.
    fn value(&mut self, name: &str) -> Result<String, ImportError> {
        let mut quoted = false;
        let end = self.text.find(|c| {
            quoted ^= c == '"';
            c == ';' && !quoted
        });
        let Some(end) = end else { return Err(self.wrong(format!("no `;` behind {name}"))) };
        Ok(self.advance(end).to_owned())
    }

    fn child(&self, parent: Option<usize>, name: &str) -> Option<usize> {
        self.tree.children.get(&(parent, name.to_owned())).copied()
    }

    /// The node of this name: a new one, or one that was there before.
    fn open(&mut self, parent: Option<usize>, name: &str, mut labels: Vec<String>) -> usize {
        let known = match name.strip_prefix('&') {
            Some(label) => self.tree.labelled(label),
            None => self.child(parent, name),
        };
        let index = known.unwrap_or_else(|| {
            let mut node = Node { parent, ..Node::default() };
            let index = self.tree.nodes.len();
            match name.strip_prefix('&') {
                // A node of another file: that it has this label is all that is known.
                Some(label) => labels.push(label.to_owned()),
                None => {
                    let (short, unit) = name
                        .split_once('@')
                        .map_or((name, None), |(name, unit)| (name, Some(unit)));
                    (node.name, node.unit) = (short.to_owned(), unit.map(str::to_owned));
                    self.tree.children.insert((parent, name.to_owned()), index);
                }
            }
            self.tree.nodes.push(node);
            index
        });
        if let Some(node) = self.tree.nodes.get_mut(index) {
            node.deleted = false;
            for label in labels {
                self.tree.labels.insert(label.clone(), index);
                node.labels.push(label);
            }
        }
        index
    }
}
