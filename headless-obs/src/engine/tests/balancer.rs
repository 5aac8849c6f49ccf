//! Connections that a socket-level load balancer sent elsewhere: what the client dialled decides.

use super::*;

impl World {
    /// A client dials an address, and a load balancer sends the connection to another one.
    fn dial_balanced(&mut self, client: u8, address: &str, sent_to: &str) -> Dialled {
        let Dialled(record) = self.dial(client, address);
        Dialled(TcpRecord { sent_to: abi(ip(sent_to)), ..record })
    }

    fn excluded(&self) -> Counts {
        let mut excluded = self.snapshot().quality.excluded;
        excluded.retain(|reason, count| reason != "ignored" && *count > 0);
        excluded
    }
}

const CLUSTER_IP: &str = "10.96.0.10";

#[test]
fn a_balancers_choice_is_no_connection_of_the_headless_service() {
    let mut world = World::new([orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    world.connect(1, "10.0.0.1");
    for client in [1, 2] {
        let opened = world.dial_balanced(client, CLUSTER_IP, "10.0.0.2");
        world.open(opened);
        world.close(opened);
        let failed = world.dial_balanced(client, CLUSTER_IP, "10.0.0.2");
        world.fail(failed, reason::REFUSED);
    }
    assert_eq!(world.rows("orders"), ["orders-0 1/1/0/1"]);
    assert_eq!(world.excluded(), Counts::from([("load_balanced".to_owned(), 4)]));
    assert!(world.snapshot().quality.attempts.is_closed());
}

#[test]
fn an_endpoint_that_was_dialled_counts_wherever_the_balancer_sent_it() {
    let mut world = World::new([orders(&pods(2))]);
    world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2"]);
    let to_a_sidecar = world.dial_balanced(1, "10.0.0.1", "127.0.0.1");
    world.open(to_a_sidecar);
    let to_another = world.dial_balanced(1, "10.0.0.1", "10.0.0.2");
    world.open(to_another);
    assert_eq!(world.rows("orders"), ["orders-0 2/2/0/2"]);
    assert_eq!(world.excluded(), Counts::new());
}

#[test]
fn a_balancers_choice_among_others_is_nobodys_here() {
    let mut world = World::new([orders(&pods(2))]);
    let elsewhere = world.dial_balanced(1, CLUSTER_IP, "10.0.0.9");
    world.open(elsewhere);
    assert_eq!(world.excluded(), Counts::new());
    assert_eq!(world.snapshot().quality.attempts.unrelated, 1);
}

#[test]
fn totals_alone_tell_a_balancers_choice() {
    let mut world = World::new([orders(&pods(2))]);
    let Dialled(record) = world.dial_balanced(1, CLUSTER_IP, "10.0.0.2");
    let flow = FlowKey {
        cgroup: record.header.cgroup,
        source: record.source,
        destination: record.destination,
        port: record.port,
        _pad: [0; 6],
    };
    let totals = FlowTotals { opened: 3, sent_to: record.sent_to, comm: record.comm, ..Default::default() };
    let now = world.tick();
    world.engine.reconcile(now, &[(flow, totals)]);
    assert!(world.rows("orders").is_empty());
    assert_eq!(world.excluded(), Counts::from([("load_balanced".to_owned(), 3)]));
}
