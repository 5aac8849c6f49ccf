//! Several daemons in one report: queried one by one, read from files, and reached through the API server's proxy.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lab::cluster::*;
use lab::{Program, program};
use serde_json::{Value, json};

use crate::harness::Shared;
use crate::observed_daemon::Observed;
use crate::test_namespace::{Matrix, Scene, by_client, observe, opened, sum};

/// The rights that docs/fleet.md lists.
const ROLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: fleet}
rules:
  - {apiGroups: [''], resources: [pods], verbs: [list]}
  - {apiGroups: [''], resources: [pods/proxy], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: fleet}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: fleet}
subjects: [{kind: ServiceAccount, name: fleet}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: fleet}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: nobody}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: headless-obs}
";

/// Runs a command; returns its output on both streams and its exit code.
pub(crate) fn run(shared: &Shared, program: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let words = [&[program.to_str().unwrap()], words].concat();
    let output = shared.lab.exec(&words).unwrap().output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The snapshot that `report` prints as JSON.
pub(crate) fn report(shared: &Shared, words: &[&str]) -> Value {
    let words = [&["report", "-o", "json"], words].concat();
    let (code, out, err) = run(shared, &program().unwrap(), &words);
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).unwrap()
}

/// Two nodes, each with a daemon and a client.
struct Two<'a> {
    scene: Scene<'a>,
    daemons: [Observed; 2],
}

impl<'a> Two<'a> {
    fn new(shared: &'a Shared, name: &str) -> Self {
        let mut scene = Scene::new(shared, name);
        shared.cluster.add_node("n2").unwrap();
        scene.orders(3);
        let here = scene.client("here");
        let there = scene.namespace.pod(&Draft::new("there").node("n2")).unwrap();
        let daemons = ["n1", "n2"].map(|node| observe(shared, name, node));
        scene.connect(&here, "orders", 20);
        scene.connect(&there, "orders", 30);
        for (daemon, count) in daemons.iter().zip([20, 30]) {
            scene.when(daemon, "orders", |service| sum(service, "closed") == count);
        }
        Self { scene, daemons }
    }

    fn addresses(&self) -> [String; 2] {
        self.daemons.each_ref().map(|daemon| daemon.address().to_string())
    }

    /// Checks that the Service of a report has the servers' counts.
    fn check(&self, report: &Value) -> Matrix {
        let orders = self.scene.service(report, "orders");
        assert_eq!(opened(orders), self.scene.accepted());
        assert_eq!(by_client(&opened(orders)), BTreeMap::from([("here", 20), ("there", 30)]));
        let rows = orders["endpoints"].as_array().unwrap();
        assert_eq!(rows.len(), 3, "one row for each pod: {orders:#}");
        let counted: Vec<u64> = rows.iter().map(|row| row["counted"].as_u64().unwrap()).collect();
        let mean = counted.iter().sum::<u64>() as f64 / 3.0;
        let peak = *counted.iter().max().unwrap() as f64 / mean;
        assert_eq!(orders["spread"]["connections"], 50);
        assert!((orders["spread"]["peak_to_mean"].as_f64().unwrap() - peak).abs() < 1e-9, "{orders:#}");
        opened(orders)
    }
}

pub(crate) fn several_daemons_are_one_report(shared: &Shared) {
    let two = Two::new(shared, "several");
    let [one, other] = two.addresses();
    let both = report(shared, &["--from", &one, "--from", &other]);
    two.check(&both);
    assert_eq!(both["node"], "n1, n2");
    // One of them as a file, in any order, and twice: it counts once.
    let file = shared.lab.folder().join("several-n1.json");
    fs::write(&file, report(shared, &["--from", &one]).to_string()).unwrap();
    let file = file.to_str().unwrap();
    two.check(&report(shared, &["--from", &other, "--from", file, "--from", &one]));

    // Nobody listens there: the report names the address and the effect, and there is no error.
    let words = ["report", "--from", &one, "--from", &other, "--from", "127.0.0.1:1"];
    let (code, out, _) = run(shared, &program().unwrap(), &words);
    assert!(code == Some(0) && out.contains("No data from 1 of 3 nodes (33%)"), "{out}");
    assert!(
        out.contains("http://127.0.0.1:1/api/v1/snapshot refused") && out.starts_with("Nodes n1, n2,"),
        "{out}"
    );
    let name = format!("{}/orders", two.scene.namespace.name());
    let (code, out, err) =
        run(shared, &program().unwrap(), &["explain", &name, "--from", &one, "--from", &other]);
    assert!(code == Some(0) && out.contains("there") && out.contains("here"), "{out}{err}");
}

