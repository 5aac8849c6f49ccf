//! Many and misbehaving peers: readers of the daemon's pages, and clients that reuse one port over and over.

use std::io::Write as _;
use std::thread;

use lab::*;
use socket2::{Domain, Socket, Type};

use crate::shop::Shop;
use crate::{PATIENCE, accepted, opened, orders, sum};

/// Number of readers that the daemon serves in parallel.
const SLOTS: usize = 64;

#[test]
fn those_who_ask_and_do_not_read_make_room_for_others() {
    let shop = Shop::open();
    let observer = shop.observe(&[], &[]);
    // The responses exceed the kernel's buffers for such a reader.
    let questions = "GET /api/v1/snapshot HTTP/1.1\r\nHost: x\r\n\r\n".repeat(300);
    let ask = |_| {
        let mut socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&observer.address().into()).unwrap();
        socket.write_all(questions.as_bytes()).unwrap();
        socket
    };
    let silent: Vec<Socket> = (0..SLOTS).map(ask).collect();
    assert_eq!(observer.get("/healthz").unwrap().0, 200);
    shop.connect(10);
    shop.settled(&observer, 10);
    drop(silent);
}

#[test]
fn two_hundred_scrapes_at_once_are_all_answered() {
    let shop = Shop::open();
    let observer = shop.observe(&[], &[]);
    shop.connect(10);
    shop.settled(&observer, 10);
    thread::scope(|scope| {
        let scrapes: Vec<_> = (0..200).map(|_| scope.spawn(|| observer.metrics())).collect();
        for scrape in scrapes {
            let metrics = scrape.join().unwrap().unwrap();
            assert!(metrics.contains("headless_connections_opened_total{"), "{metrics}");
        }
    });
}

/// Four ports for five thousand connections: each socket reuses the addresses and ports of many earlier ones.
#[test]
fn connections_that_use_ports_again_are_told_apart() {
    let shop = Shop::open();
    let observer = shop.observe(&[], &[]);
    shop.web.set("net/ipv4/ip_local_port_range", "40000 40003").unwrap();
    let client = ClientSpec { per_lookup: 50, ..shop.client(5_000) };
    let client = client.dial(|dial| dial.reset_on_close = true);
    let report = shop.web.client(&client).unwrap().wait().unwrap();
    assert_eq!(report.total().connected, 5_000, "{report:?}");
    let snapshot =
        observer.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "closed") == 5_000).unwrap();
    assert_eq!(opened(orders(&snapshot)), accepted(&shop.scene.lab));
    assert_eq!(sum(orders(&snapshot), "active"), 0);
}
