//! Advice in terms of the client's technology.
//!
//! In: a cause, the name of the client's program, and whether it sends queries for gRPC's service configuration. Out:
//! advice, or nothing if nothing is wrong. docs/verdicts.md has more.

use crate::expose::snapshot::{Cause, Client, OtherPort, Service};

/// The client's technology, as far as its program's name shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Technology {
    Jvm,
    Node,
    Python,
    Nginx,
    Envoy,
    DotNet,
    Unknown,
}

impl Technology {
    fn of(client: &Client) -> Self {
        let program = client.program.as_deref().unwrap_or_default();
        let starts = |names: &[&str]| names.iter().any(|name| program.starts_with(name));
        if starts(&["java", "kotlin", "scala"]) {
            Self::Jvm
        } else if program == "node" || program == "MainThread" || starts(&["nodejs", "npm"]) {
            Self::Node
        } else if starts(&["python", "uvicorn", "gunicorn", "celery", "uwsgi"]) {
            Self::Python
        } else if starts(&["nginx", "openresty"]) {
            Self::Nginx
        } else if starts(&["envoy"]) {
            Self::Envoy
        } else if starts(&["dotnet", ".NET"]) {
            Self::DotNet
        } else {
            Self::Unknown
        }
    }
}

/// Advice. Nothing is advised that the facts show to be in place.
pub(super) fn of(cause: Cause, client: &Client, service: Option<&Service>) -> Option<String> {
    let technology = Technology::of(client);
    let text = match cause {
        Cause::Even
        | Cause::Subset
        | Cause::SeeksRole
        | Cause::AsIntended
        | Cause::ZoneAware
        | Cause::TooFew => return None,
        Cause::Pinned if client.grpc => PICK_FIRST.to_owned(),
        Cause::Pinned if has_pool(client) && matches!(technology, Technology::Jvm | Technology::Unknown) => {
            POOL.to_owned()
        }
        Cause::Pinned => pinned(technology).to_owned(),
        Cause::NeverReResolved if client.grpc => AGE.to_owned(),
        Cause::NeverReResolved | Cause::StaleCache => renew(technology).to_owned(),
        Cause::IpReused => {
            format!("{} Let the server check its clients (TLS names, credentials).", renew(technology))
        }
        Cause::AnswerOrder if service.is_some_and(shuffles) => FROZEN.to_owned(),
        Cause::AnswerOrder => order(technology).to_owned(),
        Cause::AddressSort => SORT.to_owned(),
        Cause::TruncatedAnswer => TRUNCATED.to_owned(),
        Cause::ClientCap => CAP.to_owned(),
        Cause::PortMismatch => match in_vain(client).find_map(|port| port.use_port) {
            Some(port) => format!(
                "Connect to port {port}, because a headless Service does not map ports; or make port and targetPort the \
                 same."
            ),
            None => {
                "Connect to a port that the pods listen on, because a headless Service does not map ports. SRV records \
                 give that port."
                    .to_owned()
            }
        },
        Cause::DialsNotReady if service.is_some_and(|service| service.publishes_not_ready) => PUBLISHED.to_owned(),
        Cause::DialsNotReady => renew(technology).to_owned(),
        Cause::DnsStale if client.answers.ttl_seconds <= 5 && client.answers.count > 0 => CACHES.to_owned(),
        Cause::DnsStale => format!("{TTL} {CACHES}"),
        Cause::FailingEndpoint => FAILING.to_owned(),
        Cause::GivesUpEarly => IMPATIENT.to_owned(),
        Cause::CannotConnect => UNREACHABLE.to_owned(),
        Cause::AnswerLimit => LIMIT.to_owned(),
        Cause::UnevenLoad if client.grpc => CHANNELS.to_owned(),
        Cause::UnevenLoad => in_turn(technology).to_owned(),
        Cause::SlowEndpoint => SLOW.to_owned(),
        Cause::Unexplained => UNEXPLAINED.to_owned(),
    };
    Some(text)
}

/// Its pods hold several connections each.
fn has_pool(client: &Client) -> bool {
    client.active > client.open_connections.pods.max(1)
}

/// Answers to all clients together are shuffled.
fn shuffles(service: &Service) -> bool {
    let records = &service.dns.first_records;
    let (most, all) = (records.values().max().copied().unwrap_or(0), records.values().sum::<u64>());
    records.len() > 1 && most as f64 * records.len() as f64 <= super::significance::PEAK * all as f64
}

