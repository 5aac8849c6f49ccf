//! The quality of a snapshot is about its stretch of time; the counters of all time never decrease.

use headless_obs_ebpf::dns_query::{MAX_SERVERS, PendingQuery};

use super::expiry::{flow, totals};
use super::*;
use crate::expose::snapshot::{Quality, Unanswered};
use crate::topology::model::Kind;

const HOUR: Duration = Duration::from_secs(3_600);
const LAST: Option<Duration> = Some(Duration::from_secs(900));

fn quality(world: &World, length: Option<Duration>) -> Quality {
    world.engine.snapshot(&world.kernel(), length).quality
}

/// An hour passes, and the daemon looks at the verdicts.
fn pass(world: &mut World) {
    let kernel = world.kernel();
    world.engine.look(&kernel);
    world.pass(HOUR);
    let now = world.time();
    world.engine.expire(now);
}

#[test]
fn what_was_lost_long_ago_is_no_loss_of_the_last_minutes() {
    let mut world = World::new([orders(&pods(1))]);
    world.pass(HOUR);
    let mut garbled = addresses_of(ORDERS, &["10.0.0.1"]).to_bytes().unwrap();
    garbled.truncate(20);
    let record = world.dns_record(1, 17, garbled.len());
    world.engine.on_dns(&record, &garbled);
    let of_now = quality(&world, LAST);
    assert_eq!((of_now.events_lost["ring_full"], of_now.events_lost["record_unknown"]), (6, 8));
    assert_eq!(of_now.dns_rejected.values().sum::<u64>(), 1);
    assert_eq!((of_now.dns_refused["unsolicited"], of_now.excluded["ignored"]), (9, 5));
    pass(&mut world);
    let later = quality(&world, LAST);
    assert_eq!(later.events_lost.values().sum::<u64>(), 0, "{:?}", later.events_lost);
    assert_eq!(later.dns_rejected, Counts::new());
    assert_eq!((later.dns_refused["unsolicited"], later.excluded["ignored"]), (0, 0));
    assert_eq!(quality(&world, None), of_now, "in all they are still there");
    let mut kernel = world.kernel();
    kernel.counters.insert("ring_full", 7);
    let newest = world.engine.snapshot(&kernel, LAST).quality;
    assert_eq!(newest.events_lost["ring_full"], 1, "also before anybody has looked");
}

#[test]
fn the_queries_without_a_response_are_those_of_the_stretch() {
    let mut world = World::new([orders(&pods(1))]);
    let ask = |world: &mut World| {
        let (servers, ports) = ([[0; 16]; MAX_SERVERS], [53; MAX_SERVERS]);
        let query = PendingQuery {
            time: 1,
            cgroup: 1,
            client: address_of(1),
            servers,
            ports,
            _pad: [0; 6],
            state: 0,
        };
        let now = world.tick();
        world.engine.on_unanswered(now, &query);
    };
    let rows = |world: &World, length| world.engine.snapshot(&world.kernel(), length).unanswered;
    world.pass(HOUR);
    ask(&mut world);
    ask(&mut world);
    pass(&mut world);
    assert_eq!(rows(&world, LAST), []);
    ask(&mut world);
    let counts = |rows: Vec<Unanswered>| rows.iter().map(|row| row.queries).collect::<Vec<_>>();
    assert_eq!((counts(rows(&world, LAST)), counts(rows(&world, None))), (vec![1], vec![3]));
}

#[test]
fn counters_outlive_the_service_they_are_about() {
    let mut world = World::new([orders(&pods(1))]);
    world.apply(Change::Synced(true));
    let connected = world.connect(1, "10.0.0.1");
    let now = world.tick();
    world.engine.reconcile(now, &[(flow(connected), totals(4, 4))]);
    let before = quality(&world, None);
    assert_eq!((before.unattributed["no_dns"], before.reconciled), (4, 3));
    world.apply(Change::Reset(Kind::Slice, Vec::new()));
    for _ in 0..30 {
        pass(&mut world);
    }
    let services = world.snapshot().services.len();
    let counters = world.engine.scrape(&world.kernel()).snapshot.quality;
    assert_eq!(services, 0);
    assert_eq!((counters.unattributed["no_dns"], counters.reconciled), (4, 3));
}
