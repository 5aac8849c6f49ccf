//! Produces each way in which a connection can fail, in the real kernel.

use std::net::IpAddr;

use lab::client::{Dial, Outcomes, Receive};
use lab::*;

use crate::{ip, pod};

#[test]
fn each_way_to_fail_is_produced() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let server = pod(&node, "server", &["10.244.1.10/24", "fd00:10:244:1::10/64"]);
    let web = pod(&node, "web", &["10.244.1.20/24", "fd00:10:244:1::20/64"]);
    let silent = pod(&node, "silent", &["10.244.1.11/24", "fd00:10:244:1::11/64"]);
    silent.serve_port(80).unwrap();
    silent.silence().unwrap();
    let (dark, denied) = (ip("10.250.0.1"), ip("10.250.0.2"));
    let (dark6, denied6) = (ip("fd00:250::1"), ip("fd00:250::2"));
    node.blackhole(dark).unwrap();
    node.blackhole(dark6).unwrap();
    node.unreachable(denied).unwrap();
    node.unreachable(denied6).unwrap();
    let try_one = |address: IpAddr, port: u16, change: &dyn Fn(&mut Dial)| {
        let spec = ClientSpec::fixed(&[address], port, 3).threads(3).dial(change);
        let report = web.client(&spec).unwrap().wait().unwrap();
        assert_eq!(report.errors, Vec::<String>::new(), "{address}");
        report.addresses[&address]
    };
    let three = |set: fn(&mut Outcomes, u64)| {
        let mut outcomes = Outcomes::default();
        set(&mut outcomes, 3);
        outcomes
    };
    let reset_server = server.serve(&ServerSpec::new(server.sockets(81)).mode(ServerMode::Reset)).unwrap();
    for nonblocking in [false, true] {
        for address in server.addresses() {
            let refused = try_one(address, 80, &|dial| dial.nonblocking = nonblocking);
            assert_eq!(refused, three(|outcomes, n| outcomes.refused = n));
            // Sometimes the reset arrives before the client sees the connection as established.
            let spec = ClientSpec::fixed(&[address], 81, 50).dial(|dial| {
                (dial.nonblocking, dial.receive) = (nonblocking, Receive::Close);
            });
            let reset = web.client(&spec).unwrap().wait().unwrap().total();
            assert_eq!(reset, Outcomes { connected: 50, reset: 50, ..Outcomes::default() });
        }
        for address in [denied, denied6] {
            let unreachable = try_one(address, 80, &|dial| dial.nonblocking = nonblocking);
            assert_eq!(unreachable, three(|outcomes, n| outcomes.unreachable = n));
        }
        for address in [dark, dark6].into_iter().chain(silent.addresses()) {
            let timeout = try_one(address, 80, &|dial| {
                (dial.nonblocking, dial.user_timeout_ms) = (nonblocking, Some(200));
            });
            assert_eq!(timeout, three(|outcomes, n| outcomes.timeout = n), "{address}");
        }
    }
    for address in [dark, dark6] {
        let aborted = try_one(address, 80, &|dial| dial.give_up_ms = Some(30));
        assert_eq!(aborted, three(|outcomes, n| outcomes.aborted = n));
    }
    node.reachable_again(dark).unwrap();
    assert_eq!(reset_server.total().unwrap(), 200);
}

#[test]
fn happy_eyeballs_closes_the_loser() {
    let lab = Lab::new().unwrap();
    let node = lab.node("n1").unwrap();
    let pods = pod(&node, "server", &["10.244.1.10/24", "fd00:10:244:1::10/64"]);
    let web = pod(&node, "web", &["10.244.1.20/24", "fd00:10:244:1::20/64"]);
    pods.serve_port(80).unwrap();
    let dark = ip("fd00:250::1");
    node.blackhole(dark).unwrap();
    let run = |addresses: &[IpAddr]| {
        let spec = ClientSpec::fixed(addresses, 80, 3).dial(|dial| dial.happy_eyeballs_ms = Some(20));
        web.client(&spec).unwrap().wait().unwrap()
    };
    let (v4, v6) = (pods.ip(true).unwrap(), pods.ip(false).unwrap());
    let report = run(&[v4, dark]);
    assert_eq!((report.addresses[&v4].connected, report.addresses[&dark].superseded), (3, 3), "{report:?}");
    let report = run(&[v4, v6]);
    assert_eq!((report.connected(v6), report.connected(v4)), (3, 0), "{report:?}");
}
