//! Parses a Markdown file.
//!
//! In: its name and text. Out: blocks, spans, links and anchors. Anchors follow GitHub's rules for headings.

use std::collections::BTreeMap;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::block::{self, Block};

/// A document.
#[derive(Clone, Debug)]
pub struct Document {
    /// The path from the root of the repository.
    pub name: String,
    /// The code blocks.
    pub blocks: Vec<Block>,
    /// The code spans.
    pub spans: Vec<Span>,
    /// The links and pictures.
    pub links: Vec<Link>,
    /// Anchors that a link to this document may use after `#`.
    pub anchors: Vec<String>,
}

/// A piece of text in code font.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The line, from 1.
    pub line: usize,
    /// The text.
    pub text: String,
    /// The text of the heading above it.
    pub section: String,
    /// The column of the table that it is in, from 0.
    pub column: Option<usize>,
}

/// A link, or the source of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The line, from 1.
    pub line: usize,
    /// Its target.
    pub target: String,
}

impl Document {
    /// Parses a document.
    #[must_use]
    pub fn parse(name: &str, text: &str) -> Self {
        let line_of = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        let mut document = Self {
            name: name.to_owned(),
            blocks: Vec::new(),
            spans: Vec::new(),
            links: Vec::new(),
            anchors: Vec::new(),
        };
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        let (mut section, mut heading) = (String::new(), None::<String>);
        let mut column: Option<usize> = None;
        let mut open: Option<(usize, String, String)> = None;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = line_of(range.start);
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    section = heading.take().unwrap_or_default();
                    let slug = slug(&section);
                    let count = used.entry(slug.clone()).or_default();
                    document.anchors.push(if *count == 0 { slug } else { format!("{slug}-{count}") });
                    *count += 1;
                }
                Event::Start(Tag::TableHead | Tag::TableRow) => column = Some(0),
                Event::End(TagEnd::TableCell) => column = column.map(|column| column + 1),
                Event::End(TagEnd::Table) => column = None,
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    open = Some((line, language, String::new()));
                }
                Event::End(TagEnd::CodeBlock) => {
                    if let Some((line, language, content)) = open.take() {
                        let comment = block::comment_above(text, line);
                        document.blocks.push(Block {
                            file: name.to_owned(),
                            line,
                            language,
                            text: content,
                            comment,
                        });
                    }
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(Link { line, target: dest_url.to_string() });
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    for attribute in ["src=\"", "srcset=\"", "href=\""] {
                        let targets = html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
                        document.links.extend(targets.map(|to| Link { line, target: to.to_owned() }));
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    let (text, section) = (code.to_string(), section.clone());
                    document.spans.push(Span { line, text, section, column });
                }
                Event::Text(piece) => match (&mut open, &mut heading) {
                    (Some((_, _, content)), _) => content.push_str(&piece),
                    (None, Some(heading)) => heading.push_str(&piece),
                    (None, None) => {}
                },
                _ => {}
            }
        }
        document
    }

    /// Whether each of its blocks needs a check.
    #[must_use]
    pub fn is_checked_whole(&self) -> bool {
        self.name == "README.md" || self.name.starts_with("docs/")
    }
}

/// GitHub's anchor for a heading at its first occurrence.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_found_with_its_line() {
        let text = "# A `b`, c!\n\nSee `x y` and [z](docs/z.md#q).\n\n```sh\nls\n```\n\n## A b c\n\n| `m` | `n` |\n|---|---|\n| `o` | p `q` |\n\n<img src=\"a.png\">\n\n## A b c\n";
        let document = Document::parse("docs/a.md", text);
        assert_eq!(document.anchors, ["a-b-c", "a-b-c-1", "a-b-c-2"]);
        let block = &document.blocks[0];
        assert_eq!((block.line, block.language.as_str(), block.text.as_str()), (5, "sh", "ls\n"));
        let spans: Vec<_> = document.spans.iter().map(|s| (s.line, s.text.as_str(), s.column)).collect();
        let cells = [(11, "m", Some(0)), (11, "n", Some(1)), (13, "o", Some(0)), (13, "q", Some(1))];
        assert_eq!(spans, [&[(1, "b", None), (3, "x y", None)][..], &cells].concat());
        let links: Vec<_> = document.links.iter().map(|link| (link.line, link.target.as_str())).collect();
        assert_eq!(links, [(3, "docs/z.md#q"), (15, "a.png")]);
    }

    #[test]
    fn anchors_are_those_of_github() {
        for (heading, anchor) in [
            ("Upgrade, rollback, removal", "upgrade-rollback-removal"),
            ("`pick_first` & co", "pick_first--co"),
            ("What it does not see", "what-it-does-not-see"),
        ] {
            assert_eq!(slug(&heading.replace('`', "")), anchor);
        }
    }
}
