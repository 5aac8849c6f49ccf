//! Followers over real HTTP; the test is the engine.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::access::Access;
use super::super::routes::routes;
use super::super::tests::{Running, get, serve};
use super::super::{Limits, MAIN};
use super::*;
use crate::config::access::Judgement;
use crate::engine_handle::{EngineHandle, Request};
use crate::expose::test_fixtures::{at, trace_events};
use crate::expose::trace_filter::{TraceFilter, TraceKind};
use crate::expose::trace_line::Begin;
use crate::trace_channel::{REMOTE_LINES, TraceTap};

const PATIENCE: Duration = Duration::from_secs(30);

/// An engine that hands out its ends of traces.
fn engine() -> (EngineHandle, mpsc::UnboundedReceiver<TraceTap>) {
    let (handle, mut requests) = EngineHandle::new();
    let (sender, taps) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut unanswered = Vec::new();
        while let Some(request) = requests.recv().await {
            match request {
                Request::Ping(reply) => drop(reply.send(())),
                Request::Trace(tap) => drop(sender.send(tap)),
                // Nobody answers.
                Request::Scrape(reply) => unanswered.push(reply),
                other => panic!("{other:?}"),
            }
        }
    });
    (handle, taps)
}

async fn start(engine: EngineHandle, access: Option<Access>) -> Running {
    serve(MAIN, None, |readiness| routes(engine, readiness, access)).await
}

/// One who follows: the rest of the connection, and the status line.
struct Follower {
    lines: Lines<BufReader<OwnedReadHalf>>,
    status: String,
    _writer: tokio::net::tcp::OwnedWriteHalf,
}

