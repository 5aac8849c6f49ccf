//! The cost of each stage: decoding, answer cache, attribution, ledger. `attribution.rs` measures them together.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on ends")]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use headless_obs::answer_cache::{self, AnswerCache, AnswerContext};
use headless_obs::attribution::{Attribution, ConnectAttempt, Target, attribute};
use headless_obs::client::{self, Client, Clients, Role};
use headless_obs::cluster_zone::ClusterZone;
use headless_obs::dns::Answer;
use headless_obs::dns::message::Decoder;
use headless_obs::ledger::{CellKey, Ledger, LedgerEntry};
use headless_obs::offer::Offers;
use headless_obs::service_resolution::meant;
use headless_obs::time::Time;
use headless_obs::topology::model::{Change, Object};
use headless_obs::topology::{self, Topology};

#[path = "world/cluster.rs"]
mod cluster;

use cluster::{CLIENTS, ENDPOINTS, LARGE, SERVICES, answer, endpoint, local, looked_up, pod, slice};

/// Cached answers of each client: one for each Service that it looked up.
const LOOKED_UP: u32 = 50;

/// The cluster and the clients' answers, without an engine.
struct Parts {
    topology: Topology,
    clients: Clients,
    answer_cache: AnswerCache,
    offers: Offers,
    zone: ClusterZone,
    decoder: Decoder,
}

impl Parts {
    fn new() -> Self {
        let mut topology = Topology::new(topology::Config::default());
        for service in 0..SERVICES {
            let count = if service == SERVICES - 1 { LARGE } else { ENDPOINTS };
            let _touched = topology.apply(Time(1), Change::Apply(Object::Slice(slice(service, count))));
        }
        for client in 0..CLIENTS {
            let _touched = topology.apply(Time(1), Change::Apply(Object::Pod(pod(client))));
        }
        let mut parts = Self {
            topology,
            clients: Clients::new(client::Config::default(), client::proxy_names::ProxyNames::default()),
            answer_cache: AnswerCache::new(answer_cache::Config::default()),
            offers: Offers::default(),
            zone: ClusterZone::default(),
            decoder: Decoder::default(),
        };
        for client in 0..CLIENTS {
            for turn in 0..LOOKED_UP {
                parts.observe(client, &answer(looked_up(client, turn), ENDPOINTS));
            }
        }
        parts
    }

    fn identify(&mut self, client: u32) -> Client {
        self.clients.identify(&self.topology, client.into(), IpAddr::V4(local(client)), &[])
    }

    /// Adds a message to the answer cache.
    fn observe(&mut self, client: u32, payload: &[u8]) {
        let answer = self.decoder.decode(payload).unwrap();
        self.keep(client, &answer);
    }

    fn keep(&mut self, client: u32, answer: &Answer) {
        let scope = self.identify(client).scope;
        let (name, meaning) = meant(answer, &self.topology, &self.zone);
        let renamed = self.topology.renamed();
        let service = meaning.service().map(|(service, _)| service);
        let addresses = answer.addresses.iter().map(|record| (record.address, 0));
        let offer = self.offers.of(Time(2), service, addresses, &self.topology);
        let (name, local) = (Some(name), Some(local(client).into()));
        let meant = AnswerContext { name, meaning, renamed, local, offer: &offer };
        self.answer_cache.observe(Time(2), scope, answer, meant);
    }

    /// The client and the attribution of connection number `turn`.
    fn attribute(&mut self, turn: u32) -> (Client, Attribution) {
        let by = turn % CLIENTS;
        let client = self.identify(by);
        let address = endpoint(looked_up(by, turn / CLIENTS), turn % ENDPOINTS).into();
        let started = Time(3);
        let connect_attempt = ConnectAttempt {
            address,
            port: 8080,
            by: Role::Pod,
            started: Some(started),
            has_failed: false,
            now: started,
        };
        let cached = self.answer_cache.cached(client.scope, address, started);
        (client, attribute(connect_attempt, &self.topology, &self.zone, cached))
    }

    fn target(&mut self, turn: u32) -> (Client, Target) {
        match self.attribute(turn) {
            (client, Attribution::Endpoint(target)) => (client, target),
            (_, outcome) => unreachable!("{outcome:?}"),
        }
    }
}

fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stages");
    let mut parts = Parts::new();
    for (name, payload) in [("5", answer(7, ENDPOINTS)), ("100", answer(SERVICES - 1, LARGE))] {
        let mut decoder = Decoder::default();
        group.bench_function(format!("decode/{name}"), |bencher| {
            bencher.iter(|| decoder.decode(black_box(&payload)).unwrap());
        });
        let answer = decoder.decode(&payload).unwrap();
        group.bench_function(format!("evidence/{name}"), |bencher| {
            bencher.iter(|| parts.keep(3, black_box(&answer)));
        });
    }
    let mut turn = 0;
    group.bench_function("attribution", |bencher| {
        bencher.iter(|| {
            turn += 1;
            parts.attribute(turn)
        });
    });
    let targets: Vec<(Client, Target)> = (0..CLIENTS * LOOKED_UP).map(|turn| parts.target(turn)).collect();
    let mut ledger = Ledger::new(100_000);
    let mut next = targets.iter().cycle();
    group.bench_function("ledger", |bencher| {
        bencher.iter(|| {
            let (client, target) = next.next().unwrap();
            let key = CellKey {
                endpoint: target.endpoint,
                client: Some(client.workload),
                port: 8080,
                resolution: target.resolution,
            };
            let key = ledger.key_within_limit(key);
            let entry =
                LedgerEntry { target: *target, at: Time(3), grace: Duration::ZERO, is_selection: false };
            ledger.open(key, Time(3), &entry, 1).closed += 1;
        });
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