/// The way in which a client can prefer the endpoints of its own zone. DNS does not tell it their zones.
pub(super) fn zone(client: &Client) -> &'static str {
    match Technology::of(client) {
        _ if client.grpc => {
            "gRPC prefers a zone by xDS localities alone; with DNS, give it the name of a Service that has the endpoints of \
             its zone."
        }
        Technology::Envoy => {
            "Set zone_aware_lb_config and the locality of each endpoint (EDS; with STRICT_DNS one locality and one name for \
             each zone)."
        }
        Technology::Jvm => {
            "Kafka: set client.rack to the zone and replica.selector.class on the brokers. Otherwise give the client the name \
             of a Service that has the endpoints of its zone."
        }
        Technology::Node
        | Technology::Python
        | Technology::Nginx
        | Technology::DotNet
        | Technology::Unknown => {
            "Give the client the name of a Service that has the endpoints of its zone (one Service for each zone, by a label \
             of the pods), or, if its driver knows zones, tell it its own (Kafka: client.rack; MongoDB: tags; Cassandra: \
             rack)."
        }
    }
}

fn renew(technology: Technology) -> &'static str {
    match technology {
        Technology::Jvm => {
            "Set the security property networkaddress.cache.ttl (java.security, or Security.setProperty before the first \
             lookup; -D does nothing) to the DNS TTL, and set a maximum age of pooled connections (HikariCP: maxLifetime)."
        }
        Technology::Node => {
            "Node.js resolves the name for each new connection: end connections after a time (undici: close and renew the \
             Pool; http.Agent: keepAlive off, or a maximum socket age), and remove a lookup cache such as cacheable-lookup."
        }
        Technology::Python => {
            "Give connections a maximum age (SQLAlchemy: pool_recycle; requests, httpx: renew the session or client), and \
             in aiohttp set ttl_dns_cache to the DNS TTL."
        }
        Technology::Nginx => {
            "nginx resolves upstream names once, at start. Use `resolver <address> valid=10s;` with the name in a variable \
             in proxy_pass, or `server <name> resolve;` in an upstream with a `zone` (1.27.3 and later)."
        }
        Technology::Envoy => {
            "Use a STRICT_DNS cluster with a short dns_refresh_rate, and max_connection_duration for long connections; \
             LOGICAL_DNS keeps connections to addresses that are gone."
        }
        Technology::DotNet => {
            "Set SocketsHttpHandler.PooledConnectionLifetime (infinite by default) to a minute or two; each new \
             connection then resolves the name again."
        }
        Technology::Unknown => {
            "Make the client resolve again: set a maximum age of connections (gRPC servers: MAX_CONNECTION_AGE), and keep \
             DNS answers no longer than the TTL (JVM: security property networkaddress.cache.ttl; nginx: resolver … valid=)."
        }
    }
}

fn pinned(technology: Technology) -> &'static str {
    match technology {
        Technology::Jvm => {
            "Open more connections and select among all addresses: for gRPC a dns:/// target with round_robin; for HTTP and \
             databases a pool with a maximum age (HikariCP: maxLifetime) and a driver that shuffles hosts."
        }
        Technology::Node => {
            "Resolve all addresses (dns.resolve4, or lookup with all: true) and use one Agent or undici Pool for each; for \
             gRPC a dns:/// target with round_robin."
        }
        Technology::Python => {
            "Use a pool of connections over all addresses with a maximum age (SQLAlchemy: pool_recycle; psycopg: \
             load_balance_hosts=random); for gRPC a dns:/// target with round_robin."
        }
        Technology::Nginx => {
            "Put the name into an upstream with `zone` and `resolve` (1.27.3 and later), so that nginx uses all addresses, \
             and lower keepalive_requests and keepalive_time."
        }
        Technology::Envoy => {
            "Use a STRICT_DNS cluster with ROUND_ROBIN or LEAST_REQUEST; LOGICAL_DNS uses one address at a time."
        }
        Technology::DotNet => {
            "Set SocketsHttpHandler.PooledConnectionLifetime to a minute or two; for gRPC use a dns:/// address with \
             RoundRobinConfig."
        }
        Technology::Unknown => {
            "Use more than one connection: for gRPC a dns:/// target with round_robin (pick_first is the default), for pools \
             a maximum age, for HTTP a limit of requests per connection; or shuffle the addresses before connecting."
        }
    }
}

fn order(technology: Technology) -> &'static str {
    match technology {
        Technology::Envoy => "Use STRICT_DNS with ROUND_ROBIN: LOGICAL_DNS takes only the first address.",
        Technology::Nginx => {
            "Let the DNS server shuffle (CoreDNS: plugin loadbalance), and let nginx use all addresses (`server <name> \
             resolve;` in an upstream with a `zone`)."
        }
        _ => {
            "Let the DNS server shuffle (CoreDNS: plugin loadbalance in the Corefile, also where NodeLocal DNSCache or a \
             mesh's DNS proxy answers), or let the client shuffle the addresses or use all of them in turn."
        }
    }
}

