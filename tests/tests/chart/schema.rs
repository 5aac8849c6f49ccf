//! The schema of the values: the values that it rejects, and the messages.

use serde_json::{Value, json};

use crate::harness::Shared;
use crate::render::{chart, rendered};

pub(crate) fn schema() -> Value {
    let text = std::fs::read_to_string(chart().join("values.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The properties of an object with named properties.
fn properties(schema: &Value) -> Option<&serde_json::Map<String, Value>> {
    schema["properties"].as_object()
}

/// Path and schema of each value without named properties. A part of a path is a name without dots.
pub(crate) fn leaves(schema: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (name, part) in properties(schema).unwrap() {
        if properties(part).is_some() {
            found.extend(leaves(part).into_iter().map(|(rest, leaf)| (format!("{name}.{rest}"), leaf)));
        } else {
            found.push((name.clone(), part));
        }
    }
    found
}

/// Paths of objects with named properties; the root's path is empty.
fn branches(schema: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    for (name, part) in properties(schema).unwrap() {
        if properties(part).is_some() {
            let below = branches(part).into_iter();
            found.extend(
                below.map(|rest| if rest.is_empty() { name.clone() } else { format!("{name}.{rest}") }),
            );
        }
    }
    found
}

/// `{a: {b: value}}` for `a.b`.
pub(crate) fn at_path(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |inner, name| json!({name: inner}))
}

/// Helm's message for values that it rejects.
fn refusal(shared: &Shared, values: &Value) -> String {
    match rendered(shared, &[&values.to_string()]) {
        Err(error) => error,
        Ok(_) => panic!("taken: {values}"),
    }
}

pub(crate) fn unknown_names_are_refused(shared: &Shared) {
    for branch in branches(&schema()) {
        let path = if branch.is_empty() { "nonsense".to_owned() } else { format!("{branch}.nonsense") };
        let told = refusal(shared, &at_path(&path, json!(1)));
        let wanted = format!("at '{}': additional properties 'nonsense' not allowed", pointer(&branch));
        assert!(told.contains(&wanted), "{path}: {told}");
    }
}

pub(crate) fn wrong_values_are_refused(shared: &Shared) {
    // Sets each leaf to a value of a type that it never has.
    for (path, leaf) in leaves(&schema()) {
        let wrong = if leaf["type"] == "object" { json!(7) } else { json!({"no": "such"}) };
        let told = refusal(shared, &at_path(&path, wrong));
        assert!(told.contains(&format!("at '{}': ", pointer(&path))), "{path}: {told}");
    }
    for (path, value, wanted) in [
        ("image.pullPolicy", json!("Sometimes"), "must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("image.repository", json!("example.com/a:v1"), "does not match pattern"),
        ("image.digest", json!("sha256:123"), "does not match pattern"),
        ("namespaces", json!(["Shop"]), "at '/namespaces/0': 'Shop' does not match pattern"),
        ("namespaces", json!(["shop", "shop"]), "items at 0 and 1 are equal"),
        ("extraCapabilities", json!(["NET_RAW"]), "must be one of 'SYS_RESOURCE', 'SYS_ADMIN'"),
        ("options.mature-after", json!("10"), "does not match pattern"),
        ("options.max-flows", json!(0), "minimum: got 0, want 1"),
        ("options.kernel-log", json!(false), "must be true"),
        ("options.topology", json!("dns"), "additional properties 'topology' not allowed"),
        ("updateStrategy.rollingUpdate.maxSurge", json!(1), "additional properties 'maxSurge' not allowed"),
        ("listen", json!("::"), "does not match pattern"),
        ("listen", json!("0.0.0.0:9464"), "does not match pattern"),
        (
            "resources.limits",
            json!({"memory": "lots"}),
            "at '/resources/limits/memory': 'lots' does not match",
        ),
        ("podMonitor.interval", json!("half a minute"), "does not match pattern"),
        ("networkPolicy.apiServerPorts", json!([70000]), "maximum: got 70,000, want 65,535"),
        (
            "serviceAccount.create",
            json!(false),
            "serviceAccount.name is needed where serviceAccount.create is false",
        ),
        ("tls.secretName", json!("A B"), "does not match pattern"),
    ] {
        let told = refusal(shared, &at_path(path, value.clone()));
        assert!(told.contains(wanted), "{path}={value}: {told}");
    }
    let told = refusal(shared, &json!({"authorize": {"enabled": true}, "podMonitor": {"enabled": true}}));
    assert!(told.contains("podMonitor.authorization is needed where authorize.enabled is true"), "{told}");
}

/// A path in the notation of the schema's errors.
fn pointer(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("/{}", path.replace('.', "/")) }
}
