//! The events of a Service in order of time: endpoints that come and go, DNS answers, connections of clients. Pure:
//! figures of a snapshot in, moments out.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::Serialize;

use super::findings::wrong;
use super::{clean, full_name, thousands};
use crate::expose::snapshot::{Cause, Client, Endpoint, Service};

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TimelineEvent {
    pub(crate) at: Timestamp,
    pub(crate) event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    /// `namespace/workload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    /// The verdict since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) verdict: Option<Cause>,
    /// The verdict before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Cause>,
    /// The number of times that it happened, if more than once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u64>,
    /// If something wrong ended: what changed meanwhile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) after: Vec<String>,
    /// If there is no room for all, those with a lower value are left out.
    #[serde(skip)]
    weight: u32,
}

/// The kind of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// The observation began.
    Began,
    /// An endpoint became ready.
    Ready,
    /// It is no longer ready, but still listed.
    NotReady,
    /// It is shutting down.
    Terminating,
    /// It was removed.
    Removed,
    /// The last of many changes between ready and not ready.
    Flapping,
    /// The first answer to any client that listed it.
    Answered,
    /// A client's first answer for the Service.
    FirstAnswer,
    /// A client's first connection to an endpoint.
    Connected,
    /// A client's last connection to an endpoint after its removal.
    ConnectedAfterRemoval,
    /// A client's last answer for the Service.
    LastAnswer,
    /// The verdict on a client changed.
    Verdict,
}

/// All events since a moment, in order of time. `from` is the start of the stretch that is shown, and `began` that of
/// the observation.
pub(crate) fn moments(from: Timestamp, began: Timestamp, service: &Service) -> Vec<TimelineEvent> {
    let mut moments = vec![TimelineEvent { weight: u32::MAX, ..TimelineEvent::new(began, Event::Began) }];
    for change in &service.changes {
        moments.push(TimelineEvent {
            client: Some(full_name(&change.namespace, &change.workload)),
            verdict: change.cause,
            before: change.before,
            after: change.after.clone(),
            weight: 100,
            ..TimelineEvent::new(change.since, Event::Verdict)
        });
    }
    for endpoint in &service.endpoints {
        of_endpoint(from, endpoint, &mut moments);
    }
    for client in &service.clients {
        of_client(from, service, client, &mut moments);
    }
    moments.sort_by_key(|moment| (moment.at, moment.event));
    moments
}

fn of_endpoint(from: Timestamp, endpoint: &Endpoint, moments: &mut Vec<TimelineEvent>) {
    if endpoint.is_flapping() {
        moments.extend(endpoint.state_since.map(|at| TimelineEvent {
            pod: Some(endpoint.pod.clone()),
            times: Some(endpoint.flaps),
            weight: 97,
            ..TimelineEvent::new(at, Event::Flapping)
        }));
    }
    let mut push = |at: Option<Timestamp>, event, weight| {
        moments.extend(at.map(|at| TimelineEvent {
            pod: Some(endpoint.pod.clone()),
            weight,
            ..TimelineEvent::new(at, event)
        }));
    };
    let is_new = is_new(from, endpoint);
    push(endpoint.ready_since, Event::Ready, if is_new { 90 } else { 20 });
    push(endpoint.first_answered, Event::Answered, if is_new { 80 } else { 10 });
    let left = match endpoint.state.as_str() {
        "removed" => Event::Removed,
        "terminating" => Event::Terminating,
        "not_ready" => Event::NotReady,
        _ => return,
    };
    push(endpoint.state_since, left, 95);
}

fn of_client(from: Timestamp, service: &Service, client: &Client, moments: &mut Vec<TimelineEvent>) {
    let name = full_name(&client.namespace, &client.workload);
    // Clients with problems are the most relevant; excluded ones the least.
    let more = if wrong(client).is_some() { 25 } else { 0 };
    let less = if client.excluded.is_some() { 50 } else { 0 };
    let mut push = |at: Option<Timestamp>, event, pod: Option<&str>, weight: u32| {
        let weight = (weight + more).saturating_sub(less);
        let moment = |at| TimelineEvent {
            pod: pod.map(Into::into),
            client: Some(name.clone()),
            weight,
            ..TimelineEvent::new(at, event)
        };
        moments.extend(at.map(moment));
    };
    let answers = &client.answers;
    push(answers.first, Event::FirstAnswer, None, 55);
    push(answers.last.filter(|_| answers.count > 1), Event::LastAnswer, None, 60);
    for (endpoint, part) in service.endpoints.iter().zip(&client.endpoints) {
        let weight = if is_new(from, endpoint) { 50 } else { 5 };
        push(part.first_connection, Event::Connected, Some(&part.pod), weight);
        let after = part.last_connection.filter(|_| part.drained_seconds.is_some());
        push(after, Event::ConnectedAfterRemoval, Some(&part.pod), 65);
    }
}

/// It came during the observation.
fn is_new(from: Timestamp, endpoint: &Endpoint) -> bool {
    endpoint.ready_since.is_some_and(|since| since > from)
}

