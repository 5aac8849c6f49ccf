//! A reviewer with prepared judgements.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use futures_util::future::join_all;
use tokio::time::sleep;
use tower::ServiceExt;

use super::*;
use crate::engine_handle::fake;
use crate::expose::test_fixtures;
use crate::readiness::Readiness;
use crate::server::routes::routes;

/// Reviews that were made, that are under way, and the most that were.
#[derive(Default)]
struct Counts {
    made: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// Judges by what a token begins with; a review takes a while.
fn access() -> (Access, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let of_reviewer = Arc::clone(&counts);
    let reviewer: Reviewer = Arc::new(move |token: String| {
        let counts = Arc::clone(&of_reviewer);
        Box::pin(async move {
            counts.made.fetch_add(1, Ordering::Relaxed);
            let now = counts.now.fetch_add(1, Ordering::Relaxed) + 1;
            counts.most.fetch_max(now, Ordering::Relaxed);
            sleep(Duration::from_millis(10)).await;
            counts.now.fetch_sub(1, Ordering::Relaxed);
            match token.split('-').next() {
                Some("good") => Ok(Judgement::Allowed),
                Some("weak") => Ok(Judgement::Forbidden("system:serviceaccount:a:b".to_owned())),
                Some("away") => Err("https://api refuses connections".to_owned()),
                Some("silent") => std::future::pending().await,
                _other => Ok(Judgement::Unknown),
            }
        })
    });
    (Access::new(reviewer), counts)
}

/// Status, headers and text of a response.
async fn ask(access: &Access, path: &str, header: Option<(&str, String)>) -> (u16, HeaderMap, String) {
    let engine = fake::engine(test_fixtures::snapshot(), Vec::new());
    let routes = routes(engine, Readiness::waiting_for([]), Some(access.clone()));
    let mut request = Request::get(path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let response = routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (head.status.as_u16(), head.headers, String::from_utf8_lossy(&body).into_owned())
}

fn bearer(token: &str) -> Option<(&'static str, String)> {
    Some(("authorization", format!("Bearer {token}")))
}

#[tokio::test]
async fn each_path_but_those_of_probes_needs_a_right() {
    let (access, _) = access();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(&access, path, None).await.0, 200, "{path}");
    }
    assert_eq!(ask(&access, "/other", None).await.0, 404);
    for path in ["/", "/metrics", "/api/v1/snapshot", "/api/v1/snapshots"] {
        for header in [None, bearer(""), Some(("authorization", "Basic good".to_owned()))] {
            let (status, headers, said) = ask(&access, path, header).await;
            assert_eq!((status, headers["www-authenticate"].as_bytes()), (401, &b"Bearer"[..]), "{path}");
            assert!(said.contains("Authorization: Bearer"), "{said}");
        }
        for header in [bearer("good"), Some((TOKEN_HEADER, "good".to_owned()))] {
            assert_eq!(ask(&access, path, header).await.0, 200, "{path}");
        }
        for (token, status, words) in [
            ("weak", 403, "system:serviceaccount:a:b may not get /metrics".to_owned()),
            ("other", 401, "does not know this token".to_owned()),
            ("away", 503, "https://api refuses connections".to_owned()),
        ] {
            let (found, _, said) = ask(&access, path, bearer(token)).await;
            assert!(found == status && said.contains(&words), "{path} {token}: {found} {said}");
        }
    }
}

#[tokio::test]
async fn a_judgement_is_asked_for_once() {
    let (access, counts) = access();
    let made = async |path: &str, header| {
        ask(&access, path, header).await;
        counts.made.swap(0, Ordering::Relaxed)
    };
    for (token, again) in [("good", 0), ("weak", 0), ("other", 0), ("away", 1)] {
        let asked = (made("/metrics", bearer(token)).await, made("/", bearer(token)).await);
        assert_eq!(asked, (1, again), "{token}");
    }
    assert_eq!(made("/metrics", None).await, 0);
}

#[tokio::test]
async fn a_silent_api_server_is_no_consent() {
    let (access, _) = access();
    let (status, _, said) = ask(&access, "/metrics", bearer("silent")).await;
    assert!(status == 503 && said.contains("no answer within 5 s"), "{status} {said}");
}

#[tokio::test]
async fn few_reviews_are_under_way() {
    let (access, counts) = access();
    let same = (0..64).map(|_| ask(&access, "/metrics", bearer("good")));
    assert!(join_all(same).await.iter().all(|(status, ..)| *status == 200));
    assert!(counts.made.load(Ordering::Relaxed) <= AT_ONCE);
    let others = (0..64).map(|number| ask(&access, "/metrics", bearer(&format!("weak-{number}"))));
    assert!(join_all(others.collect::<Vec<_>>()).await.iter().all(|(status, ..)| *status == 403));
    assert_eq!(counts.most.load(Ordering::Relaxed), AT_ONCE);
}
