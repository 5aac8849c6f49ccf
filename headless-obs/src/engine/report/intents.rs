//! The meaning of annotations for the clients and Services of a snapshot.
//!
//! In: the annotations of the node's pods and of Services. Out: whose connections do not count, and how each client is
//! meant to connect.
//!
//! Invariant: a workload's pods say something only if all of them say the same.

use crate::client::WorkloadId;
use crate::engine::Engine;
use crate::expose::snapshot::{ClientIntent, ServiceIntent, WrongAnnotation};
use crate::hash::HashMap;
use crate::topology::ServiceState;
use crate::topology::intent::{Expectation, NotObeyed};
use crate::topology::model::Pod;

/// The reason for which annotations exclude a client.
pub(super) const EXCLUDED: &str = "annotation";
/// The most wrong annotations that are listed.
const WRONG: usize = 20;

/// The annotations of workloads, by their pods.
pub(super) type OfPods = HashMap<WorkloadId, Said>;

/// The annotations that all pods of a workload have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) expect: Option<Expectation>,
    pub(super) ignore: bool,
}

impl Said {
    fn of(pod: &Pod) -> Self {
        let said = pod.annotations.as_deref();
        said.map_or_else(Self::default, |said| Self { expect: said.expect, ignore: said.ignore })
    }
}

impl Engine {
    /// Of each workload with annotations, those that all of its pods have.
    pub(super) fn said_by_pods(&self) -> OfPods {
        let mut said = OfPods::default();
        let annotated = self.topology.pods().filter(|pod| pod.annotations.is_some());
        for pod in annotated {
            if let Some(workload) = self.clients.workload_of(pod) {
                said.insert(workload, Said::of(pod));
            }
        }
        if !said.is_empty() {
            for pod in self.topology.pods() {
                let own = Said::of(pod);
                let known = self.clients.workload_of(pod).and_then(|workload| said.get_mut(&workload));
                if let Some(known) = known {
                    known.expect = known.expect.filter(|expect| own.expect == Some(*expect));
                    known.ignore &= own.ignore;
                }
            }
        }
        said
    }

    /// The annotations that are not obeyed, the first of them by name.
    pub(super) fn wrong_annotations(&self) -> Vec<WrongAnnotation> {
        let found = self.topology.not_obeyed().map(|NotObeyed { object, annotation }| WrongAnnotation {
            object,
            annotation: annotation.name.to_string(),
            value: annotation.value.to_string(),
            allowed: annotation.allowed.to_owned(),
        });
        let mut wrong: Vec<WrongAnnotation> = found.collect();
        wrong.sort_by(|a, b| (&a.object, &a.annotation).cmp(&(&b.object, &b.annotation)));
        wrong.truncate(WRONG);
        wrong
    }
}

/// The meaning of a Service's annotations.
pub(super) fn of_service(state: &ServiceState) -> ServiceIntent {
    let said = state.annotations();
    said.map_or_else(ServiceIntent::default, |said| ServiceIntent {
        expect: said.expect.map(|expect| expect.as_str().to_owned()),
        ignore: said.ignore,
        ports: said.ports.to_vec(),
    })
}

/// The way in which a client of a Service is meant to connect: its own pods know better.
pub(super) fn of_client(
    state: &ServiceState,
    of_pods: &OfPods,
    workload: Option<WorkloadId>,
) -> Option<ClientIntent> {
    let own = workload.and_then(|id| of_pods.get(&id)).and_then(|said| said.expect);
    let of_service = || state.annotations().and_then(|said| said.expect);
    let (expect, said_by) = own.map(|expect| (expect, "pod")).or_else(|| Some((of_service()?, "service")))?;
    Some(ClientIntent { expect: expect.as_str().to_owned(), said_by: said_by.to_owned() })
}