/// The way in which requests are spread over connections that exist.
fn in_turn(technology: Technology) -> &'static str {
    match technology {
        Technology::Jvm => {
            "The connections are spread, and the requests are not. Let the pool hand them out in turn, not the last used one \
             first (commons-pool and Jedis: lifo=false; Apache HttpClient: PoolReusePolicy.FIFO), and close those that are \
             not needed (minimumIdle)."
        }
        Technology::Node => {
            "The connections are spread, and the requests are not. Select the connection for each request in turn: \
             http.Agent with scheduling: 'fifo', undici's BalancedPool with one Pool per address."
        }
        Technology::Python => {
            "The connections are spread, and the requests are not. Let the pool hand them out in turn, not the last used one \
             first (SQLAlchemy: pool_use_lifo=False; urllib3 and requests: one pool per address, in turn)."
        }
        Technology::Nginx => {
            "The connections are spread, and the requests are not. Let the upstream select for each request (no ip_hash or \
             hash; `random two least_conn;`), with `keepalive` large enough for all servers."
        }
        Technology::Envoy => {
            "The connections are spread, and the requests are not. Use ROUND_ROBIN or LEAST_REQUEST without hash policy, and \
             max_requests_per_connection for long connections."
        }
        Technology::DotNet => {
            "The connections are spread, and the requests are not. SocketsHttpHandler prefers the last used connection: use \
             one handler per address and select among them in turn, or for gRPC one channel with RoundRobinConfig."
        }
        Technology::Unknown => {
            "The connections are spread, and the requests are not. Let the client select the connection for each request in \
             turn or at random, not the last used one first, and share all connections among its threads. If the endpoint \
             answers more, or more slowly, than the others, look at what it serves."
        }
    }
}

const CHANNELS: &str = "The channels are spread, and the calls are not: a call goes over the channel that the program uses for it. \
     Use one channel for all calls, with a dns:/// target and the service configuration \
     {\"loadBalancingConfig\":[{\"round_robin\":{}}]}, which selects for each call; or take several channels in turn. A stream is \
     one call, however long it lasts: end long streams from time to time.";
const SLOW: &str = "Look at that pod and its node: CPU throttling, a full accept queue (`ss -ltn`: Recv-Q at its limit; \
     `nstat TcpExtListenOverflows`), packet loss or a slow link to the node. Take it out of the Service (readiness probe) until \
     it is well.";
const PICK_FIRST: &str = "gRPC's default policy, pick_first, uses one connection. Set the service configuration \
     {\"loadBalancingConfig\":[{\"round_robin\":{}}]} with a dns:/// target (without that scheme gRPC resolves the name when \
     it connects, and the policy sees one address), and MAX_CONNECTION_AGE on the server.";
const AGE: &str = "A gRPC client resolves again only when a connection ends. Set MAX_CONNECTION_AGE on the server (grpc-go: \
     keepalive.ServerParameters.MaxConnectionAge; grpc-java: maxConnectionAge), with a grace period; with round_robin \
     and dns:/// in the target, the client uses new endpoints within about 30 s of that.";
const SORT: &str = "The C library sorts addresses by the longest prefix in common with the client's own (RFC 6724, rule 9). \
     Let the client select at random among all addresses, or give the pods' interfaces a /32, or use a resolver that does \
     not sort (Go's, c-ares).";
const TRUNCATED: &str = "The resolver does not repeat the query over TCP or with a larger buffer, as musl before 1.2.4, \
     c-ares and old stub resolvers do not. Update it, add `options edns0` (glibc), allow DNS over TCP (port 53) in network policies, \
     and raise bufsize in CoreDNS; or split the Service.";
const CAP: &str = "The resolver or client keeps a limited number of addresses (musl: 48). Use an image with glibc, resolve \
     with a DNS library, split the Service, or let a proxy select the endpoint. If the DNS server shuffles and the client \
     resolves again, the load evens out over time.";
const FROZEN: &str = "The server shuffles its answers to other clients, so a cache before this client keeps one order: let \
     that cache shuffle or expire, or let the client shuffle the addresses or use all of them in turn.";
const POOL: &str = "Let each connection select among all addresses: shuffle the addresses before connecting, or resolve \
     again for each connection, and give pooled connections a maximum age; for gRPC a dns:/// target with round_robin.";
const PUBLISHED: &str = "The Service has publishNotReadyAddresses: set it only on a second Service for discovery between \
     peers, and let clients use a Service without it. A client that must use this one should try the next address after \
     a failure.";
const TTL: &str =
    "Make DNS answers expire before the endpoints change: in CoreDNS, set `ttl 5` in the kubernetes plugin.";
const CACHES: &str = "Let no cache keep what has changed: in CoreDNS, set `disable success cluster.local` and `disable \
     denial cluster.local` in cache, and no serve_stale; do the same in NodeLocal DNSCache. Check that CoreDNS reaches \
     the API server.";