impl Follower {
    /// In HTTP/1.0 the body has no frames, and ends with the connection.
    async fn new(address: SocketAddr, path: &str) -> Self {
        let (reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
        let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer t\r\n\r\n");
        writer.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(reader).lines();
        let mut head = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap().filter(|line| !line.is_empty()) {
            head.push(line);
        }
        Self { lines, status: head.remove(0), _writer: writer }
    }

    /// The next line that is not about silence; none at the end.
    async fn next(&mut self) -> Option<TraceLine> {
        let next = async {
            loop {
                let line = self.lines.next_line().await.unwrap()?;
                match serde_json::from_str(&line).unwrap() {
                    TraceLine::Remark(Remark::Alive { .. }) => {}
                    line => return Some(line),
                }
            }
        };
        timeout(PATIENCE, next).await.unwrap()
    }
}

#[tokio::test]
async fn a_follower_gets_the_events_that_it_asked_for() {
    let (engine, mut taps) = engine();
    let server = start(engine, None).await;
    let path = "/api/v1/trace?service=shop/orders&client=web&kind=opened,failed";
    let mut follower = Follower::new(server.address, path).await;
    assert!(follower.status.contains("200"), "{}", follower.status);
    let tap = taps.recv().await.unwrap();
    let begin = Remark::Begin(Begin { time: at(0), node: "n1".into(), ..Begin::default() });
    tap.tell(begin.clone());
    trace_events().iter().for_each(|event| assert!(tap.send(event)));
    let filter = TraceFilter {
        service: Some("shop/orders".parse().unwrap()),
        client: None,
        kinds: vec![TraceKind::Opened, TraceKind::Failed],
    };
    let wanted = trace_events().into_iter().filter(|event| filter.matches(event)).map(TraceLine::from);
    for line in std::iter::once(begin.into()).chain(wanted) {
        assert_eq!(follower.next().await, Some(line));
    }
    drop(tap);
    let end = follower.next().await.unwrap();
    assert!(matches!(end, TraceLine::Remark(Remark::End { .. })), "{end:?}");
    assert_eq!(follower.next().await, None);

    for (wrong, said) in [
        ("kind=open", "kind: write opened, failed, closed, dns, verdict"),
        ("service=a/b/c", "service: write NAMESPACE/NAME"),
        ("what=else", "unknown field"),
    ] {
        let (head, body) = get(server.address, &format!("/api/v1/trace?{wrong}"), "").await;
        assert!(head.starts_with("http/1.1 400") && body.contains(said), "{wrong}: {head} {body}");
    }
}

#[tokio::test]
async fn a_slow_follower_misses_events_and_is_told_exactly_how_many() {
    const EVENTS: u64 = 50_000;
    let (engine, mut taps) = engine();
    let server = start(engine, None).await;
    let mut follower = Follower::new(server.address, "/api/v1/trace").await;
    let tap = taps.recv().await.unwrap();
    let event = trace_events().remove(1);
    for number in 0..EVENTS {
        assert!(tap.send(&event));
        if number % 5_000 == 0 {
            // The engine's turn is over: what there is room for is sent.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(get(server.address, "/healthz", "").await.1, "ok\n", "nobody waits for it");
    drop(tap);
    let (mut read, mut missed, mut reports) = (0, 0, 0);
    while let Some(line) = follower.next().await {
        match line {
            TraceLine::Event(_) => read += 1,
            TraceLine::Remark(Remark::Missed { events, .. }) => {
                missed += events;
                reports += 1;
            }
            TraceLine::Remark(_) => {}
        }
    }
    assert_eq!(read + missed, EVENTS, "{read} read, {missed} missed");
    assert!(missed > 0 && reports > 0 && read >= REMOTE_LINES as u64, "{read} {missed} {reports}");
}

#[tokio::test]
async fn followers_have_places_of_their_own() {
    let (engine, mut taps) = engine();
    let limits = Limits { connections: 4, patience: Duration::from_millis(200), ..MAIN };
    let server = serve(limits, None, |readiness| routes(engine, readiness, None)).await;
    let (mut followers, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..FOLLOWERS {
        followers.push(Follower::new(server.address, "/api/v1/trace").await);
        ends.push(taps.recv().await.unwrap());
    }
    let one_more = Follower::new(server.address, "/api/v1/trace").await;
    assert!(one_more.status.contains("503"), "{}", one_more.status);
    // Others fill their places, and make room for one another alone.
    let mut others = Vec::new();
    for _ in 0..2 * limits.connections {
        let mut other = TcpStream::connect(server.address).await.unwrap();
        other.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        others.push(other);
    }
    for _ in 0..3 {
        assert_eq!(timeout(PATIENCE, get(server.address, "/healthz", "")).await.unwrap().1, "ok\n");
    }
    let event = trace_events().remove(0);
    for (follower, end) in followers.iter_mut().zip(&ends) {
        assert!(end.send(&event));
        assert_eq!(follower.next().await, Some(event.clone().into()));
    }
    // A follower that goes makes room.
    drop(followers.pop());
    let last = ends.pop().unwrap();
    let freed = async {
        while last.send(&event) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        loop {
            let next = Follower::new(server.address, "/api/v1/trace").await;
            if next.status.contains("200") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, freed).await.unwrap();
}

#[tokio::test]
async fn a_daemon_that_stops_says_so_and_does_not_wait() {
    let (engine, mut taps) = engine();
    let server = start(engine, None).await;
    let mut follower = Follower::new(server.address, "/api/v1/trace").await;
    let _tap = taps.recv().await.unwrap();
    server.stop.send(()).unwrap();
    let Some(TraceLine::Remark(Remark::End { reason, .. })) = follower.next().await else { panic!() };
    assert_eq!((reason.as_str(), follower.next().await), ("the daemon stops", None));
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_may_not_read_any_more_is_cut() {
    let may_read = Arc::new(AtomicBool::new(true));
    let judge = Arc::clone(&may_read);
    let access = Access::new(Arc::new(move |_token| {
        let is_good = judge.load(Ordering::Relaxed);
        Box::pin(async move { Ok(if is_good { Judgement::Allowed } else { Judgement::Unknown }) })
    }));
    let (engine, mut taps) = engine();
    let server = start(engine, Some(access)).await;
    let mut follower = Follower::new(server.address, "/api/v1/trace").await;
    let tap = taps.recv().await.unwrap();
    tokio::time::sleep(5 * JUDGED_EVERY).await;
    let event = trace_events().remove(0);
    assert!(tap.send(&event));
    assert_eq!(follower.next().await, Some(event.into()));
    may_read.store(false, Ordering::Relaxed);
    let Some(TraceLine::Remark(Remark::End { reason, .. })) = follower.next().await else { panic!() };
    assert_eq!((reason.as_str(), follower.next().await), ("the token may not read any more", None));
}
