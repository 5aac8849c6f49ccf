//! Domain names to Services: the Service, hostname or SRV port that a name can refer to.
//!
//! In: a name as [`decode`](super::message::decode) returns it (lower case, no final dot). Out: the Kubernetes Services
//! to which the name can belong. Only the form decides; the caller knows whether such a Service exists. Nothing is
//! allocated.
//!
//! | name | meaning |
//! |---|---|
//! | `<service>.<namespace>.svc.<zone>` | the Service |
//! | `<hostname>.<service>.<namespace>.svc.<zone>` | one endpoint; the name of a pod may have dots |
//! | `_<port>._<protocol>.<service>.<namespace>.svc.<zone>` | a port of the Service (SRV), also without underscores |
//! | `<area>.pin._zone.<service>.<namespace>.svc.<zone>`, also `prefer` | the endpoints of an area |
//! | `<endpoint>.<cluster>.<service>.<namespace>.svc.clusterset.local` | one endpoint in a set of clusters |
//!
//! The zone may be anything, so a name with several labels `svc` can have several meanings:
//! `db.orders.svc.svc.cluster.local` is the hostname `db` of `orders` in a namespace `svc`, or the Service `db` in
//! `orders` of a zone `svc.cluster.local`. The candidates come from the rightmost `svc` to the leftmost, because zones
//! with such a label are the least likely.
//!
//! Search lists produce names that nobody intended. `orders.shop.svc.cluster.local.shop.svc.cluster.local` means
//! `orders` in `shop` (left `svc`), and the client does look for that. The right `svc` has too many labels in front of
//! it to be a Service, so it gives no candidate. `orders.shop.shop.svc.cluster.local` has the form of a hostname,
//! `orders` of `shop`; its form alone does not reveal the search list. Such names do not exist and their answers have
//! no addresses, so no connection is attributed to them. When the cluster's zone is known, [`ServiceName::zone`]
//! identifies most of them.

/// The Service, and the part of it, that a name can refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceName<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The Service's name.
    pub service: &'a str,
    /// The part of the Service.
    pub asked: NameKind<'a>,
    /// Everything after `svc`: the cluster's zone. For a name from a search list it includes the domain that was tried.
    pub zone: &'a str,
}

/// The part of a Service that a name refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameKind<'a> {
    /// All endpoints.
    Service,
    /// The endpoint with this hostname.
    Hostname(&'a str),
    /// The endpoints of an area.
    Area,
    /// All endpoints, with the number of a named port (SRV).
    Port {
        /// The port's name.
        port: &'a str,
        /// Its protocol.
        protocol: &'a str,
    },
}

/// All candidates for `name`, the most likely first.
pub fn candidates(name: &str) -> impl Iterator<Item = ServiceName<'_>> {
    const SVC: &[u8] = b".svc.";
    let places = name.as_bytes().windows(SVC.len()).enumerate().rev();
    places.filter(|(_, labels)| *labels == SVC).filter_map(move |(dot, _)| {
        let zone = name.get(dot + SVC.len()..)?;
        if zone.is_empty() { None } else { meaning(name.get(..dot)?, zone) }
    })
}

/// The meaning of the labels before `.svc.<zone>`.
fn meaning<'a>(labels: &'a str, zone: &'a str) -> Option<ServiceName<'a>> {
    let (rest, namespace) = labels.rsplit_once('.')?;
    let (prefix, service) = match rest.rsplit_once('.') {
        Some((prefix, service)) => (Some(prefix), service),
        None => (None, rest),
    };
    if !is_label(namespace) || !is_label(service) {
        return None;
    }
    let asked = match prefix {
        None => NameKind::Service,
        Some(prefix) => asked(prefix, service, zone)?,
    };
    Some(ServiceName { namespace, service, asked, zone })
}

/// The meaning of the labels before the Service's name.
fn asked<'a>(prefix: &'a str, service: &str, zone: &str) -> Option<NameKind<'a>> {
    let Some((first, last)) = prefix.rsplit_once('.') else {
        return is_label(prefix).then_some(NameKind::Hostname(prefix));
    };
    if last == "_zone" {
        // The area itself may contain dots.
        let (area, how) = first.rsplit_once('.')?;
        return (!area.is_empty() && matches!(how, "pin" | "prefer")).then_some(NameKind::Area);
    }
    match (first.strip_prefix('_'), last.strip_prefix('_')) {
        (Some(port), Some(protocol)) if is_label(port) && is_label(protocol) => {
            Some(NameKind::Port { port, protocol })
        }
        // DNS servers take a port without underscores, too.
        (None, None) if is_label(first) && matches!(last, "tcp" | "udp" | "sctp") => {
            Some(NameKind::Port { port: first, protocol: last })
        }
        (None, None) if zone.split('.').next() == Some("clusterset") => {
            (is_label(first) && is_label(last)).then_some(NameKind::Hostname(first))
        }
        // A label `svc` shows that a search list continued a whole name.
        (None, None) => {
            let mut labels = prefix.split('.').chain([service]);
            labels.all(|label| is_label(label) && label != "svc").then_some(NameKind::Hostname(prefix))
        }
        _ => None,
    }
}

