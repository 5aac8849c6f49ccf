//! Events of a trace.

use super::at;
use crate::expose::trace_events::{ClientName, Connection, DnsAnswer, ServiceName, TraceEvent, What};

/// Events of `shop/web`: three of `shop/orders`, one of `shop/sessions`, one of no Service.
pub(crate) fn trace_events() -> Vec<TraceEvent> {
    let event = |seconds, service: Option<&str>, what| TraceEvent {
        time: at(seconds),
        client: ClientName { namespace: "shop".into(), workload: "web".into() },
        service: service.map(|name| ServiceName { namespace: "shop".into(), name: name.into() }),
        what,
    };
    let connection = Connection {
        pod: Some("orders-0".into()),
        address: "10.0.0.1".into(),
        port: 5432,
        resolution: Some("service".into()),
        answer_position: Some(0),
        duration_ms: Some(0.42),
        ..Connection::default()
    };
    let failed =
        Connection { reason: Some("refused".into()), stale: Some("removed".into()), ..connection.clone() };
    let unknown = Connection {
        address: "fd00::1".into(),
        port: 80,
        reason: Some("no_dns".into()),
        ..Connection::default()
    };
    let answer = DnsAnswer {
        name: "orders.shop.svc.\u{1b}[2Jcluster".into(),
        qtype: "A".into(),
        rcode: "noerror".into(),
        addresses: 40,
        truncated: true,
        transport: "udp".into(),
    };
    vec![
        event(0, Some("orders"), What::Dns(answer)),
        event(1, Some("orders"), What::Opened(connection.clone())),
        event(2, Some("orders"), What::Failed(failed)),
        event(3, Some("sessions"), What::Closed(connection)),
        event(4, None, What::Opened(unknown)),
    ]
}
