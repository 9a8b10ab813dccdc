//! Source files as the rules of `tidy` see them: code, comments and literals told apart, functions measured.
//!
//! A small lexer, so that a brace in a string is no brace and a word in a comment is no call.

use std::fs;
use std::path::Path;

/// Folders that hold nothing of ours.
const PASSED_OVER: [&str; 6] = [".git", "target", ".venv", "__pycache__", ".pytest_cache", "node_modules"];

/// One file of the project.
pub struct Source {
    /// From the project's root, with forward slashes.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// Which part of a Rust file a rule reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything, as written.
    All,
    /// Without comments.
    Code,
    /// Without comments, and with literals emptied.
    Bare,
}

impl Source {
    /// The part of the file, up to its unit tests where it has some.
    pub fn production(&self, part: Part) -> String {
        let text = self.read(part);
        if self.is_test() {
            return String::new();
        }
        text.lines().take(self.production_lines()).collect::<Vec<_>>().join("\n")
    }

    /// The part of the whole file.
    pub fn read(&self, part: Part) -> String {
        match part {
            Part::All => self.text.clone(),
            Part::Code => blank(&self.text, false),
            Part::Bare => blank(&self.text, true),
        }
    }

    /// Lines before the unit tests.
    pub fn production_lines(&self) -> usize {
        let count = self.text.lines().count();
        self.text.lines().position(|line| line == "#[cfg(test)]").unwrap_or(count)
    }

    /// Whether it is a test from its first line to its last.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Every text file of the project.
pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found.sort_by(|left, right| left.path.cmp(&right.path));
    assert!(found.len() > 50, "the project's files are not where they should be");
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the project").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if is_link || PASSED_OVER.iter().any(|passed| name == *passed) {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
}

/// A function and how many lines it takes.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where it begins, counted from 1.
    pub line: usize,
    /// From its `fn` to its closing brace.
    pub lines: usize,
}

/// The functions with a body in a text without comments and literals.
pub fn functions(bare: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in bare.match_indices("fn ") {
        let is_word = !bare[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let name: String = bare[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !is_word || name.is_empty() {
            continue;
        }
        if let Some(end) = end_of_body(&bare.as_bytes()[at..]) {
            let line = bare[..at].matches('\n').count() + 1;
            found.push(Function { name, line, lines: bare[at..at + end].matches('\n').count() + 1 });
        }
    }
    found
}

/// Where the body that follows a signature ends; `None` where there is none.
fn end_of_body(text: &[u8]) -> Option<usize> {
    let (mut round, mut curly) = (0usize, 0usize);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'(' | b'[' if curly == 0 => round += 1,
            b')' | b']' if curly == 0 => round = round.saturating_sub(1),
            b';' if curly == 0 && round == 0 => return None,
            b'{' => curly += 1,
            b'}' => {
                curly = curly.checked_sub(1)?;
                if curly == 0 && round == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The text with comments, and on request the insides of literals, turned into spaces. Lines stay where they are.
fn blank(text: &str, literals: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_in_word = false;
    while let Some(first) = rest.chars().next() {
        let (length, keeps) = token(rest, is_in_word);
        let (piece, after) = rest.split_at(length);
        let is_literal = length > first.len_utf8() && keeps;
        if !keeps || (is_literal && literals) {
            let edge = |at: usize, c: char| is_literal && (at == 0 || at + c.len_utf8() == piece.len());
            let shown = |(at, c): (usize, char)| if c == '\n' || edge(at, c) { c } else { ' ' };
            out.extend(piece.char_indices().map(shown));
        } else {
            out.push_str(piece);
        }
        is_in_word = piece.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        rest = after;
    }
    out
}

/// The length of the comment, literal or single character that a text begins with, and whether it is code.
fn token(text: &str, is_in_word: bool) -> (usize, bool) {
    let one = text.chars().next().map_or(0, char::len_utf8);
    let to = |end: Option<usize>, closing: usize| end.map_or(text.len(), |end| end + closing);
    if text.starts_with("//") {
        return (to(text.find('\n'), 0), false);
    }
    if text.starts_with("/*") {
        return (to(text.find("*/"), 2), false);
    }
    if let Some(quote) = raw_string(text).filter(|_| !is_in_word) {
        let closing = format!("\"{}", "#".repeat(text[..quote].matches('#').count()));
        let end = text[quote + 1..].find(&closing).map(|end| end + quote + 1);
        return (to(end, closing.len()), true);
    }
    if text.starts_with('"') {
        return (to(unescaped(text, '"'), 1), true);
    }
    if let Some(inside) = text.strip_prefix('\'') {
        let is_escaped = inside.starts_with('\\');
        let is_char = inside.chars().nth(1) == Some('\'');
        if is_escaped || is_char {
            return (to(unescaped(text, '\''), 1), true);
        }
    }
    (one, true)
}

/// Where the quote of a raw string stands that a text begins with.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let quoted = hashes.trim_start_matches('#');
    quoted.starts_with('"').then(|| text.len() - quoted.len())
}

/// Where a literal ends that a text begins with.
fn unescaped(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    let mut characters = text.char_indices().skip(1);
    characters.find_map(|(at, c)| {
        let ends = c == quote && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends.then_some(at)
    })
}

#[test]
fn comments_and_literals_are_no_code() {
    for (text, code, bare) in [
        ("a // b\nc", "a     \nc", "a     \nc"),
        ("a /* b\n */ c", "a     \n    c", "a     \n    c"),
        (r#"f("{\"x", '{', '\'')"#, r#"f("{\"x", '{', '\'')"#, r#"f("    ", ' ', '  ')"#),
        ("r#\"a\"b\"# x", "r#\"a\"b\"# x", "r      # x"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
    ] {
        assert_eq!((&*blank(text, false), &*blank(text, true)), (code, bare), "{text}");
    }
}

#[test]
fn functions_are_measured_from_signature_to_closing_brace() {
    let text = "trait T {\n    fn none(&self) -> [u8; 2];\n    fn some(&self) {\n        if true {\n        }\n    }\n}\n";
    let some = Function { name: "some".to_owned(), line: 3, lines: 4 };
    assert_eq!(functions(text), [some]);
}
