//! The chart as helm renders it, and properties of every rendering.
//!
//! In: documents of values. Out: objects.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use lab::cluster::tool;
use serde_json::{Value, json};

use crate::harness::Shared;

/// Realistic sets of values, by name.
pub(crate) const SETS: [(&str, &str); 5] = [
    ("default", "{}"),
    ("everything", include_str!("values/everything.yaml")),
    ("namespaces", include_str!("values/namespaces.yaml")),
    ("old-nodes", include_str!("values/old-nodes.yaml")),
    ("private-registry", include_str!("values/private-registry.yaml")),
];

/// The namespace of a rendered release.
pub(crate) const NAMESPACE: &str = "observers";

pub(crate) fn chart() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/chart")
}

/// Runs helm with the chart and values; later values override earlier ones.
fn helm(shared: &Shared, words: &[&str], values: &[&str]) -> Output {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let mut command = Command::new(tool("HEADLESS_OBS_HELM").unwrap());
    command.args(words).arg(chart()).arg(format!("--namespace={NAMESPACE}"));
    for text in values {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = shared.lab.folder().join(format!("values-{number}.yaml"));
        std::fs::write(&path, text).unwrap();
        command.arg("--values").arg(path);
    }
    command.output().unwrap()
}

/// The objects, including those of hooks, or helm's error message.
pub(crate) fn rendered(shared: &Shared, values: &[&str]) -> Result<Vec<Value>, String> {
    let output = helm(shared, &["template", "test"], values);
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let text = String::from_utf8(output.stdout).unwrap();
    Ok(serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// The only object of a kind.
pub(crate) fn only<'o>(objects: &'o [Value], kind: &str) -> Option<&'o Value> {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let first = found.next();
    assert!(found.next().is_none(), "several of {kind}");
    first
}

pub(crate) fn helm_finds_nothing_to_mend(shared: &Shared) {
    for (name, values) in SETS {
        let output = helm(shared, &["lint", "--strict"], &[values]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !text.contains("[WARNING]"), "{name}: {text}");
    }
}

pub(crate) fn every_object_says_what_it_belongs_to(shared: &Shared) {
    for (name, values) in SETS {
        for object in rendered(shared, &[values]).unwrap() {
            let labels = &object["metadata"]["labels"];
            let wanted = [
                ("app.kubernetes.io/name", "headless-obs"),
                ("app.kubernetes.io/instance", "test"),
                ("app.kubernetes.io/part-of", "headless-obs"),
                ("app.kubernetes.io/managed-by", "Helm"),
                ("app.kubernetes.io/version", "0.1.0"),
                ("helm.sh/chart", "headless-obs-0.1.0"),
            ];
            assert!(wanted.iter().all(|(label, value)| labels[label] == *value), "{name}: {object:#}");
            let is_global = object["kind"].as_str().unwrap().starts_with("Cluster");
            let is_role = object["kind"].as_str().unwrap().starts_with("Role");
            assert!(
                is_global || is_role || object["metadata"]["namespace"] == NAMESPACE,
                "{name}: {object:#}"
            );
        }
    }
}

pub(crate) fn the_daemonset_selects_no_other_pod(shared: &Shared) {
    for (name, values) in SETS {
        let objects = rendered(shared, &[values]).unwrap();
        let set = only(&objects, "DaemonSet").unwrap();
        let selector = set["spec"]["selector"]["matchLabels"].as_object().unwrap();
        let selects = |labels: &Value| selector.iter().all(|(label, value)| labels[label] == *value);
        assert!(selects(&set["spec"]["template"]["metadata"]["labels"]), "{name}: {set:#}");
        // With the daemon's labels, the DaemonSet would adopt the pod as the node's daemon.
        let test = only(&objects, "Pod").unwrap();
        assert!(!selects(&test["metadata"]["labels"]), "{name}: {test:#}");
        assert_eq!(only(&objects, "Service").unwrap()["spec"]["selector"], json!(selector));
    }
}
