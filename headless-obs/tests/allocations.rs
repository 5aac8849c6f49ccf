//! The memory that events take, once clients and endpoints are known; and that a snapshot takes while it is made.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says where")]

use std::collections::BTreeMap;

use allocation_counter::measure;
use headless_obs::engine::KernelState;
use headless_obs::expose::snapshot::TopologyState;
use headless_obs::time::Time;
use jiff::Timestamp;

#[path = "../benches/world/mod.rs"]
mod world;

use world::World;
use world::cluster::{CLIENTS, ENDPOINTS, LARGE, SERVICES, answer};

const EVENTS: u32 = 10_000;

#[test]
fn a_connection_takes_no_memory() {
    let mut world = World::told();
    // Each client has connected to every endpoint of its Services.
    (0..2 * CLIENTS * 50 * ENDPOINTS).for_each(|_| world.connect_next());
    let used = measure(|| (0..EVENTS).for_each(|_| world.connect_next()));
    assert_eq!((used.count_total, used.bytes_current), (0, 0), "by {EVENTS} connections");
}

/// Allocations of an answer: one for the names of the chain, one for the addresses, and one for the cached answer,
/// however many addresses it has.
#[test]
fn an_answer_takes_three_pieces_of_memory_and_keeps_one() {
    for (service, count) in [(7, ENDPOINTS), (SERVICES - 1, LARGE)] {
        let payload = answer(service, count);
        let mut world = World::told();
        (0..100).for_each(|_| world.answered(3, &payload));
        let used = measure(|| (0..EVENTS).for_each(|_| world.answered(3, &payload)));
        assert_eq!(used.count_total, 3 * u64::from(EVENTS), "{count} addresses");
        assert_eq!(used.bytes_current, 0, "what one answer kept the next one gave back");
    }
}

/// Verdicts rest on six shorter stretches beside the one that is asked for. The rows of each take some 24 MiB here.
#[test]
fn a_snapshot_takes_little_memory_beside_its_own() {
    let mut world = World::told();
    (0..CLIENTS * 50).for_each(|_| world.connect_next());
    let kernel = KernelState {
        node: "node-1".to_owned(),
        from: Timestamp::UNIX_EPOCH,
        began: Time(0),
        to: Time(world.now),
        topology: TopologyState::default(),
        counters: BTreeMap::new(),
        maps: BTreeMap::new(),
        hooks: BTreeMap::new(),
        unknown_records: 0,
        stands_by: false,
    };
    let mut snapshot = None;
    let made = measure(|| snapshot = Some(world.engine.snapshot(&kernel, None)));
    let services = snapshot.unwrap().services;
    let rows: usize =
        services.iter().map(|service| (1 + service.clients.len()) * service.endpoints.len()).sum();
    assert!(rows > 40_000, "more than a shorter stretch has room for");
    let kept = u64::try_from(made.bytes_current).unwrap();
    let beside = made.bytes_max - kept;
    assert!(beside < 24 << 20, "{beside} beside {kept}");

    let looked = measure(|| drop(world.engine.look(&kernel)));
    assert!(looked.bytes_max < 64 << 20, "{}", looked.bytes_max);
}
