//! Variables: each used one is defined, each defined one is used, and links lead to dashboards that accept them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Known, list, query, text};

/// Errors in the variables and links of a dashboard.
pub(super) fn all(dashboard: &Value, known: &Known, uids: &BTreeSet<&str>, wrong: &mut Vec<String>) {
    let variables = list(&dashboard["templating"]["list"]);
    let mut defined = BTreeSet::new();
    for variable in variables {
        let name = text(variable, "name");
        if !defined.insert(name) {
            wrong.push(format!("two variables are called {name}"));
        }
        if text(variable, "label").is_empty() {
            wrong.push(format!("variable {name} has no label"));
        }
        match text(variable, "type") {
            "query" => labels(variable, known, wrong),
            "datasource" if text(variable, "query") == "prometheus" => {}
            "custom" if !text(variable, "query").is_empty() => {}
            other => wrong.push(format!("variable {name}: {other:?} is no valid type")),
        }
    }
    if variables.first().is_none_or(|first| first["type"] != "datasource" || first["name"] != "datasource") {
        wrong.push("the first variable does not select the data source".to_owned());
    }

    let mut used = BTreeSet::new();
    strings(&dashboard["panels"], &mut |text| used.extend(names(text)));
    for name in used.iter().filter(|name| !name.starts_with("__") && !defined.contains(name.as_str())) {
        wrong.push(format!("${name} is used and not defined"));
    }
    strings(&dashboard["templating"]["list"], &mut |text| used.extend(names(text)));
    for name in defined.iter().filter(|name| !used.contains(**name)) {
        wrong.push(format!("${name} is defined and not used"));
    }
    strings(&dashboard["panels"], &mut |text| {
        if let Some(uid) = text.strip_prefix("/d/").map(|rest| rest.split(['?', '/']).next().unwrap_or(rest))
            && !uids.contains(uid)
        {
            wrong.push(format!("a link leads to {uid}, which is no dashboard"));
        }
    });
}

/// A variable with values from the data source: `label_values(SELECTOR, LABEL)`.
fn labels(variable: &Value, known: &Known, wrong: &mut Vec<String>) {
    let name = text(variable, "name");
    if variable["datasource"]["uid"] != "${datasource}" {
        wrong.push(format!("variable {name}: its data source is not the selected one"));
    }
    let asked = text(&variable["query"], "query");
    let selector = asked.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(", "));
    let Some((selector, _)) = selector else {
        wrong.push(format!("variable {name}: {asked:?} is not label_values(…, …)"));
        return;
    };
    let mut found = Vec::new();
    query::one(selector, known, &mut found);
    // The first variable is not filtered by itself.
    found.retain(|what| name != "cluster" || !what.contains("$cluster"));
    wrong.extend(found.into_iter().map(|what| format!("variable {name}: {what}")));
    if variable["includeAll"] == true && variable["allValue"] != ".*" {
        wrong.push(format!("variable {name}: \"All\" omits series with no such label"));
    }
}

/// The variables in a text: `$name` and `${name…}`.
pub(super) fn names(text: &str) -> Vec<String> {
    let names = text.split('$').skip(1).map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.chars().take_while(|&letter| letter.is_ascii_alphanumeric() || letter == '_').collect::<String>()
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// Calls `take` with every text inside.
fn strings(value: &Value, take: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => take(text),
        Value::Array(all) => all.iter().for_each(|value| strings(value, take)),
        Value::Object(all) => all.values().for_each(|value| strings(value, take)),
        _ => {}
    }
}
