//! The staleness of the topology, and its beginning.

use super::super::watches::watches;
use super::*;

const SLICES: usize = 0;
const OTHERS: usize = 1;
const SERVICES: usize = 2;
const PODS: usize = 3;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All watches but these are open and listed.
fn sync_state(now: Instant, but: &[usize]) -> SyncState {
    let mut sync_state = SyncState::new("https://api", &watches(&[]), now);
    for watch in [SLICES, OTHERS, SERVICES, PODS].into_iter().filter(|watch| !but.contains(watch)) {
        sync_state.set_open(watch, true, now);
        sync_state.set_listed(watch, true, now);
    }
    sync_state
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
    let mut sync_state = sync_state(now, &[SERVICES]);
    assert_eq!(text(&sync_state.state(now)), "waiting for services from https://api");
    sync_state.set_trouble(SERVICES, "refuses connections".to_owned(), now);
    assert_eq!(sync_state.state(now), State::Waiting(Reason::WatchError("refuses connections".to_owned())));
    // It is listed page by page and not watched yet.
    sync_state.set_listed(SERVICES, true, now);
    assert!(matches!(sync_state.state(now), State::Waiting(_)));
    sync_state.set_open(SERVICES, true, now);
    assert_eq!((sync_state.state(now), sync_state.deadline(now)), (State::InTouch, None));
}

#[test]
fn a_watch_that_ends_is_missed_after_a_while() {
    let now = Instant::now();
    let mut sync_state = sync_state(now, &[]);
    assert_eq!(sync_state.state(now), State::InTouch);
    sync_state.set_open(PODS, false, now);
    sync_state.set_open(SLICES, false, now + seconds(1));
    assert_eq!(sync_state.deadline(now + seconds(1)), Some(now + GRACE));
    assert_eq!(sync_state.state(now + seconds(1)), State::InTouch);
    let State::Lost(since, _) = sync_state.state(now + seconds(2)) else { panic!() };
    assert_eq!(since, now);
    // A part is current again; the rest is still stale, since its own time.
    sync_state.set_open(PODS, true, now + seconds(3));
    let State::Lost(since, _) = sync_state.state(now + seconds(3)) else { panic!() };
    assert_eq!(since, now + seconds(1));
    sync_state.set_open(SLICES, true, now + seconds(4));
    assert_eq!(sync_state.state(now + seconds(4)), State::InTouch);
}

#[test]
fn a_watch_that_lists_again_is_old_until_it_has() {
    let now = Instant::now();
    let mut sync_state = sync_state(now, &[]);
    assert_eq!(sync_state.state(now), State::InTouch);
    sync_state.set_listed(SLICES, false, now);
    assert!(matches!(sync_state.state(now + seconds(3)), State::Lost(..)));
    sync_state.set_listed(SLICES, true, now + seconds(4));
    assert_eq!(sync_state.state(now + seconds(4)), State::InTouch);
}

#[test]
fn what_is_refused_is_not_waited_for_if_it_can_be_done_without() {
    let now = Instant::now();
    let mut sync_state = sync_state(now, &[PODS]);
    sync_state.refuse(PODS, "watch", now);
    // A server that has just started refuses everything.
    assert!(text(&sync_state.state(now)).contains("does not allow headless-obs to watch pods"));
    assert_eq!((sync_state.refusals(now).len(), sync_state.deadline(now + GRACE)), (0, Some(now + BELIEVED)));
    sync_state.refuse(PODS, "watch", now + seconds(4));
    let now = now + BELIEVED;
    assert_eq!(sync_state.state(now), State::InTouch);
    let [(watch, refusal)] = &sync_state.refusals(now)[..] else { panic!() };
    assert_eq!(watch.to_string(), "pods");
    assert_eq!((refusal.verb.as_str(), refusal.resource.as_str()), ("watch", "pods"));
    // The server grants it later.
    sync_state.set_listed(PODS, true, now + seconds(60));
    sync_state.set_open(PODS, true, now + seconds(60));
    assert_eq!(sync_state.state(now + seconds(60)), State::InTouch);
    assert!(sync_state.refusals(now + seconds(60)).is_empty());
}

#[test]
fn without_slices_there_is_nothing() {
    let now = Instant::now();
    let mut sync_state = sync_state(now, &[SLICES, OTHERS]);
    sync_state.refuse(SLICES, "list", now);
    sync_state.refuse(OTHERS, "list", now);
    let now = now + seconds(3600);
    assert_eq!(sync_state.refusals(now).len(), 1, "both are endpointslices");
    let state = sync_state.state(now);
    assert!(matches!(state, State::Waiting(Reason::WatchError(_))));
    assert!(
        text(&state).contains("list endpointslices") && text(&state).contains("discovery.k8s.io"),
        "{state:?}"
    );
}

#[test]
fn slices_that_are_refused_later_are_missed() {
    let now = Instant::now();
    let mut sync_state = sync_state(now, &[]);
    assert_eq!(sync_state.state(now), State::InTouch);
    sync_state.set_open(SLICES, false, now);
    sync_state.refuse(SLICES, "watch", now);
    assert!(matches!(sync_state.state(now + seconds(3600)), State::Lost(since, _) if since == now));
}
