//! The DNS names that a cluster serves for Services and EndpointSlices. Pure.
//!
//! In: documents. Out: records by name: a Service's own, those of its endpoints' host names, and SRV for each port. A
//! Service with a ClusterIP has a record for that address only.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use lab::dns::Data;
use serde_json::Value;

use crate::stage::ZONE;

/// The text of a field.
pub(crate) fn text(field: &Value) -> Result<&str> {
    field.as_str().with_context(|| format!("the manifest has {field} where it should have text"))
}

/// All records for the documents.
pub(crate) fn records(documents: &[Value]) -> Result<BTreeMap<String, Vec<Data>>> {
    let mut records: BTreeMap<String, Vec<Data>> = BTreeMap::new();
    for service in of_kind(documents, "Service") {
        let metadata = &service["metadata"];
        let (namespace, name) = (text(&metadata["namespace"])?, text(&metadata["name"])?);
        let domain = format!("{name}.{namespace}.svc.{ZONE}");
        let address = text(&service["spec"]["clusterIP"])?;
        if address != "None" {
            records.insert(domain, vec![Data::Address(address.parse()?)]);
            continue;
        }
        let mine = |slice: &&Value| {
            let metadata = &slice["metadata"];
            metadata["namespace"] == namespace && metadata["labels"]["kubernetes.io/service-name"] == name
        };
        for slice in of_kind(documents, "EndpointSlice").filter(mine) {
            add_slice(&mut records, &domain, slice)?;
        }
    }
    Ok(records)
}

fn of_kind<'a>(documents: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    documents.iter().filter(move |document| document["kind"] == kind)
}

/// The elements of an array; none if it does not exist.
fn each(field: &Value) -> impl Iterator<Item = &Value> {
    field.as_array().into_iter().flatten()
}

fn add_slice(records: &mut BTreeMap<String, Vec<Data>>, domain: &str, slice: &Value) -> Result<()> {
    for endpoint in each(&slice["endpoints"]).filter(|endpoint| endpoint["conditions"]["ready"] != false) {
        for address in each(&endpoint["addresses"]) {
            let address: IpAddr = text(address)?.parse()?;
            let host = endpoint["hostname"]
                .as_str()
                .map_or_else(|| address.to_string().replace(['.', ':'], "-"), str::to_owned);
            let host = format!("{host}.{domain}");
            records.entry(domain.to_owned()).or_default().push(Data::Address(address));
            records.entry(host.clone()).or_default().push(Data::Address(address));
            for port in each(&slice["ports"]) {
                let number = port["port"].as_u64().and_then(|number| u16::try_from(number).ok());
                let number = number.context("a slice in the manifest has an invalid port")?;
                let Some(name) = port["name"].as_str() else { continue };
                let target = Data::Srv { priority: 0, weight: 1, port: number, target: host.clone() };
                records.entry(format!("_{name}._tcp.{domain}")).or_default().push(target);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn documents() -> Vec<Value> {
        let metadata = |name: &str| json!({"namespace": "shop", "name": name});
        let of = |name: &str| json!({"namespace": "shop", "name": "x", "labels": {"kubernetes.io/service-name": name}});
        vec![
            json!({"kind": "Service", "metadata": metadata("web"), "spec": {"clusterIP": "None"}}),
            json!({"kind": "Service", "metadata": metadata("vip"), "spec": {"clusterIP": "10.96.0.7"}}),
            json!({"kind": "EndpointSlice", "metadata": of("web"), "ports": [{"name": "http", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "hostname": "web-0", "conditions": {"ready": true}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": true}},
                {"addresses": ["10.0.0.3"], "conditions": {"ready": false}},
            ]}),
            json!({"kind": "EndpointSlice", "metadata": of("vip"), "ports": [{"name": "http", "port": 8080}],
                "endpoints": [{"addresses": ["10.0.0.1"]}]}),
        ]
    }

    #[test]
    fn a_headless_service_has_its_ready_endpoints_and_their_names() {
        let records = records(&documents()).unwrap();
        let addresses = |name: &str| records.get(name).map(Vec::len);
        assert_eq!(addresses("web.shop.svc.cluster.local"), Some(2));
        assert_eq!(addresses("web-0.web.shop.svc.cluster.local"), Some(1));
        assert_eq!(addresses("10-0-0-2.web.shop.svc.cluster.local"), Some(1));
        assert_eq!(addresses("10-0-0-3.web.shop.svc.cluster.local"), None);
        let srv = &records["_http._tcp.web.shop.svc.cluster.local"];
        assert!(
            matches!(&srv[..], [Data::Srv { port: 8080, target, .. }, _] if target.starts_with("web-0."))
        );
    }

    #[test]
    fn a_cluster_ip_is_all_that_dns_has_of_such_a_service() {
        let records = records(&documents()).unwrap();
        assert_eq!(records["vip.shop.svc.cluster.local"], [Data::Address([10, 96, 0, 7].into())]);
        assert!(!records.contains_key("_http._tcp.vip.shop.svc.cluster.local"));
    }
}
