//! The number of allocations per event, once clients and endpoints are known.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says where")]

use allocation_counter::measure;

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
