//! The references of one Rust file: its imports and paths, its modules, its `unsafe`.
//!
//! In: the text and the file's module path. Out: [`Source`]. It reads tokens, so comments and strings have no effect,
//! and it sees the bodies of macros. It resolves names by the file's own imports (`use std as s; s::fs::read(..)` is
//! `std::fs::read`), whatever their scope: it may find too many references, never too few.
//!
//! It does not know types, so it does not see what a method does inside.

use std::iter::Peekable;
use std::str::FromStr as _;
use std::vec::IntoIter;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The references of a file.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Every import and every path of at least two parts, resolved.
    pub(crate) paths: Vec<Path>,
    /// The modules with their own files.
    pub(crate) modules: Vec<Module>,
    /// The lines with `unsafe`.
    pub(crate) unsafes: Vec<usize>,
}

/// A reference to an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// From the crate's root (`crate`, …) or another crate's name.
    pub(crate) parts: Vec<String>,
    /// It ends with `::*`.
    pub(crate) glob: bool,
    /// Its line.
    pub(crate) line: usize,
}

impl Path {
    /// Whether this refers to the item, to something in it, or to a glob that imports it.
    pub(crate) fn reaches(&self, item: &str) -> bool {
        let item: Vec<&str> = item.split("::").collect();
        let common = self.parts.iter().zip(&item).take_while(|(part, other)| part == *other).count();
        common == item.len() || (self.glob && common == self.parts.len())
    }
}

/// A declaration `mod name;`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// The path of the module from the crate's root, without `crate`.
    pub(crate) path: Vec<String>,
    /// The value of a `#[path = "…"]` on it.
    pub(crate) file: Option<String>,
    /// Its line.
    pub(crate) line: usize,
}

/// Reads the file of the module `module` of its crate.
///
/// # Errors
/// The line at which the text is not Rust, and the reason.
pub(crate) fn read(text: &str, module: &[String]) -> Result<Source, (usize, String)> {
    let tokens =
        TokenStream::from_str(text).map_err(|error| (error.span().start().line, error.to_string()))?;
    let mut reading = Reading::default();
    reading.walk(tokens, module);
    Ok(reading.finish())
}

/// A path as written, with the module that contains it.
#[derive(Debug)]
struct Written {
    path: Path,
    module: Vec<String>,
    /// Its name in an import.
    alias: Option<String>,
}

#[derive(Debug, Default)]
struct Reading {
    written: Vec<Written>,
    modules: Vec<Module>,
    declared: Vec<Vec<String>>,
    unsafes: Vec<usize>,
}

type Tokens = Peekable<IntoIter<TokenTree>>;