/// Whether Kubernetes accepts `label` as the name of an object or a host.
fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_label_svc_is_looked_at(name in r"((svc|svc|a|b-c||_x|_tcp)\.){0,8}(svc|zone|)") {
            let of_dot = |(dot, _)| {
                let zone = name[dot..].strip_prefix(".svc.").filter(|zone| !zone.is_empty())?;
                meaning(&name[..dot], zone)
            };
            let expected: Vec<_> = name.rmatch_indices('.').filter_map(of_dot).collect();
            prop_assert_eq!(candidates(&name).collect::<Vec<_>>(), expected);
        }
    }

    /// `namespace/service`, and the part, of each candidate.
    fn check(name: &str, expected: &[&str]) {
        let found: Vec<_> = candidates(name)
            .map(|ServiceName { namespace, service, asked, .. }| match asked {
                NameKind::Service => format!("{namespace}/{service}"),
                NameKind::Hostname(host) => format!("{namespace}/{service} host {host}"),
                NameKind::Area => format!("{namespace}/{service} area"),
                NameKind::Port { port, protocol } => format!("{namespace}/{service} port {port}/{protocol}"),
            })
            .collect();
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn the_forms_of_the_specification() {
        check("orders.shop.svc.cluster.local", &["shop/orders"]);
        check("orders.shop.svc.k8s.example.com", &["shop/orders"]);
        check("orders.shop.svc.corp", &["shop/orders"]);
        check("orders-0.orders.shop.svc.cluster.local", &["shop/orders host orders-0"]);
        check("10-1-2-3.orders.shop.svc.cluster.local", &["shop/orders host 10-1-2-3"]);
        check("2001-db8--1.orders.shop.svc.cluster.local", &["shop/orders host 2001-db8--1"]);
        check("_http._tcp.orders.shop.svc.cluster.local", &["shop/orders port http/tcp"]);
        check("_grpc-web._udp.orders.shop.svc.zone", &["shop/orders port grpc-web/udp"]);
        check("1st.2nd.svc.cluster.local", &["2nd/1st"]);
    }

    #[test]
    fn extensions() {
        check("orders.shop.svc.clusterset.local", &["shop/orders"]);
        check("_http._tcp.orders.shop.svc.clusterset.local", &["shop/orders port http/tcp"]);
        check("orders-0.east.orders.shop.svc.clusterset.local", &["shop/orders host orders-0"]);
        check("app.v1-0.orders.shop.svc.cluster.local", &["shop/orders host app.v1-0"]);
        check("http.tcp.orders.shop.svc.cluster.local", &["shop/orders port http/tcp"]);
        check("eu.pin._zone.orders.shop.svc.cluster.local", &["shop/orders area"]);
        check("eu-1.a.prefer._zone.orders.shop.svc.cluster.local", &["shop/orders area"]);
        check("pin._zone.orders.shop.svc.cluster.local", &[]);
        check("eu.always._zone.orders.shop.svc.cluster.local", &[]);
    }

    #[test]
    fn names_of_no_service() {
        for name in [
            "",
            ".",
            "svc",
            ".svc.",
            "www.example.com",
            "orders",
            "orders.shop",
            "orders.shop.svc",
            "orders.shop.svc.",
            "shop.svc.cluster.local",
            "svc.cluster.local",
            ".shop.svc.cluster.local",
            "orders..svc.cluster.local",
            ".orders.shop.svc.cluster.local",
            "orders.shop.mysvc.cluster.local",
            "orders.shop.svc2.cluster.local",
            "10-1-2-3.shop.pod.cluster.local",
            "a..b.orders.shop.svc.cluster.local",
            "a.b_.orders.shop.svc.cluster.local",
            "_http.tcp.orders.shop.svc.cluster.local",
            "http._tcp.orders.shop.svc.cluster.local",
            "_._tcp.orders.shop.svc.cluster.local",
            "_grpc_config.orders.shop.svc.cluster.local",
            "x._http._tcp.orders.shop.svc.cluster.local",
            "-x.orders.shop.svc.cluster.local",
            "or_ders.shop.svc.cluster.local",
            "orders.shop-.svc.cluster.local",
            r"or\046ders.shop.svc.cluster.local",
            "*.orders.shop.svc.cluster.local",
        ] {
            check(name, &[]);
        }
    }

    #[test]
    fn several_meanings_come_from_right_to_left() {
        check("svc.shop.svc.cluster.local", &["shop/svc"]);
        check("orders.svc.svc.cluster.local", &["svc/orders"]);
        check("svc.svc.svc.cluster.local", &["svc/svc"]);
        check("db.orders.svc.svc.cluster.local", &["svc/orders host db", "orders/db"]);
        check("db.svc.shop.svc.cluster.local", &["shop/svc host db"]);
        check("a.b.svc.shop.svc.cluster.local", &["b/a"]);
        check("svc.svc.svc.svc.zone", &["svc/svc host svc", "svc/svc"]);
        check("_http._tcp.orders.svc.svc.zone", &["svc/orders port http/tcp"]);
    }

    #[test]
    fn search_noise() {
        // Searched for in namespace `shop`, zone `cluster.local`.
        check("orders.shop.svc.cluster.local.shop.svc.cluster.local", &["shop/orders"]);
        check("orders.shop.svc.cluster.local.svc.cluster.local", &["shop/orders"]);
        check("orders.shop.svc.cluster.local.cluster.local", &["shop/orders"]);
        check("orders.shop.svc.cluster.local.example.com", &["shop/orders"]);
        check("orders.shop.svc.svc.cluster.local", &["svc/shop host orders", "shop/orders"]);
        check("orders.shop.svc.shop.svc.cluster.local", &["shop/orders"]);
        check("orders.shop.shop.svc.cluster.local", &["shop/shop host orders"]);
        check("orders.shop.cluster.local", &[]);
        check("www.example.com.shop.svc.cluster.local", &["shop/com host www.example"]);
        check("example.com.shop.svc.cluster.local", &["shop/com host example"]);
        check("api.example.com.svc.cluster.local", &["com/example host api"]);
    }
}
