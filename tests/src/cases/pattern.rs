//! A part of a snapshot, as an expectation writes it, and its comparison with a whole one. Pure.
//!
//! An element of a list is found by its name: `shop/orders` of a Service, the workload of a client, the pod or the
//! address of an endpoint, or by its number. A value is equal, or a comparison: `"> 5"`, `"<= 2"`, `"not 3"`, `"absent"`.

use serde_json::{Map, Value};

/// An element of a list.
pub(crate) fn find<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    let all = list.as_array()?;
    let is_called = |value: &Value| {
        let plain = ["name", "workload", "pod", "node", "address", "cause"];
        if plain.iter().any(|field| text(value, field) == Some(name)) {
            return true;
        }
        let own = text(value, "name").or_else(|| text(value, "workload"));
        let full = name.split_once('/');
        full.is_some() && full == text(value, "namespace").zip(own)
            || value["addresses"].as_array().is_some_and(|all| all.iter().any(|address| address == name))
    };
    all.iter().find(|value| is_called(value)).or_else(|| all.get(name.parse::<usize>().ok()?))
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value[field].as_str()
}

/// Adds a line for each part of the pattern that the snapshot does not have.
pub(crate) fn compare(pattern: &Map<String, Value>, snapshot: &Value, wrong: &mut Vec<String>) {
    fields("", pattern, snapshot, wrong);
}

fn fields(path: &str, pattern: &Map<String, Value>, value: &Value, wrong: &mut Vec<String>) {
    for (field, wanted) in pattern {
        let path = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
        let found = if value.is_array() { find(value, field) } else { value.get(field) };
        match (wanted, found) {
            (Value::String(word), None | Some(Value::Null)) if word == "absent" => {}
            (_, None) => wrong.push(format!("{path} is not there; there is {}", names(value))),
            (Value::Object(pattern), Some(found)) => fields(&path, pattern, found, wrong),
            (wanted, Some(found)) if !is_equal(wanted, found) => {
                wrong.push(format!("{path} is {found} instead of {wanted}"));
            }
            _ => {}
        }
    }
}

/// The fields of an object, or the length of a list.
fn names(value: &Value) -> String {
    match value {
        Value::Object(fields) => fields.keys().cloned().collect::<Vec<_>>().join(", "),
        Value::Array(all) => format!("a list of {}", all.len()),
        other => other.to_string(),
    }
}

/// Whether a value is as wanted.
pub(crate) fn is_equal(wanted: &Value, found: &Value) -> bool {
    let numbers = (wanted.as_f64(), found.as_f64());
    if let (Some(wanted), Some(found)) = numbers {
        return (wanted - found).abs() < 1e-9;
    }
    let Some((operator, operand)) = wanted.as_str().and_then(|text| text.split_once(' ')) else {
        return wanted == found;
    };
    let order = || found.as_f64()?.partial_cmp(&operand.trim().parse().ok()?);
    match operator {
        ">" => order().is_some_and(|order| order.is_gt()),
        ">=" => order().is_some_and(|order| order.is_ge()),
        "<" => order().is_some_and(|order| order.is_lt()),
        "<=" => order().is_some_and(|order| order.is_le()),
        "not" => found.as_str().map_or_else(|| found.to_string(), str::to_owned) != operand,
        _ => wanted == found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(pattern: Value) -> Vec<String> {
        let snapshot = json!({
            "services": [{
                "namespace": "shop", "name": "orders", "idle": 1, "note": null,
                "endpoints": [{"pod": "orders-0", "addresses": ["10.0.0.1"], "opened": 7}],
                "clients": [{"namespace": "shop", "workload": "web", "verdict": {"cause": "even"}}],
            }],
            "quality": {"events_lost": {"ring_full": 0}},
        });
        let mut wrong = Vec::new();
        let Value::Object(pattern) = pattern else { panic!("a pattern is an object") };
        compare(&pattern, &snapshot, &mut wrong);
        wrong
    }

    #[test]
    fn a_part_is_found_by_its_name_and_compared() {
        let of = |field: &str, wanted: Value| faults(json!({"services": {"shop/orders": {field: wanted}}}));
        assert!(of("idle", json!(1)).is_empty() && of("idle", json!("> 0")).is_empty());
        assert!(of("idle", json!("<= 1")).is_empty() && of("note", json!("absent")).is_empty());
        assert!(of("endpoints", json!({"orders-0": {"opened": ">= 7"}})).is_empty());
        assert!(of("endpoints", json!({"10.0.0.1": {"opened": 7}})).is_empty());
        assert!(of("clients", json!({"web": {"verdict": {"cause": "not pinned"}}})).is_empty());
        assert_eq!(of("idle", json!("> 1")), ["services.shop/orders.idle is 1 instead of \"> 1\""]);
        let wrong = of("clients", json!({"web": {"verdict": {"cause": "not even"}}}));
        assert!(wrong[0].contains("is \"even\" instead of \"not even\""), "{wrong:?}");
    }

    #[test]
    fn a_misspelt_field_is_a_difference_whatever_is_wanted() {
        for pattern in [
            json!({"services": {"shop/orders": {"idel": 0}}}),
            json!({"services": {"shop/oders": {"idle": "not 5"}}}),
            json!({"quality": {"events_lost": {"ring": 0}}}),
        ] {
            assert!(faults(pattern)[0].contains("is not there"));
        }
    }
}
