//! The effect of each missing right; the daemon needs no more rights than the shipped ones.

use lab::cluster::until;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::harness::Shared;
use crate::shared::PATIENCE;
use crate::shop::{Shop, sum};

/// The first container of a pod's `spec`.
fn container(spec: &mut Value) -> &mut Value {
    &mut spec["containers"][0]
}

fn without<'v>(list: &'v mut Value, key: &str, name: &str) -> &'v mut Value {
    let items = list.as_array_mut().unwrap();
    let before = items.len();
    items.retain(|item| item[key] != name);
    assert_eq!(items.len() + 1, before, "there is no {name}");
    list
}

/// Waits until a pod's log contains the hint, while it is not ready.
fn refused(daemon: &Daemon<'_>, hint: &str) {
    let said = until(PATIENCE, hint, || Ok(daemon.log().contains(hint).then_some(())));
    said.unwrap_or_else(|error| panic!("{error:#}:\n{}", daemon.log()));
    assert!(!lab::cluster::nodes::is_ready(&daemon.object()));
}

pub(crate) fn without_one_of_its_capabilities_it_is_not_ready_and_names_it(shared: &Shared) {
    let without = |capability: &str| {
        let name = format!("without-{}", capability.to_lowercase().replace('_', "-"));
        let daemon = Daemon::other(shared, &name, "node-1", |spec| {
            let added = container(spec)["securityContext"]["capabilities"]["add"].as_array_mut().unwrap();
            added.retain(|held| held != capability);
            assert_eq!(added.len(), 2);
        });
        (daemon, capability.to_owned())
    };
    // All at once, because each takes a while to be scheduled, started and restarted.
    let daemons = ["BPF", "PERFMON", "NET_ADMIN"].map(without);
    for (daemon, capability) in &daemons {
        refused(daemon, &format!(", CAP_{capability} missing: "));
    }
}

pub(crate) fn as_another_user_it_has_no_capabilities_and_names_them(shared: &Shared) {
    let daemon = Daemon::other(shared, "as-nobody", "node-1", |spec| {
        spec["securityContext"]["runAsUser"] = json!(65534);
        spec["securityContext"]["runAsNonRoot"] = json!(true);
    });
    refused(&daemon, "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN missing");
}

pub(crate) fn without_the_nodes_cgroups_it_is_not_ready_and_says_what_to_mount(shared: &Shared) {
    let daemon = Daemon::other(shared, "without-cgroups", "node-1", |spec| {
        without(&mut spec["volumes"], "name", "cgroup");
        without(&mut container(spec)["volumeMounts"], "name", "cgroup");
    });
    refused(&daemon, "cgroup2 is needed to see DNS answers");
}

pub(crate) fn without_the_hosts_processes_older_connections_stay_unknown(shared: &Shared) {
    let shop = Shop::open(shared, "older");
    shop.orders(1, 1);
    let web = shop.clients("web", 2);
    let client = web.iter().find(|pod| pod.node == "node-1").unwrap();
    let held = shop.client(client, 0);
    assert_eq!(held.open(3).unwrap().open, 3);

    let seeing = Daemon::other(shared, "with-processes", "node-1", |_as_shipped| {}).when_ready();
    let blind = Daemon::other(shared, "without-processes", "node-1", |spec| {
        spec.as_object_mut().unwrap().remove("hostPID");
    })
    .when_ready();
    let snapshot = seeing.snapshot_when("three connections that were open before", |snapshot| {
        shop.orders_of(snapshot).is_some_and(|service| sum(service, "active") == 3)
    });
    assert_eq!(snapshot["quality"]["probes"]["existing"], "iter/task_file");
    let snapshot = blind.snapshot();
    assert_eq!(shop.orders_of(&snapshot).map(|service| sum(service, "active")), Some(0), "{snapshot:#}");
    assert_eq!(snapshot["quality"]["probes"]["existing"], "none");
    assert!(blind.log().contains("hostPID: true"), "{}", blind.log());
    let (code, doctor) = blind.exec(&["doctor", "--listen", "127.0.0.1:0"]);
    assert!(code == Some(0) && doctor.contains("hostPID: true"), "{doctor}");

    // Both see the connections that are opened from now on.
    assert_eq!(held.open(2).unwrap().open, 5);
    for (daemon, active) in [(&seeing, 5), (&blind, 2)] {
        daemon.snapshot_when("two more", |snapshot| {
            shop.orders_of(snapshot).is_some_and(|service| sum(service, "active") == active)
        });
    }
}

pub(crate) fn without_tracefs_only_the_classic_tracepoint_is_lost(shared: &Shared) {
    let classic = |name: &str, change: fn(&mut Value)| {
        Daemon::other(shared, name, "node-1", |spec| {
            container(spec)["args"].as_array_mut().unwrap().push(json!("--tcp-hook=tracepoint"));
            change(spec);
        })
    };
    let remove = |spec: &mut Value| {
        without(&mut spec["volumes"], "name", "tracing");
        without(&mut container(spec)["volumeMounts"], "name", "tracing");
    };
    let with = classic("classic", |_as_shipped| {});
    let lost = classic("classic-without-tracefs", remove);
    let daemon = Daemon::other(shared, "without-tracefs", "node-1", remove).when_ready();
    assert_eq!(daemon.snapshot()["quality"]["probes"]["tcp"], "tp_btf");
    assert_eq!(with.when_ready().snapshot()["quality"]["probes"]["tcp"], "tracepoint");
    refused(&lost, "tracefs");
}

pub(crate) fn with_roles_in_one_namespace_it_sees_that_namespace(shared: &Shared) {
    let (shop, other) = (Shop::open(shared, "shop"), Shop::open(shared, "elsewhere"));
    let rights = include_str!("../../../deploy/namespaced/rbac.yaml");
    // The shipped account may read everything, so the daemon uses another one.
    let own = rights.replace("  name: headless-obs\n", "  name: namespaced\n");
    shared.cluster.api().apply(&own).unwrap();
    shop.orders(1, 1);
    other.orders(1, 1);
    let daemon = Daemon::other(shared, "namespaced", "node-1", |spec| {
        spec["serviceAccountName"] = json!("namespaced");
        container(spec)["args"].as_array_mut().unwrap().push(json!("--namespace=shop"));
    })
    .when_ready();
    let snapshot =
        daemon.snapshot_when("the Service of its namespace", |snapshot| shop.orders_of(snapshot).is_some());
    assert!(other.orders_of(&snapshot).is_none(), "{snapshot:#}");
    assert_eq!(snapshot["quality"]["topology"]["refused"], json!([]));
}
