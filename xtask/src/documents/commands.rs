//! Checks commands of other programs in the documents, as far as they concern this repository: paths, charts, values,
//! objects, packages, versions.
//!
//! In: documents, files, values of the chart. Out: errors. A program that is not in [`PROGRAMS`] is an error, so that
//! whoever adds one also adds its checks. The tests of our own programs parse our own commands.

use anyhow::Result;
use docs::{Check, Document, shell};

use super::Files;
use super::values::Values;
use crate::chart;

/// Programs whose paths and versions are checked.
const PROGRAMS: [&str; 18] = [
    "cargo",
    "cat",
    "cd",
    "command",
    "ctr",
    "curl",
    "docker",
    "git",
    "helm",
    "hostname",
    "kind",
    "kubectl",
    "ln",
    "skopeo",
    "openssl",
    "sha256sum",
    "cosign",
    "base64",
];
/// Our own program.
const OURS: &str = "headless-obs";
/// Commands of kubectl that the documents may use.
const KUBECTL: [&str; 12] = [
    "apply",
    "create",
    "delete",
    "exec",
    "get",
    "headless-obs",
    "label",
    "logs",
    "port-forward",
    "proxy",
    "rollout",
    "top",
];
/// Commands of helm, and the position of the chart among their arguments, if there is one.
const HELM: [(&str, Option<usize>); 6] = [
    ("install", Some(2)),
    ("upgrade", Some(2)),
    ("template", Some(2)),
    ("rollback", None),
    ("test", None),
    ("uninstall", None),
];
/// The chart and the rendered manifests.
const CHART: &str = "deploy/chart";
const MANIFESTS: [&str; 3] = [
    "deploy/manifests/1-namespace.yaml",
    "deploy/manifests/2-rbac.yaml",
    "deploy/manifests/3-daemonset.yaml",
];

/// Errors in the commands; `read` returns a file of the repository.
pub(super) fn wrong(
    documents: &[Document],
    files: &Files,
    values: &Values,
    read: &dyn Fn(&str) -> Result<String>,
) -> Result<Vec<String>> {
    let manifests = manifests(read)?;
    let registry = read(chart::VALUES)?;
    let released = chart::registry_in(&registry).map(|name| format!("oci://{name}/charts/headless-obs"));
    let context = Context { files, values, manifests, released };
    let mut found = Vec::new();
    for block in documents.iter().flat_map(|document| &document.blocks) {
        if block.check() != Ok(Check::Commands) {
            continue;
        }
        match shell::commands(&block.text) {
            Err(error) => found.push(block.error(&error)),
            Ok(commands) => found.extend(commands.iter().flat_map(|command| {
                let place = format!("{}:{}", block.file, block.line + 1 + command.line);
                context.faults(&command.words).into_iter().map(move |what| format!("{place}: {what}"))
            })),
        }
    }
    Ok(found)
}

/// The text of deploy/manifests.
pub(super) fn manifests(read: &dyn Fn(&str) -> Result<String>) -> Result<String> {
    Ok(MANIFESTS.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?.concat())
}

struct Context<'a> {
    files: &'a Files,
    values: &'a Values,
    manifests: String,
    /// The chart of a release, in the registry that its values name.
    released: Option<String>,
}

impl Context<'_> {
    /// Errors in a command.
    fn faults(&self, words: &[String]) -> Vec<String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut faults: Vec<String> = words.iter().filter_map(|word| self.word(word)).collect();
        match words[..] {
            [program, ..] if program.rsplit('/').next() == Some(OURS) => {}
            ["kubectl", ..] => faults.extend(self.kubectl(&words)),
            ["helm", ..] => faults.extend(self.helm(&words)),
            ["cargo", ..] => faults.extend(self.cargo(&words)),
            [program, ..] if PROGRAMS.contains(&program) => {}
            [program, ..] => faults.push(format!(
                "`{program}` is in no list of programs: see that the command is right, and add it to PROGRAMS in \
                 xtask/src/documents/commands.rs"
            )),
            [] => {}
        }
        faults
    }

    /// The error in an argument of any program: a path of the repository, or a version of ours.
    fn word(&self, word: &str) -> Option<String> {
        let path = word.rsplit([':', '=']).next().unwrap_or(word);
        let first = path.split('/').next().unwrap_or_default();
        let is_ours = path.contains('/') && self.files.top().any(|top| top == first);
        if is_ours && !self.files.has(path) {
            return Some(format!("{path} does not exist"));
        }
        let versions = ["headless-obs-", "headless-obs:"].iter().flat_map(|begin| word.split(begin).skip(1));
        let version =
            |rest: &str| rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect::<String>();
        let other = versions.map(version).find(|version| version.contains('.') && version != VERSION)?;
        Some(format!("`{word}` has the version {other}, but this is {VERSION}"))
    }

    fn kubectl(&self, words: &[&str]) -> Vec<String> {
        let words = words.split(|word| *word == "--").next().unwrap_or_default();
        let mut faults = Vec::new();
        let verb = positional(words).next();
        if !verb.is_some_and(|verb| KUBECTL.contains(&verb)) {
            faults.push(format!(
                "`kubectl {}` is in no list: add it to KUBECTL in xtask",
                verb.unwrap_or_default()
            ));
        }
        for word in words {
            let object = ["ds/", "daemonset/", "daemonsets/"].iter().find_map(|kind| word.strip_prefix(kind));
            if let Some(name) = object
                && !self.manifests.contains(&format!("name: {name}\n"))
            {
                faults.push(format!("deploy/manifests has no object with the name {name}"));
            }
        }
        for selector in values_of(words, &["-l", "--selector"]) {
            for (label, value) in selector.split(',').filter_map(|pair| pair.split_once('=')) {
                let is_there = self.manifests.contains(&format!("{label}: {value}\n"));
                if label.starts_with("app.kubernetes.io/") && !is_there {
                    faults.push(format!("nothing in deploy/manifests has the label {label}={value}"));
                }
            }
        }
        faults
    }

    fn helm(&self, words: &[&str]) -> Vec<String> {
        let mut faults = Vec::new();
        let positional: Vec<&str> = positional(words).collect();
        let verb = positional.first().copied().unwrap_or_default();
        match HELM.iter().find(|(known, _)| *known == verb) {
            None => faults.push(format!("`helm {verb}` is in no list: add it to HELM in xtask")),
            Some((_, Some(place))) => {
                let chart = positional.get(*place).copied();
                if chart != Some(CHART) && (chart.is_none() || chart != self.released.as_deref()) {
                    let other = self.released.as_ref().map_or(String::new(), |name| format!(" or {name}"));
                    faults.push(format!("`helm {verb}` does not name {CHART}{other}"));
                }
            }
            Some(_) => {}
        }
        for set in values_of(words, &["--set", "--set-string"]) {
            for path in set.split(',').filter_map(|pair| pair.split('=').next()) {
                if !self.values.has(path.split('[').next().unwrap_or(path)) {
                    faults.push(format!("the chart has no value `{path}`"));
                }
            }
        }
        faults
    }

    fn cargo(&self, words: &[&str]) -> Vec<String> {
        let packages = values_of(words, &["-p", "--package"]);
        let folders = [
            ("headless-obs-tests", "tests"),
            ("headless-obs-docs", "xtask/docs"),
            ("headless-obs-image", "xtask/image"),
        ];
        let has = |package: &str| {
            let folder =
                folders.iter().find(|(name, _)| *name == package).map_or(package, |(_, folder)| *folder);
            self.files.has(&format!("{folder}/Cargo.toml"))
        };
        packages
            .filter(|package| !has(package))
            .map(|package| format!("there is no package {package}"))
            .collect()
    }
}

