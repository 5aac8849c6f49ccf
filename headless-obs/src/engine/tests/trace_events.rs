//! The event stream.

use super::*;
use crate::expose::trace_events::What;

fn names(events: &[TraceEvent]) -> Vec<String> {
    let text = |event: &TraceEvent| {
        let (kind, detail) = match &event.what {
            What::Opened(connection) => ("opened", connection.resolution.clone()),
            What::Closed(connection) => ("closed", connection.reason.clone()),
            What::Failed(connection) => ("failed", connection.reason.clone()),
            What::Verdict(new) => ("verdict", new.verdict.map(|cause| cause.as_str().to_owned())),
            What::Dns(answer) => ("dns", Some(format!("{} {}", answer.qtype, answer.rcode))),
        };
        let service = event.service.as_ref().map_or("-", |service| &service.name);
        format!("{kind} {service} {}", detail.unwrap_or_default())
    };
    events.iter().map(text).collect()
}

#[test]
fn events_are_collected_only_while_somebody_follows() {
    let mut world = World::new([orders(&pods(1))]);
    world.connect(1, "10.0.0.1");
    assert!(world.engine.take_trace().is_empty());
    world.engine.follow(true);
    world.connect(1, "10.0.0.1");
    world.engine.follow(true);
    assert_eq!(world.engine.take_trace().len(), 1, "following twice loses nothing");
    assert!(world.engine.take_trace().is_empty());
    world.connect(1, "10.0.0.1");
    world.engine.follow(false);
    assert!(world.engine.take_trace().is_empty());
}

#[test]
fn a_clock_that_is_put_back_changes_no_duration() {
    let mut world = World::new([orders(&pods(2))]);
    let noon: i128 = 1_700_000_000_000_000_000;
    world.engine.set_wall_offset(noon);
    world.resolve(1, ORDERS, &["10.0.0.1"]);
    world.connect(1, "10.0.0.1");
    let before = world.snapshot();
    world.engine.set_wall_offset(noon - 3_600_000_000_000);
    let after = world.snapshot();
    assert_eq!(
        before.to.duration_since(after.to).as_secs(),
        3_600,
        "moments are those of the clock as it is"
    );
    assert_eq!(after.observation, before.observation, "which names the observation");
    let shown = |snapshot: &Snapshot| snapshot.to.duration_since(snapshot.from);
    assert_eq!(shown(&after), shown(&before));
    let [one, other] = [&before, &after].map(|snapshot| &snapshot.services[0].clients[0]);
    assert_eq!((&one.answer_age, &one.open_connections), (&other.answer_age, &other.open_connections));
    world.engine.set_wall_offset(-noon);
    assert_eq!(shown(&world.snapshot()), shown(&before), "never before it began");
}

#[test]
fn every_event_says_what_happened_and_what_for() {
    let mut world = World::new([orders(&pods(2))]);
    world.engine.set_wall_offset(1_700_000_000_000_000_000);
    world.engine.follow(true);
    world.resolve(1, ORDERS, &["10.0.0.2", "10.0.0.1"]);
    let dialled = world.connect(1, "10.0.0.1");
    world.reset(dialled);
    let refused = world.dial(1, "10.0.0.2");
    world.fail(refused, reason::REFUSED);
    let other_port = Dialled(TcpRecord { port: 9, ..world.dial(2, "10.0.0.1").0 });
    world.open(other_port);
    let nobodys = world.connect(1, "192.0.2.1");
    world.close(nobodys);

    let events = world.engine.take_trace();
    assert_eq!(
        names(&events),
        [
            "dns orders A noerror",
            "opened orders service",
            "closed orders reset",
            "failed orders refused",
            "opened - "
        ]
    );
    let What::Closed(closed) = &events[2].what else { panic!("{:?}", events[2]) };
    assert_eq!(
        (closed.pod.as_deref(), closed.port, closed.answer_position),
        (Some("orders-0"), PORT, Some(1))
    );
    assert_eq!(closed.duration_ms, Some(2.0));
    let What::Opened(refused) = &events[4].what else { panic!("{:?}", events[4]) };
    assert_eq!((refused.reason.as_deref(), refused.resolution.as_deref()), (Some("other_port"), None));
    assert_eq!(events[0].client.workload, "unknown", "an answer comes without the process's name");
    assert_eq!(events[1].client.workload, "client-1");
    assert_eq!(
        events[0].time,
        Timestamp::from_nanosecond(1_700_000_000_000_000_000 + 1_002_000_000).unwrap()
    );
}
