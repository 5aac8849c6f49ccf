//! DNS that is redirected inside the pod's own network: the query leaves for another address than the response comes
//! from. The responses count, and those of anybody else still do not.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use lab::*;
use serde_json::{Value, json};

use crate::unsolicited_dns::{DNS, connect, message, pod_address, udp};
use crate::ways_to_connect::client;
use crate::{PATIENCE, Scene, orders, sum};

/// A way to redirect DNS.
struct Redirection {
    /// The server that the resolver asks.
    asked: Ipv4Addr,
    /// The firewall's rule for the query.
    rule: &'static str,
    /// The address at which the query arrives.
    arrives: (Ipv4Addr, u16),
}

const WAYS: [Redirection; 3] = [
    // Istio's capture of DNS, to a port of its agent.
    Redirection {
        asked: Ipv4Addr::new(10, 96, 0, 10),
        rule: "udp dport 53 redirect to :15053",
        arrives: (Ipv4Addr::LOCALHOST, 15053),
    },
    // The name server that Docker and Podman embed, at any port.
    Redirection {
        asked: Ipv4Addr::new(127, 0, 0, 11),
        rule: "ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:43523",
        arrives: (Ipv4Addr::new(127, 0, 0, 11), 43523),
    },
    // kube-proxy, for pods on the host's network.
    Redirection {
        asked: Ipv4Addr::new(10, 96, 0, 10),
        rule: "ip daddr 10.96.0.10 udp dport 53 dnat to 10.244.1.54:53",
        arrives: (Ipv4Addr::new(10, 244, 1, 54), 53),
    },
];

impl Redirection {
    fn set(&self, scene: &Scene, pod: &Pod) {
        let chain = format!("chain sent {{\ntype nat hook output priority -100;\n{}\n}}", self.rule);
        let rules = format!("table ip redirection {{\n{chain}\n}}\n");
        let path = scene.lab.folder().join("redirection.nft");
        std::fs::write(&path, rules).unwrap();
        let output = pod.exec(&["nft", "-f", path.to_str().unwrap()]).unwrap().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[track_caller]
fn receive(socket: &UdpSocket, expected: &[u8]) -> SocketAddr {
    let mut buffer = [0; 512];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], expected);
    from
}

fn check(way: &Redirection) {
    let scene = Scene::new();
    let (service, _servers) = scene.orders(4, &ServerMode::Close);
    let [web, resolver, mallory] = [("web", 20), ("resolver", 54), ("mallory", 66)]
        .map(|(name, last)| scene.pod(name, &format!("10.244.1.{last}/24")));
    way.set(&scene, &web);
    let observer = scene.observe(&[service], &[]);
    let at = SocketAddr::new(way.asked.into(), DNS);
    let place = if way.arrives.0.is_loopback() { &web } else { &resolver };
    let server = place.run(|| Ok(UdpSocket::bind(way.arrives)?)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let stranger = udp(&mallory, DNS);

    // Sockets that are not connected, as those of musl, Netty and hickory.
    let socket = udp(&web, 0);
    let here = SocketAddr::new(web.ip(true).unwrap(), socket.local_addr().unwrap().port());
    for (id, pod) in [(1, 0), (2, 1)] {
        let [query, answer] = [None, Some(pod_address(pod))].map(|answer| message(id, answer));
        socket.send_to(&query, at).unwrap();
        let from = receive(&server, &query);
        // Somebody else is faster, with the right id.
        let forged = message(id, Some(pod_address(3)));
        stranger.send_to(&forged, here).unwrap();
        receive(&socket, &forged);
        server.send_to(&answer, from).unwrap();
        assert_eq!(receive(&socket, &answer), at, "translated back");
    }
    // Twice, and without a query.
    let again = message(2, Some(pod_address(2)));
    stranger.send_to(&again, here).unwrap();
    receive(&socket, &again);

    connect(&web, &[0, 1, 2, 3]);
    let closed = |snapshot: &Value| sum(orders(snapshot), "closed") == 4;
    let snapshot = observer.snapshot_when(PATIENCE, closed).unwrap();
    let row = client(orders(&snapshot), "web");
    let by_name: Vec<_> = row["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| own["resolution"].get("service").and_then(Value::as_u64).unwrap_or(0))
        .collect();
    assert_eq!(by_name, [1, 1, 0, 0], "{}: {row:#}", way.rule);
    let refused = &snapshot["quality"]["dns_refused"];
    assert_eq!(refused["other_server"].as_u64().unwrap() + refused["unsolicited"].as_u64().unwrap(), 3);
    assert_eq!(snapshot["quality"]["probes"]["servers"], "cgroup/sendmsg");
    assert_eq!(row["resolution"], json!({"service": 2, "none": 2}));
}

#[test]
fn answers_that_the_pods_own_network_redirects_count_and_forged_ones_do_not() {
    WAYS.iter().for_each(check);
}
