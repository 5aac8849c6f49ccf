//! Verdicts over time: since when each holds, and how it changed.
//!
//! In: the verdicts of a moment, looked up every few seconds. Out: the present verdict of each client, the time since
//! when it holds, and the latest changes.
//!
//! Invariants: bounded by the clients of the looks and by [`CHANGES`] per Service. The present verdict is that of the last
//! look, or none. The log remembers a client's verdict until looks have found none for longer than [`FORGET`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::expose::snapshot::{Cause, Client, Confidence, Service, Snapshot, Verdict, VerdictChange};

/// The interval at which to look.
pub const LOOK: Duration = Duration::from_secs(10);
/// The most changes that are kept of a Service.
const CHANGES: usize = 64;
/// The time that a verdict is remembered that no look confirms, so that it continues, with its `since` and without a
/// change in the log, if it comes back. Stretches reach back a day, so a client that is merely quiet keeps its verdict;
/// one without any has it withheld, because its events were lost or the topology's source was away. Both are mostly
/// over when the stretch of five minutes has nothing of them any more.
const FORGET: SignedDuration = SignedDuration::from_secs(300);

/// For how long a client that turns can be unexplained. The shortest stretch is no longer.
const TURN: SignedDuration = SignedDuration::from_secs(60);

/// Namespace and name of a Service, namespace and workload of its client.
type Key = (String, String, String, String);

/// The verdict on one client.
#[derive(Clone, Debug)]
struct Current {
    cause: Cause,
    confidence: Confidence,
    since: Timestamp,
    /// The verdict before this one, and since when that held.
    before: Option<(Cause, Timestamp)>,
    /// The last look that found it.
    confirmed: Timestamp,
}

impl Current {
    /// The verdict before a turn: a client that turns is unexplained for a few looks, which are the beginning of the
    /// verdict on what it does now.
    fn led_to(&self, cause: Cause, now: Timestamp) -> Option<(Cause, Timestamp)> {
        let is_brief = self.cause == Cause::Unexplained && now.duration_since(self.since) < TURN;
        self.before.filter(|(before, _)| is_brief && *before != cause)
    }
}

/// A verdict that says too few, or the reason for none.
type Undecided = (Option<Verdict>, Option<String>);

/// All verdicts.
#[derive(Debug, Default)]
pub(super) struct VerdictLog {
    current: BTreeMap<Key, Current>,
    changes: BTreeMap<(String, String), VecDeque<VerdictChange>>,
    /// The time at which the last look was.
    looked: Timestamp,
    /// Clients on which the last look had no verdict, or too few connections for one.
    undecided: BTreeMap<Key, Undecided>,
    /// Changes that nobody has taken yet.
    news: Vec<VerdictChange>,
}

impl VerdictLog {
    /// Takes the verdicts of a moment; returns what changed.
    pub(super) fn look(&mut self, judged: &Snapshot) -> Vec<VerdictChange> {
        let (now, mut changes) = (judged.to, Vec::new());
        self.undecided.clear();
        self.looked = now;
        for service in &judged.services {
            for client in &service.clients {
                let verdict = client.verdict.as_ref().filter(|verdict| verdict.cause != Cause::TooFew);
                if let Some(verdict) = verdict {
                    changes.extend(self.confirm(now, service, client, verdict));
                } else {
                    let undecided = (client.verdict.clone(), client.withheld.clone());
                    self.undecided.insert(key(service, client), undecided);
                }
            }
        }
        let gone: Vec<_> = self
            .current
            .extract_if(.., |_, current| now.duration_since(current.confirmed) > FORGET)
            .map(|(key, current)| (key, current.cause))
            .collect();
        for ((namespace, service, client_namespace, workload), cause) in gone {
            if !cause.is_well() {
                changes.push(VerdictChange {
                    at: now,
                    service_namespace: namespace,
                    service,
                    namespace: client_namespace,
                    workload,
                    before: Some(cause),
                    since: now,
                    ..VerdictChange::default()
                });
            }
        }
        for change in &changes {
            let of_service = (change.service_namespace.clone(), change.service.clone());
            let kept = self.changes.entry(of_service).or_default();
            if kept.len() == CHANGES {
                kept.pop_front();
            }
            kept.push_back(change.clone());
        }
        self.news.extend(changes.iter().cloned());
        changes
    }

    /// The changes since the last call.
    pub(super) fn take_news(&mut self) -> Vec<VerdictChange> {
        std::mem::take(&mut self.news)
    }

    /// A look found this verdict.
    fn confirm(
        &mut self,
        now: Timestamp,
        service: &Service,
        client: &Client,
        verdict: &Verdict,
    ) -> Option<VerdictChange> {
        let known = self.current.get_mut(&key(service, client));
        if let Some(known) = known.filter(|known| known.cause == verdict.cause) {
            (known.confirmed, known.confidence) = (now, verdict.confidence);
            return None;
        }
        let cause = verdict.cause;
        let known = self.current.get(&key(service, client));
        // The verdict before this one, and when it ended.
        let (before, ended) = match known.map(|known| (known, known.led_to(cause, now))) {
            Some((turn, Some(before))) => (Some(before), turn.since),
            Some((known, None)) => (Some((known.cause, known.since)), known.confirmed),
            None => (None, Timestamp::MIN),
        };
        // A sign shows in longer stretches, too. While the verdict was another one, this one did not hold.
        let since = verdict.since.unwrap_or(now).max(ended);
        let current = Current { cause, confidence: verdict.confidence, since, before, confirmed: now };
        self.current.insert(key(service, client), current);
        // That a client is fine from the start is no news.
        if before.is_none() && cause.is_well() {
            return None;
        }
        let healed_since = before.filter(|(before, _)| !before.is_well() && cause.is_well());
        Some(VerdictChange {
            at: now,
            service_namespace: service.namespace.clone(),
            service: service.name.clone(),
            namespace: client.namespace.clone(),
            workload: client.workload.clone(),
            before: before.map(|(cause, _)| cause),
            cause: Some(cause),
            since,
            after: healed_since
                .map_or_else(Vec::new, |(before, since)| after(service, client, before, since)),
        })
    }

