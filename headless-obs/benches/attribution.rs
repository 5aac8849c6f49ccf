//! The daemon's cost per connection and per DNS answer: the engine alone, with records in the kernel's format.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on ends; its figures are what it is for"
)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use headless_obs::engine::Config;
use headless_obs::time::Time;

mod world;

use world::World;
use world::cluster::{CLIENTS, ENDPOINTS, LARGE, SERVICES, answer, answer_for, endpoint};

fn attribution(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attribution");
    let (small, large) = (answer(7, ENDPOINTS), answer(SERVICES - 1, LARGE));

    let mut world = World::told();
    group.bench_function("connection", |bencher| bencher.iter(|| world.connect_next()));
    for (name, payload, count) in [("answer_5", &small, ENDPOINTS), ("answer_100", &large, LARGE)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || payload.clone(),
                |payload| world.answered(count % CLIENTS, black_box(&payload)),
                BatchSize::SmallInput,
            );
        });
    }
    for (name, payloads) in other_answers() {
        let mut next = payloads.iter().zip((0..CLIENTS).cycle()).cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (payload, client) = next.next().unwrap();
                world.answered(client, black_box(payload));
            });
        });
    }
    group.finish();
}

/// Answers for names with nobody's addresses, for names with a Service's endpoints that are not its own, and for so many
/// names that nothing is remembered of one until it comes again.
fn other_answers() -> impl Iterator<Item = (String, Vec<Vec<u8>>)> {
    let of_service = |service: u32, count| (0..count).map(move |number| endpoint(service, number));
    let of_count = move |count: u32| {
        let service = if count > ENDPOINTS { SERVICES - 1 } else { 7 };
        let strange = of_service(SERVICES + 1, count);
        let foreign = answer_for("www.example.com.", strange);
        let alias = answer_for("orders.example.com.", of_service(service, count));
        [(format!("foreign_{count}"), vec![foreign]), (format!("alias_{count}"), vec![alias])]
    };
    let services = (0..SERVICES - 1).map(|service| answer(service, ENDPOINTS));
    let alias = move |n| answer_for(&format!("n{n}.example.com."), of_service(n % (SERVICES - 1), ENDPOINTS));
    let many =
        [("answer_5_of_2000", services.collect()), ("alias_5_of_10000", (0..10_000).map(alias).collect())];
    [1, 5, 20, 100].into_iter().flat_map(of_count).chain(many.map(|(name, all)| (name.to_owned(), all)))
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The memory of as many clients as the engine remembers, and of twice as many.
fn memory(_criterion: &mut Criterion) {
    let mut world = World::new();
    let answers: Vec<Vec<u8>> = (0..100).map(|service| answer(service, ENDPOINTS)).collect();
    let limit = u32::try_from(Config::default().client_stats).unwrap();
    let empty = resident();
    for (round, clients) in [("room for all", 0..limit), ("twice as many", limit..2 * limit)] {
        for client in clients {
            let service = client % 100;
            world.answered(client, &answers[service as usize]);
            for number in 0..ENDPOINTS {
                world.connect(client, endpoint(service, number));
            }
        }
        // The daemon does this once a minute with flows that the kernel has forgotten.
        world.now += 3_600_000_000_000;
        for (flow, _) in world.engine.idle_flows(Time(world.now)) {
            world.engine.forget_flow(flow);
        }
        let grown = resident().saturating_sub(empty);
        println!(
            "memory/{round}: {grown} KiB for {limit} clients, {} bytes each",
            grown * 1024 / u64::from(limit)
        );
    }
}

criterion_group!(benches, attribution, memory);
criterion_main!(benches);
