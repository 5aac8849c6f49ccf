//! Clients without DNS answers that keep the address of an endpoint, when another Service's pod has it.

use super::*;

/// `orders` lost its second pod, and `other` has the address now.
fn reuse(world: &mut World) {
    let mut stranger = service("other", &[ready("other-0", "10.0.1.1")]);
    world.apply(stranger.clone());
    world.apply(orders(&pods(1)));
    world.pass(Duration::from_secs(10));
    stranger = stranger.with(ready("other-1", "10.0.0.2"));
    world.apply(stranger);
}

fn world() -> World {
    let mut world = World::new([orders(&pods(2))]);
    world.apply(Change::Synced(true));
    world
}

#[test]
fn a_client_that_dialled_the_endpoint_before_means_it_still() {
    let mut world = world();
    world.connect(1, "10.0.0.1");
    world.connect(1, "10.0.0.2");
    reuse(&mut world);
    for _ in 0..5 {
        world.connect(1, "10.0.0.1");
        world.connect(1, "10.0.0.2");
    }
    let client = world.client("orders");
    let [stale] = <[_; 1]>::try_from(client.stale).unwrap();
    assert_eq!((&*stale.kind, stale.connections, stale.unresolved), ("ip_reused", 5, 5));
    assert_eq!(stale.current_owner.as_deref(), Some("shop/other-1"));
    let verdict = client.verdict.unwrap();
    assert_eq!((verdict.cause, verdict.confidence), (Cause::IpReused, Confidence::Medium));
    assert_eq!(world.clients("other"), [""; 0]);
}

#[test]
fn what_may_be_meant_for_the_present_owner_is_its_own() {
    // It has never dialled the endpoint.
    let mut one = world();
    reuse(&mut one);
    one.connect(1, "10.0.0.2");
    assert_eq!(one.clients("other"), ["client-1 none=1"]);
    // It connects to the present owner's Service elsewhere, too.
    let mut two = world();
    two.connect(1, "10.0.0.2");
    reuse(&mut two);
    two.connect(1, "10.0.1.1");
    two.connect(1, "10.0.0.2");
    assert_eq!(two.clients("other"), ["client-1 none=2"]);
    // Another client dialled it.
    let mut three = world();
    three.connect(2, "10.0.0.2");
    reuse(&mut three);
    three.connect(1, "10.0.0.2");
    assert_eq!(three.clients("other"), ["client-1 none=1"]);
    // It asked for the present owner's name.
    let mut four = world();
    four.connect(1, "10.0.0.2");
    reuse(&mut four);
    four.resolve(1, "other.shop.svc.cluster.local", &["10.0.1.1", "10.0.0.2"]);
    four.connect(1, "10.0.0.2");
    assert_eq!(four.clients("other"), ["client-1 service=1"]);
    // The pod is the same, in another Service.
    let mut five = world();
    five.connect(1, "10.0.0.2");
    five.apply(orders(&pods(1)));
    five.apply(service("other", &[ready("orders-1", "10.0.0.2")]));
    five.connect(1, "10.0.0.2");
    assert_eq!(five.clients("other"), ["client-1 none=1"]);
}