/// The `room` most relevant events, still in order of time, and the number of the others.
pub(crate) fn cut(moments: Vec<TimelineEvent>, room: usize) -> (Vec<TimelineEvent>, usize) {
    let left_out = moments.len().saturating_sub(room);
    let mut ranked: Vec<_> = moments.into_iter().enumerate().collect();
    // Of equally relevant events the later ones, which led to the present state.
    ranked.sort_by_key(|(place, moment)| Reverse((moment.weight, *place)));
    ranked.truncate(room);
    ranked.sort_by_key(|(place, _)| *place);
    (ranked.into_iter().map(|(_, moment)| moment).collect(), left_out)
}

impl TimelineEvent {
    fn new(at: Timestamp, event: Event) -> Self {
        let (pod, client, verdict, before, times, after) = (None, None, None, None, None, Vec::new());
        Self { at, event, pod, client, verdict, before, times, after, weight: 0 }
    }

    /// A sentence.
    pub(crate) fn in_words(&self) -> String {
        let pod = self.pod.as_deref().map(clean).unwrap_or_default();
        let client = self.client.as_deref().unwrap_or_default();
        match self.event {
            Event::Began => "observation began".to_owned(),
            Event::Ready => format!("{pod} became ready"),
            Event::NotReady => format!("{pod} was no longer ready"),
            Event::Terminating => format!("{pod} began to terminate"),
            Event::Removed => format!("{pod} was removed"),
            Event::Flapping => {
                let times = thousands(self.times.unwrap_or(0));
                format!("{pod} was flapping: until then it became ready again {times} times")
            }
            Event::Answered => format!("a DNS answer listed {pod} for the first time"),
            Event::FirstAnswer => format!("{client} received its first DNS answer"),
            Event::Connected => format!("{client} connected to {pod} for the first time"),
            Event::ConnectedAfterRemoval => {
                format!("{client} connected to {pod} for the last time, after the pod was removed")
            }
            Event::LastAnswer => format!("{client} received its most recent DNS answer"),
            Event::Verdict => {
                let before =
                    self.before.map_or_else(String::new, |cause| format!(" (before: {})", cause.as_str()));
                let after = self.after.join(", ");
                let after = if after.is_empty() { after } else { format!("; meanwhile: {}", clean(&after)) };
                match self.verdict {
                    Some(cause) => format!("{client} became {}{before}{after}", cause.as_str()),
                    None => format!("{client} had no verdict any more{before}{after}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expose::test_fixtures::{self, at};

    #[test]
    fn moments_are_in_order_of_time() {
        let moments = moments(at(0), at(0), &test_fixtures::orders());
        assert!(moments.is_sorted_by_key(|moment| moment.at));
        let has = |event, pod: Option<&str>, client: Option<&str>, seconds| {
            let found = moments.iter().filter(|moment| {
                moment.event == event && moment.pod.as_deref() == pod && moment.client.as_deref() == client
            });
            found.map(|moment| moment.at).eq([at(seconds)])
        };
        assert!(has(Event::Began, None, None, 0));
        assert!(has(Event::Ready, Some("orders-2"), None, -660));
        assert!(has(Event::Removed, Some("orders-3"), None, 4));
        assert!(has(Event::Answered, Some("orders-2"), None, 21));
        assert!(has(Event::FirstAnswer, None, Some("shop/cron"), 2));
        assert!(has(Event::LastAnswer, None, Some("shop/cron"), 29));
        assert!(has(Event::Connected, Some("orders-3"), Some("shop/cron"), 2));
        assert!(has(Event::ConnectedAfterRemoval, Some("orders-3"), Some("shop/cron"), 16));
        let of_one =
            |client, event| moments.iter().any(|m| m.event == event && m.client.as_deref() == client);
        assert!(!of_one(Some("shop/web"), Event::LastAnswer), "it has but one answer");
    }

    #[test]
    fn an_endpoint_that_comes_and_goes_is_told_once() {
        let mut orders = test_fixtures::orders();
        (orders.endpoints[0].flaps, orders.endpoints[0].state_since) = (24, Some(at(25)));
        let told = moments(at(0), at(0), &orders);
        let told: Vec<_> = told.iter().filter(|moment| moment.event == Event::Flapping).collect();
        assert_eq!((told.len(), told[0].at, told[0].pod.as_deref()), (1, at(25), Some("orders-0")));
        assert!(told[0].in_words().ends_with("ready again 24 times"), "{}", told[0].in_words());
    }

    #[test]
    fn what_matters_least_is_left_out() {
        let mut orders = test_fixtures::orders();
        let old = |i: i64| Endpoint { ready_since: Some(at(-9_000 - i)), ..orders.endpoints[0].clone() };
        orders.endpoints = (0..100).map(old).collect();
        orders.endpoints[50].ready_since = Some(at(20));
        orders.clients.truncate(1);
        let all = moments(at(0), at(0), &orders);
        let (shown, left_out) = cut(all.clone(), 30);
        assert_eq!((shown.len(), shown.len() + left_out), (30, all.len()));
        assert!(shown.is_sorted_by_key(|moment| moment.at));
        let ready = |seconds| shown.iter().any(|m| m.event == Event::Ready && m.at == at(seconds));
        assert!(ready(20), "the new endpoint explains something");
        assert!(!ready(-9_099), "the oldest does not");
        assert!(
            shown.iter().any(|m| m.event == Event::Began)
                && shown.iter().any(|m| m.event == Event::LastAnswer)
        );
        assert_eq!(cut(all.clone(), 1_000), (all, 0));
    }
}
