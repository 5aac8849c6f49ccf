//! The cluster: addresses, objects and DNS answers.
//!
//! 2,000 headless Services with 10,000 endpoints, and 200 client pods.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use headless_obs::topology::model::{ObjectKey, Pod, PodRef, Proxies, ServicePort, Slice, SliceEndpoint};
use hickory_proto::op::{Message, OpCode, Query};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;

/// Headless Services.
pub(crate) const SERVICES: u32 = 2_000;
/// Endpoints of each Service apart from the last.
pub(crate) const ENDPOINTS: u32 = 5;
/// Pods that connect.
pub(crate) const CLIENTS: u32 = 200;
/// Endpoints of the last Service.
pub(crate) const LARGE: u32 = 100;

/// The address of an endpoint.
pub(crate) fn endpoint(service: u32, number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 128, 0, 0).to_bits() + service * 128 + number)
}

/// The address of a client.
pub(crate) fn local(client: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 9, 0, 0).to_bits() + client)
}

fn key(name: String) -> ObjectKey {
    ObjectKey { namespace: "shop".into(), name: name.into() }
}

/// A Service's slice.
pub(crate) fn slice(service: u32, count: u32) -> Slice {
    let one = |number| SliceEndpoint {
        address: endpoint(service, number).into(),
        port: None,
        hostname: None,
        pod: Some(PodRef {
            key: key(format!("s{service}-{number}")),
            uid: format!("uid-{service}-{number}").into(),
        }),
        node: None,
        zone: None,
        hints: Box::default(),
        ready: true,
        serving: true,
        terminating: false,
    };
    Slice {
        key: key(format!("s{service}-a")),
        service: format!("s{service}").into(),
        headless: true,
        ports: vec![ServicePort { name: "http".into(), port: 8080 }],
        endpoints: (0..count).map(one).collect(),
        missing: 0,
    }
}

/// A client.
pub(crate) fn pod(client: u32) -> Pod {
    Pod {
        key: key(format!("client-{client}")),
        uid: format!("client-uid-{client}").into(),
        addresses: vec![IpAddr::V4(local(client))],
        host_network: false,
        workload: format!("client-{}", client % 20).into(),
        finished: false,
        run: None,
        annotations: None,
        proxies: Proxies::None,
        containers: Box::default(),
    }
}

/// The answer for a Service's name.
pub(crate) fn answer(service: u32, count: u32) -> Vec<u8> {
    answer_for(&format!("s{service}.shop.svc.cluster.local."), (0..count).map(|n| endpoint(service, n)))
}

/// The answer for any name.
pub(crate) fn answer_for(name: &str, addresses: impl Iterator<Item = Ipv4Addr>) -> Vec<u8> {
    let name = Name::from_str(name).unwrap();
    let mut message = Message::response(7, OpCode::Query);
    message.add_query(Query::query(name.clone(), RecordType::A));
    let records = addresses.map(|address| Record::from_rdata(name.clone(), 30, RData::A(A(address))));
    message.add_answers(records);
    message.to_bytes().unwrap()
}

/// The Service that a client looks up.
pub(crate) fn looked_up(client: u32, turn: u32) -> u32 {
    (client * 37 + turn % 50 * 41) % (SERVICES - 1)
}
