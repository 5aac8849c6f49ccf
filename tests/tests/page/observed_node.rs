//! A node with the Service `shop/orders` and its clients, after the daemon has seen all traffic.

use std::net::SocketAddr;
use std::time::Duration;

use lab::dns::Order;
use lab::*;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const PORT: u16 = 8080;
const ZONE: &str = "cluster.local";
const ORDERS: &str = "orders.shop.svc.cluster.local";

/// One pod has left, one is idle, and one client takes the first address of answers in a fixed order.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) observer: Observer,
}

impl Scene {
    pub(crate) fn with_traffic() -> Self {
        let lab = Lab::new().unwrap();
        let node = lab.node("n1").unwrap();
        let server = node.pod(PodSpec::new("kube-system", "dns").address("10.244.1.53/24")).unwrap();
        let dns = server.dns(&DnsSpec::new(server.sockets(53))).unwrap();
        dns.set_options(&DnsOptions { order: Order::Fixed, ..DnsOptions::default() }).unwrap();
        let pod = |name: &str, last: u8| {
            node.pod(PodSpec::new("shop", name).address(&format!("10.244.1.{last}/24"))).unwrap()
        };
        let pods: Vec<Pod> = (0..4).map(|n| pod(&format!("orders-{n}"), 100 + n)).collect();
        let (web, cron) = (pod("web", 20), pod("cron", 21));
        let serve =
            |pod: &Pod| pod.serve(&ServerSpec::new(pod.sockets(PORT)).mode(ServerMode::Hold)).unwrap();
        let _servers: Vec<Server> = pods.iter().map(serve).collect();
        let publish = |pods: &[Pod]| {
            let service = ServiceSpec::new("shop", "orders", PORT, pods);
            for (name, data) in service.records(ZONE) {
                dns.set(&name, 30, data).unwrap();
            }
            lab.write_manifests("services.yaml", &[service]).unwrap()
        };
        let topology = format!("files:{}", publish(&pods).display());
        let observer = Observer::start(&lab, &ObserverSpec::new(&["--topology", &topology])).unwrap();

        let resolver: SocketAddr = dns.addresses()[0];
        let spec = |connections| ClientSpec::new(ORDERS, PORT, resolver, connections);
        let run = |pod: &Pod, spec: &ClientSpec| {
            let report = pod.client(spec).unwrap().wait().unwrap();
            assert_eq!(report.total().refused, 0, "{report:?}");
        };
        run(&cron, &spec(60));
        let fixed = |pod: &Pod, count| ClientSpec::fixed(&[pod.ip(true).unwrap()], PORT, count);
        run(&web, &fixed(&pods[1], 7));
        run(&web, &fixed(&pods[2], 3));
        // The first pod leaves: clients of the first address use the second from now on.
        publish(&pods[1..]);
        let removed = |snapshot: &Value| snapshot["services"][0]["endpoints"][0]["state"] == "removed";
        observer.snapshot_when(PATIENCE, removed).unwrap();
        run(&cron, &spec(1_100));
        let closed = |snapshot: &Value| {
            let endpoints = snapshot["services"][0]["endpoints"].as_array().unwrap();
            endpoints.iter().map(|endpoint| endpoint["closed"].as_u64().unwrap()).sum::<u64>() == 1_170
        };
        observer.snapshot_when(PATIENCE, closed).unwrap();
        Self { lab, observer }
    }

    /// The output of `report -o html`.
    pub(crate) fn report(&self) -> String {
        let path = program().unwrap();
        let url = format!("http://{}", self.observer.address());
        let words = [path.to_str().unwrap(), "report", "--from", &url, "-o", "html"];
        let output = self.lab.exec(&words).unwrap().output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}
