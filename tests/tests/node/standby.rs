//! Two daemons on one machine, as during a rollout: exactly one of them counts each connection.

use lab::*;
use serde_json::Value;

use crate::shop::{Shop, log_when};
use crate::{PATIENCE, orders, sum};

/// The sum of a field over both daemons.
fn both(observers: [&Observer; 2], figure: &str) -> u64 {
    observers.iter().map(|observer| sum(orders(&observer.snapshot().unwrap()), figure)).sum()
}

#[test]
fn one_that_stands_by_counts_nothing_until_the_other_ends_however_it_ends() {
    let shop = Shop::open();
    // Only this lab's cgroups: no other daemon on this machine interferes.
    let cgroup = ["--cgroup", shop.scene.lab.cgroup().to_str().unwrap()];
    let stand_by = [&cgroup[..], &["--stand-by"]].concat();
    let held = shop.web.client(&shop.client(0).keep()).unwrap();
    let mut at_work = shop.observe(&[], &stand_by);
    held.open(6).unwrap();
    at_work.snapshot_when(PATIENCE, |snapshot| sum(orders(snapshot), "active") == 6).unwrap();
    for (seen_to_open, ends_in_peace) in [(26, false), (20, true)] {
        // It is ready, so that the rollout goes on and ends the other.
        let next = shop.observe(&[], &stand_by);
        log_when(&next, "standing by");
        shop.connect(20);
        let settled = |snapshot: &Value| sum(orders(snapshot), "closed") == 20;
        at_work.snapshot_when(PATIENCE, settled).unwrap();
        let figures = ["opened", "closed", "active"].map(|figure| both([&at_work, &next], figure));
        assert_eq!(figures, [seen_to_open, 20, 6]);
        let metrics = next.metrics().unwrap();
        assert!(!metrics.contains("service=\"orders\""), "{metrics}");
        assert_eq!(next.snapshot().unwrap()["quality"]["probes"], serde_json::json!({}));

        if ends_in_peace {
            let (status, log) = at_work.stop().unwrap();
            assert_eq!(status.code(), Some(0), "{log}");
        } else {
            at_work.kill();
        }
        // It knows all open connections from its first moment.
        let has_begun = |snapshot: &Value| snapshot["quality"]["probes"].get("tcp").is_some();
        let first = next.snapshot_when(PATIENCE, has_begun).unwrap();
        let figures = ["opened", "closed", "active"].map(|figure| sum(orders(&first), figure));
        assert_eq!(figures, [0, 0, 6], "{:#}", orders(&first));
        at_work = next;
    }
    // A daemon without `--stand-by` does not wait, and logs the effect.
    let beside = shop.observe(&[], &cgroup);
    log_when(&beside, "another headless-obs runs on this node");
    shop.connect(10);
    assert_eq!(sum(orders(&beside.snapshot_when(PATIENCE, ten).unwrap()), "opened"), 10);
    assert_eq!(sum(orders(&at_work.snapshot_when(PATIENCE, ten).unwrap()), "opened"), 10);
}

fn ten(snapshot: &Value) -> bool {
    sum(orders(snapshot), "closed") == 10
}
