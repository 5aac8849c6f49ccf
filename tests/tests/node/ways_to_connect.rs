//! Ways to reach the Service `shop/orders`: each has its own client pod, so that none can use another's answers.
//!
//! In: [`Way`]s. Out: a snapshot in which each of them was compared with the servers' counts.

use lab::*;
use serde_json::{Value, json};

use crate::{PATIENCE, PORT, Scene, ZONE, accepted, opened, orders, sum};

/// Number of pods of the Service.
pub(crate) const PODS: u8 = 3;
/// Connections of each client, with two lookups.
pub(crate) const EACH: u64 = 6;

/// A way in which a client resolves and connects.
pub(crate) struct Way {
    /// Its pod's name.
    pub(crate) pod: &'static str,
    /// The client's spec.
    pub(crate) spec: ClientSpec,
    /// The DNS server's options.
    pub(crate) options: DnsOptions,
    /// The expected resolution of its connections.
    pub(crate) resolution: &'static str,
}

impl Way {
    /// A client that uses the addresses of a name in turn, with the server's default options.
    pub(crate) fn new(pod: &'static str, scene: &Scene, name: &str) -> Self {
        let spec = ClientSpec::new(name, PORT, scene.resolver, EACH).round_robin(PODS.into());
        Self { pod, spec, options: DnsOptions::default(), resolution: "service" }
    }

    /// The same with other options of its stub resolver.
    pub(crate) fn stub(mut self, change: impl FnOnce(&mut client::Stub)) -> Self {
        self.spec = self.spec.stub(change);
        self
    }

    /// The same with other ways to connect.
    pub(crate) fn dial(mut self, change: impl FnOnce(&mut client::Dial)) -> Self {
        self.spec = self.spec.dial(change);
        self
    }

    /// The same with other options of the server.
    pub(crate) fn served(mut self, change: impl FnOnce(&mut DnsOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// The same with another expected resolution than the Service's name.
    pub(crate) fn resolved_by(self, resolution: &'static str) -> Self {
        Self { resolution, ..self }
    }
}

/// The pods of the clients, with addresses of both families and a kubelet's resolver settings. Make them before the
/// daemon starts, so that the manifests have them.
pub(crate) fn pods(scene: &Scene, ways: &[Way]) -> Vec<Pod> {
    let pod = |(n, way): (usize, &Way)| {
        let spec = PodSpec::new("shop", way.pod)
            .address(&format!("10.244.1.{}/24", 20 + n))
            .address(&format!("fd00:10:244:1::{}/64", 20 + n))
            .resolv_conf(ResolvConf::kubelet(scene.resolver.ip(), "shop", ZONE));
        scene.node.pod(spec).unwrap()
    };
    ways.iter().enumerate().map(pod).collect()
}

/// Runs one client after the other, and checks that each connection counts once, for the pod that accepted it, and with
/// the expected resolution.
pub(crate) fn check(scene: &Scene, observer: &Observer, ways: &[Way], pods: &[Pod]) -> Value {
    for (way, pod) in ways.iter().zip(pods) {
        scene.dns.set_options(&way.options).unwrap();
        let report = pod.client(&way.spec).unwrap().wait().unwrap();
        assert_eq!(report.total().connected, EACH, "{}: {report:?}", way.pod);
    }
    let all = EACH * ways.len() as u64;
    let snapshot =
        observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "closed") == all).unwrap();
    let orders = orders(&snapshot);
    assert_eq!(opened(orders), accepted(&scene.lab), "{orders:#}");
    for way in ways {
        assert_eq!(client(orders, way.pod)["resolution"], json!({ way.resolution: EACH }), "{}", way.pod);
    }
    let counted =
        EACH * ways.iter().filter(|way| ["service", "srv"].contains(&way.resolution)).count() as u64;
    assert_eq!((sum(orders, "counted"), sum(orders, "active")), (counted, 0));
    assert_eq!(snapshot["quality"]["reconciled"], 0);
    snapshot
}

/// A client's row.
pub(crate) fn client<'a>(service: &'a Value, workload: &str) -> &'a Value {
    let mut rows = service["clients"].as_array().unwrap().iter();
    rows.find(|row| row["workload"] == workload)
        .unwrap_or_else(|| panic!("no client {workload} in {service:#}"))
}
