//! Verdicts over time: what is shown is that of the last look, and what was is remembered through an interruption.

use super::windows::world;
use super::*;
use crate::expose::snapshot::VerdictChange;

/// A client that takes one pod of three, ten times in ten seconds; then the daemon looks.
fn look(world: &mut World) -> Vec<VerdictChange> {
    for _ in 0..10 {
        world.resolve(1, ORDERS, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
        let dialled = world.connect(1, "10.0.0.3");
        world.close(dialled);
        world.pass(Duration::from_millis(996));
    }
    let kernel = world.kernel();
    world.engine.look(&kernel)
}

fn shown(world: &mut World) -> (Option<Cause>, Option<String>) {
    let kernel = world.kernel();
    let [client] = &world.engine.scrape(&kernel).snapshot.services[0].clients[..] else { panic!() };
    (client.verdict.as_ref().map(|verdict| verdict.cause), client.withheld.clone())
}

#[test]
fn a_verdict_that_is_withheld_for_a_moment_is_not_shown_and_goes_on_after() {
    let mut world = world(config(), 3);
    let changes: Vec<_> = (0..12).flat_map(|_| look(&mut world)).collect();
    assert_eq!(changes.last().and_then(|change| change.cause), Some(Cause::Pinned), "{changes:?}");
    let since = world.client("orders").verdict.unwrap().since;
    // The topology's source is away for a minute.
    world.engine.apply(world.time(), Change::Synced(false));
    let changes: Vec<_> = (0..6).flat_map(|_| look(&mut world)).collect();
    assert_eq!((changes, shown(&mut world)), (vec![], (None, Some("not_in_sync".to_owned()))));
    world.engine.apply(world.time(), Change::Synced(true));
    assert_eq!((look(&mut world), shown(&mut world)), (vec![], (Some(Cause::Pinned), None)));
    assert_eq!(world.client("orders").verdict.unwrap().since, since);
    // It is away for ten minutes: that nothing is known any more is a change.
    world.engine.apply(world.time(), Change::Synced(false));
    let changes: Vec<_> = (0..60).flat_map(|_| look(&mut world)).collect();
    let [ended] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((ended.before, ended.cause), (Some(Cause::Pinned), None));
}