    /// Adds what is known about a verdict's past, and the changes of each Service.
    pub(super) fn complete(&self, snapshot: &mut Snapshot) {
        for service in &mut snapshot.services {
            let changes = self.changes.get(&(service.namespace.clone(), service.name.clone()));
            service.changes = changes.map_or_else(Vec::new, |changes| changes.iter().cloned().collect());
            let (namespace, name) = (service.namespace.clone(), service.name.clone());
            for client in &mut service.clients {
                let key =
                    (namespace.clone(), name.clone(), client.namespace.clone(), client.workload.clone());
                let Some(verdict) = &mut client.verdict else { continue };
                let known = self.current.get(&key).filter(|known| known.cause == verdict.cause);
                if let Some(known) = known {
                    verdict.remember(known.since, known.before.map(|(cause, _)| cause));
                }
            }
        }
    }

    /// The present verdict on a client, or the reason for none.
    pub(super) fn present(&self, service: &Service, client: &Client) -> Undecided {
        let key = key(service, client);
        let Some(known) = self.current.get(&key).filter(|known| known.confirmed == self.looked) else {
            return self.undecided.get(&key).cloned().unwrap_or_default();
        };
        let verdict = Verdict {
            cause: known.cause,
            confidence: known.confidence,
            since: Some(known.since),
            before: known.before.map(|(cause, _)| cause),
            ..Verdict::default()
        };
        (Some(verdict), None)
    }

    /// Forgets the changes of Services that are gone.
    pub(super) fn expire(&mut self, is_known: impl Fn(&str, &str) -> bool) {
        self.changes.retain(|(namespace, name), _| is_known(namespace, name));
    }
}

fn key(service: &Service, client: &Client) -> Key {
    (service.namespace.clone(), service.name.clone(), client.namespace.clone(), client.workload.clone())
}

/// The changes while something was wrong that may have ended it.
fn after(service: &Service, client: &Client, before: Cause, since: Timestamp) -> Vec<String> {
    let mut after = Vec::new();
    if client.newest_pod.is_some_and(|newest| newest > since) {
        after.push("the client has new pods".to_owned());
    }
    let came = service.endpoints.iter().filter(|row| row.ready_since.is_some_and(|ready| ready > since));
    let came = came.count();
    if came > 0 {
        after.push(format!("{came} of the Service's endpoints became ready"));
    }
    if before == Cause::PortMismatch {
        after.push("the client connects to another port".to_owned());
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures;

    /// The log after one look a pair: seconds, and the cause that was found.
    fn looks(looks: &[(i64, Cause)]) -> (Option<Cause>, Timestamp) {
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let mut log = VerdictLog::default();
        for (seconds, cause) in looks {
            let verdict = Verdict { cause: *cause, since: Some(at(0)), ..Verdict::default() };
            let client = Client { verdict: Some(verdict), ..Client::default() };
            let service = Service { clients: vec![client], ..Service::default() };
            log.look(&Snapshot { to: at(*seconds), services: vec![service], ..test_fixtures::snapshot() });
        }
        let (service, client) = (Service::default(), Client::default());
        let verdict = log.present(&service, &client).0.unwrap();
        (verdict.before, verdict.since.unwrap())
    }

    #[test]
    fn a_client_that_is_well_after_a_turn_was_helped_by_what_came_before_the_turn() {
        use Cause::{Even, Pinned, Unexplained};
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let mut log = VerdictLog::default();
        let mut news = Vec::new();
        for (seconds, cause) in [(0, Pinned), (90, Pinned), (100, Unexplained), (110, Even)] {
            let verdict = Verdict { cause, since: Some(at(0)), ..Verdict::default() };
            let client = Client { verdict: Some(verdict), newest_pod: Some(at(85)), ..Client::default() };
            let service = Service { clients: vec![client], ..Service::default() };
            let snapshot = Snapshot { to: at(seconds), services: vec![service], ..test_fixtures::snapshot() };
            news = log.look(&snapshot);
        }
        let last = &news[0];
        assert_eq!((last.before, last.cause), (Some(Pinned), Some(Even)));
        assert_eq!(last.after, ["the client has new pods"]);
    }

    #[test]
    fn a_client_that_turns_is_not_unexplained_before() {
        use Cause::{Even, Pinned, Unexplained};
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let turns = [(0, Even), (10, Even), (20, Unexplained), (30, Unexplained), (40, Pinned)];
        assert_eq!(looks(&turns), (Some(Even), at(10)));
        let stays = [(0, Even), (20, Unexplained), (90, Unexplained), (100, Pinned)];
        assert_eq!(looks(&stays), (Some(Unexplained), at(90)));
        let comes_back = [(0, Even), (20, Unexplained), (30, Even)];
        assert_eq!(looks(&comes_back), (Some(Unexplained), at(20)));
        let from_the_start = [(0, Unexplained), (10, Pinned)];
        assert_eq!(looks(&from_the_start), (Some(Unexplained), at(0)));
    }
}
