//! Zones of endpoints, and what Services and slices say of clients in them.

use super::*;

#[test]
fn zones_and_hints_of_endpoints() {
    let many = (0..20).map(|number| format!("{{name: z{number}}}")).collect::<Vec<_>>().join(", ");
    let endpoints = format!(
        "[{{addresses: [10.0.0.1], zone: a, hints: {{forZones: [{{name: a}}, {{name: \"\"}}, {{name: b}}]}}}},\
         {{addresses: [10.0.0.2], hints: {{}}}}, {{addresses: [10.0.0.3], hints: {{forZones: [{many}]}}}}]"
    );
    let slice = slices(&slice("[]", &endpoints)).remove(0);
    let [first, second, third] = &slice.endpoints[..] else { panic!("{slice:?}") };
    assert_eq!((first.zone.as_deref(), &*first.hints), (Some("a"), &[arc("a"), arc("b")][..]));
    assert_eq!((second.zone.as_deref(), second.hints.len()), (None, 0));
    assert_eq!(third.hints.len(), 8, "as many as Kubernetes permits");
}

#[test]
fn which_endpoints_a_service_prefers() {
    let distribution = |annotations: &str, spec: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: orders, annotations: {{{annotations}}}}}\n\
             spec: {{clusterIP: None{spec}}}\n"
        );
        match objects(&text).remove(0) {
            Object::Service(service) => service.distribution.map(|word| word.to_string()),
            other => panic!("{other:?}"),
        }
    };
    let mode = "service.kubernetes.io/topology-mode";
    let said = |word: &str| Some(word.to_owned());
    assert_eq!(distribution("", ""), None);
    assert_eq!(distribution("", ", trafficDistribution: PreferClose"), said("PreferClose"));
    assert_eq!(distribution(&format!("{mode}: auto"), ""), said("Auto"));
    assert_eq!(distribution(&format!("{mode}: Disabled"), ""), None);
    assert_eq!(
        distribution(&format!("{mode}: Auto"), ", trafficDistribution: PreferSameZone"),
        said("PreferSameZone")
    );
    assert_eq!(distribution("", &format!(", trafficDistribution: {}", "x".repeat(64))), None);
}