/// A pod that answers with what a daemon said instead of one.
fn stand_in(
    two: &mut Two<'_>,
    account: &str,
    [name, node]: [&str; 2],
    recorded: Option<&String>,
) -> Option<Program> {
    const SERVE: &str = "
        $SIG{PIPE} = 'IGNORE'; my ($file) = @ARGV; local $/; open my $in, '<', $file or die; my $body = <$in>;
        my $listener = IO::Socket::INET->new(Listen => 9, LocalPort => 9464, ReuseAddr => 1) or die $@;
        while (my $client = $listener->accept) {
            { local $/ = qq(\\r\\n\\r\\n); my $head = <$client>; print STDERR (split /\\r\\n/, $head)[0], qq(\\n); }
            print $client qq(HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: ), length $body,
                qq(\\r\\n\\r\\n), $body; close $client;
        }";
    let fields = json!({
        "metadata": {"labels": {"app.kubernetes.io/name": "headless-obs"}}, "spec": {"serviceAccountName": account},
    });
    let pod = two.scene.namespace.pod(&Draft::new(name).node(node).with(fields)).unwrap();
    let file = two.scene.shared.lab.folder().join(format!("{name}.json"));
    fs::write(&file, recorded?).unwrap();
    let words = ["perl", "-MIO::Socket::INET", "-e", SERVE, file.to_str().unwrap()];
    let server = pod.exec(&words).unwrap();
    until(PATIENCE, "a server in the pod", || {
        let probe = format!("exec 3<>/dev/tcp/{}/9464", pod.ip(true)?);
        let probed = two.scene.shared.cluster.node().exec(&["bash", "-c", &probe])?.output()?;
        Ok(probed.status.success().then_some(()))
    })
    .unwrap();
    Some(server)
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

pub(crate) fn the_daemons_of_a_cluster_are_found_by_its_api_server(shared: &Shared) {
    let mut two = Two::new(shared, "proxied");
    let recorded = two.daemons.each_ref().map(|daemon| daemon.get("/api/v1/snapshots?last=15m").unwrap().1);
    two.scene.namespace.apply(ROLE).unwrap();
    let (ours, other) = ("headless-obs", "nobody");
    // A pod that has only the label: it would be another node, and a second daemon of this one.
    let forged = recorded[0].replace("\"n1\"", "\"n4\"");
    let _servers = [
        stand_in(&mut two, ours, ["observer-a", "n1"], Some(&recorded[0])),
        stand_in(&mut two, ours, ["observer-b", "n2"], Some(&recorded[1])),
        stand_in(&mut two, other, ["forger-a", "n1"], Some(&forged)),
    ];
    stand_in(&mut two, ours, ["observer-c", "n3"], None);
    stand_in(&mut two, other, ["forger-b", "n5"], None);

    let gate = shared.cluster.gate().unwrap();
    let name = two.scene.namespace.name().to_owned();
    let kubeconfig = |account: &str| {
        let token = shared.cluster.token(&name, account, &Value::Null).unwrap();
        shared.cluster.kubeconfig(&format!("fleet-{account}"), &gate.url(), &Identity::Token(token)).unwrap()
    };
    let allowed = kubeconfig("fleet");
    let allowed = allowed.to_str().unwrap();
    let found = report(shared, &["--fleet", "--fleet-namespace", &name, "--kubeconfig", allowed]);
    two.check(&found);
    let nodes = found["nodes"].as_array().unwrap();
    let missing: Vec<_> = nodes.iter().filter(|node| !node["missing"].is_null()).collect();
    assert_eq!((nodes.len(), missing.len(), &missing[0]["node"]), (3, 1, &json!("n3")), "{missing:#?}");

    // A plugin of kubectl finds the cluster without options.
    let plugin = shared.lab.folder().join("kubectl-headless_obs");
    std::os::unix::fs::symlink(program().unwrap(), &plugin).unwrap();
    let words = ["report", "--fleet-namespace", &name, "--fleet", "--kubeconfig", allowed];
    let (code, out, err) = run(shared, &plugin, &words);
    assert!(code == Some(0) && out.contains("No data from 1 of 3 nodes (33%)"), "{out}{err}");

    let refused = kubeconfig("nobody");
    let words = ["report", "--fleet", "--fleet-namespace", &name, "--kubeconfig", refused.to_str().unwrap()];
    let (code, _, err) = run(shared, &program().unwrap(), &words);
    assert!(code == Some(1) && err.contains("does not allow you to list pods in proxied"), "{err}");
    assert!(err.contains("docs/fleet.md"), "{err}");
}
