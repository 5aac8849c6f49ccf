//! Runs commands and scrape configurations exactly as in the documents, with the two nodes.
//!
//! In: the blocks of README.md and docs/. It leaves out commands with placeholders (`NODE`, `$POD`), those that run
//! until they are stopped, and those that the chart's test runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use docs::{Block, Check, shell};
use lab::cluster::nodes::Kubectl;
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::operator;
use crate::release;
use crate::scrape::Scraper;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn blocks(check: &Check) -> Vec<Block> {
    let documents = docs::read(&root()).unwrap();
    let blocks = documents.into_iter().flat_map(|document| document.blocks);
    blocks.filter(|block| block.check().as_ref() == Ok(check)).collect()
}

/// The commands of a program, each with its place; paths of `deploy` refer to the repository.
pub(crate) fn commands(program: &str) -> Vec<(String, Vec<String>)> {
    let deploy = root().join("deploy").display().to_string();
    let mut found = Vec::new();
    for block in blocks(&Check::Commands) {
        for command in shell::commands(&block.text).unwrap() {
            let (first, rest) = command.words.split_first().unwrap();
            if first == program {
                let place = format!("{}:{}", block.file, block.line + 1 + command.line);
                let absolute = |word: &String| match word.strip_prefix("deploy/") {
                    Some(below) => format!("{deploy}/{below}"),
                    None => word.clone(),
                };
                found.push((place, rest.iter().map(absolute).collect()));
            }
        }
    }
    found
}

pub(crate) fn kubectl_commands_run_as_they_are_written(shared: &Shared) {
    operator::add_kinds(&shared.cluster);
    shared.daemons();
    let kubectl = Kubectl::without_namespace(&shared.lab, &shared.cluster);
    let mut verbs = BTreeSet::new();
    for (place, words) in commands("kubectl") {
        let has = |part: &str| words.iter().any(|word| word.contains(part));
        let is_for_readers = has("$") || has("NODE") || has("port-forward") || words[0] == "headless-obs";
        let is_of_the_chart = has("create") || has("label");
        if is_for_readers || is_of_the_chart {
            continue;
        }
        verbs
            .extend(words.iter().find(|word| ["apply", "rollout", "exec"].contains(&word.as_str())).cloned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = kubectl.run(&words).unwrap().output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{place}: kubectl {}: {text}", words.join(" "));
    }
    assert_eq!(verbs.len(), 3, "the documents have these: {verbs:?}");
}

/// Each configuration that discovers pods finds the daemon of each node, and its series have the labels that the rules
/// use.
pub(crate) fn prometheus_finds_the_daemons_by_the_documents_configurations(shared: &Shared) {
    shared.daemons();
    let kubeconfig = shared.cluster.admin_kubeconfig().display().to_string();
    let mut count = 0;
    for block in blocks(&Check::Prometheus).into_iter().filter(|block| block.text.contains("role: pod")) {
        count += 1;
        let mut config: Value = serde_saphyr::from_str(&block.text).unwrap();
        config["rule_files"] = json!([root().join("deploy/rules/headless-obs.yaml")]);
        config["global"] = json!({"scrape_interval": "1s", "evaluation_interval": "1s"});
        for scrape in config["scrape_configs"].as_array_mut().unwrap() {
            for discovery in scrape["kubernetes_sd_configs"].as_array_mut().unwrap() {
                discovery["kubeconfig_file"] = json!(kubeconfig);
            }
        }
        let prometheus = Scraper::with(shared, &format!("documented-{count}"), &config);
        let place = format!("{}:{}", block.file, block.line);
        let up = prometheus.when("up{job=\"headless-obs\"} == 1", |series| series.len() == 2);
        let nodes: BTreeSet<&str> =
            up.iter().filter_map(|series| series["metric"]["node"].as_str()).collect();
        assert_eq!(
            nodes,
            BTreeSet::from(["node-1", "node-2"]),
            "{place}: the rules need the label `node`: {up:#?}"
        );
        let renamed = "{__name__=~\"headless_.+\", exported_namespace!=\"\"}";
        assert!(prometheus.when(renamed, |_any| true).is_empty(), "{place}: honor_labels");
        assert!(prometheus.evaluated() > 20, "{place}");
    }
    assert!(count > 1, "docs/alerts.md and docs/install.md have such configurations");
}

/// The arguments in docs/install.md for one helm command, with the release and namespace of the tests.
pub(crate) fn helm(verb: &str) -> Vec<String> {
    let is_of_release = |words: &[String]| words.iter().any(|word| word.starts_with("oci://"));
    let mut found =
        commands("helm").into_iter().filter(|(_, words)| words[0] == verb && !is_of_release(words));
    let (_, words) = found.next().unwrap_or_else(|| panic!("docs/install.md has no `helm {verb}`"));
    let renamed = |word: String| if word == "headless-obs" { release::NAME.to_owned() } else { word };
    words.into_iter().map(renamed).collect()
}

/// Makes the namespace of the release as in docs/install.md: `kubectl create` and `kubectl label`.
pub(crate) fn make_namespace(shared: &Shared) {
    let kubectl = Kubectl::without_namespace(&shared.lab, &shared.cluster);
    let of_namespace = |(_, words): &(String, Vec<String>)| words[1..].starts_with(&["namespace".to_owned()]);
    let commands: Vec<_> = commands("kubectl").into_iter().filter(of_namespace).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for (place, words) in commands {
        let words: Vec<&str> =
            words.iter().map(|word| if word == "headless-obs" { release::NAME } else { word }).collect();
        let output = kubectl.run(&words).unwrap().output().unwrap();
        assert!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