/// The version of everything in this repository.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Options of kubectl and helm that the documents use without a value.
const FLAGS: [&str; 8] = ["--wait", "--all", "--create-namespace", "--install", "-A", "-it", "-i", "-t"];

/// The arguments that are neither options nor values of options, without the program.
fn positional<'a>(words: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let mut is_value = false;
    words.iter().skip(1).copied().filter(move |word| {
        let was_value = std::mem::take(&mut is_value);
        is_value = word.starts_with('-') && !word.contains('=') && !FLAGS.contains(word);
        !was_value && !word.starts_with('-')
    })
}

/// The values of an option.
fn values_of<'a>(words: &'a [&'a str], names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    words.iter().enumerate().filter_map(move |(at, word)| {
        if names.contains(word) {
            return words.get(at + 1).copied();
        }
        names.iter().find_map(|name| word.strip_prefix(name)?.strip_prefix('='))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(commands: &str) -> Vec<String> {
        let files = Files::of(&["deploy/chart/values.yaml", "deploy/manifests/a.yaml", "xtask/Cargo.toml"]);
        let values = Values::parse(r#"{"properties": {"a": {"properties": {"b": {}}}}}"#).unwrap();
        let read = |_: &str| {
            Ok("  repository: r.example/headless-obs\nname: x\nnames: y\napp.kubernetes.io/component: observer\n".to_owned())
        };
        let document = Document::parse("docs/a.md", &format!("```sh\n{commands}\n```\n"));
        wrong(&[document], &files, &values, &read).unwrap()
    }

    #[test]
    fn commands_that_fit_the_repository_are_taken() {
        for right in [
            "kubectl apply -f deploy/manifests",
            "kubectl -n b rollout status ds/x",
            "kubectl get pods -l app.kubernetes.io/component=observer,z=1",
            "helm install r deploy/chart --namespace b --wait --set a.b=1",
            "helm install r oci://r.example/charts/headless-obs --version 1",
            "helm test r",
            "cargo test -p xtask && sudo headless-obs top",
            &format!("ctr -n k8s.io images import target/dist/headless-obs-{VERSION}-linux.tar"),
        ] {
            assert_eq!(found(right), [""; 0], "{right}");
        }
    }

    #[test]
    fn commands_that_do_not_fit_are_named() {
        for (command, part) in [
            ("kubectl apply -f deploy/manifest", "deploy/manifest does not exist"),
            ("kubectl destroy x", "`kubectl destroy`"),
            ("kubectl -n b rollout status ds/z", "no object with the name z"),
            ("kubectl get pods -l app.kubernetes.io/component=other", "component=other"),
            ("helm install r --namespace b deploy --wait", "does not name deploy/chart"),
            (
                "helm install r oci://other.example/charts/headless-obs",
                "does not name deploy/chart or oci://r.example",
            ),
            ("helm install r deploy/chart --set a.c=1", "no value `a.c`"),
            ("helm nonsense", "`helm nonsense`"),
            ("cargo test -p nothing", "no package nothing"),
            ("ls | nonsense", "`nonsense`"),
            ("docker load target/headless-obs-9.9.9.tar", "version 9.9.9"),
            ("cat 'a", "not closed"),
        ] {
            let found = found(command);
            assert!(found.iter().any(|line| line.contains(part)), "{command}: {found:?}");
            assert!(found.iter().all(|line| line.starts_with("docs/a.md:")), "{found:?}");
        }
    }
}
