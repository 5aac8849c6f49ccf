//! Open connections one by one.

use std::cmp::Reverse;

use super::at;
use crate::expose::connection_list::{
    ConnectionList, ConnectionOrder, ConnectionQuery, ConnectionReading, LISTED, OpenConnection, UsedAnswer,
};
use crate::expose::snapshot::SCHEMA;
use crate::expose::trace_events::{ClientName, ServiceName};

/// A query for the connections of `shop/orders`.
pub(crate) fn connection_query() -> ConnectionQuery {
    ConnectionQuery {
        service: "shop/orders".parse().unwrap(),
        client: None,
        order: ConnectionOrder::default(),
        limit: LISTED,
    }
}

/// An answer: a busy connection, one that is older than the daemon, one without an answer, one of a host's program.
pub(crate) fn connection_list(query: &ConnectionQuery) -> ConnectionList {
    let reading = |bytes_sent, rtt_us, unsent_bytes| ConnectionReading {
        bytes_sent,
        bytes_received: bytes_sent / 10,
        retransmitted: 3,
        rtt_us,
        least_rtt_us: rtt_us,
        unsent_bytes,
        unacknowledged_bytes: unsent_bytes / 2,
    };
    let row = |number: u16, opened: Option<i64>, program: &str, reading| OpenConnection {
        node: None,
        service: ServiceName { namespace: "shop".into(), name: "orders".into() },
        client: ClientName { namespace: "shop".into(), workload: "web".into() },
        client_pod: format!("web-7d9f-{number}"),
        program: Some(program.to_owned()),
        process: Some(4_000 + u32::from(number)),
        source: format!("10.9.0.{number}"),
        source_port: Some(40_000 + number),
        pod: Some(format!("orders-{}", number % 3)),
        address: format!("10.0.0.{}", number % 3 + 1),
        port: 5_432,
        opened: opened.map(at),
        resolution: "service".into(),
        answer: opened.map(|opened| UsedAnswer {
            name: "orders.shop.svc.cluster.local".into(),
            at: at(opened - 12),
            position: number.into(),
            size: 3,
        }),
        reading: Some(reading),
    };
    let older = OpenConnection {
        resolution: "preexisting".into(),
        program: None,
        process: None,
        ..row(1, None, "", reading(5_000, None, 700_000))
    };
    let by_address = OpenConnection {
        answer: None,
        resolution: "none".into(),
        pod: None,
        address: "fd00::7".into(),
        client: ClientName { namespace: String::new(), workload: "nginx".into() },
        client_pod: "nginx".into(),
        ..row(2, Some(20), "nginx", reading(0, Some(80_000), 0))
    };
    let mut all = vec![older, by_address, row(0, Some(10), "java", reading(3 << 30, Some(412), 10))];
    let weight = |row: &OpenConnection| row.reading.map_or(0, |reading| reading.weight(query.order));
    all.sort_by_key(|row| (Reverse(weight(row)), row.opened));
    all.truncate(query.limit);
    ConnectionList {
        schema: SCHEMA.to_owned(),
        node: "node-1".into(),
        at: at(100),
        services: vec![ServiceName { namespace: "shop".into(), name: "orders".into() }],
        order: query.order,
        load: "iter/bpf_map_elem".into(),
        open: 1_234,
        left_out: 1_234 - all.len() as u64,
        connections: all,
        nodes: Vec::new(),
    }
}
