//! The engine's events for readers of a trace.

use headless_obs_ebpf::ring_record::{KIND_CLOSED, KIND_OPENED, TcpRecord};

use super::{Engine, Transport, ip};
use crate::attribution::{Attribution, Unattributed};
use crate::client::Client;
use crate::dns::{Answer, QueryType, Rcode};
use crate::expose::snapshot::VerdictChange;
use crate::expose::trace_events::{
    ClientName, Connection, DnsAnswer, NewVerdict, ServiceName, TraceEvent, What,
};
use crate::time::Time;
use crate::topology::ServiceId;

impl Engine {
    /// Starts (true) or stops to collect events.
    pub fn follow(&mut self, is_followed: bool) {
        self.trace = is_followed.then(|| self.trace.take().unwrap_or_default());
    }

    /// Events since the last call.
    pub fn take_trace(&mut self) -> Vec<TraceEvent> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The distance of the wall clock from the monotonic one, in nanoseconds; it changes when the clock is set.
    pub fn set_wall_offset(&mut self, offset: i128) {
        self.wall_offset = offset;
    }

    /// Changes of verdicts.
    pub(super) fn trace_verdicts(&mut self, changes: &[VerdictChange]) {
        let Some(trace) = &mut self.trace else { return };
        trace.extend(changes.iter().map(|change| TraceEvent {
            time: change.at,
            client: ClientName { namespace: change.namespace.clone(), workload: change.workload.clone() },
            service: Some(ServiceName {
                namespace: change.service_namespace.clone(),
                name: change.service.clone(),
            }),
            what: What::Verdict(NewVerdict {
                verdict: change.cause,
                before: change.before,
                since: change.since,
            }),
        }));
    }

    /// `reason`: why it failed.
    pub(super) fn trace_tcp(
        &mut self,
        record: &TcpRecord,
        client: Client,
        outcome: Attribution,
        why: Option<&str>,
    ) {
        if self.trace.is_none() {
            return;
        }
        let target = match outcome {
            Attribution::Endpoint(target) => Some(target),
            Attribution::Unattributed(_) | Attribution::WrongPort(_) | Attribution::Excluded(_) => None,
            // Unrelated connections are left out: a node has many of them.
            Attribution::Unrelated => return,
        };
        let reason = match outcome {
            Attribution::Unattributed(reason) => Some(reason.as_str()),
            Attribution::WrongPort(_) => Some(Unattributed::OtherPort.as_str()),
            Attribution::Excluded(reason) => Some(reason.as_str()),
            _ => why,
        };
        let endpoint = target.and_then(|target| self.topology.endpoint(target.endpoint));
        let connection = Connection {
            pod: endpoint.map(|endpoint| endpoint.label().to_string()),
            address: ip(record.destination).to_string(),
            port: record.port,
            resolution: target.map(|target| target.resolution.as_str().to_owned()),
            answer_position: target
                .and_then(|target| target.used_answer)
                .map(|used_answer| u32::from(used_answer.position)),
            reason: reason.map(str::to_owned),
            stale: target.and_then(|target| target.stale).map(|stale| stale.kind.as_str().to_owned()),
            duration_ms: (record.started > 0)
                .then(|| Time(record.header.time).since(Time(record.started)).as_secs_f64() * 1000.0),
        };
        let what = match record.header.kind {
            KIND_OPENED => What::Opened(connection),
            KIND_CLOSED => What::Closed(connection),
            _ => What::Failed(connection),
        };
        self.push(Time(record.header.time), client, target.map(|target| target.endpoint.service), what);
    }

    pub(super) fn trace_dns(
        &mut self,
        at: Time,
        client: Client,
        service: Option<ServiceId>,
        answer: &Answer,
        transport: Transport,
    ) {
        if self.trace.is_none() {
            return;
        }
        let what = What::Dns(DnsAnswer {
            name: answer.question.to_string(),
            qtype: match answer.kind {
                QueryType::A => "A".to_owned(),
                QueryType::Aaaa => "AAAA".to_owned(),
                QueryType::Srv => "SRV".to_owned(),
                QueryType::Other(number) => number.to_string(),
            },
            rcode: match answer.rcode {
                Rcode::NoError => "noerror".to_owned(),
                Rcode::NxDomain => "nxdomain".to_owned(),
                Rcode::ServFail => "servfail".to_owned(),
                Rcode::Other(number) => number.to_string(),
            },
            addresses: u32::try_from(answer.addresses.len()).unwrap_or(u32::MAX),
            truncated: answer.truncated,
            transport: transport.as_str().to_owned(),
        });
        self.push(at, client, service, what);
    }

    /// The name of a Service, unless it is forgotten.
    pub(super) fn service_name(&self, id: ServiceId) -> Option<ServiceName> {
        let key = self.topology.service_by_id(id)?.key();
        Some(ServiceName { namespace: key.namespace.to_string(), name: key.name.to_string() })
    }

    fn push(&mut self, at: Time, client: Client, service: Option<ServiceId>, what: What) {
        let name = self.clients.workload(client.workload);
        let (namespace, workload) = name.map_or(("", ""), |name| (&*name.namespace, &*name.name));
        let event = TraceEvent {
            time: self.wall(at),
            client: ClientName { namespace: namespace.to_owned(), workload: workload.to_owned() },
            service: service.and_then(|id| self.service_name(id)),
            what,
        };
        if let Some(events) = &mut self.trace {
            events.push(event);
        }
    }
}
