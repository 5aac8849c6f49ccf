//! The effect of each value: the table of `rows` is complete and correct.

use std::collections::BTreeSet;

use clap::{CommandFactory, Parser};
use headless_obs::cli::Cli;
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::render::rendered;
use crate::rows::{ELSEWHERE, Row, rows};
use crate::schema::{at_path, leaves, schema};

/// Options of `run` that the chart sets itself, that have no meaning in a cluster's pod, or that need a file.
const NOT_OFFERED: [&str; 16] = [
    "authorize",
    "cgroup",
    "context",
    "dns-names",
    "dns-public",
    "health-listen",
    "kubeconfig",
    "listen",
    "namespace",
    "node",
    "otlp-ca-file",
    "otlp-token-file",
    "output",
    "tls-cert",
    "tls-key",
    "topology",
];

/// The part of the rendering that a row describes.
fn seen(row: &Row, objects: &[Value]) -> Value {
    let object = objects.iter().find(|object| object["kind"] == row.kind);
    object.and_then(|object| object.pointer(row.at)).cloned().unwrap_or_default()
}

pub(crate) fn each_value_has_the_effect_that_is_meant(shared: &Shared) {
    for row in rows() {
        let (base, value) = (row.base.to_string(), at_path(row.path, row.value.clone()).to_string());
        let before = seen(&row, &rendered(shared, &[&base]).unwrap());
        assert_ne!(before, row.becomes, "{}: it is so without the value", row.path);
        let objects = rendered(shared, &[&base, &value]).unwrap_or_else(|error| panic!("{value}: {error}"));
        assert_eq!(seen(&row, &objects), row.becomes, "{}: {value}", row.path);
        if row.path.starts_with("options.") {
            let words = row.becomes.as_array().unwrap().iter().map(|word| word.as_str().unwrap());
            let parsed = Cli::try_parse_from(["headless-obs"].into_iter().chain(words));
            parsed.unwrap_or_else(|error| panic!("the daemon refuses {value}: {error}"));
        }
    }
}

pub(crate) fn no_value_is_without_a_test(_: &Shared) {
    let schema = schema();
    let leaves: BTreeSet<String> = leaves(&schema).into_iter().map(|(path, _)| path).collect();
    let rows: BTreeSet<String> =
        rows().iter().map(|row| row.path).chain(ELSEWHERE).map(str::to_owned).collect();
    let difference: Vec<_> = leaves.symmetric_difference(&rows).collect();
    assert!(difference.is_empty(), "in the schema or in the table only: {difference:?}");
}

pub(crate) fn options_are_those_of_the_program(_: &Shared) {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let all = command.get_arguments().chain(run.get_arguments()).filter_map(|argument| argument.get_long());
    let program: BTreeSet<&str> = all.filter(|name| !NOT_OFFERED.contains(name)).collect();
    let schema = schema();
    let chart = schema["properties"]["options"]["properties"].as_object().unwrap();
    assert_eq!(chart.keys().map(String::as_str).collect::<BTreeSet<_>>(), program);
    assert!(NOT_OFFERED.iter().all(|name| json!(chart)[name].is_null()));
}
