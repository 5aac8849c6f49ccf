//! Several daemons together: each sees the pods of a client on its own node, and the verdict is about the sum.

use super::*;
use crate::expose::snapshot::Verdict;
use crate::fleet;
use crate::topology::model::Pod;
use crate::topology::test_builders::pod;

const PODS: usize = 3;
const ADDRESSES: [&str; PODS] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
const LAST: Option<Duration> = Some(Duration::from_secs(900));

/// The endpoint that a client takes at a turn.
type Habit = fn(usize) -> usize;

/// Nodes that each run one pod of the client.
struct Fleet(Vec<World>);

impl Fleet {
    fn new(nodes: u8) -> Self {
        let node = |number: u8| {
            let mut world = World::new([orders(&pods(3))]);
            world.apply(Change::Synced(true));
            let one = pod("shop", &format!("web-{number}"), &[&format!("10.9.0.{number}")]);
            world.apply(Pod { workload: "web".into(), ..one });
            world
        };
        Self((1..=nodes).map(node).collect())
    }

    /// For so many seconds, each pod resolves and connects once a second, and every daemon looks at its verdicts.
    fn run(&mut self, seconds: usize, choose: Habit) {
        for second in 0..seconds {
            for (node, world) in self.0.iter_mut().enumerate() {
                let client = u8::try_from(node + 1).unwrap();
                let turn = second + node;
                let mut order = ADDRESSES;
                order.rotate_left(turn % PODS);
                world.resolve(client, ORDERS, &order);
                let dialled = world.connect(client, ADDRESSES[choose(turn)]);
                world.close(dialled);
                world.pass(Duration::from_millis(996));
                if second % 10 == 9 {
                    let kernel = world.kernel();
                    world.engine.look(&kernel);
                }
            }
        }
    }

    fn merged(&self) -> Snapshot {
        let stretches = |(number, world): (usize, &World)| {
            let kernel = KernelState { node: format!("n{number}"), ..world.kernel() };
            world.engine.stretches(&kernel, LAST)
        };
        fleet::merge(self.0.iter().enumerate().map(stretches).collect(), Vec::new()).unwrap()
    }

    fn verdict(&self) -> Verdict {
        let merged = self.merged();
        let [client] = &merged.services[0].clients[..] else { panic!("{:?}", merged.services[0].clients) };
        assert_eq!(client.pods, self.0.len() as u64);
        client.verdict.clone().unwrap()
    }

    fn now(&self) -> Timestamp {
        self.merged().to
    }
}

#[test]
fn three_daemons_together_see_a_client_turn_and_heal_within_a_minute() {
    let even: Habit = |turn| turn % PODS;
    let one: Habit = |_| 2;
    let mut fleet = Fleet::new(3);
    fleet.run(900, even);
    assert_eq!(fleet.verdict().cause, Cause::Even);
    let turned = fleet.now();
    fleet.run(60, one);
    let verdict = fleet.verdict();
    // The nodes may have said `unexplained` on the way.
    assert_eq!((verdict.cause, verdict.before.is_some()), (Cause::Pinned, true), "{verdict:?}");
    assert!(verdict.stretch_seconds <= 70.0, "{verdict:?}");
    let since = verdict.since.unwrap();
    assert!(since.duration_since(turned).as_secs().abs() <= 60, "{turned} {verdict:?}");
    fleet.run(900, one);
    let later = fleet.verdict();
    assert_eq!(
        (later.cause, later.since),
        (Cause::Pinned, Some(since)),
        "a node knows for longer than its slots"
    );
    let healed = fleet.now();
    fleet.run(60, even);
    let verdict = fleet.verdict();
    assert_eq!((verdict.cause, verdict.before.is_some()), (Cause::Even, true), "{verdict:?}");
    assert!(verdict.since.unwrap() >= healed.saturating_sub(jiff::SignedDuration::from_secs(60)).unwrap());
}

#[test]
fn each_node_with_a_part_of_the_endpoints_is_uneven_and_all_together_are_even() {
    let mut fleet = Fleet::new(3);
    // Node number n dials pod n: each pod of the client stays with one, and all are used alike.
    for (node, world) in fleet.0.iter_mut().enumerate() {
        let client = u8::try_from(node + 1).unwrap();
        for _ in 0..60 {
            world.resolve(client, ORDERS, &ADDRESSES);
            let dialled = world.connect(client, ADDRESSES[node]);
            world.close(dialled);
            world.pass(Duration::from_secs(1));
        }
        let own = world.client("orders").verdict.unwrap();
        assert!(!own.cause.is_well(), "{own:?}");
    }
    assert_eq!(fleet.verdict().cause, Cause::Subset);
}
