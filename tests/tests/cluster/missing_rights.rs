//! The daemon's rights: the effect of each missing rule, and credentials that expire.

use lab::cluster::*;
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::observed_daemon::{Observed, PATIENCE, RULES, account, allow, bare_service, slice};

/// A daemon whose ServiceAccount lacks one rule.
fn without(shared: &Shared, namespace: &str, resource: &str) -> Observed {
    let rules: Vec<_> = RULES.into_iter().filter(|[_, of]| *of != resource).collect();
    let token = account(shared, namespace, resource, &rules);
    Observed::launch(shared, &format!("rights-{resource}"), &Identity::Token(token), &[])
}

pub(crate) fn each_rule_that_is_missing_costs_what_is_said(shared: &Shared) {
    let mut shop = shared.cluster.namespace("rights-rules").unwrap();
    shop.apply(&bare_service("outside")).unwrap();
    shop.apply(&slice("outside-1", "outside", 80, &["192.0.2.7"])).unwrap();
    let service = "
apiVersion: v1
kind: Service
metadata: {name: orders}
spec: {clusterIP: None, selector: {app: orders}, ports: [{name: http, port: 8080}]}
";
    shop.apply(service).unwrap();
    let pod = shop.pod(&Draft::new("orders-0").app("orders")).unwrap();
    let address = pod.addresses()[0].to_string();
    let name = shop.name().to_owned();
    let [slices, mut services, mut pods] =
        ["endpointslices", "services", "pods"].map(|resource| without(shared, &name, resource));
    let refused = |observed: &Observed, resource: &str| {
        let source = observed.source(|source| source["refused"][0]["resource"] == resource);
        assert_eq!(source["refused"].as_array().unwrap().len(), 1, "{source:#}");
        let log = observed.observer.log();
        let told = format!("does not allow headless-obs to watch {resource}, so it lacks ");
        assert_eq!(log.matches(&told).count(), 1, "{log}");
        assert!(log.contains("grant list and watch with a ClusterRole"), "{log}");
    };

    // Without Services: the daemon knows Services whose slices have the controller's label, but not those made without
    // it.
    services.wait_ready();
    refused(&services, "services");
    services.has(&name, "orders", &[&address]);
    services.has(&name, "outside", &[]);
    // Without Pods: it knows all endpoints.
    pods.wait_ready();
    refused(&pods, "pods");
    pods.has(&name, "outside", &["192.0.2.7"]);
    // Without slices: it knows nothing.
    slices.not_ready("does not allow headless-obs to watch endpointslices");
    refused(&slices, "endpointslices");

    // The rules are granted later.
    for [_, resource] in RULES {
        allow(shared, &name, resource, &RULES);
    }
    for mut observed in [slices, services, pods] {
        observed.source(|source| source["refused"] == json!([]) && source["synced"] == true);
        observed.wait_ready();
        observed.has(&name, "outside", &["192.0.2.7"]);
    }
}

pub(crate) fn a_token_is_read_again_when_it_is_refused(shared: &Shared) {
    let shop = shared.cluster.namespace("rights-token").unwrap();
    shop.apply(&bare_service("outside")).unwrap();
    allow(shared, shop.name(), "observer", &RULES);
    // A token that is bound to an object expires with the object.
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "life"}});
    let secret = shared.cluster.api().create(&shop.path("secrets"), &secret).unwrap();
    let bound = json!({
        "apiVersion": "v1", "kind": "Secret", "name": "life", "uid": secret["metadata"]["uid"],
    });
    let token = |bound: &Value| shared.cluster.token(shop.name(), "observer", bound).unwrap();
    let file = shared.cluster.folder().join("rights-token");
    std::fs::write(&file, token(&bound)).unwrap();
    let mut observed = Observed::launch(shared, "rights-token", &Identity::TokenFile(file.clone()), &[]);
    observed.wait_ready();

    let old = Identity::Token(std::fs::read_to_string(&file).unwrap());
    let old = shared.cluster.kubeconfig("rights-old", &observed.gate.url(), &old).unwrap();
    shared.cluster.api().delete(&format!("{}/life", shop.path("secrets")), None).unwrap();
    // The server caches for a while which tokens are valid.
    let old = shared.cluster.api_by(&old).unwrap();
    let refused = || Ok((old.status("GET", "/api/v1/pods?limit=1", &Value::Null)? == 401).then_some(()));
    until(PATIENCE, "end of a token", refused).unwrap();
    // The server checks the right to watch when a watch begins.
    observed.gate.reset();
    observed.not_ready("401 Unauthorized");
    let source = observed.source(|source| source["synced"] == false);
    assert!(source["stale_since"].is_string(), "{source:#}");

    std::fs::write(&file, token(&Value::Null)).unwrap();
    observed.wait_ready();
    shop.apply(&slice("outside-1", "outside", 80, &["192.0.2.7"])).unwrap();
    observed.has(shop.name(), "outside", &["192.0.2.7"]);
}

pub(crate) fn doctor_names_what_is_missing(shared: &Shared) {
    let shop = shared.cluster.namespace("rights-doctor").unwrap();
    let rules = [["discovery.k8s.io", "endpointslices"], ["", "services"]];
    let token = account(shared, shop.name(), "some", &rules);
    let gate = shared.cluster.gate().unwrap();
    let config = shared.cluster.kubeconfig("rights-doctor", &gate.url(), &Identity::Token(token)).unwrap();
    let program = lab::program().unwrap();
    let node = format!("--node={}", shared.cluster.node().name());
    let words =
        [program.to_str().unwrap(), "doctor", "--kubeconfig", config.to_str().unwrap(), &node, "-o", "json"];
    let output = shared.lab.exec(&words).unwrap().output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let check = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {report:#}"))
    };
    assert!(check("Kubernetes API")["found"].as_str().unwrap().contains(", v1."), "{report:#}");
    assert_eq!(check("access to endpointslices")["status"], "ok");
    assert_eq!(check("access to services")["status"], "ok");
    let pods = check("access to pods");
    assert_eq!(pods["status"], "warn");
    assert!(
        pods["found"]
            .as_str()
            .unwrap()
            .starts_with("not allowed: list, watch; without it headless-obs lacks names of client pods")
    );
    assert!(pods["remedy"].as_str().unwrap().contains("ClusterRole"));
}
