//! Addresses that belong to another Service now. A client without a DNS answer that dialled an endpoint before, and dials
//! its address still, has kept the address: it reaches a stranger.
//!
//! In: the outcome of a connection by its address alone, the endpoints to which the client has connected. Out: the
//! endpoint that the client means, if only tombstones know it; otherwise the same outcome.
//!
//! A client that connects to other endpoints of the present owner's Service, too, may have found this one where it found
//! those, so nothing is said of it.

use super::{
    Attribution, ConnectAttempt, EndpointRef, Resolution, State, Topology, Unattributed, current_pod_at,
    target,
};
use crate::topology::Endpoint;

/// The outcome, with the client's own history. `has_connected`: the client has connected to this endpoint's port.
pub fn with_history(
    outcome: Attribution,
    connect_attempt: ConnectAttempt,
    topology: &Topology,
    has_connected: impl Fn(EndpointRef) -> bool,
) -> Attribution {
    let is_by_address = match outcome {
        Attribution::Endpoint(target) => target.resolution == Resolution::None,
        Attribution::Unattributed(reason) => reason == Unattributed::Ambiguous,
        _ => false,
    };
    let Some(at) = connect_attempt.started.filter(|_| is_by_address) else { return outcome };
    let ConnectAttempt { address, port, .. } = connect_attempt;
    let is_strangers = |former: &&Endpoint| {
        let status = former.status_at_address(address, at);
        status.is_some_and(|(_, status)| status.state == State::Removed)
            && former.serves(port)
            && has_connected(former.id())
            && current_pod_at(address, port, former, topology).is_some()
    };
    let mut kept = topology.former_owners(address).filter(is_strangers);
    let (Some(former), None) = (kept.next(), kept.next()) else { return outcome };
    let knows_another = |owner: &Endpoint| {
        let service = topology.service_by_id(owner.id().service);
        let mut others = service.into_iter().flat_map(|service| service.endpoints());
        others.any(|other| !other.has(address) && has_connected(other.id()))
    };
    let mut owners = topology.owners(address).filter(|owner| owner.serves(port));
    if owners.any(|owner| owner.id().service == former.id().service || knows_another(owner)) {
        return outcome;
    }
    match topology.lookup(address, port, former.id().service, at).filter(|found| found.serves_port) {
        Some(found) => {
            Attribution::Endpoint(target(&found, Resolution::None, None, connect_attempt, topology))
        }
        None => outcome,
    }
}
