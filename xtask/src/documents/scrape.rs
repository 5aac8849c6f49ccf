//! Checks that scrape configurations in the documents keep the daemons' pods: by the port, the labels and the namespace
//! in deploy/manifests.
//!
//! In: the blocks for Prometheus, the manifests. Out: errors. It looks only at `action: keep` and at namespaces, line
//! by line; another test checks that a real Prometheus finds the daemons: `tests/tests/nodes`.

use docs::{Check, Document};

/// Prometheus's labels for a pod's port and for its labels.
const PORT: &str = "__meta_kubernetes_pod_container_port_name";
const LABEL: &str = "__meta_kubernetes_pod_label_";

/// Errors; `manifests` is the text of deploy/manifests.
pub(super) fn wrong(documents: &[Document], manifests: &str) -> Vec<String> {
    let blocks = documents.iter().flat_map(|document| &document.blocks);
    let mut wrong = Vec::new();
    for block in blocks.filter(|block| block.check() == Ok(Check::Prometheus)) {
        for (at, line) in block.text.lines().enumerate() {
            if let Some(what) = fault(line, manifests) {
                wrong.push(format!("{}:{}: {what}", block.file, block.line + 1 + at));
            }
        }
    }
    wrong
}

fn fault(line: &str, manifests: &str) -> Option<String> {
    if let Some(names) = between(line, "names: [", "]") {
        let is_there = |name: &&str| manifests.contains(&format!("namespace: {name}\n"));
        let missing = names.split(',').map(str::trim).find(|name| !is_there(name))?;
        return Some(format!("deploy/manifests has nothing in the namespace {missing}"));
    }
    let source = between(line, "source_labels: [", "]").filter(|_| line.contains("action: keep"))?;
    let value = between(line, "regex: ", ",").or_else(|| between(line, "regex: ", "}"))?;
    if source == PORT {
        let has =
            manifests.contains(&format!("name: {value}\n")) || manifests.contains(&format!("name: {value},"));
        return (!has).then(|| format!("no port of the daemon's pods has the name {value}"));
    }
    let name = source.strip_prefix(LABEL)?;
    let has = manifests
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .any(|(label, of_pod)| label.replace(['.', '/', '-'], "_") == name && of_pod == value);
    (!has).then(|| format!("no pod of deploy/manifests has the label {name} with the value {value}"))
}

fn between<'a>(line: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    line.split_once(begin)?.1.split(end).next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_no_daemon_is_named() {
        let manifests = "  namespace: here\n  a.b/c: d\n  - {name: metrics, port: 1}\n";
        let found = |line: &str| {
            let text = format!("```yaml\nscrape_configs:\n{line}\n```\n");
            wrong(&[Document::parse("docs/a.md", &text)], manifests)
        };
        for right in [
            format!("  - {{source_labels: [{PORT}], regex: metrics, action: keep}}"),
            format!("  - {{source_labels: [{LABEL}a_b_c], regex: d, action: keep}}"),
            "  - {role: pod, namespaces: {names: [here]}}".to_owned(),
            "  - {source_labels: [x], target_label: node}".to_owned(),
        ] {
            assert_eq!(found(&right), [""; 0], "{right}");
        }
        for (line, part) in [
            (format!("  - {{source_labels: [{PORT}], regex: http, action: keep}}"), "the name http"),
            (format!("  - {{source_labels: [{LABEL}a_b_c], regex: e, action: keep}}"), "the value e"),
            ("  - {role: pod, namespaces: {names: [there]}}".to_owned(), "namespace there"),
        ] {
            let found = found(&line);
            assert!(
                found.len() == 1 && found[0].starts_with("docs/a.md:3: ") && found[0].contains(part),
                "{found:?}"
            );
        }
    }
}
