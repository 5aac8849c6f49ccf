//! The errors of a watch, as messages that say what to do. Pure.

use std::error::Error as StdError;
use std::io;

use kube::core::Status;
use kube::runtime::watcher;

use super::transport::Silent;

/// An error of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WatchError {
    /// The server does not allow this verb.
    Refused(&'static str),
    /// The server does not know streaming lists.
    NoStreamingLists,
    /// The requested history is gone, so the watch lists everything again. This is normal.
    Gone,
    /// Anything else.
    Other(String),
}

/// The meaning of a watch's error; `url` is the server's.
pub(super) fn trouble(error: &watcher::Error, url: &str) -> WatchError {
    match error {
        watcher::Error::InitialListFailed(error) => of("list", error, url),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            of("watch", error, url)
        }
        watcher::Error::WatchError(status) => status_trouble("watch", status, url),
        watcher::Error::NoResourceVersion => {
            WatchError::Other(format!("{url} does not answer as a Kubernetes API server; check its address"))
        }
    }
}

fn of(verb: &'static str, error: &kube::Error, url: &str) -> WatchError {
    match error {
        kube::Error::Api(status) => status_trouble(verb, status, url),
        error => WatchError::Other(describe(error, url)),
    }
}

fn status_trouble(verb: &'static str, status: &Status, url: &str) -> WatchError {
    let said = |words: &str| status.message.contains(words);
    match status.code {
        403 => WatchError::Refused(verb),
        410 => WatchError::Gone,
        422 if said("sendInitialEvents") || said("resourceVersionMatch") => WatchError::NoStreamingLists,
        _ => WatchError::Other(of_answer(status, url)),
    }
}

/// The meaning of a failed response.
pub(super) fn of_answer(status: &Status, url: &str) -> String {
    let said = status.message.as_str();
    match status.code {
        401 => format!(
            "{url} does not accept the credentials (401 Unauthorized): the token has expired, or its \
             ServiceAccount was deleted; headless-obs reads the credentials again for every try"
        ),
        404 => format!(
            "{url} does not have the resource (404 Not Found): a Kubernetes API server from 1.21 on has it; check \
             the address"
        ),
        429 | 500..=599 => format!("{url} is overloaded or not ready ({}): {said}", status.code),
        code => format!("{url} answers {code}: {said}"),
    }
}

/// The reason why a request had no response.
pub(super) fn describe(error: &(dyn StdError + 'static), url: &str) -> String {
    let mut chain = Vec::new();
    let mut next = Some(error);
    // An error that names itself as its cause must not cause an endless loop.
    while let Some(error) = next.filter(|_| chain.len() < 16) {
        chain.push(error);
        next = error.source();
    }
    let kind = |wanted| {
        chain.iter().filter_map(|error| error.downcast_ref::<io::Error>()).any(|error| error.kind() == wanted)
    };
    let says = |words: &str| chain.iter().any(|error| error.to_string().contains(words));
    let last = chain.last().map(ToString::to_string).unwrap_or_default();
    if kind(io::ErrorKind::ConnectionRefused) {
        format!("{url} refuses connections; check that the API server runs and that the address is right")
    } else if says("certificate") {
        format!(
            "{url} cannot be trusted: {last}; check certificate-authority, the server's name, and this machine's \
             clock"
        )
    } else if says("dns error") || says("failed to lookup") {
        format!("{url} has a name that cannot be resolved: {last}; give an address, or repair DNS")
    } else if kind(io::ErrorKind::TimedOut) || chain.iter().any(|error| error.is::<Silent>()) {
        format!("{url} does not answer: check the address, routes and network policies")
    } else if kind(io::ErrorKind::HostUnreachable) || kind(io::ErrorKind::NetworkUnreachable) {
        format!("{url} cannot be reached: {last}; check the address and routes")
    } else if chain.iter().any(|error| error.is::<super::ConfigError>()) {
        last
    } else {
        format!("{url}: {last}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, message: &str) -> watcher::Error {
        let status = Status { code, message: message.to_owned(), ..Status::default() };
        watcher::Error::WatchStartFailed(kube::Error::Api(status.boxed()))
    }

    fn said(error: &watcher::Error) -> String {
        match trouble(error, "https://api") {
            WatchError::Other(text) => text,
            other => panic!("{other:?}"),
        }
    }

    fn failed(error: impl Into<Box<dyn StdError + Send + Sync>>) -> String {
        said(&watcher::Error::InitialListFailed(kube::Error::Service(error.into())))
    }

    #[test]
    fn what_the_server_answers() {
        assert_eq!(trouble(&api(403, ""), ""), WatchError::Refused("watch"));
        assert_eq!(trouble(&api(410, ""), ""), WatchError::Gone);
        let unknown = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        assert_eq!(trouble(&api(422, unknown), ""), WatchError::NoStreamingLists);
        assert!(said(&api(422, "fieldLabel")).contains("422: fieldLabel"));
        assert!(said(&api(401, "Unauthorized")).contains("token has expired"));
        assert!(said(&api(404, "")).contains("1.21"));
        assert!(said(&api(503, "starting")).contains("not ready (503): starting"));
        let list = watcher::Error::InitialListFailed(kube::Error::Api(
            Status { code: 403, ..Status::default() }.boxed(),
        ));
        assert_eq!(trouble(&list, ""), WatchError::Refused("list"));
    }

    #[test]
    fn why_there_is_no_answer() {
        let io = |kind| io::Error::from(kind);
        assert!(failed(io(io::ErrorKind::ConnectionRefused)).contains("https://api refuses connections"));
        assert!(failed(io(io::ErrorKind::TimedOut)).contains("does not answer"));
        assert!(failed(Silent::default()).contains("does not answer"));
        assert!(failed(io(io::ErrorKind::NetworkUnreachable)).contains("cannot be reached"));
        assert!(failed("invalid peer certificate: UnknownIssuer").contains("certificate-authority"));
        assert!(failed("dns error: failed to lookup address").contains("cannot be resolved"));
        assert_eq!(failed("odd"), "https://api: odd");
    }
}