impl Reading {
    fn walk(&mut self, tokens: TokenStream, module: &[String]) {
        let mut tokens = tokens.into_iter().collect::<Vec<_>>().into_iter().peekable();
        let mut file = None;
        let mut after_dot = false;
        while let Some(token) = tokens.next() {
            let field = std::mem::replace(&mut after_dot, is_punct(&token, '.'));
            match token {
                TokenTree::Group(group) => {
                    file = path_attribute(&group).or(file);
                    self.walk(group.stream(), module);
                }
                TokenTree::Ident(ident) => {
                    let line = ident.span().start().line;
                    match ident.to_string().as_str() {
                        "use" if !tokens.peek().is_some_and(|next| is_punct(next, '<')) => {
                            self.import(&mut tokens, &[], module);
                        }
                        "extern" if tokens.peek().is_some_and(|next| is_ident(next, "crate")) => {
                            tokens.next();
                            self.import(&mut tokens, &[], module);
                        }
                        "mod" => self.module(&mut tokens, module, file.take()),
                        "unsafe" => self.unsafes.push(line),
                        _ if field => {}
                        name => {
                            let mut parts = vec![plain(name)];
                            while let Some(part) = next_part(&mut tokens) {
                                parts.push(part);
                            }
                            if parts.len() > 1 {
                                self.write(Path { parts, glob: false, line }, module, None);
                            }
                        }
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => file = None,
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    /// One tree of an import: `a::b`, `a::*`, `a::{…}`, each with or without `as c`.
    fn import(&mut self, tokens: &mut Tokens, prefix: &[String], module: &[String]) {
        let mut parts = prefix.to_vec();
        let mut line = 0;
        while let Some(token) = tokens.peek() {
            match token {
                TokenTree::Ident(ident) if ident == "as" => break,
                TokenTree::Ident(ident) => {
                    line = ident.span().start().line;
                    // `a::{self}` is `a`.
                    if *ident != "self" || parts.is_empty() {
                        parts.push(plain(&ident.to_string()));
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == '*' => {
                    let line = punct.span().start().line;
                    self.write(Path { parts, glob: true, line }, module, None);
                    tokens.next();
                    return;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {}
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let mut trees = group.stream().into_iter().collect::<Vec<_>>().into_iter().peekable();
                    while trees.peek().is_some() {
                        self.import(&mut trees, &parts, module);
                        trees.next_if(|token| is_punct(token, ','));
                    }
                    tokens.next();
                    return;
                }
                _ => break,
            }
            tokens.next();
        }
        if line == 0 {
            // Not an import, or one that Rust itself rejects; skip the token that stopped it.
            tokens.next_if(|token| !is_punct(token, ';') && !is_punct(token, ','));
            return;
        }
        let mut alias = parts.last().cloned();
        if tokens.next_if(|token| is_ident(token, "as")).is_some() {
            alias = tokens.next().map(|token| plain(&token.to_string()));
        }
        self.write(Path { parts, glob: false, line }, module, alias);
    }

    fn module(&mut self, tokens: &mut Tokens, parent: &[String], file: Option<String>) {
        let Some(TokenTree::Ident(name)) = tokens.next() else { return };
        let mut path = parent.to_vec();
        path.push(plain(&name.to_string()));
        let line = name.span().start().line;
        self.declared.push(path.clone());
        match tokens.next() {
            Some(TokenTree::Group(body)) => self.walk(body.stream(), &path),
            Some(end) if is_punct(&end, ';') => self.modules.push(Module { path, file, line }),
            _ => {}
        }
    }

    fn write(&mut self, path: Path, module: &[String], alias: Option<String>) {
        self.written.push(Written { path, module: module.to_vec(), alias });
    }

    fn finish(self) -> Source {
        let mut paths = Vec::new();
        for written in &self.written {
            for parts in self.resolve(&written.path.parts, &written.module, DEPTH) {
                paths.push(Path { parts, ..written.path.clone() });
            }
        }
        Source { paths, modules: self.modules, unsafes: self.unsafes }
    }

    /// All possible meanings of a path.
    fn resolve(&self, parts: &[String], module: &[String], depth: usize) -> Vec<Vec<String>> {
        let Some((first, rest)) = parts.split_first() else { return Vec::new() };
        let crate_path = |module: &[String], rest: &[String]| {
            std::iter::once("crate".to_owned()).chain(module.iter().chain(rest).cloned()).collect()
        };
        match first.as_str() {
            "crate" => return vec![parts.to_vec()],
            "self" => return vec![crate_path(module, rest)],
            "super" => {
                let parent = module.split_last().map_or(module, |(_, parent)| parent);
                // Handles both `super::super::x` and `super::x`.
                return match rest.first().is_some_and(|next| next == "super") {
                    true => self.resolve(rest, parent, depth),
                    false => vec![crate_path(parent, rest)],
                };
            }
            "core" | "alloc" => {
                return vec![std::iter::once("std".to_owned()).chain(rest.iter().cloned()).collect()];
            }
            _ => {}
        }
        let mut meanings = Vec::new();
        if self.declared.iter().any(|declared| {
            declared.split_last().is_some_and(|(name, parent)| name == first && parent == module)
        }) {
            meanings.push(crate_path(module, parts));
        }
        for import in self.written.iter().filter(|import| import.alias.as_ref() == Some(first)) {
            let longer: Vec<String> = import.path.parts.iter().chain(rest).cloned().collect();
            // `use tokio;` refers to itself; and in a program that compiles, chains of imports are finite.
            if longer != parts && depth > 0 {
                meanings.extend(self.resolve(&longer, &import.module, depth - 1));
            }
        }
        if meanings.is_empty() {
            meanings.push(parts.to_vec());
        }
        meanings
    }
}

/// Maximum length of a chain of imports.
const DEPTH: usize = 4;

/// The next `::name`, if there is one.
fn next_part(tokens: &mut Tokens) -> Option<String> {
    let mut ahead = tokens.clone();
    let joined = ahead.next().is_some_and(|token| is_punct(&token, ':'))
        && ahead.next().is_some_and(|token| is_punct(&token, ':'));
    match ahead.next() {
        Some(TokenTree::Ident(part)) if joined => {
            *tokens = ahead;
            Some(plain(&part.to_string()))
        }
        _ => None,
    }
}

/// The value of `path = "…"` in an attribute's group.
fn path_attribute(group: &Group) -> Option<String> {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    match tokens.as_slice() {
        [name, equals, TokenTree::Literal(value)] if is_ident(name, "path") && is_punct(equals, '=') => {
            Some(value.to_string().trim_matches('"').to_owned())
        }
        _ => None,
    }
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// `r#name` is `name`.
fn plain(name: &str) -> String {
    name.strip_prefix("r#").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths of a file that is `crate::dns::name`, as text.
    fn paths(text: &str) -> Vec<String> {
        let module = ["dns".to_owned(), "name".to_owned()];
        let source = read(text, &module).unwrap();
        source.paths.iter().map(|p| p.parts.join("::") + if p.glob { "::*" } else { "" }).collect()
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(paths(text), expected, "{text}");
    }

    #[test]
    fn imports_of_every_form() {
        check("use std::fs;", &["std::fs"]);
        check("pub(crate) use std::fs::File as F;", &["std::fs::File"]);
        check(
            "use std::{fs::{self, File}, net as n, io::*,};",
            &["std::fs", "std::fs::File", "std::net", "std::io::*"],
        );
        check("use ::tokio;", &["tokio"]);
        check("extern crate aya as a;", &["aya"]);
        check("use {a::b, c};", &["a::b", "c"]);
        check("fn f() -> impl Fn() + use<'_> { r#try::x() }", &["try::x"]);
    }

    #[test]
    fn paths_are_resolved_through_the_imports() {
        check("use std as s; fn f() { s::fs::read(1); }", &["std", "std::fs::read"]);
        check(
            "use std::time; use time::Instant as I; I::now()",
            &["std::time", "std::time::Instant", "std::time::Instant::now"],
        );
        check("use core::time::Duration;", &["std::time::Duration"]);
        check("use tokio; tokio::spawn(x)", &["tokio", "tokio::spawn"]);
    }

    #[test]
    fn imports_in_a_circle_end() {
        assert!(!paths("use a::b as c; use c::d as a; fn f() { a::x() }").is_empty());
    }

    #[test]
    fn relative_paths_start_at_the_crates_root() {
        check("use crate::probe::Ring;", &["crate::probe::Ring"]);
        check("use super::super::probe;", &["crate::probe"]);
        check("use super::message;", &["crate::dns::message"]);
        check("use self::inner::X;", &["crate::dns::name::inner::X"]);
        check("mod tests { use super::*; }", &["crate::dns::name::*"]);
        check("mod child; fn f() { child::go() }", &["crate::dns::name::child::go"]);
    }

    #[test]
    fn macros_are_read_and_text_is_not() {
        check("macro_rules! m { () => { $crate::probe::go() } }", &["crate::probe::go"]);
        check("m!(a, std::fs::read(x))", &["std::fs::read"]);
        check("// std::fs::read\n/* std::fs */ const A: &str = \"std::fs::read\"; // 'x", &[]);
        check("const A: &str = r#\"use std::fs;\"#;", &[]);
        check("fn f<'a>(x: &'a S) { x.tokio; <u8 as tokio::T>::go() }", &["tokio::T"]);
    }

    #[test]
    fn modules_and_unsafe_are_found() {
        let text = "#[cfg(test)]\nmod a;\n#[path = \"other.rs\"] mod b;\nmod c { mod d; }\nunsafe fn f() {}\n\
                    #![deny(unsafe_code)]";
        let source = read(text, &["m".to_owned()]).unwrap();
        let module = |path: &[&str], file: Option<&str>, line| Module {
            path: path.iter().map(|&part| part.to_owned()).collect(),
            file: file.map(str::to_owned),
            line,
        };
        assert_eq!(
            source.modules,
            [
                module(&["m", "a"], None, 2),
                module(&["m", "b"], Some("other.rs"), 3),
                module(&["m", "c", "d"], None, 4),
            ]
        );
        assert_eq!(source.unsafes, [5]);
    }

    #[test]
    fn the_line_of_a_path_is_known() {
        let source = read("use a::{\n  b,\n  c::*,\n};\n\nfn f() { d::e() }", &[]).unwrap();
        assert_eq!(source.paths.iter().map(|path| path.line).collect::<Vec<_>>(), [2, 3, 6]);
    }
}
