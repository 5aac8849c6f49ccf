//! When the topology is stale, and since when.

use super::super::plan::watches;
use super::*;

const SLICES: usize = 0;
const OTHERS: usize = 1;
const SERVICES: usize = 2;
const PODS: usize = 3;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All watches but these are open and listed.
fn touch(now: Instant, but: &[usize]) -> Touch {
    let mut touch = Touch::new("https://api", &watches(&[]), now);
    for watch in [SLICES, OTHERS, SERVICES, PODS].into_iter().filter(|watch| !but.contains(watch)) {
        touch.set_open(watch, true, now);
        touch.set_listed(watch, true, now);
    }
    touch
}

fn text(state: &State) -> &str {
    match state {
        State::Waiting(reason) | State::Lost(_, reason) => reason.text(),
        State::InTouch => panic!("in touch"),
    }
}

#[test]
fn complete_when_everything_is_listed_and_watched() {
    let now = Instant::now();
    let mut touch = touch(now, &[SERVICES]);
    assert_eq!(text(&touch.state(now)), "waiting for services from https://api");
    touch.set_trouble(SERVICES, "refuses connections".to_owned(), now);
    assert_eq!(touch.state(now), State::Waiting(Reason::Trouble("refuses connections".to_owned())));
    // It is listed page by page and not watched yet.
    touch.set_listed(SERVICES, true, now);
    assert!(matches!(touch.state(now), State::Waiting(_)));
    touch.set_open(SERVICES, true, now);
    assert_eq!((touch.state(now), touch.deadline(now)), (State::InTouch, None));
}

#[test]
fn a_watch_that_ends_is_missed_after_a_while() {
    let now = Instant::now();
    let mut touch = touch(now, &[]);
    assert_eq!(touch.state(now), State::InTouch);
    touch.set_open(PODS, false, now);
    touch.set_open(SLICES, false, now + seconds(1));
    assert_eq!(touch.deadline(now + seconds(1)), Some(now + GRACE));
    assert_eq!(touch.state(now + seconds(1)), State::InTouch);
    let State::Lost(since, _) = touch.state(now + seconds(2)) else { panic!() };
    assert_eq!(since, now);
    // A part is current again; the rest is still stale, since its own time.
    touch.set_open(PODS, true, now + seconds(3));
    let State::Lost(since, _) = touch.state(now + seconds(3)) else { panic!() };
    assert_eq!(since, now + seconds(1));
    touch.set_open(SLICES, true, now + seconds(4));
    assert_eq!(touch.state(now + seconds(4)), State::InTouch);
}

#[test]
fn a_watch_that_lists_again_is_old_until_it_has() {
    let now = Instant::now();
    let mut touch = touch(now, &[]);
    assert_eq!(touch.state(now), State::InTouch);
    touch.set_listed(SLICES, false, now);
    assert!(matches!(touch.state(now + seconds(3)), State::Lost(..)));
    touch.set_listed(SLICES, true, now + seconds(4));
    assert_eq!(touch.state(now + seconds(4)), State::InTouch);
}

#[test]
fn what_is_refused_is_not_waited_for_if_it_can_be_done_without() {
    let now = Instant::now();
    let mut touch = touch(now, &[PODS]);
    touch.refuse(PODS, "watch", now);
    // A server that has just started refuses everything.
    assert!(text(&touch.state(now)).contains("does not allow headless-obs to watch pods"));
    assert_eq!((touch.refusals(now).len(), touch.deadline(now + GRACE)), (0, Some(now + BELIEVED)));
    touch.refuse(PODS, "watch", now + seconds(4));
    let now = now + BELIEVED;
    assert_eq!(touch.state(now), State::InTouch);
    let [(watch, refusal)] = &touch.refusals(now)[..] else { panic!() };
    assert_eq!(watch.to_string(), "pods");
    assert_eq!((refusal.verb.as_str(), refusal.resource.as_str()), ("watch", "pods"));
    // The server grants it later.
    touch.set_listed(PODS, true, now + seconds(60));
    touch.set_open(PODS, true, now + seconds(60));
    assert_eq!(touch.state(now + seconds(60)), State::InTouch);
    assert!(touch.refusals(now + seconds(60)).is_empty());
}

#[test]
fn without_slices_there_is_nothing() {
    let now = Instant::now();
    let mut touch = touch(now, &[SLICES, OTHERS]);
    touch.refuse(SLICES, "list", now);
    touch.refuse(OTHERS, "list", now);
    let now = now + seconds(3600);
    assert_eq!(touch.refusals(now).len(), 1, "both are endpointslices");
    let state = touch.state(now);
    assert!(matches!(state, State::Waiting(Reason::Trouble(_))));
    assert!(
        text(&state).contains("list endpointslices") && text(&state).contains("discovery.k8s.io"),
        "{state:?}"
    );
}

#[test]
fn slices_that_are_refused_later_are_missed() {
    let now = Instant::now();
    let mut touch = touch(now, &[]);
    assert_eq!(touch.state(now), State::InTouch);
    touch.set_open(SLICES, false, now);
    touch.refuse(SLICES, "watch", now);
    assert!(matches!(touch.state(now + seconds(3600)), State::Lost(since, _) if since == now));
}