const IMPATIENT: &str = "Raise the client's time limit for a connect attempt above the time that a connection takes, with \
     one lost SYN (1 s and more). Node.js: autoSelectFamilyAttemptTimeout, 250 ms by default, or autoSelectFamily off. \
     If attempts fail at once, look for source ports that ran out (many connections to one address and port).";
const UNREACHABLE: &str = "If other clients connect, look at the way from this client: network policies, firewalls, routes, \
     and limits of the servers per client. If nobody connects, look at the pods.";
const LIMIT: &str = "Raise the server's limit of records per answer (Consul: dns_config.a_record_limit and \
     udp_answer_limit), or let the client resolve again for each connection, so that it sees the other endpoints.";
const FAILING: &str = "Look at that pod (kubectl describe and logs), and make its readiness probe fail when the pod cannot \
     serve, so that DNS does not list it.";
const UNEXPLAINED: &str = "Look at how the client selects endpoints: it may use weights or sticky keys in its load balancer, or a list of addresses that does not come from DNS.";

fn in_vain(client: &Client) -> impl Iterator<Item = &OtherPort> {
    client.other_ports.iter().filter(|port| port.is_in_vain())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::test_fixtures::Facts;

    fn fix(cause: Cause, program: Option<&str>, grpc: bool) -> Option<String> {
        let mut facts = Facts::new(&[1, 0, 0]);
        facts.client.program = program.map(str::to_owned);
        facts.client.grpc = grpc;
        of(cause, &facts.client, None)
    }

    #[test]
    fn advice_is_in_the_words_of_the_technology() {
        let cases = [
            (Cause::StaleCache, Some("java"), false, "security property networkaddress.cache.ttl"),
            (Cause::NeverReResolved, Some("java"), true, "MAX_CONNECTION_AGE"),
            (Cause::NeverReResolved, Some("nginx"), false, "valid="),
            (Cause::Pinned, Some("envoy"), false, "STRICT_DNS"),
            (Cause::Pinned, Some("grpc-client"), true, "round_robin"),
            (Cause::Pinned, Some("dotnet"), false, "PooledConnectionLifetime"),
            (Cause::StaleCache, Some("python3.12"), false, "ttl_dns_cache"),
            (Cause::StaleCache, Some("node"), false, "undici"),
            (Cause::StaleCache, Some("MainThread"), false, "undici"),
            (Cause::NeverReResolved, None, false, "MAX_CONNECTION_AGE"),
            (Cause::AnswerOrder, None, false, "loadbalance"),
            (Cause::AddressSort, None, false, "rule 9"),
        ];
        for (cause, program, grpc, expected) in cases {
            let text = fix(cause, program, grpc).unwrap();
            assert!(text.contains(expected), "{cause:?} {program:?}: {text}");
        }
    }

    #[test]
    fn what_is_wrong_has_a_fix_and_what_is_not_has_none() {
        for cause in Cause::ALL {
            let is_well = cause.is_well();
            for program in ["java", "node", "python3", "nginx", "envoy", "dotnet", "curl"] {
                assert_eq!(fix(cause, Some(program), false).is_none(), is_well, "{cause:?} {program}");
            }
        }
    }

    #[test]
    fn what_is_in_place_is_not_advised() {
        let mut facts = Facts::new(&[10, 0, 0]);
        let fix = |facts: &Facts, cause| of(cause, &facts.client, Some(&facts.service)).unwrap();
        assert!(fix(&facts, Cause::Pinned).contains("more than one connection"));
        (facts.client.active, facts.client.open_connections.pods) = (10, 1);
        assert!(!fix(&facts, Cause::Pinned).contains("more than one connection"), "it has ten");
        facts.client.program = Some("java".to_owned());
        assert!(!fix(&facts, Cause::Pinned).contains("more connections"));
        facts.client.answers.ttl_seconds = 30;
        assert!(fix(&facts, Cause::DnsStale).contains("ttl 5"));
        facts.client.answers.ttl_seconds = 5;
        assert!(!fix(&facts, Cause::DnsStale).contains("ttl 5"));
        assert!(!fix(&facts, Cause::DialsNotReady).contains("publishNotReadyAddresses"));
        facts.service.publishes_not_ready = true;
        assert!(fix(&facts, Cause::DialsNotReady).contains("The Service has publishNotReadyAddresses"));
        facts.service.dns.first_records = [("pod-0".to_owned(), 40), ("pod-1".to_owned(), 0)].into();
        assert!(fix(&facts, Cause::AnswerOrder).contains("Let the DNS server shuffle"));
        facts.service.dns.first_records.insert("pod-1".to_owned(), 41);
        assert!(fix(&facts, Cause::AnswerOrder).contains("The server shuffles"));
    }
}
