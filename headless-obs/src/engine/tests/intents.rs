//! Changes by annotations of Services and pods, and the words about wrong ones.

use super::windows::address;
use super::*;
use crate::topology::intent::{self, Annotations, Expectation, Subject, WrongAnnotation};
use crate::topology::model::{Pod, Service, ServiceKey, ServicePort};
use crate::topology::test_builders::pod;

fn said(expect: Option<Expectation>, ignore: bool, ports: &[u16]) -> Option<Box<Annotations>> {
    Some(Box::new(Annotations { expect, ignore, ports: ports.into(), ..Annotations::default() }))
}

fn annotated(annotations: Option<Box<Annotations>>) -> Service {
    Service {
        key: ServiceKey { namespace: "shop".into(), name: "orders".into() },
        headless: true,
        cluster_ips: Vec::new(),
        ports: vec![ServicePort { name: "".into(), port: PORT }],
        publish_not_ready: false,
        distribution: None,
        annotations,
    }
}

/// Three endpoints, and pods of `web` with these annotations, which all use the second endpoint alone.
fn world(service: Option<Box<Annotations>>, pods_say: &[Option<Box<Annotations>>]) -> World {
    let mut world = World::with(config(), [orders(&pods(3))]);
    world.engine.apply(Time(1), Change::Synced(true));
    world.apply(annotated(service));
    for (number, annotations) in (1_u8..).zip(pods_say) {
        let own = pod("shop", &format!("web-{number}"), &[&format!("10.9.0.{number}")]);
        world.apply(Pod { annotations: annotations.clone(), ..own });
        for _ in 0..60 {
            world.resolve(number, ORDERS, &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
            let dialled = world.connect(number, &address(1));
            world.close(dialled);
        }
    }
    world
}

fn judged(world: &World) -> (Option<Cause>, Option<String>) {
    let client = world.client("orders");
    (client.verdict.map(|verdict| verdict.cause), client.excluded)
}

#[test]
fn a_service_says_how_its_clients_are_meant_to_connect() {
    let plain = world(None, &[None]);
    let (cause, _) = judged(&plain);
    assert!(cause.unwrap().is_imbalance(), "{cause:?}");
    assert_eq!(plain.service("orders").idle, ["orders-0", "orders-2"]);
    for expect in [Expectation::Pinned, Expectation::Primary, Expectation::Subset] {
        let world = world(said(Some(expect), false, &[]), &[None]);
        let verdict = world.client("orders").verdict.unwrap();
        assert_eq!((verdict.cause, verdict.instead_of), (Cause::AsIntended, cause), "{expect:?}");
        let service = world.service("orders");
        assert_eq!(service.intent.expect.as_deref(), Some(expect.as_str()));
        assert!(service.idle.is_empty(), "{expect:?}: {:?}", service.idle);
    }
    let even = world(said(Some(Expectation::Even), false, &[]), &[None]);
    assert_eq!(judged(&even).0, cause);
}

#[test]
fn pods_know_better_than_the_service_if_all_of_them_agree() {
    let primary = || said(Some(Expectation::Primary), false, &[]);
    let even = || said(Some(Expectation::Even), false, &[]);
    let by = |world: &World| world.client("orders").intent.map(|intent| (intent.expect, intent.said_by));
    let named = |expect: &str, said_by: &str| Some((expect.to_owned(), said_by.to_owned()));
    assert_eq!(by(&world(None, &[primary(), primary()])), named("primary", "pod"));
    assert_eq!(by(&world(None, &[primary(), None])), None, "one pod says nothing");
    assert_eq!(by(&world(None, &[primary(), even()])), None, "they differ");
    assert_eq!(by(&world(primary(), &[even()])), named("even", "pod"));
    assert_eq!(by(&world(primary(), &[None])), named("primary", "service"));
    assert!(judged(&world(primary(), &[even()])).0.unwrap().is_imbalance());
}

#[test]
fn who_is_ignored_does_not_count() {
    let ignored = || said(None, true, &[]);
    for world in [world(ignored(), &[None]), world(None, &[ignored(), ignored()])] {
        assert_eq!(judged(&world), (None, Some("annotation".to_owned())));
        let service = world.service("orders");
        assert_eq!((service.spread.connections, service.idle.len()), (0, 0));
        assert!(service.clients[0].opened > 0, "it is shown");
    }
    let partly = world(None, &[ignored(), None]);
    assert_eq!(judged(&partly).1, None, "one pod counts, and they cannot be told apart");
}

#[test]
fn ports_of_the_annotation_are_served() {
    for (ports, others) in [(&[][..], 1), (&[PORT + 1], 0), (&[PORT + 2], 1)] {
        let mut world = world(said(None, false, ports), &[None]);
        world.resolve(1, ORDERS, &["10.0.0.1"]);
        let Dialled(record) = world.dial(1, "10.0.0.1");
        world.open(Dialled(TcpRecord { port: PORT + 1, ..record }));
        assert_eq!(world.client("orders").other_ports.len(), others, "{ports:?}");
    }
}

#[test]
fn wrong_ones_are_listed_and_said_once() {
    let read = |pairs: &[(&str, &str)], of| intent::read(pairs.iter().copied(), of);
    let of_service = read(&[("headless-obs.io/expect", "sticky")], Subject::Service);
    let of_pod = read(&[("headless-obs.io/ports", "80"), ("headless-obs.io/ignore", "1")], Subject::Pod);
    let mut world = world(of_service.clone(), &[of_pod]);
    assert!(judged(&world).0.unwrap().is_imbalance(), "nothing else changes");
    let listed = world.snapshot().quality.topology.wrong_annotations;
    let listed: Vec<_> = listed.iter().map(|one| (&*one.object, &*one.annotation, &*one.value)).collect();
    assert_eq!(
        listed,
        [
            ("Pod shop/web-1", "headless-obs.io/ignore", "1"),
            ("Pod shop/web-1", "headless-obs.io/ports", "80"),
            ("Service shop/orders", "headless-obs.io/expect", "sticky"),
        ]
    );
    assert_eq!(world.engine.take_not_obeyed().len(), 3);
    world.apply(annotated(of_service.clone()));
    assert_eq!(world.engine.take_not_obeyed(), [], "an update that changes nothing");
    let mut other = of_service.unwrap();
    other.wrong = [WrongAnnotation { value: "odd".into(), ..other.wrong[0].clone() }].into();
    world.apply(annotated(Some(other)));
    let [new] = &world.engine.take_not_obeyed()[..] else { panic!() };
    assert_eq!(
        new.to_string(),
        "Service shop/orders has headless-obs.io/expect=\"odd\"; allowed: pinned, primary, subset or even"
    );
    world.apply(annotated(None));
    assert_eq!(world.snapshot().quality.topology.wrong_annotations.len(), 2);
}
