//! Checks that links within the repository lead to existing files and headings.
//!
//! In: documents and files. Out: errors. It does not follow links to other sites.

use docs::Document;

use super::Files;

/// Broken links.
pub(super) fn wrong(documents: &[Document], files: &Files) -> Vec<String> {
    let links = documents.iter().flat_map(|document| document.links.iter().map(move |link| (document, link)));
    links
        .filter_map(|(document, link)| {
            let what = fault(document, &link.target, documents, files)?;
            Some(format!("{}:{}: {what}", document.name, link.line))
        })
        .collect()
}

fn fault(document: &Document, target: &str, documents: &[Document], files: &Files) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let path = if path.is_empty() { document.name.clone() } else { resolved(&document.name, path) };
    if !files.has(&path) {
        return Some(format!("the link `{target}` leads to {path}, which does not exist"));
    }
    let anchor = anchor?;
    let leads_to = documents.iter().find(|document| document.name == path);
    let Some(leads_to) = leads_to else {
        return Some(format!("the link `{target}` names a heading of {path}, which is no document"));
    };
    let is_there = leads_to.anchors.iter().any(|known| known == anchor);
    (!is_there).then(|| format!("the link `{target}` names `#{anchor}`, but {path} has no such heading"))
}

/// A document's relative path, converted to a path from the root.
fn resolved(document: &str, path: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in path.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_named() {
        let text = "# A\n[1](../b.md) [2](#a) [3](../b.md#b-c) [4](https://x/y)\n[5](b.md)\n[6](#b)\n[7](../b.md#x)\n";
        let documents = [Document::parse("docs/a.md", text), Document::parse("b.md", "## B c\n")];
        let wrong = wrong(&documents, &Files::of(&["docs/a.md", "b.md"]));
        let parts = ["docs/a.md:3: the link `b.md` leads to docs/b.md", "docs/a.md:4:", "docs/a.md:5:"];
        assert_eq!(wrong.len(), parts.len(), "{wrong:?}");
        assert!(wrong.iter().zip(parts).all(|(line, part)| line.starts_with(part)), "{wrong:?}");
    }
}
